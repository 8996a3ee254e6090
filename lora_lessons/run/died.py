"""What to say when a lesson's kernel died: why, what is kept of its training, and what would have needed less memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..paths import cache_dir

WHY = "the kernel died: it ran out of memory, was killed, or a library crashed."
# Parameters that need less memory when they are so, the mildest first.
LIGHTER = {
    "gradient_checkpointing": True,
    "batch_size": 1,
    "max_tokens": 256,
    "precision": "nf4",
}


def why_it_died(has: Collection[str], given: Mapping[str, Any], begun: float, *, fresh: bool = False) -> str:
    """The message: `has` are the lesson's parameters, `given` those of this run, `begun` its time as time.time() has it."""
    said = f"{WHY} {kept_since(begun, fresh=fresh)} Close other programs, and run this lesson alone."
    smaller = [f"-p {name} {value}" for name, value in LIGHTER.items() if name in has and given.get(name) != value]
    if not smaller:
        return said
    return f"{said} If that does not help, one of these does, and trains anew: {', '.join(smaller)}."


def kept_since(begun: float, *, fresh: bool = False) -> str:
    """What is kept of the training that was under way, by its newest file in the cache."""
    from ..training import CHECKPOINT, FINISHED, steps_done

    files = [file for name in (CHECKPOINT, FINISHED) for file in (cache_dir() / "runs").glob(f"*/{name}")]
    times = {file: file.stat().st_mtime for file in files if file.is_file()}
    newest = max(times, key=lambda file: times[file], default=None)
    if newest is None or times[newest] < begun:
        return "No step of a training was kept."
    again = "the same command, without --fresh," if fresh else "the same command"
    if newest.name == FINISHED:
        return f"Its training was finished and is kept: {again} reads it back."
    return f"Its training is kept up to step {steps_done(newest)}: {again} goes on from there."
