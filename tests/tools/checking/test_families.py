"""The chat templates of this year's families, as TRL's wheel has them: thinking, tools, and what is left out.

None is kept here: they are read from the installed wheel, so a newer one is asked as it is.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import jinja2
import pytest
from chat_templates import CHATML, MISTRAL_1, MISTRAL_3, QWEN_3, tokenizer_of
from reliability.judging import not_a_sentence

from lora_lessons import tasks
from lora_lessons.tasks.conversations import chat_text
from lora_tools import checking
from lora_tools.checking import template
from lora_tools.checking.remarks import remarks

found = find_spec("trl")
FOLDER = Path(found.origin).parent / "chat_templates" if found else Path("there is none")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="TRL is not installed")

ASK = {"role": "user", "content": "How warm is it in Paris?"}
TALK = [ASK, {"role": "assistant", "content": "It is 21 degrees."}]
WEATHER = {"name": "get_weather", "description": "The weather.", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": WEATHER}]
PLAIN = {"chat_template_kwargs": {"enable_thinking": False}}
# of all templates but these nothing is said of thinking
THINK = ("qwen3", "qwen3_5_think", "qwen3_6", "qwen3_8", "glm4moe")
NEMOTRONS = ("nemotron_3_nano", "nemotron_3_super", "nemotron_3_ultra", "nemotron_3_5_lightning")
NEVER = ("deepseek_r1_distill", "deepseekv3")
DIRECT = (
    *(
        "qwen2_5",
        "qwen3_5_nothink",
        "qwen3_instruct_2507",
        "gemma",
        "gemma3",
        "gemma4",
        "gemma4_v5",
        "llama3",
        "llama3_1",
    ),
    *("llama3_2", "phi3", "phi3_5", "cohere", "cohere2", "gptoss", "lfm2", "lfm2_v2", "lfm2_2_5", "muse_glimmer"),
)


def call(arguments=None, **more):
    function = {"name": "get_weather", "arguments": {"city": "Paris"} if arguments is None else arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}], **more}


def tokenizer(name, **how):
    made = tokenizer_of((FOLDER / f"{name}.jinja").read_text("utf-8"), begin=False, **how)
    made.pad_token = "<unk>"
    return made


@pytest.fixture
def codes(tmp_path):
    """A function that checks one line with a family's template: code → severity, and what is said."""

    def check(name, messages, **fields):
        (tmp_path / "x.jsonl").write_text(json.dumps({"messages": messages, **fields}))
        report = checking.check(tmp_path / "x.jsonl", tokenizer(name))
        problems = {one.code: one for one in report.problems}
        for one in problems.values():
            assert not_a_sentence(f"In line 1, {one.sentence}") == "", one.sentence
        # of this tokenizer of bytes, and of a file of one line
        for usual in ("too_few", "eos_never_supervised", "no_generation_marks", "bos_twice", "cut_by_trl"):
            problems.pop(usual, None)
        return problems

    return check


@pytest.mark.parametrize("name", DIRECT)
def test_a_template_that_answers_at_once_is_not_blamed_for_thinking(codes, name):
    assert codes(name, TALK) == {}


@pytest.mark.parametrize("name", THINK)
def test_a_think_block_that_every_answer_would_begin_with_is_named_and_without_thinking_it_is_gone(codes, name):
    (one,) = codes(name, TALK).values()
    assert (one.code, one.severity, one.lines) == ("empty_think_block", "note", (1,)) and "trl#6361" in one.sentence
    assert codes(name, TALK, **PLAIN) == {}, "as the sentence advises"
    assert codes(name, [ASK, {**TALK[1], "reasoning_content": "Look it up."}]) == {}, "an answer that thinks"
    taught = tasks.encode(tokenizer(name), {"messages": TALK, **PLAIN})
    said = tokenizer(name).decode(taught.labels[taught.labels != tasks.IGNORED])
    assert "think" not in said and "21 degrees" in said


