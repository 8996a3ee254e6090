"""Lesson 11's room: a file becomes two parts, a plan, scores and a page; what cannot be is a sentence; nothing of the
data leaks."""

import copy
import json
import re

import pytest
import torch
from hostile import HOSTILE, NOWHERE, TERMINAL, UNSEEN
from tiny import AsciiTokenizer, make_tiny_base, write_lines
from transformers import Qwen2Config

from lora_lessons import evaluation, lora, memory, models, quant, tasks, training
from lora_lessons.adapter import adapter_of
from lora_lessons.course.blind_judge import Pair, Tally
from lora_lessons.course.learner import my_folder
from lora_lessons.errors import ModelError
from lora_lessons.memory import Job
from lora_lessons.paths import course_root
from lora_lessons.sums import sha256
from lora_lessons.training import Training
from lora_tools import checking
from lora_tools.exporting.model_card import AboutAdapter, CardRow, model_card
from lora_tools.own import beforehand, my_data, page, pictures, publishing, scoring


def lines(count, **fields):
    return [{"prompt": f"word{n} thing{n}?", "completion": f"Secret {n}.", **fields} for n in range(count)]


@pytest.fixture
def data(tmp_path):
    return my_data.read(write_lines(tmp_path, lines(12)), AsciiTokenizer(), 100)


def said_before(how, examples, bill, where, step=0.5):
    """The plan of a training, as it is printed."""
    return repr(beforehand.plan(how, examples, bill, where, beforehand.Times(step, 60.0, 30.0)))


# ---- reading ----


def test_twelve_lines_are_nine_and_three_and_what_three_can_tell_is_said(data):
    assert (len(data.train), len(data.held_out), data.of, data.left_out) == (9, 3, 12, 0)
    assert pictures.drawn(data) == "mine.jsonl holds 12 good examples."
    said = pictures.can_tell(3)
    assert "as low as 44%" in said
    assert "Read every answer" in said and "Read every answer" not in pictures.can_tell(10)
    assert "as low as 72%" in pictures.can_tell(10) and "question by question" in pictures.can_tell(10)


def test_a_long_file_is_drawn_from_at_random_and_it_is_said(tmp_path):
    file = write_lines(tmp_path, lines(3000))
    found = my_data.read(file, AsciiTokenizer(), 100, seed=1)
    assert found.of == 3000 and len(found.train) + len(found.held_out) == 100
    assert "100 of them" in pictures.drawn(found)
    asked = [my_data.question_of(one) for one in found.split.train]
    assert len({question[:5] for question in asked}) > 5, "not the first ones"
    again = my_data.read(file, AsciiTokenizer(), 100, seed=1)
    assert again.split == found.split and my_data.read(file, AsciiTokenizer(), 100, seed=2).split != found.split


def test_what_is_too_long_or_refused_is_left_out_and_counted(tmp_path, monkeypatch):
    long = [{"prompt": "x" * 600, "completion": "y"}]
    found = my_data.read(write_lines(tmp_path, [*lines(8), *long]), AsciiTokenizer(), 100)
    assert found.left_out == 1 and len(found.train) + len(found.held_out) == 8
    assert "1 are left out" in pictures.drawn(found)
    short = my_data.Choices(max_tokens=20)
    with pytest.raises(ValueError, match="8 are longer than 20 tokens: give a larger max_tokens"):
        my_data.read(write_lines(tmp_path, lines(8)), AsciiTokenizer(), 100, chosen=short)


def test_the_last_answer_alone_is_learned_when_it_is_asked_for(tmp_path, base_fp32):
    chats = [
        {"messages": [{"role": role, "content": f"{role} {n}"} for role in ("user", "assistant") * 2]} for n in range(8)
    ]
    learned = []
    for chosen in (my_data.COURSES, my_data.Choices(last_answer_only=True)):
        found = my_data.read(write_lines(tmp_path, chats), base_fp32.tokenizer, 100, chosen=chosen)
        learned.append([int((one.labels != tasks.IGNORED).sum()) for one in found.train])
    assert learned[0] == [2 * count for count in learned[1]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"few \$\(of them\)\.jsonl holds no examples: write one a line"),
        *(
            (one, r"`lora-lessons check 'few \$\(of them\)\.jsonl'`")
            for one in ("{}\n{}\n", '{"prompt": "a", "completion": "b"}\n')
        ),
    ],
)
def test_a_file_without_enough_good_lines_is_a_sentence_that_names_the_check(tmp_path, content, sentence):
    file = tmp_path / "few $(of them).jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        my_data.read(file, AsciiTokenizer(), 100)


