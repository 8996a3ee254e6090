"""A 7B trained on a processor: built in 4 bits, adapters attached, true steps taken, and what it cost.

It runs in a process of its own, so that its peak memory is its own; killed, it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..files import write_text
from ..machine import kernel_environment, machine, peak_bytes, resident_bytes, versions
from ..memory import GB
from ..models import SHAPES
from ..paths import cache_dir, course_root

RECORD = "record.json"
STAND_IN = "Qwen2.5-7B"  # the shape with random weights, where there is a card and no hub


DEFAULTS: dict[str, Any] = {
    "model": "Qwen2.5-7B", "steps": 10, "r": 16, "lora_alpha": 32, "seq": 64, "learning_rate": 2e-4, "seed": 0,
    "checkpoint_every": 2, "changed": {},
}  # fmt: skip


# Memory in pages of 2 MB, where the system offers them: in pages of 4 kB the kernel takes several times longer to hand
# out a large tensor than it takes to fill it.
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


def train_seven_b(
    model: str | Path = "Qwen2.5-7B", *, run_dir: Path | str | None = None, **settings: Any
) -> dict[str, Any]:
    """Train LoRA on a 7B in NF4 on this machine's processor; return what was measured.

    `model` is a name of models.SHAPES (random weights), a local folder or a hub id (real ones). `settings`: steps, r,
    lora_alpha, seq (tokens of the one sequence that every step sees), learning_rate, seed, checkpoint_every, and
    `changed`, fields of a random model's configuration. All linear layers, AdamW, gradient checkpointing.
    Progress is shown; adapters and moments are written to `run_dir` every few steps, and the same call goes on from
    there. A finished run of the same settings, machine and versions is read back (its record says "reused"), unless
    $LORA_LESSONS_FRESH is set.
    Raises ModelError when the model cannot be had or memory ran out, ValueError for a setting that cannot be.
    """
    if unknown := set(settings) - set(DEFAULTS):
        raise ValueError(f"{sorted(unknown)[0]} is no setting of this run: choose from {', '.join(DEFAULTS)}.")
    wanted = DEFAULTS | settings | {"model": str(model)}
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(run_dir) if run_dir else cache_dir() / "runs" / f"seven_b-{mark}"
    record = _read(folder / RECORD)
    now = {"settings": wanted, "machine": machine(), "versions": versions()}
    if record and now.items() <= record.items() and not os.environ.get("LORA_LESSONS_FRESH"):
        return record | {"reused": True}
    (folder / RECORD).unlink(missing_ok=True)
    _child("train", wanted, folder, LARGE_PAGES)
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _child(task: str, wanted: dict[str, Any], folder: Path, environment: dict[str, str]) -> None:
    """Run one task of this module in a new process, show what it prints, and pass its error on."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        __name__ if __name__ != "__main__" else __spec__.name,
        task,
        json.dumps(wanted),
        str(folder),
    ]
    env = kernel_environment() | environment | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as child:
        said = b""
        try:
            while chunk := os.read(child.stdout.fileno(), 4096):  # type: ignore[union-attr]
                said = (said + chunk)[-4000:]
                sys.stderr.write(chunk.decode(errors="replace"))
                sys.stderr.flush()
        except BaseException:
            child.terminate()
            raise
    if child.returncode < 0:
        raise ModelError(
            f"the run was killed (signal {-child.returncode}): most likely memory ran out; close what else is running. "
            "Run it again: it goes on from its last checkpoint."
        )
    if child.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["no message"]
        kind, _, sentence = lines[-1].rpartition("Error: ")
        raise (ValueError if kind == "Value" else ModelError)(sentence)


