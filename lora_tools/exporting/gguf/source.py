"""The base model to export, as a Hugging Face folder: opened once, and proven once to read text as llama.cpp does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from lora_lessons import models
from lora_lessons.adapter import Adapter, read_adapter
from lora_lessons.errors import ModelError

from . import names, vocabulary

# How a base may be packed, as its name says it in small letters: all but bnb are written in large ones.
PACKED = re.compile(r"(?<![a-z])(bnb|gptq|awq|fp8|gguf|nvfp4|w[48]a\d+|mlx)(?![a-z])")
ACTIVATIONS = ("silu", "swish")  # llama.cpp's networks of these families have this one built in


@dataclass(frozen=True)
class SourceModel:
    """A base as the exporter sees it: nothing of its weights is in memory."""

    folder: Path  # or the .gguf file
    config: Any
    files: Mapping[str, Path]  # tensor → the file that holds it
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], Tensor]  # one tensor, in fp32

    @property
    def architecture(self) -> str:
        """Its name in llama.cpp."""
        return names.architecture(self.config.model_type)

    @property
    def vocabulary_size(self) -> int:
        """How many rows the embedding has."""
        return self.shapes["model.embed_tokens.weight"][0]

    @cached_property
    def tokenizer(self) -> Any:
        """The folder's tokenizer."""
        return models.load_tokenizer(self.folder)

    @cached_property
    def findings(self) -> list[str]:
        """What differs or may trip up between this base in transformers and in llama.cpp, in sentences.

        The proof runs when this is first asked for, and is kept: it writes a tiny model with the whole vocabulary and
        starts llama.cpp's server on it. Raises ModelError when llama.cpp's tokens are not the tokenizer's.
        """
        return [*self.short_window, *vocabulary.check(self.folder, self.tokenizer, self.vocabulary_size)]

    @property
    def short_window(self) -> list[str]:
        """A sentence where the base looks back less far than a text may be long, which llama.cpp does not do here."""
        window = getattr(self.config, "sliding_window", None)
        if not window or window >= self.config.max_position_embeddings:
            return []
        if not getattr(self.config, "use_sliding_window", True):
            return []
        return [
            f"This base looks back {window} tokens, llama.cpp over the whole text: past {window} tokens they differ."
        ]

    def gguf_name(self, name: str) -> str:
        """A tensor's name in llama.cpp. Raises ModelError for a tensor that it lacks."""
        return names.gguf_name(name, self.architecture, self.config.num_hidden_layers)

    def reordered(self, name: str, rows: Tensor) -> Tensor:
        """The `rows` of the tensor `name` (or of the B that changes it) in llama.cpp's order: see names.permuted."""
        heads = {"q_proj": self.config.num_attention_heads, "k_proj": self.config.num_key_value_heads}
        layer = name.rsplit(".", 2)[-2]
        if layer not in heads or not names.ARCHITECTURES[self.config.model_type][1]:
            return rows
        return names.permuted(rows, heads[layer])


def open_base(base: Path | str | SourceModel) -> SourceModel:
    """Look at a Hugging Face folder (config.json, safetensors) or a .gguf file;
    one that is open already comes back as it is.

    Raises ModelError for one that cannot be exported.
    """
    if isinstance(base, SourceModel):
        return base
    place = Path(base).absolute()
    source = _in_gguf(place) if place.suffix == ".gguf" and place.is_file() else _in_folder(place)
    if source.config.hidden_act not in ACTIVATIONS:
        raise ModelError(
            f"{place.name} has the activation {source.config.hidden_act!r}, and llama.cpp computes every "
            f"{source.config.model_type} with SiLU, so its answers would be wrong: use this model in Python."
        )
    if fault := _fault(source.config, source.shapes):
        raise ModelError(f"{place.name}: {fault}: fetch it again.")
    return source


def _in_gguf(file: Path) -> SourceModel:
    import torch

    from lora_lessons.models import tensor_by_tensor
    from lora_lessons.models.four_bit import Format
    from lora_lessons.models.gguf_header import read_header
    from lora_lessons.models.hub import one_sentence

    with one_sentence(str(file), local=True):
        header = read_header(file)
        names.architecture(header.fields["general.architecture"])
    model, source = tensor_by_tensor.open_gguf(file, header, Format("", torch.float32))
    return SourceModel(
        file,
        model.config,
        source.where,
        {name: tuple(source.read(name).shape) for name in source.where},
        lambda name: source.read(name).to("cpu", torch.float32),
    )


