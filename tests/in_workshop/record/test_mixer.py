"""What the mixer plays on the web was recorded of the shipped adapters,
and there is an answer for everything it offers."""

from lora_lessons import mixing, models
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import shipped_adapters
from workshop.record import mixer


def test_everything_that_is_offered_has_an_answer_and_what_is_turned_off_is_the_base():
    found = mixer.recorded()
    asked = [mixer.Asked(row["question"], row["parts"]) for row in found["rows"]]
    assert asked == list(mixer.everything(list(shipped_adapters.shipped())))
    for row in found["rows"]:
        if not any(row["parts"].values()) or set(row["parts"].values()) == {1.0}:
            assert (row["answer"] == found["base"][row["question"]]) == (not any(row["parts"].values()))


def test_the_recorded_answers_begin_as_the_models_do(base_fp32):
    known = {name: read_adapter(folder) for name, folder in shipped_adapters.shipped().items()}
    row = next(one for one in mixer.recorded()["rows"] if one["parts"] == {"persona": 1.0, "strict_json": 0.5})
    asked = mixer.Asked(row["question"], row["parts"])
    said = mixer.answer(base_fp32, known, asked, 8)
    assert said[:12] == row["answer"][:12]
    with mixing.attached(base_fp32.model, mixing.weighted_sum([(known["persona"], 1.0), (known["strict_json"], 0.5)])):
        assert models.chat(base_fp32, asked.question, 8) == said