def test_a_path_is_found_or_said_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = course_root() / "data" / "own"
    assert my_data.find("") == ours / "helpdesk.jsonl" and my_data.find("minutes.csv") == ours / "minutes.csv"
    assert my_data.find(str(tmp_path / "minutes.csv")) == ours / "minutes.csv"
    mine = write_lines(tmp_path, lines(4), "minutes.csv")
    assert my_data.find("minutes.csv") == mine, "a file of the learner's comes first"
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/nothing.jsonl: write the whole path"):
        my_data.find("nothing.jsonl")


def test_the_adapters_name_is_one_that_every_program_takes(tmp_path):
    for name, kept in (("my helpdesk (v2).jsonl", "my-helpdesk-v2"), ("ü.jsonl", "own")):
        assert my_data.read(write_lines(tmp_path, lines(4), name), AsciiTokenizer(), 9).adapter_name == kept


# ---- planning ----


@pytest.mark.parametrize(("examples", "steps"), [(3, 24), (9, 24), (40, 30), (60, 36), (5000, 36)])
def test_steps_follow_from_the_size_of_the_file(examples, steps):
    assert my_data.steps_for(examples, "quick") == steps
    assert my_data.most("quick") == 36 * my_data.BATCH + 40


def test_what_is_asked_for_is_what_is_planned(data):
    base = make_tiny_base()
    how = my_data.settings(base, 9, "quick", seed=3, autocast=False)
    assert (how.steps, how.learning_rate, how.seed) == (24, my_data.RATE, 3)
    how = my_data.settings(base, 9, "quick", 0, False, steps=7, rate=1e-4)
    assert (how.steps, how.learning_rate) == (7, 1e-4)
    my_data.attach(base.model, 0)
    my_data.attach(base.model, 0)
    assert beforehand.seconds_a_step(base.model, data.train, how) > 0
    assert all(p.grad is None for p in base.model.parameters()), "training starts clean"
    bill = beforehand.bill(base, how, data.train)
    job = Job(
        "lora", my_data.R, seq=100, batch_size=4, gradient_checkpointing=False, dtype="fp32", optimizer=how.optimizer
    )
    assert 0 < bill < memory.predict(base.model.config, job, card=False).bill.total, "no card's context on a processor"
    where = my_data.Place(room=bill / 2, words="a small card")
    assert "does NOT fit" in said_before(how, 9, bill, where)
    said = said_before(how, 9, bill, where._replace(room=2 * bill))
    assert "it fits" in said and "each line is seen 3.1 times, at a learning rate of 0.0001" in said
    assert "It takes about 6.1 minutes" in said and "(0.5 s a step)" in said and "at most 1.0 to answer" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"r": 0},
        {"lora_alpha": "16"},
        {"batch_size": 2.0},
        {"gradient_accumulation_steps": -1},
        {"gradient_checkpointing": "yes"},
        {"max_tokens": True},
        {"last_answer_only": 1},
        {"beta": 0},
    ],
)
def test_a_parameter_that_cannot_be_is_a_sentence_before_a_base_is_loaded(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} = .*: give "):
        my_data.Choices(**wrong)


def test_every_parameter_reaches_the_training(data):
    chosen = my_data.Choices(
        r=2, lora_alpha=6, batch_size=2, gradient_accumulation_steps=3, gradient_checkpointing=True
    )
    base = make_tiny_base()
    how = my_data.settings(base, 60, "quick", 0, False, chosen=chosen)
    assert (how.batch_size, how.gradient_accumulation_steps, how.gradient_checkpointing) == (2, 3, True)
    assert how.steps == 30 and my_data.most("quick", chosen) == 36 * 6 + 40
    my_data.attach(base.model, 0, chosen)
    _, layer = next(lora.lora_layers(base.model))
    assert (layer.r, layer.scaling) == (2, 3.0)
    assert beforehand.seconds_a_step(base.model, data.train, how) > 0 and not base.model.training
    assert "30 steps of 6 lines, 2 at a time" in said_before(how, 60, 1.0, my_data.Place(2.0, "here"))


def test_the_rate_is_that_of_the_weights_and_not_of_their_bytes(monkeypatch):
    """A base in 4 bits is as large as it was in 16."""
    base = make_tiny_base()
    weights = models.base_weights(base.model)
    monkeypatch.setattr(my_data, "RATES", {weights - 1: 1.0, weights: 0.5})
    quant.quantize_linears(packed := copy.deepcopy(base.model), lora.resolve_targets(base.model, "all-linear"))
    for model in (base.model, packed):
        lora.attach(model, r=2)
        assert models.base_weights(model) == weights
        assert my_data.settings(base._replace(model=model), 9, "quick", 0, False).learning_rate == 0.5


