"""The lines that start a 70B on several cards, as `lora-lessons cluster config` writes them."""

from __future__ import annotations

from ... import training
from ...files import scratch
from ...tools.cluster import launch
from ...tools.cluster.launcher import ClusterJob


def lines(model: str, cards: str, nodes: int = 1) -> str:
    """One line for each computer, with offload and a text for each card; `cluster` is the folder of accelerate's file."""
    number, gb = launch.cards_of(cards)
    machines = launch.Machines(cards=number, card_gb=gb, nodes=nodes, offload=True)
    settings = training.Settings(batch_size=machines.ranks, gradient_checkpointing=True)
    job = ClusterJob(model, "persona", 16, 32.0, "nf4", settings)
    with scratch("launch") as folder:
        written = launch.write_launch_files(folder, machines, job)
    return "\n".join(line.replace(str(folder), "cluster").replace(" -m ", " \\\n    -m ") for line in written)
