"""An adapter at a smaller rank: the best one there is, as PEFT comes to it, and a folder that is whole or not there."""

import json

import pytest
import torch
from exporting import peft_adapter, peft_logits, python_logits
from safetensors.torch import load_file
from tiny import make_adapter, make_tiny_model

from lora_lessons import files, lora, lowrank, models
from lora_lessons.adapter import Adapter, attach_adapter, load_adapter, read_adapter, save_adapter
from lora_lessons.sums import sha256
from lora_tools import cli
from lora_tools.exporting import rank
from lora_tools.exporting.model_card import is_untouched

OTHERS = {"rank_pattern": {"q_proj": 2, "up_proj": 16}, "alpha_pattern": {"v_proj": 3}}
KINDS = {"plain": {}, "rslora": {"use_rslora": True}, "patterns": OTHERS, "both": {"use_rslora": True, **OTHERS}}


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    """An adapter of PEFT's, of rank 8 and α = 16 where its patterns do not say otherwise."""
    return peft_adapter(make_tiny_model(), tmp_path / "eight", **KINDS[request.param])


@pytest.fixture
def plain(tmp_path):
    return peft_adapter(make_tiny_model(), tmp_path / "eight")


def test_every_layer_keeps_the_best_of_its_rank_and_its_scale(folder):
    whole = read_adapter(folder)
    smaller = rank.cut(whole, 3).adapter
    for layer, A in whole.A.items():
        assert len(smaller.A[layer]) == min(3, len(A))
        assert smaller.scaling(layer) == pytest.approx(whole.scaling(layer), rel=1e-6)
        best = lowrank.truncate(whole.delta(layer).double(), 3)
        assert lowrank.relative_error(best, smaller.delta(layer)) < 1e-6


def test_the_energies_are_what_the_cut_loses(folder):
    whole = read_adapter(folder)
    smaller, energies = rank.cut(whole, 3)
    for layer, (before, after) in energies.items():
        assert before == pytest.approx(float(whole.delta(layer).norm() ** 2), rel=1e-4)
        lost = lowrank.relative_error(whole.delta(layer), smaller.delta(layer))
        assert 1 - after / before == pytest.approx(lost**2, abs=1e-5)
    *kinds, together = rank.by_kind(energies)
    assert [kind.name for kind in kinds] == list(dict.fromkeys(layer.rpartition(".")[2] for layer in whole.A))
    assert together.kept == pytest.approx(sum(e[1] for e in energies.values()) / sum(e[0] for e in energies.values()))
    for kind in kinds:
        shares = [after / before for layer, (before, after) in energies.items() if layer.endswith(kind.name)]
        assert (kind.matrices, kind.least) == (2, min(shares)) and min(shares) <= kind.kept <= max(shares)


def test_d_by_k_is_never_made():
    """As a matrix, this ΔW would take 1.4 TB."""
    d, k, generator = 600_000, 600_000, torch.Generator().manual_seed(0)
    B, A = torch.randn(d, 3, generator=generator), torch.randn(3, k, generator=generator)
    smaller = rank.cut(Adapter("wide", 3, 6, False, {"x": A}, {"x": B}), 2).adapter
    assert smaller.A["x"].shape == (2, k) and smaller.B["x"].shape == (d, 2) and smaller.lora_alpha == 4


