"""What `lora-lessons bench` measures: how fast a training step is beside PEFT's, and what a training job takes."""
