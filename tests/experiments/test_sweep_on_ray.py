"""A sweep as Ray's tasks: the plain sweep's table, whoever is killed; bad runs stopped early; nothing left behind."""

import ipaddress
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from textwrap import indent

import nbformat
import psutil
import pytest
from reliability.commands import _TRAINS, _TRIAL
from short_run import until

from lora_lessons.experiments import sweep as swept
from lora_tools import cli, sweep
from lora_tools.cluster import ray as cluster
from lora_tools.cluster.ray import Share
from lora_tools.sweep import room

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
ROOT = Path(__file__).resolve().parents[2]
TOO_BUSY = "NOT TESTED HERE: Ray gives its own processes half a minute to start, and this machine is too busy for that"

# It waits or breaks where a file says so. Runs of 16 steps train the reliability tests' tiny model,
# others only make numbers.
CONTROL = """import os, time
from pathlib import Path
with open("calls", "a") as calls:
    calls.write(f"{r} {seed} {os.getppid()}\\n")
while Path(f"hold-{r}-{seed}").exists():
    time.sleep(0.05)
if Path(f"break-{r}").exists():
    raise MemoryError("too large")
"""
CHEAP = """from lora_lessons.course.records import record
measured = {"scale": lora_alpha / r, "trainable": 10 * r, "loss.held_out": 3 + r / 7, "update.relative": r / 90}
for name, value in measured.items():
    record(name, value)
record("train.losses", f"5.0 {4 + r / 3!r}")
record("train.seconds", 0.5, "s", volatile=True)
"""
TRAINS = "from lora_lessons.course.live import LossCurve, Rungs\n" + _TRAINS.replace(
    "seed=seed, ", "seed=seed, learning_rate=learning_rate, warmup=1, "
).replace("run_dir=checkpoints", "run_dir=checkpoints, on_step=Rungs(allowed) if allowed else LossCurve()")
STAND_IN = f"{CONTROL}if steps == 16:\n{indent(TRAINS, '    ')}\nelse:\n{indent(CHEAP, '    ')}"


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """The folder of the stand-in, in a course of its own that this process and all that it
    starts take for the real one."""
    root = tmp_path_factory.mktemp("course")
    folder = root / "notebooks" / "experiments"
    folder.mkdir(parents=True)
    (root / "data").mkdir()
    first = nbformat.v4.new_code_cell(_TRIAL + '\nallowed = ""', metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[first, nbformat.v4.new_code_cell(STAND_IN)])
    nbformat.write(notebook, folder / "train_adapter.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_LESSONS_ROOT", str(root))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        # else each of Ray's seven processes compiles its modules anew, and Ray waits for them 15 seconds at most
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setattr(room, "RUN_BYTES", 5 * 10**8)  # bytes: the tiny model's, so that two fit wherever these tests run
        yield folder


@pytest.fixture(scope="module")
def started(experiments):
    """One Ray for the tests of this module: a sweep uses what its process has already."""
    with ExitStack() as stack:
        try:
            stack.enter_context(cluster.running("", Share(1, 10**9), 2))
        except ValueError as error:
            pytest.skip(f"{TOO_BUSY}: {error}")
        yield


@pytest.fixture
def course(experiments):
    """The stand-in's folder, with no file in it that says what should happen."""
    for file in experiments.iterdir():
        if file.suffix != ".ipynb":
            file.unlink()
    return experiments


def calls(course):
    """(r, seed) of every run that began, in order."""
    lines = (course / "calls").read_text().splitlines()
    return [tuple(map(int, line.split()[:2])) for line in lines]


def numbers(rows):
    """What the table says, without what differs between any two runs."""
    return [{name: row[name] for name in swept.COLUMNS if name not in ("seconds", "date", "machine")} for row in rows]


@contextmanager
def killing(course, r):
    """While the block runs: the worker whose run of rank `r` has begun, and waits, is killed; then nobody waits."""
    held = course / f"hold-{r}-0"
    held.touch()

    def kill():
        begun = until(lambda: (course / "calls").is_file() and re.search(rf"^{r} 0 (\d+)$", read(), re.M))
        os.kill(int(begun[1]), signal.SIGKILL)
        held.unlink()

    read, killer = (course / "calls").read_text, threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()


TRIALS = swept.grid([1, 2, 4], ["2x"], 1, steps=12)


@pytest.fixture(scope="module")
def plain(experiments, tmp_path_factory):
    """The same trials, one after another."""
    return sweep.run(TRIALS, tmp_path_factory.mktemp("plain"))


