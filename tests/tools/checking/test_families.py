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
IN_A_FIELD = [ASK, {**TALK[1], "reasoning_content": "Look it up."}]
SYSTEM = {"role": "system", "content": "Be brief."}
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
    """A tokenizer with a family's template, or with this one."""
    text = name if "{" in name else (FOLDER / f"{name}.jinja").read_text("utf-8")
    made = tokenizer_of(text, begin=False, **how)
    made.pad_token = "<unk>"
    return made


@pytest.fixture
def codes(checked):
    """A function that checks one line with a family's template, or with this one: code → severity, and what is said."""

    def check(name, messages, **fields):
        report = checked({"messages": messages, **fields}, tokenizer=tokenizer(name))
        problems = {one.code: one for one in report.problems}
        for one in problems.values():
            assert not_a_sentence(f"In line 1, {one.sentence}") == "", one.sentence
        # of this tokenizer of bytes, and of a file of one line
        for usual in ("too_few", "eos_never_supervised", "no_generation_marks", "bos_twice", "cut_by_trl"):
            problems.pop(usual, None)
        return problems

    return check


BY_TOOL = [ASK, call(), {"role": "tool", "name": "get_weather", "content": "21"}, TALK[1]]
EARLIER = [ASK, {**call(), "reasoning_content": "Lookup."}, {"role": "tool", "content": "twentyone"}, TALK[1]]
ANSWER = {"role": "tool", "content": "21"}
KNOWN = call()
KNOWN["tool_calls"][0]["id"] = "call_1"
WITH_TOOLS = {"tools": TOOLS}
TAKES_A_CITY = {
    "tools": [{"type": "function", "function": {**WEATHER, "parameters": {"properties": {"city": {"type": "string"}}}}}]
}
OTHER_TOOL = [{"type": "function", "function": {"name": "get_time"}}]
NAMES_IT = {"role": "system", "content": "You may call get_weather(city)."}
THOUGHT = [ASK, {**TALK[1], "content": "<think>\nLook it up.\n</think>\n\nIt is 21 degrees."}]
SAYS_THINK = CHATML.replace("{% for m", "Think in [THINK] and [/THINK].{% for m")
READS = CHATML.replace("+ m.content", "}}READS{{ m.content")
# as NVIDIA's Nemotron-Nano-v2 writes every answer, with or without thinking
OPENS = (
    "{% for m in messages %}{{ '<' + m.role + '>' }}{{ '<think>\n' if m.role == 'assistant' }}{{ m.content + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant><think>\n' }}{% endif %}"
)
DROPS_SYSTEM = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
KUBERNETES = [{**ASK, "content": "What does Kubernetes do?"}, TALK[1]]
LEFT_OUT = {"calls_left_out": "", "thinking_left_out": "", "only_last_answer": ""}
# the template, the conversation, what stands beside it, and every code that it gets with a part of the sentence
ONE_LINE = {
    "thinking": ("qwen2_5", [ASK, {**TALK[1], "thinking": "Look it up."}], {}, {"thinking_left_out": ""}),
    "reasoning": ("qwen2_5", [ASK, {**TALK[1], "reasoning": "Look it up."}], {}, {"thinking_left_out": ""}),
    "to be written between marks": ("qwen2_5", IN_A_FIELD, {}, {"thinking_left_out": "<think> and </think>"}),
    "kept by no template but a newer": ("gemma4", IN_A_FIELD, {}, {"thinking_left_out": "a newer one of this model"}),
    "thinking in a field that is lost": (
        *("deepseek_r1_distill", IN_A_FIELD, {}),
        {"answer_apart": "does not write that field, so the thinking is lost: write it between"},
    ),
    "an answer that only thinks": ("qwen2_5", [ASK, {**TALK[1], "content": "<think>Look it up.</think>"}], {}, {}),
    **{
        f"a call that {name} leaves out": (
            name,
            [ASK, call()],
            WITH_TOOLS,
            {"template_refuses": "leaves the tool call out"},
        )
        for name in ("gemma", "gemma3", "llama3", "phi3", "cohere2", "lfm2")
    },
    "an earlier call that is left out": (
        *("phi3", BY_TOOL, WITH_TOOLS),
        {"only_last_answer": "does not write an earlier one", "calls_left_out": "", "tools_not_shown": ""},
    ),
    "an answer behind a tool's, as in Gemma 4's": ("diffusion_gemma", BY_TOOL, WITH_TOOLS, {}),
    "an argument that is null": (
        *("qwen2_5", [ASK, call({"city": "Paris", "day": None})], TAKES_A_CITY),
        {"unknown_argument": "is null"},
    ),
    "an argument of no tool": (
        "qwen2_5",
        [ASK, call({"town": "Paris"})],
        TAKES_A_CITY,
        {"unknown_argument": 'the argument "town" and the tool has'},
    ),
    "arguments that are known": ("qwen2_5", [ASK, call()], TAKES_A_CITY, {}),
    "arguments of a tool that names none": ("qwen2_5", [ASK, call({"x": 1})], WITH_TOOLS, {}),
    "arguments as text": (
        *("qwen3_8", [ASK, call('{"city": 1}')], WITH_TOOLS),
        {"template_refuses": "arguments of its tool calls as an object"},
    ),
    "quoted twice by Qwen2.5": ("qwen2_5", [ASK, call('{"city": "Paris"}')], WITH_TOOLS, {"arguments_as_text": ""}),
    "quoted twice by Llama 3.1": ("llama3_1", [ASK, call('{"city": "Paris"}')], WITH_TOOLS, {"arguments_as_text": ""}),
    "text that stays as it stands": ("qwen3_instruct_2507", [ASK, call('{"city": "Paris"}')], WITH_TOOLS, {}),
    "tools that the system message names": (
        *("llama3_1", [NAMES_IT, *TALK], WITH_TOOLS),
        {},
    ),
    "tools that are not shown": ("gemma3", TALK, WITH_TOOLS, {"tools_not_shown": ""}),
    "tools that are shown": ("qwen2_5", TALK, WITH_TOOLS, {}),
    "a later system message": ("qwen2_5", [*TALK, SYSTEM, *TALK], {}, {}),
    "a greeting first": ("qwen2_5", [TALK[1], *TALK], {}, {}),
    "personal data in a call": ("qwen2_5", [ASK, call({"to": "jo@acme.org"})], WITH_TOOLS, {"personal_data": ""}),
    **{
        f"calls that are {calls}": (
            *("qwen2_5", [ASK, {"role": "assistant", "content": None, "tool_calls": calls}], {}),
            {"bad_tool_call": "message 2 must have a list of tool_calls"},
        )
        for calls in ([{}], {"name": "f"}, ["f"], [{"function": {"arguments": {}}}])
    },
    **{f"{name} answers at once": (name, TALK, {}, {}) for name in DIRECT},
    # what is left out of earlier turns
    "of Llama 3": ("llama3", EARLIER, WITH_TOOLS, LEFT_OUT | {"tools_not_shown": ""}),
    "of Phi-3": ("phi3", EARLIER, WITH_TOOLS, LEFT_OUT | {"tools_not_shown": "", "tool_left_out": ""}),
    "of LFM2, whose name stands in the tools that it shows": ("lfm2", EARLIER, WITH_TOOLS, LEFT_OUT),
    "nothing of Qwen3.8": ("qwen3_8", [*EARLIER[:3], {**TALK[1], "reasoning_content": "Seen."}], WITH_TOOLS, {}),
    # what is called, and what answers
    "a call without tools": ("qwen2_5", [ASK, call()], {}, {"tools_missing": ""}),
    "a call of another tool": ("qwen2_5", [ASK, call()], {"tools": OTHER_TOOL}, {"unknown_tool": ""}),
    "another tool, as text": ("qwen2_5", [ASK, call()], {"tools": json.dumps(OTHER_TOOL)}, {"unknown_tool": ""}),
    "a call of this tool": ("qwen2_5", [ASK, call()], WITH_TOOLS, {}),
    "a call that the system names": ("qwen2_5", [NAMES_IT, ASK, call()], {}, {}),
    "another that the system names": ("qwen2_5", [NAMES_IT, ASK, call()], {"tools": OTHER_TOOL}, {"unknown_tool": ""}),
    "one answer to a call": ("qwen2_5", [ASK, call(), ANSWER, TALK[1]], WITH_TOOLS, {}),
    "two answers to a call": (
        *("qwen2_5", [ASK, call(), ANSWER, ANSWER, TALK[1]], WITH_TOOLS),
        {"answer_without_call": ""},
    ),
    "an answer to this call": ("qwen2_5", [ASK, KNOWN, {**ANSWER, "tool_call_id": "call_1"}, TALK[1]], WITH_TOOLS, {}),
    "an answer to another call": (
        *("qwen2_5", [ASK, KNOWN, {**ANSWER, "tool_call_id": "call_2"}, TALK[1]], WITH_TOOLS),
        {"unknown_call": ""},
    ),
    "arguments in Python's way": (
        *("qwen2_5", [ASK, call("{'city': 'Paris'}")], WITH_TOOLS),
        {"bad_arguments": "", "arguments_as_text": ""},
    ),
    "arguments as a list": ("qwen2_5", [ASK, call(["Paris"])], WITH_TOOLS, {"bad_arguments": ""}),
    "tools that a template cannot do without": (
        *("{% for tool in tools %}{{ tool }}{% endfor %}" + CHATML, TALK, WITH_TOOLS),
        {},
    ),
    # what a template cannot be shown
    **{
        f"{field}": ("qwen2_5", TALK, field, {"template_refuses": said})
        for field, said in (
            ({"tools": "{"}, "tools must be a list"),
            ({"tools": [3]}, "tools must be a list"),
            ({"chat_template_kwargs": [1]}, "must be an object"),
            ({"chat_template_kwargs": {"tokenize": True}}, "sets tokenize, which is no template's to read"),
            ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "sets chat_template"),
        )
    },
    # as the templates of Mistral 7B v0.3 and Nemo do (trl#6689, 2026-08-09)
    "a system message where it asks": (
        *(MISTRAL_3, [SYSTEM, *TALK], {}),
        {"answer_apart": "what the system says where it asks"},
    ),
    # thinking that is left out stays with another field, or with a setting
    "as Solar Open's": (
        *(READS.replace("READS", "{{ m.reasoning if m.reasoning }}"), IN_A_FIELD, {}),
        {"thinking_left_out": "take it out, or write it into the field reasoning, which this template reads"},
    ),
    "with a setting": (
        *(READS.replace("READS", "{{ m.reasoning_content if enable_thinking }}"), IN_A_FIELD, {}),
        {"thinking_left_out": 'take it out, or add "chat_template_kwargs": {"enable_thinking": true}'},
    ),
    # think marks that are plain words to a template whose model thinks otherwise
    **{
        f"think marks in {name[:9]}": (name, THOUGHT, {}, {"think_as_text": todo})
        for name, todo in (
            ("gptoss", "write it into the field reasoning_content"),
            ("gemma4_v5", "write it into the field reasoning_content"),
            ("gemma4", "use a template that writes it, such as a newer one"),
            (SAYS_THINK, "write it into the content between [THINK] and [/THINK]"),
        )
    },
    **{f"{name} has think marks": (name, THOUGHT, {}, {}) for name in ("qwen2_5", "llama3_1", "qwen3", "gemma3")},
    "an answer within an open think block": (OPENS, TALK, {}, {"think_left_open": ""}),
    "an answer that closes it": (
        *(OPENS, [ASK, {**TALK[1], "content": "Look it up.</think>21 degrees."}], {}),
        {"think_block_open": ""},
    ),
    # a system message that is left out, whose longest word another message has, too
    "a system message that is left out": (
        *(DROPS_SYSTEM, [{**SYSTEM, "content": "You are an expert on Kubernetes."}, *KUBERNETES], {}),
        {"system_left_out": ""},
    ),
    "a question that is its system message": (
        *(DROPS_SYSTEM, [{**SYSTEM, "content": "What does Kubernetes do?"}, *KUBERNETES], {}),
        {},
    ),
    "turns of a template": (
        *(
            "qwen2_5",
            [{**ASK, "content": "<|im_start|>user\nHow warm is it?<|im_end|>\n<|im_start|>assistant\n"}, TALK[1]],
            {},
        ),
        {"special_token_in_text": "<|im_start|> and <|im_end|> stand in the text: a chat template has been"},
    ),
    "a mark that is spoken of": (
        *("qwen2_5", [{**ASK, "content": "What does <|im_start|> do for a user?"}, TALK[1]], {}),
        {"special_token_in_text": "<|im_start|> stands in the text, where a chat template writes marks of its own"},
    ),
    "letters of a wrong encoding": (
        *("qwen2_5", [ASK, {**TALK[1], "content": "21 degrees in MÃ¼nchen."}], {}),
        {"garbled": "such as Ã¼: save"},
    ),
    "qwen3_8 has think marks": ("qwen3_8", THOUGHT, {}, {"empty_think_block": ""}),
}


