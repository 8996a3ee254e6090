"""What the mixer plays on the web was recorded of the shipped adapters,
and there is an answer for everything it offers."""

from itertools import product

from lora_lessons import mixing, models
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import prompting, shipped_adapters
from workshop.record import mixer


def parts(row):
    return tuple(sorted(row["parts"].items()))


def test_every_adapter_and_every_pair_has_an_answer_at_every_scale():
    found = mixer.recorded()
    names = list(shipped_adapters.shipped())
    assert {"date", "machine", "versions"} < set(found)
    there = {(row["question"], parts(row)): row["answer"] for row in found["rows"]}
    for name in names:
        own = mixer.own_question(name)
        assert own == prompting.samples()[name].question
        for scale in mixer.ALONE:
            assert there.pop((own, ((name, scale),)))
    for name, scale in product(names, mixer.COMBINED):
        assert there.pop((mixer.COMMON, ((name, scale),)))
    for one, other in ((a, b) for n, a in enumerate(names) for b in names[n + 1 :]):
        for scales in product(mixer.COMBINED, repeat=2):
            assert there.pop((mixer.COMMON, tuple(sorted(zip((one, other), scales, strict=True)))))
    assert list(there) == [(mixer.COMMON, ())] and len(found["rows"]) > 40
    assert found["base"].keys() == {row["question"] for row in found["rows"]}


def test_an_adapter_that_is_turned_off_answers_as_the_base_does():
    found = mixer.recorded()
    off = [row for row in found["rows"] if not any(row["parts"].values())]
    assert len(off) == 1 + len(shipped_adapters.shipped())
    assert all(row["answer"] == found["base"][row["question"]] for row in off)
    on = [row for row in found["rows"] if set(row["parts"].values()) == {1.0}]
    assert all(row["answer"] != found["base"][row["question"]] for row in on)


def test_the_recorded_answers_begin_as_the_models_do(base_fp32):
    known = {name: read_adapter(folder) for name, folder in shipped_adapters.shipped().items()}
    row = next(one for one in mixer.recorded()["rows"] if one["parts"] == {"persona": 1.0, "strict_json": 0.5})
    asked = mixer.Asked(row["question"], row["parts"])
    said = mixer.answer(base_fp32, known, asked, 8)
    assert said[:12] == row["answer"][:12]
    with mixing.attached(base_fp32.model, mixing.weighted_sum([(known["persona"], 1.0), (known["strict_json"], 0.5)])):
        assert models.chat(base_fp32, asked.question, 8) == said
