"""How a folder talks: its chat template, whether an answer ends, and the tokens that were added, as far as its files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ... import models
from ...errors import ModelError
from ...models.configs import stop_tokens

ASKED, ANSWERED = "What is 12 times 7?", "Eighty-four."


class Talk(NamedTuple):
    """How a folder talks, as far as its files say."""

    template: str | None
    # None where there is no template, or it cannot be tried
    ends: bool | None
    eos: str
    # the tokens that were added, by their number
    added: dict[int, str]


def talk_of(place: Path) -> Talk:
    """What the tokenizer's files in `place` say; a folder without any says nothing. Raises no error: unreadable is unsaid."""
    config = _json(place / "tokenizer_config.json")
    template = _template(place, config)
    ends, eos = _ends(place) if template and _has_tokenizer(place) else (None, "")
    return Talk(template, ends, eos, _added(place, config))


def _has_tokenizer(place: Path) -> bool:
    return any((place / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json"))


def _template(place: Path, config: dict[str, Any]) -> str | None:
    file = place / "chat_template.jinja"
    try:
        stated = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    except (OSError, ValueError):
        return None
    return stated.strip() if isinstance(stated, str) and stated.strip() else None


def _ends(place: Path) -> tuple[bool | None, str]:
    """Whether the template closes an answer with a token that ends generation, and the tokenizer's EOS."""
    try:
        tokenizer = models.load_tokenizer(place)
        turns = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
        text = models.rendered(tokenizer, turns, answer=False)
        stops = stop_tokens(place)
    except (ModelError, ValueError):
        return None, ""
    after = text.rpartition(ANSWERED)[2]
    words = {tokenizer.eos_token, *tokenizer.convert_ids_to_tokens(stops)}
    return any(isinstance(word, str) and word and word in after for word in words), str(tokenizer.eos_token or "")


def _added(place: Path, config: dict[str, Any]) -> dict[int, str]:
    added: dict[int, str] = {}
    decoder = config.get("added_tokens_decoder")
    for number, about in decoder.items() if isinstance(decoder, dict) else ():
        if str(number).isdecimal() and len(str(number)) < 10 and isinstance(about, dict):
            added[int(number)] = str(about.get("content"))
    listed = _json(place / "tokenizer.json").get("added_tokens")
    for about in listed if isinstance(listed, list) else ():
        if isinstance(about, dict) and isinstance(about.get("id"), int):
            added[about["id"]] = str(about.get("content"))
    return added


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
