"""The second ledger: verdicts that follow from the recording of the arms."""

import copy
import math

import pytest

from lora_lessons.experiments import recordings
from lora_lessons.experiments.sizes.cells import SIZES
from lora_lessons.models import EMBEDDED
from lora_tools import papers
from lora_tools.papers import arms, evidence, judging, ledger, rates, recording

NOW = SIZES[EMBEDDED]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


def test_the_lowest_rate_lies_between_the_rates_that_were_tried():
    at = 1.3e-3
    found = {rate: (math.log(rate) - math.log(at)) ** 2 for rate in (5e-4, 1e-3, 2e-3)}
    assert rates.between(found) == pytest.approx(at)
    assert rates.between({1e-3: 3.0, 2e-3: 3.1}) == 1e-3, "no neighbour below"
    assert rates.between({5e-4: 3.2, 1e-3: 3.0, 2e-3: math.inf}) == 1e-3, "a run that stopped says not how far"


def curve(end, general, drift=0.5):
    """Two looks, from 4 nats to the end."""
    return [
        {"step": 4, "loss": 4.0, "general": 40.0, "drift": 0.0},
        {"step": 8, "loss": end, "general": general, "drift": drift},
    ]


def spilled(share):
    return {"everyday": share, "elsewhere": share, "asked": 32, "held_out": 0.9}


def recorded(**changed):
    """A made-up recording of all arms in which every claim of the first kind is seen; `changed` are fields of arms,
    by name."""
    runs = {recording.BASE: {"loss": 5.0, "general": 40.0}}
    losses = {"full": 3.0, "LoRA": 3.1, "attention": 3.4, "MLP": 3.1, "mask": 2.9, "TinyLoRA": 4.5}
    losses |= {"LoRA, 48 steps": 3.0, "LoRA, 6 steps of 32": 3.6, "full, 48 steps": 3.0, "full, 6 steps of 32": 3.2}
    best = {"full": 2.5e-4, "LoRA": 2e-3, "full, 48 steps": 2.5e-4, "LoRA, 48 steps": 2e-3, "full, 6 steps": 2.5e-4}
    best |= {"LoRA, 6 steps": 4e-3}
    fields = {
        "full": {"curve": curve(3.0, 60.0), "intruders": 0.1},
        "LoRA": {"curve": curve(3.1, 45.0), "intruders": 2.0},
        "LoRA, r = 1": {"intruders": 4.0, "scaled": [{"general": 50.0, "loss": 3.1}, {"general": 45.0, "loss": 3.11}]},
        "LoRA, r = 64": {"intruders": 1.0},
        "tea": {"spills": spilled(0.8)},
        "tea, one matrix": {
            "spills": spilled(0.3),
            "steers": [{"times": 1, "loss": 4.0} | spilled(0.1), {"times": 2, "loss": 5.0} | spilled(0.2)],
        },
    }
    for name, arm in arms.ARMS.items():
        about = changed.get(name, {})
        rate, loss = about.get("rate", best.get(name, 2e-3)), about.get("loss", losses.get(name, 3.1))
        common = {"arm": name, "how": recording.how(arm), "trained": 9, "rate": rate, "general": 44.0}
        for step, off in ((0.5, 0.1), (1, 0), (2, 0.1)):
            runs[recording.trial(name, rate * step)] = common | {"loss": loss + off}
        for seed in range(arm.seeds):
            jitter = 0.001 * (len(name) * seed % 3)  # seeds are never quite alike
            mine = copy.deepcopy(fields.get(name, {})) | about.get("fields", {})
            runs[recording.final(name, seed)] = common | {"loss": loss + jitter} | mine
    return {"papers": {"settings": recording.common(NOW), "runs": runs}} | beside()