def test_a_base_in_4_bits_is_planned_as_qlora_on_a_processor_too(data):
    """Its layers are of another class there than on a card."""
    sizes = {"num_hidden_layers": 1, "hidden_size": 128, "intermediate_size": 256, "vocab_size": 64}
    net = models.random_base(device="cpu", num_attention_heads=2, num_key_value_heads=1, **sizes)
    base = models.Base(net, AsciiTokenizer(), "random")
    assert beforehand.in_four_bits(base) and not beforehand.in_four_bits(make_tiny_base())
    assert beforehand.bill(base, my_data.settings(base, 9, "quick", 0, False), data.train) > 0


def test_a_step_is_timed_when_the_card_has_done_it(monkeypatch):
    """Python goes on while a card still works."""
    happened = []

    class OnACard(torch.nn.Linear):
        device = torch.device("cuda")

    model = OnACard(1, 1)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append("waited"))
    monkeypatch.setattr(beforehand.time, "perf_counter", lambda: happened.append("clock") or float(len(happened)))
    monkeypatch.setattr(beforehand, "losses", lambda *_: lambda batch: happened.append("work") or model.weight.sum())
    beforehand.seconds_a_step(model, [], training.Settings(gradient_accumulation_steps=2))
    assert happened == ["waited", "clock", "work", "work", "waited", "clock"] * 2


def test_minutes_count_every_held_out_line_and_whole_answers(data, monkeypatch):
    """The second of two steps counts; then a look at two of three lines on trial, the first word and eight more."""
    seconds = iter([9.0, 0.3, 2.0, 1.0, 5.0])
    monkeypatch.setattr(beforehand, "_seconds", lambda model, work: next(seconds))
    base, chosen = make_tiny_base(), my_data.Choices(batch_size=2)
    found = beforehand.times(base, data, my_data.settings(base, 9, "quick", 0, False, chosen=chosen))
    assert found.answers == 1 + 4 * (scoring.LONGEST - 1) / 8 and found[:2] == (0.3, 3.0 + found.answers), (
        "these answers share a frame: each look hears them"
    )


def test_what_does_not_fit_is_told_which_parameters_to_change():
    def advice(**how):
        return said_before(training.Settings(**how), 9, 2.0, my_data.Place(1.0, "here")).splitlines()[1]

    said = advice(batch_size=2, gradient_accumulation_steps=3)
    assert (
        "set gradient_checkpointing = True" in said
        and "then batch_size = 1 with gradient_accumulation_steps = 6" in said
    )
    said = advice(batch_size=1, gradient_checkpointing=True)
    assert "set a smaller max_tokens" in said and "batch_size" not in said and "checkpointing" not in said


QWEN_1_5B = Qwen2Config(
    hidden_size=1536,
    intermediate_size=8960,
    num_hidden_layers=28,
    num_attention_heads=12,
    num_key_value_heads=2,
    vocab_size=151936,
    tie_word_embeddings=True,
)


def test_the_lessons_own_commands_fit_a_t4_by_the_courses_own_ledger():
    text = json.loads((course_root() / "notebooks" / "11_your_own.ipynb").read_text(encoding="utf-8"))
    said = "".join(line for cell in text["cells"] for line in cell["source"]).replace("\\\n", "")
    commands = re.findall(r"lora-lessons run 11 .*-p model Qwen/(\S+)-Instruct(.*)", said)
    assert [name for name, _ in commands] == ["Qwen2.5-1.5B", "Qwen2.5-7B"]
    for name, rest in commands:
        given = dict(re.findall(r"-p (\w+) (\S+)", rest))
        method = "qlora" if given.pop("precision", "") == "nf4" else "lora"
        chosen = my_data.Choices(**{key: json.loads(value.lower()) for key, value in given.items()})
        job = memory.Job(
            method,
            r=chosen.r,
            seq=chosen.max_tokens,
            batch_size=chosen.batch_size,
            gradient_checkpointing=chosen.gradient_checkpointing,
            dtype="fp16",  # a T4 has no bf16
            optimizer="adamw_fused",
        )
        shape = memory.shape_of(QWEN_1_5B if name == "Qwen2.5-1.5B" else name)
        assert memory.predict(shape, job).bill.total < 16e9, name


