"""Train in several processes here, and say what came of it;
or write what accelerate needs for cards that are elsewhere."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lora_lessons.errors import Interrupted, ModelError, first_line, refuse
from lora_lessons.files import check_folder, read_text, refuse_existing, scratch
from lora_lessons.machine import kernel_environment
from lora_lessons.memory.bill import CONTEXT_BYTES, GIB
from lora_lessons.models import EMBEDDED
from lora_lessons.planning.cards import cards_of, find_card
from lora_lessons.tasks import Encoded
from lora_lessons.training import Settings
from lora_lessons.training.settings import TrainingStopped

from .launcher import (
    ACCELERATE,
    EXAMPLES,
    IN_A_FILE,
    JOB,
    LOG,
    NO_PORT,
    ClusterJob,
    write_accelerate_file,
    write_examples,
)


class RankLost(TrainingStopped):
    """A rank was killed; the message says which one, and from which step the same call goes on."""


class ClusterOutcome(NamedTuple):
    """What came of a training in several processes: one entry per step in `losses`, one per rank in the lists."""

    # of the whole batch, in nats per supervised token
    losses: list[float]
    # a folder in PEFT's format, as one process saves it
    adapter: Path
    # bytes of parameters that a rank holds between blocks: its shards
    held: list[int]
    # bytes that a rank's process held at most, from when its shards were made; libraries included
    peak: list[int]
    # bytes of weights and gradients that a rank has sent to the others
    sent: list[int]
    # the step that this call went on from; 0 where it began
    begun: int
    # a finished run of the same job was read back
    reused: bool
    # of training, without loading
    seconds: float


def run(
    processes: int,
    out: Path | str,
    *,
    base: str | Path = EMBEDDED,
    task: str | Path | Sequence[Encoded] = "persona",
    r: int = 8,
    lora_alpha: float = 16.0,
    settings: Settings | None = None,
    dtype: str = "fp32",
) -> ClusterOutcome:
    """Train a LoRA adapter with FSDP in `processes` ranks on this machine, into the folder `out`.

    Each batch is divided among the ranks, and the base among their memories; losses and adapter are those of one
    process, to rounding. One process is the course's plain training. `task` is a task of the course, a .jsonl of
    conversations, or examples that are tokens already; `dtype` of the base is "fp32", "bf16" or "nf4" (4 bits).
    A finished run is read back; one that was stopped or lost goes on from its checkpoint, with any number of ranks.
    Raises RankLost when a rank is killed, ValueError, ModelError or TrainingStopped with what a rank had to say.
    """
    out = Path(out).absolute()
    check_folder(out)
    if isinstance(processes, bool) or not isinstance(processes, int) or not 1 <= processes <= 64:
        raise ValueError(f"processes = {processes!r}: give a whole number from 1 to 64, such as 2.")
    told = str(task) if isinstance(task, str | Path) else EXAMPLES
    job = ClusterJob(str(base), told, r, float(lora_alpha), dtype, settings or Settings())
    job.write(out)
    if told == EXAMPLES:
        write_examples(task, out / EXAMPLES)  # type: ignore[arg-type]
    write_accelerate_file(out, processes)
    _launch(processes, out)
    return ClusterOutcome(adapter=out / "adapter", **json.loads(read_text(out / "account.json")))


def _launch(processes: int, out: Path) -> None:
    """Start accelerate's launcher and wait; whatever happens, no process is left.
    What the ranks print goes to a file."""
    command = [
        *(sys.executable, "-m", "lora_tools.cluster.launcher", "--config_file", str(out / ACCELERATE)),
        *(*IN_A_FILE, "-m", "lora_tools.cluster.worker", str(out)),
    ]
    env = kernel_environment() | {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)),
        "TQDM_DISABLE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    with scratch("cluster") as meeting, open(out / LOG, "w", encoding="utf-8") as log:
        # torch makes a file for the ranks to meet in, and leaves it
        env |= {"TMPDIR": str(meeting)}
        launcher = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            status = launcher.wait()
        except KeyboardInterrupt:
            raise Interrupted("Stopped; the same call goes on from the last checkpoint.") from None
        finally:
            stop(launcher)
    if status < 0:
        raise RankLost(f"the launcher was killed (signal {-status}): the same call goes on from the last checkpoint.")
    if status:
        raise what_was_said(read_text(out / LOG), out)


def stop(launcher: subprocess.Popen[bytes]) -> None:
    """End the launcher, which ends its ranks; they end by themselves when it is killed."""
    if launcher.poll() is None:
        launcher.terminate()
        try:
            launcher.wait(timeout=20)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()


def what_was_said(log: str, out: Path) -> Exception:
    """The error that the launcher's last line stands for."""
    last = (log.strip().splitlines() or ["no message"])[-1]
    head, _, sentence = last.partition(": ")
    if head == "Lost":
        return RankLost(sentence)
    kind, _, sentence = sentence.partition(": ")
    kinds = {"ValueError": ValueError, "ModelError": ModelError, "TrainingStopped": TrainingStopped}
    if head == "Failed" and kind in kinds:
        return kinds[kind](sentence)
    return ModelError(f"a rank failed ({first_line(ValueError(last))}): {out / LOG} has all that the ranks said.")


