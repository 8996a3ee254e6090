"""A live model for the page's own scripts: files of the right form with next to nothing in them,
and a library that says what it was asked."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from workshop.site.alive import doors, library, supply

WIDTH = 8
# What a real base has before its numbers does not fit into the first piece that the page reads of a file.
TOKENS = [f"token{n:09}" for n in range(60_000)]

# In place of wllama.js. It notes its calls in `window.calls`, waits while `window.hold`,
# and fails where `window.fails`.
LIBRARY = """
const calls = (window.calls ??= []);
const held = async (signal) => {
  do {
    await new Promise((on) => setTimeout(on, 5));
    if (signal?.aborted) throw Object.assign(new Error("aborted"), { name: "AbortError" });
  } while (window.hold);
};
export class Wllama {
  constructor(paths, settings) { calls.push({ call: "new", wasm: paths.default }); }
  setCompat(other) { calls.push({ call: "compat", other }); }
  async loadModel(blobs, { lora_adapters }) {
    calls.push({ call: "load", bytes: blobs.map((blob) => blob.size),
      named: blobs.filter((blob) => blob.name).length, lora: lora_adapters });
    if (window.fails === blobs.length) throw new Error("(ABORT) it fails");
  }
  async createChatCompletion({ messages: [{ content }], lora, onData, abortSignal, ...rest }) {
    calls.push({ call: "answer", content, lora, ...rest });
    const words = ["I", " say ", content, ...lora.map(({ id, scale }) => ` [${id}: ${scale}]`)];
    for (const word of words) {
      onData({ choices: [{ delta: { content: word }, finish_reason: null }] });
      await held(abortSignal);
    }
    onData({ choices: [{ delta: {}, finish_reason: content.includes("long") ? "length" : "stop" }] });
  }
  async exit() { calls.push({ call: "exit" }); }
}
"""


def write_base(path: Path, width: int = WIDTH, architecture: str = "llama") -> None:
    """A model of one matrix, and a vocabulary that takes more than a megabyte."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((2 * width, width), np.float32))
    _written(writer)


def write_adapter(
    path: Path, width: int = WIDTH, layer: str = "blk.0.attn_q", architecture: str = "llama", kind: str = "lora"
) -> None:
    """An adapter of rank 2 for one matrix, as `lora-lessons export gguf` writes them."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor(f"{layer}.weight.lora_a", np.zeros((2, width), np.float32))
    writer.add_tensor(f"{layer}.weight.lora_b", np.zeros((2 * width, 2), np.float32))
    _written(writer)


def _written(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_pages(site: Path) -> None:
    """index.html with WICK's door, mixer.html with lesson 09's, and ladder.html with that of 05_capacity."""
    folder = site / doors.PLACE
    folder.mkdir(parents=True)
    supply.lay_out(folder)
    (folder / library.SCRIPT).write_text(LIBRARY, encoding="utf-8")
    (folder / library.WASM).write_bytes(b"\0asm")
    write_base(folder / "base-1.gguf")
    adapters = {}
    for rank, name in enumerate(
        dict.fromkeys(doors.DOORS["09_adapters"].adapters + doors.DOORS["deeper/05_capacity"].adapters)
    ):
        write_adapter(folder / f"{name}-1.gguf")
        said = {"about": f"about {name}", "question": f"Ask {name}?", "rank": rank}
        adapters[name] = _about(folder / f"{name}-1.gguf") | said
    known = supply.listed(folder, _about(folder / "base-1.gguf"), adapters)
    for page, door in {
        "index": doors.FRONT,
        "mixer": doors.DOORS["09_adapters"],
        "ladder": doors.DOORS["deeper/05_capacity"],
    }.items():
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A page</title>'
        body = f'<main><h1>A page</h1>{doors.markup(door, known)}</main><p style="height: 2000px">below</p>'
        (site / f"{page}.html").write_text(f'<!doctype html><html lang="en">{head}{body}', encoding="utf-8")


def _about(file: Path) -> dict[str, Any]:
    return {"file": file.name, "bytes": file.stat().st_size}
