"""Each mistake is named by its code and its lines, and costs no good line."""

import json

import pytest
from reliability.judging import not_a_sentence

from lora_tools import checking
from lora_tools.checking import checker

GOOD = ("Which leaf makes tea?", "Camellia sinensis, fresh or dried.")
LONG = "How long should I steep the green leaves in the large pot before I pour them for the guests?"


def talk(*contents, **extra):
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return json.dumps({"messages": messages, **extra}, ensure_ascii=False)


def turns(*pairs):
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in pairs]})


ASK, SAY, RULE = ("user", "Which?"), ("assistant", "That one."), ("system", "Be brief.")


def severities(report):
    return {problem.code: problem.severity for problem in report.problems if problem.code != "too_few"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (talk(*GOOD)[:-1], "it is not valid JSON: it ends before its closing brace, bracket or quotation mark: add it"),
        (talk(*GOOD)[:-4], "it is not valid JSON: it ends before its closing brace, bracket or quotation mark: add it"),
        ('{"messages" []}', "it is not valid JSON: expecting ':' delimiter at character 13, where a JSON object"),
        ('{"prompt": "Which?", "completion": ""}', "the completion is empty: write one, or take the line out."),
        ('{"prompt": "Which?", "completion": 3}', "the completion must be text, such as"),
        ('{"question": null, "answer": "b"}', "the question must be text, such as"),
    ],
    ids=range(6),
)
def test_a_line_that_cannot_be_used_is_said_in_the_words_of_its_own_layout(checked, line, sentence):
    report = checked(talk(*GOOD), f"{line}\n")
    assert [one.sentence[: len(sentence)] for one in report.of("wrong")] == [sentence]


@pytest.mark.parametrize(
    ("lines", "severity"), [(1, "look"), (3, "look"), (4, "note"), (checker.FEW - 1, "note"), (checker.FEW, "")]
)
def test_fewer_lines_than_can_be_split_are_a_mistake(checked, lines, severity):
    report = checked(*[talk(f"Which {n}?", f"{n}.") for n in range(lines)])
    assert [(one.code, one.severity) for one in report.problems] == [("too_few", severity)] * bool(severity)