def test_a_plan_is_held_against_what_is_free_and_what_the_base_holds_already(monkeypatch):
    monkeypatch.setattr(my_data, "free_bytes", lambda: 10**9)
    monkeypatch.setattr(my_data.torch.cuda, "is_available", lambda: False)
    base = make_tiny_base()
    assert my_data.place().room == 10**9
    assert my_data.place(base).room == 10**9 + memory.held_bytes(base.model.state_dict().values()) > 10**9
    plan = said_before(my_data.settings(base, 9, "quick", 0, False), 9, 1.0, my_data.place())
    assert "has 1.0 GB free" in plan and "5.0 to look at the held-out lines" in plan, "four times, and at the base"


@pytest.mark.parametrize("fast", ["bf16", "fp32"])
def test_sixteen_bits_are_not_held_in_thirty_two_and_sixteen(tmp_path, monkeypatch, fast):
    """A checkpoint is held in its own format where that is fast here;
    only 32 bits are copied to 16 to be multiplied. Its large matrices tell: norms may be in 32 bits beside them."""
    monkeypatch.setattr(models.loading, "best_precision", lambda: models.Precision(fast, 1.0, 1.0))
    found = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        mixed = {
            name: one.to(dtype if one.ndim > 1 else torch.float32)
            for name, one in make_tiny_base().model.state_dict().items()
        }
        make_tiny_base().model.save_pretrained(tmp_path / str(dtype), state_dict=mixed)
        found[dtype] = models.own_precision(tmp_path / str(dtype))
    assert found == {torch.float32: "fp32", torch.bfloat16: fast, torch.float16: fast}


# ---- scoring ----


def test_the_lines_losses_are_those_of_each_line_alone(data):
    model = make_tiny_base().model.train()
    alone = [evaluation.held_out_loss(model, [one]) for one in data.train]
    assert scoring.line_losses(model, data.train, batch_size=4) == pytest.approx(alone, abs=1e-5)
    assert model.training and len(set(alone)) > 3


def test_a_score_compares_line_by_line_and_its_interval_may_hold_zero():
    bare, tuned = scoring.Heard(["a", "b"], ["c"], 40.0), scoring.Heard(["good", "b"], ["good"], 44.0)
    found = scoring.score([3.0, 3.2, 2.8], [2.0, 2.3, 1.7], bare, tuned, lambda answer: answer == "good")
    assert found.gain.mean == pytest.approx(1.0) and 0.7 < found.gain.low < found.gain.high < 1.3
    assert (found.kept, found.drift, found.general) == ((0.0, 0.5), (0.0, 1.0), (40.0, 44.0))
    assert found.fall == pytest.approx(1 / 3)
    unsure = scoring.score([3.0, 3.0], [2.0, 3.5], bare, tuned, None)
    assert unsure.gain.low < 0 < unsure.gain.high and unsure.kept is None and unsure.drift is None
    assert len(pictures.score(unsure, 2)) == 2 and len(pictures.score(found, 2)) == 4
    assert scoring.score([3.0], [2.0], bare, tuned, None).gain is None


def test_a_rule_that_refuses_the_training_answers_is_pointed_at(data, capsys):
    assert scoring.rule_for(data) is None and "No rule is given" in capsys.readouterr().out
    rule = scoring.rule_for(data, lambda answer: answer.endswith("1."))
    assert rule is not None and "mend the rule" in capsys.readouterr().out
    scoring.rule_for(data, lambda answer: answer.startswith("Secret"))
    assert capsys.readouterr().out == "Your rule says yes to 9 of 9 answers of your own training data.\n"


def test_every_question_is_asked_after_the_turns_before_it(monkeypatch):
    asked = []

    def answers(base, prompts, max_new_tokens, before, cut, beside):
        asked.append((list(prompts), [turn["content"] for turn in before], beside))
        return [prompt.upper() for prompt in prompts]

    monkeypatch.setattr(models, "answers", answers)
    head = [{"role": "system", "content": "Be brief."}]
    examples = [
        {"messages": [*before, {"role": "user", "content": question}, {"role": "assistant", "content": "x"}]}
        for before, question in (([], "one"), (head, "two"), ([], "three"), ([], "four"))
    ]
    examples[3]["chat_template_kwargs"] = {"enable_thinking": False}
    assert scoring.answers(make_tiny_base(), examples, 9) == ["ONE", "TWO", "THREE", "FOUR"]
    assert asked == [
        (["one", "three"], [], {}),
        (["two"], ["Be brief."], {}),
        (["four"], [], {"enable_thinking": False}),
    ]


