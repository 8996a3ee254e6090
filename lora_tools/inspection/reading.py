"""An adapter's folder, whatever PEFT put into it: the configuration, and what tensor lies where.
No number is read yet."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_lessons import models
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Numbers
from lora_lessons.errors import first_line
from lora_lessons.files import check_readable
from lora_lessons.paths import expanded
from lora_lessons.sums import SUMS, damaged

from .settings import AdapterSettings, read_settings

PREFIX = "base_model.model."
# What mlx-lm calls its weights, and how its names of A and B end:
# both lie the other way round there (ml-explore/mlx-lm#1119).
MLX_WEIGHTS, MLX_ENDS = "adapters.safetensors", (".lora_a", ".lora_b")
PICKLES = ("adapter_model.bin", "adapter_model.pt", "pytorch_model.bin")
# What Tinker calls a head, and experts (thinking-machines-lab/tinker-cookbook#193, #548): no base of transformers does.
TINKERS = re.compile(r"\.(unembed_tokens|experts\.w[123])\.lora_[AB]\b")
# Parts of LoRA by other programs' names: NeMo Automodel's experts (NVIDIA-NeMo/Automodel#1814), kohya's and diffusers'.
OTHERS_LORA = re.compile(r"(^|[._])lora[._](?!embedding_|magnitude_|diag)|\.(hada|lokr)_\w+$")
# How files are called that are no part of an adapter: its own in other formats, a whole model's,
# and what a trainer resumes from.
NO_PART = (
    *(
        "adapter_model",
        "adapters.",
        "model",
        "pytorch_model",
        "consolidated",
        "training_args",
        "optimizer",
        "scheduler",
    ),
    *("scaler", "rng_state", "lr_scheduler", "grad_scaler", "recipe_state", "dataloader"),
)
# How adapters of models that make pictures begin their names, in diffusers' layout and kohya's.
OF_PICTURES = ("transformer.", "unet.", "text_encoder", "lora_unet_", "lora_te", "lora_transformer_", "diffusion_model")
# What torch.compile, FSDP and checkpointing write into the names of a model that they wrap.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Why a file may hold names alone, or nothing (trl#4416 of 2026-07-07, peft#2450).
OF_ZERO_3 = (
    "DeepSpeed's ZeRO-3, for one, leaves such a file where the numbers were not gathered before they were saved: "
    "transformers 5 gathers them, and before it stage3_gather_16bit_weights_on_model_save: "
    "true in DeepSpeed's configuration does."
)
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
# What A and B are read from here; llama.cpp and PEFT take these, too.
FLOATS = ("F64", "F32", "F16", "BF16")

# How PEFT ends the names of what it saves; a name in front of .weight is an adapter's, which PEFT itself leaves out.
_AB = re.compile(r"\.lora_(?P<embedding>embedding_)?(?P<part>[AB])(?:\.(?P<named>(?!weight$)[^.]+))?(?:\.weight)?$")
_ROLES = (
    ("magnitude", re.compile(r"\.lora_magnitude_vector(\.weight)?$")),
    ("bias", re.compile(r"(\.lora_B)?\.bias$")),
    ("diagonal", re.compile(r"\.lora_diag(\.\w+)?$")),
    ("tokens", re.compile(r"trainable_tokens_delta(\.\w+)?$")),
    (
        "embedding",
        re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embeddings?|lm_head|embed_out)(\.base_layer)?\.weight$"),
    ),
)


class Stored(NamedTuple):
    """One tensor of the file: its key, what it is for, and what it takes."""

    key: str
    # "A", "B", "magnitude", "bias", "diagonal" (of KaSA), "tokens", "embedding" (one saved whole)
    # or "whole" (any other)
    role: str
    # The module that it belongs to, without PEFT's prefix.
    module: str
    shape: tuple[int, ...]
    dtype: str
    on_embedding: bool = False
    # The adapter's name in the key, as a state_dict has it and a file of PEFT's has not.
    named: str = ""

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it takes in the file."""
        return self.numbers * SIZES.get(self.dtype, 4)


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter's folder that was opened."""

    place: Path
    settings: AdapterSettings
    tensors: tuple[Stored, ...]

    @property
    def file(self) -> Path:
        """The weights' file."""
        return self.place / ADAPTER_WEIGHTS

    def pairs(self) -> Iterator[tuple[str, Stored | None, Stored | None]]:
        """(module, A, B) of every module that has either, in the file's order."""
        by_module: dict[str, dict[str, Stored]] = {}
        for one in self.tensors:
            if one.role in ("A", "B"):
                by_module.setdefault(one.module, {})[one.role] = one
        for module, parts in by_module.items():
            yield module, parts.get("A"), parts.get("B")

    @cached_property
    def empty(self) -> list[Stored]:
        """The tensors that are there by name and hold no number, as ZeRO-3 leaves those that it did not gather."""
        return [one for one in self.tensors if not one.numbers]

    @cached_property
    def misshapen(self) -> dict[str, str]:
        """The modules whose A and B are no two matrices that can be multiplied, and both shapes in words."""
        pairs = ((module, A, B) for module, A, B in self.pairs() if A and B and A.numbers and B.numbers)
        return {
            module: f"A is {_shape(A)} and B {_shape(B)}"
            for module, A, B in pairs
            if not _multiply(A, B, self.settings.blocks_of(module, "A"), self.settings.blocks_of(module, "B"))
        }

    def read(self, one: Stored) -> Tensor:
        """The numbers of one tensor. Raises ValueError where the file is damaged."""
        try:
            return self._numbers.read(one.key)
        except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(self.file, error) from error

    def factors(self, module: str, A: Stored, B: Stored) -> tuple[Tensor, Tensor]:
        """A and B of a module as they are multiplied: BD-LoRA's blocks on their diagonal,
        KaSA's scale of each row in A.

        Raises ValueError where the file is damaged.
        """
        wide, tall = self.read(A), self.read(B)
        if (blocks := self.settings.blocks_of(module, "A")) > 1:
            wide = torch.block_diag(*wide.chunk(blocks))
        if (blocks := self.settings.blocks_of(module, "B")) > 1:
            tall = torch.block_diag(*tall.chunk(blocks))
        diagonal = self._diagonals.get(module)
        if diagonal is not None and diagonal.shape == A.shape[:1]:
            wide = self.read(diagonal).unsqueeze(1) * wide
        return wide, tall

    @cached_property
    def _numbers(self) -> Numbers:
        """The file, whose header is read once: that takes as long as it has many tensors."""
        return Numbers(self.file)

    @cached_property
    def _diagonals(self) -> dict[str, Stored]:
        return {one.module: one for one in self.tensors if one.role == "diagonal"}

    def is_finite(self, one: Stored) -> bool:
        """Whether a tensor holds neither NaN nor infinity."""
        return bool(self.read(one).isfinite().all())


