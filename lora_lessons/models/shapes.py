"""Models whose sizes are public, by name: to plan, to count on the meta device,
or to fill with random weights in 4 bits.

shapes.toml states their sizes, with the public file of each. Three of them, all called 7B, are those of the lessons.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError
from . import hub
from .loading import keep_trainable
from .named import NAMED
from .precision import best_device, fast_dtype

if TYPE_CHECKING:
    import torch
    from torch import nn


class KnownModel(NamedTuple):
    """A model's sizes as public files state them."""

    hub: str  # its id there
    parameters: int  # the numbers that its published weights hold, each once
    besides: int  # those of them that are no parameters of what transformers builds
    source: tuple[str, ...]  # who says so
    config: dict[str, Any]  # in the words of the hub's config.json
    also: tuple[str, ...]  # models of the same sizes by another name


def _published() -> dict[str, KnownModel]:
    table = tomllib.loads((Path(__file__).parent / "shapes.toml").read_text(encoding="utf-8"))
    sources = table.pop("sources")
    return {
        name: KnownModel(
            row["hub"],
            row["parameters"],
            row.get("besides", 0),
            tuple(sources[source] for source in row["source"]),
            row["config"] | dict.fromkeys(row.get("none", ())),
            tuple(row.get("also", ())),
        )
        for name, row in table.items()
    }


PUBLISHED = _published()
SHAPES = {name: PUBLISHED[name].config for name in ("Llama-2-7B", "Mistral-7B", "Qwen2.5-7B")}
# Every config that needs no hub, by the name that means it; a base of NAMED by its own.
KNOWN = {name: one.config for name, one in PUBLISHED.items()} | {name: base.config for name, base in NAMED.items()}
# What a name says of how a model was tuned, which changes none of its sizes.
_TUNED = re.compile(r"(?<![a-z0-9])(?:instruct|chat|it|base|pt|hf|thinking|meta)(?![a-z0-9])")


def known(name: str) -> str:
    """The name in KNOWN that `name` means; "" where it is none.

    In another spelling (case, spaces, dashes, dots), of another tuning ("Llama-3.1-8B-Instruct"), as the hub has it, or
    as Unsloth mirrors it, packed or not ("unsloth/Qwen3-8B-unsloth-bnb-4bit").
    """
    owner, _, own = name.rpartition("/")
    if owner == "unsloth":
        owner, own = "", re.sub(r"(?:-unsloth)?-bnb-4bit$", "", own)
    for one in KNOWN:
        on_the_hub, also = (PUBLISHED[one].hub, PUBLISHED[one].also) if one in PUBLISHED else (one, ())
        hub_owner, _, theirs = on_the_hub.rpartition("/")
        if owner in ("", hub_owner) and _plain(own) in map(_plain, (one, theirs, *also)):
            return one
    return ""


@cache
def _told() -> list[dict[str, str]]:
    told = tomllib.loads(Path(__file__).with_name("not_planned.toml").read_text(encoding="utf-8"))["model"]
    return list(told)


def others_say(name: str) -> tuple[str, str]:
    """Why a plan of the model `name` is refused, and what others publish of its training, with the source and the day;
    "" where nothing is known."""
    one = next((one for one in _told() if re.search(one["names"], re.sub(r"[\s_]", "-", name.lower()))), None)
    if one is None:
        return "", ""
    return one["why"], f"{one['published']} ({', '.join(filter(None, (one['source'], 'read ' + one['read'])))})."


def nearest(name: str) -> list[str]:
    """A few names in KNOWN that `name` may mean, the nearest first."""
    said, plain = _plain(name), {_plain(one): one for one in KNOWN}
    # a tuning puts words of its own between the name and the size: Qwen3-Embedding-8B, DeepSeek-R1-0528-Qwen3-8B
    within = [one for one in KNOWN if _words(one) <= _words(name)]
    within = sorted(within, key=lambda one: (not any(map(_SIZE.fullmatch, _words(one))), -len(one)))
    begins = [one for short, one in plain.items() if said.startswith(short) or (said and short.startswith(said))]
    # others put their own words, or the maker's, around it: Qwen_Qwen3-14B-GGUF
    begins = begins or sorted(
        (one for short, one in plain.items() if len(short) >= 6 and short in said), key=len, reverse=True
    )
    close = difflib.get_close_matches(said, plain, n=2, cutoff=0.75)
    return list(dict.fromkeys([*within, *begins, *(plain[short] for short in close)]))[:6]


# As names say how many parameters there are: 8B, 0.5B, 270M
_SIZE = re.compile(r"\d+(?:\.\d+)?[bm]")


def _words(name: str) -> set[str]:
    return set(filter(None, re.split(r"[\s_/-]+", _TUNED.sub("", name.lower()))))


def fetch_config(hub_id: str) -> dict[str, Any]:
    """What a hub model's config.json says; raises ModelError as `hub.fetch_config` does,
    with the known names near to it."""
    try:
        return hub.fetch_config(hub_id)
    except ModelError as error:
        near = nearest(hub_id.rpartition("/")[2])
        if not near:
            raise
        raise type(error)(f"{error} Known without a hub, and near it by name: {', '.join(near)}.") from error


def _plain(name: str) -> str:
    return re.sub(r"[\s._-]", "", _TUNED.sub("", name.lower()))


def shape(name: str) -> nn.Module:
    """A 7B of SHAPES on the meta device: every shape, no weights, no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(_shape_config(name), trust_remote_code=False)


def _shape_config(name: str, **changed: Any) -> Any:
    from transformers import AutoConfig

    if name not in SHAPES:
        raise ValueError(f"no shape is named {name!r}: choose from {', '.join(SHAPES)}.")
    return AutoConfig.for_model(**SHAPES[name] | changed)


def random_base(
    name: str = "Qwen2.5-7B",
    precision: str = "nf4",
    device: str | None = None,
    compute_dtype: torch.dtype | None = None,
    seed: int = 0,
    **changed: Any,
) -> Any:
    """The architecture of SHAPES[name] with random weights in 4 bits: true memory and speed, no knowledge at all.

    `changed` replaces fields of its configuration, such as num_hidden_layers=2 for a quick look.
    Raises ValueError for an unknown shape or precision.
    """
    from .four_bit import Format
    from .random_weights import random_model

    device = device or best_device()
    form = Format(precision, compute_dtype or fast_dtype(device), device)
    return keep_trainable(random_model(_shape_config(name, **changed), form, seed))