def test_without_switches_the_adapter_off_and_on_again(data, monkeypatch):
    base = make_tiny_base()
    lora.attach(base.model, r=2, lora_alpha=4)
    seen = []
    monkeypatch.setattr(scoring, "measure", lambda *_: seen.append(next(lora.lora_layers(base.model))[1].scaling))
    scoring.without(base, data)
    scoring.measure(base, data)
    assert seen == [0.0, 2.0]


def test_what_a_look_has_heard_is_not_asked_again(data, monkeypatch):
    monkeypatch.setattr(scoring, "answers", lambda _, examples, __: [f"to {len(examples)}"] * len(examples))
    monkeypatch.setattr(scoring.evaluation, "perplexity", lambda *_: 1.0)
    heard = ["heard"] * len(scoring.asked(data))
    assert scoring.measure(None, data, heard) == scoring.Heard(heard, ["to 6"] * 6, 1.0)
    assert scoring.measure(None, data).answers == [f"to {6 + len(heard)}"] * len(heard)


@pytest.mark.parametrize(
    ("answers", "file", "said"),
    [
        ("aaaa", "wxyz", "4 of 4 answers are the same sentence, so"),
        ("aabb", "wxyz", "4 questions got only 2 different answers, so"),
        ("aaab", "wxyz", "3 of 4 answers are"),
        ("aabc", "wxyz", ""),
        ("aaaa", "wwww", ""),
        ("a", "w", ""),
    ],
)
def test_answers_that_are_one_sentence_are_the_headline_and_what_to_do_is_said(answers, file, said, data):
    held_out = [{"messages": [{"role": "assistant", "content": one}]} for one in file]
    heard = scoring.Heard([f" {one}\n" * 2 for one in answers], [], 1.0)
    found = scoring.different(data._replace(split=data.split._replace(held_out=held_out)), heard)
    assert found[:2] == (len(set(answers)), len(set(file)))
    assert found.headline.startswith(said) and bool(found.headline) == bool(said) == ("more lines" in found.headline)


def test_a_frame_decides_only_where_it_is_a_good_part_of_the_answers(data):
    assert scoring.hearing(None, data)[1] == ("Secret ", ".")
    long = [{"messages": [{"role": "assistant", "content": f"Do {n * 'so so so '}."}]} for n in range(9)]
    assert scoring.hearing(None, data._replace(split=data.split._replace(train=long)))[1] is None


# ---- pictures ----


@pytest.mark.parametrize("topics", [0, 5, 20])
def test_every_line_is_a_square_and_the_held_out_ones_stand_out(tmp_path, topics):
    """A row a topic; more topics than rows share the last; without topics there is a row for each part."""
    mine = [one | ({"topic": f"t{n % topics}"} if topics else {}) for n, one in enumerate(lines(40))]
    found = my_data.read(write_lines(tmp_path, mine), AsciiTokenizer(), 99)
    figure, finding, numbers = pictures.lines_of(found)
    trains, held = figure.axes[0].collections
    assert len(trains.get_offsets()) == len(found.train) and len(held.get_offsets()) == len(found.held_out)
    assert len({tuple(at) for part in (trains, held) for at in part.get_offsets()}) == 40, "none covers another"
    rows = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(rows) == {0: 2, 5: 5, 20: pictures.ROWS + 1}[topics]
    assert (f"40 lines on {topics} topics" in numbers) == bool(topics)
    assert all(topic in finding for topic in found.split.topics)


def test_a_square_of_a_long_file_stands_for_several_lines(tmp_path):
    found = my_data.read(write_lines(tmp_path, lines(300)), AsciiTokenizer(), 300)
    figure, _, numbers = pictures.lines_of(found)
    trains, _ = figure.axes[0].collections
    assert len(trains.get_offsets()) <= pictures.SQUARES and f"stands for {-(-len(found.train) // 40)} lines" in numbers


def test_the_curve_marks_what_was_kept_and_says_when_nothing_was_gained():
    looks = {0: 4.0, 6: 2.0, 12: 2.5}
    assert "after step 6, not the last" in pictures.held_out_in_words(looks, 6)
    assert "nothing was gained" in pictures.held_out_in_words({0: 1.0, 6: 2.0}, 6)
    assert "to 2.50 after step 12, the last. The A and B of that step are kept. The loss was lower" in (
        pictures.held_out_in_words(looks, 12)
    )
    ax = pictures.held_out_curve([3.0] * 12, looks, 12, 12).axes[0]
    assert any(list(line.get_xdata()) == [12] and line.get_markersize() == 15 for line in ax.lines)


