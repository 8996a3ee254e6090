"""A tokenizer in a GGUF, and the proof that llama.cpp reads its texts as transformers does, made on a tiny model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from lora_lessons import llamacpp, models
from lora_lessons.errors import ModelError, holding
from lora_lessons.files import scratch
from lora_lessons.models.configs import stop_tokens

from .file import describe
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
    sentencepiece = bool(model.get("byte_fallback"))
    tokens = [names.get(i, f"[PAD{i}]") for i in range(size)]
    if max(names) >= size:
        raise ModelError(f"the tokenizer has ids up to {max(names)}, the model's embedding {size} rows: another base.")
    if sentencepiece:
        describe(
            writer,
            tokenizer_model="llama",
            tokenizer_pre="default",
            token_list=tokens,
            token_scores=_scores(tokens, model["merges"]),
            add_space_prefix=len(tokenizer.tokenize("a")) == 1 and tokenizer.tokenize("a")[0].startswith("▁"),
        )
    else:
        describe(
            writer,
            tokenizer_model="gpt2",
            tokenizer_pre=splitter(made["pre_tokenizer"]),
            token_list=tokens,
            token_merges=[pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]],
        )
    begins = tokenizer("a")["input_ids"]
    describe(
        writer,
        token_types=[_kind(i, names, added, tokenizer.unk_token_id if sentencepiece else None) for i in range(size)],
        add_bos_token=bool(begins) and begins[0] == tokenizer.bos_token_id,
        add_eos_token=len(begins) > 1 and begins[-1] == tokenizer.eos_token_id,
    )
    named = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "eot_token_id": end_of_turn(tokenizer),
        "unk_token_id": tokenizer.unk_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "chat_template": chat_template(tokenizer) or None,
    }
    describe(writer, **{name: value for name, value in named.items() if value is not None})


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
    """llama.cpp's name for what tokenizer.json calls `pre_tokenizer`.
    Raises ModelError when it is none of SPLITTERS."""
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
            f"the tokenizer splits text in a way that is not known here ({', '.join(seen) or 'not at all'}): "
            f"{ELSEWHERE}."
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


PROBES = (
    "Hello, world!",
    " two  spaces   three",
    "I'll say it's THEIRS, don't we've",
    "In 1984, 3.14159 and 1,000,000",
    "line\nline\n\n  indented\tand tabbed\r\nend ",
    "def f(x):\n    return x ** 2  # a square\n",
    "naïve façade, Ärger, œuvre",
    "Привет, как дела?",
    "你好，世界。今天天气很好",
    "こんにちは 안녕하세요",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "🙂 👩‍🔬 🇫🇷 ½ ™",
    "a_b-c/d\\e @x #y $z 100% (ok) [ok] {ok} <ok>",
    "https://example.org/?q=1&r=2",
    "…—“quoted” ‘so’",
    "x" * 70,
    "\n 7\n  42 \n\n 9",
    '{"name": "Ada", "age": 36, "tags": [1, 2, 3]}',
    "ALLCAPS camelCase snake_case",
    "",
)
TALKS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "What is 12 × 7?"}],
    [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Name a colour."}],
    [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi! How can I help?"},
        {"role": "user", "content": "Bye"},
    ],
)


def check_tokens(server: llamacpp.Server, tokenizer: Any) -> int:
    """Compare llama.cpp's tokens with the tokenizer's for PROBES and rendered TALKS; return how many texts agreed.

    Raises ModelError naming the first text that differs.
    """
    plain = [(text, tokenizer(text)["input_ids"], True) for text in PROBES]
    talks = [(text, tokenizer(text, add_special_tokens=False)["input_ids"], False) for text in _rendered(tokenizer)]
    for text, expected, special in plain + talks:
        if (tokens := server.tokens(text, special=special)) != expected:
            raise ModelError(
                f"llama.cpp reads {text!r} as tokens {_short(tokens)}, transformers as {_short(expected)}. The GGUF "
                f"would answer worse than the model; nothing was written: {ELSEWHERE}."
            )
    return len(plain + talks)


def _short(ids: list[int]) -> str:
    return f"{ids[:12]}{' …' if len(ids) > 12 else ''}"


def _rendered(tokenizer: Any) -> Iterator[str]:
    for talk in TALKS if chat_template(tokenizer) else ():
        try:
            yield tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        except Exception:  # a template may refuse a system message, by raise_exception
            continue


def check(base: Path, tokenizer: Any, size: int) -> list[str]:
    """What a learner should know before using the folder `base` in llama.cpp, as sentences; none when all is well.

    A model of one tiny block with the whole vocabulary of `size` tokens is written and asked, so that a 7B is not
    written in vain. Raises ModelError when its tokens are not the tokenizer's.
    """
    with scratch("probe") as folder:
        probe = tiny_model(tokenizer, size, folder / "probe.gguf")
        with llamacpp.serve(probe) as server:
            check_tokens(server, tokenizer)
            return [*_about_template(server, tokenizer), *_about_the_end(base, tokenizer)]


def _about_template(server: llamacpp.Server, tokenizer: Any) -> Iterator[str]:
    if not chat_template(tokenizer):
        yield "The tokenizer has no chat template: llama.cpp will use ChatML, which the model may never have seen."
        return
    for talk in TALKS:
        try:
            expected = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        except Exception as error:
            yield f"The chat template refuses a conversation of {'/'.join(m['role'] for m in talk)} ({error})."
            continue
        rendered = server.render(talk)
        begin = tokenizer.bos_token or ""  # llama.cpp adds it to the tokens, and leaves it out of the text
        if rendered.removeprefix(begin) != expected.removeprefix(begin):
            yield (
                f"llama.cpp renders the chat template differently: {rendered!r} in place of {expected!r}. "
                "Send it the text that apply_chat_template made, to /completion."
            )
            return


def _about_the_end(base: Path, tokenizer: Any) -> list[str]:
    eos, turn = tokenizer.eos_token_id, end_of_turn(tokenizer)
    stops = stop_tokens(base)
    others = [] if turn in (None, *stops) else stops

    def name(token: int | None) -> str:
        return "not set" if token is None else repr(tokenizer.convert_ids_to_tokens(token))

    return holding(
        (
            eos is None and turn is None,
            (
                "The tokenizer names no EOS token: llama.cpp will not know when to stop. "
                "Set tokenizer.eos_token and save it."
            ),
        ),
        (
            chat_template(tokenizer) and turn is None,
            "The chat template puts no end token after an answer: the model is not taught where to stop.",
        ),
        (
            turn not in (None, eos),
            f"The chat template ends an answer with {name(turn)}, and EOS is {name(eos)}: "
            f"{name(turn)} is written as the end of a turn, so that llama.cpp stops there.",
        ),
        (
            others,
            f"The base's configuration stops at {', '.join(map(name, others))}, the chat template ends an answer with "
            f"{name(turn)}: generate() in Python will run on where llama.cpp stops.",
        ),
        (
            eos is not None and tokenizer.pad_token_id == eos,
            f"{name(eos)} pads and ends: training code that masks padding hides the end from the model. "
            "If the adapter never stops, look there.",
        ),
    )


def tiny_model(tokenizer: Any, size: int, out: Path) -> Path:
    """One Llama block 32 wide, all zeros, with the whole vocabulary: loads at once."""
    writer = gguf.GGUFWriter(out, "llama")
    describe(
        writer,
        block_count=1,
        context_length=256,
        embedding_length=32,
        feed_forward_length=32,
        head_count=1,
        head_count_kv=1,
        layer_norm_rms_eps=1e-5,
        vocab_size=size,
    )
    add_vocabulary(writer, tokenizer, size)
    square = np.zeros((32, 32), np.float32)
    writer.add_tensor("token_embd.weight", np.zeros((size, 32), np.float16))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", square[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out