def open_adapter(adapter: Path | str) -> AdapterFolder:
    """Open the adapter in a folder, or of a hub id, which is fetched without a base.

    Raises FileNotFoundError, ValueError or ModelError with what to do; a pickle is refused.
    """
    place = _place(adapter)
    if missing := [name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if not (place / name).is_file()]:
        if (place / MLX_WEIGHTS).is_file():
            raise ValueError(_of_mlx(place / MLX_WEIGHTS))
        raise FileNotFoundError(
            f"no {ADAPTER_CONFIG} in {place}: {_where_else(place)}."
            if missing[0] == ADAPTER_CONFIG
            else _without_weights(place)
        )
    check_readable(place)
    if wrong := damaged(place.resolve().parent, f"{place.resolve().name}/"):
        raise ValueError(f"{place.parent / wrong[0]} is not the file that {SUMS} beside it names: get it again.")
    return AdapterFolder(place, read_settings(place / ADAPTER_CONFIG), _stored(place / ADAPTER_WEIGHTS))


def _place(adapter: Path | str) -> Path:
    place = expanded(adapter)
    if place.is_file():
        if other := _of_pictures(place):
            raise ValueError(f"{other}.")
        meant = "PEFT's folder that it was made from" if place.suffix == ".gguf" else "the folder that holds it"
        raise FileNotFoundError(f"{place} is a file: give {meant}.")
    if models.is_hub_id(str(adapter)):
        return models.fetch_adapter(str(adapter))
    return place


def _where_else(place: Path) -> str:
    """What to give in place of a folder that holds no adapter: one within it, such as a trainer's checkpoint,
    where there is one."""
    within = sorted((one.parent.name for one in place.glob(f"*/{ADAPTER_CONFIG}")), key=lambda one: (len(one), one))
    if within:
        return f"give a folder within it that has one ({', '.join(within[-5:])})"
    if other := next(filter(None, map(_of_pictures, sorted(place.glob("*.safetensors")))), ""):
        return other
    if (place / ADAPTER_WEIGHTS).is_file() and not (place / "config.json").is_file():
        return (
            f"{ADAPTER_WEIGHTS} is there without it, and lora_alpha stands in it alone: "
            "copy it from where the adapter was trained"
        )
    whole = " (this one is a whole model's)" if (place / "config.json").is_file() else ""
    return f"give the folder that PEFT's save_pretrained wrote{whole}, or a hub id such as 'owner/name'"


