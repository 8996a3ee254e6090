"""`lora-lessons ask`: one question to an adapter on its base."""

from __future__ import annotations

from typing import Annotated

import typer

from .exits import EXIT_OK
from .export import Adapter, Base, adapter_folder


def ask(
    adapter: Adapter,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you ask, in quotation marks.")],
    base: Base = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="A system message before it.")] = None,
    precision: Annotated[
        str, typer.Option(metavar="P", help="fp32, bf16, auto (the faster of the two), or nf4.")
    ] = "auto",
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="The length of the answer, at most.")] = 200,
) -> int:
    """Ask an adapter a question.

    The base that it was trained on is loaded, the adapter put on, and the likeliest answer printed.
    """
    from .. import models
    from ..adapter import attach_adapter
    from ..export import gguf

    if not question.strip():
        raise ValueError("the question is empty: write it in quotation marks behind the adapter.")
    read, folder = gguf.adapter_and_base(adapter_folder(adapter), base)
    loaded = models.load(folder, precision=precision)
    attach_adapter(loaded.model, read)
    (said,) = models.answers(loaded, [question], tokens, system, cut=" … [cut: --tokens takes more]")
    print(said)
    return EXIT_OK
