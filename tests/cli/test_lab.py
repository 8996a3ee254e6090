"""`lora-lessons lab`: a learner's work is never replaced, and JupyterLab opens at the lesson."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import psutil
import pytest

from lora_lessons.lessons import all_exercises
from lora_lessons.run.lab import MANIFEST, copy_lessons, jupyter_environment
from lora_tools import cli


def test_a_learners_work_is_never_replaced(make_lesson, tmp_path):
    untouched, worked = make_lesson("00_a", "1"), make_lesson("01_b", "1")
    mine = tmp_path / "my_lessons"
    assert [line.split(":")[0] for line in copy_lessons(mine)] == ["00_a.ipynb", "01_b.ipynb"]
    assert list(copy_lessons(mine)) == []

    (mine / "01_b.ipynb").write_text("my work")
    assert list(copy_lessons(mine)) == [], "work on the current version is no news"
    make_lesson("00_a", "2"), make_lesson("01_b", "2"), make_lesson("02_c", "1")
    said = list(copy_lessons(mine))
    assert len(said) == 3
    assert "your copy was untouched and is updated" in said[0] and "yours has your work" in said[1]
    assert (mine / "00_a.ipynb").read_bytes() == untouched.read_bytes() and (mine / "02_c.ipynb").exists()
    assert (mine / "01_b.ipynb").read_text() == "my work" != worked.read_text()

    (mine / MANIFEST).unlink()
    (mine / "00_a.ipynb").write_text("older work, origin unknown")
    list(copy_lessons(mine))
    assert (mine / "00_a.ipynb").read_text() == "older work, origin unknown"


@pytest.mark.parametrize("manifest", ["[]", "null", "7", "{", "[" * 100_000, '{"00_a.ipynb": [1]}'])
def test_a_damaged_manifest_is_made_anew_and_no_work_is_lost(make_lesson, tmp_path, manifest):
    make_lesson("00_a", "1")
    mine = tmp_path / "my_lessons"
    list(copy_lessons(mine))
    (mine / "00_a.ipynb").write_text("my work")
    (mine / MANIFEST).write_text(manifest)
    make_lesson("01_b", "1")
    assert [line.split(":")[0] for line in copy_lessons(mine)] == ["00_a.ipynb", "01_b.ipynb"]
    assert (mine / "00_a.ipynb").read_text() == "my work"
    assert isinstance(json.loads((mine / MANIFEST).read_text()), dict)


def test_a_learners_copy_has_not_been_run_and_shows_no_answer_no_broken_picture_and_no_sign_that_a_font_lacks(
    make_lesson, tmp_path
):
    lesson = make_lesson("00_a", "print(107)", "'107'")
    ran = nbformat.read(lesson, 4)
    ran.cells[2].outputs = [nbformat.v4.new_output("stream", text="107")]
    ran.cells[3].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "'107'"}, execution_count=2)]
    ran.cells[1].execution_count, ran.cells[2].execution_count, ran.cells[3].execution_count = 1, 2, 3
    badge = "[![Open in Colab](https://colab.research.google.com/badge.svg)](https://colab.research.google.com/x.ipynb)"
    ran.cells[0].source = f"# 00 · A\n\n⏱ Minutes: reading 5\n\n{badge}"
    nbformat.write(ran, lesson)
    mine = tmp_path / "my_lessons"
    assert len(list(copy_lessons(mine))) == 1
    copy = nbformat.read(mine / "00_a.ipynb", 4)
    nbformat.validate(copy)
    assert [(c.outputs, c.execution_count) for c in copy.cells[1:]] == [([], None)] * 3
    assert copy.cells[0].source == "# 00 · A\n\nMinutes: reading 5"
    assert [c.source for c in copy.cells[1:]] == [c.source for c in ran.cells[1:]]
    assert [(c.id, c.metadata) for c in copy.cells] == [(c.id, c.metadata) for c in ran.cells]
    assert list(copy_lessons(mine)) == [], "the same copy is not made again"
    ran.cells[2].outputs[0].text = "108"
    nbformat.write(ran, lesson)
    assert list(copy_lessons(mine)) == [], "other outputs are no newer version"


def test_a_copy_of_before_that_came_with_outputs_is_brought_up_to_date(make_lesson, tmp_path):
    lesson, mine = make_lesson("00_a", "1"), tmp_path / "my_lessons"
    ran = nbformat.read(lesson, 4)
    ran.cells[2].execution_count = 1
    nbformat.write(ran, lesson)
    mine.mkdir()
    (mine / "00_a.ipynb").write_bytes(lesson.read_bytes())
    (mine / MANIFEST).write_text(json.dumps({"00_a.ipynb": hashlib.sha256(lesson.read_bytes()).hexdigest()}))
    (said,) = copy_lessons(mine)
    assert "your copy was untouched and is updated" in said
    assert nbformat.read(mine / "00_a.ipynb", 4).cells[2].execution_count is None


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_lab_that_a_signal_ends_exits_as_a_shell_tells_it(make_lesson, tmp_path, monkeypatch):
    make_lesson("00_a", "1")
    (tmp_path / "python").write_text("#!/bin/sh\nkill -9 $$\n", encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lab", "00"]) == 128 + 9


def test_jupyter_keeps_the_learners_own_configuration(course, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    made = jupyter_environment()
    assert made["JUPYTER_CONFIG_PATH"].split(os.pathsep)[1] == "mine" and made["LORA_LESSONS_ROOT"] == str(course)


def test_a_cache_or_a_home_that_cannot_be_written_keeps_nobody_from_the_lab(course, tmp_path, monkeypatch, capsys):
    assert "HOME" not in jupyter_environment()
    (tmp_path / "file").touch()
    for name in ("LORA_LESSONS_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file" / name))
    made = jupyter_environment()
    settings = Path(made["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0])
    assert (settings / "labconfig" / "default_setting_overrides.json").is_file()
    assert Path(made["PYTHONSTARTUP"]).parent == settings and Path(made["PYTHONSTARTUP"]).is_file()
    said = capsys.readouterr().err
    assert "cannot be written" in said and "set LORA_LESSONS_CACHE to a folder that you may write to" in said
    assert "set HOME to a folder that you may write to" in said and said.count("\n") == 2
    Path(made["HOME"]).rmdir()
    shutil.rmtree(settings)


@pytest.mark.skipif(os.name == "nt", reason="process groups")
@pytest.mark.parametrize(
    ("given", "heard"), [([], "127.0.0.1"), (["--ip", "0.0.0.0"], "0.0.0.0"), (["--ServerApp.ip=0.0.0.0"], "0.0.0.0")]
)
def test_lab_opens_the_lesson_with_a_token_and_without_the_news_question(
    given, heard, make_lesson, tmp_path, monkeypatch
):
    make_lesson("00_start_here", "1 + 1")
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    log = tmp_path / "lab.log"
    command = [sys.executable, "-m", "lora_tools.cli", "lab", "--", "--no-browser", "--port", "0", "--allow-root"]
    command += given
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not (
            found := re.search(
                r"(http://127\.0\.0\.1:\d+)(/lab/tree/00_start_here\.ipynb)(?:\?token=(\w+))?\s", log.read_text()
            )
        ):
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.2)
        server, page, token = found.groups()
        assert token, "whoever knows the address needs no token"
        while True:
            try:
                assert urlopen(f"{server}{page}?token={token}").status == 200
                break
            except URLError as error:  # it says its address a moment before it listens
                assert isinstance(error.reason, ConnectionRefusedError) and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        plugin = "@jupyterlab/apputils-extension:notification"
        settings = json.load(urlopen(f"{server}/lab/api/settings/{plugin}?token={token}"))
        defaults = {name: about["default"] for name, about in settings["schema"]["properties"].items()}
        assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False
        widgets = json.load(
            urlopen(f"{server}/lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin?token={token}")
        )
        assert widgets["schema"]["properties"]["saveState"]["default"] is True
        for asked in ("/api/contents", "/api/sessions", "/api/terminals"):
            with pytest.raises(OSError, match="403"):
                urlopen(server + asked)
        port = int(server.rpartition(":")[2])
        assert _addresses(psutil.Process(process.pid), port) == {heard}
    finally:
        os.killpg(process.pid, 15)
        process.wait(120)


def _addresses(root, port):
    """The addresses at which `root` and the processes under it listen on `port`; one that has ended listens nowhere."""
    found = set()
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            found |= {
                c.laddr.ip for c in process.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port
            }
    return found


def test_copies_for_a_class_have_no_solutions_and_the_lab_does_not_bring_them_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["copies", "--without-solutions", "class/my_lessons"]) == 0
    whole, blank = tmp_path / "whole", tmp_path / "class" / "my_lessons"
    assert list(copy_lessons(blank)) == [], "the lab in a student's folder"
    list(copy_lessons(whole))
    left_out = 0
    for lesson in whole.rglob("*.ipynb"):
        places = lesson, blank / lesson.relative_to(whole)
        texts, theirs = (["".join(c["source"]) for c in json.loads(one.read_text("utf-8"))["cells"]] for one in places)
        parts = [text.partition("\n<details><summary>Solution</summary>") for text in texts]
        rest = [before + after.partition("</details>")[2] for before, _, after in parts]
        assert rest == theirs, "all else is there"
        left_out += sum(bool(found) for _, found, _ in parts)
    assert left_out == len(all_exercises())