def _of_pictures(file: Path) -> str:
    """What to do with an adapter of a model that makes pictures, in one file; "" where it is none."""
    if not any(name.startswith(OF_PICTURES) and "lora" in name for name in _names(file)):
        return ""
    return f"{file} is an adapter of a model that makes pictures: load it with diffusers (load_lora_weights) or ComfyUI"


def _names(file: Path) -> Sequence[str]:
    """The names of a file's tensors; none where it is no safetensors, or damaged."""
    try:
        return [*Numbers(file).names] if file.suffix == ".safetensors" and models.is_whole(file) else []
    except (SafetensorError, OSError, ValueError):
        return []


def _without_weights(place: Path) -> str:
    if pickles := [name for name in PICKLES if (place / name).is_file()]:
        return (
            f"{place} has its weights in {pickles[0]}, a pickle: opening one can run any program that its maker put "
            "into it, so it is not read. If you must have them, write them anew where such a program could do no harm, "
            "with "
            f'safetensors.torch.save_file(torch.load("{pickles[0]}", weights_only=True), "{ADAPTER_WEIGHTS}"): '
            "weights_only=True takes numbers and nothing else."
        )
    return f"no {ADAPTER_WEIGHTS} in {place}: save the adapter again with PEFT's save_pretrained, or copy it whole."


def _of_mlx(file: Path) -> str:
    ends = {f".{name.rpartition('.')[2]}" for name in _names(file)}
    if ends and ends.isdisjoint(MLX_ENDS):
        return (
            f"{file} was trained in MLX, and not as mlx-lm's LoRA: nothing in it is called lora_a or lora_b. Load it "
            "with the program that wrote it, such as mlx-vlm. PEFT, llama.cpp and vLLM read PEFT's layout alone."
        )
    fuse = (
        "PEFT, llama.cpp and vLLM read PEFT's layout alone. "
        f"{_mlx_fuses(file)}mlx_lm.fuse puts it into the base's weights."
    )
    if ".m" in ends:
        return f"{file} is a DoRA adapter of mlx-lm, with magnitudes (m) beside lora_a and lora_b. {fuse}"
    return (
        f"{file} is an adapter of mlx-lm: its lora_a is A turned around (k×r), its lora_b is B turned around (r×d), "
        f"and its scale is what PEFT calls lora_alpha / r. {fuse} Or write PEFT's two files: transpose both, call them "
        f"{PREFIX}….lora_A.weight and {PREFIX}….lora_B.weight in {ADAPTER_WEIGHTS}, and set r = rank and "
        f"lora_alpha = scale × rank in {ADAPTER_CONFIG}."
    )


def _mlx_fuses(file: Path) -> str:
    """How the sentence on mlx_lm.fuse begins: where the configuration's keys leave layers of the file out,
    with what to do first."""
    try:
        meant = json.loads((file.parent / ADAPTER_CONFIG).read_text(encoding="utf-8"))["lora_parameters"]["keys"]
        names = _names(file) if meant is not None else []
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "On the machine that trained it, "
    # mlx-lm knows a layer by its name within its block, or by its whole name
    modules = {key.rpartition(".")[0] for key in names if key.endswith(MLX_ENDS)}
    within = {module: re.sub(r"^.*?layers\.\d+\.", "", module) for module in modules}
    left_out = {name for module, name in within.items() if not {module, name} & {*map(str, meant)}}
    if not left_out:
        return "On the machine that trained it, "
    return (
        f"The keys in its {ADAPTER_CONFIG} name no layer such as {min(left_out)}, so mlx-lm stops there, or, in older "
        f"releases, leaves it out without a word: set keys to {json.dumps(sorted({*within.values()}))} first, and "
    )


def _stored(file: Path) -> tuple[Stored, ...]:
    if not models.is_whole(file):
        raise ValueError(f"{file} is cut short or damaged: copy it again.")
    try:
        with safe_open(file, "pt") as opened:
            slices = {key: opened.get_slice(key) for key in list(opened.keys())}
            tensors = [_named(key, tuple(one.get_shape()), str(one.get_dtype())) for key, one in slices.items()]
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(file, error) from error
    if any(key.endswith(MLX_ENDS) for key in slices):
        raise ValueError(_of_mlx(file))
    if not tensors:
        raise ValueError(f"{file} holds no numbers at all: save the adapter again. {OF_ZERO_3}")
    return tuple(sorted(tensors, key=lambda one: in_order(one.key)))


