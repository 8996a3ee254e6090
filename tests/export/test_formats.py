"""Formats by the real tools: environments made whole or not at all, workers, rows; and GPTQ, AWQ and HQQ for real on a tiny model."""

import json
import platform
import shlex
import subprocess
import sys
import zipfile

import pytest
import torch
from packaging.requirements import Requirement
from torch import nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lora_lessons import cli, evaluation, lora, models, tasks
from lora_lessons.adapter import save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.export import environments, format_table, formats


def tiny(vocabulary):
    """A random two-layer Llama whose rows are whole groups of 64."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=vocabulary, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        )
    )  # fmt: skip


# ---- environments


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the only index there is, a cache of our own, and a writer of packages for it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "LORA_LESSONS_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def publish(name, version):
        about = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"__version__ = {version!r}\n")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")

    return publish


def want(monkeypatch, *packages, disk=1000):
    monkeypatch.setattr(environments, "ENVIRONMENTS", {"small": environments.Environment(packages, 1000, disk)})


def inside(python, code):
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environments.variables(), cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_package_is_pinned_exactly_and_torch_comes_from_below():
    for wanted in environments.ENVIRONMENTS.values():
        pins = [Requirement(package) for package in wanted.packages]
        assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins)
        assert not {pin.name for pin in pins} & {"torch", "triton", "numpy"}
        assert set(wanted.sources) <= {pin.name for pin in pins}


def test_an_environment_has_its_own_versions_then_the_courses_and_nothing_of_ours(index, monkeypatch, capsys):
    index("tqdm", "99.0")  # the course has another
    want(monkeypatch, "tqdm==99.0")
    python = environments.python("small")
    assert inside(python, "import tqdm; print(tqdm.__version__)") == "99.0"
    spec = "import importlib.util as u; print(u.find_spec('{}') is not None)"
    assert inside(python, spec.format("torch")) == "True"
    assert inside(python, spec.format("lora_lessons")) == "False"
    assert "fetch" in capsys.readouterr().err


def test_a_complete_environment_is_reused_and_other_pins_make_it_anew(index, monkeypatch, capsys):
    index("one", "1.0"), index("one", "2.0")
    want(monkeypatch, "one==1.0")
    environments.python("small")
    capsys.readouterr()
    environments.python("small")
    assert capsys.readouterr().err == ""
    want(monkeypatch, "one==2.0")
    assert not environments.ready("small")
    assert inside(environments.python("small"), "import one; print(one.__version__)") == "2.0"


def test_a_failed_install_leaves_nothing_and_says_what_to_do(index, monkeypatch):
    want(monkeypatch, "absent==1.0")
    with pytest.raises(ModelError, match=r"absent==1\.0.*Is there a network\?"):
        environments.python("small")
    assert not environments.folder("small").exists()


def test_a_stopped_install_leaves_nothing(index, monkeypatch):
    index("one", "1.0")
    want(monkeypatch, "one==1.0")
    real = environments._run

    def stopped(command, what):
        if "pip" in what:
            assert environments.folder("small").exists()
            raise KeyboardInterrupt
        real(command, what)

    monkeypatch.setattr(environments, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        environments.python("small")
    assert not environments.folder("small").exists()


def test_what_a_killed_install_left_is_made_again(index, monkeypatch):
    index("one", "1.0")
    want(monkeypatch, "one==1.0")
    environments.folder("small").mkdir(parents=True)
    (environments.folder("small") / "half").touch()
    assert not environments.ready("small")
    assert inside(environments.python("small"), "import one; print(one.__version__)") == "1.0"
    assert not (environments.folder("small") / "half").exists()


def test_too_little_disk_is_said_before_anything_is_fetched(index, monkeypatch):
    want(monkeypatch, "one==1.0", disk=10**18)
    with pytest.raises(ModelError, match="MB is free: make room"):
        environments.python("small")


def test_an_unknown_environment_is_refused():
    with pytest.raises(ValueError, match="choose from gptq-awq, hqq"):
        environments.folder("nothing")


# ---- workers


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A function that makes `code` the worker of the format "gguf-f16" (which runs in the course's environment)."""

    def put(code):
        monkeypatch.setattr(formats, "WORKERS", tmp_path)
        (tmp_path / "llama_worker.py").write_text(f"import json, os, sys\njob = json.load(open(sys.argv[1]))\n{code}\n")

    return put


