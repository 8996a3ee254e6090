"""How a folder talks: its chat template, whether an answer ends, and the tokens that were added,
as far as its files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models.configs import stop_tokens

ASKED, ANSWERED = "What is 12 times 7?", "Eighty-four."


class Talk(NamedTuple):
    """How a folder talks, as far as its files say."""

    template: str | None
    # Whether an answer ends with a token that stops generation; None where there is no template, or it cannot be tried
    ends: bool | None
    eos: str
    # the tokens that were added, by their number
    added: dict[int, str]
    # the token of its own that the template ends an answer with, whether a configuration names those that stop,
    # and a whole talk
    ending: str = ""
    stops_said: bool = False
    text: str = ""


def talk_of(place: Path, base: Path | None = None) -> Talk:
    """What the tokenizer's files in `place` say, and those of its `base` on what stops;
    a folder without any says nothing.

    Raises no error: unreadable is unsaid.
    """
    config = _json(place / "tokenizer_config.json")
    talk = Talk(_template(place, config), None, "", _added(place, config))
    known = any((place / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json"))
    return _tried(talk, place, base or place) if talk.template and known else talk


def _template(place: Path, config: dict[str, Any]) -> str | None:
    file = place / "chat_template.jinja"
    try:
        stated = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    except (OSError, ValueError):
        return None
    return stated.strip() if isinstance(stated, str) and stated.strip() else None


def _tried(talk: Talk, place: Path, base: Path) -> Talk:
    """The same with what the template writes, and whether it closes an answer with a token that ends generation."""
    try:
        tokenizer = models.load_tokenizer(place)
        text = models.rendered(
            tokenizer, [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}], answer=False
        )
        stops = {*stop_tokens(place), *stop_tokens(base)}
    except (ModelError, ValueError):
        return talk
    after = text.rpartition(ANSWERED)[2]
    words = {tokenizer.eos_token, *tokenizer.convert_ids_to_tokens(list(stops))}
    return talk._replace(
        ends=any(isinstance(word, str) and word and word in after for word in words),
        eos=str(tokenizer.eos_token or ""),
        ending=next((word for word in talk.added.values() if word and word in after), ""),
        stops_said=any((one / "generation_config.json").is_file() for one in (place, base)),
        text=text,
    )


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