def test_thinking_that_the_template_does_not_write_is_named(codes):
    for field in ("thinking", "reasoning", "reasoning_content"):
        assert set(codes("qwen2_5", [ASK, {**TALK[1], field: "Look it up."}])) == {"thinking_left_out"}


@pytest.mark.parametrize("name", NEMOTRONS)
def test_plain_answers_that_a_thinking_template_refuses_are_told_what_helps(codes, name):
    (one,) = codes(name, TALK).values()
    assert (one.code, one.severity) == ("answer_apart", "wrong") and "TRL and Unsloth train" in one.sentence
    assert '"chat_template_kwargs": {"enable_thinking": false}' in one.sentence
    assert codes(name, TALK, **PLAIN) == {} == codes(name, [ASK, {**TALK[1], "reasoning_content": "Look it up."}])


def test_a_setting_is_advised_only_where_the_template_reads_it(tmp_path, codes):
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": TALK}))
    said = {one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(QWEN_3)).problems}
    assert "write the thinking" not in said["empty_think_block"], "it would be left out"
    assert "enable_thinking" not in said["empty_think_block"] and "leave it so." in said["empty_think_block"]
    asked = codes("qwen3", TALK)["empty_think_block"].sentence
    assert "to keep it thinking, write the thinking into the message's reasoning_content" in asked
    assert "leave it so, or add" in asked and "enable_thinking" in asked


@pytest.mark.parametrize("name", NEVER)
def test_a_template_that_never_writes_what_it_asks_with_says_so_and_no_setting_is_advised(codes, name):
    (one,) = codes(name, TALK).values()
    assert one.code == "answer_apart" and "has the model think where it is asked" in one.sentence
    assert "enable_thinking" not in one.sentence


def test_thinking_where_the_template_asks_for_an_answer_at_once_is_told_so(codes):
    """Qwen3.5's small models (lemonade-sdk/lemonade#1290, 2026-03-04)."""
    (one,) = codes("qwen3_5_nothink", [ASK, {**TALK[1], "reasoning_content": "Look it up."}]).values()
    assert "asks with an empty think block" in one.sentence and "has the model think" not in one.sentence
    assert '{"enable_thinking": true} to the line, and ask it with that, too.' in one.sentence


THOUGHT = [ASK, {**TALK[1], "content": "<think>\nLook it up.\n</think>\n\nIt is 21 degrees."}]
SAYS_THINK = CHATML.replace("{% for m", "Think in [THINK] and [/THINK].{% for m")


@pytest.mark.parametrize(
    ("name", "todo"),
    [
        ("gptoss", "write it into the field reasoning_content"),
        ("gemma4_v5", "write it into the field reasoning_content"),
        ("gemma4", "use a template that writes it, such as a newer one"),
        (SAYS_THINK, "write it into the content between [THINK] and [/THINK]"),
        *((name, "") for name in ("qwen2_5", "llama3_1", "qwen3", "qwen3_8", "gemma3")),
    ],
)
def test_think_marks_that_are_plain_words_to_a_template_are_named_where_its_model_thinks_otherwise(
    tmp_path, name, todo
):
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": THOUGHT}))
    made = tokenizer_of(name, begin=False) if "{" in name else tokenizer(name)
    found = {one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", made).problems}
    assert todo in found.get("think_as_text", "") and ("think_as_text" in found) == bool(todo)
    assert not todo or not_a_sentence(found["think_as_text"]) == ""


@pytest.mark.parametrize(
    ("reads", "todo"),
    [
        # as Solar Open's
        ("{{ m.reasoning if m.reasoning }}", "write it into the field reasoning, which this template reads"),
        ("{{ m.reasoning_content if enable_thinking }}", 'add "chat_template_kwargs": {"enable_thinking": true}'),
    ],
)
def test_thinking_that_is_left_out_is_told_the_field_or_the_setting_with_which_it_stays(tmp_path, reads, todo):
    own = CHATML.replace("+ m.content", "}}" + reads + "{{ m.content")
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": [ASK, {**TALK[1], "reasoning_content": "Look it up."}]}))
    found = {one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(own)).problems}
    assert f"take it out, or {todo}" in found["thinking_left_out"]


