"""`make gpu-check`: on a machine with a CUDA card, is what the course says of cards true?

Equality with bitsandbytes on the card, the ledger against the card's own count, and QLoRA steps on a 7B's shape with
random weights, by this course and by others: memory and speed are true, quality is not claimed.
Ends within nine minutes.
"""

from __future__ import annotations

import sys
import time
from itertools import product
from typing import Any

from lora_lessons import models, quant
from lora_lessons.experiments import recordings
from lora_lessons.machine import stamp

SECONDS = 540  # nine minutes for all of it
SIDES, LEDGER = 240, 60  # of them at most for the comparison with others, and at least for the ledger
STEPS, SEQ = 50, 512


def equality(device: str) -> dict[str, Any]:
    """Ours against bitsandbytes on `device`: how many weights have the same bits, packed and given back."""
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    generator = torch.Generator().manual_seed(0)
    counts = {"tried": 0, "same": 0, "scale_codes": 0, "scale_codes_that_differ": 0}
    dtypes = torch.float32, torch.bfloat16, torch.float16
    shapes = (64, 64), (129, 64), (1024, 576), (301, 101)
    blocksizes = 64, 128, 256, 512, 1024, 2048, 4096
    for dtype, shape, codebook, blocksize in product(dtypes, shapes, ("nf4", "fp4"), blocksizes):
        W = torch.randn(shape, generator=generator).to(device, dtype)
        packed, state = quantize_4bit(W, quant_type=codebook, blocksize=blocksize)
        ours = quant.quantize(W, codebook, blocksize)
        state.shape = torch.Size((1, W.numel()))
        back = dequantize_4bit(packed, state).view(W.shape)
        counts["tried"] += 1
        counts["same"] += torch.equal(ours.packed, packed.view(-1)) and torch.equal(quant.dequantize(ours), back)
        theirs = quantize_4bit(W, quant_type=codebook, blocksize=blocksize, compress_statistics=True)[1].absmax
        codes = quant.quantize(W, codebook, blocksize, double=True).scales["absmax_codes"]
        counts["scale_codes"] += len(codes)
        counts["scale_codes_that_differ"] += int((codes != theirs).sum())
    return counts


def steps(device: str, count: int = STEPS, seq: int = SEQ, **changed: Any) -> dict[str, Any]:
    """QLoRA on a 7B's shape: `count` steps on one row of `seq` random tokens; tokens a second, peak memory, losses."""
    import torch

    from lora_lessons import lora, tasks, training
    from lora_lessons.experiments.seven_b import STAND_IN
    from lora_lessons.machine import peak_bytes

    begun = time.perf_counter()
    base = models.random_base(STAND_IN, device=device, **changed)
    lora.attach(base, 16, 32)
    built = time.perf_counter() - begun
    card = device.startswith("cuda")
    if card:
        torch.cuda.reset_peak_memory_stats()
    ids = torch.randint(base.config.vocab_size, (seq,), generator=torch.Generator().manual_seed(0))
    settings = training.Settings(
        steps=count,
        batch_size=1,
        learning_rate=2e-4,
        gradient_checkpointing=True,
        checkpoint_every=0,
        optimizer="paged_adamw_8bit" if card else "adamw",
    )
    run = training.train(base, [tasks.Encoded(ids, ids.clone())], settings, reuse=False)
    return {
        "model": STAND_IN,
        "weights": "random",
        "r": 16,
        "seq": seq,
        "steps": count,
        "build_seconds": round(built, 1),
        "tokens_per_second": round(run.tokens_per_second, 1),
        "losses": [round(loss, 4) for loss in run.losses],
        "peak_bytes": torch.cuda.max_memory_allocated() if card else peak_bytes(),
        "compute_dtype": str(base.config.quantization_config.bnb_4bit_compute_dtype).removeprefix("torch."),
    }


def main() -> int:
    """Run all four parts on the card and write data/measurements/gpu_check_<card>.json.

    Returns 0, 1 where a part failed, 2 without a card.
    """
    from lora_tools.bench import ledger

    from . import card_speed

    card = models.card()
    if card is None:
        print("No CUDA card that PyTorch sees: there is nothing to check here.", file=sys.stderr)
        return 2
    begun = time.perf_counter()
    recording: dict[str, Any] = {"what": "make gpu-check", "card": card[0], "card_bytes": card[1], **stamp()}
    file = ledger.recording("gpu_check", card[0])
    same = recording["equality"] = equality("cuda")
    print(f"equality: {same['same']} of {same['tried']} settings have bitsandbytes' bits", flush=True)
    recordings.write(file, recording)
    trained = recording["training"] = steps("cuda")
    losses = trained["losses"]
    fast, full = f"{trained['tokens_per_second']} tokens/s", f"peak {trained['peak_bytes'] / 2**30:.2f} GiB"
    print(f"training: {fast}, {full}, loss {losses[0]:.2f} → {losses[-1]:.2f}", flush=True)
    recordings.write(file, recording)
    spare = SECONDS - LEDGER - (time.perf_counter() - begun)
    recording["sides"] = card_speed.compare(min(SIDES, spare))
    recordings.write(file, recording)
    left = SECONDS - (time.perf_counter() - begun)
    rows = ledger.measure_all(seconds=left)
    recording["ledger"] = {"settings": len(rows), "within_5_percent": sum(abs(r.get("error", 1)) <= 0.05 for r in rows)}
    recordings.write(file, recording)
    print(f"Written to {file.name}, {time.perf_counter() - begun:.0f} s.")
    good = same["same"] == same["tried"] and losses[-1] < losses[0]
    return 0 if good and any(row["status"] == ledger.OK for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
