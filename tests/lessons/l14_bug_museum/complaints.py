"""What learners write when they have met an exhibit: (the exhibit's id, their words), not the words of its own symptoms."""

HALL_1 = [
    ("14.1", "with PEFT it is fine but my merged weights produce nonsense"),
    ("14.1", "wrote a converter myself, output is rubbish, peft is ok with the same file"),
    ("14.1", "hand-written loader: adapter much too strong"),
    ("14.2", "I use r=64 and the robot barely moves"),
    ("14.2", "increasing the rank made it worse, loss drops so slowly"),
    ("14.2", "loss falls, answers unchanged"),
    ("14.3", "loss is completely flat, grad_norm 0.0"),
    ("14.3", "after training for a day the answers are identical to the base model"),
    ("14.3", "nothing changes no matter which learning rate I try, loss stuck"),
    ("14.4", "copied target_modules from another model's recipe, trainable params look low"),
    ("14.4", "I mistyped a layer name and got no error"),
    ("14.4", "only half the layers got an adapter"),
    ("14.5", "fine-tuning a MoE with all-linear hardly trains anything"),
    ("14.5", "my experts are frozen"),
    ("14.6", "GGUF version of my adapter does almost nothing in llama.cpp"),
    ("14.6", "exported the rslora adapter and it became weak"),
    ("14.7", "loss 0 after 15 steps but the model talks garbage"),
    ("14.7", "training loss is great and the model has forgotten everything"),
    ("14.7", "validation loss goes up while train loss goes down"),
    ("14.2", "my adapter has hardly any influence although the rank is huge"),
    ("14.3", "I zeroed the lora weights so that it starts neutral and now it never learns"),
    ("14.4", "layer names from a blog post, model trains but improves less than in the blog"),
    ("14.5", "Mixtral fine-tune: print_trainable_parameters shows almost nothing"),
    ("14.6", "adapter converted with convert_lora_to_gguf.py is far weaker than in PEFT"),
    ("14.7", "it repeats a training answer to every question"),
]
HALL_2: list[tuple[str, str]] = []
HALL_3: list[tuple[str, str]] = []
