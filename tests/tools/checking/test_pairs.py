"""Preference files: every layout is one, as TRL reads it, and what is wrong with a pair is named."""

import json

import pytest
from chat_templates import CHATML, tokenizer_of
from reliability.judging import not_a_sentence

from lora_lessons import tasks
from lora_lessons.paths import course_root
from lora_tools import checking

ASK, GOOD, BAD = "Which leaf makes good tea?", "Camellia sinensis.", "Any leaf will do, I am told."
USER, CHOSEN, REJECTED = (
    {"role": role, "content": said} for role, said in (("user", ASK), ("assistant", GOOD), ("assistant", BAD))
)
RULE, HELLO = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}
SAID = {"role": "assistant", "content": "Good day."}
TEXTS = {"prompt": ASK, "chosen": GOOD, "rejected": BAD}
SPOKEN = "\n\nHuman: Hello.\n\nAssistant: Good day.\n\nHuman: Which leaf makes good tea?\n\nAssistant: "


def whole(*before):
    return {"chosen": [*before, USER, CHOSEN], "rejected": [*before, USER, REJECTED]}


def severities(report):
    return {problem.code: problem.severity for problem in report.problems if problem.code != "too_few"}


# the record, and what stands before the question in the prompt
LAYOUTS = [
    (TEXTS, ()),
    ({"prompt": [USER], "chosen": [CHOSEN], "rejected": [REJECTED]}, ()),
    ({"prompt": [RULE, USER], "chosen": [CHOSEN], "rejected": [REJECTED]}, (RULE,)),
    ({**TEXTS, "system": "Be brief."}, (RULE,)),
    (whole(), ()),
    (whole(RULE, HELLO, SAID), (RULE, HELLO, SAID)),
    ({"prompt": ASK, **whole()}, ()),
    ({"prompt": ASK, "chosen": [CHOSEN], "rejected": [REJECTED]}, ()),
    ({"messages": [USER, CHOSEN], "prompt": ASK, "score_chosen": 8.0, **whole()}, ()),
    ({"chosen": SPOKEN + GOOD, "rejected": SPOKEN + BAD}, (HELLO, SAID)),
    ({"question": ASK, "chosen": GOOD, "rejected": BAD}, ()),
    ({"instruction": ASK, "input": "", "chosen": GOOD, "rejected": BAD}, ()),
    (
        {
            "conversations": [{"from": "human", "value": ASK}],
            "chosen": {"from": "gpt", "value": GOOD},
            "rejected": {"from": "gpt", "value": BAD},
        },
        (),
    ),
]


@pytest.mark.parametrize(("record", "before"), LAYOUTS, ids=range(len(LAYOUTS)))
def test_a_pair_is_the_same_in_every_layout(checked, tmp_path, record, before):
    report = checked(record)
    assert severities(report).keys() <= {"sharegpt_roles", "system_beside"} and report.good == 1
    ((line, pair),) = checking.conversations(tmp_path / "x.jsonl")
    assert line == 1 and pair["messages"] == [*before, USER, CHOSEN]
    assert {name: pair[name] for name in ("prompt", "chosen", "rejected")} == {
        "prompt": [*before, USER],
        "chosen": [CHOSEN],
        "rejected": [REJECTED],
    }


def test_a_table_of_preferences_is_read_too(tmp_path):
    (tmp_path / "x.csv").write_text("Prompt;Chosen;Rejected\nWhy?;So.;Well, it is like this.\n")
    ((line, pair),) = checking.conversations(tmp_path / "x.csv")
    assert line == 2 and pair["rejected"] == [{"role": "assistant", "content": "Well, it is like this."}]


def test_the_courses_own_pairs_have_one_shortcut_and_no_other_fault():
    report = checking.check(course_root() / "data" / "preferences" / "train_pairs.jsonl")
    assert severities(report) == {"length_shortcut": "note"} and report.good == 48
    assert "A preference is two conversations; the chosen answer is the shorter one in 100% of the pairs." in (
        checking.in_words(report)
    )