def beside(
    small=1.0,
    large=(0.1, 0.2, 0.4, 0.9),
    longer=0.2,
    one=0.8,
    every=0.8,
    drift=0.2,
    own=0.9,
    loss=3.1,
    late=0,
    mask=0.1,
    reach=2.0,
    apart=None,
    cosine=0.2,
    known=(20, 20, 5, 0),
):
    """What others recorded: the phone book, the rewards, ordinary answers, how strong updates are."""
    book = {
        f"{r} {n}": {"r": r, "entries": n, "bits": share * n * 10, "longer": 1}
        for n, shares in ((32, (small, 1, 1, 1)), (128, (1, 1, 1, 1)), (512, large))
        for r, share in zip((1, 2, 4, 16), shares, strict=True)
    } | {"longer": {"r": 1, "entries": 512, "bits": longer * 5120, "longer": 4}}
    book |= {"mask": {"way": "mask", "r": 1, "entries": 512, "bits": mask * 5120, "longer": 1}}
    book = {name: {"way": "B·A", "blocks": 1, "seed": 0} | run for name, run in book.items()}
    rewards = {
        f"{arm}, seed {seed}": {
            "before": {"share": 0.03},
            "after": {"share": share + seed / 100},
            "steps": [0.1] * (late if arm == "r = 1" else 0) + [0.8],
        }
        for arm, share in (("r = 1", one), ("r = 8", 0.9), ("every weight", every))
        for seed in range(3)
    }
    ordinary = {
        f"{task}, {share}, seed {seed}": {
            "after": {
                "drift": {"share": at + seed / 100},
                "drift elsewhere": {"share": at},
                "loss": nats + seed / 1000 * at,
                "perplexity": 48.0,
                "answers": [say] * round(30 * form) + ["No."] * (30 - round(30 * form) + 44),
            }
        }
        for task, say, kept in (
            ("persona", "Keep the lamp lit.", own),
            ("helpdesk", "Cause: It is.\nFix: Do.\nIf not: Ask.", apart or own),
        )
        for share, at, form, nats in (("0%", 0.8, 0.9, 3.1), ("25%", drift, kept, loss))
        for seed in range(3)
    }
    at = [
        {"exact": exact, "general": general} for exact, general in zip(known, (600.0, 500.0, 300.0, 60.0), strict=True)
    ]
    book_reach = {"reach": 9.0, "update": 90, "W": 9, "cosine": cosine, "general": 50.0, "scaled": at}
    reaches = {"LoRA, r = 1": {"reach": reach}, "the phone book": book_reach}
    return {
        "lesson_05_capacity": {"settings": {"bits_an_entry": 10}, "runs": book},
        "lesson_13_rewards": {"runs": rewards},
        "lesson_11_ordinary_answers": {"runs": ordinary},
        "papers_reach": {"runs": reaches},
    }


def judged(id, record):
    return judging.JUDGES[id](evidence.Evidence(record))[0]


def three(**fields):
    return {"fields": fields}


def uneven(rises, **arms_):
    """A recording in which the losses of an arm rise or fall seed by seed."""
    record = recorded(**arms_)
    for name, steps in rises.items():
        for seed, step in enumerate(steps):
            record["papers"]["runs"][recording.final(name, seed)]["loss"] += step
    return record