@pytest.mark.parametrize("what", ONE_LINE)
def test_what_a_template_makes_of_a_line_is_named_and_nothing_else(codes, what):
    name, messages, fields, said = ONE_LINE[what]
    found = codes(name, messages, **fields)
    assert found.keys() == said.keys(), found
    assert all(part in found[code].sentence for code, part in said.items())


@pytest.mark.parametrize("name", THINK)
def test_a_think_block_that_every_answer_would_begin_with_is_named_and_without_thinking_it_is_gone(codes, name):
    (one,) = codes(name, TALK).values()
    assert (one.code, one.severity, one.lines) == ("empty_think_block", "note", (1,)) and "trl#6361" in one.sentence
    assert codes(name, TALK, **PLAIN) == {}, "as the sentence advises"
    assert codes(name, IN_A_FIELD) == {}, "an answer that thinks"
    taught = tasks.encode(tokenizer(name), {"messages": TALK, **PLAIN})
    said = tokenizer(name).decode(taught.labels[taught.labels != tasks.IGNORED])
    assert "think" not in said and "21 degrees" in said


@pytest.mark.parametrize("name", NEMOTRONS)
def test_plain_answers_that_a_thinking_template_refuses_are_told_what_helps(codes, name):
    (one,) = codes(name, TALK).values()
    assert (one.code, one.severity) == ("answer_apart", "wrong") and "TRL and Unsloth train" in one.sentence
    assert '"chat_template_kwargs": {"enable_thinking": false}' in one.sentence
    assert codes(name, TALK, **PLAIN) == {} == codes(name, IN_A_FIELD)


