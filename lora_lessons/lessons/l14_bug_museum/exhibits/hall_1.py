"""Hall 1, the adapter itself: its scale, its start, its targets, its rate."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        id="14.1",
        title="Fine in PEFT, wild in my converter",
        symptoms=(
            "my own loader gives gibberish, PEFT answers well",
            "the same adapter file gives other answers in my own code",
            "after merging by hand the model overreacts",
            "the adapter is far too strong after I load it",
            "merged weights differ from PEFT's",
        ),
        suspect="α stands where α/r belongs, so the update is r times too large.",
        noticed="Compare the logits of one prompt with PEFT's, or the size of ΔW: it must be α/r times that of B·A.",
        behind="Blaizzy/mlx-vlm#845 (in the layer that trains, which merges by the same factor; fixed)",
    ),
    Exhibit(
        id="14.2",
        title="Rank 64, and it barely moves",
        symptoms=(
            "a high rank learns less than a low rank",
            "the loss falls far too slowly",
            "the loss falls more slowly since I raised r",
            "I increased the rank and it learns less",
            "I left lora_alpha at its default",
            "the adapter is too weak to change the answers",
            "loss falls a little, answers unchanged",
        ),
        suspect="lora_alpha was not set, so it fell to PEFT's default of 8. At the same learning rate each step then does less; "
        "the rank is not to blame.",
        noticed="Print lora_alpha and the learning rate of both runs. When you change r at a rate that works, α stays as it was.",
        behind="huggingface/lerobot#3551",
        found_by=("alpha_at_default",),
    ),
    Exhibit(
        id="14.3",
        title="A perfectly calm start",
        symptoms=(
            "the loss does not move at all",
            "the loss stays flat whatever the learning rate",
            "gradient norm is zero",
            "trained for hours, answers are exactly those of the base",
            "the adapter file is full of zeros",
            "I trained and nothing changed at all",
            "it starts without any effect and never learns",
            "the loss is stuck at one value",
        ),
        suspect="A and B both start at zero: each is a factor in the other's gradient, so neither ever moves.",
        noticed="Look at the gradients of the first step. A's is zero because B is zero. If B's is zero too, nothing will ever move.",
        behind="circle-hit/SAPT#11",
        found_by=("ab_both_zero",),
    ),
    Exhibit(
        id="14.4",
        title="A recipe that worked for a friend",
        symptoms=(
            "fewer trainable parameters than I expected",
            "target_modules from a recipe for another model",
            "half of the layers have no adapter",
            "training works but learns less than others report",
            "no error for a misspelt layer name",
        ),
        suspect="A name in target_modules matches no layer, and PEFT skips it because another one matches.",
        noticed="Count the adapted layers by name, or read print_trainable_parameters() before you train.",
        behind="huggingface/peft#1959, dllm-reasoning/d1#6 (Llama's names on another model)",
        found_by=("target_typo",),
    ),
    Exhibit(
        id="14.5",
        title="All linear layers, and still so few",
        symptoms=(
            "a mixture of experts learns little",
            "trainable parameters are a tiny share in a MoE model",
            "all-linear leaves most of the weights without an adapter",
            "experts stay frozen",
            "no lora weights for the experts in the adapter file",
        ),
        suspect="The experts are stacked in one parameter, which is no Linear layer, so all-linear leaves them out.",
        noticed="Ask what share of the weights has an adapter, not what share is trainable: inspect with --base prints it.",
        behind="unslothai/unsloth#4476 (left out by a list of names), huggingface/peft#2527",
        found_by=("experts_left_out",),
    ),
    Exhibit(
        id="14.6",
        title="Right in Python, faint in llama.cpp",
        symptoms=(
            "after conversion to GGUF the adapter has almost no effect",
            "llama.cpp answers nearly like the base, PEFT does not",
            "works in Python but weak after export",
            "rslora adapter is too weak in another program",
        ),
        suspect="The adapter is rsLoRA, scaled by α/√r, and the converter wrote α alone: llama.cpp divides it by r.",
        noticed="Compare logits, or read alpha from the file: divided by r it must be the scale that trained.",
        behind="NVIDIA/TensorRT-LLM#1668 and vllm-project/vllm#6909 (the same in two servers, fixed there)",
        found_by=("rslora_export",),
    ),
    Exhibit(
        id="14.7",
        title="The best training loss of all",
        symptoms=(
            "training loss goes to almost zero but the model is bad",
            "training loss near 0, answers are worse",
            "the loss is excellent and the text is gibberish",
            "the model forgot everything it knew",
            "every question gets a memorised answer",
            "held-out loss rises while training loss falls",
        ),
        suspect="Trained too hard on few examples, by the rate or by the steps: they were memorised, and much else overwritten.",
        noticed="Beside the training loss, measure the loss on examples kept out of training and the perplexity of a general text.",
        behind="QwenLM/Qwen#785 (rate 0.003, 150 epochs), yuanzhoulvpi2017/zero_nlp#88 (50 to 90 epochs)",
        found_by=("a_far_from_start", "forgets"),
    ),
)