NO_LONGER = {name: run for name, run in beside()["lesson_05_capacity"]["runs"].items() if name != "longer"}
TURNED = [
    ("P01", judging.NOT_SEEN, recorded(LoRA={"rate": 1.6e-2})),
    ("P01", judging.CONDITION, recorded(**{"LoRA, 6 steps": {"rate": 2e-3}})),
    ("P02", judging.CONDITION, recorded(**{"LoRA, r = 64": {"rate": 1e-3}})),
    ("P02", judging.NOT_SEEN, recorded(**{"LoRA, r = 64": {"rate": 5e-4}})),
    ("P03", judging.CONDITION, recorded(MLP={"loss": 3.4})),
    ("P03", judging.NOT_SEEN, recorded(attention={"loss": 3.0})),
    ("P03", judging.NOT_SEEN, recorded(attention={"loss": 3.11})),
    ("P04", judging.NOT_SEEN, recorded(**{"full, 6 steps of 32": {"loss": 3.7}})),
    ("P04", judging.CANNOT_TELL, recorded(**{"LoRA, 6 steps": {"loss": 3.5}})),
    ("P05", judging.CANNOT_TELL, recorded() | beside(small=0.5)),
    ("P05", judging.SEEN, recorded() | beside(longer=0.85)),
    (
        "P05",
        judging.SEEN,
        recorded() | {"lesson_05_capacity": {"settings": {"bits_an_entry": 10}, "runs": NO_LONGER}},
    ),
    ("P05", judging.NOT_SEEN, recorded() | beside(large=(0.9, 0.9, 0.9, 0.9))),
    ("P06", judging.CONDITION, recorded() | beside(one=0.5)),
    ("P06", judging.CONDITION, recorded() | beside(one=0.95, every=0.97)),
    ("P06", judging.CONDITION, recorded() | beside(every=0.03)),
    ("P06", judging.NOT_SEEN, recorded() | beside(one=0.04)),
    ("P06", judging.CONDITION, recorded() | beside(late=3)),
    ("P07", judging.CONDITION, recorded(LoRA={"loss": 3.0} | three(curve=curve(3.0, 45.0), intruders=2.0))),
    ("P07", judging.CONDITION, recorded(LoRA=three(curve=curve(3.1, 70.0), intruders=2.0))),
    ("P07", judging.NOT_SEEN, recorded(LoRA={"loss": 3.0} | three(curve=curve(3.0, 70.0), intruders=2.0))),
    ("P07", judging.CONDITION, recorded(**{"LoRA, 48 steps": {"loss": 3.0} | three(general=44.5)})),
    ("P07", judging.SEEN, recorded(**{"LoRA, 48 steps": {"loss": 3.2} | three(general=44.5)})),
    (
        "P08",
        judging.CONDITION,
        recorded(**{"LoRA, r = 1": three(intruders=4.0, scaled=[{"general": 50.0, "loss": 3.1}] * 2)}),
    ),
    ("P08", judging.CONDITION, recorded(LoRA=three(intruders=0.0, curve=curve(3.1, 45.0)))),
    ("P08", judging.CANNOT_TELL, recorded() | beside(reach=0.9, cosine=0.6)),
    ("P08", judging.CONDITION, recorded() | beside(reach=0.9)),
    (
        "P08",
        judging.NOT_SEEN,
        recorded(
            **{
                "LoRA": three(intruders=0.0, curve=curve(3.1, 45.0)),
                "LoRA, r = 1": three(intruders=0.0, scaled=[{"general": 50.0, "loss": 3.1}] * 2),
                "LoRA, r = 64": three(intruders=0.0),
            }
        ),
    ),
    ("P09", judging.CONDITION, recorded(DoRA={"loss": 3.2})),
    ("P09", judging.CANNOT_TELL, uneven({"DoRA": (-0.032, 0, 0.032)}, DoRA={"loss": 3.2})),
    ("P09", judging.CANNOT_TELL, uneven({"DoRA": (-0.032, 0, 0.032)}, DoRA={"loss": 3.0})),
    ("P09", judging.NOT_SEEN, recorded(DoRA={"loss": 2.9}, OFT={"loss": 3.5})),
    ("P09", judging.SEEN, recorded(OFT={"loss": 2.9}, MiSS={"loss": 3.5}, VeRA={"loss": 4.0})),
    ("P10", judging.CANNOT_TELL, uneven({"mask": (-0.1, 0, 0.1)}, mask={"loss": 3.1})),
    ("P10", judging.CONDITION, recorded(mask={"loss": 3.15}) | beside(mask=0.2)),
    ("P10", judging.NOT_SEEN, recorded(mask={"loss": 3.15})),
    ("P10", judging.CANNOT_TELL, recorded(mask={"loss": 3.085})),  # below, and by too little
    ("P11", judging.CONDITION, recorded(tea=three(spills=spilled(0.3)))),
    ("P11", judging.NOT_SEEN, recorded(tea=three(spills=spilled(0.05)))),
    ("P12", judging.CONDITION, recorded() | beside(loss=3.3)),
    ("P12", judging.NOT_SEEN, recorded() | beside(drift=0.8)),
    ("P12", judging.NOT_SEEN, recorded() | beside(own=0.1)),
    ("P12", judging.CONDITION, recorded() | beside(own=0.1, apart=0.8)),
]


@pytest.mark.parametrize("id", judging.JUDGES)
def test_every_claim_is_seen_in_a_record_that_bears_it_out(id):
    assert judged(id, recorded()) == (judging.CONDITION if id == "P02" else judging.SEEN)
    assert {verdict for known, verdict, _ in TURNED if known == id} >= {judging.NOT_SEEN}