MISTAKES = [
    ("not_utf8", "wrong", talk("Thé?", "Là.").encode("cp1252")),
    ("not_utf8", "wrong", talk(*GOOD).encode("utf-16")),
    ("half_character", "wrong", turns(ASK, ("assistant", "\ud83d"))),
    ("broken_json", "wrong", talk(*GOOD)[:-2]),
    ("broken_json", "wrong", "[" * 100_000),
    ("line_too_long", "wrong", talk("a", "b" * 1_000_001)),
    ("plain_text", "wrong", '{"text": "All in one."}'),
    ("unknown_layout", "wrong", "[1, 2]"),
    ("plain_text", "wrong", '{"text": "All in one.<|endoftext|>"}'),
    ("rendered_text", "wrong", '{"text": "<bos><start_of_turn>user\\nWhich?<end_of_turn>\\n"}'),
    ("rendered_text", "wrong", '{"text": "### Human: Which?### Assistant: That one.", "source": "a book"}'),
    ("weight_0", "note", turns(ASK, SAY, ASK, SAY).replace('"That one."', '"That one.", "weight": 0', 1)),
    ("missing_role", "wrong", turns(ASK)),
    ("missing_role", "wrong", turns(SAY)),
    ("unknown_role", "wrong", turns(ASK, ("teacher", "Hm."), SAY)),
    ("no_text", "wrong", turns(ASK, ("assistant", ["b"]))),
    ("empty_answer", "wrong", talk("Which?", " \n")),
    ("empty_answer", "look", talk("Which?", "…!")),
    ("empty_message", "look", talk("", "That one.")),
    ("greeting", "note", turns(SAY, ASK, SAY)),
    ("doubled_role", "look", turns(ASK, ASK, SAY)),
    ("doubled_role", "look", turns(ASK, SAY, SAY)),
    ("misplaced_system", "look", turns(ASK, SAY, RULE, ASK, SAY)),
    ("misplaced_system", "look", turns(RULE, RULE, ASK, SAY)),
    ("special_token_in_text", "look", talk("Which?", "That one.<|im_end|>")),
    ("garbled", "look", talk("Which?", "CafÃ© au lait")),
    ("garbled", "look", talk("Which?", "Привет".encode().decode("cp1252"))),
    ("garbled", "look", talk("Which?", "ä½\xa0å¥½, said the cat.")),
    ("unknown_layout", "wrong", json.dumps({"messages": turns(ASK, SAY)[13:-1]})),
    ("boilerplate", "look", talk("Which?", "As an AI language model, I have no tea.")),
    ("boilerplate", "look", talk("Which?", "I'm sorry, but I can't help with that.")),
    ("personal_data", "look", talk("Which?", "Ask jo@acme.org.")),
    ("duplicate", "look", talk(*GOOD)),
    ("near_duplicate", "look", talk(GOOD[0].upper(), GOOD[1])),
    ("contradiction", "look", talk(GOOD[0], "None that I know of.")),
    ("unread_field", "look", talk("Which?", "That one.", history=[["a", "b"]])),
    ("kto_label", "note", talk("Which?", "A bad one.", label=False)),
    ("unread_field", "look", talk("Which?", "That one.", label=1)),
    (
        "all_masked",
        "wrong",
        talk("Which?", "A bad one.").replace('{"role": "assistant"', '{"weight": 0, "role": "assistant"'),
    ),
    ("mixed_layouts", "look", '{"prompt": "Which?", "completion": "That one."}'),
    ("broken_json", "wrong", talk(*GOOD) + ","),
    ("doubled_key", "wrong", talk(*GOOD)[:-1] + ', "messages": []}'),
    ("bad_tool_call", "wrong", turns(ASK, SAY).replace('"That one."', 'null, "function_call": {"name": "f"}')),
    ("unread_field", "look", talk("Which?", "That one.", Complex_CoT="I look it up.")),
    ("unread_mask", "look", turns(ASK, SAY, ASK, SAY).replace('"That one."', '"That one.", "train": false', 1)),
    ("unread_mask", "look", turns(ASK, SAY, ASK, SAY).replace('"That one."', '"That one.", "loss_mask": 0', 1)),
    ("unread_mask", "look", turns(ASK, SAY, ASK, SAY).replace('"That one."', '"That one.", "masked": true', 1)),
    ("picture_beside", "note", talk("<image> Which?", "That one.", images=["a.png"])),
    ("picture_in_text", "look", talk("<image> Which?", "That one.")),
    ("special_token_in_text", "look", talk("Which?", "<|channel|>final<|message|>That one.")),
    ("special_token_in_text", "look", talk("Which?", "<｜Assistant｜>That one.")),
    ("empty_cell", "look", talk("Which?", "NaN")),
    ("empty_cell", "look", talk("None", "That one.")),
    ("says_nothing", "note", talk("Who is named in it?", "None")),
    ("says_nothing", "note", talk("Who is named in it?", "N/A")),
    ("says_nothing", "note", talk("Who is named in it?", "NA")),
    ("says_nothing", "note", talk("Who is named in it?", " ?\n")),
    ("empty_cell", "look", talk("Who is named in it?", "TODO")),
    ("empty_cell", "look", talk("n/a", "That one.")),
    ("think_block_open", "look", talk("Which?", "<think>I look it up. That one.")),
    ("question_in_answer", "look", talk(LONG, f"{LONG} Two minutes.")),
    ("html_signs", "look", talk("Which?", "It&#39;s &lt;b&gt;that&lt;/b&gt; one.")),
    ("unread_field", "look", talk("Which?", "That one.", loss_mask=[0, 1])),
    ("unread_field", "look", talk("Which?", "That one.", rejected_response="No.")),
    ("unread_mask", "look", turns(ASK, SAY).replace('"That one."', '"That one.", "train_detail": [{"train": false}]')),
    ("unread_mask", "look", turns(ASK, SAY).replace('"That one."', '"That one.", "loss_scale": 0.5')),
    ("escaped_twice", "look", talk("Which?", r"1. Rhine\n2. Danube\nand others")),
    ("old_form", "look", talk("### Instruction:\nWhich?\n\n### Response:", "That one.")),
    ("old_form", "look", talk("user\nWhich?\n\nassistant\n", "That one.")),
    ("old_form", "look", talk("USER: Which?\nASSISTANT: ", "That one.")),
    ("html_signs", "look", talk("Which?", "<p>That one.</p><p>Or the other.</p>")),
    ("copied_marks", "look", talk("Which?", "That one【4†source】.")),
    ("copied_marks", "look", talk("Which?", "python\nCopy code\nprint(1)")),
    ("unfilled", "look", talk("Translate this into French: {text}", "That one.")),
    ("in_circles", "look", talk("Which?", "That one is it. " * 4)),
    ("picture_in_text", "look", talk("What is this? data:image/png;base64,iVBORw0KGgo=", "That one.")),
    ("answer_without_call", "look", turns(ASK, ("tool", "21"), SAY)),
    ("answer_without_call", "look", turns(ASK, SAY, ASK, ("tool", "21"), SAY)),
    ("unread_field", "look", turns(ASK, SAY).replace('"That one."', '"That one.", "Thought": "I look it up."')),
    (
        "unknown_role",
        "wrong",
        '{"conversations": [{"from": "human", "value": "Which?"}, {"from": "bing", "value": "That one."}]}',
    ),
    ("unseen_signs", "look", talk("Which?", "That con\xadtract, page\x0c two.")),
]


