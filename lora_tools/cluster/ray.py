"""Ray for one command: tasks, a few at once, tried again when a worker is killed; bad runs stopped early by ASHA."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import os
import secrets
import socket
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from lora_lessons.errors import first_line
from lora_lessons.files import scratch
from lora_lessons.interrupts import first_one_asks, handlers_kept

LONGEST_FOLDER = 8  # characters of the temporary folder: a socket's whole path may have about 100
LOOPBACK = "127.0.0.1"
TOKEN = secrets.token_hex(32)  # of every Ray that this process starts: Ray reads it once


def check_installed() -> None:
    """Raise ValueError, naming the extra to install, where there is no Ray."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError("Ray is not installed: pip install 'lora-lessons[cluster]', or leave out --ray.")


@contextmanager
def running(address: str, share: Share, slots: int) -> Iterator[int]:
    """While the block runs there is Ray; yields how many tasks of one `share` it runs at once.

    Without an address it is started here, for `slots` tasks, and ends with the block: on loopback, with a token of its
    own, without a dashboard, and nothing is told to Ray's makers. With HOST:PORT, or "auto" for the one on this
    machine, it is joined and left again. A Ray that this process has already is used as it is, without an address.
    Raises ValueError in one sentence where it cannot be started, or none answers at `address`.
    """
    import ray

    with ExitStack() as stack:
        if ray.is_initialized() and address:
            raise ValueError(f"this process has a Ray already: leave out {address} to use that one.")
        if not ray.is_initialized():
            stack.enter_context(patch.dict(os.environ, RAY_USAGE_STATS_ENABLED="0"))
            home = None if address else stack.enter_context(_alone())
            stack.callback(_leave)
            if home:
                _start(home, share, slots)
            else:
                _join(address)
        yield sum(share.fits(node["Resources"]) for node in ray.nodes() if node["Alive"])


@contextmanager
def _alone() -> Iterator[Path]:
    """While the block runs, a Ray that is started stays on this machine and asks for our token; yields its folder."""
    from ray._private import ray_constants

    place = "/tmp" if len(tempfile.gettempdir()) > LONGEST_FOLDER else None
    told = {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", "RAY_AUTH_TOKEN": TOKEN}
    # where there may be a cluster, Ray takes 127.0.0.1 for a wish to be reached from outside
    no_cluster = patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False)
    with scratch("ray", place) as home, no_cluster, patch.dict(os.environ, told):
        # without a mode, Ray turns its token on for what it starts itself
        os.environ.pop("RAY_AUTH_MODE", None)
        yield home


def _start(home: Path, share: Share, slots: int) -> None:
    """Start Ray on this machine, with its files in `home`. Raises ValueError."""
    try:
        _init(
            "local",
            num_cpus=slots * share.threads,
            num_gpus=slots * share.cards,
            object_store_memory=10**8,
            include_dashboard=False,
            _memory=slots * share.memory,
            _node_ip_address=LOOPBACK,
            _temp_dir=str(home),
        )
    except Exception as error:  # Ray says in many ways that a process of its own was late
        raise ValueError(
            f"Ray could not be started ({first_line(error)}): leave out --ray, or try again when the "
            "machine is less busy."
        ) from error


def _join(address: str) -> None:
    """Join the Ray that runs at `address`. Raises ValueError."""
    again = "start one with `ray start --head`, or leave the address out to have one on this machine"
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and "/" not in host and port.isdecimal()):
        raise ValueError(f"{address} is no address of Ray: give HOST:PORT, such as 10.0.0.5:6379, or auto.")
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
        _init(address)
    except (OSError, OverflowError) as error:
        raise ValueError(f"no Ray answers at {address} ({first_line(error)}): {again}.") from error
    except RuntimeError as error:
        raise ValueError(f"the Ray at {address} cannot be joined ({first_line(error)}).") from error


def _init(address: str, **settings: Any) -> None:
    import ray

    with handlers_kept():
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)


def _leave() -> None:
    """Leave Ray, or end all of one that was started here."""
    import ray

    with first_one_asks():
        ray.shutdown()


Input = TypeVar("Input", bound=Hashable)
TRIES = 4  # of a task whose worker dies; its own errors are not tried again
PATIENCE = 5.0  # seconds for what was asked to end, before it is killed


