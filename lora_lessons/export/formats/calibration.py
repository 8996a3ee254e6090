"""The text that GPTQ and AWQ are calibrated on: never what perplexity is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import models, tasks
from ...files import read_text

WINDOW = 256  # tokens


def windows_of(tokenizer: Any, files: Sequence[Path | str], rows: int, window: int = WINDOW) -> list[list[int]]:
    """`rows` windows of token ids from the files in turn: conversations (.jsonl) in the chat template, or paragraphs.

    Raises ValueError when a file is no text in UTF-8, holds what perplexity is measured on or a conversation that the
    chat template refuses, or when all of them hold too little text.
    """
    measured, queues = tasks.general_text(), []
    for file in map(Path, files):
        if file.suffix == ".jsonl":
            talks = [example["messages"] for example in tasks.read_jsonl(file)]
            queues.append([models.rendered(tokenizer, talk, answer=False) for talk in talks])
        else:
            queues.append([part.strip() for part in read_text(file).split("\n\n") if part.strip()])
        # two or three words stand in any text
        if any(text in measured for text in queues[-1] if len(text.split()) > 3):
            raise ValueError(f"{file} holds text that perplexity is measured on: give another text to calibrate on.")
    ids: list[int] = []
    for i in range(max(map(len, queues), default=0)):
        for queue in queues:
            if i < len(queue) and len(ids) < rows * window:
                ids += tokenizer(queue[i], add_special_tokens=False)["input_ids"]
    if len(ids) < window:
        raise ValueError(f"the calibration text has {len(ids)} tokens, and one window is {window}: give more text.")
    return [ids[i : i + window] for i in range(0, min(len(ids), rows * window) - window + 1, window)]