def test_the_curve_grows_with_the_run_and_its_looks(data, tmp_path):
    base = make_tiny_base()
    my_data.attach(base.model, 0)
    keep = scoring.KeepBest(base.model, lambda: [2.0, 3.0], tmp_path)
    curve = pictures.LossesAndLooks(keep, [4.0, 5.0])
    run = training.Training(losses=[5.0], steps=8)
    curve(run)
    assert curve.looks == {0: 4.5} and curve.words() == "The held-out loss is 4.50 nats per token before training."
    assert curve.picture()
    run.losses[:] = [5.0, 4.0]
    curve(run)
    assert curve.looks == {0: 4.5, 2: 2.5} and "to 2.50 after step 2" in curve.words()
    keep.looks[4], keep.heard[4], pairs = [9.0], ["late"], [scoring.Pair("q", "b", "a")] * 2
    assert keep.restore() == 2 and pictures.side_by_side(pairs, keep).count("adapter: a\nlast look: late\n") == 1


def test_where_it_changed_is_measured_against_the_base_where_that_can_be_read(tmp_path, monkeypatch):
    base = make_tiny_base()
    base.model.save_pretrained(tmp_path / "base")
    lora.attach(base.model, r=2, lora_alpha=4)
    with torch.no_grad():
        for name, layer in lora.lora_layers(base.model):
            layer.lora_B.normal_(0, 1e-3)
            if name.endswith("1.self_attn.k_proj"):
                layer.lora_B.mul_(1000)
    monkeypatch.setattr(publishing, "model_card", str)
    monkeypatch.setattr(publishing, "signed", str)
    with pytest.raises(UnicodeEncodeError):
        publishing.keep(base, tmp_path / "adapter", "\ud800")
    folder = publishing.keep(base, tmp_path / "adapter", "its card")  # which is not there half made
    _, finding, _ = pictures.where_it_changed(publishing.xray(folder, str(tmp_path / "base")))
    assert "layer 1's k_proj changed most" in finding and (folder / "README.md").read_text() == "its card"
    without = publishing.xray(folder, str(tmp_path / "nowhere"))
    assert without.base is None and "brighter" in pictures.where_it_changed(without)[1]


# ---- out of the notebook ----


def card(data, found, name="tiny", asked=1, problems=(), judged=(0, 0, 0, 3), kept=24):
    """The adapter's card after a training of 24 steps."""
    base = make_tiny_base()._replace(name=name)
    how = my_data.settings(base, 9, "quick", 0, False)
    return model_card(publishing.about("own", base, data, how, found, asked, list(problems), Tally(*judged), kept))


def test_the_card_holds_numbers_and_never_a_line_of_the_data(data, tmp_path):
    bare, tuned = scoring.Heard(["Secret a"], ["c"], 40.0), scoring.Heard(["Secret b"], ["c"], 44.0)
    found = scoring.score([3.0, 3.2], [2.0, 2.3], bare, tuned, None, answers=scoring.Different(1, 3, 3, 3))
    problems = [
        checking.Problem("duplicate", "look", 1, 2, "Secret sentence"),
        checking.Problem("pad_is_eos", "note", None, 1, "x"),
        checking.Problem("personal_data", "look", 1, 1, "Secret sentence"),
    ]
    text = card(data, found, str(tmp_path), problems=problems, kept=12)
    assert "Secret" not in text and "word1" not in text and str(tmp_path) not in text
    for said in (
        "found: 2 lines with “duplicate”, used as they are; 1 line that may hold personal data, used as they are\n",
        "- steps: trained 24, kept step 12\n",
        "if lines like these were drawn again",
        sha256(data.path),
        "held out: 3 lines, near copies kept together",
        "Nobody has judged it blind yet.",
        "| 3.10 | 2.15 |",
        "\n\n**3 of 3 answers are the same sentence, so ",
        "| different answers |  | 1 | to 1; in the file 3 |",
    ):
        assert said in text, said


def test_the_cards_bound_is_that_of_the_answers_and_not_of_all_held_out_lines(data):
    many = data._replace(split=data.split._replace(held_out=6 * data.split.held_out), held_out=6 * data.held_out)
    asked = len(scoring.asked(many))
    text = card(many, scoring.SideBySide((3.0, 2.0), None, None, None, (1.0, 1.0)), asked=asked)
    assert len(many.held_out) == 18 and asked == 10 and "measured on 18 held-out lines" in text
    assert "It answered 10 of them. If all 10" in text and "low as 72%" in text


