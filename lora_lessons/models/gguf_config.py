"""What a GGUF says of its model: config and tokenizer as transformers reads them, held against the file's own words."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, first_line
from .configs import check_sizes
from .gguf_header import Header, read_header

if TYPE_CHECKING:
    from torch import Tensor


def config_in_gguf(file: Path) -> dict[str, Any]:
    """What the header of a GGUF says of its model, in the words of config.json.

    Raises ModelError for a damaged file, one of several parts, and a model that transformers does not read from GGUF.
    """
    try:
        said: dict[str, Any] = config_of(file, read_header(file)).to_dict()
    except (ModelError, PermissionError):
        raise
    except Exception as error:  # a library that reads a damaged file fails in any way
        raise ModelError(
            f"{file.name} cannot be read as a GGUF ({first_line(error)}): fetch it again, or give the folder with "
            "config.json that it was made from."
        ) from error
    return said


def config_of(file: Path, header: Header) -> Any:
    """The config of the model in a GGUF as transformers reads it; where that reading leaves a size out,
    the tensors have it.

    Raises ModelError for one of several parts, for a mixture of experts that is read as none, and for a size that no
    model has; and whatever transformers raises for a file that it cannot read.
    """
    from transformers import AutoConfig

    if re.search(r"-\d{5}-of-\d{5}\.gguf$", file.name):
        raise ModelError(
            f"{file.name} is one part of a GGUF, and the whole is needed: join the parts (llama-gguf-split --merge), "
            "or give the folder that it was made from."
        )
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    sizes = {name: one.sizes for name, one in header.tensors.items()}
    if "token_embd.weight" in sizes:
        config.vocab_size = sizes["token_embd.weight"][1]
    if "blk.0.attn_q.weight" in sizes and hasattr(config, "head_dim"):
        config.head_dim = sizes["blk.0.attn_q.weight"][1] // config.num_attention_heads
    if "blk.0.attn_q.bias" in sizes and hasattr(config, "attention_bias"):
        config.attention_bias = True
    if stops := _stops(header.fields):
        config.eos_token_id = stops[0] if len(stops) == 1 else stops
    if any("_exps." in name for name in sizes) and not any("experts" in name for name in config.to_dict()):
        raise ModelError(
            f"{file.name} is a mixture of experts, which transformers reads from this GGUF as if it were none: give "
            "the folder with config.json that it was made from."
        )
    check_sizes(config.to_dict(), file.name)
    return config


def _stops(fields: Mapping[str, Any]) -> list[int]:
    """The ids of the tokens that end an answer: that of the text, and that of a turn where it is another."""
    ids = [fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot")]
    return list(dict.fromkeys(one for one in ids if isinstance(one, int)))


# What Llama 3.1, 3.2 and 3.3 were published with, but for the factor (8 or 32), which the file's divisors go up to.
LLAMA_3 = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def stretch_rotary(config: Any, file: Path, header: Header, factors: Tensor | None) -> None:
    """Put into `config` how far the rotary embeddings are stretched, which transformers does not read from a GGUF.

    `factors` are the divisors of the frequencies that Llama 3's files hold (`rope_freqs.weight`). Raises ModelError for
    a way to stretch them that is not known here: without it the model's answers to long texts would be wrong.
    """
    architecture = header.fields["general.architecture"]
    kind = header.fields.get(f"{architecture}.rope.scaling.type", "none")
    factor = header.fields.get(f"{architecture}.rope.scaling.factor", 1.0)
    rope = dict(config.rope_parameters)
    if factors is not None:
        config.rope_parameters = rope | LLAMA_3 | {"factor": float(factors.max())}
        if kind == "none" and _are_llama_3s(config, factors):
            return
    elif kind == "linear" and factor > 0:
        config.rope_parameters = rope | {"rope_type": "linear", "factor": float(factor)}
        return
    elif kind == "none":
        return
    told = kind if factors is None else "rope_freqs.weight, and not Llama 3's"
    raise ModelError(
        f"{file.name} stretches its rotary embeddings in a way that is not read from a GGUF here ({told}): give the "
        "folder with config.json and safetensors that it was made from."
    )


def _are_llama_3s(config: Any, factors: Tensor) -> bool:
    """Whether transformers computes the same divisors from what `config` says now."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    if factors.shape != plain.shape or not math.isfinite(config.rope_parameters["factor"]):
        return False
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    return torch.allclose(plain / factors, stretched, rtol=1e-4)


def correct(tokenizer: Any, header: Header) -> None:
    """Make `tokenizer` say what its GGUF says: special tokens, chat template, beginning, words, and no token more.

    Which of transformers' tokenizer classes get which of them wrong differs from release to release.
    """
    fields, embedding = header.fields, header.tensors.get("token_embd.weight")
    if embedding and len(tokenizer) > embedding.sizes[1]:
        _take_out(tokenizer, embedding.sizes[1])
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    for ours, theirs in names.items():
        number = fields.get(f"tokenizer.ggml.{theirs}_token_id")
        if number is not None and getattr(tokenizer, f"{ours}_token_id") != number:
            setattr(tokenizer, f"{ours}_token", tokenizer.convert_ids_to_tokens(number))
    if template := fields.get("tokenizer.chat_template"):
        tokenizer.chat_template = template
    for ours in ("add_bos_token", "add_eos_token"):
        adds = fields.get(f"tokenizer.ggml.{ours}")
        if adds is not None and getattr(tokenizer, ours, None) != adds:
            setattr(tokenizer, ours, adds)
    _correct_splitter(tokenizer, fields)


def _take_out(tokenizer: Any, rows: int) -> None:
    """Take out the tokens past the embedding's `rows`:
    transformers adds an <|endoftext|> of its own to some vocabularies."""
    from tokenizers import Tokenizer

    made = json.loads(tokenizer.backend_tokenizer.to_str())
    made["added_tokens"] = [token for token in made["added_tokens"] if token["id"] < rows]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(made))


def _correct_splitter(tokenizer: Any, fields: Mapping[str, Any]) -> None:
    """Cut words as the GGUF says: of a way that it does not know, transformers makes GPT-2's without a word."""
    from tokenizers import pre_tokenizers

    said = fields.get("tokenizer.ggml.pre", "default")
    if fields.get("tokenizer.ggml.model") != "gpt2" or said in ("default", "gpt-2"):
        return
    if not isinstance(tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        return
    if said == "smollm":  # each digit by itself, and then GPT-2's words
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    else:
        print(
            f"transformers does not know how this GGUF cuts text into words ({said}) and cuts as GPT-2 did: the model "
            "may answer worse. Give the folder with tokenizer.json that it was made from.",
            file=sys.stderr,
        )
