"""What is written is whole or not there, what cannot be is refused in a sentence, and the command writes it all."""

import json
import shutil

import gguf as gguf_library
import pytest
import torch
from exporting import count, peft_adapter
from safetensors.torch import load_file, save_file

from lora_lessons import llamacpp, models
from lora_lessons.adapter import read_adapter
from lora_lessons.course import learner
from lora_lessons.errors import ModelError
from lora_tools import cli
from lora_tools.cli.export import gguf as export_command
from lora_tools.exporting import formats, gguf
from lora_tools.exporting.gguf import vocabulary


def test_an_adapter_that_does_not_fit_is_refused_by_name(tiny, tmp_path):
    folder, model, _ = tiny("qwen2")
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter", ["q_proj"]))
    layer = next(iter(adapter.A))
    bad = {
        r"q_proj: the adapter's ΔW is 99×256, the base's weight 256×256": adapter._replace(
            B=adapter.B | {layer: torch.ones(99, 8)}
        ),
        "no such layer": adapter._replace(
            A={"model.layers.7.x": adapter.A[layer]}, B={"model.layers.7.x": adapter.B[layer]}
        ),
        "lm_head, which llama.cpp adapts in no model": adapter._replace(
            A={"lm_head": adapter.A[layer]}, B={"lm_head": adapter.B[layer]}
        ),
        "NaN": adapter._replace(B=adapter.B | {layer: adapter.B[layer] * torch.nan}),
    }
    for sentence, wrong in bad.items():
        for write in (
            lambda a, out: gguf.write_adapter(a, folder, out),
            lambda a, out: gguf.write_merged(folder, a, out),
        ):
            with pytest.raises(ValueError, match=sentence):
                write(wrong, tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize("kind, heads", [("llama", 4), ("qwen2", None)])
def test_the_adapters_file_holds_a_and_b_and_the_alpha_that_llama_cpp_divides_by_r(tiny, tmp_path, kind, heads):
    """Llama's rows of q change order, head by head: 0 1 2 3 | 4 5 6 7 becomes 0 4 1 5 2 6 3 7. Qwen2's do not."""
    folder, model, _ = tiny(kind)
    targets = ["q_proj", "down_proj"]
    saved = peft_adapter(model, tmp_path / "adapter", targets, r=4, lora_alpha=6, use_rslora=True)
    adapter = read_adapter(saved)
    file = gguf.read(gguf.write_adapter(adapter, folder, tmp_path / "adapter.gguf"))
    assert file.fields["adapter.lora.alpha"].contents() == pytest.approx(6 / 4**0.5 * 4)
    found = {t.name: torch.tensor(t.data) for t in file.tensors}
    assert len(found) == 2 * len(adapter.A)
    for layer, A in adapter.A.items():
        block, part = layer.split(".")[2], "attn_q" if "q_proj" in layer else "ffn_down"
        B, half = adapter.B[layer], len(adapter.B[layer]) // (2 * (heads or 1))
        if heads and part == "attn_q":
            first = [2 * half * head + row for head in range(heads) for row in range(half)]
            B = B[[row + later for row in first for later in (0, half)]]
        assert torch.equal(found[f"blk.{block}.{part}.weight.lora_a"], A)
        assert torch.equal(found[f"blk.{block}.{part}.weight.lora_b"], B)


def test_bases_that_cannot_be_expressed_are_refused(tiny, base_fp32, tmp_path):
    folder = tiny("qwen2")[0]
    said = json.loads((folder / "config.json").read_text())
    for change, sentence in (
        ({"model_type": "gemma"}, "a gemma is not exported here .*convert_hf_to_gguf"),
        ({"model_type": "gemma2"}, "a gemma2 is not exported here"),
        ({"model_type": "gemma3_text"}, "a gemma3_text is not exported here"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
        ({"hidden_act": "gelu"}, "activation 'gelu', and llama.cpp computes every qwen2 with SiLU"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "type yarn are not written"),
    ):
        other = shutil.copytree(folder, tmp_path / "other", dirs_exist_ok=True)
        (other / "config.json").write_text(json.dumps(said | change))
        with pytest.raises(ModelError, match=sentence) as refused:
            gguf.write_base(other, tmp_path / "out.gguf")
        # what plan and inspect ask before there is a folder is what the export says then
        asked = gguf.why_not_exported((said | change)["model_type"])
        assert asked in str(refused.value) and bool(asked) == ("model_type" in change)
    assert all(family in str(export_command.__doc__) for family in gguf.EXPORTED)
    with pytest.raises(ModelError, match="config.json"):
        gguf.open_base(tmp_path)
    with pytest.raises(ModelError, match="not known here .*convert_hf_to_gguf"):
        vocabulary.splitter({"type": "Whitespace"})
    with pytest.raises(ValueError, match="choose f32, f16"):
        gguf.write_base(folder, tmp_path / "out.gguf", "q3")
    with pytest.raises(ValueError, match="no type of GGUF"):
        gguf.quantize(folder, tmp_path / "out.gguf", "Q3_Z")
    assert not list(tmp_path.glob("*.gguf"))


def test_a_base_whose_numbers_no_answer_survives_is_not_written(tiny, tmp_path):
    folder, name = tmp_path / "base", "model.layers.1.self_attn.k_proj.weight"
    shutil.copytree(tiny("qwen2")[0], folder)
    tensors, out = load_file(folder / "model.safetensors"), tmp_path / "out"
    adapter = read_adapter(peft_adapter(tiny("qwen2")[1], tmp_path / "adapter", ["q_proj"]))

    def give(value):
        tensors[name][3, 4] = value
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    give(torch.nan)
    for write in (
        lambda: gguf.write_base(folder, out, "f32"),
        lambda: gguf.write_merged(folder, adapter, out),
        lambda: formats.write_merged(adapter, folder, out),
    ):
        with pytest.raises(ModelError, match=f"{name} .* holds NaN or infinity"):
            write()
    give(1e5)
    with pytest.raises(ModelError, match=f"{name} goes up to 1e.05, and F16 ends at 6.55e.04: write bf16 or f32"):
        gguf.write_base(folder, out)
    assert not list(tmp_path.glob("*out*"))
    gguf.write_base(folder, out, "bf16")


def test_files_are_whole_or_not_there_and_none_is_replaced_unasked(tiny, tmp_path, monkeypatch):
    folder, model, _ = tiny("qwen2")
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter"))
    writes = {
        "adapter": lambda out, **more: gguf.write_adapter(adapter, folder, out, **more),
        "base": lambda out, **more: gguf.write_base(folder, out, **more),
        "merged": lambda out, **more: gguf.write_merged(folder, adapter, out, **more),
        "small": lambda out, **more: gguf.quantize(tmp_path / "base.gguf", out, **more),
    }
    for name, write in writes.items():
        file = write(tmp_path / f"{name}.gguf")
        before = file.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            write(file)
        assert write(file, overwrite=True).read_bytes() == before
    files = sorted(p.name for p in tmp_path.iterdir())
    real, calls = gguf_library.quants.quantize, []

    def fails(data, kind):
        calls.append(kind)
        if len(calls) > 3:
            raise OSError("No space left on device")
        return real(data, kind)

    monkeypatch.setattr(gguf_library.quants, "quantize", fails)
    for name in ("adapter", "base", "merged"):
        calls.clear()
        with pytest.raises(OSError, match="No space"):
            writes[name](tmp_path / "new.gguf")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1000}))
    for name in ("small", "base"):
        with pytest.raises(OSError, match="make room"):
            writes[name](tmp_path / "new.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == files


def test_the_command_writes_all_and_refuses_to_write_again(tiny, tmp_path, monkeypatch, capsys):
    folder, model, _ = tiny("qwen2")
    saved = peft_adapter(model, tmp_path / "mine")
    command = ["export", "gguf", str(saved), "--out", str(tmp_path / "out"), "--base", str(folder)]
    assert cli.main([*command, "--types", "q8_0,Q4_K_M", "--merged"]) == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(
        ["mine-lora.gguf", *(f"tiny-qwen2{a}-{t}.gguf" for a in ("", "-mine") for t in ("q8_0", "Q4_K_M"))]
    )
    assert "Note: '<|im_end|>' pads and ends" in capsys.readouterr().out
    assert cli.main(command) == cli.EXIT_USER
    said = capsys.readouterr().err
    assert "mine-lora.gguf exists: choose another name, or add --overwrite to replace it." in said
    assert "overwrite=True" not in said
    monkeypatch.chdir(tmp_path)
    in_a_report = tmp_path / "course-report" / "adapters" / "ran"  # of `make course`, whose end names adapters/ran
    for kept in (learner.my_folder("adapters/kept"), in_a_report):
        shutil.copytree(saved, kept)
        own = tmp_path / f"own {kept.name}"
        words = [f"adapters/{kept.name}", "--out", str(own), "--base", str(folder), "--types", ""]
        assert cli.main(["export", "gguf", *words]) == 0
        assert [p.name for p in own.iterdir()] == [f"{kept.name}-lora.gguf"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert cli.main(["export", "gguf", str(tmp_path), "--out", str(tmp_path / "out")]) == cli.EXIT_USER
    assert "adapter_config.json" in capsys.readouterr().err


def test_a_refused_export_leaves_nothing(mine, monkeypatch):
    before = sorted(mine.iterdir())
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1000}))
        with pytest.raises(OSError, match="make room"):
            gguf.export(mine / "mine", mine / "out", mine / "base")
    config = mine / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rope_parameters": yarn}))
    with pytest.raises(ModelError, match="type yarn are not written"):
        gguf.export(mine / "mine", mine / "out", mine / "base", ["f16", "q8_0"])
    assert sorted(mine.iterdir()) == before


