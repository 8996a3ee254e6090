"""`lora-lessons cluster`: a training on several cards or machines, by accelerate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exits import EXIT_OK
from .places import place, place_or_name, shown

cluster = typer.Typer(name="cluster", help="Train on several cards or machines.", rich_markup_mode=None)


@cluster.callback()
def several() -> None:
    """Train on several cards or machines, each of which holds a part of the model (FSDP, by accelerate)."""


@cluster.command()
def config(
    model: Annotated[
        str, typer.Argument(parser=place_or_name, metavar="MODEL", help="embedded, a folder, or a hub id.")
    ],
    cards: Annotated[str, typer.Option(metavar="NxGB", help="Cards in each machine, and the GB of each: 2x24.")],
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines.")] = 1,
    method: Annotated[str, typer.Option(metavar="M", help="qlora or lora.")] = "qlora",
    out: Annotated[
        Path, typer.Option(parser=place, metavar="DIR", help="Where the files go; every machine must see it.")
    ] = Path("cluster"),
    task: Annotated[
        str, typer.Option(parser=place_or_name, metavar="TASK", help="A task of the course, or a .jsonl of your own.")
    ] = "persona",
    r: Annotated[int, typer.Option(metavar="R", help="Rank of the adapter; alpha is 2r.")] = 8,
    steps: Annotated[int, typer.Option(metavar="N", help="Optimizer steps.")] = 40,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Examples per step, of all cards together.")] = 8,
    lr: Annotated[float, typer.Option(metavar="LR", help="Learning rate.")] = 2e-3,
    host_ram: Annotated[
        float | None, typer.Option(metavar="GB", help="Memory of each machine; checked when it is given.")
    ] = None,
    offload: Annotated[bool, typer.Option("--offload", help="Keep the shards in the machine's memory.")] = False,
    storage: Annotated[str, typer.Option(metavar="D", help="What 4-bit codes are kept as: bf16.")] = "bf16",
    fsdp: Annotated[int, typer.Option(metavar="V", help="FSDP's version: 2.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files that DIR has.")] = False,
) -> int:
    """Write accelerate's file and the launch lines.

    One line for each machine. A setting that would train nothing, or does not fit, is refused.
    """
    from .. import models
    from ..cluster import launch, launcher
    from ..training import Settings

    number, gb = launch.cards_of(cards)
    machines = launch.Machines(
        cards=number, card_gb=gb, nodes=nodes, host_ram_gb=host_ram, offload=offload, storage=storage, fsdp=fsdp
    )
    if method not in launch.METHODS:
        raise ValueError(f"--method {method!r} is not known: choose from {', '.join(launch.METHODS)}.")
    settings = Settings(steps=steps, batch_size=batch_size, learning_rate=lr, gradient_checkpointing=True)
    sizes = launch.sizes_of(model, method, r)
    launch.check(machines, method, sizes)
    wanted = launcher.ClusterJob(model, task, r, 2.0 * r, launch.METHODS[method], settings)
    lines = launch.write_launch_files(out, machines, wanted, overwrite=overwrite)
    print(f"Written: {shown(out)}. {launch.fits(machines, sizes)}")
    if model in models.SHAPES:
        print(
            f"{model} is a shape without weights: write a folder or a hub id as base in {launcher.JOB} before you start."
        )
    print("Start it with:", *(f"    {line}" for line in lines), sep="\n")
    if nodes > 1:
        print(launch.BETWEEN_MACHINES)
    return EXIT_OK
