"""Tasks on Ray: a few at once, each with its share of the machine; one whose worker is killed is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

from ..errors import first_line
from ..interrupts import first_one_asks

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
