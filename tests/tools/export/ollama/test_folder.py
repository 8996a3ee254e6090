"""The folder for Ollama: what is written, and nothing left when it cannot be."""

import json
import shutil
from pathlib import Path

import pytest
from chat_templates import CHATML, MISTRAL_1, SMOLLM_SYSTEM, ZEPHYR, tokenizer_of
from damaged import rewritten, without
from exporting import count

from lora_lessons.adapter import read_adapter
from lora_tools import cli
from lora_tools.exporting import gguf, ollama
from lora_tools.exporting.ollama import chatform, check, modelfile
from lora_tools.exporting.ollama.chatform import TEMPLATES


def test_what_is_written(good, base_and_adapter):
    assert sorted(file.name for file in good.iterdir()) == [
        "Modelfile",
        "Modelfile.adapter",
        "adapter.gguf",
        "base.gguf",
        "merged.gguf",
    ]
    assert check(good) == []
    first, second = (modelfile.parse((good / name).read_text()) for name in ("Modelfile", "Modelfile.adapter"))
    assert [(i.name, i.value) for i in first[:3]] == [
        ("FROM", "./merged.gguf"),
        ("TEMPLATE", TEMPLATES["ChatML"]),
        ("SYSTEM", SMOLLM_SYSTEM),
    ]
    assert [(i.name, i.value) for i in second[:2]] == [("FROM", "./base.gguf"), ("ADAPTER", "./adapter.gguf")]
    assert {i.key: i.value for i in first if i.name == "PARAMETER"} == {
        "stop": "<|im_end|>",
        "temperature": "0",
        "repeat_penalty": "1",
        "num_ctx": "512",
    }
    merged, base = ({t.name: t.data for t in gguf.read(good / f"{name}.gguf").tensors} for name in ("merged", "base"))
    changed = {name for name in base if (merged[name] != base[name]).any()}
    assert changed == {"blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"}


@pytest.mark.parametrize(
    "template", [CHATML, "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML], ids=["plain", "tools"]
)
def test_a_base_whose_template_writes_tools_is_said_to_need_renderer_and_parser(template):
    remarks = chatform.without_tools(tokenizer_of(template, begin=False))
    assert len(remarks) == ("tools" in template) and all("RENDERER and PARSER" in one for one in remarks)


def test_the_command_says_how_to_run_it(base_and_adapter, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    words = ["export", "ollama", str(base_and_adapter[1]), "--out", str(out)]
    assert cli.main([*words, "--system", 'You are "Ada".\nBe brief.']) == 0
    said = capsys.readouterr().out
    assert (
        "ollama create my-adapter -f Modelfile" in said
        and "ollama run my-adapter" in said
        and "TEMPLATE: ChatML" in said
    )
    assert (
        next(i.value for i in modelfile.parse((out / "Modelfile").read_text()) if i.name == "SYSTEM")
        == 'You are "Ada".\nBe brief.'
    )
    assert check(out, system='You are "Ada".\nBe brief.') == []
    assert len(check(out)) == 2 and "and the base has" in check(out)[0]  # one for each Modelfile
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert cli.main(words) == 2
    assert "exists: choose another folder" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main([*words, "--overwrite", "--create", "my ada"]) == 2 and "'my ada' is no" in capsys.readouterr().err
    assert (cli.main([*words, "--overwrite", "--create", "ada"]), check(out)) == (3, [])
    assert "There is no ollama on this machine, so it could not make ada" in capsys.readouterr().out
    (out / "notes.txt").write_text("mine")
    assert cli.main([*words, "--overwrite"]) == 2
    assert "holds notes.txt" in capsys.readouterr().err
    assert (out / "notes.txt").read_text() == "mine" and check(out) == []
    (tmp_path / "file").write_text("mine")
    assert cli.main([*words[:-1], str(tmp_path / "file"), "--overwrite"]) == 2
    assert (tmp_path / "file").read_text() == "mine" and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"system": "  "}, "system text is empty"),
        ({"system": "a\u200db"}, "Ollama drops"),
        (
            {"template": "{{ range .Messages }}{{ .Content }}{{ end }}"},
            "your template does not render as the base's own",
        ),
        ({"template": "{{ range .Messages }}"}, "has no {{ end }}"),
        ({"file_type": "q4"}, "choose f32"),
    ],
)
def test_nothing_is_left_behind_when_it_fails(base_and_adapter, tmp_path, changes, sentence):
    with pytest.raises(ValueError) as caught:
        ollama.write(tmp_path / "out", base_and_adapter[0], read_adapter(base_and_adapter[1]), **changes)
    assert sentence in str(caught.value) and not list(tmp_path.iterdir())


def test_a_folder_that_fails_its_check_is_taken_away(base_and_adapter, tmp_path, monkeypatch):
    write_adapter = gguf.write_adapter

    def without_alpha(adapter, base, out):
        write_adapter(adapter, base, out)
        rewritten(out.name, without("adapter.lora.alpha"))(out.parent)

    monkeypatch.setattr(gguf, "write_adapter", without_alpha)
    with pytest.raises(ValueError, match="taken away again. Modelfile.adapter: the adapter does not say its alpha"):
        ollama.write(tmp_path / "out", base_and_adapter[0], read_adapter(base_and_adapter[1]))
    assert not list(tmp_path.iterdir())


def test_bases_that_ollama_could_not_be_told_about(base_and_adapter, tmp_path):
    adapter, base = read_adapter(base_and_adapter[1]), Path(shutil.copytree(base_and_adapter[0], tmp_path / "base"))
    for template, system, sentence in (
        (MISTRAL_1, "Be brief.", "takes no system message"),
        (CHATML.replace("<|im_end|>", ""), None, "no special token after an answer"),
        (ZEPHYR, None, "no Go template known here"),
    ):
        tokenizer_of(template, begin=False).save_pretrained(base)
        with pytest.raises(ValueError, match=sentence):
            ollama.write(tmp_path / "out", base, adapter, system)
    assert [file.name for file in tmp_path.iterdir()] == ["base"]


def test_an_attention_window_shorter_than_the_text_is_said(base_and_adapter, tmp_path):
    base = Path(shutil.copytree(base_and_adapter[0], tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "mistral", "sliding_window": 64}))
    made = ollama.write(tmp_path / "out", base, read_adapter(base_and_adapter[1]), file_type="f32")
    assert any("looks back 64 tokens" in remark for remark in made.remarks)
    assert "# This base looks back 64 tokens" in (tmp_path / "out" / "Modelfile").read_text()


def test_relative_paths_mean_what_they_mean_here_and_the_base_is_opened_and_proven_once(
    base_and_adapter, tmp_path, monkeypatch
):
    counted = count(monkeypatch)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base_and_adapter[0], "base")
    made = ollama.write("out", "base", read_adapter(base_and_adapter[1]), file_type="f32")
    assert counted == {"servers": 1, "bases": 1}
    assert check("out") == [] and made.commands[0] == "cd out"