class Share(NamedTuple):
    """What each task gets: threads, bytes of memory, and cards."""

    threads: int
    memory: int
    cards: int = 0

    def fits(self, node: dict[str, float]) -> int:
        """How many such tasks a machine with these of Ray's resources runs at once."""
        ways = [node.get("CPU", 0) // self.threads, node.get("memory", 0) // self.memory]
        ways += [node.get("GPU", 0) // self.cards] if self.cards else []
        return int(min(ways))


class WorkerDied(RuntimeError):
    """A task's worker was killed each time that it ran."""


def each(
    inputs: Sequence[Input],
    task: Callable[..., Any],
    arguments: Callable[[Input], tuple[Any, ...]],
    share: Share,
    slots: int,
    show: Callable[[list[Input]], object],
) -> Generator[tuple[Input, Any], None, None]:
    """Run task(*arguments(one)) in a worker for each of `inputs`, `slots` at once; yield (one, result) as they end.

    `show` hears which are running. A task whose worker is killed is tried again; after TRIES its result is a
    WorkerDied. An error of the task itself is raised as it is. When the caller stops early, what still runs is ended.
    """
    import ray

    remote = ray.remote(
        num_cpus=share.threads, num_gpus=share.cards, memory=share.memory, max_retries=TRIES - 1, retry_exceptions=False
    )(task)
    waiting, at_work = deque(inputs), dict[Any, Input]()
    try:
        while waiting or at_work:
            while waiting and len(at_work) < slots:
                at_work[remote.remote(*arguments(waiting[0]))] = waiting[0]
                waiting.popleft()
            show(list(at_work.values()))
            (ended,), _ = ray.wait(list(at_work), num_returns=1)
            yield at_work.pop(ended), _result(ended)
    finally:
        if at_work:
            with first_one_asks():
                _end(list(at_work))


def _result(ended: Any) -> Any:
    """What a task returned. Raises the error that it ended with."""
    import ray

    try:
        return ray.get(ended)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError) as error:
        return WorkerDied(first_line(error))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _end(tasks: list[Any]) -> None:
    """Interrupt tasks that still run; those that do not end soon are killed with their workers."""
    import ray

    for force in (False, True):
        for task in tasks:
            ray.cancel(task, force=force)
        _, tasks = ray.wait(tasks, num_returns=len(tasks), timeout=PATIENCE)
        if not tasks:
            return


KEEP = 2  # each rung is at so many times the steps of the last; and of so many runs at a rung, one goes on (the median)


def rungs(steps: int) -> list[int]:
    """The steps at which a run of `steps` is judged: a quarter, when the warm-up is over, and a half."""
    judged_at = [max(1, steps // 4)]
    while judged_at[-1] * KEEP < steps:
        judged_at.append(judged_at[-1] * KEEP)
    return [rung for rung in judged_at if rung < steps]


class Referee:
    """Says how far each run may train. Runs are compared within a group alone: one seed, and so the same examples."""

    def __init__(self, steps: int) -> None:
        self.steps, self.rungs = steps, rungs(steps)
        # by group and rung: each run's mean loss since the rung before, in nats, in the order in which they came
        self._came: dict[tuple[Any, int], dict[str, float]] = {}

    def may_take(self, name: str, group: Any, losses: Sequence[float]) -> int:
        """How many steps the run `name` may take, having seen these losses: its next rung, or all; 0 stops it.

        The same question has the same answer, also when a killed run comes to a rung again.
        """
        for before, rung in zip([0, *self.rungs], self.rungs, strict=False):
            if len(losses) < rung:
                return rung
            if not self._goes_on(name, group, rung, statistics.fmean(losses[before:rung])) and len(losses) < self.steps:
                return 0
        return self.steps

    def _goes_on(self, name: str, group: Any, rung: int, loss: float) -> bool:
        """Whether the run goes on from `rung`: ASHA lets it where it is in the better half of
        those that came before it."""
        came = self._came.setdefault((group, rung), {})
        came.setdefault(name, loss)
        before = itertools.takewhile(lambda other: other != name, came)
        known = [came[other] for other in before if not math.isnan(came[other])]
        return not known or not came[name] > statistics.median(known)