KEEPS_LAST = (
    "{% set ns = namespace(last=0) %}{% for m in messages if m.role == 'assistant' %}{% set ns.last = m %}{% endfor %}"
)
KEEPS_LAST += CHATML.replace(
    "m.content +", "(m.content if m == ns.last or m.role == 'user' else m.content.split('</think>')[-1]) +"
)


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        # as LFM2.5-Instruct's
        (
            KEEPS_LAST,
            [*THOUGHT, {"role": "user", "content": "And in Nice?"}, THOUGHT[1] | {"content": "<think>No.</think>25."}],
        ),
        ("gptoss", [ASK, call(thinking="Lookup."), {"role": "tool", "content": "21"}, TALK[1]]),
    ],
    ids=["content", "field"],
)
def test_thinking_that_the_template_takes_out_once_another_answer_follows_is_told_so(name, messages):
    made = tokenizer_of(name, begin=False) if "{" in name else tokenizer(name)
    with pytest.raises(ValueError, match="once another follows: take it out of all but the last"):
        chat_text(made, {"messages": messages, "tools": TOOLS})


def test_a_question_and_an_answer_whose_border_becomes_one_token_are_named():
    """Qwen3.5: the line break that ends the question and the one that begins the answer (trl#5213)."""
    qwen = tokenizer("qwen3_5_think", merged="ĊĊ")
    found = {code: sentence for code, _, sentence in template.of_the_template(qwen, {"messages": TALK})}
    assert "trl#5213" in found["prompt_is_no_prefix"] and r"'\n' at the end" in found["prompt_is_no_prefix"]
    apart = template.of_the_template(tokenizer("qwen3_5_think"), {"messages": TALK})
    assert "prompt_is_no_prefix" not in {code for code, *_ in apart}
    trl = pytest.importorskip("trl.data_utils")
    asked = trl._tokenize(qwen, [ASK], add_generation_prompt=True)["input_ids"]
    assert trl.common_prefix_length(asked, trl._tokenize(qwen, TALK)["input_ids"]) < len(asked), "TRL says it, too"


@pytest.mark.parametrize("name", ["qwen3", "qwen3_6", "glm4moe", "nemotron_3_nano", "qwen2_5", "gemma4"])
def test_what_is_learned_is_what_trls_own_helper_makes_of_it(name):
    helpers = pytest.importorskip("trl.data_utils")
    made, messages = tokenizer(name), [ASK, call()]
    record = {"prompt": messages[:1], "completion": messages[1:], **PLAIN}
    theirs = helpers.apply_chat_template(record, made, tools=TOOLS)
    ours = chat_text(made, {"messages": messages, "tools": TOOLS, **PLAIN})
    assert ours.given == theirs["prompt"] and ours.taught.removesuffix("</s>") == theirs["completion"].rstrip()


# ---- tools ----

CALL_TOOLS = (
    "qwen2_5",
    "qwen3_5_nothink",
    "qwen3_instruct_2507",
    "llama3_1",
    "gemma4",
    "lfm2_v2",
    "muse_glimmer",
    "gptoss",
)
DROP_CALLS = ("gemma", "gemma3", "llama3", "phi3", "cohere2", "lfm2")


@pytest.mark.parametrize("name", CALL_TOOLS)
def test_a_tool_call_is_an_answer_that_is_learned(codes, name):
    messages = [ASK, call(), {"role": "tool", "name": "get_weather", "content": "21"}, TALK[1]]
    assert codes(name, messages, tools=TOOLS) == {} == codes(name, messages[:2], tools=json.dumps(TOOLS))
    encoded = tasks.encode(tokenizer(name), {"messages": messages[:2], "tools": TOOLS})
    assert "get_weather" in tokenizer(name).decode(encoded.labels[encoded.labels != tasks.IGNORED])


