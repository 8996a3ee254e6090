"""PEFT's adapter format: a folder of two files, saved from a model and put on one again.

adapter_config.json          what was done: r, lora_alpha, use_rslora, which layers, on which base; where some
                             have another r or lora_alpha, rank_pattern and alpha_pattern name them
adapter_model.safetensors    what was learned: base_model.model.LAYER.lora_A.weight (r×k) and ….lora_B.weight (d×r)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mode
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor, nn

from .errors import first_line
from .files import check_readable, check_replaced, refuse_existing, whole_folder
from .lora import LoRALinear, attach, check_settings, check_update, detach, lora_layers, scale
from .peft_config import DEFAULT_ALPHA, DEFAULT_R, by_layer, pattern_of, read_config
from .sums import SUMS, damaged

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class Adapter(NamedTuple):
    """An adapter away from its model: A (r×k) and B (d×r) of each adapted layer, by the layer's full name.

    `r` and `lora_alpha` are what most layers have. A layer of another rank shows it in its A and B; one of another α is
    in `alpha_pattern`.
    """

    name: str
    r: int
    lora_alpha: float
    use_rslora: bool
    A: dict[str, Tensor]
    B: dict[str, Tensor]
    base_name: str = ""
    # where it was trained, such as "lesson 03", if whoever saved it said so
    origin: str = ""
    # lora_alpha of the layers where it is another, by their full names
    alpha_pattern: Mapping[str, float] = MappingProxyType({})

    def alpha(self, layer: str) -> float:
        """lora_alpha of one layer."""
        return self.alpha_pattern.get(layer, self.lora_alpha)

    def scaling(self, layer: str) -> float:
        """α/r of one layer, or α/√r with rsLoRA."""
        return scale(len(self.A[layer]), self.alpha(layer), self.use_rslora)

    def delta(self, layer: str) -> Tensor:
        """ΔW = α/r · B·A of one layer, d×k."""
        return self.scaling(layer) * (self.B[layer] @ self.A[layer])


def narrowed(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of the same product at a rank that W can have: PEFT trains wider ones,
    and a sum of adapters becomes one."""
    d, k = B.shape[0], A.shape[1]
    if len(A) <= min(d, k):
        return A, B
    return (B @ A, torch.eye(d)) if d <= k else (torch.eye(k), B @ A)


@torch.no_grad()
def adapter_of(model: nn.Module, name: str = "") -> Adapter:
    """A copy of the adapter that `model` carries, on the CPU; a factor given to `set_scale` is multiplied into B.

    Raises ValueError when the model carries none, or one without numbers.
    """
    layers = dict(lora_layers(model))
    if not layers:
        raise ValueError("this model carries no adapters: attach(model) first.")
    if any(layer.lora_A.is_meta for layer in layers.values()):
        raise ValueError("this model has shapes and no numbers (device 'meta'): load its weights, then attach again.")
    r, use_rslora = mode(layer.r for layer in layers.values()), next(iter(layers.values())).use_rslora
    lora_alpha, others = _usual({name: layer.lora_alpha for name, layer in layers.items()})
    adapter = Adapter(name, r, lora_alpha, use_rslora, {}, {}, alpha_pattern=others)
    for layer_name, layer in layers.items():
        adapter.A[layer_name] = layer.lora_A.detach().cpu().clone()
        adapter.B[layer_name] = layer.lora_B.detach().cpu() * (layer.scaling / adapter.scaling(layer_name))
    return adapter


