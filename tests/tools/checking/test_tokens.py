"""With a base's tokenizer: what its template does to every line, what is too long, and what the model will see."""

import html
import json
import re

import pytest
from chat_templates import (
    CHATML,
    CHATML_MARKED,
    LLAMA_2,
    LLAMA_3,
    MISTRAL_1,
    MISTRAL_3,
    QWEN,
    QWEN_3,
    ZEPHYR,
    tokenizer_of,
)
from reliability.judging import not_a_sentence

from lora_lessons import tasks
from lora_tools import checking
from lora_tools.checking import checker, records, report, template, tokens

TALK = [{"role": "user", "content": "Which leaf?"}, {"role": "assistant", "content": "Camellia\nsinensis, naïve 🙂."}]
RULE = {"role": "system", "content": "Be brief."}
TEMPLATES = {
    "chatml": CHATML,
    "llama 2": LLAMA_2,
    "llama 3": LLAMA_3,
    "mistral 1": MISTRAL_1,
    "mistral 3": MISTRAL_3,
    "qwen": QWEN,
    "zephyr": ZEPHYR,
}


@pytest.fixture
def checked(checked):
    """A function that checks these conversations, or other records, with a tokenizer."""

    def check(tokenizer, *talks, **how):
        records = ({"messages": talk} if isinstance(talk, list) else talk for talk in talks)
        return checked(*records, tokenizer=tokenizer, **how)

    return check


def codes(report):
    return {problem.code: problem.severity for problem in report.problems if problem.code != "too_few"}


def whole(name, **special):
    """A tokenizer with this template and a pad token of its own."""
    tokenizer = tokenizer_of(TEMPLATES.get(name, name), begin=special.pop("begin", False))
    tokenizer.pad_token = "<unk>"
    for token, text in special.items():
        setattr(tokenizer, token, text)
    return tokenizer


MARKED = CHATML.replace(
    "m.content + '<|im_end|>\\n' }}", "m.content + '<|im_end|>\\n' }}{% generation %}{% endgeneration %}"
)
END_UNMARKED = CHATML_MARKED.replace(
    "m.content + '<|im_end|>' }}{% endgeneration %}", "m.content }}{% endgeneration %}<|im_end|>"
)
HEADER_MARKED = CHATML.replace(
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}",
    "{% if m.role == 'assistant' %}{% generation %}<|im_start|>assistant\n{{ m.content + '<|im_end|>' }}{% "
    "endgeneration %}{% else %}{{ '<|im_start|>user\\n' + m.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}",
)
ASKS_NEVER = CHATML.partition("{% if add_generation_prompt")[0]
MARKS_MISSING = {"no_generation_marks": "note"}


@pytest.mark.parametrize(
    ("tokenizer", "found"),
    [
        (whole(CHATML_MARKED, eos_token="<|im_end|>"), {}),
        (whole(MARKED, eos_token="<|im_end|>"), {"generation_marks": "look"}),
        (whole(END_UNMARKED, eos_token="<|im_end|>"), {"generation_marks": "look"}),
        (whole(HEADER_MARKED, eos_token="<|im_end|>"), {"generation_marks": "look"}),
        (whole(ASKS_NEVER, eos_token="<|im_end|>"), MARKS_MISSING | {"asks_without_opening": "look"}),
        (whole("chatml", eos_token="<|im_end|>", begin=True), MARKS_MISSING | {"bos_missing": "note"}),
        (whole("chatml", eos_token="<|im_end|>"), MARKS_MISSING),
        # its folder would say whether <|im_end|> is an end, too
        (whole("chatml"), MARKS_MISSING | {"eos_never_supervised": "note"}),
        (
            whole("{% for m in messages %}{{ m.content }} {% endfor %}"),
            MARKS_MISSING | {"eos_never_supervised": "look"},
        ),
        (whole("chatml", eos_token=None), {"eos_never_supervised": "wrong"}),
        # it writes the assistant's header after every conversation, so none is how a longer one begins
        (whole("zephyr"), MARKS_MISSING | {"only_last_answer": "note", "asks_always": "look"}),
        (whole("llama 3", eos_token="<|eot_id|>", begin=True), MARKS_MISSING | {"bos_twice": "note"}),
        (whole("llama 3", eos_token="<|eot_id|>"), MARKS_MISSING),
        (whole("mistral 1", pad_token="</s>"), MARKS_MISSING | {"pad_is_eos": "note"}),
        (whole("mistral 1", pad_token=None), MARKS_MISSING | {"pad_is_eos": "note"}),
        # the answer ends in another token, as Phi-3's
        (whole("chatml", pad_token="</s>"), MARKS_MISSING | {"eos_never_supervised": "note"}),
        (whole(""), {"no_template": "look"}),
    ],
    ids=range(17),
)
def test_what_template_and_tokenizer_do_to_every_line(checked, tokenizer, found):
    report = checked(tokenizer, TALK, [TALK[0], {"role": "assistant", "content": "Another."}, *TALK])
    assert codes(report) == found
    assert {problem.line for problem in report.problems if problem.code != "only_last_answer"} == {None}
    assert [said for p in report.problems if (said := not_a_sentence(p.sentence))] == []


