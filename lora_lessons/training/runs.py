"""A run: the loop of loop.py, with what was finished before read back, checkpoints on the way, and progress shown.

One process at a time works in its folder; stopped by hand, it stops between two steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..errors import Interrupted as Interrupted
from ..interrupts import first_one_asks
from ..paths import cache_dir
from ..tasks import Encoded
from .checkpoint import CHECKPOINT, FINISHED, fingerprint, moments, read_checkpoint, write_checkpoint
from .loop import checkpointing, loss_scaler, no_cache, trainable, training_steps
from .processes import ALONE, Alone
from .settings import Settings, Training, make_optimizer, parameter_groups


def train(
    model: nn.Module,
    examples: Sequence[Encoded],
    settings: Settings,
    *,
    run_dir: Path | str | None = None,
    reuse: bool = True,
    on_step: Callable[[Training], object] | None = None,
    name: str = "",
    ranks: Alone = ALONE,
) -> Training:
    """Train every parameter of `model` that requires a gradient, in place, on `examples`.

    A finished run of the same settings, data, start weights, code, versions and machine is read back, and said on
    screen; an interrupted one goes on from its checkpoint, to the same weights bit for bit. Both lie in `run_dir`
    (default: a folder in the cache). reuse=False or $LORA_LESSONS_FRESH trains from the start. `on_step` hears of every
    step taken now, with the story so far, when its checkpoint is written, and once of a run that is read back; it may
    ask the model, and must not change it.
    While another process trains the same run it waits, and then reads that back. With several `ranks` (see
    `cluster.fsdp`) each of them calls this with the same arguments; `name` then says which runs are the same, in place
    of the fingerprint.
    Raises TrainingStopped when the loss is not finite, a matrix gets no gradient, or the disk is full; ValueError when
    there is nothing to train, `run_dir` holds another run, or a paged optimizer has no card; Interrupted when it is
    stopped by hand: after the step that is running, which is kept, or at once when asked a second time.
    """
    learned = trainable(model)
    if not learned:
        raise ValueError("nothing to train: no parameter requires a gradient. Attach adapters first (lora.attach).")
    if not examples:
        raise ValueError("nothing to train on: `examples` is empty.")
    if wrong := [type(one).__name__ for one in examples if not isinstance(one, Encoded)]:
        raise ValueError(
            f"`examples` holds a {wrong[0]}: give conversations as tokens, which tasks.encode(tokenizer, example) "
            "makes, each an Encoded(input_ids, labels)."
        )
    run = name or fingerprint(model, examples, settings)
    folder = Path(run_dir) if run_dir else cache_dir() / "runs" / run
    reuse = reuse and not os.environ.get("LORA_LESSONS_FRESH")
    with alone_in(folder) if ranks.main else nullcontext():
        return _train(model, examples, settings, learned, run, folder, reuse, on_step, ranks)


def _train(
    model: nn.Module,
    examples: Sequence[Encoded],
    settings: Settings,
    learned: dict[str, nn.Parameter],
    run: str,
    folder: Path,
    reuse: bool,
    on_step: Callable[[Training], object] | None,
    ranks: Alone,
) -> Training:
    """`train`, once the run has its name and `folder` is ours alone."""
    if reuse and (training := _kept(folder / FINISHED, run, learned, ranks)):
        training.reused = True
        taken = len(training.losses)
        print(f"Reused: the same run finished on {training.finished} in {training.seconds:.0f} s, {taken} steps.")
        if on_step:
            on_step(training)
        return training

    device = next(iter(learned.values())).device
    groups = parameter_groups(learned, settings.lr_ratio)
    optimizer = make_optimizer(settings.optimizer, groups, settings.learning_rate, settings.weight_decay, device)
    model, optimizer = ranks.shard(model, optimizer)
    learned = trainable(model)
    training = (reuse and _kept(folder / CHECKPOINT, run, learned, ranks, optimizer)) or Training(steps=settings.steps)
    scaler = loss_scaler(model, device, training.loss_scale)
    begun = kept = len(training.losses)
    goes_on = reuse and settings.checkpoint_every > 0
    if begun:
        print(f"Resumed at step {begun} of {settings.steps}, from a run that was interrupted.")

    steps = training_steps(model, examples, settings, optimizer, scaler, begun, ranks)
    silent = {} if ranks.main else {"disable": True}
    progress = tqdm(steps, initial=begun, total=settings.steps, unit="step", leave=False, **silent)
    in_memory = checkpointing(model) if settings.gradient_checkpointing else no_cache(model)
    with _training_mode(model), in_memory, first_one_asks() as asked_to_stop:
        start = time.perf_counter()
        try:
            for step in progress:
                training.add(step.loss, step.tokens, step.supervised, time.perf_counter() - start)
                training.loss_scale = scaler.state_dict()
                progress.set_postfix_str(f"loss {step.loss:.3f}, {training.tokens_per_second:.0f} tok/s")
                done, stop = step.number + 1, asked_to_stop()
                due = settings.checkpoint_every and (stop or done % settings.checkpoint_every == 0)
                if due and done < settings.steps:
                    write_checkpoint(folder / CHECKPOINT, run, learned, training, optimizer, main=ranks.main)
                    kept = done
                if on_step:
                    on_step(training)
                if stop and done < settings.steps:
                    raise KeyboardInterrupt
                start = time.perf_counter()
        except KeyboardInterrupt:
            raise Interrupted(stopped(len(training.losses), kept if goes_on else 0)) from None

    remembered = [value for p in learned.values() for value in moments(optimizer, p).values()]
    training.optimizer_bytes = sum(t.nbytes for t in remembered if isinstance(t, Tensor) and t.ndim)
    training.gradient_bytes = sum(p.grad.nbytes for p in learned.values() if p.grad is not None)
    optimizer.zero_grad()
    training.finished = date.today().isoformat()
    write_checkpoint(folder / FINISHED, run, learned, training, main=ranks.main)
    if ranks.main:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    print(
        f"Trained {settings.steps} steps in {training.seconds:.0f} s, {training.tokens_per_second:.0f} tokens a "
        f"second; loss {training.losses[0]:.2f} → {training.losses[-1]:.2f}."
    )
    if asked_to_stop():
        raise Interrupted(finished())
    return training


def _kept(
    path: Path, run: str, learned: dict[str, nn.Parameter], ranks: Alone, optimizer: Any = None
) -> Training | None:
    """`read_checkpoint` on every rank, on the main one first: it sets a damaged file aside."""
    with ranks.main_first():
        training = read_checkpoint(path, run, learned, optimizer)
    ranks.agree(len(training.losses) if training else 0)
    return training


@contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    """Dropout on while the block runs; afterwards the mode that was found."""
    was_training = model.training
    model.train()
    try:
        yield
    finally:
        model.train(was_training)


LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While the block runs, no other process is in `folder` under this lock; says so once when it has to wait for one.

    A killed process holds it no longer. Where no lock can be had, on a read-only disk say, the block runs without one.
    Raises Interrupted when it is stopped while it waits.
    """
    lock = _taken(folder)
    try:
        yield
    finally:
        if lock:
            lock.release()


def _taken(folder: Path) -> FileLock | None:
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        try:
            print("Another process is training this very run: waiting until it ends.", flush=True)
            lock.acquire(poll_interval=0.2)
        except KeyboardInterrupt:
            sentence = "Stopped while another process trains this run; run this cell again to go on."
            raise Interrupted(sentence) from None
    except (OSError, NotImplementedError):
        return None
    return lock


def stopped(done: int, kept: int) -> str:
    """What to say when training is stopped after `done` steps, of which the checkpoint has `kept`."""
    if kept == 0:
        return f"Stopped after step {done}; run this cell again to start from the beginning."
    step = "" if kept == done else f" from step {kept}"
    return f"Stopped after step {done}; run this cell again to go on{step}."


def finished() -> str:
    """What to say when training was asked to stop during its last step."""
    return "Stopped after the last step, so this training is finished and kept; run this cell again to go on."