def _usual(alphas: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """The α that most layers have, and those of the others by name."""
    alpha = mode(alphas.values())
    return alpha, {name: other for name, other in alphas.items() if other != alpha}


@torch.no_grad()
def attach_adapter(model: nn.Module, adapter: Adapter) -> list[str]:
    """Attach `adapter` to `model`, in place; return the adapted names. Raises ValueError when it does not fit."""
    names = attach(
        model,
        adapter.r,
        adapter.lora_alpha,
        sorted(adapter.A),
        use_rslora=adapter.use_rslora,
        rank_pattern={layer: len(A) for layer, A in adapter.A.items()},
        alpha_pattern=adapter.alpha_pattern,
    )
    try:
        if other := sorted(set(names) ^ adapter.A.keys()):
            raise ValueError(f"{other[0]} is adapted in one and missing in the other: the adapter of another model.")
        for name, layer in lora_layers(model):
            for part, here in ((adapter.A, layer.lora_A), (adapter.B, layer.lora_B)):
                if part[name].shape != here.shape:
                    raise ValueError(
                        f"{name}: {tuple(part[name].shape)} in the adapter and {tuple(here.shape)} here: "
                        "another base model."
                    )
                here.copy_(part[name])
    except ValueError:
        detach(model)
        raise
    return names


def save_adapter(
    model: nn.Module,
    folder: Path | str,
    base_name: str = "",
    *,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
    origin: str = "",
    beside: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write the adapter that `model` carries to `folder` in PEFT's format, as it computes now (`set_scale` included).

    With dtype=torch.bfloat16 the file is half as large, and A and B are rounded to 16 bits. `origin`, such as "lesson
    03", is kept in the file for `read_adapter`; other programs pass over it. `beside` are texts by the names of their
    files, such as a model card: all appear at once, or nothing does. Raises ValueError when the model has no adapters,
    or NaN or infinity in them, FileExistsError when `folder` exists and overwrite is False or holds more than an
    adapter, OSError naming it on a full disk.
    """
    folder, adapter = Path(folder), adapter_of(model)
    refuse_existing(folder, overwrite)
    check_replaced(folder, (ADAPTER_CONFIG, ADAPTER_WEIGHTS, *beside), by="adapter")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "r": adapter.r,
        "lora_alpha": adapter.lora_alpha,
        "use_rslora": adapter.use_rslora,
        "target_modules": _shortest(model, set(adapter.A)),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_dropout": 0.0,
    }
    return write_folder(folder, adapter._replace(origin=origin), config, dtype, beside)


def write_folder(
    folder: Path,
    adapter: Adapter,
    config: Mapping[str, Any],
    dtype: torch.dtype,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write `adapter` to `folder` in PEFT's format, whole or not at all:
    its ranks and alphas replace those of `config`.

    `beside` are texts by the names of their files. Raises ValueError for NaN or infinity, also where `dtype` makes it,
    and OSError naming the folder on a full disk.
    """
    for name, A in adapter.A.items():
        check_update(name, A.to(dtype), adapter.B[name].to(dtype), adapter.scaling(name))
    tensors: dict[str, Tensor] = {}
    for suffix, part in ((_A, adapter.A), (_B, adapter.B)):
        tensors |= {f"{_PREFIX}{name}{suffix}": tensor.to(dtype).contiguous() for name, tensor in part.items()}
    settings = {name: value for name, value in config.items() if name not in ("rank_pattern", "alpha_pattern")}
    settings |= {"r": adapter.r, "lora_alpha": adapter.lora_alpha, "use_rslora": adapter.use_rslora}
    if ranks := {pattern_of(layer): len(A) for layer, A in adapter.A.items() if len(A) != adapter.r}:
        settings["rank_pattern"] = ranks
    if adapter.alpha_pattern:
        settings["alpha_pattern"] = {pattern_of(layer): alpha for layer, alpha in adapter.alpha_pattern.items()}
    with whole_folder(folder) as temporary:
        about = {"format": "pt"} | ({"origin": adapter.origin} if adapter.origin else {})
        try:
            save_file(tensors, temporary / ADAPTER_WEIGHTS, metadata=about)
        except SafetensorError as error:  # a full disk, in safetensors' words
            sentence = f"{folder} could not be written ({first_line(error)}): make room there, and save again."
            raise OSError(sentence) from error
        # safetensors writes its metadata in any order; sorted, equal adapters are equal files
        with open(temporary / ADAPTER_WEIGHTS, "r+b") as weights:
            header = weights.read(int.from_bytes(weights.read(8), "little"))
            weights.seek(8)
            weights.write(
                json.dumps(json.loads(header), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
                .encode()
                .ljust(len(header))
            )
        for file, text in {ADAPTER_CONFIG: json.dumps(settings, indent=2) + "\n", **beside}.items():
            (temporary / file).write_text(text, encoding="utf-8")
    return folder


def _shortest(model: nn.Module, names: set[str]) -> list[str]:
    """Leaf names such as q_proj where they mean exactly these layers, full names otherwise."""
    leaves = {name.rpartition(".")[2] for name in names}
    linears = (name for name, module in model.named_modules() if isinstance(module, (LoRALinear, nn.Linear)))
    meant = {name for name in linears if name.rpartition(".")[2] in leaves}
    return sorted(leaves if meant == names else names)


def load_adapter(model: nn.Module, folder: Path | str) -> list[str]:
    """Attach the adapter in `folder` (ours or PEFT's) to `model`, in place; return the adapted names.

    Raises FileNotFoundError or ValueError with what to do when the folder holds no LoRA adapter that fits this model.
    """
    return attach_adapter(model, read_adapter(folder))


def read_adapter(folder: Path | str) -> Adapter:
    """The adapter in `folder`, ours or PEFT's, in fp32. No model is needed.

    Raises FileNotFoundError or ValueError with what to do when the folder holds no LoRA adapter, or one that needs more
    than A, B, r and α (PiSSA, DoRA, biases and so on), or holds NaN or infinity; PermissionError for one that you may
    not read. Each layer has its own r and α, as rank_pattern and alpha_pattern say.
    """
    folder = Path(folder)
    if not (folder / ADAPTER_CONFIG).is_file():
        raise FileNotFoundError(
            f"no {ADAPTER_CONFIG} in {folder}: give the folder that save_adapter or PEFT's save_pretrained wrote."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no {ADAPTER_WEIGHTS} in {folder}: only safetensors is loaded (a .bin is a pickle; "
            "save it again as safetensors)."
        )
    check_readable(folder)
    _check_sums(folder.resolve())
    config = read_config(folder / ADAPTER_CONFIG)
    A, B, origin = _read_weights(folder)
    use_rslora = bool(config.get("use_rslora"))
    ranks = by_layer(config.get("rank_pattern") or {}, A, config.get("r", DEFAULT_R))
    alphas = by_layer(config.get("alpha_pattern") or {}, A, config.get("lora_alpha", DEFAULT_ALPHA))
    for name, (d, r_b), (r_a, k) in ((name, B[name].shape, A[name].shape) for name in A):
        if ranks[name] == r_a == r_b > min(d, k):
            check_settings(min(d, k), alphas[name], d, k)
            A[name], B[name] = narrowed(A[name], B[name])
            alphas[name] *= scale(r_a, 1, use_rslora) / scale(min(d, k), 1, use_rslora)
            ranks[name] = r_a = r_b = min(d, k)
        check_settings(ranks[name], alphas[name], d, k)
        if not r_a == r_b == ranks[name]:
            raise ValueError(
                f"{name}: A is {r_a}×{k} and B {d}×{r_b}, and the configuration says r = {ranks[name]}: another r; "
                "copy both files again."
            )
    base_name = config.get("base_model_name_or_path") or ""
    alpha, others = _usual(alphas)
    adapter = Adapter(folder.name, mode(ranks.values()), alpha, use_rslora, A, B, base_name, origin, others)
    for name in A:
        check_update(f"{folder.name}, {name}", A[name], B[name], adapter.scaling(name))
    return adapter


def _check_sums(folder: Path) -> None:
    """Raise ValueError where a SHA256SUMS beside `folder`, as the course's own adapters have one,
    says that it was another."""
    if wrong := damaged(folder.parent, f"{folder.name}/"):
        raise ValueError(
            f"{folder.parent / wrong[0]} is not the file that {SUMS} beside it names: it is damaged or was changed. "
            "Get it again (the course's own: git checkout -- data/adapters), "
            "or keep a changed adapter in a folder of another name."
        )


class Numbers:
    """The tensors of a sound safetensors file, each by an ordinary read.

    A mapped file that another program cuts meanwhile, as one that saves there anew does, would end the whole process.
    Whatever is raised says that the file is damaged.
    """

    def __init__(self, file: Path) -> None:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            self._about: dict[str, Any] = json.loads(opened.read(length))
        self._file, self._begins = file, 8 + length
        self._about.pop("__metadata__", None)

    @property
    def names(self) -> list[str]:
        """What the file's tensors are called."""
        return list(self._about)

    def read(self, name: str) -> Tensor:
        """One tensor, as a file of its own has it."""
        about = self._about[name]
        first, behind = about["data_offsets"]
        with open(self._file, "rb") as opened:
            opened.seek(self._begins + first)
            data = opened.read(behind - first)
        alone = json.dumps({"it": about | {"data_offsets": [0, behind - first]}}).encode()
        return load(len(alone).to_bytes(8, "little") + alone + data)["it"]


def _read_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """Every A and every B in adapter_model.safetensors by its layer's name, in fp32: two dimensions, and in pairs.

    And the origin that the file names, or "".
    """
    file = folder / ADAPTER_WEIGHTS
    try:
        with safe_open(file, "pt") as opened:
            origin = (opened.metadata() or {}).get("origin", "")
        numbers = Numbers(file)
        tensors = {name.removeprefix(_PREFIX): numbers.read(name) for name in numbers.names}
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is cut short or damaged ({first_line(error)}): copy it again.") from error
    if strange := [name for name in tensors if not name.endswith((_A, _B))]:
        raise ValueError(
            f"{folder} also holds {', '.join(name[:80] for name in strange[:3])}, no A or B: load it with "
            "peft.PeftModel.from_pretrained."
        )
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(
                f"{name} in {file} is {kind} of shape {tuple(tensor.shape)}, and A and B are matrices of "
                "floating-point numbers: load it with peft.PeftModel.from_pretrained."
            )
    A, B = ({n.removesuffix(end): t.float() for n, t in tensors.items() if n.endswith(end)} for end in (_A, _B))
    if lone := sorted(A.keys() ^ B.keys()):
        raise ValueError(
            f"the adapter file lacks the A or the B of {lone[0]}: it was cut short or made for another model; "
            "copy it again."
        )
    if not A:
        raise ValueError(f"{file} holds no A and no B: save the adapter again.")
    return A, B, origin
