"""Environments of their own for the tools: made whole or not at all, reused, and made anew for other pins."""

import zipfile

import pytest
from packaging.requirements import Requirement
from two_layers import in_environment

from lora_lessons.errors import ModelError
from lora_tools.exporting.formats import environments


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the only index there is, a cache of our own, and a writer of packages for it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "LORA_LESSONS_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)

    def publish(name, version):
        about = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"__version__ = {version!r}\n")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")

    return publish


def want(monkeypatch, *packages, disk=1000):
    monkeypatch.setattr(environments, "ENVIRONMENTS", {"small": environments.Environment(packages, 1000, disk)})


def test_every_package_is_pinned_exactly_and_torch_comes_from_below():
    for wanted in environments.ENVIRONMENTS.values():
        pins = [Requirement(package) for package in wanted.packages]
        assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins)
        assert not {pin.name for pin in pins} & {"torch", "triton", "numpy"}
        assert set(wanted.sources) <= {pin.name for pin in pins}


def test_an_environment_has_its_own_versions_then_the_courses_and_nothing_of_ours(index, monkeypatch, capsys):
    index("tqdm", "99.0")  # the course has another
    want(monkeypatch, "tqdm==99.0")
    python = environments.python("small")
    assert in_environment(python, "import tqdm; print(tqdm.__version__)") == "99.0"
    spec = "import importlib.util as u; print(u.find_spec('{}') is not None)"
    assert in_environment(python, spec.format("torch")) == "True"
    assert in_environment(python, spec.format("lora_lessons")) == "False"
    assert "fetch" in capsys.readouterr().err


def test_a_complete_environment_is_reused_and_other_pins_make_it_anew(index, monkeypatch, capsys):
    index("one", "1.0"), index("one", "2.0")
    want(monkeypatch, "one==1.0")
    environments.python("small")
    capsys.readouterr()
    environments.python("small")
    assert capsys.readouterr().err == ""
    want(monkeypatch, "one==2.0")
    assert not environments.ready("small")
    assert in_environment(environments.python("small"), "import one; print(one.__version__)") == "2.0"


def test_a_failed_install_leaves_nothing_and_says_what_to_do(index, monkeypatch):
    want(monkeypatch, "absent==1.0")
    with pytest.raises(ModelError, match=r"absent==1\.0.*Is there a network\?"):
        environments.python("small")
    assert not environments.folder("small").exists()


def test_a_stopped_install_leaves_nothing(index, monkeypatch):
    index("one", "1.0")
    want(monkeypatch, "one==1.0")
    real = environments._run

    def stopped(command, what):
        if "pip" in what:
            assert environments.folder("small").exists()
            raise KeyboardInterrupt
        real(command, what)

    monkeypatch.setattr(environments, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        environments.python("small")
    assert not environments.folder("small").exists()


def test_what_a_killed_install_left_is_made_again(index, monkeypatch):
    index("one", "1.0")
    want(monkeypatch, "one==1.0")
    environments.folder("small").mkdir(parents=True)
    (environments.folder("small") / "half").touch()
    assert not environments.ready("small")
    assert in_environment(environments.python("small"), "import one; print(one.__version__)") == "1.0"
    assert not (environments.folder("small") / "half").exists()


def test_too_little_disk_is_said_before_anything_is_fetched(index, monkeypatch):
    want(monkeypatch, "one==1.0", disk=10**18)
    with pytest.raises(ModelError, match="MB is free: make room"):
        environments.python("small")


def test_an_unknown_environment_is_refused():
    with pytest.raises(ValueError, match="choose from gptq-awq, hqq"):
        environments.folder("nothing")
