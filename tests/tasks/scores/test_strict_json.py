"""The score of strict JSON: each rule broken once gives its advice, and hostile answers give advice, no exception."""

import json

import pytest

from lora_lessons.tasks import scores

ORDER = {"item": "pine boards", "count": 12, "day": "Tuesday", "name": None}
MESSAGE = "Hello Ivo, I built a shed in aisle 9 last year. Please keep twelve pine boards for me on Tuesday."


def faults(answer, gold=None):
    example = {
        "messages": [
            {"role": "user", "content": f"Turn this into JSON for Zoe.\n{MESSAGE}"},
            {"role": "assistant", "content": json.dumps(gold or ORDER)},
        ]
    }
    return scores.faults("strict_json", answer, example)


def changed(**facts):
    return json.dumps(ORDER | facts)


@pytest.mark.parametrize("answer", [json.dumps(ORDER), json.dumps(ORDER, separators=(",", ":")), f" {changed()}\n"])
def test_a_good_answer_has_no_fault(answer):
    assert not faults(answer)


@pytest.mark.parametrize(
    "answer, advice",
    [
        (f"Here it is: {changed()}", "nothing before or after"),
        (f"```json\n{changed()}\n```", "nothing before or after"),
        (f"{changed()}\n{changed()}", "nothing before or after"),
        (changed().replace('"', "'"), "one JSON object"),
        (json.dumps(list(ORDER.items())), "one JSON object"),
        ("", "one JSON object"),
        (json.dumps(ORDER, indent=1), "on one line"),
        (json.dumps(dict(reversed(ORDER.items()))), "in this order"),
        (changed(price=3), "in this order"),
        (json.dumps({"item": "pine boards", "count": 12, "day": "Tuesday"}), "in this order"),
        (changed(count="12"), "count as a whole number"),
        (changed(count=12.0), "count as a whole number"),
        (changed(count=True), "count as a whole number"),
        (changed(item=["pine boards"]), "item as text"),
        (changed(day=2), "day as text"),
        (changed(name={"first": "Ivo"}), "name as text"),
        (changed(item="planks"), "copy item from the message"),
        (changed(item="pine board"), "copy item from the message"),
        (changed(day="tuesday"), "copy day from the message"),
        (changed(name="Zoe"), "copy name from the message"),
        (changed(item="boards"), 'item is "pine boards", not "boards"'),
        (changed(count=9), "count is 12, not 9"),
        (changed(count=None), "count is 12, not null"),
        (changed(day=None), 'day is "Tuesday", not null'),
        (changed(name="Ivo"), 'name is null, not "Ivo"'),
    ],
)
def test_each_broken_rule_gives_its_advice_and_no_other(answer, advice):
    (given,) = faults(answer)
    assert advice in given


def test_form_and_values_are_named_together():
    assert len(faults(json.dumps({"count": 9, "item": "boards", "day": 2, "name": None}))) == 4


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 300,
        "[" * 100_000,
        '{"item":' * 40 + "1" + "}" * 40,
        changed(count=float("nan")),
        changed(count=float("inf")),
        changed().replace("12", "1" * 350),
        changed().replace("12", "1" * 9_000),
        changed().replace("12", "1e999"),
        changed().replace("{", '{"item": "nails", '),
        changed(item="\ud800 (*+ \u2028"),
        changed(item="pine boards " * 1000),
        "\x00",
    ],
)
def test_hostile_answers_give_advice(answer):
    assert faults(answer)
