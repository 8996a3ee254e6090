"""Findings that need the base, and those on embeddings and the chat that need a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...exporting.ollama import chatform
from ..architectures import config_of
from ..reading import AdapterFolder
from ..talk import Talk, talk_of
from ..xray import AdaptedMatrix, AgainstBase, Finding, tokens_dropped, tokens_misfit
from .of_numbers import named

# What transformers calls the heads of classifiers, and for how many labels it builds one where nothing says so.
HEADS, USUAL_LABELS = {"score", "classifier"}, 2
# ‖ΔW‖/‖W‖ of the matrix in the middle: 0.01 in the course's own adapters, 0.11 in the LoRA paper (section 7.3, r = 4).
LARGE, TOO_LARGE = 0.25, 1.0
# What attention's Linears are called: who adapts these alone has left the experts out on purpose.
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa"}


def findings(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[Finding]:
    """All findings that look at the base, or say what it would take to look."""
    yield from _tied(opened, against)
    yield from _labels(opened, against)
    yield from _of_chat_template(opened, against)
    if against is None:
        return
    if not any(against.place.glob("*.safetensors")):
        yield Finding(
            "base_without_weights",
            "note",
            f"{against.name} holds no *.safetensors: only its config was read, and ‖ΔW‖/‖W‖ is not here.",
        )
    yield from _fit(opened, matrices, against)
    if broken := against.not_finite:
        yield Finding(
            "base_not_finite",
            "wrong",
            f"{against.name} itself holds NaN or infinity, in {len(broken)} of the weights that are adapted, such as {broken[0]}: "
            "no adapter can mend that. Fetch the base again.",
        )
    yield from _size(opened, against)
    if against.left_out:
        first, numbers = next(iter(against.left_out)), sum(against.left_out.values())
        targets = opened.settings.target_modules
        yield Finding(
            "experts_left_out",
            "note" if isinstance(targets, tuple) and {*targets} <= ATTENTION else "look",
            f"The experts are left out: {len(against.left_out)} weights with {numbers:,} numbers, such as {first}, are stacked in "
            "one parameter each, which target_modules does not reach. PEFT's target_parameters adapts them, but then llama.cpp and SGLang "
            "do not take the adapter whole, and vLLM only of a few models: plan to merge it.",
            "unsloth#4476, peft#2527, sglang#25528",
        )
    if against.perplexity and (forgot := against.perplexity[1] / against.perplexity[0]) > 1.1:
        before, after = against.perplexity
        yield Finding(
            "forgets",
            "look" if forgot > 1.5 else "note",
            f"On general text, perplexity is {after:.1f} with the adapter and {before:.1f} without: {forgot:.2f} times as much.",
            "lesson 09",
        )


def _fit(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase) -> Iterator[Finding]:
    if against.lacking:
        yield Finding(
            "keys_do_not_match",
            "wrong",
            f"{against.name} has no module for {named(against.lacking, len(matrices))}: PEFT would load the adapter without "
            f"them and {'say so in a warning only' if against.unfilled else 'say nothing'}.",
            "peft#2566, peft#2699" if against.unfilled else "unsloth#6936",
        )
    if against.other_shapes:
        saved = sum(one.role in ("embedding", "whole") for one in opened.tensors)
        rows = {one.module: one.shape[0] for one in opened.tensors if one.role == "embedding" and one.shape}
        resized = {rows.get(module) for module in against.other_shapes}
        mend = (
            f"; in that case call resize_token_embeddings({min(rows.values())}) before you load it"
            if resized == {*rows.values()}
            else ""
        )
        yield Finding(
            "base_mismatch",
            "wrong",
            f"The adapter has another shape than {against.name}'s W in {named(against.other_shapes, len(matrices) + saved)}: it "
            f"was trained on another base, or on this one after resize_token_embeddings{mend}.",
            "peft#1457, peft#2898",
        )
    base_name, given = opened.settings.base_name, against.name
    if base_name and not against.other_shapes and not against.lacking and _short(base_name) != _short(given):
        yield Finding(
            "base_mismatch",
            "note",
            f"The adapter names its base {base_name}, and it was held against {given}: they fit, if the weights are the same.",
        )


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


def _size(opened: AdapterFolder, against: AgainstBase) -> Iterator[Finding]:
    if against.ratio is not None and against.ratio >= LARGE and not opened.settings.changes_base:
        yield Finding(
            "update_too_large",
            "wrong" if against.ratio >= TOO_LARGE else "look",
            f"‖ΔW‖ is {against.ratio:.2f} of ‖W‖ in the matrix in the middle, {against.largest_ratio:.2f} in the largest: the update "
            "is no longer a small change. A learning rate that is too high looks like success on the training text; read "
            "answers to other questions.",
            "alpaca-lora#391, lesson 14",
        )


def _tied(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    # PEFT keeps the base's own W beside A and B of an embedding, too
    whole = [one.module for one in opened.tensors if one.role == "embedding" and ".base_layer." not in one.key]
    updated = [one.module for one in opened.tensors if one.on_embedding]
    updated += [one.module for one in opened.tensors if one.role == "A" and one.module.endswith("lm_head")]
    names = ", ".join(dict.fromkeys(whole + updated))
    if not names or (against is not None and not against.tied) or "ensure_weight_tying" in opened.settings.others:
        return
    if against is None:
        sentence = (
            f"The adapter changes {names}. In a base whose head is its embedding (tie_word_embeddings), a merge may "
            "change or lose the other one too: name the base with --base, and it is looked up."
        )
        yield Finding("tied_embeddings", "note", sentence, "transformers#45127")
        return
    if whole:
        yield Finding(
            "tied_embeddings",
            "note",
            f"The adapter holds {names} apart, and {against.name}'s head is its embedding: PEFT 0.21 unties the two as it merges, and "
            "transformers 5.24 loads them apart. With an older release, look that the merged model's config says tie_word_embeddings: false.",
            "transformers#45127; run here",
        )
        return
    yield Finding(
        "tied_embeddings",
        "look",
        f"The adapter has A and B for {names}, and {against.name}'s head is its embedding: PEFT merges into the one matrix that both "
        "share, so both change. Before you put the adapter on to merge it, give the head a copy (lm_head.weight = "
        "nn.Parameter(lm_head.weight.detach().clone())) and set config.tie_word_embeddings = False.",
        "peft#2018; run here",
    )


def _labels(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    """A head for more or fewer labels than transformers builds unless it is told."""
    says = config_of(opened, against) or {}
    labels = len(says.get("id2label") or ()) or says.get("num_labels") or USUAL_LABELS
    heads = (one for one in opened.tensors if one.role == "whole" and not HEADS.isdisjoint(one.module.split(".")[-2:]))
    for head in heads:
        of_labels = head.module.rpartition(".")[2] in (*HEADS, "out_proj") and len(head.shape) == 2
        if of_labels and head.shape[0] != labels:
            built = (
                f"this base's config says {labels}"
                if says
                else f"transformers builds one for {labels} unless the base's config says otherwise"
            )
            yield Finding(
                "labels_differ",
                "look",
                f"The file holds a head for {head.shape[0]} label{'s' * (head.shape[0] != 1)} ({head.module}), and {built}: load the base with num_labels={head.shape[0]}, "
                "or PEFT stops at a size mismatch.",
                "MedicalGPT#271; run here",
            )


def _of_chat_template(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    mine = talk_of(opened.place, against.place if against is not None else None)
    theirs = talk_of(against.place) if against is not None else Talk(None, None, "", {})
    speaks = mine if mine.template else theirs
    if speaks.ends is False:
        whose = "beside the adapter" if mine.template else "of the base"
        may_stop = speaks.ending and not speaks.stops_said
        yield Finding(
            "eos_missing",
            "note" if may_stop else "look",
            f"The chat template {whose} ends an answer with {speaks.ending}, which is not the tokenizer's EOS: an answer stops there "
            "if the base's generation_config.json names it, as Gemma's and Phi's do theirs, and else runs on."
            if may_stop
            else f"The chat template {whose} ends an answer without {speaks.eos or 'an EOS token'}, the token that stops generation: a "
            "model that is trained on such text learns another ending, and runs on.",
            "llm-course#33, trl#1623",
        )
    if mine.template and theirs.template and mine.template != theirs.template:
        alike = bool(mine.text) and mine.text == theirs.text
        yield Finding(
            "template_differs",
            "note" if alike else "look",
            f"The chat template beside the adapter is not {against.name if against else 'the base'}'s"
            + (", though both write a plain question and answer alike" if alike else "")
            + ": use the adapter's own, in Ollama and llama.cpp too, or its answers may be other ones.",
            "ollama#8363, ollama#6823",
        )
    if speaks.template and chatform.TOOLS.search(speaks.template):
        yield Finding("ollama_tools", "note", chatform.TOOL_CALLS, "ollama#17636, ollama#15810")
    yield from _tokens(opened, mine, theirs, against)


def _tokens(opened: AdapterFolder, mine: Talk, theirs: Talk, against: AgainstBase | None) -> Iterator[Finding]:
    if other := next((n for n, word in sorted(mine.added.items()) if theirs.added.get(n, word) != word), None):
        yield Finding(
            "tokenizer_differs",
            "look",
            f"The tokenizer beside the adapter is another than the base's: token {other} is {mine.added[other]!r} in one and "
            f"{theirs.added[other]!r} in the other.",
        )
    rows = against.vocabulary if against else None
    if misfit := tokens_misfit(opened, rows):
        yield Finding(
            "tokens_differ",
            "wrong",
            f"PEFT stops: {misfit}. Get the adapter_config.json that was saved with this file.",
            "lesson 04",
        )
    if dropped := tokens_dropped(opened):
        yield Finding(
            "tokens_differ",
            "wrong",
            f"The file holds the rows of {dropped} tokens, and trainable_token_indices names none: PEFT drops them without a "
            "word. Get the adapter_config.json that was saved with this file.",
            "lesson 04",
        )
    if not isinstance(rows, int):
        return
    # Gemma 3's own tokenizer has one token more than its small models have rows
    beyond = [
        word for number, word in sorted(mine.added.items()) if number >= rows and theirs.added.get(number) != word
    ]
    if not beyond:
        return
    saved = any(one.role in ("embedding", "tokens") for one in opened.tensors)
    yield Finding(
        "added_tokens",
        "note" if saved else "wrong" if theirs.added else "look",
        f"The tokenizer beside the adapter has {len(beyond)} tokens that the base has no row for, such as {beyond[0]}: "
        + (
            "resize the base's embeddings before you load it."
            if saved
            else "and the adapter brings no embeddings for them."
        ),
        "peft#2898, peft#1457",
    )
