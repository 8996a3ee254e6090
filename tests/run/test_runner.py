"""The runner executes lessons, survives those that fail, and reports them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

from lora_lessons import training
from lora_lessons.course.records import Record
from lora_lessons.run import kernel, runner

RECORD = "from lora_lessons.course.records import record\n"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@pytest.fixture
def five(make_lesson, course):
    """Lessons of every fate: good, failing, killed, unreadable, good."""
    figure = (
        "from IPython.display import HTML, Image, Markdown, display\nimport base64\n"
        f"display(Image(base64.b64decode('{PNG}')))\ndisplay(Markdown('*In words:* loss falls & stays < 2'))\n"
        "display(HTML('<b>G01</b> The page says: <i>B &lt; A</i><details><summary><b>Verdict: holds.</b> What we "
        'saw</summary>1<script src="https://example.org/x.js"></script></details></div>\'))'
    )
    block = "kept = b'x' * 150_000_000\nimport os, time\ntime.sleep(0.4)\n"
    block += "for _ in range(1200):  # until it was seen\n    if os.path.exists('seen'): break\n    time.sleep(0.05)"
    good = make_lesson("00_good", RECORD + "record('loss', 1.5 + seed, 'nats')", block, figure)
    bad = make_lesson("01_bad", "fine = 1", "\n# the sum\nraise ValueError('a <b>bold</b> mistake')", "never = 1")
    dies = make_lesson("02_dies", "import os, tempfile\nopen('left', 'w').write(tempfile.mkdtemp())\nos._exit(9)")
    (course / "notebooks" / "03_junk.ipynb").write_text("{ no notebook")
    last = make_lesson(
        "04_last",
        "import os, sys\nprint(sys.executable)\nprint(os.environ['LORA_LESSONS_PROGRESS'])\nprint(os.getcwd())",
    )
    return [good, bad, dies, course / "notebooks" / "03_junk.ipynb", last]


def test_one_failing_lesson_does_not_stop_the_rest(five, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LORA_LESSONS_PROGRESS")
    out, held, large = tmp_path / "out", kernel._tree_bytes, []

    def seen(pid):
        if (found := held(pid)) > 150_000_000:
            large.append(found)
        if len(large) > 3:
            five[0].with_name("seen").touch()
        return found + (len(large) == 2) * 10**12  # a child was forked just now

    monkeypatch.setattr(kernel, "_tree_bytes", seen)
    good, bad, dies, junk, last = runner.run(five, out=out)

    assert [r.status for r in (good, bad, dies, junk, last)] == ["ok", "failed", "failed", "failed", "ok"]
    assert good.records == {"loss": Record("loss", 1.5, "nats")}
    assert 150_000_000 < good.peak_ram_bytes < 10**12 and good.seconds > 0.4
    assert (bad.error.cell, bad.error.first_line, bad.error.name) == (4, "# the sum", "ValueError")
    assert bad.error.message == "a <b>bold</b> mistake" and "\x1b" not in bad.error.traceback
    assert (dies.error.cell, dies.error.name) == (3, "DeadKernelError") and "kernel died" in dies.error.message
    assert not Path((five[2].parent / "left").read_text()).exists(), "what it had in its temporary folder went with it"
    assert junk.error.cell == 0 and "03_junk.ipynb is not a readable" in junk.error.message
    python, progress, folder = last.notebook.cells[-1].outputs[0].text.split()
    assert Path(python) == Path(sys.executable)
    assert Path(progress).parent == out.resolve() and Path(folder) == five[-1].parent.resolve()

    told = capsys.readouterr().err
    assert "1/5 00_good" in told and "01_bad: failed" in told and "cell 4 (# the sum)" in told

    stored = json.loads((out / "report.json").read_text())
    assert [(one["lesson"], one["status"]) for one in stored["lessons"]][:2] == [
        ("00_good", "ok"),
        ("01_bad", "failed"),
    ]
    assert stored["lessons"][0]["records"]["loss"]["value"] == 1.5
    assert stored["lessons"][1]["error"]["cell"] == 4 and stored["not_run"] == []
    assert sorted(path.name for path in out.glob("*.ipynb")) == [
        "00_good.ipynb",
        "01_bad.ipynb",
        "02_dies.ipynb",
        "04_last.ipynb",
    ]

    page = (out / "report.html").read_text()
    assert "01_bad failed in cell 4" in page and "ValueError" in page
    assert "a &lt;b&gt;bold&lt;/b&gt; mistake" in page and "<b>bold</b>" not in page
    assert '<tr class="holds"><td>G01</td><td><q>B &lt; A</q></td>' in page
    ran = ["00_good", "01_bad", "02_dies", "04_last"]
    assert set(_addresses(page)) == {f"{name}.ipynb" for name in ran}, "nothing outside, but the notebooks beside it"


TRAINS_AND_DIES = """
import sys
sys.path.insert(0, {tests!r})
import os
from short_run import SHORT, make_examples
from tiny import make_tiny_model
from lora_lessons import lora, training
model = make_tiny_model()
lora.attach(model, r=4)
training.train(model, make_examples(), SHORT, on_step=lambda story: len(story.losses) < 3 or os._exit(9))
"""


def test_a_kernel_that_dies_says_what_is_kept_and_which_parameters_need_less(make_lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    dies = make_lesson("02_dies", TRAINS_AND_DIES.format(tests=str(Path(__file__).parents[1])))
    lesson, begun = json.loads(dies.read_text()), time.time()
    (parameters,) = (cell for cell in lesson["cells"] if "parameters" in cell["metadata"].get("tags", []))
    parameters["source"] = "".join(parameters["source"]) + "\nbatch_size = 4\nprecision = ''\n"
    dies.write_text(json.dumps(lesson))
    assert kernel.kept_since(begun) == "No step of a training was kept."
    result = runner.run_one(dies, {"precision": "nf4"}, tmp_path)
    said = "Its training is kept up to step 2: the same command goes on from there."
    assert f" {said} " in result.error.message
    assert result.error.message.endswith("trains anew: -p batch_size 1.")
    (folder,) = (tmp_path / "cache" / "runs").iterdir()
    (folder / training.FINISHED).write_bytes(b"")
    assert kernel.kept_since(begun) == "Its training was finished and is kept: the same command reads it back."


def _addresses(page: str) -> list[str]:
    """Every src, href or script of an HTML page that is not inline, and any CSS import."""
    found = re.findall(r"@import|url\(", page)

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.extend([tag] * (tag in ("script", "link", "iframe")))
            found.extend(v for k, v in attributes if k in ("src", "href") and not v.startswith(("#", "data:")))

    Reader().feed(page)
    return found


def test_the_kernel_is_this_interpreter_whatever_is_installed(make_lesson, tmp_path, monkeypatch):
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["no-such-program", "{connection_file}"], "display_name": "Broken", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (result,) = runner.run([make_lesson("00_a", "1 + 1")], out=tmp_path / "out")
    assert result.status == "ok", result


def test_parameters_reach_the_lesson(make_lesson, tmp_path):
    own = make_lesson(
        "00_own",
        RECORD + "record('steps', steps); record('mode', profile)",
        parameters='profile = "quick"\nseed = 0\nsteps = 10',
    )
    plain = make_lesson("01_plain", RECORD + "record('seed', seed)")
    first, second = runner.run([own, plain], "full", {"steps": 3, "seed": 7}, tmp_path / "out")
    assert {name: r.value for name, r in first.records.items()} == {"steps": 3, "mode": "full"}
    assert second.status == "ok" and second.records["seed"].value == 7


def test_a_lesson_that_shows_a_malformed_record_fails_in_that_cell(make_lesson, tmp_path):
    shown = "from IPython.display import display\nfrom lora_lessons.course.records import MIME\n"
    broken = make_lesson("00_a", "fine = 1", shown + "display({MIME: [{'name': 'loss'}]}, raw=True)")
    (result,) = runner.run([broken], out=tmp_path / "out", judge=False)
    assert (result.status, result.error.cell) == ("failed", 4) and "shows as a record is none" in result.error.message
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
@pytest.mark.parametrize(
    ("ctrl_c", "stop", "at_once"),
    [(signal.SIG_IGN, signal.SIGTERM, 1), (signal.SIG_DFL, signal.SIGINT, 2)],
    ids=["SIGTERM in the background", "Ctrl-C to two at once"],
)
def test_stopped_it_keeps_what_there_is(ctrl_c, stop, at_once, make_lesson, course, tmp_path):
    make_lesson("00_a", RECORD + "record('x', 1)")
    slow = "import time\nopen('started_{}', 'w').close()\ntime.sleep(120)"
    for name in (names := ["01_slow", "02_slow"]):
        make_lesson(name, RECORD + "record('y', 2)", slow.format(name))  # a cell's records are stored when it is done
    make_lesson("03_c")
    command = [sys.executable, "-m", "lora_tools.cli", "run", "--out", str(tmp_path / "out")]
    command += ["--at-once", str(at_once)]
    said = tmp_path / "said.txt"
    with open(said, "w") as file:
        process = subprocess.Popen(
            command,
            start_new_session=True,
            stdout=file,
            stderr=file,
            preexec_fn=partial(signal.signal, signal.SIGINT, ctrl_c),
        )
    deadline = time.monotonic() + 240
    while not all((course / "notebooks" / f"started_{name}").exists() for name in names[:at_once]):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    kernels = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(stop)
    assert process.wait(240) == 130
    assert said.read_text().endswith("Stopped.\n") and "Traceback" not in said.read_text()
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    ended = {one["lesson"]: one["status"] for one in stored["lessons"]}
    assert ended == {"00_a": "ok"} | dict.fromkeys(names[:at_once], "interrupted")
    assert stored["not_run"] == [*names[at_once:], "03_c"]
    assert all(one["records"]["y"]["value"] == 2 for one in stored["lessons"][1:])
    assert kernels and psutil.wait_procs(kernels, timeout=120)[1] == []


def test_a_fresh_run_trains_again(tiny_model, tmp_path, monkeypatch):
    """Else the minutes in a baseline would be those of a run read back from the cache."""
    import torch

    from lora_lessons import lora, tasks

    example = tasks.Encoded(torch.tensor([5, 6, 7, 2]), torch.tensor([5, 6, 7, 2]))
    settings = training.Settings(steps=1, batch_size=1, warmup=0)

    def reused() -> bool:
        lora.detach(tiny_model)
        lora.attach(tiny_model, r=2)
        return training.train(tiny_model, [example], settings, run_dir=tmp_path / "run").reused

    assert [reused(), reused()] == [False, True]
    monkeypatch.setenv("LORA_LESSONS_FRESH", "1")
    assert not reused()
