"""What every test has: a progress file and a thread count of its own; a tiny model,
and the real base once a session."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built_site import build_once
from reliability.reporting import pytest_addoption as pytest_addoption
from reliability.reporting import pytest_terminal_summary as pytest_terminal_summary
from tiny import make_tiny_model

_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(2, os.cpu_count() or 1) // _workers)))  # before torch is loaded


# What may go to either worker by itself, and takes long;
# lessons 04 and 10 take up the adapter that 03 of the same run kept.
_ALONE = re.compile(r"::test_(?:the_lesson_runs|a_lessons_widgets_move)\w*\[(\d\d)_\w+\]$")
_CHAIN = re.compile(
    r"::test_(?:the_lesson_runs\w*\[(?:03_train_lora|04_peft|10_ship_it)\]|what_was_trained_in_lesson_03\w*)$"
)


def worker_group(nodeid: str) -> str:
    """What must go to the same worker as the test `nodeid`: its file's tests, unless it is a whole lesson."""
    if _CHAIN.search(nodeid):
        return "lessons 03, 04 and 10"
    return nodeid if _ALONE.search(nodeid) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests between workers by `worker_group`."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = worker_group
    return scheduler


# What the quick loop leaves out: whatever starts kernels, servers, browsers or other processes, or trains for long.
_SLOW = re.compile(
    r"tests/(browser|in_workshop/(?:bench|record|site)|tools/cluster|experiments|tools/export|lessons/l08_qlora_7b|"
    r"reliability|sabotage|training|models|lessons/l00_start_here|lessons/l09_adapters)/"
    r"|test_(again|api|wheel|colab|conversations|doctor|every_model|disk_cache|fetching|fit|hall_3|kernel|lab|layers"
    r"|ledger|lessons|likeness|live|my_layer|new_lesson|nf4|ordinary_answers|papers|peft_config|prediction|published"
    r"|replay|rooms|run|runner|terminal|training_speed|workflows)\.py"
)
# A mark on the command line replaces the one of pyproject.toml, which leaves these out.
_ASKED_FOR = {"again", "big", "reliability", "sabotage"}


def is_quick(path: Path, marks: set[str], fixtures: set[str]) -> bool:
    """Whether the test in `path` with these marks and fixtures belongs to the quick loop."""
    return not _SLOW.search(path.as_posix()) and not marks & _ASKED_FOR and "base_fp32" not in fixtures


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick loop does not import what it leaves out: half of its seconds."""
    return (config.option.markexpr == "quick" and bool(_SLOW.search(collection_path.as_posix()))) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left with it at the end; and the quick loop gets its mark."""
    items.sort(key=lambda item: not any(item.iter_markers("long")))
    for item in items:
        if is_quick(item.path, {mark.name for mark in item.iter_markers()}, set(getattr(item, "fixturenames", ()))):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session", autouse=True)
def _own_progress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no process a test starts, touches the learner's progress file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path_factory.mktemp("learner") / "progress.json"))
        yield


@pytest.fixture
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The progress file of a learner who has done nothing yet; code that is kept lies beside it."""
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


@pytest.fixture
def tiny_model() -> Any:
    """A tiny model of one test's own (see make_tiny_model)."""
    return make_tiny_model()


@pytest.fixture(scope="session")
def base_fp32() -> Any:
    """The embedded base in fp32. Shared by the session: take adapters off again, and do not write to its weights."""
    from lora_lessons import models

    return models.load(precision="fp32")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole site, with its widgets, as `python -m workshop site` writes it. Do not write into it."""
    base = tmp_path_factory.getbasetemp()
    return build_once(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course (notebooks/ and data/) that the package takes for the real one."""
    root = tmp_path / "course"
    (root / "notebooks").mkdir(parents=True)
    (root / "data" / "baselines").mkdir(parents=True)
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def make_lesson(course: Path) -> Any:
    """A function that writes a small lesson into the course: a parameters cell, then the cells given."""
    import nbformat

    def make(name: str, *cells: str, parameters: str = 'profile = "quick"\nseed = 0') -> Path:
        first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        code = [nbformat.v4.new_code_cell(source) for source in cells]
        path = course / "notebooks" / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {name}"), first, *code]), path)
        return path

    return make


@pytest.fixture
def no_large_file() -> Iterator[None]:
    """The system takes no more than 1,000 bytes of any file, as a disk that is full."""
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def usual_handler() -> Iterator[None]:
    """Python's own: a process that a shell started in the background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handler is given back"
    signal.signal(signal.SIGINT, before)
