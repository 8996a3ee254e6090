"""`check`, `inspect`, `symptom` and `ask`: what is wrong with a file, an adapter or a run, and what an adapter says."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_lessons.errors import refuse
from lora_lessons.files import refuse_existing, write_text
from lora_lessons.outside import in_json

from .as_json import AsJson, aside
from .export import Adapter, Base, adapter_folder
from .options import EXIT_NO, EXIT_OK, absolute_path, check_page, in_switches, path_or_name, shown
from .terminal import print_coloured, say, wrapped

DATA = (
    "JSON lines or a JSON list (chat messages, ShareGPT, prompt and completion, Alpaca; preferences as prompt, chosen "
    "and rejected), or CSV with those columns."
)


def check(
    data: Annotated[Path, typer.Argument(parser=absolute_path, metavar="DATA", help=DATA)],
    base: Annotated[
        str | None,
        typer.Option(
            parser=path_or_name,
            metavar="MODEL",
            help=(
                "A name that `lora-lessons base` lists, a folder, a .gguf or a hub id: also count its tokens and look "
                "at its chat template; no weights are read."
            ),
        ),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(parser=absolute_path, metavar="FILE", help="Whose questions must not be in DATA.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens that a line may have; without it, what the base reads.")
    ] = None,
    last_only: Annotated[
        bool, typer.Option("--last-only", help="Of a chat, only the last answer is learned; without it, every answer.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(parser=absolute_path, metavar="FILE", help="Also write the report there.")
    ] = None,
    all_lines: Annotated[bool, typer.Option("--all", help="Name all lines of a problem, and not the first 5.")] = False,
    as_json: AsJson = False,
) -> int:
    """Find the mistakes in a training file.

    The file is only read, and a bad line never costs the good ones. A line's tools and chat_template_kwargs go to the
    base's chat template, as in TRL. Personal data is pointed at, never printed.
    """
    refuse(
        (
            max_tokens is not None and max_tokens < 1,
            f"--max-tokens {max_tokens}: give a whole number of at least 1.",
        ),
        (
            max_tokens is not None and base is None,
            "--max-tokens counts a base's tokens: name it with --base, such as --base embedded.",
        ),
        (
            last_only and base is None,
            "--last-only says which of a base's tokens are learned: name it with --base, such as --base embedded.",
        ),
    )
    if html:
        check_page(html)
    from tqdm.auto import tqdm

    from .. import checking

    with aside(as_json):
        tokenizer, limit = _tokenizer(base, max_tokens)
    size = data.stat().st_size
    with tqdm(
        total=size, unit="B", unit_scale=True, desc=data.name, leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        report = checking.check(
            data, tokenizer, held_out=held_out, max_tokens=limit, last_only=last_only, progress=bar.update
        )
    if as_json:
        print(in_json(report.as_data()))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print_coloured(checking.in_words(report, colour, *([0] if all_lines else [])))
    if html:
        write_text(html, checking.as_page(report))
        print(f"Written to {shown(html)}", file=sys.stderr)
    return EXIT_OK if report.all_usable and not report.leaks else EXIT_NO


def _tokenizer(base: str | None, max_tokens: int | None) -> tuple[Any, int | None]:
    """The base's tokenizer, and how many tokens fit: those that were asked for, or those that its config says."""
    if base is None:
        return None, None
    from lora_lessons import models
    from lora_lessons.models.configs import read_config

    meant = models.which(base, weights=False)
    if meant.kind == "hub":
        return models.load_tokenizer(meant.name, local=False), max_tokens
    if meant.kind == "gguf" and meant.place:
        return models.load_tokenizer(models.fetched(meant.place)), max_tokens
    folder = meant.place or models.folder()
    both = max_tokens, read_config(folder).get("max_position_embeddings")
    fit = min((limit for limit in both if isinstance(limit, int) and limit > 0), default=None)
    return models.load_tokenizer(folder, base), fit