def _train(wanted: dict[str, Any], folder: Path) -> None:
    """What the process does: build, attach, train, and write the record."""
    from .. import lora, training

    start = time.perf_counter()
    base, tokenizer = _base(wanted)
    build_seconds, built = time.perf_counter() - start, resident_bytes()
    adapted = lora.attach(base, wanted["r"], wanted["lora_alpha"], "all-linear", seed=wanted["seed"])
    settings = training.Settings(
        steps=wanted["steps"], batch_size=1, learning_rate=wanted["learning_rate"], warmup=1, seed=wanted["seed"],
        gradient_checkpointing=True, checkpoint_every=wanted["checkpoint_every"],
    )  # fmt: skip
    before = _story(folder / training.CHECKPOINT)
    # Finished without a record that holds: there is nothing to measure but a new run.
    reuse = not (folder / training.FINISHED).is_file() and not os.environ.get("LORA_LESSONS_FRESH")
    result = training.train(base, [_sequence(base, tokenizer, wanted)], settings, run_dir=folder, reuse=reuse)
    record = {
        "what": f"LoRA on {wanted['model']} in NF4 on a processor: {wanted['steps']} steps on one sequence",
        "weights": "random" if tokenizer is None else "real",
        "machine": machine(),
        "date": date.today().isoformat(),
        "versions": versions(),
        "settings": wanted,
        "threads": _threads(),
        "compute_dtype": str(base.config.quantization_config.bnb_4bit_compute_dtype).removeprefix("torch."),
        "base_numbers": _numbers(base),
        "trainable_numbers": lora.trainable_parameters(base),
        "adapted_layers": len(adapted),
        "build_seconds": round(build_seconds, 1),
        "seconds_a_step": round(result.seconds / len(result.losses), 2),
        "tokens_a_step": result.tokens // len(result.losses),
        "resident_bytes_built": built,
        "peak_bytes": peak_bytes(),
        "resumed_at": before if reuse else 0,
        "losses": [round(loss, 4) for loss in result.losses],
    }
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def _story(checkpoint: Path) -> int:
    """How many steps an interrupted run has behind it."""
    from safetensors import safe_open

    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, "pt") as file:
        return len(json.loads(file.metadata()["training"])["losses"])


def _base(wanted: dict[str, Any]) -> tuple[Any, Any]:
    from .. import models

    if wanted["model"] in SHAPES:
        return models.random_base(wanted["model"], "nf4", "cpu", seed=wanted["seed"], **wanted["changed"]), None
    base = models.load(wanted["model"], "nf4", "cpu")
    return base.model, base.tokenizer


def _sequence(base: Any, tokenizer: Any, wanted: dict[str, Any]) -> Any:
    """The one sequence of every step: plain English for a real model, random tokens for a random one; all supervised."""
    import torch

    from .. import tasks

    if tokenizer is None:
        generator = torch.Generator().manual_seed(wanted["seed"])
        ids = torch.randint(base.config.vocab_size, (wanted["seq"],), generator=generator)
    else:
        ids = tokenizer(tasks.general_text(), return_tensors="pt")["input_ids"][0][: wanted["seq"]]
    return tasks.Encoded(ids, ids.clone())


