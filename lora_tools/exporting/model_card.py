"""A model card: what an adapter was made from, how it scores and where it fails, as the README.md that model hubs read.

The content of the training file never enters it: its number of lines, its hash and what `check` found are enough.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import ModelCard, ModelCardData

from lora_lessons import models
from lora_lessons.files import read_text, write_text
from lora_lessons.outside import in_code, in_markdown

CARD = "README.md"
_MARK = re.compile(r"\n<!-- written by lora-lessons, sha256 ([0-9a-f]{64}): an edited card is not replaced -->\n\Z")


class CardRow(NamedTuple):
    """One line of the scores: what, the base's and the adapter's value, the difference's interval or a remark."""

    what: str
    base: str
    adapter: str
    remark: str = ""


class AboutAdapter(NamedTuple):
    """What a card says. `data` holds names and values such as "lines": "80"; `limits` whole sentences."""

    name: str
    # a hub id, or the name of a folder: never a path, which would tell of the machine
    base: str
    # how the weights that were trained on differ from those of `base`: a sentence, or ""
    base_note: str
    # that base as Python: a name in quotation marks, or models.folder("embedded")
    loads: str
    data: Mapping[str, str]
    settings: Mapping[str, str]
    scores: Sequence[CardRow]
    # what the intervals among the scores assume
    condition: str
    limits: Sequence[str]
    # the scores in sentences; the first of them stands before all else
    summary: Sequence[str] = ()


class NamedBase(NamedTuple):
    """A base as a card names it: a hub id or a name, which copy of it was used ("" where it is that one),
    and it as Python."""

    name: str
    copy: str
    loads: str


def base_in_card(name: str) -> NamedBase:
    """The base that an adapter calls `name`: the course's own by their names on the hub, a folder without its path."""
    if name == models.EMBEDDED_NAME:
        return NamedBase(
            models.EMBEDDED_HUB,
            "the course's copy of that model, whose weights were rounded once to 4 bits (Q4_1)",
            'models.folder("embedded")',
        )
    if base := models.named(name):
        return NamedBase(
            base.hub.removesuffix("-GGUF"),
            f"its makers' {base.file} ({base.hub}, {base.licence}), whose weights were rounded once to 4 "
            "to 6 bits (Q4_K_M)",
            f'models.folder("{base.name}")',
        )
    called = Path(name).name if Path(name).exists() else name
    return NamedBase(called, "", repr(called))


def model_card(about: AboutAdapter) -> str:
    """The card as text: YAML for the hub, then data, settings, scores, limits and how to load, for people."""
    parts = [
        f"# {plain(about.name)}",
        f"A LoRA adapter for {in_code(about.base)}. {about.base_note}".strip(),
        *([f"**{about.summary[0]}**"] if about.summary else []),
        "Nobody but its maker has looked at it: fill in below what you know of it.",
        "## Data",
        listed(about.data),
        "The data itself is not published with this card.",
        "## Training",
        listed(about.settings),
        "## Scores",
        table(["measured", "the base", "with the adapter", "remark"], about.scores),
        about.condition,
        "## Limits",
        "\n".join(f"- {limit}" for limit in about.limits),
    ]
    return as_card(about.base, about.loads, parts)


def as_card(base: str, loads: str, parts: Sequence[str]) -> str:
    """Paragraphs of Markdown as a card: YAML for the hub before them,
    how to ask the adapter and what to fill in after them."""
    data = ModelCardData(
        base_model=base or None,
        base_model_relation="adapter",
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["lora", "adapter"],
    )
    end = [
        "## How to ask it",
        f"Run this in the adapter's folder:\n\n~~~python\n{how_to_ask(loads)}\n~~~",
        "If your file begins its conversations with a system message, put it before the question.",
        "## To fill in",
        "- What it is meant for, and what not.\n- Where the data came from, and whether you may publish what was "
        "learned from it.\n- A licence: the base's licence holds for the adapter, too.",
    ]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join([*parts, *end]) + "\n"))


def how_to_ask(loads: str) -> str:
    """Python that asks an adapter whose base `loads`: its folder is the working folder,
    so that no path stands in a card."""
    imported = "from lora_lessons import models\n" * loads.startswith("models.")
    return imported + _HOW_TO_ASK.replace("BASE", loads)


_HOW_TO_ASK = """from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = BASE
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), ".").eval()

question = [{"role": "user", "content": "Your question?"}]
tokens = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
said = model.generate(**tokens, max_new_tokens=100, do_sample=False)
print(tokenizer.decode(said[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True))"""


def write_card(folder: Path | str, about: AboutAdapter, *, overwrite: bool = False) -> Path:
    """Write the card into an adapter's folder, whole or not at all, and return the file.

    A card that was written here and not touched since is replaced. Raises FileExistsError for any other, unless
    `overwrite`: what you have filled in is not lost.
    """
    file = Path(folder) / CARD
    if file.exists() and not overwrite and not is_untouched(read_text(file)):
        raise FileExistsError(
            f"{file} was edited, or is not from here: it stays. Pass overwrite=True to replace it, or rename it first."
        )
    write_text(file, signed(model_card(about)))
    return file


def signed(text: str) -> str:
    """A card with the mark that `is_untouched` looks for."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}\n<!-- written by lora-lessons, sha256 {digest}: an edited card is not replaced -->\n"


def is_untouched(text: str) -> bool:
    """Whether a card is, letter by letter, what `write_card` wrote."""
    mark = _MARK.search(text)
    return mark is not None and hashlib.sha256(text[: mark.start()].encode()).hexdigest() == mark[1]


def listed(facts: Mapping[str, str]) -> str:
    """Names and values as a list of a card."""
    return "\n".join(f"- {name}: {plain(value)}" for name, value in facts.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of texts as a table of a card."""
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def plain(text: str) -> str:
    """One line of text as it is: what a file is called must not open a heading, a second YAML block or a web page."""
    return in_markdown(" ".join(str(text).split()))