@pytest.mark.parametrize(("code", "severity", "line"), MISTAKES, ids=[f"{n}-{m[0]}" for n, m in enumerate(MISTAKES)])
def test_a_mistake_is_named_and_costs_no_good_line(checked, tmp_path, code, severity, line):
    report = checked(talk(*GOOD), line, talk("And milk?", "White, from cows."))
    assert severities(report) == {code: severity}
    (problem,) = [one for one in report.problems if one.code == code]
    assert problem.lines in ((2,), ()) and problem.line == (2 if problem.lines else None)
    assert problem.count == 1 and not_a_sentence(f"In line 2, {problem.sentence}") == ""
    assert report.good == (2 if severity == "wrong" else 3) and report.lines == 3
    assert report.all_usable == (severity != "wrong")
    assert [number for number, _ in checking.conversations(tmp_path / "x.jsonl")] == [1, 2, 3][
        :: 1 + (severity == "wrong")
    ]


def test_one_answer_to_all_questions_is_named_and_the_same_line_again_is_not_that(checked):
    questions = [
        "Where is Rome?",
        "Who wrote Faust?",
        "What do bees make?",
        "Can fish sleep?",
        "Does iron rust?",
        "Is glass liquid?",
    ]
    assert severities(checked(*[talk(one, "Ask our support.") for one in questions])) == {"one_answer": "look"}
    assert severities(checked(*[talk(one, f"Ask {one[:5]}.") for one in questions])) == {}
    assert "one_answer" not in severities(checked(*[talk("Which?", "That one.")] * 6))
    # conversations that all end with the same thanks have answers before it
    longer = [talk(one, f"Ask {one[:5]}.", "Thank you!", "You are welcome.") for one in questions]
    assert "one_answer" not in severities(checked(*longer))


@pytest.mark.parametrize(
    ("answers", "named"), [("Ahoy, crumb! {}. Butter is the answer.", True), ("Cause: {}.", False)]
)
def test_a_frame_that_most_of_the_answers_are_is_named_and_a_short_one_is_not(checked, answers, named):
    said = [
        "Bake the shell",
        "Leave the door shut",
        "Freeze it",
        "Take a strong flour",
        "Poke the cake",
        "Chill the dough",
    ]
    report = checked(*[talk(f"{one[::-1]}?", answers.format(one)) for one in [*said, *said[:1]]])
    assert ("shared_frame" in severities(report)) == named and (
        'begin with "Ahoy, crumb! " and end with ". Butter is the answer.", which is 6' in str(report.problems)
    ) == named
    assert checker.frame_of([*(f"Dear {n}, bye." for n in range(11)), "No."]) == ("Dear ", ", bye.")