def test_ray_makes_the_plain_table_and_a_failed_run_is_recorded_as_such(course, started, plain, tmp_path, capfd):
    (course / "break-2").touch()
    rows = sweep.run(TRIALS, tmp_path, ray=sweep.Ray(at_once=2))
    told = capfd.readouterr()
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert "MemoryError: too large" in rows[1]["error"] and f"{TRIALS[1].name}: failed: cell 2" in told.out
    assert numbers([rows[0], rows[2]]) == numbers([plain[0], plain[2]])
    assert f"{TRIALS[0].name}, {TRIALS[1].name}" in told.err, "the screen says which are running"
    assert "3/3" in told.err and "1 threads and 0.5 GB each" in told.out

    (course / "break-2").unlink()
    (course / "calls").unlink()
    rows = sweep.run(TRIALS, tmp_path, resume=True)
    assert numbers(rows) == numbers(plain) and calls(course) == [(2, 0)], "begun with Ray, ended plainly"
    assert (tmp_path / swept.TABLE).is_file() and len(swept.read_table(tmp_path / swept.TABLE)) == 3


def test_a_run_whose_worker_is_killed_is_trained_again_once_and_to_the_same_numbers(course, started, plain, tmp_path):
    sweep.run(TRIALS[:1], tmp_path)
    with killing(course, 2):
        rows = sweep.run(TRIALS, tmp_path, resume=True, ray=sweep.Ray(at_once=2))
    assert numbers(rows) == numbers(plain), "begun plainly, ended with Ray: none lost, none doubled"
    assert sorted(calls(course)) == [(1, 0), (2, 0), (2, 0), (4, 0)]
    assert len(list(tmp_path.glob("runs/*"))) == 3 and not list(tmp_path.glob("runs/*/checkpoints"))


def test_a_run_whose_worker_always_dies_is_a_failed_run(course, started, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "TRIES", 1)
    with killing(course, 1):
        (row,) = sweep.run(TRIALS[:1], tmp_path, ray=sweep.Ray(at_once=1))
    assert row["status"] == "failed" and "killed each of 1" in row["error"]


@pytest.mark.reliability
def test_a_bad_run_is_stopped_early_and_the_best_is_the_plain_sweeps_best(course, started, tmp_path, capfd):
    trials = swept.grid([4], ["2x"], 1, learning_rates=[1e-2, 3e-2, 0.9], steps=16)
    whole = sweep.run(trials, tmp_path / "plain")
    (course / "calls").unlink()
    how = sweep.Ray(at_once=1, stop_early=True)
    rows = sweep.run(trials, tmp_path / "early", ray=how)
    stopped = [row for row in rows if row["status"] == swept.STOPPED]
    ended = [row for row in rows if row["status"] == "ok"]
    assert {row["learning_rate"] for row in stopped} >= {0.9} and len(stopped) + len(ended) == 3
    best = min(whole, key=lambda row: row["loss_held_out"])
    assert numbers([best])[0] in numbers(ended), "it was trained to the end, to the plain run's numbers"
    assert min(ended, key=lambda row: row["loss_held_out"])["name"] == best["name"]

    kept = swept.read_table(tmp_path / "early" / swept.TABLE)
    assert {swept.trial_of(row).name for row in kept} == {row["name"] for row in ended}
    for row in stopped:
        step = len(row["train_losses"].split())
        (same,) = [other for other in whole if other["name"] == row["name"]]
        assert step in (4, 8) and row["error"] == f"stopped early, after step {step} of 16"
        assert [float(loss) for loss in row["train_losses"].split()] == pytest.approx(
            [float(loss) for loss in same["train_losses"].split()[:step]], abs=1e-4
        )
    untrained = sum(16 - len(row["train_losses"].split()) for row in stopped)
    said = sweep.saved(rows)
    assert f"{len(stopped)} of 3 runs were stopped early: {untrained} of 48 steps" in said and best["name"] in said
    assert "stopped early, after step" in capfd.readouterr().out

    (course / "calls").unlink()
    assert numbers_and(sweep.run(trials, tmp_path / "early", resume=True, ray=how)) == numbers_and(rows)
    assert not (course / "calls").exists(), "stopped runs stay stopped while the sweep stops early"
    rows = sweep.run(trials, tmp_path / "early", resume=True)
    assert numbers(rows) == numbers(whole), "a plain sweep trains them to their ends"
    assert len(calls(course)) == len(stopped)


def numbers_and(rows):
    return [(row["name"], row["status"], row["train_losses"]) for row in rows]


# ---- the command: it starts Ray and ends it ----


