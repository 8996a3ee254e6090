"""Will it fit: the plan's bill in the picture at every length, GiB for cards,
impossible settings refused with a sentence."""

import re

import pytest
from matplotlib.patches import Rectangle
from stills import fit_job, fit_still, fit_words, refused, turn

from lora_lessons import memory, planning
from lora_lessons.lessons import l08

FIT = l08.FIT | {"recipe": "this course", "method": "qlora", "card": "RTX 4090", "r": 16, "batch_size": 1}
FIT |= {"gradient_checkpointing": "on", "seq": 1024}


def bars(figure):
    """Left edge and width in GB of each bar by its row, the lowest row being the sum; the card's room is no bar."""
    _, *all_bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    rows = {}
    for bar in all_bars:
        rows.setdefault(round(bar.get_y() + 0.36), []).append((bar.get_x(), bar.get_width()))
    return rows


def ledger(**changed):
    setting = FIT | changed
    return memory.predict(setting["model"], fit_job(**setting))


@pytest.mark.parametrize("method", memory.METHODS)
def test_the_bars_are_the_bill_end_to_end(method):
    for seq in (32, 1024, 700):
        setting = FIT | {"method": method, "card": "H200", "seq": seq}
        rows = bars(fit_still(**setting)[0])
        sizes = [part / 1e9 for part in ledger(**setting).bill.parts.values()]
        assert sum(sizes) == pytest.approx(ledger(**setting).bill.total / 1e9)
        assert [rows[n][0] for n in range(8)] == [pytest.approx((sum(sizes[:n]), sizes[n])) for n in range(8)]
        assert rows[8] == [rows[n][0] for n in range(8)], "the lowest row is all of them"


def test_the_cards_line_is_to_scale_and_a_bar_beyond_the_picture_says_so():
    figure, _ = fit_still(**FIT | {"card": "A100 40", "gradient_checkpointing": "off", "seq": 131072})
    (ax,) = figure.axes
    assert ax.lines[0].get_xdata()[0] == ax.patches[0].get_width() == pytest.approx(40 * 2**30 / 1e9)
    edge = ax.get_xlim()[1]
    assert all(left + width <= edge + 1e-9 for row in bars(figure).values() for left, width in row)
    total = ledger(gradient_checkpointing="off", seq=131072).bill.total / 1e9
    assert total > edge and f"{total:.1f} GB →" in [text.get_text() for text in ax.texts]
    whole = fit_still(**FIT | {"card": "RTX 3060", "method": "full fp32", "seq": 32})[0].axes[0]
    assert whole.get_xlim()[1] > ledger(method="full fp32", seq=32).bill.total / 1e9, (
        "what the model takes is seen whole"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"card": "RTX 3060", "method": "lora"},
        {"method": "full fp32", "card": "A100 80"},
        {"gradient_checkpointing": "off", "batch_size": 4},
        {"model": "Llama-2-7B", "r": 64},
        {"card": "T4", "method": "lora", "model": "Llama-2-7B"},
        {"recipe": "Trainer"},
        l08.FIT,
    ],
)
def test_it_says_whether_it_fits_and_how_much_would(changed):
    setting = FIT | changed
    figure, words = fit_still(**setting)
    total, room = ledger(**setting).bill.total, planning.card_bytes(setting["card"])
    gb = abs(room - total) / 1e9
    assert words == fit_words(**setting) and f": {total / 1e9:.1f} GB at the peak of a step" in words
    assert f"{setting['card']} holds {room / 1e9:.1f} GB, and a sixth should stay free." in words
    fits, safely = total <= room, total <= 5 / 6 * room
    title = f"fits: {gb:.1f} GB free" if safely else f"does not fit safely: only {gb:.1f} GB free"
    title = title if fits else f"does not fit: {gb:.1f} GB missing"
    assert f"It {title}; of" in words and title in [text.get_text() for text in figure.axes[0].texts]
    longest = [n for n in l08.LENGTHS if ledger(**setting | {"seq": n}).bill.total <= 5 / 6 * room]
    assert (f"the longest text that fits is {longest[-1]:,} tokens" if longest else "not even 32 tokens fit") in words