@pytest.mark.parametrize("name", DROP_CALLS)
def test_a_tool_call_that_the_template_leaves_out_is_wrong(codes, name):
    found = codes(name, [ASK, call()], tools=TOOLS)
    assert "leaves the tool call out" in found["template_refuses"].sentence


def test_what_the_template_passes_over_in_earlier_turns_is_named(codes):
    loop = [ASK, {**call(), "reasoning_content": "Lookup."}, {"role": "tool", "content": "twentyone"}, TALK[1]]
    assert {"calls_left_out", "thinking_left_out"} <= set(codes("llama3", loop, tools=TOOLS))
    assert {"calls_left_out", "tool_left_out"} <= set(codes("phi3", loop, tools=TOOLS))
    assert "calls_left_out" in codes("lfm2", loop, tools=TOOLS)  # whose name stands in the tools that it shows
    assert codes("qwen3_8", loop[:3] + [{**TALK[1], "reasoning_content": "Seen."}], tools=TOOLS) == {}


def test_thinking_of_an_earlier_answer_that_the_template_leaves_out_is_named_and_its_marks_are_no_mistake(codes):
    """Between <think> and </think> in the content, as many files have it; Qwen's tokenizer makes one token of each mark."""
    first = {"role": "assistant", "content": "<think>\nIt was nineteen before noon.\n</think>\n\nIt is 21 degrees."}
    again = {"role": "assistant", "content": "<think>\nSouth of it is warmer.\n</think>\n\nIt is 25 degrees."}
    assert set(codes("qwen3_5_think", [ASK, first, {"role": "user", "content": "And in Nice?"}, again])) == {
        "only_last_answer",
        "earlier_thinking_left_out",
    }
    assert codes("qwen3_5_think", [ASK, first]) == {}
    assert "special_token_in_text" not in dict(remarks([ASK, first], marks=["<think>"]))
    assert "special_token_in_text" in dict(remarks([{**ASK, "content": "<think>"}, first], marks=["<think>"]))
    assert "cuts what stands between" in codes("deepseek_r1_distill", [ASK, first])["answer_apart"].sentence


def test_a_think_block_that_is_only_closed_is_no_mistake_where_the_template_opens_it(codes):
    """As the rollouts of a model whose prompt ends in <think> (huggingface/trl#6363, 2026-07-12)."""
    closed = [ASK, {"role": "assistant", "content": "It was nineteen before noon.\n</think>\n\nIt is 21 degrees."}]
    assert "think_block_open" not in codes("qwen3_5_think", closed) and "think_block_open" in codes("qwen2_5", closed)
    twice = [ASK, {**closed[1], "content": f"</think>{closed[1]['content']}"}]
    assert "think_block_open" in codes("qwen3_5_think", twice)
    cuts = tokenizer("deepseek_r1_distill")
    assert not template.repairs_thinking(cuts, {"messages": closed}), "what it writes has lost the thinking"


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*_training.jinja"))])
def test_trls_own_generation_marks_take_in_no_header(name):
    try:
        found = [said for _, _, said in template.of_the_template(tokenizer(name), {"messages": TALK})]
    except jinja2.TemplateError:  # of models that see: lists of parts
        found = []
    assert not any("marks take in" in said for said in found)


def test_a_system_message_that_the_template_writes_only_where_it_asks_is_named(tmp_path):
    """As the templates of Mistral 7B v0.3 and Nemo do (trl#6689, 2026-08-09)."""
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": [{"role": "system", "content": "Be brief."}, *TALK]}))
    found = {one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(MISTRAL_3)).problems}
    assert "what the system says where it asks" in found["answer_apart"]