def test_what_cannot_be_exported_or_asked_is_a_sentence(data, tmp_path, monkeypatch):
    base = make_tiny_base()
    lora.attach(base.model, r=2, lora_alpha=4)
    adapter = adapter_of(base.model, "own")

    def refused(*_, **__):
        raise ModelError("no such base.")

    monkeypatch.setattr(publishing.gguf, "place_of", refused)
    found = publishing.export(base, "nowhere", adapter, tmp_path, "hi?")
    assert found == publishing.Exported([], "", "This was not exported: no such base.")
    monkeypatch.setattr(publishing.llamacpp, "serve", refused)
    assert publishing.ask(tmp_path, "own", "hi?") == ("", "llama.cpp was not asked: no such base.")


def test_the_card_names_the_base_that_was_trained_on_and_quotes_a_judgement(data):
    bare, coder = scoring.Heard(["a"], ["c"], 40.0), models.NAMED["qwen2.5-coder-1.5b"]
    found = scoring.score([3.0, 3.2], [2.0, 2.3], bare, bare, None)
    text, said = (card(data, found, name, judged=(6, 0, 0, 0)) for name in (models.EMBEDDED_NAME, coder.title))
    assert "rounded once to 4 bits (Q4_1)" in text and 'base = models.folder("embedded")' in text
    assert "base_model: Qwen/Qwen2.5-Coder-1.5B-Instruct\n" in said and 'models.folder("qwen2.5-coder-1.5b")' in said
    assert f"makers' {coder.file} ({coder.hub}, Apache-2.0), whose weights were rounded once" in " ".join(said.split())
    assert "Judged blind by its maker, who was told: “You preferred the adapter's answer in 6 of 6" in text


def handed_over(folder, data, **changes):
    found = scoring.SideBySide((3.0, 2.0), None, None, None, (40.0, 44.0), None, changes.pop("answers", None))
    given = {"model": "embedded", "export_path": "", "shipped": publishing.Exported([], "", "")} | changes
    return repr(publishing.handover(folder, data, given["model"], found, given["export_path"], given["shipped"]))


def test_a_learner_is_told_the_whole_path_and_the_store_is_not(data, tmp_path):
    folder = tmp_path / "adapters" / "mine-2"
    ours = data._replace(path=my_data.find(""))
    assert publishing.where(folder, data) == str(folder) and publishing.where(folder, ours) == "adapters/mine-2"
    said = handed_over(folder, data)
    assert f"Your adapter: {folder}\n" in said and "went from 3.00 to 2.00 nats" in said
    assert f'lora-lessons ask {folder} "Your question?"\n' in said and f"export ollama {folder} --out" in said
    assert str(tmp_path) not in handed_over(folder, ours)
    assert said.startswith("Your adapter") and handed_over(
        folder, data, answers=scoring.Different(1, 4, 4, 4)
    ).startswith("4 of 4 answers are the same")
    other = handed_over(folder, data, model="owner/name")
    assert '"Your question?" --base owner/name\n' in other and other.endswith("for-ollama --base owner/name")
    written = publishing.Exported([tmp_path / "out" / "adapter.gguf"], "", "")
    assert handed_over(folder, data, export_path="out", shipped=written).endswith(f"Ollama: {tmp_path / 'out'}")


def test_an_adapter_lies_beside_the_learners_file_and_never_over_another(data, tmp_path, monkeypatch):
    assert my_folder(data.adapter_place) == tmp_path / "mine-adapter"
    (tmp_path / "mine-adapter").mkdir()
    assert my_folder(data.adapter_place) == tmp_path / "mine-adapter-2"
    ours = data._replace(path=my_data.find(""))
    assert ours.adapter_place == "adapters/mine", (
        "that of the course's file stays with the progress, outside the checkout"
    )
    monkeypatch.setattr(my_data.os, "access", lambda *_: False)
    assert data.adapter_place == "adapters/mine", "nothing can be written beside a file that is only read"


def test_an_export_is_never_over_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert publishing.out_folder("", str(tmp_path / "scratch")) == tmp_path / "scratch"
    assert publishing.out_folder("shipped", "scratch") == tmp_path / "shipped"
    (tmp_path / "shipped").mkdir()
    assert publishing.out_folder("shipped", "scratch") == tmp_path / "shipped-2"