def _numbers(base: Any) -> int:
    """The numbers of the base: a packed weight counts what it holds, not its bytes."""
    sizes = [
        p.quant_state.shape.numel() if hasattr(p, "quant_state") else p.numel()
        for n, p in base.named_parameters()
        if "lora_" not in n
    ]
    return sum(sizes)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _time(wanted: dict[str, Any], folder: Path) -> None:
    """Seconds of a training step: our layer, or PEFT's around bitsandbytes' as `wanted["layer"]` says."""
    import peft
    import torch

    from .. import lora, tasks, training

    base, tokenizer = _base(wanted)
    model = base
    if wanted["layer"] == "stock":
        _make_stock(base)
    if wanted["layer"] == "ours":
        lora.attach(base, wanted["r"], wanted["lora_alpha"])
    else:
        config = peft.LoraConfig(
            r=wanted["r"], lora_alpha=wanted["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        )
        model = peft.get_peft_model(base, config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=wanted["learning_rate"])
    batch = tasks.collate([_sequence(base, tokenizer, wanted)], pad_id=0)
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


def _make_stock(base: Any) -> None:
    """The same weights under bitsandbytes' own layer, embeddings and head in the compute dtype: as transformers loads it."""
    import bitsandbytes as bnb
    import torch

    from ..models.four_bit_layers import SlicedLinear4bit, WidenedLinear

    dtype = base.config.quantization_config.bnb_4bit_compute_dtype
    for module in base.modules():
        if isinstance(module, SlicedLinear4bit):
            module.__class__ = bnb.nn.Linear4bit  # type: ignore[assignment]
        elif isinstance(module, WidenedLinear):
            module.__class__ = torch.nn.Linear  # type: ignore[assignment]
            module.to(dtype)
    base.get_input_embeddings().to(dtype)


def bench(layers: int = 4, steps: int = 3, rounds: int = 2, **settings: Any) -> float:
    """Time a step of the stock way (PEFT around bitsandbytes' layer, memory as the system hands it out) and of ours.

    Both in processes of their own, in turn, on the first `layers` blocks of the same random 7B; prints every time, and
    what the processor worked (which another program's work changes less), and returns ours ÷ stock by the clock.
    """
    wanted = (
        DEFAULTS | settings | {"steps": steps, "changed": settings.get("changed", {}) | {"num_hidden_layers": layers}}
    )
    clock: dict[str, list[float]] = {"stock": [], "ours": []}
    work: dict[str, list[float]] = {"stock": [], "ours": []}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(rounds):
            for layer in sorted(clock, reverse=turn % 2 == 0):
                _child("time", wanted | {"layer": layer}, Path(temporary), LARGE_PAGES if layer == "ours" else {})
                result = json.loads((Path(temporary) / f"{layer}.json").read_text(encoding="utf-8"))
                clock[layer] += result["seconds"]
                work[layer] += result["processor_seconds"]
                each = " ".join(f"{s:.2f}" for s in result["seconds"])
                print(
                    f"{layer:>5}: {each} s a step, loss {result['loss']:.3f}, peak {result['peak_bytes'] / GB:.2f} GB"
                )
    print(f"{layers} blocks, {wanted['seq']} tokens, medians of a step:")
    for name, times in (("clock", clock), ("processor", work)):
        stock, ours = (statistics.median(times[layer]) for layer in ("stock", "ours"))
        print(f"{name:>9}: stock {stock:.2f} s, ours {ours:.2f} s, ratio {ours / stock:.2f}")
    return statistics.median(clock["ours"]) / statistics.median(clock["stock"])


def recorded() -> Path:
    """The run that the course quotes, with its machine, date and versions."""
    return course_root() / "data" / "measurements" / "seven_b_cpu.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m lora_lessons.experiments.seven_b [--record | --bench]: for maintainers; the lesson calls train_seven_b."""
    parser = argparse.ArgumentParser(prog="python -m lora_lessons.experiments.seven_b", description=__doc__)
    parser.add_argument("--model", default=DEFAULTS["model"], help="a name of models.SHAPES, a folder or a hub id")
    parser.add_argument("--steps", type=int, default=DEFAULTS["steps"])
    parser.add_argument(
        "--record", action="store_true", help="train from the start, and write data/measurements/seven_b_cpu.json"
    )
    parser.add_argument("--bench", action="store_true", help="time a step against the stock way, and print the ratio")
    parser.add_argument("--layers", type=int, default=4, help="blocks that --bench times")
    options = parser.parse_args(arguments)
    if options.bench:
        bench(options.layers, min(options.steps, 3), model=options.model)
        return 0
    if options.record:
        os.environ["LORA_LESSONS_FRESH"] = "1"  # a recording is one unbroken run, made now
    record = train_seven_b(options.model, steps=options.steps)
    print(json.dumps(record, indent=1))
    if options.record:
        write_text(recorded(), json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("train", "time"):
        from ..training import TrainingStopped

        try:
            {"train": _train, "time": _time}[sys.argv[1]](json.loads(sys.argv[2]), Path(sys.argv[3]))
        except (ModelError, ValueError, TrainingStopped) as error:
            sys.exit(f"{'Value' if isinstance(error, ValueError) else 'Model'}Error: {error}")
    else:
        sys.exit(main())