def test_trl_agrees_which_generation_marks_leave_the_end_out():
    utils = pytest.importorskip("trl.chat_template_utils")
    for name, trained in ((CHATML_MARKED, True), (END_UNMARKED, False)):
        marked = whole(name, eos_token="<|im_end|>")
        found = [code for code, *_ in template.of_the_template(marked, {"messages": TALK})]
        assert utils.is_chat_template_stop_token_trained(marked) == trained == ("generation_marks" not in found)


def test_what_generation_marks_take_in_before_an_answer_is_shown_but_a_think_block():
    """As in the review of huggingface/trl#5721 (2026-05-07)."""
    ((_, _, sentence), *_) = template.of_the_template(whole(HEADER_MARKED, eos_token="<|im_end|>"), {"messages": TALK})
    assert 'take in "<|im_start|>assistant", which the model is given' in sentence and "behind it" in sentence
    thinks = HEADER_MARKED.replace(
        "{% generation %}<|im_start|>assistant\n", "<|im_start|>assistant\n{% generation %}<think>\n"
    )
    asks = thinks.replace("'<|im_start|>assistant\\n' }}{% endif", "'<|im_start|>assistant\\n<think>\\n' }}{% endif")
    assert asks != thinks != HEADER_MARKED
    assert list(template.of_the_template(whole(asks, eos_token="<|im_end|>"), {"messages": TALK})) == []


@pytest.mark.parametrize(
    ("file", "stops", "found"),
    [
        ("generation_config.json", [2, 4], False),
        ("generation_config.json", [2], True),
        ("config.json", [2, 4], False),
        ("config.json", 4, False),
        ("config.json", ["no id"], True),
    ],
)
def test_an_end_that_the_folder_of_the_base_names_is_one(tmp_path, file, stops, found):
    """As Gemma's: the tokenizer's end is <eos>, and generation_config.json, or config.json alone, names <end_of_turn>,
    too."""
    chatml = whole("chatml")
    assert chatml.convert_tokens_to_ids("<|im_end|>") == 4
    (tmp_path / file).write_text(json.dumps({"eos_token_id": stops}))
    chatml.name_or_path = str(tmp_path)
    codes = {code: how for code, *how in template.of_the_template(chatml, {"messages": TALK})}
    assert ("eos_never_supervised" in codes) == found
    if stops == [2]:
        severity, sentence = codes["eos_never_supervised"]
        assert severity == "look" and "and generation stops at </s>" in sentence


def test_an_end_token_that_the_template_does_not_write_is_said_with_the_one_it_does():
    ((_, _, sentence), *_) = template.of_the_template(whole("chatml"), {"messages": TALK})
    assert "ends an answer with <|im_end|>, and the tokenizer's end token is </s>: that is well" in sentence
    assert "set eos_token to <|im_end|>" in sentence and "stops at </s>" not in sentence