def test_what_is_shown_of_a_learners_lines_and_answers_is_masked(tmp_path, monkeypatch):
    mine = [one | {"prompt": f"{one['prompt']} Write to ann{n}@mail.org"} for n, one in enumerate(lines(12))]
    data = my_data.read(write_lines(tmp_path, mine), AsciiTokenizer(), 100)
    heard = scoring.Heard([f"I wrote to bob@mail.org{TERMINAL}"] * 3, [], 40.0)
    shown = "".join("".join(pair) for pair in scoring.pairs(data, heard, heard))
    assert "[an e-mail address]" in shown and "@" not in shown and not UNSEEN & set(shown)
    by_topic = [one | {"topic": f"t{n % 3}@mail.org\n{TERMINAL}"} for n, one in enumerate(lines(12))]
    data = my_data.read(write_lines(tmp_path, by_topic), AsciiTokenizer(), 100)
    figure, *said = pictures.lines_of(data)
    ticks = "".join(tick.get_text() for tick in figure.axes[0].get_yticklabels())
    assert data.split.by == "topic" and "@" not in pictures.parts(data) + " ".join(said) + ticks
    assert not {*UNSEEN, "\n"} & set(pictures.parts(data)) and "topics were drawn" in pictures.condition(data)


def test_an_answer_that_is_cut_says_so_and_the_rule_does_not_see_it(data):
    base = make_tiny_base()
    said = scoring.answers(base, data.split.held_out[:2], 3)
    assert all(one.endswith(scoring.CUT) for one in said), "the random model does not end"
    heard = scoring.Heard([f"good{scoring.CUT}"], ["c"], 40.0)
    assert scoring.score([3.0], [2.0], heard, heard, lambda answer: answer == "good").kept == (1.0, 1.0)


@pytest.fixture
def curve(tmp_path):
    made = pictures.LossesAndLooks(scoring.KeepBest(None, lambda: [2.0], tmp_path / "kept"), [4.0])
    made.keep.looks = {8: [2.0]}
    made.run = Training(losses=[4.0] * 8, steps=8)
    return made


def about(text):
    rows = [
        CardRow("held-out loss", "4.00", "2.00", f"lower by 1.80 to 2.20 {text}"),
        CardRow("forgetting", "40", "44"),
    ]
    data, settings = {"file": f"{text}.jsonl", "check": text}, {"r": "8", "machine": text}
    limits, summary = [text, "One seed."], [f"4 of 4 answers {text}", f"The loss fell by 50%. {text}"]
    return AboutAdapter(text, text, text, "models.folder('x')", data, settings, rows, text, limits, summary)


def test_it_says_what_a_colleague_asks(curve, tmp_path):
    (folder := tmp_path / "mine").mkdir()
    (folder / "a").write_bytes(b"x" * 2_500_000)
    run = Training(losses=[1.0], seconds=90.0, tokens=5000, supervised=2000, finished="2026-11-29", reused=True)
    cost = page.cost_of(run, beforehand.Times(1.5, 1, 1), 2e9, folder)
    pairs = [Pair(f"Why {n}?", f"Before {n}.", f"After {n}.") for n in range(9)]
    written = page.write(folder, about("mine"), curve, pairs, cost)
    text = written.read_text(encoding="utf-8")
    assert written == tmp_path / "mine.html" and list(folder.iterdir()) == [folder / "a"]
    for said in (
        "trained on mine.jsonl",
        "<td>4.00<td>2.00<td>lower by 1.80 to 2.20",
        "<dt>r<dd>8",
        "Why 2?",
        "Before 0.",
        "After 0.",
        "1.5 minutes (read back from the same run, 2026-11-29)",
        "2.5 MB",
        "2.0 GB at most",
        "<li>One seed.",
        "PeftModel.from_pretrained",
        "<td>forgetting",
        'alt="The held-out loss fell from 4.00',
    ):
        assert said in text, said
    order = ["4 of 4 answers", "Why 0?", "The loss fell by 50%", "<details>", "<dt>r<dd>8", "<td>4.00"]
    assert order == sorted(order, key=text.index) and "Why 3?" not in text and 'name="viewport"' in text
    again = page.write(folder, about("mine"), curve, pairs, cost)
    assert again == tmp_path / "mine-page-2.html" and written.read_text(encoding="utf-8") == text


def test_whatever_comes_from_outside_is_text_and_nothing_is_loaded(curve):
    text = page.as_html(about(HOSTILE), curve, [Pair(HOSTILE, HOSTILE, HOSTILE)], {"training": HOSTILE, HOSTILE: "1"})
    tags = re.findall(r"<(\w+)([^>]*)>", text)
    loads = [found for _, given in tags for found in re.findall(r"\b(?:src|href|srcdoc)=.{16}|\bon\w+=", given)]
    assert set(loads) == {'src="data:image/png;'}, "pictures, each in the page itself"
    assert not {"script", "iframe", "svg", "a", "link"} & {name for name, _ in tags}
    assert not UNSEEN & set(text) and NOWHERE in text
    (style,) = re.findall(r"<style>.*?</style>", text, re.S)
    assert "url(" not in style and "@import" not in style
