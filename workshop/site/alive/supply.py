"""What the live model is fetched from: the library, the base in 4 bits, the course's adapters, and a list of it all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons import models, tasks
from lora_lessons.adapter import Adapter, read_adapter
from lora_lessons.course.page_half import SHARED
from lora_lessons.experiments import shipped_adapters
from lora_lessons.files import scratch, write_text
from lora_lessons.models.embedded import EMBEDDED_NAME
from lora_lessons.sums import sha256
from lora_tools.exporting import gguf, rank

from . import library

PAGE = Path(__file__).with_name("page")
LIST = "list.json"
KIND = "Q4_0"
WICK = "persona"
CUT_TO = (1, 2, 4)  # WICK's adapter is there at these ranks, too
# What the page asks before its visitor does. WICK's question is one whose answer has his voice at half the scale, too,
# and whose answer without him does not repeat itself; the others' are held out from training.
WICKS = "How can I sleep better?"
_NOTICE = """{base} is {name} by Hugging Face (Apache-2.0), rounded to {kind} by llama.cpp.
The files *-lora-*.gguf are the adapters of this course. {script} and {wasm} are wllama {version} (MIT), llama.cpp
(MIT) in it.
"""


class Supply(NamedTuple):
    """The files in the site's folder of the live model, and what a page must know of them."""

    base: dict[str, Any]
    adapters: dict[str, dict[str, Any]]
    wasm: dict[str, Any]
    script: dict[str, Any]

    def bytes(self, *adapters: str) -> int:
        """What a page with these adapters fetches when its model is woken."""
        return sum(one["bytes"] for one in (self.base, self.wasm, self.script, *(self.adapters[a] for a in adapters)))


def furnish(folder: Path, progress: Callable[[str], Any] = print) -> Supply:
    """Write everything that the live model needs into `folder`: about 150 MB, most of it the base.

    A model's name has a piece of its SHA-256, so that a browser that kept it knows whether it is still the same.
    Raises ValueError where npm cannot fetch the library, and as `export` does.
    """
    progress(f"the live model: {library.PACKAGE} {library.VERSION} by npm")
    library.fetch(folder)
    lay_out(folder)
    with scratch("alive") as made:
        source = gguf.open_base(models.embedded_folder())
        progress(f"the live model: {source.folder.name} in {KIND}")
        whole = gguf.write_base(source, made / "whole.gguf")
        base = _kept(gguf.quantize(whole, made / f"{source.folder.name}-{KIND}.gguf", KIND), folder)
        adapters = {
            name: _kept(gguf.write_adapter(adapter, source, made / f"{name}-lora.gguf"), folder)
            | {"about": shipped_adapters.ABOUT[task], "question": _question(task), "rank": adapter.r}
            for name, (task, adapter) in _offered().items()
        }
    return listed(folder, base, adapters)


def cut_to(r: int) -> str:
    """The name of WICK's adapter where it is cut to rank `r`."""
    return f"{WICK}-r{r}"


def _offered() -> dict[str, tuple[str, Adapter]]:
    """The course's adapters, and WICK's at each smaller rank, by name: (task, adapter)."""
    whole = {task: (task, read_adapter(place)) for task, place in shipped_adapters.shipped().items()}
    _, wick = whole[WICK]
    return whole | {cut_to(r): (WICK, rank.cut(wick, r).adapter) for r in CUT_TO}


def listed(folder: Path, base: dict[str, Any], adapters: dict[str, dict[str, Any]]) -> Supply:
    """Write what lies in `folder`, for the page that fetches it and for whoever wants to know where it comes from."""
    script, wasm = ({"file": name, "bytes": (folder / name).stat().st_size} for name in (library.SCRIPT, library.WASM))
    supply = Supply(base | {"name": EMBEDDED_NAME}, adapters, wasm, script)
    write_text(folder / LIST, json.dumps(supply._asdict(), indent=1))
    named = {"base": base["file"], "name": EMBEDDED_NAME, "kind": KIND, "version": library.VERSION}
    write_text(folder / "NOTICE.txt", _NOTICE.format(**named, script=library.SCRIPT, wasm=library.WASM))
    return supply


def lay_out(folder: Path) -> None:
    """Write the page's own scripts and its style into `folder`."""
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    write_text(folder / SHARED.name, f"{SHARED.read_text(encoding='utf-8')}\nexport {{ element }};\n")


def _kept(file: Path, folder: Path) -> dict[str, Any]:
    """Move a GGUF into `folder`, under a name that changes with what is in it."""
    named = f"{file.stem}-{sha256(file)[:12]}.gguf"
    size = file.stat().st_size
    shutil.move(file, folder / named)
    return {"file": named, "bytes": size}


def _question(task: str) -> str:
    if task == WICK:
        return WICKS
    return str(tasks.load_task(task).held_out[0]["messages"][-2]["content"])
