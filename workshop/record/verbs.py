"""`python -m workshop record NAME`: measure what the lessons quote, and keep it in data/.
Heavy imports wait until it is asked."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_tools.cli import EXIT_FAILED, EXIT_OK
from lora_tools.cli.options import absolute_path

recorders = typer.Typer(name="record", help="Measure what the lessons quote, and replace the recording in data/.")


def _recorder(module: str) -> Any:
    return import_module(f"{__package__}.{module}")


# What takes no options: the module is the verb's name.
PLAIN = {
    "encoder": "Rounding and QLoRA on a base that was never rounded before.",
    "seven-b": "A 7B in 4 bits, trained on a processor.",
    "published-memory": "What others measured on their cards, beside the plan of the same jobs.",
    "by-hand": "Lesson 08 on a real 1.5B; under 20 minutes.",
    "gptq-agreement": "Our GPTQ beside llmcompressor's.",
    "rounding": "Perplexity under plain rounding, GPTQ and AWQ, over seeds.",
    "prompts": "Whether a prompt would have done.",
    "mixer": "What the mixer of lesson 09 answers.",
    "serving": "Passes of llama.cpp's server, for one adapter and for four.",
    "betas": "DPO at five values of β; stopped, it goes on.",
    "rewards": "A base trained on a reward; stopped, it goes on.",
    "ordinary": "Ordinary answers among a task's; stopped, it goes on.",
    "framed": "Twenty lines in one frame: how many different answers; stopped, it goes on.",
    "capacity": "How much an adapter holds; stopped, it goes on.",
    "a-teacher": "A student taught in four ways by the shipped WICK; stopped, it goes on.",
}


def _plain(name: str, says: str) -> None:
    def verb() -> int:
        _recorder(name.replace("-", "_")).record()
        return EXIT_OK

    recorders.command(name, help=says)(verb)


for one in PLAIN.items():
    _plain(*one)


@recorders.command()
def survives(
    ways: Annotated[list[str] | None, typer.Argument(metavar="WAY", help="Which rows anew; none means all.")] = None,
) -> int:
    """One adapter, merged and rounded in every way."""
    recorder = _recorder("survives")
    recorder.record(ways or tuple(recorder.TITLES))
    return EXIT_OK


@recorders.command()
def papers(
    size: Annotated[str, typer.Option(metavar="NAME", help="A larger base is asked a short list, one seed.")] = "",
    reaches: Annotated[bool, typer.Option("--reaches", help="Only how strong updates are beside W: minutes.")] = False,
) -> int:
    """What papers claim, in miniature: hours. Killed, the same command goes on."""
    recorder = _recorder("papers.recording")
    recorder.record_reaches() if reaches else recorder.record(recorder.base_named(size))
    return EXIT_OK


@recorders.command()
def course(
    run: Annotated[bool, typer.Option("--run", help="Run every lesson first, every training anew.")] = False,
) -> int:
    """Each lesson's seconds, recorded and in the newest report."""
    _recorder("course").record(run)
    return EXIT_OK


@recorders.command()
def sizes(
    out: Annotated[
        Path | None, typer.Option(parser=absolute_path, metavar="FILE", help="In place of the recording.")
    ] = None,
    only: Annotated[str, typer.Option(metavar="CLAIM", help="The cells of this claim alone.")] = "",
    size: Annotated[str, typer.Option(metavar="NAME", help="The cells of this base alone.")] = "",
    minutes: Annotated[
        float | None, typer.Option(metavar="N", help="Begin no cell that would probably not be done in N minutes.")
    ] = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="Say which cells are done and how long the others take; measure none.")
    ] = False,
) -> int:
    """The claims of the course at three sizes of base.

    Cell by cell, in hours; killed, the same command goes on.
    """
    chosen, running = _recorder("sizes.asked").cells(only=only, size=size), _recorder("sizes.running")
    file = out or running.place()
    if as_list:
        print("\n".join(running.listed(chosen, running.rows_in(file))))
        return EXIT_OK
    fine = running.measure(chosen, file, minutes)["fine"]
    print("\n".join(running.said_of(file)))
    return EXIT_OK if fine else EXIT_FAILED