@pytest.mark.parametrize(("more", "mark"), [("<|eot_id|>", "<|eot_id|>"), ("<|im_start|>assistant\n", "<|im_end|>")])
def test_of_several_marks_behind_an_answer_the_last_is_its_end_but_where_it_opens_a_further_one(more, mark):
    """As Kimi-K3's, of whose four the last ends the message."""
    several = CHATML.replace("<|im_end|>\\n", "<|im_end|>" + more.replace("\n", "\\n"))
    asked = several.replace("<|im_start|>assistant\\n' }}{% endif", "' }}{% endif") if "start" in more else several
    found = {code: said for code, _, said in template.of_the_template(whole(asked), {"messages": TALK})}
    assert f"ends an answer with {mark}," in found["eos_never_supervised"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_tokens_counted_are_those_that_encode_makes(checked, name):
    tokenizer = whole(name)
    talks = [TALK, TALK * 2, [*TALK, TALK[0], {"role": "assistant", "content": "he" * 300}]]
    report = checked(tokenizer, *talks)
    encoded = [tasks.encode(tokenizer, {"messages": talk}) for talk in talks]
    totals = sorted(len(one.input_ids) for one in encoded)
    assert [*vars(report.tokens).values()] == [totals[1], totals[2], totals[2], sum(totals)]
    taught = sum(int((one.labels != tasks.IGNORED).sum()) for one in encoded)
    assert report.supervised == taught / sum(totals) and report.good == 3


def test_a_conversation_that_the_template_refuses_is_wrong_and_costs_no_other(checked, tmp_path):
    report = checked(whole("mistral 1"), TALK, [RULE, *TALK], TALK[:1] + [{"role": "assistant", "content": "Mint."}])
    assert [(p.code, p.lines) for p in report.of("wrong")] == [("template_refuses", (2,))] and report.good == 2
    kept = checking.conversations(tmp_path / "x.jsonl", whole("mistral 1"))
    assert [line for line, _ in kept] == [1, 3]


def test_a_line_that_would_be_cut_is_too_long_and_one_without_room_for_an_answer_is_all_masked(checked, tmp_path):
    tokenizer = whole("chatml")
    sizes = [size for _, _, size in tokens.measured(tokenizer, [(1, {"messages": TALK})])]
    fits = sizes[0].total
    assert checked(tokenizer, TALK, max_tokens=fits).good == 1
    (cut, *_) = checked(tokenizer, TALK, max_tokens=fits - 1).problems
    assert (cut.code, cut.severity, cut.line) == ("too_long", "wrong", 1)
    assert f"it has {fits} tokens and {fits - 1} fit" in cut.sentence
    (masked, *_) = checked(tokenizer, TALK, max_tokens=sizes[0].given).problems
    assert (masked.code, masked.severity) == ("all_masked", "wrong")
    tokenizer.model_max_length = fits - 1
    for asked in (None, fits):
        assert checked(tokenizer, TALK, max_tokens=asked).of("wrong")[0].code == "too_long", "the smaller limit holds"
    assert list(checking.conversations(tmp_path / "x.jsonl", tokenizer)) == []


def test_what_is_learned_of_a_chat_is_said(checked):
    """All answers, or the last, as asked; or the last, because the template rewrites those before it."""
    for name, last_only, learned, said in (
        ("chatml", False, 4, "All 4 answers in these lines are learned."),
        ("chatml", True, 2, "Of the 4 answers in these lines 2 are learned: the last of each line."),
        (QWEN_3, False, 2, "2 are learned: only_last_answer says why."),
    ):
        report = checked(whole(name), TALK * 3, TALK, last_only=last_only)
        assert (report.answers, report.learned) == (4, learned) and said in checking.in_words(report)
        assert ("only_last_answer" in codes(report)) == (name == QWEN_3)
        assert not last_only or [span.taught for span in report.example.spans] == [False, True]
    (found,) = (problem for problem in report.problems if problem.code == "only_last_answer")
    assert (found.severity, found.lines) == (
        "note",
        (1,),
    ) and "TRL's, learn what it writes of the others, too" in found.sentence
    assert found.sentence.startswith("of its 3 answers only the last is learned here")
    assert "answers in these lines" not in checking.in_words(checked(whole("chatml"), TALK)), "one answer a line"


# the template, the tokenizer's end, what is found, and how each answer ends that is learned
CLOSES = CHATML.replace("{% endif %}", "{% else %}{{ eos_token }}{% endif %}")
ENDS = {
    "an end that closes the chat, too, as Phi-3's": (
        CLOSES,
        "</s>",
        {},
        ["<|im_end|>", "<|im_end|>", "<|im_end|>\n</s>"],
    ),
    # the answers before the last have none, so they are not learned
    "an end of the chat alone": (CLOSES.replace("<|im_end|>", ""), "</s>", {"only_last_answer": "note"}, ["\n</s>"]),
    "another end behind the last, as gpt-oss's <|return|>": (
        CHATML.replace("'<|im_end|>\\n'", "('<|im_end|>' if loop.last and m.role == 'assistant' else '<|eot_id|>\\n')"),
        *("<|im_end|>", {}, ["", "", "<|im_end|>"]),
    ),
}


@pytest.mark.parametrize("what", ENDS)
def test_another_end_behind_the_last_answer_makes_no_answer_another(checked, what):
    chat_template, eos_token, found, ends = ENDS[what]
    report = checked(whole(chat_template, eos_token=eos_token), TALK * 3)
    assert (report.answers, report.learned, codes(report)) == (3, len(ends), MARKS_MISSING | found)
    assert [span.text for span in report.example.spans if span.taught] == [TALK[1]["content"] + end for end in ends]


def test_an_answer_of_weight_0_is_not_counted_as_one_and_not_learned(checked):
    chat = [TALK[0], TALK[1] | {"weight": 0}, *TALK, TALK[0], TALK[1] | {"weight": 1}]
    report = checked(whole("chatml"), chat)
    assert codes(report)["weight_0"] == "note"
    assert "All 2 answers of weight 1 in these lines are learned." in checking.in_words(report)


@pytest.mark.parametrize(
    ("template", "begin", "text", "found"),
    [
        ("llama 3", True, "<s><|start_header_id|>user", True),
        ("", True, "<s>[INST] Which?", True),
        ("llama 3", True, "<|start_header_id|>user", False),
        ("llama 3", False, "<s><|start_header_id|>user", False),
    ],
)
def test_texts_that_bring_the_token_which_the_tokenizer_puts_before_them_are_named(
    checked, template, begin, text, found
):
    report = checked(whole(template, begin=begin), {"text": text})
    assert codes(report).pop("rendered_text") == "wrong" and ("bos_in_text" in codes(report)) == found


@pytest.mark.parametrize(
    ("record", "name", "code", "sentence"),
    [
        ({"prompt": "Why?", "completion": "So."}, "chatml", "texts_without_template", "trl#3468"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, "chatml", "texts_without_template", "trl#3468"),
        ({"prompt": "Why?", "response": "So."}, "chatml", "", ""),  # which TRL does not read
        ({"prompt": "Why?", "completion": "So."}, "", "no_template", "one behind the other"),
        ({"prompt": TALK[:1], "completion": TALK[1:]}, "chatml", "", ""),
        ({"instruction": "Why?", "output": "So."}, "chatml", "", ""),
    ],
    ids=range(6),
)
def test_what_trl_makes_of_a_prompt_that_is_text_is_said(checked, record, name, code, sentence):
    found = {one.code: one.sentence for one in checked(whole(name), record).problems}
    assert sentence in found.get(code, "") and (code == "texts_without_template") == ("texts_without_template" in found)


def test_the_first_rendered_text_is_known_without_reading_the_file_again(checked, monkeypatch):
    read = []
    monkeypatch.setattr(checker, "records", lambda *how: read.append(how) or records.records(*how))
    assert "bos_in_text" in codes(checked(whole("", begin=True), {"text": "<s>[INST] Which?"})) and len(read) == 1


def test_an_end_that_is_a_special_token_of_the_vocabulary_alone_is_named(monkeypatch):
    """As <|eot_id|> in the tokenizer of Llama 3's base."""
    tokenizer = whole(CHATML)
    monkeypatch.setattr(type(tokenizer), "all_special_tokens", ["<s>", "</s>"])
    ((_, _, sentence), *_) = template.of_the_template(tokenizer, {"messages": TALK})
    assert "ends an answer with <|im_end|>" in sentence


def test_no_token_is_left_to_learn_only_where_the_first_answer_does_not_begin(checked):
    """What is given between two answers does not count as the question."""
    tokenizer = whole("chatml")
    chat = [*TALK, {"role": "user", "content": "Why? " * 40}, TALK[1]]
    first = next(tokens.measured(tokenizer, [(1, {"messages": TALK})]))[2]
    assert checked(tokenizer, chat, max_tokens=first.given + 1).problems[0].code == "too_long"
    assert checked(tokenizer, chat, max_tokens=first.given).problems[0].code == "all_masked"


@pytest.mark.parametrize("limit, code", [(500, "too_long"), (5, "all_masked")])
def test_a_long_chat_that_does_not_fit_is_not_rendered_again_for_each_answer(checked, monkeypatch, limit, code):
    tokenizer, rendered = whole("chatml"), []
    whole_chat = tokenizer.apply_chat_template
    monkeypatch.setattr(
        tokenizer, "apply_chat_template", lambda said, **how: rendered.append(len(said)) or whole_chat(said, **how)
    )
    for turns in (60, 120):
        rendered.clear()
        (found, *_) = checked(tokenizer, TALK * turns, max_tokens=limit).of("wrong")
        assert (found.code, len(rendered)) == (code, 4)


def test_the_special_tokens_of_the_base_are_looked_for(checked):
    said = [TALK[0], {"role": "assistant", "content": "Write <wait> here."}]
    tokenizer = whole("chatml")
    assert "special_token_in_text" not in codes(checked(tokenizer, said))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<wait>"]})
    assert codes(checked(tokenizer, said))["special_token_in_text"] == "look"


# ---- as the model will see it ----


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_rendered_is_what_is_encoded(name):
    tokenizer, example = whole(name), {"messages": TALK * 2}
    spans, encoded = checking.rendered(tokenizer, example), tasks.encode(tokenizer, example)
    assert "".join(span.text for span in spans) == tokenizer.decode(encoded.input_ids)
    assert [span.taught for span in spans] == [False, True] * (1 if name == "zephyr" else 2)
    for taught in (False, True):
        tokens_of = [span.tokens for span in spans if span.taught is taught]
        assert sum(tokens_of) == int(((encoded.labels != tasks.IGNORED) == taught).sum())
    answer = TALK[-1]["content"]
    assert spans[1].text.strip().startswith(answer) and spans[-1].text.endswith(tokenizer.eos_token)


def test_a_terminal_shows_what_is_learned_by_colour_or_by_brackets_and_obeys_no_text():
    spans = (checking.Span("ask\n", False, 2), checking.Span("say\x1b[2J\x9b\u202e", True, 2))
    shown = "say\\u001b[2J\\u009b\\u202e"
    assert checking.for_terminal(spans, colour=False) == f"ask\n⟦{shown}⟧"
    assert checking.for_terminal(spans, colour=True) == f"ask\n{report.COLOUR}{shown}{report.PLAIN}"


def test_the_page_stands_alone_and_says_without_colour_what_is_learned(checked):
    said = [TALK[0], {"role": "assistant", "content": "<script>alert(1)</script> & <b>so</b>"}]
    report = checked(whole("chatml"), said)
    page = checking.as_page(report)
    (marked,) = re.findall(r"<mark [^>]*>(.*?)</mark>", page, re.S)
    assert html.unescape(marked) == f"⟦{said[1]['content']}<|im_end|></s>⟧"
    assert "underline" in page and 'lang="en"' in page and "<title>" in page
    assert not re.search(r"<script|src=|https?://|<link", page)
    tags = re.findall(r"<(/?)(\w+)", re.sub(r"<!doctype html>|<meta [^>]*>|<br>", "", page))
    assert sorted(name for slash, name in tags if slash) == sorted(name for slash, name in tags if not slash)