def command(course, out, *words):
    """The command in a process of its own, which takes Ctrl-C as a terminal's does."""
    begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    begin += "from lora_tools.sweep import room; room.RUN_BYTES = 5 * 10**8; "
    begin += "from lora_tools import cli; sys.exit(cli.main(sys.argv[1:]))"
    given = ["sweep", "--seed", "0", "--steps", "12", "--out", str(out), "--ray", *words]
    return subprocess.Popen(
        [sys.executable, "-c", begin, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def told_by(processes, what):
    """What each process says of itself: Ray ends a worker that has nothing to do at any time,
    and then it says nothing."""
    found = {}
    for process in processes:
        with suppress(psutil.Error):
            found[process] = getattr(process, what)()
    return found


def listening(processes):
    """The addresses at which these processes can be reached."""
    every = (one for connections in told_by(processes, "net_connections").values() for one in connections)
    return {one.laddr.ip.removeprefix("::ffff:") for one in every if one.status == psutil.CONN_LISTEN}


def test_nothing_is_left_of_a_ray_that_the_command_started(course, tmp_path):
    (course / "hold-2-0").touch()
    running = command(course, tmp_path / "out", "--r", "1,2,4", "--at-once", "2")
    try:
        until(lambda: len(list(tmp_path.glob("out/runs/*/result.json"))) == 2 or running.poll() is not None)
        if running.poll() is not None and "Ray could not be started" in (said := running.communicate()[0]):
            pytest.skip(f"{TOO_BUSY}: {said}")
        family = psutil.Process(running.pid).children(recursive=True)
        called, words_of = told_by(family, "name"), told_by(family, "cmdline")
        assert {"raylet", "gcs_server"} <= set(called.values())
        assert all(ipaddress.ip_address(address).is_loopback for address in listening(family))
        (raylet,) = (process for process, name in called.items() if name == "raylet")
        told = raylet.environ()
        assert told["RAY_AUTH_MODE"] == "token" and told["RAY_USAGE_STATS_ENABLED"] == "0"
        pages = [words for words in words_of.values() if "dashboard.py" in " ".join(words)]
        assert all("--disable-frontend" in words for words in pages)
        running.send_signal(signal.SIGTERM)  # which the command takes as it takes Ctrl-C
        said, _ = running.communicate(timeout=600)
    finally:
        running.kill()
    assert running.returncode == 130 and "Traceback" not in said, said
    _, left = psutil.wait_procs(family, timeout=60)
    assert left == []


# ---- what is said in one sentence ----


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--stop-early"], "--stop-early goes with --ray: add it, or leave this out."),
        (["--at-once", "2"], "--at-once goes with --ray"),
        (["10.0.0.5:6379"], "the address 10.0.0.5:6379 goes with --ray"),
        (["--ray", "--at-once", "0"], "--at-once 0: give a whole number of at least 1."),
        (["--ray", "--at-once", "100000"], "--at-once 100000: this machine has room for "),
    ],
)
def test_what_cannot_be_is_one_sentence(course, tmp_path, capsys, words, sentence):
    assert cli.main(["sweep", "--r", "1", "--out", str(tmp_path / "out"), *words]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "lora-lessons" in line]
    assert len(said) == 1 and sentence in said[0]


def test_a_cluster_that_does_not_answer_is_one_sentence(course, tmp_path):
    words = ["sweep", "--r", "1", "--out", str(tmp_path / "out"), "--ray", "127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-m", "lora_tools.cli", *words], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "lora-lessons" in line]
    assert done.returncode == 2 and len(said) == 1 and "no Ray answers at 127.0.0.1:1 (" in said[0], done.stderr
    with pytest.raises(ValueError, match="ray://somewhere:10001 is no address of Ray: give HOST:PORT"):
        cluster._join("ray://somewhere:10001")


def test_a_process_that_has_a_ray_joins_no_other(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    here = pytest.raises(ValueError, match="leave out 10.0.0.5:6379")
    with here, cluster.running("10.0.0.5:6379", Share(1, 10**9), 1):
        pass


def test_without_ray_one_sentence_names_the_extra(course, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.main(["sweep", "--ray", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "lora-lessons: Ray is not installed: pip install 'lora-lessons[cluster]', or leave out --ray.\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_run_gets_a_core_and_no_more_run_than_memory_holds(monkeypatch):
    class Memory:
        total = available = 10.5e9

    monkeypatch.setattr(room, "RUN_BYTES", 3 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert room.share_out(TRIALS, None, here=True) == ((1, room.RUN_BYTES, 0), 3)
    assert room.share_out(TRIALS, 2, here=True) == ((4, room.RUN_BYTES, 0), 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert room.share_out(TRIALS, None, here=True) == ((4, room.RUN_BYTES, 0), 2)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert room.share_out(TRIALS, None, here=True) == ((4, room.RUN_BYTES, 1), 2)
    with pytest.raises(ValueError, match="machine has 2 cards"):
        room.share_out(TRIALS, 3, here=True)
    assert Share(4, 2 * 10**9).fits({"CPU": 9.0, "memory": 3e9}) == 1
