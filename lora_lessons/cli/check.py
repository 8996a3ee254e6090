"""`lora-lessons check`: what is wrong with a training file, line by line, before a model learns from it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .exits import EXIT_FAILED, EXIT_OK
from .places import check_page, place, place_or_name, shown
from .terminal import print_coloured

DATA = "JSON lines or a JSON list (chat messages, ShareGPT, prompt and completion, Alpaca), or CSV with those columns."


def check(
    data: Annotated[Path, typer.Argument(parser=place, metavar="DATA", help=DATA)],
    base: Annotated[
        str | None,
        typer.Option(
            parser=place_or_name,
            metavar="MODEL",
            help="embedded, a folder, a .gguf or a hub id: also count its tokens and look at its chat template; no weights are read.",
        ),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(parser=place, metavar="FILE", help="Whose questions must not be in DATA.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens that a line may have; without it, what the base reads.")
    ] = None,
    last_only: Annotated[
        bool, typer.Option("--last-only", help="Of a chat, only the last answer is learned; without it, every answer.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(parser=place, metavar="FILE", help="Also write the report there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> int:
    """Find the mistakes in a training file.

    The file is only read, and a bad line never costs the good ones. Personal data is pointed at, never printed. The exit
    status is 0 when every line can be used, 1 when some cannot, and 2 when the file cannot be read at all.
    """
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"--max-tokens {max_tokens}: give a whole number of at least 1.")
    if max_tokens is not None and base is None:
        raise ValueError("--max-tokens counts a base's tokens: name it with --base, such as --base embedded.")
    if last_only and base is None:
        raise ValueError(
            "--last-only says which of a base's tokens are learned: name it with --base, such as --base embedded."
        )
    if html:
        check_page(html)
    from tqdm.auto import tqdm

    from ..files import write_text
    from ..tasks import checking

    tokenizer, limit = _tokenizer(base, max_tokens)
    size = data.stat().st_size
    with tqdm(
        total=size, unit="B", unit_scale=True, desc=data.name, leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        report = checking.check(
            data, tokenizer, held_out=held_out, max_tokens=limit, last_only=last_only, progress=bar.update
        )
    if as_json:
        print(json.dumps(report.as_data(), indent=1, ensure_ascii=False))
    else:
        print_coloured(checking.in_words(report, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    if html:
        write_text(html, checking.as_page(report))
        print(f"Written to {shown(html)}", file=sys.stderr)
    return EXIT_OK if report.all_usable else EXIT_FAILED


def _tokenizer(base: str | None, max_tokens: int | None) -> tuple[Any, int | None]:
    """The base's tokenizer, and how many tokens fit: those that were asked for, or those that its config says."""
    if base is None:
        return None, None
    from .. import models
    from ..models.configs import read_config

    meant = models.which(base, weights=False)
    if meant.kind == "hub":
        return models.load_tokenizer(meant.name, local=False), max_tokens
    if meant.kind == "gguf" and meant.place:
        return models.load_tokenizer(meant.place.parent, str(meant.place), gguf_file=meant.place.name), max_tokens
    folder = meant.place or models.folder()
    reads = read_config(folder).get("max_position_embeddings")
    known = [limit for limit in (max_tokens, reads) if isinstance(limit, int) and limit > 0]
    return models.load_tokenizer(folder, base), min(known, default=None)
