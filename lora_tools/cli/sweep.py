"""`sweep` and `bench`: many trainings, and what the lessons predict, measured on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lora_lessons.errors import refuse
from lora_lessons.outside import in_json

from .as_json import AsJson, aside
from .options import EXIT_FAILED, EXIT_OK, absolute_path, names, numbers, path_or_name, shown


def sweep(
    address: Annotated[
        str,
        typer.Argument(
            metavar="[ADDRESS]", help="With --ray: the cluster to join, HOST:PORT or auto.", show_default=False
        ),
    ] = "",
    r: Annotated[str, typer.Option(metavar="R,R,…", help="Ranks.")] = "1,2,4,8,16,32,64",
    alpha: Annotated[
        str, typer.Option(metavar="A,A,…", help="lora_alpha: numbers, or multiples of r such as 2x.")
    ] = "2x",
    lr: Annotated[str, typer.Option(metavar="LR,LR,…", help="Learning rates.")] = "4e-3",
    method: Annotated[str, typer.Option(metavar="M,M,…", help="lora, rslora, lora+, dora, pissa.")] = "lora",
    targets: Annotated[
        str, typer.Option(metavar="NAMES", help="One set of target_modules, such as q_proj,v_proj.")
    ] = "all-linear",
    base: Annotated[
        str,
        typer.Option(metavar="B,B,…", help="How the frozen base is kept: 16-bit, nf4, nf4+double, fp4, int4."),
    ] = "16-bit",
    seeds: Annotated[int, typer.Option(metavar="N", help="Train with seeds 0, 1, … N − 1.")] = 3,
    seed: Annotated[int | None, typer.Option(metavar="S", help="Only this seed, in place of --seeds.")] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Optimizer steps of each run.")] = 24,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Examples per step.")] = 4,
    out: Annotated[
        Path, typer.Option(parser=absolute_path, metavar="DIR", help="Where the table and the runs go.")
    ] = Path("sweep"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip the runs that DIR already holds; try failed ones again.")
    ] = False,
    keep_adapters: Annotated[
        bool, typer.Option("--keep-adapters", help="Keep each run's adapter in its folder, in PEFT's format.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Train several at once, as tasks of Ray: here, or on the cluster at ADDRESS.")
    ] = False,
    at_once: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --ray: so many at once. Else one run per core, as far as memory allows."),
    ] = None,
    stop_early: Annotated[
        bool,
        typer.Option("--stop-early", help="With --ray: stop bad runs at a quarter and at half of their steps (ASHA)."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Train once for each rank, alpha and seed.

    Runs notebooks/experiments/train_adapter.ipynb once per setting, and makes one table and one figure.

    With --ray several runs are trained at once. Ray is started on this machine, where only this machine can reach it,
    and ends with the sweep. On a cluster, every machine needs this course, and --out on a disk that all of them see.
    A run whose worker is killed is trained again. A sweep begun in one way may be resumed in the other.
    """
    ranks, learning_rates = numbers("--r", r, int), numbers("--lr", lr)
    if (address or stop_early or at_once is not None) and not ray:
        wrong = f"the address {address}" if address else "--stop-early" if stop_early else "--at-once"
        raise ValueError(f"{wrong} goes with --ray: add it, or leave this out.")

    from lora_lessons.experiments import sweep as swept
    from lora_lessons.run import runner

    from .. import sweep as experiment

    how = experiment.Ray(address, at_once, stop_early) if ray else None
    settings = swept.grid(
        ranks,
        names(alpha),
        seeds if seed is None else [seed],
        methods=names(method),
        learning_rates=learning_rates,
        target_modules=targets,
        steps=steps,
        batch_size=batch_size,
        bases=names(base),
    )
    with aside(as_json):
        rows = experiment.run(settings, out, resume=resume, keep_adapters=keep_adapters, ray=how)
    failed = [row for row in rows if row["status"] == runner.FAILED]
    finished = [row for row in rows if row["status"] == runner.OK]
    notes = experiment.saved(rows).splitlines() if stop_early else []
    table, figure = out / swept.TABLE, out / experiment.FIGURE
    # One setting alone has no figure.
    drawn = figure if figure.exists() else None
    if as_json:
        made = {"table": str(table), "figure": drawn and str(drawn)}
        print(in_json(made | {"finished": len(finished), "failed": len(failed), "notes": notes}))
        return EXIT_FAILED if failed else EXIT_OK
    print(
        *notes,
        f"{len(finished)} runs finished, {len(failed)} failed: {shown(table)}{f', {drawn.name}' if drawn else ''}",
        sep="\n",
    )
    return EXIT_FAILED if failed else EXIT_OK


def bench(
    what: Annotated[
        Literal["train", "memory"],
        typer.Argument(
            metavar="train|memory",
            help="train: transformers' Trainer and TRL's with PEFT, and this course's loop, the same steps in turn, "
            "and the machine's limit (about a quarter of an hour), with --model Trainer and ours on a base of yours; "
            "memory: predicted, measured and error of each setting.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            parser=path_or_name,
            metavar="MODEL",
            help=(
                "For train: a folder, GGUF or hub id. For memory: without it, Qwen2.5-7B on a card, "
                "SmolLM2-135M's shape elsewhere."
            ),
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "nf4"] | None,
        typer.Option(metavar="fp32|bf16|nf4", help="For train. Without it, what this machine computes faster."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=absolute_path, metavar="FILE", help="Without it, bench-CHOICE.json in this folder."),
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="For train: each side once, and not three times.")] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="For maintainers: replace the recording in the course's data/measurements/."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Measure speed and memory on this machine.

    Each choice is a benchmark of its own, and prints both sides of what it compares.
    """
    from lora_lessons import files
    from lora_lessons.machine import stamp

    from ..bench import ledger, training_speed

    refuse(
        (record and out, "--record writes into the course's data/: leave it out with --out."),
        (
            precision and what != "train",
            "--precision says what is trained in: it belongs to `lora-lessons bench train`.",
        ),
        (
            what == "train" and record and (model or precision),
            "the course records its own base, as this machine computes it: leave out --record, or the base.",
        ),
    )
    out = None if record else out or absolute_path(f"bench-{what}.json")
    if out:
        files.check_file(out)
    with aside(as_json):
        if what == "train":
            repeats = {"repeats": 1} if short else {}
            measured, fine = training_speed.measure(out, model, precision, **repeats), True
        else:
            rows = ledger.measure_all(model, out)
            measured, fine = {"rows": rows}, any(row["status"] == ledger.OK for row in rows)
    if out and out.exists():
        print(f"Written: {shown(out)}", file=sys.stderr)
    if as_json:
        print(in_json({"bench": what, **stamp(), **measured}))
    return EXIT_OK if fine else EXIT_FAILED
