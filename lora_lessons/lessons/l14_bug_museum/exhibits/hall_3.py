"""Hall 3, training and files: what trained, what was saved, what was loaded and merged."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        id="14.21",
        title="Fine until the kernel restarted",
        symptoms=(
            "the adapter does nothing after I load it again",
            "fine until I restarted, then the saved folder had no effect",
            "found missing adapter keys while loading the checkpoint",
            "every time I load my adapter it gives other random answers",
        ),
        suspect="The file's names do not fit the model, so the adapter was left as it starts; the library only warned.",
        noticed="After loading, count the B's that are not zero, and compare the loss on one batch with the last one of the run.",
        behind="huggingface/peft#1678, huggingface/peft#2171, huggingface/peft#2566 and huggingface/peft#2699; "
        "huggingface/sentence-transformers#3865 (dropped without a word)",
        found_by=("keys_do_not_match",),
    ),
    Exhibit(
        id="14.22",
        title="The new voice never came",
        symptoms=(
            "my second adapter does nothing although its loss fell",
            "the first adapter got worse after I trained a second one",
            "training a new adapter overwrites the old one",
        ),
        suspect="add_adapter does not switch: the model and the optimizer stayed with the adapter that was there.",
        noticed="Before the first step, print model.active_adapter and the names of the parameters that require a gradient.",
        behind="PEFT's design: an added adapter is not active. Related, and mended in huggingface/peft#3495: huggingface/peft#3580, where "
        "load_adapter made the first adapter trainable and left the new one frozen",
        found_by=("b_never_moved", "second_adapter_untrained"),
    ),
    Exhibit(
        id="14.23",
        title="Perfect in the run, poor from the file",
        symptoms=(
            "great in the session, poor when the saved adapter is put on a fresh base",
            "LoRA needs as much memory as full fine-tuning",
            "the adapter helps only in the session that trained it",
            "embeddings and norms changed although I only wanted an adapter",
        ),
        suspect="The base was not frozen: embeddings, norms and head learned as well, and an adapter holds none of them.",
        noticed="Print the number of trainable parameters before the first step: it must be that of A and B alone.",
        behind="lesson 02: W is frozen, and A and B are all that learns",
    ),
    Exhibit(
        id="14.24",
        title="It fits now, and learns a little",
        symptoms=(
            "loss falls slower since I turned gradient checkpointing on",
            "element 0 of tensors does not require grad",
            "none of the inputs have requires_grad, gradients will be None",
            "adapters inside the blocks never moved, the one on the head did",
        ),
        suspect="Reentrant checkpointing cuts the graph when a block's input asks for no gradient: no adapter inside gets one.",
        noticed="Count the lora_B with a gradient after the first backward; the course's training.check_gradients stops there.",
        behind="locuslab/open-unlearning#178 (silent: the transformer layers were not trained) and huggingface/peft#137 (loud)",
        found_by=("b_never_moved",),
    ),
    Exhibit(
        id="14.25",
        title="The same cells in another order",
        symptoms=(
            "QLoRA hardly learns on a CPU, no error",
            "training works only if I skip the evaluation before it",
            "an autograd kernel was not registered",
        ),
        suspect="bitsandbytes repacked its weights when the base was evaluated, and nothing passes back through them any more.",
        noticed="Count the lora_B with a gradient at step 0. Later none is zero: gradients return through B·A alone, without W's part, and are "
        "wrong.",
        behind="lesson 07 (found while this course was made; we know of no thread)",
    ),
    Exhibit(
        id="14.26",
        title="One file, please",
        symptoms=(
            "the merged 4-bit file lost what the adapter had learned",
            "the adapter is gone after merge_and_unload on a 4-bit model",
            "merging QLoRA into one quantized file undid it",
        ),
        suspect="The update was added to weights that were already rounded, and the second rounding put most of them back.",
        noticed="Measure the share of ΔW in the merged weight: it must be about 1. Or compare logits before and after.",
        behind="huggingface/peft#1043 (the results “worsen a lot”) and huggingface/peft#2321; lesson 09 counts the answers that are lost",
    ),
    Exhibit(
        id="14.27",
        title="Merged, saved, and it babbles",
        symptoms=(
            "model collapses after merging an adapter on lm_head",
            "merged and saved model repeats one token",
            "adapter works, the merged model is gibberish",
        ),
        suspect="Head and embedding are one tensor, so merging the head's adapter changed the embedding as well.",
        noticed="Compare logits before the merge with those of the saved folder; ask whether lm_head.weight is the embedding's.",
        behind="huggingface/peft#2018; related: huggingface/transformers#45127 and huggingface/peft#2777, where the merge was right in memory "
        "and the saved configuration tied the two again",
        found_by=("tied_embeddings",),
    ),
    Exhibit(
        id="14.28",
        title="It learned on the other card",
        symptoms=(
            "fp16 training barely learns, bf16 was fine",
            "loss hardly falls in half precision on a T4, no nan",
            "attempting to unscale FP16 gradients",
        ),
        suspect="With a base in fp16, A and B belong in fp32 and the loss must be scaled: unscaled, small gradients become zero, and with A and B "
        "in fp16 a GradScaler stops.",
        noticed="Count the exact zeros among the gradients of one batch: in fp32 there are next to none. And print the dtype of A and B.",
        behind="huggingface/peft#341 and huggingface/peft#1249, its loud sibling: “Attempting to unscale FP16 gradients”, mended by making what "
        "trains fp32 (in plain LoRA, PEFT does that by default)",
        found_by=("half_precision_zeros",),
    ),
)