def test_a_worker_is_handed_the_job_shows_progress_and_answers(worker, capsys):
    worker("print('progress: half way'); print('noise'); json.dump({'twice': 2 * job['n']}, open(job['answer'], 'w'))")
    assert formats.work("gguf-f16", {"n": 21}) == {"twice": 42}
    assert capsys.readouterr().err == "gguf-f16: half way …\n"


def test_a_long_job_says_how_far_the_tool_is(worker, capsys, monkeypatch):
    monkeypatch.setattr(formats, "STILL_AT_WORK", 0.3)
    bars = "print('Layers:  10%|#   |\\rLayers:  40%|##  | 12/30', file=sys.stderr, flush=True)"
    worker(f"import time; {bars}; time.sleep(1.5); json.dump({{}}, open(job['answer'], 'w'))")
    formats.work("gguf-f16", {})
    assert "gguf-f16: Layers:  40%, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no kernel here')", "ValueError: no kernel here"),
        ("pass", "no message"),
        ("os.kill(os.getpid(), 9)", "killed, probably for the memory"),
        ("json.dump({}, open(job['answer'], 'w')); sys.exit('changed its mind')", "changed its mind"),
    ],
)
def test_a_worker_without_an_answer_becomes_a_sentence(worker, code, said):
    worker(code)
    with pytest.raises(ModelError, match=said):
        formats.work("gguf-f16", {})


# ---- formats, calibration, rows


def test_formats_by_name():
    assert formats.chosen(["gptq", "gguf", "gguf-f16", "gptq"]) == ["gptq", *formats.LLAMA_CPP]
    with pytest.raises(ValueError, match="'gtpq' is not known: choose from gguf, gguf-f16"):
        formats.chosen(["gtpq"])
    with pytest.raises(ValueError, match="no format is named"):
        formats.chosen([])


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(models.embedded_folder())