def inspect(
    adapter: Annotated[
        str, typer.Argument(parser=path_or_name, metavar="ADAPTER", help="The adapter's folder, or a hub id.")
    ],
    base: Annotated[
        str | None,
        typer.Option(
            parser=path_or_name,
            metavar="MODEL",
            help="Its base: a name that `lora-lessons base` lists, a folder, or a hub id.",
        ),
    ] = None,
    forgetting: Annotated[
        bool, typer.Option("--forgetting", help="With --base: load it, and let it read general text with and without.")
    ] = False,
    before: Annotated[
        str | None,
        typer.Option(
            parser=path_or_name, metavar="ADAPTER", help="The adapter that its training went on from: did it change?"
        ),
    ] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(parser=absolute_path, metavar="FILE", help="Also write a page with the picture.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is a page already.")] = False,
) -> int:
    """What an adapter contains, and what will go wrong with it.

    Also says which programs load it. It is only read, and a pickle is refused.
    """
    if forgetting and base is None:
        raise ValueError("--forgetting needs the base: name it with --base.")
    if html is not None:
        with in_switches():
            refuse_existing(shown(html), overwrite, "file")
        check_page(html)
    from .. import inspection

    if base is not None and sys.stderr.isatty():
        print("Comparing the adapter with its base: this takes up to half a minute.", file=sys.stderr)
    with aside(as_json):
        xray = inspection.inspect(adapter, base, before=before, forgetting=forgetting)
    if html is not None:
        from ..inspection import picture

        write_text(html, picture.page(xray))
    if as_json:
        print(in_json(inspection.as_json(xray)))
    else:
        print(wrapped(inspection.in_words(xray)))
        if html is not None:
            print(f"\nThe picture is in {shown(html)}.")
    return EXIT_NO if any(finding.severity == "wrong" for finding in xray.findings) else EXIT_OK


SHOWN = 3
# an address stays whole
_say = partial(say, hang=7, break_long_words=False, break_on_hyphens=False)


def symptom(
    words: Annotated[
        list[str], typer.Argument(help="What you see, in your own words, such as “loss falls, answers unchanged”.")
    ],
    as_json: AsJson = False,
) -> int:
    """Say what may be behind a symptom.

    Looks your words up in the bug museum of lesson 12 and names up to three suspects: the mistake that it would be, how
    to test that, the exhibit or lesson, and the thread in which others met it. It says so where none of them fits well.
    """
    from lora_lessons.exhibits import Exhibit, place, suspects

    from ..symptoms import as_data, doubt, repair, search

    description = " ".join(" ".join(words).split())
    if not description:
        raise ValueError('say what you see, for example: lora-lessons symptom "loss falls, answers unchanged".')
    matches = search(description)[:SHOWN]
    fits = any(match.good for match in matches)
    if as_json:
        print(in_json({"fits": fits, "suspects": [as_data(match) for match in matches]}))
        return EXIT_OK if fits else EXIT_NO
    less = "Less likely:" if fits else doubt(matches)
    for match in matches:
        one = match.suspect
        if less and not match.good:
            _say(less, 0)
            print()
            less = ""
        _say(f"{one.id:<6} Suspect: {one.suspect}", 0)
        _say(f"Test: {one.noticed}", 7)
        _say(f"Repair: {repair(one)}", 7)
        if isinstance(one, Exhibit):
            _say(f"To see it: notebooks/{place(one)}, {one.kind} {one.id} (“{one.title}”).", 7)
            _say(f"Behind it: {one.behind_in_words()}", 7)
        else:
            _say(f"To see it: notebooks/{place(one)} (“{one.title}”).", 7)
        print()
    if not matches:
        _say("Nothing here has such a symptom. These are the symptoms that the museum knows:", 0)
        for one in suspects().values():
            for known in one.symptoms:
                _say(f"{one.id:<6} {known}", 0)
    return EXIT_OK if fits else EXIT_NO


def ask(
    adapter: Adapter,
    question: Annotated[
        str | None, typer.Argument(metavar="[QUESTION]", help="In quotation marks; without one you talk.")
    ] = None,
    base: Base = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="A system message before it.")] = None,
    precision: Annotated[
        str, typer.Option(metavar="P", help="fp32, bf16, auto (the faster of the two), or nf4.")
    ] = "auto",
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="The length of the answer, at most.")] = 200,
) -> int:
    """Ask an adapter a question, or talk to it.

    The base that it was trained on is loaded, the adapter put on, and the likeliest answer printed. Without a question
    you are asked for one after the other; each is answered by the base alone, too, and everything is loaded once.
    """
    from lora_lessons import lora, models
    from lora_lessons.adapter import attach_adapter, read_adapter

    from ..exporting import gguf

    if question is not None and not question.strip():
        raise ValueError("the question is empty: write it in quotation marks behind the adapter.")
    read = read_adapter(Path(adapter_folder(adapter)).resolve())
    loaded = models.load(gguf.named_base(read, base), precision=precision)
    if tokens > (most := models.reads(loaded)):
        raise ValueError(f"--tokens {tokens:,}: {loaded.name} reads and writes {most:,} tokens in all, so give fewer.")
    attach_adapter(loaded.model, read)

    def answer(asked: str) -> str:
        return models.answers(loaded, [asked], tokens, system, cut=" … [cut: --tokens takes more]")[0]

    if question is not None:
        print(answer(question))
        return EXIT_OK
    print("Ask what you like. An empty line ends it.")
    with suppress(EOFError):
        while asked := input("\nYou: ").strip():
            for factor, who in ((0.0, "The base"), (1.0, "With the adapter")):
                lora.set_scale(loaded.model, factor)
                print(f"{who}: {answer(asked)}")
    return EXIT_OK
