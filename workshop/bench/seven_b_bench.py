"""How long a training step of a 7B takes on a processor: PEFT with bitsandbytes beside ours."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_lessons.experiments.recordings import LARGE_PAGES, answer, run_in_process
from lora_lessons.experiments.seven_b import DEFAULTS, build, sequence
from lora_lessons.files import write_text
from lora_lessons.machine import peak_bytes
from lora_lessons.memory import GB


def bench(layers: int = 4, steps: int = 3, rounds: int = 2, **settings: Any) -> float:
    """Time a step of the stock way (PEFT around bitsandbytes' layer, memory as the system hands it out) and of ours.

    Both in processes of their own, in turn, on the first `layers` blocks of the same random 7B; prints every time, and
    what the processor worked (which another program's work changes less), and returns ours ÷ stock by the clock.
    """
    changed = settings.get("changed", {}) | {"num_hidden_layers": layers}
    wanted = DEFAULTS | settings | {"steps": steps, "changed": changed}
    clock: dict[str, list[float]] = {"stock": [], "ours": []}
    work: dict[str, list[float]] = {"stock": [], "ours": []}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(rounds):
            for layer in sorted(clock, reverse=turn % 2 == 0):
                pages = LARGE_PAGES if layer == "ours" else {}
                run_in_process(__spec__.name, "time", wanted | {"layer": layer}, Path(temporary), pages)
                result = json.loads((Path(temporary) / f"{layer}.json").read_text(encoding="utf-8"))
                clock[layer] += result["seconds"]
                work[layer] += result["processor_seconds"]
                each = " ".join(f"{s:.2f}" for s in result["seconds"])
                peak = result["peak_bytes"] / GB
                print(f"{layer:>5}: {each} s a step, loss {result['loss']:.3f}, peak {peak:.2f} GB")
    print(f"{layers} blocks, {wanted['seq']} tokens, medians of a step:")
    for name, times in (("clock", clock), ("processor", work)):
        stock, ours = (statistics.median(times[layer]) for layer in ("stock", "ours"))
        print(f"{name:>9}: stock {stock:.2f} s, ours {ours:.2f} s, ratio {ours / stock:.2f}")
    return statistics.median(clock["ours"]) / statistics.median(clock["stock"])


def _time(wanted: dict[str, Any], folder: Path) -> None:
    """Seconds of a training step: our layer, or PEFT's around bitsandbytes' as `wanted["layer"]` says."""
    import peft
    import torch

    from lora_lessons import lora, tasks, training

    base, tokenizer = build(wanted)
    model = base
    if wanted["layer"] == "stock":
        from lora_lessons.models.four_bit import make_stock

        make_stock(base)
    if wanted["layer"] == "ours":
        lora.attach(base, wanted["r"], wanted["lora_alpha"])
    else:
        config = peft.LoraConfig(
            r=wanted["r"], lora_alpha=wanted["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        )
        model = peft.get_peft_model(base, config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=wanted["learning_rate"])
    batch = tasks.collate([sequence(base, tokenizer, wanted)], pad_id=0)
    model.train()
    seconds, work = [], []
    with training.checkpointing(model):
        for _ in range(wanted["steps"] + 1):
            start, worked = time.perf_counter(), time.process_time()
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - worked)
    result = {"seconds": seconds[1:], "processor_seconds": work[1:], "loss": loss.item(), "peak_bytes": peak_bytes()}
    write_text(folder / f"{wanted['layer']}.json", json.dumps(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m workshop.bench.seven_b_bench: print every time, and the ratio ours ÷ stock."""
    parser = argparse.ArgumentParser(prog="python -m workshop.bench.seven_b_bench", description=__doc__)
    parser.add_argument("--model", default=DEFAULTS["model"], help="a name of models.SHAPES, a folder or a hub id")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4, help="blocks of the model that are timed")
    options = parser.parse_args(arguments)
    bench(options.layers, options.steps, model=options.model)
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "time":
        answer(_time, sys.argv[2:])
    else:
        sys.exit(main())
