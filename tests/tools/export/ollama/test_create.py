"""How Ollama itself is called, and what is said of its answer."""

import os
import shutil
import stat

import pytest

from lora_tools.exporting import ollama


def fake_ollama(folder, says, status, monkeypatch):
    """A program named ollama that writes down how it was called, says `says`, and ends with `status`."""
    script = folder / "ollama"
    script.write_text(
        f"#!/bin/sh\npwd > {folder}/called\necho \"$@\" >> {folder}/called\nprintf '%b' '{says}' >&2\nexit {status}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("says", "status", "ok", "sentence"),
    [
        (r"gathering model components\nsuccess\n", 0, True, "Ollama made ada. Talk to it: ollama run ada"),
        (
            r"\033[1Gpulling\033[K\rError: could not connect to ollama server, run ollama serve\n",
            1,
            False,
            "start `ollama serve`",
        ),
        (
            r"Error: adapters cannot be created\n\n",
            1,
            False,
            "Modelfile.adapter: Error: adapters cannot be created. Newer versions",
        ),
        ("", 3, False, "refused Modelfile.adapter: nothing."),
    ],
)
def test_how_ollama_is_called_and_what_is_said(copy, tmp_path, monkeypatch, says, status, ok, sentence):
    fake_ollama(tmp_path, says, status, monkeypatch)
    created = ollama.try_create(copy, "ada", "Modelfile.adapter")
    assert created.ok is ok and sentence in created.says and "\x1b" not in created.says
    assert (tmp_path / "called").read_text().splitlines() == [str(copy), "create ada -f Modelfile.adapter"]


def test_without_ollama_it_says_what_to_do(copy, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    created = ollama.try_create(copy, "me/ada:v2")
    assert not created.ok and created.says.endswith("then run `ollama create me/ada:v2 -f Modelfile` in that folder.")
    names = ["ada", "Ada_2.5", "me/ada:v2", "ollama.com/me/ada:q4_K_M"]
    assert [
        name for name in (*names, "ada; ls", "", "-a", "a/b/c/d", "ada:", "é") if ollama.folder._NAME.fullmatch(name)
    ] == names


@pytest.mark.skipif(
    shutil.which("ollama") is None,
    reason=(
        "NOT CHECKED: there is no ollama here, so no Modelfile was given to the real one. "
        "Install it and run this again."
    ),
)
def test_the_real_ollama_takes_the_modelfile(good):
    created = ollama.try_create(good, "lora-lessons-test")
    assert created.ok, created.says