def test_a_setting_is_advised_only_where_the_template_reads_it(codes):
    said = codes(QWEN_3, TALK)["empty_think_block"].sentence
    assert "write the thinking" not in said, "it would be left out"
    assert "enable_thinking" not in said and "leave it so." in said
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
    (one,) = codes("qwen3_5_nothink", IN_A_FIELD).values()
    assert "asks with an empty think block" in one.sentence and "has the model think" not in one.sentence
    assert '{"enable_thinking": true} to the line, and ask it with that, too.' in one.sentence


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
    with pytest.raises(ValueError, match="once another follows: take it out of all but the last"):
        chat_text(tokenizer(name), {"messages": messages, "tools": TOOLS})


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


@pytest.mark.parametrize("name", CALL_TOOLS)
def test_a_tool_call_is_an_answer_that_is_learned(codes, name):
    messages = [ASK, call(), {"role": "tool", "name": "get_weather", "content": "21"}, TALK[1]]
    assert codes(name, messages, tools=TOOLS) == {} == codes(name, messages[:2], tools=json.dumps(TOOLS))
    encoded = tasks.encode(tokenizer(name), {"messages": messages[:2], "tools": TOOLS})
    assert "get_weather" in tokenizer(name).decode(encoded.labels[encoded.labels != tasks.IGNORED])


