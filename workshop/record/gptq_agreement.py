"""Our GPTQ beside llmcompressor's, on the same layers, Hessians and grids: errors and codes.

`python -m workshop record gptq-agreement` writes data/measurements/lesson_10_gptq_agreement.json.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lora_lessons import models
from lora_lessons.experiments.quantized_perplexity import calibration
from lora_lessons.experiments.recordings import keep
from lora_lessons.quant import blockwise
from lora_lessons.quant.gptq import gptq, output_error, round_to_nearest
from lora_tools.exporting.formats import environments

LAYERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
WORKER = Path(__file__).with_name("gptq_agreement_worker.py")


def record(blocks: Sequence[int] = (0, 10, 20), windows: int = 16) -> None:
    """Round the same weights with the same H here and by llmcompressor; compare codes and errors."""
    from safetensors.torch import load_file, save_file

    python = environments.python("gptq-awq")
    base = models.load(precision="fp32")
    names = [f"model.layers.{i}.{layer}" for i in blocks for layer in LAYERS]
    H = {name: one.H for name, one in blockwise.collect(base.model, names, calibration(base, 0, windows)).items()}
    W = {name: base.model.get_submodule(name).weight.detach().contiguous() for name in names}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save_file({f"W.{n}": t for n, t in W.items()} | {f"H.{n}": t for n, t in H.items()}, f"{folder}/in.safetensors")
        subprocess.run([python, "-P", "-s", str(WORKER), folder], check=True, env=environments.variables())
        theirs = load_file(f"{folder}/out.safetensors")
        their_versions = json.loads(Path(folder, "versions.json").read_text(encoding="utf-8"))
    for key, W_hat in theirs.items():
        bits, order, name = key.split("/")
        ours = gptq(W[name], H[name], int(bits), symmetric=False, by_activation=order == "static")
        plain = round_to_nearest(W[name], int(bits), symmetric=False)
        scales, zeros = (t.float().repeat_interleave(64, 1) for t in (ours.scales, ours.zeros))
        codes = (W_hat / scales).round() + zeros
        made = {"ours": ours.dequantize(), "theirs": W_hat, "rtn": plain.dequantize()}
        error = {who: output_error(W[name], rounded, H[name]) for who, rounded in made.items()}
        about = {"layer": name, "bits": int(bits), "order": order}
        equal = (codes == ours.codes).double().mean().item()
        rows.append(about | error | {"ratio": error["ours"] / error["theirs"], "equal_codes": equal})
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    what = (
        "our GPTQ and llmcompressor's quantize_weight, same weights, H and damping, group 64, 2^bits marks that may "
        "shift, scales in fp16: relative output errors on the calibration text, and the share of equal codes"
    )
    keep("lesson_10_gptq_agreement", {"what": what, "their_versions": their_versions, "windows": windows, "rows": rows})