WANTS_IDS = (
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id|length != 9 %}{{ raise_exception('length 9') }}"
    "{% endif %}{{ c.function.name }}{% endfor %}{{ m.content }}</s>{% endfor %}"
)
WITH_ID = [ASK, call(), {"role": "tool", "content": "21", "tool_call_id": "call_1"}, TALK[1]]
WITH_ID[1]["tool_calls"][0]["id"] = "call_1"
SYSTEM = {"role": "system", "content": "Be brief."}
TWO_CALLS = [ASK, call(), {"role": "tool", "content": "21"}, {"role": "tool", "content": "22"}, TALK[1]]
TWO_CALLS[1]["tool_calls"] *= 2
CHANNELS = "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>final<|message|>It is 21 degrees."


@pytest.mark.parametrize(
    ("name", "code", "severity"),
    [
        ("gemma3", "content_parts", None),
        ("qwen3_5_nothink", "content_parts", None),
        ("qwen2_5", "content_parts", "look"),
        ("gptoss", "developer_role", None),
        ("gemma4", "developer_role", None),
        ("qwen2_5", "developer_role", "look"),
    ],
)
def test_what_is_written_otherwise_is_named_where_the_template_does_not_take_it(codes, tmp_path, name, code, severity):
    parts = [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in TALK]
    messages = parts if code == "content_parts" else [{**SYSTEM, "role": "developer"}, *TALK]
    found = codes(name, messages)
    assert {one.code: one.severity for one in found.values()} == ({code: severity} if severity else {})
    alone = {one.code: one.severity for one in checking.check(tmp_path / "x.jsonl").problems}
    assert alone == {code: "note", "too_few": "look"}


def test_thinking_is_to_be_written_between_marks_only_where_the_template_keeps_it(codes):
    thought = [ASK, {**TALK[1], "reasoning_content": "Look it up."}]
    assert "<think> and </think>" in codes("qwen2_5", thought)["thinking_left_out"].sentence
    assert "a newer one of this model" in codes("gemma4", thought)["thinking_left_out"].sentence


def test_an_earlier_call_that_is_left_out_is_no_rewriting(codes):
    loop = [ASK, call(), {"role": "tool", "content": "21"}, TALK[1]]
    assert "does not write an earlier one" in codes("phi3", loop, tools=TOOLS)["only_last_answer"].sentence


def test_an_argument_that_the_tool_does_not_have_is_named(codes):
    takes = [{"type": "function", "function": {**WEATHER, "parameters": {"properties": {"city": {"type": "string"}}}}}]
    for given, null in (({"city": "Paris", "day": None}, True), ({"town": "Paris"}, False)):
        found = codes("qwen2_5", [ASK, call(given)], tools=takes)
        assert set(found) == {"unknown_argument"} and ("is null" in found["unknown_argument"].sentence) == null
    assert codes("qwen2_5", [ASK, call()], tools=takes) == {} == codes("qwen2_5", [ASK, call({"x": 1})], tools=TOOLS)


@pytest.mark.parametrize(
    ("name", "messages", "todo"),
    [
        ("gemma", [SYSTEM, *TALK], "put what the system says into the user's message"),
        (MISTRAL_1, [SYSTEM, *TALK], "put what the system says into the user's message"),
        ("gemma", [ASK, ASK, TALK[1]], "make one message of those that the same role says one after the other"),
        ("deepseekv3", [ASK, call()], "give the arguments of its tool calls as JSON in a text"),
        ("deepseekv3", [ASK, call("{}", content=None)], 'write "" as the content of a message that only calls a tool'),
        (
            "gemma3",
            [ASK, call(), {"role": "tool", "content": "21"}, TALK[1]],
            "write its calls into the content, and what a tool",
        ),
        ("gemma3", [{**TALK[1], "content": "Hello."}, *TALK], "take out the greeting that it begins with"),
        # as an object, or as JSON in a text, it would be left out
        ("deepseek_r1_distill", [ASK, call("{}", content=None)], "write its calls into the content"),
        ("glm4moe", [ASK, call('{"city": "Paris"}')], "give the arguments of its tool calls as an object"),
        ("llama3_1", TWO_CALLS, "call one tool in a message, with its answer behind it"),
        ("gptoss", [ASK, {**TALK[1], "content": CHANNELS}], "write what it thinks into the field thinking"),
        ("llava_next", TALK, "train a model that sees or hears, whose lists of parts it wants"),
        (WANTS_IDS, WITH_ID, "give each tool call, and its answer, an id of nine letters and digits"),
    ],
)
def test_what_a_template_refuses_is_told_the_way_that_it_takes(name, messages, todo):
    made = tokenizer_of(name, begin=False) if "{" in name else tokenizer(name)
    with pytest.raises(ValueError, match="refuses the conversation") as refused:
        chat_text(made, {"messages": messages, "tools": TOOLS})
    assert f": {todo}" in str(refused.value) and str(refused.value).endswith(", or use another template.")


