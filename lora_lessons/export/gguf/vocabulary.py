"""A tokenizer in a GGUF: the same ids for the same text, the same chat template, an end that llama.cpp stops at.

llama.cpp splits text by rules of its own, which the file names ("pre"). A wrong name still answers, a little worse;
so the result is proven before anything large is written: see proof.py.
"""

from __future__ import annotations

import json
import re
from typing import Any

import gguf

from ... import models
from ...errors import ModelError
from .names import ELSEWHERE

# What a tokenizer.json's pre_tokenizer does before the merges → llama.cpp's name for it.
_ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITTERS = {
    ("gpt-2's words",): "gpt-2",
    ("single digits", "gpt-2's words"): "smollm",
    (_ENGLISH + r"\p{N}" + _REST,): "qwen2",
    (_ENGLISH + r"\p{N}{1,3}" + _REST,): "llama-bpe",
}


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Any, size: int) -> None:
    """Write the tokenizer's tokens, merges, special ids and chat template; `size` is the embedding's number of rows.

    Raises ModelError for a tokenizer whose rules llama.cpp is not known to have.
    """
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    model, added = made["model"], {t["id"]: t for t in made["added_tokens"]}
    if model["type"] != "BPE":
        raise ModelError(f"this tokenizer is of type {model['type']}, and BPE alone is written here: {ELSEWHERE}.")
    names = {i: text for text, i in model["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    sentencepiece = bool(model.get("byte_fallback"))
    tokens = [names.get(i, f"[PAD{i}]") for i in range(size)]
    kinds = [_kind(i, names, added, tokenizer.unk_token_id if sentencepiece else None) for i in range(size)]
    if max(names) >= size:
        raise ModelError(f"the tokenizer has ids up to {max(names)}, the model's embedding {size} rows: another base.")
    if sentencepiece:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores(_scores(tokens, model["merges"]))
        writer.add_add_space_prefix(len(tokenizer.tokenize("a")) == 1 and tokenizer.tokenize("a")[0].startswith("▁"))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(splitter(made["pre_tokenizer"]))
        writer.add_token_list(tokens)
        writer.add_token_merges(merges)
    writer.add_token_types(kinds)
    begins = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(begins) and begins[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(len(begins) > 1 and begins[-1] == tokenizer.eos_token_id)
    ids = {
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "eot": end_of_turn(tokenizer),
        "unk": tokenizer.unk_token_id,
        "pad": tokenizer.pad_token_id,
    }
    for name, token in ids.items():
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    if template := chat_template(tokenizer):
        writer.add_chat_template(template)


def _kind(i: int, names: dict[int, str], added: dict[int, Any], unknown: int | None) -> int:
    if i not in names:
        return gguf.TokenType.UNUSED
    if i == unknown:
        return gguf.TokenType.UNKNOWN
    if i in added:
        return gguf.TokenType.CONTROL if added[i]["special"] else gguf.TokenType.USER_DEFINED
    if unknown is not None and re.fullmatch(r"<0x[0-9A-F]{2}>", names[i]):
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL


def _scores(tokens: list[str], merges: list[Any]) -> list[float]:
    """sentencepiece joins the pair with the best score first: an earlier merge, a higher score."""
    rank: dict[str, int] = {}
    for i, pair in enumerate(merges):
        rank.setdefault("".join(pair.split(" ")) if isinstance(pair, str) else "".join(pair), i)
    return [-float(rank[token]) if token in rank else -1e9 for token in tokens]


def splitter(pre_tokenizer: dict[str, Any] | None) -> str:
    """llama.cpp's name for what tokenizer.json calls `pre_tokenizer`. Raises ModelError when it is none of SPLITTERS."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer] if pre_tokenizer else [])
    seen = []
    for step in steps:
        if step["type"] == "Digits" and step["individual_digits"]:
            seen.append("single digits")
        elif step["type"] == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
            seen.append(step["pattern"].get("Regex", "another rule"))
        elif step["type"] == "ByteLevel" and not step["add_prefix_space"]:
            seen += ["gpt-2's words"] * step["use_regex"]
        else:
            seen.append(f"another rule ({step['type']})")
    if tuple(seen) not in SPLITTERS:
        raise ModelError(
            f"the tokenizer splits text in a way that is not known here ({', '.join(seen) or 'not at all'}): {ELSEWHERE}."
        )
    return SPLITTERS[tuple(seen)]


def chat_template(tokenizer: Any) -> str | None:
    """The tokenizer's chat template as text; of several the one named default."""
    template = tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template


def end_of_turn(tokenizer: Any) -> int | None:
    """The special token that the chat template puts right after an answer; None where it puts none."""
    if not chat_template(tokenizer):
        return None
    talk = [{"role": "user", "content": "What is 12 × 7?"}, {"role": "assistant", "content": "Eighty-four."}]
    try:
        after = models.rendered(tokenizer, talk, answer=False).rpartition("Eighty-four.")[2]
    except ValueError:  # it refuses even this
        return None
    ids = tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids and ids[0] in tokenizer.all_special_ids + list(tokenizer.added_tokens_decoder) else None
