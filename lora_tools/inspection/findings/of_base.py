"""Findings that need the base, and those on embeddings and the chat that need a part of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lora_lessons import models

from ...exporting.ollama import chatform
from ..architectures import config_of, is_lost_path, tied_by_name
from ..reading import AdapterFolder, leaf_of
from ..talk import Talk, talk_of
from ..xray import AdaptedMatrix, AgainstBase, Finding, Severity, tokens_dropped, tokens_misfit
from .said import finding, in_towers, named

# What transformers calls the heads of classifiers, and for how many labels it builds one where nothing says so.
HEADS, USUAL_LABELS = {"score", "classifier"}, 2
# ‖ΔW‖/‖W‖ of the matrix in the middle: 0.01 in the course's own adapters, 0.11 in the LoRA paper (section 7.3, r = 4).
LARGE, TOO_LARGE = 0.25, 1.0
# What attention's Linears are called: who adapts these alone has left the experts out on purpose.
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa"}

# Linears that read the hidden state: its size is their k.
READERS = {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"}


def findings(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[Finding]:
    """All findings that look at the base, or say what it would take to look."""
    yield from _tied(opened, against)
    yield from _labels(opened, against)
    yield from _of_chat_template(opened, against)
    named_base = opened.settings.base_name
    if against is None:
        if is_lost_path(named_base):
            yield finding("base_is_a_path", base=named_base[:200])
        if odd := other_width(named_base, matrices):
            yield finding("base_of_other_width", base=named_base, **odd)
        return
    if not any(against.place.glob("*.safetensors")):
        yield finding("base_without_weights", base=against.name)
    yield from _fit(opened, matrices, against)
    if broken := against.not_finite:
        yield finding("base_not_finite", base=against.name, many=len(broken), first=broken[0])
    if against.ratio is not None and against.ratio >= LARGE and not opened.settings.changes_base:
        severity: Severity = "wrong" if against.ratio >= TOO_LARGE else "look"
        yield finding("update_too_large", severity, ratio=against.ratio, largest=against.largest_ratio)
    if against.left_out:
        first, numbers = next(iter(against.left_out)), sum(against.left_out.values())
        targets = opened.settings.target_modules
        yield finding(
            "experts_left_out",
            "note" if isinstance(targets, tuple) and {*targets} <= ATTENTION else "look",
            many=len(against.left_out),
            numbers=numbers,
            first=first,
        )
    if against.perplexity and (forgot := against.perplexity[1] / against.perplexity[0]) > 1.1:
        before, after = against.perplexity
        yield finding("forgets", "look" if forgot > 1.5 else "note", after=after, before=before, times=forgot)


def other_width(base: str, matrices: Sequence[AdaptedMatrix]) -> dict[str, Any]:
    """How many numbers a token the adapter reads where the base that `base` names has another number of them,
    and which known models have that; empty where it has the same, or nobody knows."""
    known = models.KNOWN.get(models.known(base), {})
    hidden, kind = known.get("hidden_size"), known.get("model_type")
    read = {one.k: one.module for one in matrices if leaf_of(one.module) in READERS and not in_towers([one.module])}
    k = next((k for k in read if hidden and k != hidden), 0)
    if not k:
        return {}
    layers = 1 + max((int(n) for one in matrices for n in re.findall(r"layers\.(\d+)\.", one.module)), default=-1)
    means = {"hidden_size": k, "model_type": kind, "num_hidden_layers": layers}
    like = [name for name, one in models.PUBLISHED.items() if means.items() <= one.config.items()]
    fits = f" (that of {', '.join(like)})" if like else ""
    return {"hidden": hidden, "k": k, "module": read[k], "fits": fits}


def _fit(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase) -> Iterator[Finding]:
    if against.lacking:
        row = "keys_without_module" if against.unfilled else "keys_without_module_or_word"
        yield finding(row, base=against.name, where=named(against.lacking, len(matrices)))
    if against.other_shapes:
        saved = sum(one.role in ("embedding", "whole") for one in opened.tensors)
        rows = {one.module: one.shape[0] for one in opened.tensors if one.role == "embedding" and one.shape}
        resized = {rows.get(module) for module in against.other_shapes}
        mend = (
            f"; in that case call resize_token_embeddings({min(rows.values())}) before you load it"
            if resized == {*rows.values()}
            else ""
        )
        yield finding(
            "base_of_other_shape",
            base=against.name,
            where=named(against.other_shapes, len(matrices) + saved),
            mend=mend,
        )
    base_name, given = opened.settings.base_name, against.name
    if base_name and not against.other_shapes and not against.lacking and _short(base_name) != _short(given):
        yield finding("base_of_other_name", named=base_name, given=given)


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


def _tied(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    # PEFT keeps the base's own W beside A and B of an embedding, too
    whole = [one.module for one in opened.tensors if one.role == "embedding" and ".base_layer." not in one.key]
    updated = [one.module for one in opened.tensors if one.on_embedding]
    updated += [one.module for one in opened.tensors if one.role == "A" and one.module.endswith("lm_head")]
    names = ", ".join(dict.fromkeys(whole + updated))
    base = opened.settings.base_name
    tied = against.tied if against is not None else tied_by_name(base)
    if not names or tied is False or "ensure_weight_tying" in opened.settings.others:
        return
    if tied is None:
        yield finding("tied_perhaps", names=names)
    else:
        yield finding("tied_whole" if whole else "tied", names=names, base=against.name if against else base)


def _labels(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    """A head for more or fewer labels than transformers builds unless it is told."""
    says = config_of(opened, against) or {}
    labels = len(says.get("id2label") or ()) or says.get("num_labels") or USUAL_LABELS
    heads = (one for one in opened.tensors if one.role == "whole" and not HEADS.isdisjoint(one.module.split(".")[-2:]))
    for head in heads:
        of_labels = head.module.rpartition(".")[2] in (*HEADS, "out_proj") and len(head.shape) == 2
        if of_labels and head.shape[0] != labels:
            held: dict[str, Any] = {"labels": head.shape[0], "s": "s" * (head.shape[0] != 1), "head": head.module}
            yield finding("labels_differ" if says else "labels_unusual", usual=labels, **held)


def _of_chat_template(opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Finding]:
    mine = talk_of(opened.place, against.place if against is not None else None)
    theirs = talk_of(against.place) if against is not None else Talk(None, None, "", {})
    speaks = mine if mine.template else theirs
    if speaks.ends is False:
        whose = "beside the adapter" if mine.template else "of the base"
        may_stop = speaks.ending and not speaks.stops_said
        yield (
            finding("eos_is_another", whose=whose, ending=speaks.ending)
            if may_stop
            else finding("eos_missing", whose=whose, eos=speaks.eos or "an EOS token")
        )
    if mine.template and theirs.template and mine.template != theirs.template:
        alike = bool(mine.text) and mine.text == theirs.text
        yield finding(
            "template_differs",
            "note" if alike else "look",
            base=against.name if against else "the base",
            alike=", though both write a plain question and answer alike" if alike else "",
        )
    if speaks.template and chatform.TOOLS.search(speaks.template):
        yield finding("ollama_tools", sentence=chatform.TOOL_CALLS)
    yield from _tokens(opened, mine, theirs, against)


def _tokens(opened: AdapterFolder, mine: Talk, theirs: Talk, against: AgainstBase | None) -> Iterator[Finding]:
    if other := next((n for n, word in sorted(mine.added.items()) if theirs.added.get(n, word) != word), None):
        yield finding("tokenizer_differs", token=other, mine=mine.added[other], theirs=theirs.added[other])
    rows = against.vocabulary if against else None
    if misfit := tokens_misfit(opened, rows):
        yield finding("tokens_misfit", misfit=misfit)
    if dropped := tokens_dropped(opened):
        yield finding("tokens_dropped", rows=dropped)
    if not isinstance(rows, int):
        return
    # Gemma 3's own tokenizer has one token more than its small models have rows
    beyond = [
        word for number, word in sorted(mine.added.items()) if number >= rows and theirs.added.get(number) != word
    ]
    if not beyond:
        return
    if any(one.role in ("embedding", "tokens") for one in opened.tensors):
        yield finding("added_tokens_saved", many=len(beyond), first=beyond[0])
    else:
        yield finding("added_tokens", "wrong" if theirs.added else "look", many=len(beyond), first=beyond[0])
