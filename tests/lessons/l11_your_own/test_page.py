"""The page for a colleague: whole, one file that loads nothing, everything from outside as text,
never over another file."""

import re
from html.parser import HTMLParser

import pytest
from hostile import HOSTILE, NOWHERE, UNSEEN

from lora_lessons.course.blind_judge import Pair
from lora_lessons.training import Training
from lora_tools.exporting.model_card import AboutAdapter, CardRow
from lora_tools.own import beforehand, page, pictures, scoring


@pytest.fixture
def curve(tmp_path):
    made = pictures.LossesAndLooks(scoring.KeepBest(None, lambda: [2.0], tmp_path / "kept"), [4.0])
    made.keep.looks = {8: [2.0]}
    made.run = Training(losses=[4.0] * 8, steps=8)
    return made


def about(text):
    rows = [
        CardRow("held-out loss", "4.00", "2.00", f"lower by 1.80 to 2.20 {text}"),
        CardRow("forgetting", "40", "44"),
    ]
    data, settings = {"file": f"{text}.jsonl", "check": text}, {"r": "8", "machine": text}
    limits, summary = [text, "One seed."], [f"4 of 4 answers {text}", f"The loss fell by 50%. {text}"]
    return AboutAdapter(text, text, text, "models.folder('x')", data, settings, rows, text, limits, summary)


def test_it_says_what_a_colleague_asks(curve, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a").write_bytes(b"x" * 2_500_000)
    run = Training(losses=[1.0], seconds=90.0, tokens=5000, supervised=2000, finished="2026-11-29", reused=True)
    cost = page.cost_of(run, beforehand.Times(1.5, 1, 1), 2e9, folder)
    pairs = [Pair(f"Why {n}?", f"Before {n}.", f"After {n}.") for n in range(9)]
    written = page.write(folder, about("mine"), curve, pairs, cost)
    text = written.read_text(encoding="utf-8")
    assert written == tmp_path / "mine.html" and list(folder.iterdir()) == [folder / "a"]
    for said in (
        "trained on mine.jsonl",
        "<td>4.00<td>2.00<td>lower by 1.80 to 2.20",
        "<dt>r<dd>8",
        "Why 2?",
        "Before 0.",
        "After 0.",
        "1.5 minutes (read back from the same run, 2026-11-29)",
        "2.5 MB",
        "2.0 GB at most",
        "<li>One seed.",
        "PeftModel.from_pretrained",
        "<td>forgetting",
        'alt="The held-out loss fell from 4.00',
    ):
        assert said in text, said
    order = ["4 of 4 answers", "Why 0?", "The loss fell by 50%", "<details>", "<dt>r<dd>8", "<td>4.00"]
    assert order == sorted(order, key=text.index) and "Why 3?" not in text and 'name="viewport"' in text
    again = page.write(folder, about("mine"), curve, pairs, cost)
    assert again == tmp_path / "mine-page-2.html" and written.read_text(encoding="utf-8") == text


class Tags(HTMLParser):
    """The tags of a page, and what they would load or run."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.loads = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.loads += [
            value
            for name, value in attrs
            if (name in ("src", "href", "srcdoc") and not value.startswith("data:image/png"))
        ]
        self.loads += [name for name, _ in attrs if name.startswith("on")]


def test_whatever_comes_from_outside_is_text_and_nothing_is_loaded(curve):
    text = page.as_html(about(HOSTILE), curve, [Pair(HOSTILE, HOSTILE, HOSTILE)], {"training": HOSTILE, HOSTILE: "1"})
    tags = Tags(text)
    assert tags.loads == [] and not {"script", "iframe", "svg", "a", "link"} & tags.seen
    assert not UNSEEN & set(text) and NOWHERE in text
    (style,) = re.findall(r"<style>.*?</style>", text, re.S)
    assert "url(" not in style and "@import" not in style