def odd_keys(opened: AdapterFolder) -> str:
    """What keeps PEFT from finding A and B under the file's keys, which it passes over with a warning;
    "" where nothing does."""
    keys = [one.key for one in opened.tensors if one.role in ("A", "B")]
    if doubled := [key for key in keys if key.startswith(2 * PREFIX)]:
        return f"{len(doubled)} keys begin with {PREFIX} twice, as when a PeftModel is wrapped in another"
    if wrapped := [key for key in keys if any(f".{name}." in key for name in WRAPPERS)]:
        name = next(name for name in WRAPPERS if f".{name}." in wrapped[0])
        return f"{len(wrapped)} keys hold {name}, the name of a wrapper around the model that was trained"
    if tinkers := [found[1] for key in keys if (found := TINKERS.search(key))]:
        return (
            f"{len(tinkers)} keys have names of Tinker's own, such as {tinkers[0]} (tinker_cookbook's "
            "build_lora_adapter turns them into PEFT's)"
        )
    if bare := [key for key in keys if not key.startswith(PREFIX)]:
        return f"{len(bare)} keys do not begin with {PREFIX}, as PEFT's do, such as {bare[0][:120]}"
    return ""


def adapter_name(opened: AdapterFolder) -> str:
    """The adapter's name that the keys hold, as those of a state_dict do and PEFT's files do not;
    "" where they hold none."""
    return next((one.named for one in opened.tensors if one.named), "")


def besides(opened: AdapterFolder) -> list[Stored]:
    """Tensors that are neither A nor B, nor what llama.cpp's converter passes over or keeps: the base's own W,
    and norms."""
    others = (one for one in opened.tensors if one.role not in ("A", "B"))
    return [one for one in others if ".base_layer.weight" not in one.key and not is_norm(one)]


def weights_beside(opened: AdapterFolder) -> list[str]:
    """Files of weights beside the adapter's own, which neither PEFT nor a server opens;
    a whole model's and a trainer's are none."""
    files = (one.name for kind in ("*.safetensors", "*.bin", "*.pt", "*.pth") for one in opened.place.glob(kind))
    return sorted(name for name in files if not name.startswith(NO_PART) and name != ADAPTER_WEIGHTS)


def nowhere(opened: AdapterFolder) -> list[Stored]:
    """What other programs call parts of LoRA and PEFT does not: it finds no place for them,
    and loads the rest without a word."""
    if not opened.settings.is_lora or {"monteclora_config", "velora_config"} & opened.settings.others.keys():
        return []
    return [one for one in opened.tensors if one.role == "whole" and OTHERS_LORA.search(one.key)]


def is_norm(one: Stored) -> bool:
    """Whether llama.cpp's converter takes it for a norm, which it writes and llama.cpp passes over."""
    return one.role not in ("A", "B") and ("_layernorm" in one.key or ".norm" in one.key)


def ends(tensors: Sequence[Stored]) -> list[str]:
    """The last two parts of the key of each, such as lora_B.bias."""
    return [".".join(one.key.split(".")[-2:]) for one in tensors]


def leaf_of(module: str) -> str:
    """The last name of a module, without the number of one in a row (gate_up_projs.3) and what PEFT wraps it in."""
    return re.sub(r"(?<=\D)(\.\d+)+$", "", module.removesuffix(".base_layer")).rpartition(".")[2]


def in_order(name: str) -> list[tuple[int, str]]:
    """A name to sort by: layer 10 comes after layer 9."""
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in name.split(".")]


def _shape(one: Stored) -> str:
    return "×".join(map(str, one.shape)) or "one number"


def _multiply(A: Stored, B: Stored, blocks_of_a: int, blocks_of_b: int) -> bool:
    """Whether B·A can be worked out, and is not empty."""
    if min(len(A.shape), len(B.shape)) < 2:
        return False
    whole_blocks = A.shape[0] % blocks_of_a == 0 and B.shape[0] % blocks_of_b == 0
    return whole_blocks and A.shape[0] == B.shape[1] * blocks_of_b


def _named(key: str, shape: tuple[int, ...], dtype: str) -> Stored:
    inner = key.removeprefix(PREFIX)
    if (pair := _AB.search(inner)) and pair["named"] != "bias":
        module = inner[: pair.start()]
        return Stored(key, pair["part"], module, shape, dtype, bool(pair["embedding"]), pair["named"] or "")
    role = next((role for role, ends in _ROLES if ends.search(inner)), "whole")
    module = inner.rpartition(".")[0].removesuffix(".base_layer").removesuffix(".lora_B")
    return Stored(key, role, module, shape, dtype)


def _damaged(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is cut short or damaged ({first_line(error)}): copy it again.")
