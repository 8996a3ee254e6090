"""The base model to export, as a Hugging Face folder: opened once, and proven once to read text as llama.cpp does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ... import models
from ...adapter import Adapter, read_adapter
from ...errors import ModelError
from . import names, proof

ACTIVATIONS = ("silu", "swish")  # llama.cpp's networks of these families have this one built in


@dataclass(frozen=True)
class SourceModel:
    """A Hugging Face folder as the exporter sees it: nothing of its weights is in memory."""

    folder: Path
    config: Any
    files: dict[str, Path]  # tensor → the safetensors file that holds it
    shapes: dict[str, tuple[int, ...]]

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
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)

    @cached_property
    def findings(self) -> list[str]:
        """What differs or may trip up between this base in transformers and in llama.cpp, in sentences.

        The proof runs when this is first asked for, and is kept: it writes a tiny model with the whole vocabulary and
        starts llama.cpp's server on it. Raises ModelError when llama.cpp's tokens are not the tokenizer's.
        """
        return [*self.short_window, *proof.check(self.folder, self.tokenizer, self.vocabulary_size)]

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
    """Look at a Hugging Face folder (config.json, safetensors); one that is open already comes back as it is.

    Raises ModelError for one that cannot be exported.
    """
    from transformers import AutoConfig

    from ...models.safetensors_files import weight_files

    if isinstance(base, SourceModel):
        return base
    folder = Path(base).absolute()
    if not (folder / "config.json").is_file():
        raise ModelError(f"{base} has no config.json: give the base model's folder, as transformers saves it.")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    try:
        names.architecture(config.model_type)
    except ModelError as error:
        raise ModelError(f"{folder.name}: {error}") from None
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(f"{folder.name} is quantised already: give the 16-bit model that it was made from.")
    if config.hidden_act not in ACTIVATIONS:
        raise ModelError(
            f"{folder.name} has the activation {config.hidden_act!r}, and llama.cpp computes every {config.model_type} "
            "with SiLU, so its answers would be wrong: use this model in Python."
        )
    files, shapes = {}, {}
    for path in weight_files(folder):
        with safe_open(path, "pt") as file:
            for name in list(file.keys()):
                files[name], shapes[name] = path, tuple(file.get_slice(name).get_shape())
    return SourceModel(folder, config, files, shapes)


def adapter_and_base(adapter_folder: Path | str, base: Path | str | None = None) -> tuple[Adapter, Path]:
    """The adapter in a folder, and the folder of its base, both by absolute paths; the adapter's name is its folder's.

    `base` is the embedded one, a folder or a hub id; None: the one that the adapter names, or the embedded one. What an
    adapter names is somebody else's word, so it starts no download: a hub id is fetched only when `base` names it.
    Raises FileNotFoundError, ModelError or ValueError with what to do.
    """
    adapter = read_adapter(Path(adapter_folder).resolve())
    named = adapter.base_name or models.EMBEDDED
    if base is None and models.which(named).kind == "hub":
        raise ModelError(
            f"the adapter {adapter.name} names its base as {named}, a model of the hub. Nothing is fetched on an adapter's "
            f"word: if you trust it, name it yourself (base={named!r}, or --base {named}), or give the folder that holds it."
        )
    return adapter, models.folder(base or named).absolute()


def findings(base: Path | str | SourceModel, tokenizer: Any = None) -> list[str]:
    """What differs or may trip up between this base in transformers and in llama.cpp: template, EOS, attention window.

    With a `tokenizer` of your own instead of the folder's. Raises ModelError when llama.cpp's tokens are not its tokens.
    """
    source = open_base(base)
    if tokenizer is None:
        return source.findings
    return [*source.short_window, *proof.check(source.folder, tokenizer, source.vocabulary_size)]