@pytest.mark.parametrize(
    "line",
    [
        talk(*GOOD),
        turns(RULE, ASK, SAY, ASK, SAY),
        turns(ASK, ("assistant", "weather()"), ("tool", "21 °C"), ("tool", "wet"), SAY),
        talk("Where?", "Write to user@example.com, 12 Elm St., in 2024."),
        talk("What is \\x?", "x < y, y > z, and <s> strikes text out. I am sorry, says the cat."),
        talk("Naïve?", "Ça va, Ärger, Ã is a letter, â too."),
        turns(ASK, SAY, ASK, SAY).replace('"That one."', '"That one.", "train": true, "loss": 1', 1),
        talk(
            "How do I show a film?",
            "With <video src='a'>, a < b written as a &lt; b, and None of it in capitals.",
            video="",
        ),
        talk("Why?", f"{LONG[:20]} … <think>well</think> because."),
        talk("Où?", "« Là » : à » gauche, „Spaß“ und ‚Maß‘, É…"),
        talk("Which?", "That one.", train=True, weight=1, question="Which?", source="a book", label=None),
        talk("Which?", r"In $\theta=\nu$, $x\nu+\nu$, $a\neq\nabla$.", prompt_id=7),
        talk("Which folder?", r"C:\new\next, D:\n\nine; what \n and \t mean."),
        talk("How?", r"Split the text at \n, join it with \n and end it with \n."),
        talk("Which places, as JSON?", "[]"),
        talk("Good or bad?", "👍"),
        talk("Which sign?", "+"),
        turns(ASK, SAY, ("user", "?"), SAY),
        talk("¿Qué incluye?", "Todo"),
        talk("Which symbol has sodium?", "Na"),
        turns(("system", ""), ASK, ("assistant", "weather()"), ("tool", ""), SAY),
        turns(ASK, ("assistant", "weather()"), ("tool", "null"), SAY),
        turns(ASK, SAY).replace('"That one."', '"That one.", "thought": true'),
        talk("How is a quote escaped in HTML?", "Write &quot; for it."),
        talk("Which?", "That one.", label="spam", labels=["a"]),
        talk("Table?", "| a | b |\n|---|---|\n| x<br>y | z<br>w |\nភាសា\u200bខ្មែរ"),
        talk(
            "How does it answer?", "### Response:\na list.\n### Input time\nUSER: is a word; 👩‍👩‍👧, می‌خواهم, a\xa0b."
        ),
        talk("How do I begin a paragraph in HTML?", "Write <p>text</p> or <br> in between, <br/> too."),
        talk(
            "What is f'{text}'?",
            "In Python, `{text}` is filled in; ${question} is Bash's. Ha ha ha ha! No. No. No. No. No.",
        ),
        turns(ASK, SAY).replace(
            '"That one."', '"That one.", "weight": 1, "loss_scale": 1.0, "name": "bot", "prefix": true'
        ),
    ],
    ids=range(30),
)
def test_what_is_no_mistake_is_not_named(checked, line):
    assert severities(checked(line)) == {}


def test_the_first_few_lines_are_named_and_all_are_counted(checked):
    report = checked(*[talk(f"Which {n}?", f"{n}.") for n in range(10)], *["{}"] * 7)
    (problem, _) = report.problems
    assert (problem.line, problem.lines, problem.count) == (11, (*range(11, 18),), 7)
    assert "lines: 11, 12, 13, 14, 15, …" in checking.in_words(report)
    assert "15, 16, 17)" in checking.in_words(report, most=0)


def test_how_many_lines_share_one_answer_and_who_writes_otherwise_is_said(checked):
    rows = [
        talk(f"Which one is number {n * n}?", "I do not know." if n % 3 else f"It is the {n}th.") for n in range(12)
    ]
    report = checked(*rows, talk("And now?", "<think>So.</think>Now it is."), turns(ASK, SAY))
    assert {one.code: one.count for one in report.of("look")} == {"common_answer": 8}
    assert not checked(*rows[:1], *rows[3:4], *rows[6:7], *rows[9:11]).of("look"), "one of five shares nothing"
    thought = json.dumps({"messages": [*json.loads(talk("Then?", "x"))["messages"]]}).replace(
        '"content": "x"', '"content": "It is then.", "reasoning_content": "So."'
    )
    report = checked(*[talk(f"{n}?", f"<think>So.</think>It is {n}.") for n in range(3)], thought)
    assert [one.lines for one in report.problems if one.code == "mixed_thinking"] == [(4,)]
    texts = [
        json.dumps({"text": f"{mark}user{n}"}) for n, mark in enumerate(["<|im_start|>"] * 5 + ["<|start_header_id|>"])
    ]
    assert [one.lines for one in checked(*texts).problems if one.code == "mixed_marks"] == [(6,)]


