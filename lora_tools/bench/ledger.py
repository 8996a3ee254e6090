"""`lora-lessons bench memory`: the ledger predicted, a real training step measured, and the error, setting by setting.

Each setting runs in a process of its own, so that one which runs out of memory is one row. On a card the model is a 7B
with random weights, and what is measured is what `torch.cuda` says was allocated at most; on a processor it is the
base's shape, and the tape counts. Memory and not quality: random weights take as much room as trained ones.
A third of the file are the settings and the words of the table.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_lessons import files, memory, models, planning
from lora_lessons.errors import memory_ran_out
from lora_lessons.experiments import recordings
from lora_lessons.machine import kernel_environment, machine, memory_bytes, stamp
from lora_lessons.memory import Job
from lora_lessons.paths import measurements
from lora_lessons.tasks import Encoded
from lora_lessons.training.losses import plain

OK, OUT_OF_MEMORY, FAILED = "ok", "out of memory", "failed"


# The embedded base by its published configuration: the processor's grid needs no download.
BASE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}
BASE_NAME, SEVEN_B = "SmolLM2-135M", "Qwen2.5-7B"

QV = ("q_proj", "v_proj")
# Method × rank × length × batch × checkpointing, and the other optimizers and layer.
ON_A_CARD = (
    Job("qlora", 8, seq=512),
    Job("qlora", 16, seq=1024),
    Job("qlora", 16, seq=2048),
    Job("qlora", 16, seq=4096),
    Job("qlora", 16, seq=1024, batch_size=4),
    Job("qlora", 64, seq=1024),
    Job("qlora", 256, seq=512),
    Job("qlora", 16, seq=512, gradient_checkpointing=False),
    Job("qlora", 16, seq=1024, gradient_checkpointing=False),
    Job("qlora", 8, QV, seq=1024, gradient_checkpointing=False),
    Job("qlora", 16, seq=1024, optimizer="paged_adamw_8bit"),
    Job("qlora", 16, seq=1024, optimizer="adamw_8bit"),
    Job("qlora", 16, seq=1024, layer="peft"),
    Job("qlora", 16, seq=1024, recipe="hf"),
    Job("lora", 16, seq=1024),
    Job("lora", 16, seq=2048, batch_size=2),
    Job("lora", 16, seq=512, gradient_checkpointing=False),
    Job("full", seq=512),
    Job("full", seq=512, optimizer="adamw_fused"),
    Job("full", seq=512, optimizer="paged_adamw_8bit"),
)
ON_A_PROCESSOR = (
    Job("qlora", 8, seq=128),
    Job("qlora", 16, seq=256),
    Job("qlora", 16, seq=512),
    Job("qlora", 16, seq=256, batch_size=2),
    Job("qlora", 64, seq=128),
    Job("qlora", 16, seq=256, gradient_checkpointing=False),
    Job("qlora", 16, seq=256, layer="peft"),
    Job("qlora", 16, seq=256, recipe="hf"),
    Job("qlora", 16, seq=256, optimizer="adamw_8bit"),
    Job("lora", 16, seq=256),
    Job("lora", 16, seq=256, gradient_checkpointing=False),
    Job("lora", 8, QV, seq=256, gradient_checkpointing=False),
    Job("lora", 16, seq=256, dtype="fp32"),
    Job("full", seq=128),
    Job("full", seq=128, dtype="fp32", gradient_checkpointing=False),
)


def measure_all(
    model: str | None = None,
    out: Path | None = None,
    jobs: tuple[Job, ...] | None = None,
    seconds: float = float("inf"),
) -> list[dict[str, Any]]:
    """Run every setting, print a line for each, write the table to `out`; return its rows.

    After `seconds` no further setting is begun, and that is said.

    Default: a 7B on a card, the base's shape on a processor; data/measurements/ledger_<card>.json. Raises ModelError
    when the model's configuration cannot be had.
    """
    card = models.card()
    name = model or (SEVEN_B if card else BASE_NAME)
    jobs = jobs or (ON_A_CARD if card else ON_A_PROCESSOR)
    where = card[0] if card else "processor"
    file = out or recording("ledger", where)
    files.check_file(file)
    shape = _shape(name)
    on = where if card else f"{machine()}: no card here, so the tape counts the tensors that live"
    print(f"{shape.name}, random weights, {len(jobs)} settings on {on}")
    print(f"{'':<74}{'predicted':>10}{'measured':>10}{'error':>8}{'accelerate':>11}   (MB)")
    rows: list[dict[str, Any]] = []
    begun = time.perf_counter()
    for job in jobs:
        if time.perf_counter() - begun > seconds:
            print(f"Time is up after {len(rows)} of {len(jobs)} settings.")
            break
        row: dict[str, Any] = {"job": job.counted(), "accelerate": accelerate_says(shape, job)}
        row |= _in_a_process(name, job)
        rows.append(row)
        print(line(row), flush=True)
    kept = {
        "model": shape.name,
        "weights": "random",
        "card": card[0] if card else None,
        **stamp(),
        "rows": rows,
    }
    recordings.write(file, kept)
    errors = [abs(row["error"]) for row in rows if row["status"] == OK]
    if errors:
        within = sum(error <= 0.05 for error in errors)
        print(
            f"{within} of {len(errors)} measured settings within 5%, the largest error {max(errors):.1%}. "
            f"Written to {file}"
        )
    return rows


def recording(kind: str, where: str) -> Path:
    """The file in data/measurements/ for what was measured on the card (or processor) `where`."""
    short = re.sub(r"[^a-z0-9]+", "_", where.lower()).strip("_")
    return measurements() / f"{kind}_{short}.json"


def line(row: dict[str, Any]) -> str:
    """One setting of the table as text, sizes in MB."""
    job = Job(**row["job"])
    parts = (
        (True, planning.describe(job).replace(" tokens", "")),
        (job.layer == "peft" and job.recipe == "course", "PEFT"),
        (job.dtype == "fp32" and job.method != "full", "fp32"),
        (job.optimizer != replace(job, optimizer="adamw").optimizer, job.optimizer),
        (not isinstance(job.target_modules, str), ",".join(job.target_modules)),
    )
    about = ", ".join(part for is_so, part in parts if is_so).replace("checkpointing", "ckpt")
    about = about.replace(planning.RECIPE_NAMES["hf"], ", hf recipe")
    theirs = f"{row['accelerate'] / 1e6:>11,.0f}"
    if row["status"] != OK:
        predicted = f"{row['predicted'] / 1e6:>10,.0f}" if "predicted" in row else f"{'':>10}"
        return f"{about:<74}{predicted}{row['status']:>18}{theirs}"
    return f"{about:<74}{row['predicted'] / 1e6:>10,.0f}{row['measured'] / 1e6:>10,.0f}{row['error']:>+8.1%}{theirs}"


def _shape(name: str) -> memory.Shape:
    if name != BASE_NAME:
        return memory.shape_of(name)
    from transformers import AutoConfig

    return memory.shape_of(AutoConfig.for_model(**BASE))._replace(name=BASE_NAME)


def accelerate_says(shape: memory.Shape, job: Job) -> float:
    """Bytes by accelerate's estimator (`accelerate estimate-memory`): of training for full, of loading for the others.

    It knows neither adapters nor activations; of 4 bits it halves the bytes three times, all layers alike.
    """
    from accelerate.commands.estimate import estimate_training_usage
    from accelerate.utils import calculate_maximum_sizes

    model, _ = memory.build(shape, Job("full fp32", gradient_checkpointing=False))
    total, _largest = calculate_maximum_sizes(model)
    if job.method == "full":
        return float(max(estimate_training_usage(total, "float32" if job.dtype == "fp32" else "float16").values()))
    return total / (8 if job.method == "qlora" else 1 if job.dtype == "fp32" else 2)


def _in_a_process(name: str, what: Job) -> dict[str, Any]:
    """One setting, run by this very module as a program; its last line of output is the row."""
    said_so = json.dumps(what.counted())
    command = [sys.executable, "-m", __name__, name, said_so]
    done = subprocess.run(command, capture_output=True, text=True, env=kernel_environment())
    row: dict[str, Any] = {"status": OUT_OF_MEMORY}
    for printed in done.stdout.splitlines():
        if printed.startswith("{"):
            row = json.loads(printed)
    if done.returncode not in (0, -9, 137):  # -9: killed by the system, for the memory it took
        row |= {"status": FAILED, "why": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    return row


def run(name: str, job: Job) -> Iterator[dict[str, Any]]:
    """The row of one setting, ever fuller: predicted, then measured. Run it in a process of its own."""
    import torch

    card = models.card() is not None
    shape = _shape(name)
    predicted = memory.predict(shape, job, card)
    tensors = predicted.bill.total - predicted.bill.overhead
    row: dict[str, Any] = {
        "status": OUT_OF_MEMORY,
        "moment": predicted.moment,
        "predicted": tensors,
        "predicted_lines": predicted.bill._asdict(),
    }
    yield row
    if not card and predicted.bill.total > memory_bytes():
        return  # it would be killed on the way, and other programs with it
    model, optimizer = memory.build(shape, job, "cuda" if card else "cpu")
    ids = torch.randint(0, shape.config().vocab_size, (job.batch_size, job.seq))
    texts, path = [Encoded(one, one) for one in ids], memory.taped(model, job, card)
    if card:
        row |= _on_the_card(path.loss if path else plain(model), texts, optimizer)
    by_tape = memory.measure(model, texts, optimizer, path)
    row |= {"measured_lines": by_tape.bill._asdict(), "measured_moment": by_tape.moment, "tape": by_tape.bill.total}
    measured = row.get("allocated", by_tape.bill.total)
    yield row | {"status": OK, "measured": measured, "error": tensors / measured - 1}


def _on_the_card(loss_of: Callable[..., Any], texts: Sequence[Encoded], optimizer: Any) -> dict[str, Any]:
    """Two steps without a tape: what PyTorch's allocator gave out at most, what it reserved,
    what the card lost beside."""
    import torch

    for _ in range(2):  # the first also makes cuBLAS' workspaces
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        loss_of(texts).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "context": total - free - reserved,
    }


def main(name: str, said: str) -> None:
    """Print the row of one setting, each time it is known better; running out of memory leaves the first."""
    wanted = json.loads(said)
    try:
        for row in run(name, Job(**wanted)):
            print(json.dumps(row), flush=True)
    except RuntimeError as error:
        if not memory_ran_out(error):
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