def _in_folder(folder: Path) -> SourceModel:
    from transformers import AutoConfig

    from lora_lessons.models.configs import read_config
    from lora_lessons.models.hub import one_sentence
    from lora_lessons.models.weights import read_tensor, shapes_in, weight_files

    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: give the base model's folder, as transformers saves it.")
    try:
        names.architecture(read_config(folder)["model_type"])
    except ModelError as error:
        raise ModelError(f"{folder.name}: {error}") from None
    with one_sentence(str(folder), local=True):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(f"{folder.name} is quantised already: give the 16-bit model that it was made from.")
    tensors = shapes_in(weight_files(folder))
    where = {name: path for name, (path, _) in tensors.items()}
    return SourceModel(
        folder,
        config,
        where,
        {name: shape for name, (_, shape) in tensors.items()},
        lambda name: read_tensor(where, name).float(),
    )


SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


def _fault(config: Any, shapes: dict[str, tuple[int, ...]]) -> str:
    """Where config.json says what cannot be, or something else than the weights' shapes; "" where they agree."""
    for name in (*SIZES, "max_position_embeddings"):
        if type(size := getattr(config, name, None)) is not int or not 0 < size < 2**31:
            return f"config.json says {name} = {size!r}"
    numbers = {"rms_norm_eps": config.rms_norm_eps, "rope_theta": (config.rope_parameters or {}).get("rope_theta")}
    if wrong := [name for name, value in numbers.items() if type(value) not in (int, float) or not 0 < value < 1e30]:
        return f"config.json says {wrong[0]} = {numbers[wrong[0]]!r}"
    width, size = (
        config.hidden_size,
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
    )
    block = "model.layers.0."
    expected = {
        block + "self_attn.q_proj.weight": (config.num_attention_heads * size, width),
        block + "self_attn.k_proj.weight": (config.num_key_value_heads * size, width),
        block + "mlp.up_proj.weight": (config.intermediate_size, width),
    }
    embedding = shapes.get("model.embed_tokens.weight", ())
    if len(embedding) != 2 or embedding[1] != width:
        return f"model.embed_tokens.weight has the shape {embedding}, and config.json says hidden_size = {width}"
    if wrong := [name for name, shape in expected.items() if shapes.get(name) != shape]:
        return f"{wrong[0]} has the shape {shapes.get(wrong[0], ())}, and by config.json it is {expected[wrong[0]]}"
    blocks = {name.split(".")[2] for name in shapes if name.startswith("model.layers.")}
    if blocks != {str(n) for n in range(config.num_hidden_layers)}:
        return f"it holds {len(blocks)} blocks, and config.json says num_hidden_layers = {config.num_hidden_layers}"
    return ""


def adapter_and_base(adapter_folder: Path | str, base: Path | str | None = None) -> tuple[Adapter, Path]:
    """The adapter in a folder, and its base's folder or .gguf file, by absolute paths;
    the adapter's name is its folder's.

    `base` is as in `named_base`. Raises FileNotFoundError, ModelError or ValueError with what to do.
    """
    adapter = read_adapter(Path(adapter_folder).resolve())
    return adapter, place_of(named_base(adapter, base))


def place_of(base: Path | str) -> Path:
    """Where a base lies that is to be exported, by its absolute path: its folder, or its .gguf file, which is fetched,
    if need be."""
    meant = models.which(base)
    place = models.fetched(meant.place) if meant.kind == "gguf" and meant.place else models.folder(base)
    return place.absolute()


def named_base(adapter: Adapter, base: Path | str | None = None) -> Path | str:
    """`base`: the embedded one, one of models.NAMED, a folder, a .gguf file or a hub id; None:
    the one that `adapter` names, or the embedded one, which is also meant by its original's name on the hub.

    What an adapter names is somebody else's word, so it starts no download: a hub id, or a base of NAMED that is not
    here, is fetched only when `base` names it. Raises ModelError with what to do.
    """
    named = adapter.base_name or models.EMBEDDED
    if base is not None:
        return base
    if named == models.EMBEDDED_HUB:
        return models.EMBEDDED
    meant = models.which(named)
    if meant.kind == "hub" and (packed := PACKED.search(named.lower())):
        whole = models.PUBLISHED.get(models.known(named))
        raise ModelError(
            f"the adapter {adapter.name} names its base as {named}, which is packed ({packed[0]}): give the 16-bit one "
            f"that it was made from{f', {whole.hub}' if whole else ''}, with --base (in Python, base=…)."
        )
    if meant.kind == "hub" or (meant.place and not meant.place.exists()):
        raise ModelError(
            f"the adapter {adapter.name} names its base as {named}, which would have to be fetched. Nothing is fetched "
            f"on an adapter's word: if you trust it, name it yourself (base={named!r}, or --base {named}), "
            "or give the folder that holds it."
        )
    return named
