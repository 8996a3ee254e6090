"""`lora-lessons plan`: the bill, the verdict, and one sentence for a plan that cannot be."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading

import pytest
from tiny_configs import tiny

from lora_lessons import disk_cache, memory, models, paths, planning
from lora_tools import cli

PLAN = ["plan", "Llama-2-7B"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "Llama-9"], "I don't know a model called 'Llama-9': give a name such as Llama-3.1-8B"),
        (["plan", "/nowhere/at/all"], "I don't know a model called '/nowhere/at/all'"),
        (["plan", "a/b/c"], "I don't know a model called 'a/b/c'"),
        (["plan", "~nobody/at-all", "--gpu", "24"], "I don't know a model called '~nobody/at-all'"),
        (["plan", "Qwen3.5-4B"], "Unsloth publishes for Qwen3.5, LoRA in bf16"),
        (["plan", "Llama-4-Scout", "--gpu", "80"], "cannot be planned by its name: transformers' code of its router"),
        (["plan", "qwen2.5-7b-instrct"], "'qwen2.5-7b-instrct': did you mean Qwen2.5-7B"),
        ([*PLAN, "--gpu", "GTX 1"], "I don't know a card called 'GTX 1': choose from RTX 3060"),
        (
            [*PLAN, "--gpu", "2xT4"],
            "'2xT4' means several cards, and this plans one: say T4 where each holds the whole model",
        ),
        ([*PLAN, "--gpu", "24", "--method", "dora"], "method 'dora' is not known: choose one of full, lora, qlora"),
        ([*PLAN, "--r", "0"], "r = 0: give a whole number of at least 1"),
        ([*PLAN, "--r", "5000"], "r = 5000 does not fit a 4096×"),
        ([*PLAN, "--targets", "q_prj"], "no module is named 'q_prj'. Did you mean 'q_proj'"),
        ([*PLAN, "--targets", ","], "target_modules is empty"),
        (
            ["plan", "Qwen3-30B-A3B", "--targets", "up_proj"],
            "experts are stacked and no Linear layers: a plan with all",
        ),
        ([*PLAN, "--seq", "-1"], "seq = -1: give a whole number"),
        ([*PLAN, "--optimizer", "sgd"], "optimizer 'sgd' is not known"),
        ([*PLAN, "--cards", "many"], "'many' names no cards: give their number, an x"),
        ([*PLAN, "--cards", "2x24", "--gpu", "24"], "give one of the two"),
        ([*PLAN, "--gpu", "24", "--offload"], "name them with --cards, such as 2x24"),
        ([*PLAN, "--gpu", "24", "--fsdp", "1"], "--fsdp belong to a plan for several cards"),
        ([*PLAN, "--cards", "3x24", "--nodes", "2"], "3 cards do not spread evenly over 2 nodes"),
    ],
)
def test_a_plan_that_cannot_be_is_one_sentence(refused, words, sentence):
    refused(words, sentence)


ABSURD = {
    '{"model_type": "llama", "num_hidden_layers": 1000000000}': (
        "num_hidden_layers = 1,000,000,000, and no model has more"
    ),
    '{"model_type": "mixtral", "num_local_experts": 100000000}': "num_local_experts = 100,000,000",
    '{"model_type": "llama", "hidden_size": 1000000000000000000000000}': (
        "hidden_size = a number of more than 18 digits"
    ),
    '{"model_type": "llama", "vocab_size": -99999999999}': "vocab_size = -99,999,999,999",
    '{"model_type": "llama", "num_hidden_layers": 0}': (
        "num_hidden_layers = 0, and that is a whole number of at least 1"
    ),
    '{"model_type": "llama", "hidden_size": -64}': "hidden_size = -64, and that is a whole number",
    '{"model_type": "llama", "num_key_value_heads": 2.5}': "num_key_value_heads = 2.5, and",
    '{"model_type": "llama", "intermediate_size": Infinity}': "intermediate_size = inf, and",
    '{"model_type": "llama", "head_dim": true}': "head_dim = True, and",
    '{"model_type": "llama", "num_attention_heads": 2, "num_key_value_heads": 7}': (
        "num_key_value_heads = 7 of num_attention_heads = 2"
    ),
    '{"model_type": "llama", "head_dim": 10000000}': "head_dim = 10,000,000, and no model has more than 65,536",
    '{"model_type": "mistral", "sliding_window": -1}': "sliding_window = -1, and that is a whole number of at least 0",
    '{"model_type": "llama", "rope_parameters": {"rope_theta": NaN}}': "rope_theta = NaN, which is no number",
    '{"model_type": "llama", "quantization_config": 5}': "quantization_config = 5, and no settings by name",
    '{"model_type": "llama", "hidden_size": null}': "cannot read this llama config",
    '{"model_type": "llama", "num_attention_heads": 0}': "config",
    '{"model_type": "llama", "num_hidden_layers": null}': "config",
    '{"model_type": "llama", "vocab_size": "many"}': "cannot read this llama config",
    '{"model_type": "qwen2", "num_hidden_layers": 2, "layer_types": ["full_attention"]}': "qwen2",
    '{"model_type": ["llama"]}': "it names no model_type",
    "[]": "it names no model_type",
    "[" * 100_000: "could not be read",
    "\xff\xfe{": "could not be read",  # in these bytes, no text
}


@pytest.mark.parametrize(("config", "sentence"), ABSURD.items(), ids=range(len(ABSURD)))
def test_a_config_with_sizes_that_no_model_has_is_one_sentence(tmp_path, refused, config, sentence):
    (tmp_path / "config.json").write_bytes(config.encode("latin-1"))
    refused(["plan", str(tmp_path), "--gpu", "24"], sentence)


def test_plan_prints_the_bill_and_what_to_change(capsys):
    plain = memory.Job("qlora", 16, seq=4096, gradient_checkpointing=False)
    job = planning.usual(memory.shape_of("Qwen2.5-7B"), plain)
    made = planning.plan("Qwen2.5-7B", job, planning.card_bytes("RTX 4090"))
    words = ["plan", "Qwen2.5-7B", "--card", "4090", "--max_length", "4096", "--no_gradient_checkpointing"]
    words += ["--method", "lora", "--load_in_4bit"]  # what transformers calls it counts
    assert cli.main(words) == cli.EXIT_NO
    said = capsys.readouterr().out
    sizes = planning.by_trainer(memory.shape_of("Qwen2.5-7B"), plain)
    assert (
        planning.bill_table(made.ledger) in said
        and planning.verdict(made, "RTX 4090", sizes) in said
        and "Assumed" in said
    )
    assert said.startswith("No, ") and "Change first: checkpointing" in said

    assert cli.main([*words, "--json"]) == cli.EXIT_NO
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False and found["card"] == "RTX 4090" and found["longest"] == made.longest
    assert found["bill"]["total"] == round(made.ledger.bill.total) and found["moment"] == made.ledger.moment
    assert found["change_first"][0]["job"]["gradient_checkpointing"] is True
    assert memory.Job(**found["job"]) == job


@pytest.mark.parametrize(
    ("how", "trained"),
    [
        ([], 41_943_040),
        (["--targets", "q_proj,v_proj", "--r", "8"], 3_407_872),
        (["--lora_target", "all", "--lora_rank", "8", "--cutoff_len", "512"], 20_971_520),
        (["--method", "full"], 8_030_261_248),
    ],
    ids=["all-linear", "two", "llama-factory", "full"],
)
def test_plan_counts_the_parameters_as_peft_and_transformers_do(capsys, how, trained):
    for room in (["--gpu", "16"], ["--cards", "2x24"]):
        if room[0] == "--cards" and how:
            continue
        cli.main(["plan", "Llama-3.1-8B", *room, *how, "--json"])
        assert json.loads(capsys.readouterr().out)["parameters"] == {"model": 8_030_261_248, "trained": trained}
    cli.main(["plan", "Llama-3.1-8B", "--gpu", "16", *how])
    said = capsys.readouterr().out
    assert f"Trained: {'all ' * (how[-1:] == ['full'])}{trained:,} parameters" in said and "8,030,261,248" in said


def test_a_fused_loss_is_that_of_a_trainer_and_a_plan_that_names_none_has_all(capsys):
    for words, recipe, others in (
        ([], "trl", 4),
        (["--recipe", "course"], "course", 0),
        (["--loss", "liger"], "trl", 0),
        (["--task", "dpo"], "hf", 0),
    ):
        cli.main([*PLAN, "--gpu", "24", *words, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["job"]["recipe"] == recipe and len(found["by_trainer"]) == others
    cli.main([*PLAN, "--gpu", "24"])
    assert "By trainer: Unsloth (" in capsys.readouterr().out


def test_plan_without_a_card_names_those_that_would_do(monkeypatch, capsys):
    monkeypatch.setattr(models, "card", lambda: None)
    assert cli.main([*PLAN, "--method", "lora", "--targets", "q_proj, v_proj"]) == 0
    said = capsys.readouterr().out
    assert "It would fit on: L4, RTX 3090" in said and "T4," not in said
    monkeypatch.setattr(models, "card", lambda: ("NVIDIA Test Card", 30e9))
    assert cli.main(PLAN) == 0
    assert re.match(
        r"Yes, it fits: [\d.]+ of 30.0 GB \(the NVIDIA Test Card\)\.\n",
        capsys.readouterr().out,
    )


def test_a_name_in_another_spelling_and_a_card_of_two_sizes_are_understood(capsys):
    assert cli.main(["plan", "llama 2 7b", "--gpu", "3080"]) == 0
    said = capsys.readouterr().out
    assert "\nLlama-2-7B: QLoRA" in said and "comes with 10 or 12 GB" in said and "cannot write the result" not in said


def test_what_a_card_without_bf16_computes_in_is_said(capsys):
    for words, lacks in (
        (["--gpu", "T4", "--recipe", "hf"], True),
        (["--cards", "2xT4"], True),
        (["--gpu", "L4", "--recipe", "hf"], False),
        (["--gpu", "T4", "--recipe", "course"], False),
        (["--cards", "2xL4"], False),
    ):
        assert cli.main([*PLAN, *words]) == 0
        said = capsys.readouterr().out
        assert (" no bf16" in said) == ("bf16" in said) == lacks, words
    for recipe in ("hf", "course"):
        assert cli.main([*PLAN, "--gpu", "T4", "--recipe", recipe, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["job"]["dtype"] == "fp16"


def test_what_no_export_writes_is_said_before_it_is_trained(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(tiny("gemma2").to_dict(), default=str))
    for words in (["--gpu", "24"], ["--cards", "2x24"], ["--gpu", "24", "--json"]):
        assert cli.main(["plan", str(tmp_path), "--r", "2", *words]) == 0
        assert "a gemma2 is not exported" in capsys.readouterr().out


def test_a_hub_that_does_not_answer_is_said_before_anything_slow(monkeypatch, capsys):
    """A name that no server resolves keeps its look-up for half a minute, and no library's timeout ends that."""
    waits, waited_for = threading.Event(), []
    monkeypatch.setattr("lora_lessons.models.hub.PATIENCE", 0.05)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: waits.wait(20) or waited_for.append(True) or [])
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: pytest.fail("it asked again"))
    monkeypatch.setattr("lora_lessons.memory.shape_of", lambda _: pytest.fail("something slow came first"))
    try:
        assert cli.main(["plan", "owner/name", "--gpu", "24"]) == cli.EXIT_FAILED
    finally:
        waits.set()
    said = capsys.readouterr().err
    assert "does not answer" in said and said.count("\n") == 1 and not waited_for