@pytest.mark.parametrize(("id", "verdict", "record"), TURNED)
def test_a_record_that_says_otherwise_turns_the_verdict_and_a_condition_is_named(id, verdict, record):
    found, values = judging.JUDGES[id](evidence.Evidence(record))
    assert found == verdict and bool(values.get("condition")) == (verdict in (judging.CONDITION, judging.CANNOT_TELL))


def test_a_mean_whose_interval_reaches_zero_is_not_seen():
    record = recorded(MLP={"loss": 3.35}, LoRA={"loss": 3.35} | three(curve=curve(3.1, 45.0), intruders=2.0))
    assert judged("P03", record) == judging.SEEN
    record["papers"]["runs"][recording.final("attention", 2)]["loss"] = 3.32
    assert judged("P03", record) == judging.NOT_SEEN


def keep(record):
    for name, one in record.items():
        recordings.keep(name, one)


def test_without_a_recording_every_row_says_so_and_the_ledger_is_in_order():
    rows = papers.rows()
    assert [row.id for row in rows] == list(judging.JUDGES) and {row.verdict for row in rows} == {judging.OPEN}
    assert papers.faults() == [] and not any(row.found or row.at_sizes for row in rows)
    for row in rows:
        assert row.source.url.startswith("https://") and row.source.read and row.section and row.says and row.ours


def test_a_sentence_is_filled_with_what_was_measured_and_a_missing_seed_leaves_its_claim_open():
    keep(recorded())
    assert papers.faults() == []
    by_id = {row.id: row for row in papers.rows()}
    assert [row.id for row in by_id.values() if row.verdict != judging.SEEN] == ["P02"]
    assert "8.0 times as high" in by_id["P01"].found and "In 6 steps it was 16.0 times" in by_id["P01"].found
    assert not any("{" in row.found for row in by_id.values())
    some = recorded()
    del some["papers"]["runs"][recording.final("attention", 1)]
    keep(some)
    assert [row.id for row in papers.rows() if row.verdict == judging.OPEN] == ["P03"], "a seed is missing"
    some["papers"]["runs"][recording.final("mask", 1)] |= {"loss": None, "stopped": "NaN."}
    keep(some)
    (stopped,) = (row for row in papers.rows() if row.verdict == judging.CANNOT)
    assert stopped.id == "P10" and stopped.found == "mask, seed 1: NaN."


def test_a_larger_base_has_a_sentence_of_its_own_and_says_what_cannot_be_tried_there():
    small, far, near = (
        recorded(LoRA={"rate": rate}, attention={"loss": loss})["papers"]["runs"]
        for rate, loss in ((2e-3, 3.4), (1.6e-2, 3.4), (1.6e-2, 3.165))
    )
    one, other = (
        {
            name: run
            for name, run in runs.items()
            if run.get("arm", "LoRA") in arms.LARGER and not name.endswith((", seed 1", ", seed 2"))
        }
        for runs in (far, near)
    )
    for size, runs in zip(SIZES.values(), (small, one, other), strict=True):
        recordings.keep(recording.name_of(size), {"settings": recording.common(size), "runs": runs})
    by_id = {row.id: row for row in papers.rows()}
    assert "At 0.5B, one seed: seen here." in by_id["P03"].at_sizes and by_id["P03"].verdict == judging.SEEN
    assert "At 1.5B, one seed: this run cannot tell. The same direction, not told apart." in by_id["P03"].at_sizes
    # what a larger base denies is seen with a condition, and its headline says so
    assert (
        by_id["P01"].found.startswith("At 135M, not at 0.5B. In 24 steps") and by_id["P01"].verdict == judging.CONDITION
    )
    assert (
        "At 1.5B: cannot be tried here" in by_id["P01"].at_sizes
        and by_id["P02"].at_sizes == "Not asked at 0.5B and 1.5B."
    )


def test_the_check_finds_a_recording_of_other_settings_and_words_that_nobody_measures(monkeypatch):
    keep(recorded())
    with monkeypatch.context() as other:
        other.setattr(ledger, "common", lambda size: recording.common(size) | {"task": "another"})
        assert "recorded under other settings" in papers.faults()[0]
    table = ledger._table()
    table["P03"]["found"] = "It was {nowhere}."
    monkeypatch.setattr(ledger, "_table", lambda: copy.deepcopy(table))
    (fault,) = papers.faults()
    assert "nowhere" in fault
