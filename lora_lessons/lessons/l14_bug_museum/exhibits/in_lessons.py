"""Suspects without an exhibit: a lesson is about each of them, so the museum only sends you there."""

from __future__ import annotations

from ..exhibit import InALesson

SUSPECTS: tuple[InALesson, ...] = (
    InALesson(
        id="lesson 03",
        notebook="03_train_lora.ipynb",
        title="Can B·A do what full fine-tuning does?",
        symptoms=(
            "the loss jumps when I resume from a checkpoint",
            "after resuming, training starts over from a high loss",
            "resume_from_checkpoint begins all over again",
        ),
        suspect="The checkpoint lacks a part of the run: with the adapter alone, AdamW's moments and the schedule begin anew; "
        "and if the adapter was not put on again, so does everything.",
        noticed="Before the first new step, measure the loss on a batch that you kept from the old run. If it is the base's, the "
        "adapter is missing. If it is right and rises with the next steps, the optimizer's state is.",
    ),
    InALesson(
        id="lesson 04",
        notebook="04_peft.ipynb",
        title="Is the library doing the same thing?",
        symptoms=(
            "trainable params: 0",
            "I want to continue training an adapter that I saved",
            "training goes on from my adapter but nothing is trainable",
            "a loaded adapter is frozen",
        ),
        suspect="PeftModel.from_pretrained loads an adapter for use, and freezes it unless you say is_trainable=True.",
        noticed="Call model.print_trainable_parameters() after loading: it says 0. Load the adapter again with is_trainable=True.",
    ),
    InALesson(
        id="lesson 05",
        notebook="05_rank_and_alpha.ipynb",
        title="Which rank? Which alpha?",
        symptoms=(
            "I increased the rank and it got worse",
            "I raised r and nothing got better",
            "rank 64 is worse than rank 8 with alpha = 2r",
            "a high rank ends at a worse loss than a low rank",
            "the loss becomes nan after 50 steps",
            "the gradient norm explodes, or becomes nan after a while",
            "the loss explodes in the middle of training",
            "the loss goes up from step to step",
            "the learning rate is too high",
        ),
        suspect="α rose with the rank (α = 2r), so every step became too large at the old learning rate, as it does when the "
        "rate itself is too high; or the rank was never what held the adapter back.",
        noticed="Train the higher rank with α as it was. If it is now as good as the low rank, the step was too large. If it "
        "is no better than the low rank, the low rank had room enough.",
    ),
    InALesson(
        id="lesson 07",
        notebook="07_qlora.ipynb",
        title="Does the 4-bit base cost quality?",
        symptoms=(
            "QLoRA needs as much memory as LoRA in 16 bits",
            "the 4-bit model takes more VRAM than it should",
            "quantization saves no memory",
        ),
        suspect="4 bits shrink the weights of the base's Linear layers and nothing else: embeddings, head, activations and logits "
        "stay as they are. Or the base was never packed, because its quantization_config did not arrive.",
        noticed="Print the model: its layers should be Linear4bit. If they are, let `lora-lessons plan` list what takes the room.",
    ),
    InALesson(
        id="lesson 08",
        notebook="08_qlora_7b.ipynb",
        title="Will a real 7B train on my card?",
        symptoms=(
            "CUDA out of memory",
            "training crashes with an out-of-memory error",
            "out of memory on the longest texts",
        ),
        suspect="The run needs more memory than the card has: the base, what is kept for the adapter, and the activations, "
        "which grow with the batch and with the length of the texts.",
        noticed="Before you train, let `lora-lessons plan` or the lesson's sliders add up what your run needs. "
        "Checkpointing, shorter texts, one text at a time and a 4-bit base each lower it.",
    ),
    InALesson(
        id="lesson 12",
        notebook="12_faster.ipynb",
        title="Where does the time go?",
        symptoms=(
            "training is very slow on my laptop",
            "a step takes minutes on my laptop",
            "one epoch takes days on a CPU",
            "the GPU is hardly busy",
        ),
        suspect="The step does work that the result does not need: padding, blocks computed twice, scores of tokens that teach "
        "nothing, a precision that this processor has no fast kernel for.",
        noticed="Time one step and count its operations: how far is that from what this machine manages in plain products?",
    ),
    InALesson(
        id="lesson 16",
        notebook="16_many_adapters.ipynb",
        title="A hundred adapters on one base?",
        symptoms=(
            "the adapter has no effect in vLLM",
            "vLLM answers like the base model",
            "the server ignores my adapter",
        ),
        suspect="The request names the base. A server that holds adapters answers as the base unless the request's model is the "
        "adapter's name.",
        noticed="Ask the server for its list of models (/v1/models): the adapter stands there under its name. Ask again with it.",
    ),
)