def test_a_system_message_that_is_left_out_is_named_where_another_message_shares_its_longest_word(tmp_path):
    drops = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    for says, named in (("You are an expert on Kubernetes.", True), ("What does Kubernetes do?", False)):
        talk = [{**SYSTEM, "content": says}, {**ASK, "content": "What does Kubernetes do?"}, TALK[1]]
        (tmp_path / "x.jsonl").write_text(json.dumps({"messages": talk}))
        found = [one.code for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(drops)).problems]
        assert ("system_left_out" in found) == named and "user_left_out" not in found


def test_arguments_as_text_that_a_template_refuses_are_to_be_an_object(codes):
    assert (
        "arguments of its tool calls as an object"
        in codes("qwen3_8", [ASK, call('{"city": 1}')], tools=TOOLS)["template_refuses"].sentence
    )


def test_a_template_that_cannot_do_without_tools_shows_them(tmp_path):
    needs = "{% for tool in tools %}{{ tool }}{% endfor %}" + CHATML
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": TALK, "tools": TOOLS}))
    assert "tools_not_shown" not in [
        one.code for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(needs)).problems
    ]


@pytest.mark.parametrize("setting", ["", " and not enable_thinking"])
def test_a_channel_that_the_template_opens_as_it_asks_is_shown_and_is_no_rewriting(tmp_path, setting):
    asks = f"{{% if add_generation_prompt{setting} %}}" + "{{ '<|channel>thought\n<channel|>' }}{% endif %}"
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": TALK}))
    found = {
        one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer_of(CHATML + asks)).problems
    }
    assert '"<|channel>thought' in found["answer_apart"] and "rewrites" not in found["answer_apart"]
    assert ('{"enable_thinking": true}' in found["answer_apart"]) == bool(setting)


def test_thinking_that_is_cut_out_stays_with_the_template_that_is_advised():
    """TRL's own for DeepSeek-R1's distilled models (trl#6766, 2026-08-15)."""
    with pytest.raises(ValueError, match=r"such as TRL's deepseek_r1_distill_training\.jinja"):
        chat_text(tokenizer("deepseek_r1_distill"), {"messages": THOUGHT})
    assert "Look it up." in chat_text(tokenizer("deepseek_r1_distill_training"), {"messages": THOUGHT}).taught


def test_thinking_in_a_field_that_the_template_does_not_write_is_lost_and_said(codes):
    found = codes("deepseek_r1_distill", [ASK, {**TALK[1], "reasoning_content": "Look it up."}])
    assert "does not write that field, so the thinking is lost: write it between" in found["answer_apart"].sentence


def test_an_end_is_looked_for_behind_the_answer_also_where_its_thinking_is_written_otherwise(tmp_path):
    """GLM-4.5's answers end where the next turn begins."""
    (tmp_path / "x.jsonl").write_text(
        json.dumps({"messages": [ASK, {**TALK[1], "content": "<think>Look.</think>21."}]})
    )
    found = {one.code: one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer("glm4moe")).problems}
    assert "writes no end token after an answer" in found["eos_never_supervised"]


