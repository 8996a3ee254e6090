"""Where the ranks find each other: a file and the loopback on one machine, the launcher's address on several."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import torch
import torch.distributed as dist

from ..training.ranks import ALONE, Alone
from .fsdp import ShardedRank, on_cards
from .launcher import meeting_file


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
