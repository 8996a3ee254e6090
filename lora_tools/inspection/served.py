"""Which architectures servers know at all: served.toml, asked with a base's config,
or with its name where there is none here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .architectures import architecture_of, base_in_name, class_in, class_of_text, config_of
from .reading import AdapterFolder
from .xray import AgainstBase, Answer, Loads

# What [named] calls a base that makes pictures, films or sounds.
DIFFUSION = "a diffusion model"
# What each does with a base that is not among those it names.
_OTHERS = {
    "vLLM": (
        "which it may serve by way of transformers: compare an answer with and without the adapter, or merge it first"
    ),
    "llama.cpp": "and stops, merged or not: use another program",
}


@cache
def _read() -> dict[str, Any]:
    said = tomllib.loads(Path(__file__).with_name("served.toml").read_text(encoding="utf-8"))
    words = {name: part for name, part in said.items() if name not in ("named", "ordinary")}
    return said | {
        name: {key: text if key == "behind" else frozenset(text.split()) for key, text in part.items()}
        for name, part in words.items()
    }


def layers(known: str) -> frozenset[str]:
    """The last names of layers that SGLang's adapters know ("sglang"),
    or of all that transformers' families have ("usual")."""
    said = _read()["layers"]
    names: frozenset[str] = said["sglang"] if known == "sglang" else said["sglang"] | said["usual"]
    return names


def by_list(runtime: str, opened: AdapterFolder, against: AgainstBase | None) -> Iterator[Answer]:
    """What the list of `runtime` says of the base's architecture; nothing where it names it, or nobody knows it."""
    if architecture_of(opened, against).family is not None:
        return
    name = architecture_named(opened, against)
    said = _read()[runtime]
    if runtime == "llama.cpp":
        name = class_of_text(config_of(opened, against) or {}) or name
    if not name or name in said["takes"] or name in said.get("wraps", ()):
        return
    if name == DIFFUSION:
        yield (
            "no",
            f"this base is {name} by its name, which makes no text: load the adapter with diffusers or ComfyUI",
            "",
        )
        return
    if name in said.get("refuses", ()):
        yield "no", f"it serves this base ({name}) and takes no adapter of it: merge it first", said["behind"]
        return
    loads: Loads = "unknown" if runtime == "vLLM" else "no"
    lists = "its list of models" if runtime == "vLLM" else "its converter"
    yield loads, f"{lists} has no {name[:60]}, {_OTHERS[runtime]}", said["behind"]


def if_served(opened: AdapterFolder, against: AgainstBase | None) -> str:
    """What stays open where the base's architecture is not known: words to put behind a yes; "" where it is."""
    said, name = _read(), architecture_named(opened, against)
    known = name in said["vLLM"]["takes"] or name in said["llama.cpp"]["takes"] or not opened.settings.base_name
    if known or architecture_of(opened, against).family is not None:
        return ""
    ordinary = not name and re.search(said["ordinary"]["names"], base_in_name(opened))
    return "" if ordinary else ", if it serves this base, which was not looked at"


def architecture_named(opened: AdapterFolder, against: AgainstBase | None) -> str:
    """The class that the base's config names, or that its name means; "" where neither says one."""
    config = config_of(opened, against)
    if config is not None:
        return class_in(config)
    last = base_in_name(opened)
    return next((name for pattern, name in _read()["named"].items() if re.search(pattern, last)), "")
