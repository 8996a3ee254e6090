"""A model's config, in config.json or in a GGUF, looked at before a library builds anything of it.

Sizes that no model has would fill the memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError, first_line
from ..files import check_readable
from .gguf_header import check_header

# No model that transformers knows has more of any: the largest have 126 blocks, 512 experts and 262,144 tokens.
MOST_BLOCKS, MOST_EXPERTS, LARGEST = 1_000, 10_000, 2**31
# How configs of different families call the number of their blocks.
BLOCKS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers")
# What every model has at least one of, where its config names it at all; other numbers may be 0, such as a count of experts.
AT_LEAST_ONE = (
    *BLOCKS,
    "hidden_size",
    "d_model",
    "n_embd",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "n_head",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
)


def read_config(folder: Path) -> dict[str, Any]:
    """What `folder`/config.json says. Raises ModelError where it is damaged, or has sizes that no model has.

    And PermissionError where this user may not read it, or what lies beside it.
    """
    file = folder / "config.json"
    check_readable(folder)
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(said, dict) or not isinstance(said.get("model_type"), str):
        raise ModelError(f"{file} could not be read (it names no model_type): fetch it again.")
    stop_tokens(folder)
    check_sizes(said, str(file))
    return said


def stop_tokens(folder: Path) -> list[int]:
    """The ids of the tokens that end an answer, by `folder`/generation_config.json; [] where it names none.

    Raises ModelError where that file is damaged, or names what is no token's id.
    """
    file = folder / "generation_config.json"
    if not file.is_file():
        return []
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(said, dict):
        raise ModelError(f"{file} could not be read (it holds no settings by name): fetch it again.")
    given = said.get("eos_token_id")
    stops = given if isinstance(given, list) else [] if given is None else [given]
    for stop in stops:
        if type(stop) is not int or not 0 <= stop < LARGEST:
            raise ModelError(
                f"{file} says eos_token_id = {repr(stop)[:40]}, which is no token's id: give the id of the token that "
                "ends an answer, or take the line out."
            )
    return stops


def config_in_gguf(file: Path) -> dict[str, Any]:
    """What the header of a GGUF says of its model, in the words of config.json, as transformers reads them.

    Where that reading leaves a size out, the tensors have it. Raises ModelError for a damaged file, one of several parts,
    and a model that transformers does not read from GGUF.
    """
    from transformers import AutoConfig

    if re.search(r"-\d{5}-of-\d{5}\.gguf$", file.name):
        raise ModelError(
            f"{file.name} is one part of a GGUF, and a plan needs the whole: join the parts (llama-gguf-split --merge), "
            "or give the folder that it was made from."
        )
    try:
        shapes = check_header(file)
        said = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False).to_dict()
        if "token_embd.weight" in shapes:
            said["vocab_size"] = shapes["token_embd.weight"][1]
        if "blk.0.attn_q.weight" in shapes and "head_dim" in said:
            said["head_dim"] = shapes["blk.0.attn_q.weight"][1] // said["num_attention_heads"]
    except Exception as error:  # a library that reads a damaged file fails in any way
        raise ModelError(
            f"{file.name} cannot be read as a GGUF ({first_line(error)}): fetch it again, or give the folder with "
            "config.json that it was made from."
        ) from error
    if any("_exps." in name for name in shapes) and not any("experts" in name for name in said):
        raise ModelError(
            f"{file.name} is a mixture of experts, which transformers reads from this GGUF as if it were none: give the "
            "folder with config.json that it was made from."
        )
    return said


def check_sizes(said: Mapping[str, Any], source: str) -> None:
    """Raise ModelError, naming the first size in the config `said` that no model has."""
    for name, size in _sizes(said):
        most = MOST_BLOCKS if name in BLOCKS else MOST_EXPERTS if "experts" in name else LARGEST
        if name in AT_LEAST_ONE and (isinstance(size, bool | float) or size < 1):
            raise ModelError(
                f"{source} says {name} = {_shown(size)}, and that is a whole number of at least 1: fetch it again."
            )
        if abs(size) > most:
            raise ModelError(
                f"{source} says {name} = {_shown(size)}, and no model has more than {most:,}: fetch it again."
            )


def _shown(size: float) -> str:
    if isinstance(size, bool | float):
        return str(size)
    return f"{size:,}" if abs(size) < 10**18 else "a number of more than 18 digits"


def _sizes(said: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every whole number in a config with the name it stands under, and what should be one."""
    if isinstance(said, Mapping):
        for key, value in said.items():
            yield from _sizes(value, str(key))
    elif isinstance(said, list):
        for value in said:
            yield from _sizes(value, name)
    elif name in AT_LEAST_ONE and isinstance(said, int | float) or isinstance(said, int) and not isinstance(said, bool):
        yield name, said