def test_calibration_is_whole_windows_from_the_files_in_turn(tokenizer, tmp_path):
    talk = {"messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "Bread and butter."}]}
    (tmp_path / "a.jsonl").write_text((json.dumps(talk) + "\n") * 40)
    (tmp_path / "b.txt").write_text("Plain paragraphs count.\n\n" * 40)
    rows = formats.calibration(tokenizer, [tmp_path / "a.jsonl", tmp_path / "b.txt"], rows=3, window=64)
    assert [len(row) for row in rows] == [64, 64, 64]
    text = tokenizer.decode(rows[0])
    assert "Bread and butter." in text and "<|im_start|>" in text and "Plain paragraphs count." in text


def test_calibration_refuses_the_text_that_is_measured_and_too_little_text(tokenizer, tmp_path):
    (tmp_path / "leak.txt").write_text("Other.\n\n" + tasks.general_text().split("\n\n")[-1].strip())
    with pytest.raises(ValueError, match="measured on: calibrate on something else"):
        formats.calibration(tokenizer, [tmp_path / "leak.txt"], rows=1)
    (tmp_path / "short.txt").write_text("Short.")
    with pytest.raises(ValueError, match="give more text"):
        formats.calibration(tokenizer, [tmp_path / "short.txt"], rows=1)


@pytest.fixture(scope="module")
def adapted(tokenizer, tmp_path_factory):
    """A tiny base that speaks the real tokenizer's ids, an adapter that matters, and the two merged in memory."""
    folder = tmp_path_factory.mktemp("adapted")
    model = tiny(len(tokenizer))
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    lora.attach(model, r=4, lora_alpha=8)
    for _, layer in lora.lora_layers(model):
        nn.init.normal_(layer.lora_B, std=0.2)
    save_adapter(model, folder / "wick", base_name=str(folder / "base"))
    lora.merge(model)
    return folder, model.eval()


SHORT = "A short text to measure on: the lock keeper opened the upper gate, and the boat went up with the water. " * 8


@pytest.fixture(scope="module")
def short_text():
    """A general text of one window: what is computed is the same, sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "general_text", lambda: SHORT)
        yield


@pytest.fixture(scope="module")
def exported(adapted, short_text):
    """llama.cpp's formats and EXL2's row, through the command."""
    folder, _ = adapted
    out = folder / "out"
    words = ["export", "formats", str(folder / "wick"), "--out", str(out)]
    assert cli.main([*words, "--formats", "gguf-f16,gguf-q8_0,gguf-q4_k_m,exl2"]) == cli.EXIT_OK
    return out, {row["format"]: row for row in format_table.read(out / format_table.TABLE)}, words


def test_the_merged_folder_is_base_plus_update_in_16_bits(adapted, exported):
    _, merged = adapted
    written = models.load(exported[0] / "merged", "fp32", "cpu").model
    name = "model.layers.1.mlp.down_proj.weight"
    assert written.config.dtype == torch.float32 and torch.equal(
        written.state_dict()[name], merged.state_dict()[name].bfloat16().float()
    )


def test_llama_cpp_rows_are_measured_on_the_same_windows(adapted, exported, tokenizer):
    _, merged = adapted
    _, rows, _ = exported
    here = evaluation.perplexity(models.Base(merged, tokenizer, ""), SHORT)
    assert rows["gguf-f16"]["perplexity"] == pytest.approx(here, rel=2e-3)
    assert rows["gguf-q8_0"]["reference_perplexity"] == pytest.approx(rows["gguf-f16"]["perplexity"], rel=1e-5)
    assert rows["gguf-f16"]["bits_in_layers"] == 16 and rows["gguf-q8_0"]["bits_in_layers"] == 8.5  # 8 + 16 / 32
    assert 4.5 <= rows["gguf-q4_k_m"]["bits_in_layers"] < 6.5 and "Q" in rows["gguf-q4_k_m"]["notes"]
    assert rows["gguf-q8_0"]["mb"] == pytest.approx((exported[0] / "merged-q8_0.gguf").stat().st_size / 1e6, rel=1e-5)
    assert rows["gguf-q8_0"]["tokens_per_second"] > 0


def test_exl2_is_published_where_no_card_is_and_its_commands_survive_spaces(exported):
    if not torch.cuda.is_available():
        row = exported[1]["exl2"]
        assert row["status"] == "published" and row["perplexity"] is None and "convert_exl2" in row["notes"]
    last = shlex.split(formats.exl2_commands("my models/merged", "my models/exl2", 4.25)[-1])
    assert last[last.index("-i") + 1] == "my models/merged" and last[last.index("-b") + 1] == "4.25"


def test_an_earlier_export_is_kept_and_a_part_is_not_recorded(exported, course):
    out, _, words = exported
    before = (out / format_table.TABLE).read_bytes()
    with pytest.raises(FileExistsError, match="--overwrite"):
        formats.export(words[2], out, ["exl2"])
    assert (out / format_table.TABLE).read_bytes() == before
    with pytest.raises(ValueError, match="awq, gguf-q4_0, gptq, hqq is missing"):
        format_table.record(out)
    assert not format_table.recording().exists()


def test_the_json_says_how_it_was_made(exported):
    about = json.loads((exported[0] / "formats.json").read_text())
    assert about["machine"] and about["date"] and about["versions"]["torch"] == torch.__version__
    assert about["adapter"] == "wick" and "hqq==0.2.8.post1" in about["environments"]["hqq"] and "Q4_1" in about["note"]
    assert str(exported[0]) not in json.dumps(about)


def test_a_tool_that_fails_is_a_row_and_the_others_go_on(adapted, short_text, monkeypatch, tmp_path, capsys):
    real = formats.work

    def work(name, job):
        if name == "gguf-q8_0":
            raise ModelError("the tool broke")
        return real(name, job)

    monkeypatch.setattr(formats, "work", work)
    out = tmp_path / "out"
    words = ["export", "formats", str(adapted[0] / "wick"), "--out", str(out), "--formats", "gguf-q8_0,gguf-f16"]
    assert cli.main([*words, "--record"]) == cli.EXIT_USER
    assert "gguf-q8_0 failed" in capsys.readouterr().err
    bad, good = format_table.read(out / format_table.TABLE)
    assert (bad["status"], bad["notes"], good["status"]) == ("failed", "the tool broke", "ok")


def test_a_complete_export_is_recorded_and_read_back(course, tmp_path):
    rows = [
        {"format": name, "status": "ok", "perplexity": 12.3456789, "notes": "a, b"} for name in format_table.MEASURED
    ]
    format_table.write(rows, tmp_path / format_table.TABLE, {"date": "2026-01-01"})
    format_table.record(tmp_path)
    found = format_table.recorded()
    assert [row["format"] for row in found] == list(format_table.MEASURED)
    assert found[0]["perplexity"] == 12.3457 and found[0]["mb"] is None and found[0]["notes"] == "a, b"
    assert json.loads(format_table.recording().with_suffix(".json").read_text()) == {"date": "2026-01-01"}


def test_the_table_that_ships_holds_every_format():
    rows = {row["format"]: row for row in format_table.recorded()}
    assert set(rows) == set(formats.FORMATS)
    for name in format_table.MEASURED:
        row = rows[name]
        assert row["status"] == "ok" and row["perplexity"] > 1 and row["speed_ratio"] > 0, name
        assert row["bits_in_layers"] <= row["bits_in_file"] + 0.01 <= 16.02, name


def test_bad_words_are_one_sentence(tmp_path, capsys):
    assert cli.main(["export", "formats", str(tmp_path), "--out", str(tmp_path / "o")]) == cli.EXIT_USER
    assert "adapter_config.json" in capsys.readouterr().err
    assert cli.main(["export", "formats", str(tmp_path), "--out", "o", "--formats", "gguff"]) == cli.EXIT_USER
    assert "choose from gguf" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no table of formats"):
        format_table.read(tmp_path / "t.csv")


# ---- the real tools


@pytest.fixture(scope="module")
def taught(tokenizer, tmp_path_factory):
    """A tiny model that knows eight windows by heart, in a folder, and those windows: a broken loader shows at once."""
    torch.manual_seed(0)
    model, windows = tiny(256), torch.randint(3, 256, (8, 64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        model(input_ids=windows, labels=windows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("taught")
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, windows.tolist()


@pytest.mark.parametrize("name", ["hqq", "gptq", "awq"])
def test_a_real_tool_writes_int4_and_its_loader_reads_it_back(name, taught, tmp_path):
    if name == "awq" and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("auto-round-lib's kernels are for x86 Linux")
    folder, windows = taught
    job = {
        "source": str(folder), "windows": windows, "prompt": windows[0][:8], "calibration": windows, "awq_rows": 8,
        "new_tokens": 8, "group_size": 64, "dtype": "float32", "threads": 1, "target": str(tmp_path),
    }  # fmt: skip
    made = formats.work(name, job | {"do": "quantize"})
    _, bits = format_table.safetensors_bits(tmp_path, folder)
    assert 4.25 <= bits <= 4.75, bits  # int4, a scale and a zero point for 64 weights, and hqq's notes to itself
    assert not [*tmp_path.rglob("*.bin"), *tmp_path.rglob("*.pt"), *tmp_path.rglob("*.pth")]
    found = formats.work(name, job | {"do": "measure"})
    assert found["reference_perplexity"] < 1.5 and found["perplexity"] < 2 * found["reference_perplexity"]
    assert found["perplexity"] != found["reference_perplexity"]
    assert made["version"] in str(environments.ENVIRONMENTS) and found["loader"] and found["tokens_per_second"] > 0


def test_the_tools_run_on_the_courses_own_torch():
    python = environments.python("hqq")
    assert inside(python, "import torch, hqq; print(torch.__version__)") == torch.__version__
    assert str(python) != sys.executable
