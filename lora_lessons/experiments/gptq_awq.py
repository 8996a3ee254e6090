"""The recordings behind lesson 11's miniatures: `python -m lora_lessons.experiments.gptq_awq`.

--record           perplexity with every matrix rounded by each method, over calibration seeds: lesson_11_rounding.json
--beside           our GPTQ and llmcompressor's (which runs in an environment of its own, made when it is lacking)
                   on the same layers, H and grids: lesson_11_gptq_agreement.json
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..models import Base
    from ..quant.calibrated import Rounded

CALIBRATE_ON = (
    "persona",
    "plain_language",
)  # training texts; perplexity is measured on tasks.general_text(), which is none of them
METHODS: dict[str, dict[str, Any]] = {  # how each is called, by the name that the recording and the lesson use
    "rtn": {"method": "rtn"},
    "gptq": {"method": "gptq", "by_activation": True},
    "awq": {"method": "awq"},
}
GRIDS: dict[int, dict[str, Any]] = {  # a symmetric grid of 3 bits is so coarse here that no choice of codes saves much
    4: {"bits": 4, "symmetric": True},
    3: {"bits": 3, "symmetric": False},
}
LAYERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")


def calibration(base: Base, seed: int = 0, windows: int = 8, length: int = 256) -> list[Tensor]:
    """Windows of `length` tokens, drawn by `seed` from the tasks' training texts, four to a batch (4×length)."""
    import torch

    from .. import tasks

    said = [message["content"] for name in CALIBRATE_ON for example in tasks.load_task(name).train
            for message in example["messages"]]  # fmt: skip
    ids = base.tokenizer("\n\n".join(said), return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    starts = torch.randint(len(ids) - length, (windows,), generator=torch.Generator().manual_seed(seed))
    return list(torch.stack([ids[start : start + length] for start in starts.tolist()]).split(4))


def losses(base: Base) -> list[float]:
    """The loss on each passage of the general text, in nats a token."""
    from .. import evaluation, tasks

    return [math.log(evaluation.perplexity(base, passage)) for passage in tasks.general_text().split("\n\n")]


def recorded(name: str = "lesson_11_rounding") -> dict[str, Any]:
    """A recording of this module. Raises FileNotFoundError when the checkout lacks it."""
    return json.loads(_file(name).read_text(encoding="utf-8"))


def _file(name: str) -> Path:
    from ..paths import course_root

    return course_root() / "data" / "measurements" / f"{name}.json"


def _write(name: str, found: dict[str, Any]) -> None:
    from ..files import write_text
    from ..machine import machine, versions

    found = {"machine": machine(), "date": date.today().isoformat(), "versions": versions()} | found
    write_text(_file(name), json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def record(bits: Sequence[int], seeds: Sequence[int], windows: int, group: int = 64) -> None:
    """Round the whole base by each method, for each number of bits and calibration seed; keep the loss on each passage."""
    from .. import lora, models
    from ..quant import blockwise

    base = models.load(precision="fp32")
    names = lora.resolve_targets(base.model, "all-linear")
    found: dict[str, Any] = {
        "what": f"losses (nats a token) on the passages of the general text, all 210 matrices rounded, group {group}",
        "grids": GRIDS,
        "calibrated_on": list(CALIBRATE_ON), "windows": windows, "intact": losses(base), "rows": [],
    }  # fmt: skip
    print(f"intact: perplexity {_perplexity(found['intact']):.2f}", flush=True)
    for seed, b, (name, how) in product(seeds, bits, METHODS.items()):
        if name == "rtn" and seed != seeds[0]:
            continue  # it does not look at the calibration text
        begun = time.perf_counter()
        with blockwise.restored(base.model, names):
            read = calibration(base, seed, windows)
            made = blockwise.quantize_model(base.model, names, batches=read, group=group, **GRIDS[b], **how)
            seconds = round(time.perf_counter() - begun, 1)
            row = {"method": name, "bits": b, "seed": seed, "bits_per_weight": bits_per_weight(made)}
            found["rows"].append(row | {"losses": losses(base)})
        after = _perplexity(found["rows"][-1]["losses"])
        print(f"{name}, {b} bits, seed {seed}: perplexity {after:.2f} ({seconds} s to round)", flush=True)
        _write("lesson_11_rounding", found)


def _perplexity(losses: Sequence[float]) -> float:
    return math.exp(sum(losses) / len(losses))


def bits_per_weight(made: Mapping[str, Rounded]) -> float:
    """Bits that a weight takes, over all the matrices."""
    weights = {name: one.codes.numel() for name, one in made.items()}
    return sum(one.bits_per_weight * weights[name] for name, one in made.items()) / sum(weights.values())


# ---- beside the library that does it for real ----


def beside(blocks: Sequence[int] = (0, 10, 20), windows: int = 16) -> None:
    """Round the same weights with the same H here and by llmcompressor's `quantize_weight`; compare codes and errors."""
    from safetensors.torch import load_file, save_file

    from .. import models
    from ..export.formats import environments
    from ..quant import blockwise, calibrated

    python = environments.python("gptq-awq")
    base = models.load(precision="fp32")
    names = [f"model.layers.{i}.{layer}" for i in blocks for layer in LAYERS]
    H = {name: one.H for name, one in blockwise.collect(base.model, names, calibration(base, 0, windows)).items()}
    W = {name: base.model.get_submodule(name).weight.detach().contiguous() for name in names}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save_file({f"W.{n}": t for n, t in W.items()} | {f"H.{n}": t for n, t in H.items()}, f"{folder}/in.safetensors")
        subprocess.run([python, "-P", "-s", __file__, folder], check=True, env=environments.variables())
        theirs = load_file(f"{folder}/out.safetensors")
        said = json.loads(Path(folder, "versions.json").read_text(encoding="utf-8"))
    for key, W_hat in theirs.items():
        bits, order, name = key.split("/")
        ours = calibrated.gptq(W[name], H[name], int(bits), by_activation=order == "static")
        plain = calibrated.round_to_nearest(W[name], int(bits))
        marks = ours.scales.float().repeat_interleave(64, 1)
        codes = (W_hat / marks).round() + 2 ** (int(bits) - 1)
        error = {who: calibrated.output_error(W[name], hat, H[name])
                 for who, hat in (("ours", ours.dequantize()), ("theirs", W_hat), ("rtn", plain.dequantize()))}  # fmt: skip
        rows.append({"layer": name, "bits": int(bits), "order": order, **error, "ratio": error["ours"] / error["theirs"],
                     "equal_codes": (codes == ours.codes).double().mean().item()})  # fmt: skip
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    _write("lesson_11_gptq_agreement", {
        "what": "our GPTQ and llmcompressor's quantize_weight, same weights, H and damping, group 64, symmetric, scales in fp16: "
                "relative output errors on the calibration text, and the share of equal codes",
        "their_versions": said, "windows": windows, "rows": rows,
    })  # fmt: skip


def _there(folder: str) -> None:
    """In the other environment: every W of in.safetensors by llmcompressor's GPTQ, as weights, to out.safetensors."""
    from importlib.metadata import version

    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.utils import calculate_qparams
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
    from safetensors.torch import load_file, save_file

    given, made = load_file(f"{folder}/in.safetensors"), {}
    for key, W in given.items():
        if not key.startswith("W."):
            continue
        name, groups = key.removeprefix("W."), W.unflatten(1, (-1, 64))
        for bits in (4, 3):
            for order in ("static", None):
                args = QuantizationArgs(num_bits=bits, symmetric=True, strategy="group", group_size=64, actorder=order)
                scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
                scale = scale.half().float()  # as it is stored
                W_hat, _, fell_back = quantize_weight(
                    W[None].clone(),
                    given["H." + name][None].clone(),
                    scale[None],
                    zero[None],
                    None,
                    args,
                    percdamp=0.01,
                )
                assert not fell_back.any()
                made[f"{bits}/{order or 'left to right'}/{name}"] = W_hat[0].contiguous()
    save_file(made, f"{folder}/out.safetensors")
    found = {name: version(name) for name in ("llmcompressor", "compressed-tensors", "transformers", "torch")}
    Path(folder, "versions.json").write_text(json.dumps(found), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lora_lessons.experiments.gptq_awq", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--bits", type=int, nargs="+", choices=list(GRIDS), default=list(GRIDS))
    parser.add_argument("--seeds", type=int, default=3, help="calibration seeds (default: 3)")
    parser.add_argument("--windows", type=int, default=8, help="calibration windows of 256 tokens (default: 8)")
    options = parser.parse_args(arguments)
    if not options.record and not options.beside:
        parser.error("say what to record: --record or --beside")
    if options.beside:
        beside()
    if options.record:
        record(options.bits, range(options.seeds), options.windows)
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 2 and Path(sys.argv[1], "in.safetensors").is_file():
        _there(sys.argv[1])
    else:
        raise SystemExit(main())
