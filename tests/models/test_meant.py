"""Which base is meant: one answer for every way of naming one, without a look at the network."""

import pytest

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import Meant, which


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "some" / "tiny"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"")
    return made


@pytest.mark.parametrize(
    "name",
    [
        "embedded",
        "SmolLM2-135M-Instruct",
        "/home/other/.cache/lora-lessons/base/smollm2-135m-instruct",
        r"C:\Users\other\lora-lessons\base\smollm2-135m-instruct",
    ],
)
def test_the_embedded_base_is_meant_by_its_names_and_by_where_it_lay_elsewhere(name, empty_cache):
    assert which(name) == Meant("embedded", None, models.EMBEDDED_NAME)
    assert not empty_cache.exists()


def test_a_folder_is_meant_however_it_is_written(folder, monkeypatch):
    assert which(folder) == Meant("folder", folder, "tiny")
    assert which("some/tiny").kind == which("./some/tiny").kind == "folder"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert which("~/tiny").place == folder
    monkeypatch.chdir(folder)
    assert which(".").name == "tiny"


def test_a_gguf_is_meant_when_it_is_there(folder):
    file = folder / "tiny-q4.gguf"
    file.write_bytes(b"GGUF")
    assert which(file) == Meant("gguf", file, "tiny-q4.gguf")


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B", "someone/tiny_7b-v0.1", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_an_owner_and_a_name_mean_the_hub(folder, name):
    assert which(name) == Meant("hub", None, name)


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("/no/such/folder", "does not exist: give a folder with safetensors"),
        ("./tiny", "does not exist"),
        ("~/no/such", "does not exist"),
        ("~nobody-of-this-name/no/such", "does not exist"),
        ("some/absent.gguf", "does not exist"),
        ("Qwen-0B", "there is no base called 'Qwen-0B' here: .*a hub id such as 'owner/name'.*'embedded'"),
        ("", "no base called '' here|no config.json"),
        ("some/tiny/config.json", "is a file: give the folder"),
        ("some", r"no config\.json"),
    ],
)
def test_what_means_no_base_is_said(folder, name, sentence):
    with pytest.raises(ModelError, match=sentence):
        which(name)


def test_a_config_is_enough_where_no_weights_are_asked_for(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert which(folder, weights=False).kind == "folder"
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        which(folder)
