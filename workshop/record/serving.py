"""How many passes llama.cpp's server takes for four requests at once: for one adapter, and for four.

`python -m workshop record serving` writes data/measurements/lesson_09_passes.json.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_lessons import llamacpp, mixing, models, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import recordings, shipped_adapters
from lora_tools.exporting import gguf

NAME = "lesson_09_passes"
TOKENS = 16  # that each request writes


def passes(server: llamacpp.Server, rows: Tensor, wanted: list[str]) -> int:
    """The passes in which every row gets TOKENS more through the adapter that it wants, all asked at one moment."""
    before, how = server.passes(), {"n_predict": TOKENS, "ignore_eos": True, "temperature": 0, "cache_prompt": False}

    def ask(row: Tensor, name: str) -> None:
        scales = [{"id": i, "scale": float(other == name)} for i, other in enumerate(server.names)]
        server.ask("/completion", how | {"prompt": row.tolist(), "lora": scales})

    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(ask, rows, wanted))
    return server.passes() - before


@torch.no_grad()
def record() -> dict[str, Any]:
    """Ask for one adapter and for four, and hold the next token's log-probabilities against the merged models'."""
    base, home = models.load(precision="fp32"), models.embedded_folder()
    known = {name: read_adapter(folder) for name, folder in shipped_adapters.shipped().items()}
    names = list(known)
    rows = torch.tensor(base.tokenizer(tasks.general_text())["input_ids"][: 24 * len(names)]).view(len(names), -1)
    right = True
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: gguf.write_adapter(one, home, Path(scratch) / f"{name}.gguf") for name, one in known.items()}
        file = gguf.write_base(home, Path(scratch) / "base.gguf", "f32")
        with llamacpp.serve(file, files, exact=True, parallel=len(names), context=256) as server:
            counts = {1: passes(server, rows, names[:1] * len(names)), len(names): passes(server, rows, names)}
            for row, name in zip(rows, names, strict=True):
                with mixing.attached(base.model, known[name]), mixing.merged(base.model):
                    ours = base.model(row[None]).logits[0, -1].log_softmax(-1)
                theirs = server.next_logprobs(row.tolist(), {name: 1.0})
                right = right and bool((theirs - ours).abs().max() < 1e-3)
    found = [
        {"adapters": n, "requests": len(names), "tokens": TOKENS * len(names), "passes": count, "right": right}
        for n, count in counts.items()
    ]
    server_is = f"xllamacpp=={version('xllamacpp')}"
    about = {"what": "passes for requests sent at once to llama.cpp's server", "server": server_is}
    recordings.keep(NAME, about | {"rows": found})
    return recordings.recorded(NAME)