def test_an_answer_that_only_thinks_breaks_nothing(codes):
    assert "template_refuses" not in codes("qwen2_5", [ASK, {**TALK[1], "content": "<think>Look it up.</think>"}])


def test_an_answer_that_goes_on_behind_a_tools_is_not_asked_for_anew(codes):
    """As in DiffusionGemma's and Gemma 4's templates."""
    messages = [ASK, call(), {"role": "tool", "name": "get_weather", "content": "21"}, TALK[1]]
    assert "asks_without_opening" not in codes("diffusion_gemma", messages, tools=TOOLS)


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.jinja")) if "llava" not in path.stem])
def test_what_trl_makes_of_a_template_without_marks_is_what_it_does(name):
    utils, made = pytest.importorskip("trl.chat_template_utils"), tokenizer(name)
    said = [one for code, _, one in template.of_the_template(made, {"messages": TALK}) if code == "no_generation_marks"]
    try:
        assert said == [] or ("takes its own marked copy of it" in said[0]) == bool(
            utils.get_training_chat_template(made)
        )
    except ValueError:
        assert "stops, since it has no marked copy" in said[0]


def test_what_trl_makes_of_an_unmarked_template_is_left_open_without_trl(monkeypatch):
    monkeypatch.setattr(template, "find_spec", lambda _: None)
    said = {code: one for code, _, one in template.of_the_template(tokenizer("qwen2_5"), {"messages": TALK})}
    assert "where it has one of this very template" in said["no_generation_marks"]


def test_tools_that_the_system_message_names_are_shown(codes):
    told = [{"role": "system", "content": "You may call get_weather(city)."}, *TALK]
    assert codes("llama3", told, tools=TOOLS) == {}


def test_a_system_message_that_stands_later_and_is_written_is_no_mistake_on_that_base(codes):
    assert codes("qwen2_5", [*TALK, {"role": "system", "content": "Be brief."}, *TALK]) == {}
    assert codes("qwen2_5", [TALK[1], *TALK]) == {}


def test_tools_that_the_template_does_not_show_are_named(codes):
    assert set(codes("gemma3", TALK, tools=TOOLS)) == {"tools_not_shown"} and codes("qwen2_5", TALK, tools=TOOLS) == {}


@pytest.mark.parametrize("name", ["qwen2_5", "llama3_1"])
def test_arguments_that_are_quoted_twice_are_named(codes, name):
    text = [ASK, call('{"city": "Paris"}')]
    assert set(codes(name, text, tools=TOOLS)) == {"arguments_as_text"}
    assert codes("qwen3_instruct_2507", text, tools=TOOLS) == {}, "this template takes text as it stands"


def test_what_ends_a_call_is_not_taken_for_the_end_of_an_answer(tmp_path):
    """gpt-oss ends a call with <|call|>, Gemma 4 with <tool_call|>: an answer's end is looked for in the first answer."""
    made = tokenizer("gptoss")
    made.eos_token = "<|im_end|>"
    for lines, named in (([[ASK, call()]], False), ([[ASK, call()], TALK], True)):
        (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"messages": one, "tools": TOOLS}) for one in lines))
        found = [one.code for one in checking.check(tmp_path / "x.jsonl", made).problems]
        assert ("eos_never_supervised" in found) == named


