"""What each rank runs: the course's own training, on its part of the model and of every batch.

The ranks meet by a file and the loopback on one machine, by the launcher's address on several.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record

from lora_lessons import lora, models, training
from lora_lessons.adapter import save_adapter
from lora_lessons.files import read_text, write_text
from lora_lessons.machine import forget_peak, peak
from lora_lessons.paths import cache_dir
from lora_lessons.training.processes import ALONE, Alone, whole

from .fsdp import ShardedRank, on_cards, sharded_bytes
from .launcher import ClusterJob, end_with_parent, meeting_file, read_job

ADAPTER, RUN, ACCOUNT = "adapter", "run", "account.json"


@record
def main(folder: Path) -> None:
    """Train what FOLDER/job.json says, as the rank that the launcher has made of this process.

    Rank 0 writes FOLDER/adapter, in PEFT's format, and the account of all ranks, FOLDER/account.json.
    """
    end_with_parent()
    job, ranks = read_job(folder), meet()
    if not ranks.main:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    model = load(job)
    examples = job.examples(folder)
    lora.attach(model, job.r, job.lora_alpha)
    name = name_of_run(model, examples, job, ranks)
    begun = training.steps_done(folder / RUN / training.CHECKPOINT)
    forget_peak()
    run = training.train(model, examples, job.settings, run_dir=folder / RUN, name=name, ranks=ranks)
    account = account_of(folder, run, begun, model, ranks)
    make_whole(model)
    if ranks.main:
        write_text(folder / ACCOUNT, json.dumps(account) + "\n")
        save_adapter(model, folder / ADAPTER, models.which(job.base).name, overwrite=True)
    leave(ranks)


def account_of(folder: Path, run: training.Training, begun: int, model: nn.Module, ranks: Alone) -> dict[str, Any]:
    """What came of the run, as `run` hands it out; of one that was read back, what it said of itself then."""
    if run.reused:
        kept = json.loads(read_text(folder / ACCOUNT)) if (folder / ACCOUNT).is_file() else {}
        nothing: dict[str, Any] = {"held": [], "peak": [], "sent": []}
        return nothing | kept | {"losses": run.losses, "begun": 0, "reused": True, "seconds": run.seconds}
    held, peaks, sents = ranks.each(
        sharded_bytes(model), peak(), ranks.traffic.sent if isinstance(ranks, ShardedRank) else 0
    )
    columns = {"held": held, "peak": peaks, "sent": sents}
    return columns | {"losses": run.losses, "begun": begun, "reused": False, "seconds": run.seconds}


def load(job: ClusterJob) -> Any:
    """The base in the processor's memory, whole: FSDP moves each block's shards to the card, where there is one."""
    place, compute = models.folder(job.base), four_bit_dtype(on_cards())
    if job.dtype == "nf4":
        # bitsandbytes takes seconds to import
        from lora_lessons.models.four_bit import Format
        from lora_lessons.models.tensor_by_tensor import load as load_four_bit

        from .fsdp import store_as

        net = load_four_bit(place, Format("nf4", compute), cache=cache_dir() / "4bit", name=str(place))
        return store_as(models.keep_trainable(net), compute)
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(
        place,
        dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[job.dtype],
        trust_remote_code=False,
        **models.BASE_ALONE,
    )
    return net.eval()


def four_bit_dtype(cards: bool) -> torch.dtype:
    """What a 4-bit base is computed in, and what its codes are kept as, which must be the same (see `four_bit`).

    bf16 on cards, as `cluster config` promises and the plan counts; fp32 on a CPU.
    """
    return torch.bfloat16 if cards else torch.float32


def name_of_run(model: nn.Module, examples: list[Any], job: ClusterJob, ranks: Alone) -> str:
    """The run's name, the same for any number of ranks and threads: rank 0 finds it, and tells the others."""
    digits = torch.zeros(24, dtype=torch.uint8)
    if ranks.main:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        digest = hashlib.sha256(training.fingerprint(model, examples, job.settings).encode())
        torch.set_num_threads(threads)
        for file in ("fsdp.py", "worker.py"):
            digest.update(Path(__file__).with_name(file).read_bytes())
        digits = torch.tensor(list(digest.hexdigest()[:24].encode()), dtype=torch.uint8)
    if ranks.count > 1:
        dist.broadcast(digits, src=0)
    return bytes(digits.tolist()).decode()


@torch.no_grad()
def make_whole(model: nn.Module) -> None:
    """Put the shards of every A and B together, on each rank, in place; the base stays sharded."""
    for _, layer in lora.lora_layers(model):
        layer.lora_A = nn.Parameter(whole(layer.lora_A.detach()))
        layer.lora_B = nn.Parameter(whole(layer.lora_B.detach()))


def meet() -> Alone:
    """Join the other ranks that the launcher has started; alone, there is nothing to join.

    On one machine nothing is heard beyond it: the ranks meet in a file, and gloo and NCCL talk over the loopback.
    On several they meet at rank 0's machine (MASTER_ADDR), and GLOO_SOCKET_IFNAME names the network between them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    where = "env://"
    if count == int(os.environ["LOCAL_WORLD_SIZE"]):
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback()
        where = meeting_file(os.getppid()).as_uri()
    backend = "gloo"
    if on_cards():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=where, rank=rank, world_size=count)
    return ShardedRank()


def loopback() -> str:
    """The name of this machine's loopback interface: lo on Linux, lo0 on a Mac."""
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


def leave(ranks: Alone) -> None:
    """Wait for the others, then part."""
    if not dist.is_initialized():
        return
    dist.barrier()
    dist.destroy_process_group()
    if ranks.main:
        meeting_file(os.getppid()).unlink(missing_ok=True)


def to_the_end(work: Callable[[], None]) -> NoReturn:
    """Do a rank's work, and end its process there and then: status 0, or 1 and a traceback.

    Python is not taken down first. Threads of gloo outlive `leave`, and one that still lets go of a tensor while Python
    is taken down aborts the process, though all is done (pytorch#190489).
    """
    status = 0
    try:
        work()
    except KeyboardInterrupt:
        pass
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    to_the_end(lambda: main(Path(sys.argv[1]).absolute()))
