"""Why lessons 06 and 11 lose different amounts at 4 bits: one base, one text, and rulers that differ in one thing at a time.

`python -m workshop.bench.rulers --record` writes data/measurements/lesson_11_rulers.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lora_lessons.experiments.quantized_perplexity import losses
from lora_lessons.experiments.recordings import by_command, keep

if TYPE_CHECKING:
    from torch import Tensor

# The name of a ruler → its marks, its block, and the bits that a weight takes with its share of the block's scale.
RULERS: dict[str, tuple[str, int, float]] = {
    "nf4_64": ("nf4", 64, 4.5),  # lesson 06: the scale takes 32 bits
    "nf4_32": ("nf4", 32, 5.0),
    "int4_64": ("int4", 64, 4.5),  # lesson 06: 15 marks
    "int4_32": ("int4", 32, 5.0),
    "sixteen_64": ("symmetric", 64, 4.25),  # lesson 11: 16 marks, and the scale takes 16 bits
    "sixteen_32": ("symmetric", 32, 4.5),
    "shifted_64": ("asymmetric", 64, 4.3125),
    "shifted_32": ("asymmetric", 32, 4.625),  # blocks and marks nearly as the base's own Q4_1
    "q4_0": ("Q4_0", 32, 4.5),  # llama.cpp's
    "q4_1": ("Q4_1", 32, 5.0),  # llama.cpp's, and the grid that the base came on
}


def rounded(name: str) -> Callable[[Tensor], Tensor]:
    """The function that rounds a weight (d×k) by the ruler `name` and brings it back."""
    import gguf
    import torch

    from lora_lessons import quant
    from lora_lessons.quant.gptq import round_to_nearest

    marks, block, _ = RULERS[name]
    if marks in quant.CODEBOOKS:
        return lambda W: quant.dequantize(quant.quantize(W, marks, block))
    if marks in ("symmetric", "asymmetric"):
        return lambda W: round_to_nearest(W, 4, block, marks == "symmetric").dequantize()
    kind = gguf.GGMLQuantizationType[marks]
    return lambda W: torch.from_numpy(
        gguf.quants.dequantize(gguf.quants.quantize(W.detach().numpy(), kind), kind).copy()
    )


def record(names: Sequence[str] = tuple(RULERS)) -> None:
    """Round all the base's matrices by each ruler in turn; keep the loss on each passage of the general text."""
    import torch

    from lora_lessons import lora, models
    from lora_lessons.quant import blockwise

    base = models.load(precision="fp32", device="cpu")
    linears = lora.resolve_targets(base.model, "all-linear")
    intact, rows = losses(base), []
    for name in names:
        ruler = rounded(name)
        with blockwise.restored(base.model, linears), torch.no_grad():
            for linear in linears:
                W = base.model.get_submodule(linear).weight
                W.copy_(ruler(W))
            marks, block, bits = RULERS[name]
            now = losses(base)
        rows.append({"ruler": name, "marks": marks, "block": block, "bits_per_weight": bits, "losses": now})
        print(f"{name}: {(sum(now) - sum(intact)) / len(now):+.3f} nats a token", flush=True)
    what = f"losses (nats a token) on the passages of the general text, all {len(linears)} matrices rounded"
    keep("lesson_11_rulers", {"what": what, "intact": intact, "rows": rows})


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m workshop.bench.rulers: record it anew."""
    return by_command("workshop.bench.rulers", "lesson_11_rulers", record, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
