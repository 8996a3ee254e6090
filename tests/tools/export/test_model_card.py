"""The model card: read back by huggingface_hub, without the data, and never written over what somebody filled in."""

import re
from collections import Counter

import pytest
import torch
from hostile import HOSTILE
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from peft import PeftConfig

from lora_lessons import files, lora, models
from lora_lessons.adapter import read_adapter, save_adapter
from lora_tools.exporting.model_card import AboutAdapter, CardRow, is_untouched, model_card, write_card

ABOUT = AboutAdapter(
    name="own-helpdesk",
    base="HuggingFaceTB/SmolLM2-135M-Instruct",
    base_note="Trained on a rounded copy.",
    loads='"HuggingFaceTB/SmolLM2-135M-Instruct"',
    data={"lines": "80", "sha256": "ab" * 32, "problems found": "none"},
    settings={"r": "8", "lora_alpha": "16"},
    scores=[CardRow("held-out loss, nats", "3.10", "1.52", "95% interval of the gain 1.4 to 1.8 | of 20")],
    condition="If lines like these were drawn again.",
    limits=["It saw 60 examples."],
)


def test_the_hub_reads_what_it_was_trained_on_and_with():
    card = ModelCard(model_card(ABOUT))
    assert card.data.base_model == ABOUT.base and card.data.library_name == "peft"
    assert card.data.to_dict()["base_model_relation"] == "adapter" and "lora" in card.data.tags
    assert card.data.pipeline_tag == "text-generation"
    for said in (
        "- lines: 80",
        "- r: 8",
        "| held-out loss, nats | 3.10 | 1.52 |",
        "&#124; of 20",
        "- It saw 60 examples.",
    ):
        assert said in card.text
    assert f'base = "{ABOUT.base}"' in card.text and "lora_lessons" not in card.text.partition("<!--")[0]
    assert f"`{ABOUT.base}`. {ABOUT.base_note}" in card.text and f"\n\n{ABOUT.condition}\n\n" in card.text


def test_a_name_cannot_open_a_heading_or_a_second_block():
    about = ABOUT._replace(name="a\n---\nevil: yes\n# b", data={"file": "x\n## Limits\n- none"})
    card = ModelCard(model_card(about))
    assert "evil" not in card.data.to_dict() and card.text.count("\n## Limits") == 1


def test_what_things_are_called_is_text_in_the_card():
    def elements(text):
        rows = [CardRow(text, text, text, text)]
        about = ABOUT._replace(
            name=text, base=text, loads=repr(text), data={"file": text}, settings={"r": text}, scores=rows
        )
        page = MarkdownIt("commonmark").enable("table").render(ModelCard(model_card(about)).text)
        return Counter(re.findall(r"<(?!span|br)(\w+)", page))

    assert elements(HOSTILE) == elements("harmless") and elements(HOSTILE)["td"] == 4


def test_an_untouched_card_is_replaced_and_an_edited_one_stays(tmp_path):
    file = write_card(tmp_path, ABOUT)
    assert file.name == "README.md" and is_untouched(files.read_text(file))
    write_card(tmp_path, ABOUT._replace(settings={"r": "16"}))
    assert "- r: 16" in files.read_text(file)
    mine = files.read_text(file).replace("What it is meant for", "It is meant for my shop")
    file.write_text(mine, encoding="utf-8")
    with pytest.raises(FileExistsError, match="was edited.*overwrite=True"):
        write_card(tmp_path, ABOUT)
    assert files.read_text(file) == mine
    write_card(tmp_path, ABOUT, overwrite=True)
    assert is_untouched(files.read_text(file)) and "my shop" not in files.read_text(file)


def test_a_card_from_elsewhere_stays_and_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("# Somebody's card\n", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not from here"):
        write_card(tmp_path, ABOUT)
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        write_card(tmp_path, ABOUT, overwrite=True)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Somebody's card\n"
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


def test_the_peft_loads_a_folder_with_a_card(tiny_model, tmp_path):
    lora.attach(tiny_model, r=2, lora_alpha=4)
    folder = save_adapter(tiny_model, tmp_path / "mine", ABOUT.base)
    write_card(folder, ABOUT)
    assert PeftConfig.from_pretrained(folder).r == 2 and read_adapter(folder).r == 2


def test_the_cards_snippet_answers_as_the_adapter_does(base_fp32, tmp_path, monkeypatch, capsys):
    """The embedded base with an adapter that changes its answer, asked by the card's own words and by ours."""
    lora.attach(base_fp32.model, r=2, lora_alpha=64, seed=0)
    try:
        with torch.no_grad():
            for _, layer in lora.lora_layers(base_fp32.model):
                layer.lora_B.fill_(0.002)
        folder = save_adapter(base_fp32.model, tmp_path / "mine", base_fp32.name)
        (ours,) = models.answers(base_fp32, ["Your question?"], 100)
    finally:
        lora.detach(base_fp32.model)
    write_card(folder, ABOUT._replace(loads='models.folder("embedded")'))
    monkeypatch.chdir(folder)
    exec(files.read_text(folder / "README.md").split("~~~python\n")[1].split("~~~")[0], {})
    assert capsys.readouterr().out.strip() == ours != models.answers(base_fp32, ["Your question?"], 100)[0]