# What the second machine's owner must put in the place of this.
ADDRESS = "ADDRESS_OF_MACHINE_0"
BETWEEN_MACHINES = (
    f"Put machine 0's address in the place of {ADDRESS}, and give each line to its machine within a few minutes of the "
    "others. Port 29500 of machine 0 must be open to them, and to nobody else: whoever reaches it can join."
)
# The largest clusters that train language models have some 100,000 cards.
MOST_CARDS = 100_000
# The dtype of the base in each method.
METHODS = {"qlora": "nf4", "lora": "bf16"}


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Machines alike: `cards` of `card_gb` GB in each of `nodes`, and `host_ram_gb` of memory, if known.

    `storage` is the dtype that 4-bit codes are kept as, `fsdp` its version.
    """

    cards: int
    card_gb: float
    nodes: int = 1
    host_ram_gb: float | None = None
    offload: bool = False
    storage: str = "bf16"
    fsdp: int = 2

    @property
    def ranks(self) -> int:
        """One for each card."""
        return self.cards * self.nodes


class Sizes(NamedTuple):
    """Bytes of a frozen base as a rank meets it: all of it, and the largest unit that is gathered at once."""

    base: float
    unit: float


def cards_and_gb(text: str) -> tuple[int, float]:
    """(2, 24.0) of "2x24", (8, 141.0) of "8xH200": cards of a machine, and the GB of each. Raises ValueError."""
    try:
        number, card = cards_of(text)
        gb = find_card(card)[1] / GIB
    except ValueError as error:
        raise ValueError(
            f"--cards {text!r}: give how many cards a machine has, and the GB or the name of each, such as 2x24 or "
            "8xH200."
        ) from error
    if not number:
        raise ValueError(f"--cards {text!r}: give at least one card.")
    return number, gb


def check(cluster: Machines, method: str, sizes: Sizes | None) -> None:
    """Raise ValueError, with what to do, for a setting that would train nothing or fail. Sizes: None where unknown."""
    refuse(
        (
            cluster.ranks < 2,
            "one card has nobody to share with: train on it with `training.train`, as in lesson 08.",
        ),
        (
            cluster.ranks > MOST_CARDS,
            f"{cluster.ranks:,} cards are more than any cluster has: give fewer, {MOST_CARDS:,} at most.",
        ),
        (
            method == "qlora" and cluster.storage == "uint8",
            "--storage uint8: FSDP divides floating-point parameters, so packed 4-bit weights would stay whole on each "
            "card, or, in accelerate before 1.15, train nothing (loss 0 or NaN, accelerate#3874): keep them as bf16.",
        ),
        (
            method == "qlora" and cluster.storage != "bf16",
            f"--storage {cluster.storage}: the course computes in bf16 on cards, and 4-bit codes must be kept as the "
            "dtype that is computed in, or FSDP casts them and they are codes no more: use bf16.",
        ),
        (
            cluster.fsdp != 2,
            f"--fsdp {cluster.fsdp}: FSDP1 makes one flat parameter of each block, which needs one dtype, and the "
            "course's adapters are fp32 beside a bf16 base (PEFT must cast them, too): use 2.",
        ),
    )
    if sizes:
        _check_memory(cluster, sizes)


def _check_memory(cluster: Machines, sizes: Sizes) -> None:
    shards = 0.0 if cluster.offload else sizes.base / cluster.ranks
    room = cluster.card_gb * GIB - CONTEXT_BYTES
    # so many cards hold the base in shards, each beside the largest unit
    needed = math.ceil(sizes.base / (room - sizes.unit)) if sizes.unit < room else math.inf
    fewest = cluster.ranks if shards + sizes.unit <= room else needed
    refuse(
        (
            sizes.unit > room or fewest > MOST_CARDS,
            f"a card of {cluster.card_gb:g} GB cannot hold the driver's {CONTEXT_BYTES / 1e9:.1f} GB and the largest "
            f"part that is gathered at once, {sizes.unit / 1e9:.1f} GB: more cards do not help; larger ones do.",
        ),
        (
            fewest > cluster.ranks,
            f"each card would hold {shards / 1e9:.1f} GB of shards and gather {sizes.unit / 1e9:.1f} GB beside them, "
            f"and has {cluster.card_gb:g}: use at least {fewest:,} cards, qlora in place of lora, or --offload.",
        ),
    )
    loading = cluster.cards * sizes.base
    if cluster.host_ram_gb is not None and loading > cluster.host_ram_gb * GIB:
        raise ValueError(
            f"each of {cluster.cards} ranks of a machine reads the whole base before it is cut, {loading / 1e9:.0f} GB "
            f"in all, and the machine has {cluster.host_ram_gb:g}: it needs more memory, "
            "or fewer cards in each machine."
        )


def sizes_of(model: str, method: str, r: int) -> Sizes | None:
    """What a base of this shape weighs, from its configuration alone; None where no hub gives that here.

    Raises ModelError for a folder on this machine that gives none.
    """
    import torch

    from lora_lessons import models
    from lora_lessons.lora import resolve_targets
    from lora_lessons.memory import BASE_BYTES, shape_of
    from lora_lessons.memory.build import skeleton
    from lora_lessons.memory.tape import blocks

    try:
        net = skeleton(shape_of(model), torch.bfloat16)
    except ModelError:
        if not models.is_hub_id(model):
            raise
        return None
    packed = {f"{name}.weight" for name in resolve_targets(net, "all-linear") if method == "qlora"}
    weights = {name: p.numel() * BASE_BYTES["nf4" if name in packed else "bf16"] for name, p in net.named_parameters()}
    block = next(name for name, module in net.named_modules() if module is blocks(net)[0])
    # its fp32 adapters are gathered with it
    adapters = sum(4 * r * sum(p.shape) for p in blocks(net)[0].parameters() if p.ndim == 2)
    unit = adapters + sum(size for name, size in weights.items() if name.startswith(f"{block}."))
    # embeddings and head are units of their own, or one where they are tied
    return Sizes(
        base=sum(weights.values()), unit=max(unit, *(weights[name] for name in weights if ".layers." not in name))
    )


def memory_in_words(cluster: Machines, sizes: Sizes | None) -> str:
    """What each machine will hold of the base, in a sentence."""
    if sizes is None:
        return "The model's shape could not be had here, so whether it fits was not checked."
    where = "the machine's memory" if cluster.offload else "each card"
    return (
        f"Shards of {sizes.base / cluster.ranks / 1e9:.2f} GB in {where}, and {sizes.unit / 1e9:.2f} GB gathered at "
        "once; activations come on top."
    )


def write_launch_files(folder: Path, cluster: Machines, job: ClusterJob, *, overwrite: bool = False) -> list[str]:
    """Write accelerate's file and the job into `folder`; return the line that starts each machine.

    Raises FileExistsError, unless `overwrite`, when either is there.
    """
    for file in (folder / ACCELERATE, folder / JOB):
        refuse_existing(file, overwrite)
    lines = launch_lines(folder, cluster)
    (folder / JOB).unlink(missing_ok=True)
    job.write(folder)
    head = "".join(f"# {line}\n" for line in [f"Written by lora-lessons cluster config, with {JOB} beside it.", *lines])
    write_accelerate_file(folder, cluster.ranks, cluster.nodes, offload=cluster.offload, head=head)
    return lines


def launch_lines(folder: Path, cluster: Machines) -> list[str]:
    """One line for each machine: the same file, and which machine it is.
    On several, `folder` must be one they all see."""
    start = f"accelerate launch --config_file {shlex.quote(str(folder / ACCELERATE))}"
    what = f"-m lora_tools.cluster.worker {shlex.quote(str(folder))}"
    if cluster.nodes == 1:
        variables = " ".join(f"{name}={value}" for name, value in NO_PORT.items())
        return [f"{variables} {start} {' '.join(IN_A_FILE)} {what}"]
    return [f"{start} --machine_rank {node} --main_process_ip {ADDRESS} {what}" for node in range(cluster.nodes)]