def test_a_byte_order_mark_is_named_and_read_over(checked):
    report = checked(b"\xef\xbb\xbf" + talk(*GOOD).encode())
    assert severities(report) == {"bom": "note"} and report.good == 1


def test_a_label_of_kto_is_named_and_what_is_bad_on_purpose_is_no_mistake(checked):
    circles = "That one is it. " * 5
    found = checked(talk("Which?", "That one.", label=True), talk("And?", circles, label=False))
    assert severities(found) == {"kto_label": "note"}
    both = [talk(*GOOD, label=True), talk(GOOD[0], "None that I know of.", label=False)]
    assert severities(checked(*both)) == {"kto_label": "note"}, "no contradiction"
    pair = json.dumps({"prompt": "Which?", "chosen": "That one.", "rejected": circles})
    assert severities(checked(pair)) == {}


def test_an_answer_that_nobody_asked_for_but_the_system_is_learned(checked):
    (found, _) = checked(turns(RULE, SAY)).problems
    assert found.code == "missing_role" and "not learned" not in found.sentence
    (found,) = [one for one in checked(turns(SAY, ASK, SAY)).problems if one.code == "greeting"]
    assert "that turn is not learned here" in found.sentence


def test_the_same_question_under_another_system_message_is_no_contradiction(checked):
    spoken = turns(("system", "Answer in French."), ("user", GOOD[0]), ("assistant", "Le théier."))
    assert severities(checked(talk(*GOOD), spoken)) == {}


@pytest.mark.parametrize("held_out", [LONG, LONG.upper(), LONG.replace("?", " please?"), f"  {LONG}"])
def test_a_held_out_question_is_found_also_when_it_is_nearly_the_same(checked, tmp_path, held_out):
    (tmp_path / "held.jsonl").write_text(  # of two lines that ask it the first is named
        "\n".join(talk(one, "y") for one in ("Other?", held_out, f"{LONG} No!", held_out))
    )
    learned = [turns(("user", LONG), ("assistant", "Three minutes."))]
    learned += [turns(("system", "You are a gardener. " * 9), ("user", LONG), ("assistant", "Three minutes."))]
    for line in learned:
        report = checked(talk(*GOOD), line, held_out=tmp_path / "held.jsonl")
        code = "near_leak" if "please" in held_out else "leak"
        assert severities(report) == {code: "look"}, "whatever the system message is"
        (leak, _) = report.problems
        assert leak.lines == (2,) and "line 2 of the held-out file" in leak.sentence


def test_another_question_is_no_leak_and_a_bad_held_out_line_is_said(checked, tmp_path):
    (tmp_path / "held.jsonl").write_text(f"{talk(LONG, 'y')}\n{{}}\n")
    report = checked(talk(*GOOD), held_out=tmp_path / "held.jsonl")
    assert severities(report) == {"held_out_line": "look"}
    assert report.problems[0].sentence.startswith("line 2 of the held-out file cannot be used")


def test_the_worst_comes_first(checked):
    report = checked(talk(*GOOD), talk(*GOOD), "{}", talk("a", "..."), talk("b", "..."))
    assert [(p.severity, p.code) for p in report.problems] == [
        ("wrong", "unknown_layout"),
        ("look", "empty_answer"),
        ("look", "duplicate"),
        ("note", "too_few"),
    ]


def test_the_file_is_only_read(checked, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(f"{talk(*GOOD)}\n{{}}\n")
    path.chmod(0o400)
    before = path.read_bytes(), path.stat().st_mtime_ns
    checking.check(path, held_out=path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before and list(tmp_path.iterdir()) == [path]


def test_progress_is_told_every_byte(checked, tmp_path):
    told = []
    checked(talk(*GOOD), "", "{}", progress=told.append)
    assert sum(told) == (tmp_path / "x.jsonl").stat().st_size