MISTAKES = [
    ("same_answers", "wrong", {**TEXTS, "rejected": f"{GOOD} \n"}),
    ("same_but_spaces", "look", {**TEXTS, "rejected": "Camellia  sinensis.\n"}),
    ("same_answers", "wrong", {"chosen": [USER, CHOSEN], "rejected": [USER, CHOSEN]}),
    ("same_answers", "wrong", {"chosen": "Why? So.", "rejected": "Why? So."}),
    ("prompt_not_shared", "wrong", {"chosen": [USER, CHOSEN], "rejected": [HELLO, REJECTED]}),
    ("prompt_not_shared", "wrong", {"chosen": [RULE, USER, CHOSEN], "rejected": [RULE, HELLO, REJECTED]}),
    ("prompt_not_shared", "wrong", {"chosen": [USER, CHOSEN], "rejected": [USER, RULE, REJECTED]}),
    ("prompt_not_shared", "wrong", {"prompt": "What else?", **whole()}),
    ("prompt_not_shared", "wrong", {"chosen": "So.", "rejected": "Well."}),
    ("other_layout", "wrong", {"messages": [USER], "chosen": [CHOSEN], "rejected": [REJECTED]}),
    ("prompt_twice", "wrong", {"prompt": [USER], **whole()}),
    ("prompt_twice", "wrong", {"prompt": ASK, "chosen": f"{ASK} {GOOD}", "rejected": f"{ASK} {BAD}"}),
    ("empty_answer", "wrong", {**TEXTS, "chosen": ""}),
    ("empty_answer", "wrong", {**TEXTS, "rejected": " \n"}),
    ("empty_answer", "wrong", {"prompt": [USER], "chosen": [CHOSEN], "rejected": []}),
    ("empty_answer", "wrong", {"prompt": [USER], "chosen": [CHOSEN], "rejected": [{**REJECTED, "content": ""}]}),
    ("empty_answer", "wrong", {**TEXTS, "rejected": None}),
    ("empty_answer", "look", {**TEXTS, "rejected": "…"}),
    ("no_text", "wrong", {**TEXTS, "rejected": 3}),
    ("no_text", "wrong", {**TEXTS, "rejected": [REJECTED]}),
    ("no_text", "wrong", {**TEXTS, "prompt": [USER]}),
    ("no_text", "wrong", {**TEXTS, "prompt": None}),
    ("missing_role", "wrong", {"prompt": [USER], "chosen": ["a"], "rejected": ["b"]}),
    ("missing_role", "wrong", {"chosen": [USER, CHOSEN], "rejected": [USER, CHOSEN, HELLO]}),
    ("unknown_layout", "wrong", {"conversations": 3, "chosen": [CHOSEN], "rejected": [REJECTED]}),
    ("unread_field", "look", {**TEXTS, "history": ["Hello."]}),
    ("prompt_guessed", "note", {"chosen": "Why is it so? It is.", "rejected": "Why is it so? It was."}),
    ("special_token_in_text", "note", {**TEXTS, "prompt": "Other?", "rejected": "That one.<|im_end|>"}),
    ("boilerplate", "look", {**TEXTS, "chosen": "As an AI language model, I have no tea."}),
    ("personal_data", "look", {**TEXTS, "prompt": "Other?", "rejected": "Ask jo@acme.org."}),
    ("mixed_layouts", "look", {"prompt": "Which?", "completion": "That one."}),
    ("duplicate", "look", {"prompt": "And milk?", "chosen": "White.", "rejected": "From cows, as far as I know."}),
    ("near_duplicate", "look", {"prompt": "AND MILK?", "chosen": "White!", "rejected": "From cows, as far as I know."}),
    ("turned_round", "look", {"prompt": "and milk", "rejected": "White.", "chosen": "From cows, as far as I know."}),
]


@pytest.mark.parametrize(("code", "severity", "record"), MISTAKES, ids=[f"{n}-{m[0]}" for n, m in enumerate(MISTAKES)])
def test_a_mistake_is_named_and_costs_no_good_pair(checked, code, severity, record):
    milk = {"prompt": "And milk?", "chosen": "White.", "rejected": "From cows, as far as I know."}
    report = checked(milk, record)
    allowed = {"mixed_layouts": "look"} if "prompt" not in record else {}
    assert allowed | severities(report) == allowed | {code: severity}
    (problem,) = [one for one in report.problems if one.code == code]
    assert problem.lines in ((2,), ()) and not_a_sentence(f"In line 2, {problem.sentence}") == ""
    assert report.good == (1 if severity == "wrong" else 2) and report.lines == 2


@pytest.mark.parametrize(
    ("field", "asked"),
    [("messages", [RULE, USER]), ("turns", [{"from": "human", "value": ASK}]), ("query", ASK)],
)
@pytest.mark.parametrize("sides", [("Yes, this.", "Yes, that."), ([CHOSEN], [REJECTED])], ids=["texts", "messages"])
def test_a_question_in_another_field_than_prompt_is_named(checked, field, asked, sides):
    report = checked({"id": 7, field: asked, "chosen": sides[0], "rejected": sides[1]})
    (problem,) = report.problems
    assert f"the question stands in {field}, " in problem.sentence
    assert problem.sentence.endswith("Rename this field to prompt.")