IMPOSSIBLE = [
    ("r", 0, "give a whole number of at least 1"),
    ("r", -8, "at least 1"),
    ("r", 10_000, "choose 1 ≤ r ≤ 3584"),
    ("r", "eight", "whole number such as 8"),
    ("r", 2.5, "whole number such as 8"),
    ("r", True, "whole number such as 8"),
    ("batch_size", 0, "at least 1"),
    ("batch_size", "", "whole number such as 8"),
    ("batch_size", 10**9, "no card holds that"),
    ("seq", 0, "at least 1"),
    ("seq", "long", "whole number such as 8"),
    ("seq", 10**9, "no card holds that"),
    ("model", "Llama-9", "Llama-2-7B"),
    ("card", "GTX 1", "RTX 3060"),
    ("method", "dora", "qlora"),
    ("recipe", "axolotl", "Trainer"),
]


def test_the_smallest_layer_decides_how_large_r_may_be():
    fit_still(**FIT | {"model": "Mistral-7B", "method": "lora", "r": 1024})
    with pytest.raises(ValueError, match="does not fit a 1024×4096 weight"):
        fit_still(**FIT | {"model": "Mistral-7B", "method": "lora", "r": 1025})


@pytest.mark.parametrize("name, value, sentence", IMPOSSIBLE)
def test_a_refusal_keeps_the_last_picture(name, value, sentence):
    stage, then = l08.fit(), {name: l08.FIT[name]} | {"method": "lora", "card": "H200", "model": "Mistral-7B"}
    refused(stage, {name: value}, sentence, then, fit_words(**l08.FIT | then))


def test_controls_redraw():
    stage = l08.fit()
    assert [control["name"] for control in stage.controls] == list(l08.FIT) and stage.axis == "seq"
    for control in stage.controls:
        for option in [*control.get("options", ()), *control.get("stops", ())]:
            turn(stage, **{control["name"]: option})
            assert stage.said == "" and stage.still()[1] == fit_words(**stage.values)


def test_every_row_shows_a_number_however_small_its_part():
    texts = [text.get_text() for text in fit_still(**FIT | {"r": 1, "seq": 32})[0].axes[0].texts]
    sizes = [text.removesuffix(" so far") for text in texts if re.search(" [GM]B( so far)?$", text)]
    parts = ledger(r=1, seq=32).bill.parts.values()
    assert len(sizes) >= len(parts) + 1, "a number for each part, and one for all together"
    small = [part for part in parts if 0 < part < 5e7]
    assert small and all(f"{max(1, round(part / 1e6))} MB" in sizes for part in small)
    said = [l08._size(gb) for gb in (12.34, 0.05, 0.0499, 0.0006, 0.0)]
    assert said == ["12.3 GB", "0.1 GB", "50 MB", "1 MB", "0 GB"]
    words = fit_words(**FIT | {"r": 1, "seq": 32})
    assert all(f"{max(1, round(part / 1e6))} MB" in words for part in small)
    full = fit_still(**FIT | {"method": "full bf16", "card": "H200"})[0].axes[0]
    said = [text.get_text() for text in full.texts]
    assert "0 GB" in said and not any("so far" in text for text in said), "no adapters"


def test_gradients_that_are_still_to_come_are_said_to_come():
    """At a step's fullest moment next to no gradient may exist, though each trained number gets one."""
    figure, words = fit_still(**FIT)
    assert ledger().moment == "last block" and l08.LATER in words
    assert [text for text in (t.get_text() for t in figure.axes[0].texts) if text.endswith(" so far")] == [
        "1 MB so far"
    ]
    figure, words = fit_still(**FIT | {"r": 1, "seq": 32})
    bill = ledger(r=1, seq=32).bill
    assert bill.gradients >= bill.adapters / 2 and l08.LATER not in words
