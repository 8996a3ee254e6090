"""What each rank runs: the course's own training, on its part of the model and of every batch.

accelerate launch --config_file FOLDER/accelerate.yaml -m lora_lessons.cluster.worker FOLDER
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record

from .. import lora, models, training
from ..adapter import save_adapter
from ..files import read_text, write_text
from ..paths import cache_dir
from ..training.ranks import Alone, whole
from .fsdp import ShardedRank, on_cards
from .held import forget_peak, peak, sharded_bytes
from .job import ClusterJob, read_job
from .launcher import end_with_parent
from .meeting import leave, meet, to_the_end

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
    sent = ranks.traffic.sent if isinstance(ranks, ShardedRank) else 0
    held, peaks, sents = ranks.each(sharded_bytes(model), peak(), sent)
    columns = {"held": held, "peak": peaks, "sent": sents}
    return columns | {"losses": run.losses, "begun": begun, "reused": False, "seconds": run.seconds}


def load(job: ClusterJob) -> Any:
    """The base in the processor's memory, whole: FSDP moves each block's shards to the card, where there is one."""
    place, compute = models.folder(job.base), four_bit_dtype(on_cards())
    if job.dtype == "nf4":
        # bitsandbytes takes seconds to import
        from ..models.four_bit import Format
        from ..models.tensor_by_tensor import load as load_four_bit
        from .four_bit import store_as

        net = load_four_bit(place, Format("nf4", compute), cache=cache_dir() / "4bit", name=str(place))
        return store_as(models.keep_trainable(net), compute)
    from transformers import AutoModelForCausalLM

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[job.dtype]
    net = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, trust_remote_code=False, **models.BASE_ALONE)
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
        found = hashlib.sha256(training.fingerprint(model, examples, job.settings).encode())
        torch.set_num_threads(threads)
        for file in ("fsdp.py", "worker.py", "four_bit.py"):
            found.update(Path(__file__).with_name(file).read_bytes())
        digits = torch.tensor(list(found.hexdigest()[:24].encode()), dtype=torch.uint8)
    if ranks.count > 1:
        dist.broadcast(digits, src=0)
    return bytes(digits.tolist()).decode()


@torch.no_grad()
def make_whole(model: nn.Module) -> None:
    """Put the shards of every A and B together, on each rank, in place; the base stays sharded."""
    for _, layer in lora.lora_layers(model):
        layer.lora_A = nn.Parameter(whole(layer.lora_A.detach()))
        layer.lora_B = nn.Parameter(whole(layer.lora_B.detach()))


if __name__ == "__main__":
    to_the_end(lambda: main(Path(sys.argv[1]).absolute()))