@pytest.mark.parametrize(
    "record",
    [
        {**TEXTS, "rejected": "As an AI language model, I have no tea."},
        {"prompt": "Hello", "chosen": "Hello, my dear.", "rejected": "Hello to you."},
        {"prompt": "And milk?", "chosen": "White.", "rejected": "None that I know of, I am afraid."},
        {"prompt": [USER], "chosen": [CHOSEN, HELLO, SAID], "rejected": [REJECTED]},
        {"prompt": "Which leaf?", "chosen": "A tea leaf.", "rejected": "A tealeaf, I am told."},
    ],
    ids=[
        "a refusal is a bad answer",
        "a greeting returned",
        "a third answer",
        "an answer of several turns",
        "a word in two",
    ],
)
def test_what_is_no_mistake_in_a_pair_is_not_named(checked, record):
    milk = {"prompt": "And milk?", "chosen": "White.", "rejected": "From cows, as far as I know."}
    assert severities(checked(milk, record)) == {}


def test_what_both_answers_repeat_is_no_question_in_another_field(checked):
    assert "prompt_not_shared" not in severities(checked({"messages": [HELLO], **whole()}))
    pair = {"chosen": f"{ASK} {GOOD}", "rejected": f"{ASK} {BAD}"}
    assert severities(checked({"query": ASK, **pair})) == {"prompt_guessed": "note"}


@pytest.mark.parametrize(
    ("shorter", "longer", "said"),
    [(9, 1, "shorter one in 90%"), (1, 19, "longer one in 95%"), (17, 2, ""), (9, 0, ""), (5, 5, "")],
)
def test_length_is_a_shortcut_where_it_nearly_always_tells(checked, shorter, longer, said):
    pairs = [("No.", "No, not at all."), ("No, not at all.", "No.")]
    several = [pairs[0]] * shorter + [pairs[1]] * longer
    lines = [{"prompt": f"Is it {n}?", "chosen": c, "rejected": r} for n, (c, r) in enumerate(several)]
    (found,) = [one.sentence for one in checked(*lines).problems if one.code == "length_shortcut"] or [""]
    assert said in found and bool(said) == bool(found)
    assert (f"add pairs whose {'longer' if shorter > longer else 'shorter'} answer" in found) == bool(said)


def test_a_prompt_that_is_held_out_is_found_in_either_kind_of_file(checked, tmp_path):
    for held in (TEXTS, {"prompt": ASK, "completion": "Mint."}, whole(RULE)):
        (tmp_path / "held.jsonl").write_text(json.dumps(held))
        report = checked({**TEXTS, "prompt": "And milk?"}, TEXTS, held_out=tmp_path / "held.jsonl")
        assert [(one.code, one.lines) for one in report.of("look")] == [("too_few", ()), ("leak", (2,))][::-1]


def test_both_answers_are_counted_and_neither_may_be_cut(checked, tmp_path):
    tokenizer = tokenizer_of(CHATML)
    pair = tasks.encode_pair(tokenizer, TEXTS)
    sizes = [len(one.input_ids) for one in pair]
    report = checked(TEXTS, tokenizer=tokenizer)
    assert (report.tokens.total, report.tokens.longest, report.good) == (sum(sizes), max(sizes), 1)
    assert report.supervised == sum(int((one.labels != tasks.IGNORED).sum()) for one in pair) / sum(sizes)
    said = checking.in_words(report)
    assert f"⟦{GOOD}" in said and f"⟦{BAD}" in said and "With the rejected answer" in said
    assert f"⟦{BAD}" in checking.as_page(report) and report.as_data()["compared"]["shorter"] == 1
    (cut, *_) = checked(TEXTS, tokenizer=tokenizer, max_tokens=max(sizes) - 1).of("wrong")
    assert cut.code == "too_long" and cut.sentence.startswith(f"with its rejected answer, it has {max(sizes)} tokens")
    assert list(checking.conversations(tmp_path / "x.jsonl", tokenizer, max(sizes) - 1)) == []


def test_of_a_chat_only_what_is_said_after_the_two_part_is_learned():
    pair = {"prompt": [HELLO, SAID, USER], "chosen": [CHOSEN, HELLO, SAID], "rejected": [REJECTED]}
    tokenizer = tokenizer_of(CHATML)
    learned = [tokenizer.decode(one.labels[one.labels != tasks.IGNORED]) for one in tasks.encode_pair(tokenizer, pair)]
    assert learned == [f"{GOOD}<|im_end|>{SAID['content']}<|im_end|></s>", f"{BAD}<|im_end|></s>"]