def test_a_call_without_a_word_beside_it_may_say_null_or_nothing():
    qwen, calls = tokenizer("qwen2_5"), [call(), call(content=None), call()]
    del calls[2]["content"]
    ids = [tasks.encode(qwen, {"messages": [ASK, one], "tools": TOOLS}).input_ids.tolist() for one in calls]
    assert ids[0] == ids[1] == ids[2]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "tools_missing"),
        ({"tools": [{"type": "function", "function": {"name": "get_time"}}]}, "unknown_tool"),
        ({"tools": json.dumps([{"type": "function", "function": {"name": "get_time"}}])}, "unknown_tool"),
        ({"tools": TOOLS}, None),
    ],
)
def test_what_is_called_must_be_known_to_the_model(codes, fields, code):
    assert set(codes("qwen2_5", [ASK, call()], **fields)) == ({code} if code else set())
    system = {"role": "system", "content": "You may call get_weather(city)."}
    assert "tools_missing" not in codes("qwen2_5", [system, ASK, call()], **fields)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"tools": "{"}, "tools must be a list"),
        ({"tools": [3]}, "tools must be a list"),
        ({"chat_template_kwargs": [1]}, "must be an object"),
        ({"chat_template_kwargs": {"tokenize": True}}, "sets tokenize, which is no template's to read"),
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "sets chat_template"),
    ],
)
def test_what_a_template_cannot_be_shown_is_a_sentence(codes, field, said):
    (one,) = codes("qwen2_5", TALK, **field).values()
    assert one.code == "template_refuses" and said in one.sentence


def test_a_broken_tool_call_is_named_by_its_message(codes):
    for calls in ([{}], {"name": "f"}, ["f"], [{"function": {"arguments": {}}}]):
        (one,) = codes("qwen2_5", [ASK, {"role": "assistant", "content": None, "tool_calls": calls}]).values()
        assert one.code == "bad_tool_call" and one.sentence.startswith("message 2 must have a list of tool_calls")


def test_a_tool_that_answers_more_often_than_it_is_called_and_arguments_that_are_no_object_are_named(codes):
    answer = {"role": "tool", "content": "21"}
    for answers, code in (([answer], None), ([answer, answer], "answer_without_call")):
        assert set(codes("qwen2_5", [ASK, call(), *answers, TALK[1]], tools=TOOLS)) == ({code} if code else set())
    known = call()
    known["tool_calls"][0]["id"] = "call_1"
    for id, code in (("call_1", None), ("call_2", "unknown_call")):
        messages = [ASK, known, {**answer, "tool_call_id": id}, TALK[1]]
        assert set(codes("qwen2_5", messages, tools=TOOLS)) == ({code} if code else set())
    for arguments, code in (("{'city': 'Paris'}", "bad_arguments"), (["Paris"], "bad_arguments")):
        assert code in codes("qwen2_5", [ASK, call(arguments)], tools=TOOLS)


def test_an_answer_within_an_open_think_block_is_named_and_one_that_closes_it_is_not(tmp_path):
    """As NVIDIA's Nemotron-Nano-v2 writes every answer, with or without thinking."""
    opens = (
        "{% for m in messages %}{{ '<' + m.role + '>' }}{{ '<think>\n' if m.role == 'assistant' }}{{ m.content + '</s>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<assistant><think>\n' }}{% endif %}"
    )
    made = tokenizer_of(opens, begin=False)
    for said, named in (("21 degrees.", True), ("Look it up.</think>21 degrees.", False)):
        (tmp_path / "x.jsonl").write_text(json.dumps({"messages": [ASK, {"role": "assistant", "content": said}]}))
        found = {one.code: one for one in checking.check(tmp_path / "x.jsonl", made).problems}
        assert ("think_left_open" in found) == named


def test_personal_data_in_a_tool_call_is_found_too(codes):
    assert "personal_data" in codes("qwen2_5", [ASK, call({"to": "jo@acme.org"})], tools=TOOLS)


def test_a_line_that_trl_would_cut_is_named_with_its_default(tmp_path):
    lines = [{"messages": [ASK, {"role": "assistant", "content": "word " * words}]} for words in (2, 300)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    problems = {
        one.code: one for one in checking.check(tmp_path / "x.jsonl", tokenizer("qwen3_instruct_2507")).problems
    }
    one = problems["cut_by_trl"]
    assert (one.severity, one.lines) == ("note", (2,)) and "keep the first 1,024" in one.sentence
    assert not_a_sentence(f"In line 2, {one.sentence}") == ""
    trl = pytest.importorskip("trl")
    for config in (trl.SFTConfig, trl.DPOConfig):
        assert config.__dataclass_fields__["max_length"].default == 1024