def test_thinking_of_an_earlier_answer_that_the_template_leaves_out_is_named_and_its_marks_are_no_mistake(codes):
    """Between <think> and </think> in the content, as many files have it;
    Qwen's tokenizer makes one token of each mark."""
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


WANTS_IDS = (
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id|length != 9 %}{{ raise_exception('length 9') }}"
    "{% endif %}{{ c.function.name }}{% endfor %}{{ m.content }}</s>{% endfor %}"
)
WITH_ID = [ASK, KNOWN, {"role": "tool", "content": "21", "tool_call_id": "call_1"}, TALK[1]]
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
    with pytest.raises(ValueError, match="refuses the conversation") as refused:
        chat_text(tokenizer(name), {"messages": messages, "tools": TOOLS})
    assert f": {todo}" in str(refused.value) and str(refused.value).endswith(", or use another template.")


@pytest.mark.parametrize("setting", ["", " and not enable_thinking"])
def test_a_channel_that_the_template_opens_as_it_asks_is_shown_and_is_no_rewriting(codes, setting):
    asks = f"{{% if add_generation_prompt{setting} %}}" + "{{ '<|channel>thought\n<channel|>' }}{% endif %}"
    said = codes(CHATML + asks, TALK)["answer_apart"].sentence
    assert '"<|channel>thought' in said and "rewrites" not in said
    assert ('{"enable_thinking": true}' in said) == bool(setting)