@pytest.mark.filterwarnings("ignore")
def test_pefts_own_conversion_comes_to_the_same(folder):
    from peft import PeftModel
    from peft.tuners.lora.conversion import convert_to_lora

    config, theirs = convert_to_lora(PeftModel.from_pretrained(make_tiny_model(), folder), rank=3)
    ours = rank.cut(read_adapter(folder), 3).adapter
    assert config.lora_alpha == config.r == 3 and len(theirs) == 2 * len(ours.A)
    for layer in ours.A:
        A, B = (theirs[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
        # theirs is computed in 32 bits: the last digits part where the third and fourth direction are nearly as strong
        assert lowrank.relative_error(B @ A, ours.delta(layer)) < 1e-4


def test_peft_computes_with_it_what_we_do(folder, tmp_path):
    rank.export(folder, 3, tmp_path / "three")
    prompts = [[5, 17, 60, 9], [80, 3]]
    theirs = peft_logits(make_tiny_model(), tmp_path / "three", prompts)
    model = make_tiny_model()
    load_adapter(model, tmp_path / "three")
    assert torch.allclose(python_logits(model, prompts), theirs, atol=1e-6)
    lora.detach(model)
    assert not torch.allclose(python_logits(model, prompts), theirs, atol=1e-4)


def test_the_folder_says_the_same_but_for_rank_and_alpha_and_tells_what_it_was_cut_from(plain, tmp_path):
    written = rank.export(plain, 2, tmp_path / "two")
    before, after = (json.loads((place / "adapter_config.json").read_text()) for place in (plain, tmp_path / "two"))
    changed = {"r": 2, "lora_alpha": 4, "init_lora_weights": True}
    assert after == {k: v for k, v in before.items() if k not in ("rank_pattern", "alpha_pattern")} | changed
    assert written.before == (plain / "adapter_model.safetensors").stat().st_size > 3 * written.after
    card = files.read_text(tmp_path / "two" / "README.md")
    assert is_untouched(card) and "- adapter: eight" in card and "from one of rank 8 to rank 2" in card
    assert sha256(plain / "adapter_model.safetensors") in card and str(tmp_path) not in card
    assert f"| together | 14 | {written.kinds[-1].kept:.1%} |" in card


def test_a_card_names_the_base_as_its_hub_does(tmp_path):
    save(make_tiny_model(), tmp_path / "four", models.EMBEDDED_NAME)
    rank.export(tmp_path / "four", 1, tmp_path / "one")
    card = files.read_text(tmp_path / "one" / "README.md")
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card and 'base = models.folder("embedded")' in card


def save(model, folder, base_name="", dtype=torch.float32):
    attach_adapter(model, make_adapter(model))
    save_adapter(model, folder, base_name, dtype=dtype, origin="lesson 03")
    lora.detach(model)
    return folder


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_stay_as_short_as_they_were(tmp_path, dtype):
    save(make_tiny_model(), tmp_path / "four", dtype=dtype)
    rank.export(tmp_path / "four", 2, tmp_path / "two")
    assert {one.dtype for one in load_file(tmp_path / "two" / "adapter_model.safetensors").values()} == {dtype}
    assert read_adapter(tmp_path / "two").origin == "lesson 03"


CUTS_NOTHING = "r = {} cuts nothing from an adapter of rank 8: choose a rank from 1 to 7"


@pytest.mark.parametrize(
    "settings, r, sentence",
    [
        # what is more than B·A
        ({"use_dora": True}, 2, "use_dora.*load it with peft"),
        ({"init_lora_weights": "pissa"}, 2, "pissa.*load it with peft"),
        ({"lora_bias": True}, 2, "lora_bias.*load it with peft"),
        *(({}, r, CUTS_NOTHING.format(r)) for r in (0, 8, 64)),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(tmp_path, settings, r, sentence):
    peft_adapter(make_tiny_model(), tmp_path / "other", **settings)
    with pytest.raises(ValueError, match=sentence):
        rank.export(tmp_path / "other", r, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_an_update_of_zero_has_no_share(plain, tmp_path):
    whole = read_adapter(plain)
    for B in whole.B.values():
        B.zero_()
    smaller, energies = rank.cut(whole, 2)
    assert not any(smaller.delta(layer).any() for layer in smaller.A)
    assert rank.row(rank.by_kind(energies)[-1]) == ("together", "14", "–", "–")


def test_it_is_written_whole_or_not_at_all_and_over_nothing_of_yours(plain, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match="is the adapter that is cut, and it stays"):
        rank.export(plain, 2, tmp_path / "x" / ".." / "eight", overwrite=True)
    rank.export(plain, 2, tmp_path / "two")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        rank.export(plain, 3, tmp_path / "two")
    with monkeypatch.context() as broken:
        broken.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError):
            rank.export(plain, 3, tmp_path / "three")
    rank.export(plain, 3, tmp_path / "two", overwrite=True)
    assert read_adapter(tmp_path / "two").r == 3
    assert sorted(place.name for place in tmp_path.iterdir()) == ["eight", "two"]
    (tmp_path / "two" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        rank.export(plain, 2, tmp_path / "two", overwrite=True)


def test_the_command_prints_the_table_and_writes_beside_where_you_are(plain, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "rank", "eight", "--r", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    share = rank.by_kind(rank.cut(read_adapter(plain), 2).energies)[-1]
    assert out[8].split() == ["together", "14", f"{share.kept:.1%}", f"{share.least:.1%}"]
    assert len({len(line) for line in out[:9]}) == 1
    assert out[9].startswith("adapter_model.safetensors: 0.0") and out[-1] == "Written to eight-r2"
    assert read_adapter(tmp_path / "eight-r2").r == 2
    assert cli.main(["export", "rank", "eight", "--r", "2"]) == cli.EXIT_USER
    assert "add --overwrite" in capsys.readouterr().err
    assert cli.main(["export", "rank", "eight", "--r", "2", "--overwrite"]) == 0