def test_an_export_that_fails_half_way_leaves_what_was_there(mine, monkeypatch):
    def full(source, out, file_type, importance):
        out.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(llamacpp, "quantize", full)
    (mine / "there").mkdir()
    (mine / "there" / "mine-lora.gguf").write_text("an earlier one")
    for out, overwrite in ((mine / "new", False), (mine / "there", True)):
        with pytest.raises(OSError, match="No space"):
            gguf.export(mine / "mine", out, mine / "base", ["f16", "Q4_K_M"], overwrite=overwrite)
    assert not (mine / "new").exists()
    assert [(p.name, p.read_text()) for p in (mine / "there").iterdir()] == [("mine-lora.gguf", "an earlier one")]


def test_a_type_named_twice_is_written_once_of_a_base_that_is_opened_and_proven_once_and_paths_are_meant_from_here(
    mine, monkeypatch
):
    counted = count(monkeypatch)
    monkeypatch.chdir(mine)
    files, _ = gguf.export("mine", "out", "base", ["f16", "q8_0", "f16", "F16"], merged=True)
    assert counted == {"servers": 1, "bases": 1} and all(file.is_file() for file in files)
    written = [f"base{of}-{kind}.gguf" for of in ("", "-mine") for kind in ("F16", "q8_0")]
    assert sorted(p.name for p in (mine / "out").iterdir()) == sorted(["mine-lora.gguf", *written])
    assert len(files) == 5
    monkeypatch.chdir(mine / "mine")
    adapter, base = gguf.adapter_and_base(".", "../base")
    assert adapter.name == "mine" and base.samefile(mine / "base")


def test_one_answer_to_which_base_is_meant(mine):
    said = json.loads((mine / "mine" / "adapter_config.json").read_text())
    for named, expected in ((str(mine / "base"), mine / "base"), ("", models.embedded_folder())):
        (mine / "mine" / "adapter_config.json").write_text(json.dumps(said | {"base_model_name_or_path": named}))
        assert gguf.adapter_and_base(mine / "mine")[1] == expected
    assert gguf.adapter_and_base(mine / "mine", mine / "base")[1] == mine / "base"
