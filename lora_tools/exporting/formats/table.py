"""The table of formats: bits per weight counted from the files themselves, rows as text, written whole,
and read back."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_lessons.errors import first_line
from lora_lessons.files import whole_file, write_text
from lora_lessons.paths import measurements
from lora_lessons.sums import sha256

from .. import gguf

NUMBERS = (
    "bits_in_file",
    "bits_in_layers",
    "mb",
    "perplexity",
    "reference_perplexity",
    "tokens_per_second",
    "reference_tokens_per_second",
    "speed_ratio",
    "quantize_seconds",
)
SAID = NUMBERS[:-1]  # what a row that is ok says; how long a base took to quantize it may not
COLUMNS = ("format", "status", "tool", "version", *NUMBERS, "loader", "notes")
TABLE = "formats.csv"
MEASURED = ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "gguf-q4_0", "gptq", "awq", "hqq")
BASE_NOTE = (
    "The embedded base was rounded to Q4_1 (4 bits, blocks of 32) before it reached us: a grid like that one loses "
    "less here than on a 16-bit original. Each format's reference is the merged model in 16 bits, "
    "in the same program and run."
)


def safetensors_bits(folder: Path, merged: Path) -> tuple[float, float]:
    """Bits a weight of the model quantized in `folder`: of everything, and of its quantized layers alone.

    Counted from the tensors' bytes, scales and zero points included. `merged` is the 16-bit folder it was made from:
    its parameters are what the bytes are divided by, and its matrices in the blocks are the layers.
    """
    weights = {name: size // 2 for name, size in _bytes(merged).items()}  # 16 bits each
    layers = {name.removesuffix("weight"): n for name, n in weights.items() if name.endswith("_proj.weight")}
    here = _bytes(folder)
    quantized = sum(size for name, size in here.items() if name[: name.rfind(".") + 1] in layers)
    return 8 * sum(here.values()) / sum(weights.values()), 8 * quantized / sum(layers.values())


def _bytes(folder: Path) -> dict[str, int]:
    """Every tensor in the folder's safetensors, and its bytes."""
    sizes: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        sizes |= {n: t["data_offsets"][1] - t["data_offsets"][0] for n, t in header.items() if n != "__metadata__"}
    return sizes


def gguf_bits(file: Path) -> tuple[float, float, str]:
    """Bits a weight of a GGUF, of everything and of its blocks' matrices, and those matrices' types in words."""
    tensors = gguf.read(file).tensors
    blocks = [t for t in tensors if t.name.startswith("blk.") and t.name.endswith(".weight") and len(t.shape) == 2]
    types = Counter(t.tensor_type.name for t in blocks)
    every, layers = (
        8 * sum(int(t.n_bytes) for t in some) / sum(math.prod(map(int, t.shape)) for t in some)
        for some in (tensors, blocks)
    )
    return every, layers, ", ".join(f"{n} in {kind}" for kind, n in types.most_common())


def line(row: Mapping[str, Any]) -> str:
    """One row as text."""
    name = row["format"].upper().replace("GGUF-", "GGUF ")
    if row["status"] != "ok":
        return f"{name:<12} {row['status']}: {row['notes']}"
    return (
        f"{name:<12} {row['bits_in_layers']:5.2f} bits in the layers, {row['bits_in_file']:5.2f} in all, "
        f"{row['mb']:6.1f} MB, perplexity {row['perplexity']:6.2f} (16 bits: {row['reference_perplexity']:.2f}), "
        f"{row['tokens_per_second']:4.1f} tok/s ({row['speed_ratio']:.2f} times 16 bits in the same program); "
        f"{row['loader']}"
    )


def write(rows: Sequence[Mapping[str, Any]], table: Path, about: Mapping[str, Any]) -> None:
    """Write `rows` to `table` (CSV), and `about` and the table's SHA-256 beside it (JSON), each whole or not at all."""
    with whole_file(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows({name: _short(row.get(name)) for name in COLUMNS} for row in rows)
    write_text(
        table.with_suffix(".json"),
        json.dumps(dict(about) | {"table_sha256": sha256(table)}, indent=1, ensure_ascii=False) + "\n",
    )


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def read(table: Path) -> list[dict[str, Any]]:
    """The rows of a table that `write` wrote: numbers as floats, None where nothing was measured.

    Raises FileNotFoundError or ValueError with what to do.
    """
    if not table.is_file():
        raise FileNotFoundError(f"{table.name} does not exist: make it with `lora-lessons export formats`.")
    again = "restore it from git, or make it again."
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table.name} is no table of text ({first_line(error)}): {again}") from error
    if not rows or set(rows[0]) != set(COLUMNS):
        raise ValueError(f"{table.name} is no table of formats: {again}")
    for number, row in enumerate(rows, 2):
        try:
            row |= {name: float(row[name]) if row[name] else None for name in NUMBERS}
        except (TypeError, ValueError) as error:
            raise ValueError(f"{table.name}: row {number} is damaged: {again}") from error
        measured = [row[name] for name in NUMBERS if row[name] is not None]
        whole = row.keys() == set(COLUMNS) and None not in (row["format"], row["status"], row["notes"])
        if not whole or not all(map(math.isfinite, measured)) or (row["status"] == "ok" and None in map(row.get, SAID)):
            raise ValueError(f"{table.name}: row {number} is damaged: {again}")
    return rows


def recording() -> Path:
    """Where the recorded table lies; machine, date and versions stand beside it in .json."""
    return measurements() / "lesson_10_formats.csv"


def record(folder: Path) -> Path:
    """Copy the table and its .json from an export's folder to where the recorded ones lie; return that path.

    Raises ValueError when a format that can be measured here is missing: a part must not replace the whole.
    """
    rows = read(folder / TABLE)
    if missing := set(MEASURED) - {row["format"] for row in rows if row["status"] == "ok"}:
        raise ValueError(f"not recorded, since {', '.join(sorted(missing))} is missing: export all the formats.")
    write(rows, recording(), json.loads((folder / TABLE).with_suffix(".json").read_text(encoding="utf-8")))
    return recording()