def test_thinking_that_is_cut_out_stays_with_the_template_that_is_advised():
    """TRL's own for DeepSeek-R1's distilled models (trl#6766, 2026-08-15)."""
    with pytest.raises(ValueError, match=r"such as TRL's deepseek_r1_distill_training\.jinja"):
        chat_text(tokenizer("deepseek_r1_distill"), {"messages": THOUGHT})
    assert "Look it up." in chat_text(tokenizer("deepseek_r1_distill_training"), {"messages": THOUGHT}).taught


def test_an_end_is_looked_for_behind_the_answer_also_where_its_thinking_is_written_otherwise(checked):
    """GLM-4.5's answers end where the next turn begins."""
    thinks = {"messages": [ASK, {**TALK[1], "content": "<think>Look.</think>21."}]}
    found = {one.code: one.sentence for one in checked(thinks, tokenizer=tokenizer("glm4moe")).problems}
    assert "writes no end token after an answer" in found["eos_never_supervised"]


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


def test_what_ends_a_call_is_not_taken_for_the_end_of_an_answer(checked):
    """gpt-oss ends a call with <|call|>, Gemma 4 with <tool_call|>:
    an answer's end is looked for in the first answer."""
    made = tokenizer("gptoss")
    made.eos_token = "<|im_end|>"
    for lines, named in (([[ASK, call()]], False), ([[ASK, call()], TALK], True)):
        report = checked(*({"messages": one, "tools": TOOLS} for one in lines), tokenizer=made)
        found = [one.code for one in report.problems]
        assert ("eos_never_supervised" in found) == named


def test_a_call_without_a_word_beside_it_may_say_null_or_nothing():
    qwen, calls = tokenizer("qwen2_5"), [call(), call(content=None), call()]
    del calls[2]["content"]
    ids = [tasks.encode(qwen, {"messages": [ASK, one], "tools": TOOLS}).input_ids.tolist() for one in calls]
    assert ids[0] == ids[1] == ids[2]


def test_a_line_that_trl_would_cut_is_named_with_its_default(checked):
    lines = [{"messages": [ASK, {"role": "assistant", "content": "word " * words}]} for words in (2, 300)]
    report = checked(*lines, tokenizer=tokenizer("qwen3_instruct_2507"))
    (one,) = (problem for problem in report.problems if problem.code == "cut_by_trl")
    assert (one.severity, one.lines) == ("note", (2,)) and "keep the first 1,024" in one.sentence
    assert not_a_sentence(f"In line 2, {one.sentence}") == ""
    trl = pytest.importorskip("trl")
    for config in (trl.SFTConfig, trl.DPOConfig):
        assert config.__dataclass_fields__["max_length"].default == 1024
