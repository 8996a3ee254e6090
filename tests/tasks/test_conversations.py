"""The data: well-formed, held out by topic, and supervised on the answer and its end alone; batches are padded, or
packed in rows whose conversations do not see each other."""

import copy
import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from chat_templates import CHATML, CHATML_MARKED, LLAMA_3, LLAMA_3_MARKED, QWEN_3, tokenizer_of
from tiny import AsciiTokenizer

from lora_lessons import tasks
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores

MAKERS = sorted((course_root() / "data").glob("make_*.py"))
TASKS = sorted(file.parent.name for file in (course_root() / "data").glob("*/train.jsonl"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_large_enough_and_held_out_by_topic(name):
    task = tasks.load_task(name)
    assert len(task.train) >= 200 and len(task.held_out) >= 50
    assert not {e["topic"] for e in task.train} & {e["topic"] for e in task.held_out}
    questions = [e["messages"][-2]["content"] for e in task.train + task.held_out]
    assert len(set(questions)) == len(questions)
    for example in task.train + task.held_out:
        assert not scores.faults(name, example["messages"][-1]["content"], example)


@pytest.mark.parametrize("maker", MAKERS, ids=[maker.stem for maker in MAKERS])
def test_the_data_on_disk_is_what_the_script_makes(maker):
    done = subprocess.run([sys.executable, str(maker), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_answer_and_its_end_are_supervised(base_fp32):
    tokenizer = base_fp32.tokenizer
    for example in tasks.load_task("persona").held_out[:10]:
        one = tasks.encode(tokenizer, example)
        taught = one.labels != tasks.IGNORED
        answer = example["messages"][-1]["content"]
        assert tokenizer.decode(one.labels[taught]) == answer + tokenizer.eos_token
        assert torch.equal(one.input_ids[taught], one.labels[taught])
        assert taught[-1] and not taught[0]
        whole = tokenizer.apply_chat_template(example["messages"], tokenize=False)
        assert tokenizer.decode(one.input_ids) == whole.rstrip()


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which leaf?"},
    {"role": "assistant", "content": "Camellia\nsinensis, naïve 🙂."},
    {"role": "user", "content": "And the 🙂 other?"},
    {"role": "assistant", "content": "  he  "},
    {"role": "assistant", "content": "Mint."},
    {"role": "user", "content": "Thanks!"},
    {"role": "assistant", "content": "You are welcome."},
]


def answers_of(tokenizer, one):
    """The texts of the runs of tokens that are learned."""
    taught = (one.labels != tasks.IGNORED).tolist()
    ids = one.input_ids.tolist()
    return [
        tokenizer.decode([ids[n] for n, _ in run])
        for learned, run in itertools.groupby(enumerate(taught), key=lambda pair: pair[1])
        if learned
    ]


def ending(template, end="<|im_end|>"):
    """A tokenizer of bytes with this chat template, which ends a text as a turn."""
    tokenizer = tokenizer_of(template, begin=False)
    tokenizer.eos_token = end
    return tokenizer


def as_transformers(tokenizer):
    """CHAT as it is encoded, and what transformers makes of it;
    assert that both have the same tokens up to the last end."""
    one = tasks.encode(tokenizer, {"messages": CHAT})
    theirs = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    assert one.input_ids.tolist() == theirs["input_ids"][: len(one.input_ids)]
    return one, theirs, len(one.input_ids)


@pytest.mark.parametrize(("marked", "end"), [(CHATML_MARKED, "<|im_end|>"), (LLAMA_3_MARKED, "<|eot_id|>")])
def test_every_answer_of_a_chat_is_learned_and_nothing_else_as_transformers_masks_it(marked, end):
    tokenizer = ending(marked, end)
    one, theirs, size = as_transformers(tokenizer)
    assert tokenizer.decode(theirs["input_ids"][size:]).strip() == "", "a line break that nobody has to write"
    learned = (one.labels != tasks.IGNORED).int().tolist()
    assert learned == theirs["assistant_masks"][:size] and not any(theirs["assistant_masks"][size:])
    assert one.labels[torch.tensor(learned).bool()].equal(one.input_ids[torch.tensor(learned).bool()])
    last = tasks.encode(tokenizer, {"messages": CHAT}, last_only=True)
    assert last.input_ids.equal(one.input_ids) and answers_of(tokenizer, last) == answers_of(tokenizer, one)[-1:]


@pytest.mark.parametrize("name", ["qwen2_5", "llama3", "qwen3"])
def test_every_answer_is_learned_that_trl_masks(name):
    """With TRL's templates; Qwen's put their marks around two line breaks that no model has to write as well."""
    trl = importlib.util.find_spec("trl")
    if trl is None or not trl.origin:
        pytest.skip("TRL is not installed")
    template = Path(trl.origin).parent / "chat_templates" / f"{name}_training.jinja"
    tokenizer = ending(template.read_text(), "<|eot_id|>" if name == "llama3" else "<|im_end|>")
    one, theirs, size = as_transformers(tokenizer)
    learned = one.labels != tasks.IGNORED
    masked = torch.tensor(theirs["assistant_masks"][:size]).bool()
    assert not (learned & ~masked).any()
    only_theirs = {tokenizer.decode([token]) for token in one.input_ids[masked & ~learned]}
    assert only_theirs == (set() if name == "llama3" else {"\n"})
    assert len(answers_of(tokenizer, one)) == 4


def test_a_template_that_rewrites_earlier_turns_trains_the_last_answer_and_says_so():
    tokenizer = ending(QWEN_3)
    with pytest.warns(UserWarning, match="only the last is learned"):
        one = tasks.encode(tokenizer, {"messages": [*CHAT[:4], *CHAT[7:]]})
    assert answers_of(tokenizer, one) == ["<think>\n\n</think>\n\nYou are welcome.<|im_end|>"]


@pytest.mark.parametrize(
    ("messages", "learned"),
    [
        ([CHAT[5], *CHAT[1:3], *CHAT[6:]], (2, 7)),
        ([CHAT[0], CHAT[5], *CHAT[1:3], *CHAT[6:]], (2, 7)),
        ([CHAT[1], CHAT[2] | {"weight": 0}, CHAT[3], CHAT[4] | {"weight": 1}, *CHAT[6:]], (4, 7)),
    ],
    ids=["a greeting", "a greeting after the system's words", "a weight of 0"],
)
def test_what_answers_nobody_or_weighs_nothing_is_not_learned(messages, learned):
    tokenizer = ending(CHATML)
    one = tasks.encode(tokenizer, {"messages": messages})
    assert answers_of(tokenizer, one) == [f"{CHAT[n]['content']}<|im_end|>" for n in learned]


def test_a_template_that_leaves_the_answer_out_is_refused():
    """As SmolVLM's, which writes the parts of a list and passes over a text."""
    tokenizer = tokenizer_of(CHATML.replace("m.content", "(m.content if m.content is not string else '')"), begin=False)
    with pytest.raises(ValueError, match="leaves out"):
        tasks.encode(tokenizer, {"messages": CHAT[1:3]})


def sentencepiece(kind):
    """A tokenizer that begins a text, or each of its parts between special tokens, with a space,
    as those of Llama 2 do."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: n for n, letter in enumerate("▁\n" + "".join(map(chr, range(33, 127))), 3)}
    made = Tokenizer(models.BPE({"<unk>": 0, "<s>": 1, "</s>": 2} | letters, [], unk_token="<unk>"))
    if kind == "legacy":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = CHATML_MARKED.replace("<|im_end|>", "</s>")
    return tokenizer


@pytest.mark.parametrize("kind", ["legacy", "metaspace"])
def test_no_answer_begins_with_a_space_that_only_the_tokenizer_puts_there(kind):
    one, theirs, size = as_transformers(sentencepiece(kind))
    assert (one.labels != tasks.IGNORED).int().tolist() == theirs["assistant_masks"][:size]


def test_a_tokenizer_that_cannot_say_where_tokens_stand_trains_the_last_answer_and_says_so():
    with pytest.warns(UserWarning, match="where in a text"):
        one = tasks.encode(AsciiTokenizer(), {"messages": CHAT[1:3] * 2})
    assert int((one.labels != tasks.IGNORED).sum()) == len(CHAT[2]["content"]) + 1


def test_unknown_tasks_name_the_known_ones():
    with pytest.raises(FileNotFoundError, match="persona"):
        tasks.load_task("nope")


def test_the_end_is_supervised_also_where_the_template_has_none(base_fp32):
    """The base's tokenizer with a template that marks turns by their role and has no end token."""
    tokenizer = copy.deepcopy(base_fp32.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]
    one = tasks.encode(tokenizer, {"messages": messages})
    taught = one.labels != tasks.IGNORED
    assert tokenizer.decode(one.labels[taught]) == "Ho." + tokenizer.eos_token
    assert tokenizer.decode(one.input_ids[~taught]) == "user: Hi?\nassistant: "


def test_a_tokenizer_that_begins_every_text_begins_a_conversation_once():
    """The template puts the beginning; the answer, tokenized apart, must not get another."""
    tokenizer = tokenizer_of(LLAMA_3, begin=True)
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]
    one = tasks.encode(tokenizer, {"messages": messages})
    assert one.input_ids[0] == tokenizer.bos_token_id and not (one.input_ids[1:] == tokenizer.bos_token_id).any()


def test_collate_pads_on_the_right_and_hides_the_padding():
    a, b = (tasks.Encoded(torch.arange(n), torch.arange(n)) for n in (3, 5))
    batch = tasks.collate([a, b], pad_id=9)
    assert batch["input_ids"].tolist() == [[0, 1, 2, 9, 9], [0, 1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[0, 1, 2, tasks.IGNORED, tasks.IGNORED], [0, 1, 2, 3, 4]]


def conversations(vocabulary, *lengths):
    """Random conversations; the first half of each is its prompt."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for length in lengths:
        ids = torch.randint(vocabulary, (length,), generator=generator)
        made.append(tasks.Encoded(ids, torch.where(torch.arange(length) < length // 2, tasks.IGNORED, ids)))
    return made


def test_packed_rows_hold_everything_in_order_and_no_more_than_they_may():
    examples = conversations(100, 5, 3, 4, 9, 2)
    rows = tasks.pack(examples, 9)
    assert [len(row.input_ids) for row in rows] == [8, 4, 9, 2]
    assert torch.equal(torch.cat([row.input_ids for row in rows]), torch.cat([one.input_ids for one in examples]))
    assert rows[0].position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    with pytest.raises(ValueError, match="9 tokens and a row 8"):
        tasks.pack(examples, 8)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_loss_of_packed_rows_is_that_of_their_parts(tiny_model, attention):
    """No token looks into another conversation, padding is not taught,
    and no first token is predicted from another's end."""
    tiny_model.set_attn_implementation(attention)
    tiny_model.config.use_cache = False  # as in training: with a cache transformers does not look at position_ids
    examples = conversations(tiny_model.config.vocab_size, 7, 5, 6, 9)
    # the second of the first row teaches from its very first token on
    examples[1] = examples[1]._replace(labels=examples[1].input_ids)
    packed = tasks.collate(tasks.pack(examples, 12), pad_id=0)
    assert "attention_mask" not in packed and packed["input_ids"].shape == (3, 12)
    apart = [tiny_model(**tasks.collate([one], pad_id=0)).loss for one in examples]
    taught = [int((one.labels[1:] != tasks.IGNORED).sum()) for one in examples]
    expected = sum(loss * n for loss, n in zip(apart, taught, strict=True)) / sum(taught)
    assert tiny_model(**packed).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_model_whose_layers_carry_a_state_is_not_packed(tiny_model):
    """Linear attention reads no position_ids: one conversation would leak into the next without an error."""
    from transformers import Mamba2Config, Qwen3NextConfig

    examples = conversations(100, 5, 3)
    for config, kind in (
        (Qwen3NextConfig(num_hidden_layers=4), "linear_attention"),
        (Mamba2Config(), "linear_attention"),
    ):
        with pytest.raises(ValueError, match=f"layers of {kind}, which carry a running state.*padded batches"):
            tasks.pack(examples, 9, config)
    assert len(tasks.pack(examples, 9, tiny_model.config)) == 1