def test_an_answer_is_kept_until_its_words_change(monkeypatch, tmp_path, capsys):
    given = []
    monkeypatch.setattr(
        sys.modules["lora_tools.cli.plan"],
        "_answer",
        lambda *_: given.append("anew") or {"answer": f"answer {len(given)}", "status": cli.EXIT_OK},
    )
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    for name in ("lora_lessons", "lora_tools"):
        there = paths.package().with_name(name)
        shutil.copytree(there, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__", "lessons"))
    package = tmp_path / "copy" / "lora_lessons"
    monkeypatch.setattr(paths, "package", lambda: package)

    def answer():
        disk_cache._made_by.cache_clear()  # as another process reads it
        assert cli.main([*PLAN, "--gpu", "24"]) == 0
        return capsys.readouterr().out

    try:
        assert answer() == answer() == "answer 1\n"
        for said_in in (
            "lora_tools/cli/plan.py",
            "lora_tools/exporting/gguf/names.py",
            "lora_lessons/planning/fit.py",
            "lora_lessons/planning/cards.py",
            "lora_lessons/fast/path.py",
            "lora_lessons/models/shapes.toml",
        ):
            before = answer()
            (package.parent / said_in).write_text("# other words\n", encoding="utf-8")
            assert answer() != before, said_in
    finally:
        disk_cache._made_by.cache_clear()


def test_a_plan_for_several_cards_says_what_each_and_the_computer_hold(capsys):
    job = memory.Job("qlora", 16, seq=256, recipe="trl")
    made = planning.shard("Llama-2-7B", job, planning.cluster_of("2x24", offload=True))
    words = [*PLAN, "--cards", "2x24", "--offload", "--seq", "256"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert planning.sharded_table(made) in said and planning.sharded_verdict(made) in said and "on each card" in said
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["card"]["total"] == round(made.card.total) and found["host"]["peak"] == round(made.host.peak)
    assert found["fits"] is True and (found["cards"], found["nodes"], found["offload"]) == (2, 1, True)


def test_a_plan_that_does_not_fit_on_several_cards_ends_with_1(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(tiny("llama").to_dict(), default=str))
    for cards, status in (("2x24", cli.EXIT_OK), ("2x0.5", cli.EXIT_NO)):
        assert cli.main(["plan", str(tmp_path), "--r", "2", "--cards", cards]) == status
        assert capsys.readouterr().out.startswith("Yes, " if status == cli.EXIT_OK else "No, ")
