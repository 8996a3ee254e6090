"""SHA256SUMS: what is noted is checked, as sha256sum itself would;
and the course's own adapters are what was shipped."""

import shutil
import subprocess

import pytest

from lora_lessons import sums
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter
from lora_lessons.paths import course_root

SHIPPED = course_root() / "data" / "adapters"


@pytest.fixture
def folder(tmp_path):
    """A folder with two files that are noted, and one that is not."""
    (tmp_path / "b").mkdir()
    for name in ("a.json", "b/weights", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode() * 50)
    sums.write_sums(tmp_path, ["b/weights", "a.json"])
    return tmp_path


def test_what_is_noted_is_checked_and_the_rest_is_free(folder):
    assert sums.damaged(folder) == []
    (folder / "notes.txt").write_text("changed")
    assert sums.damaged(folder) == []
    (folder / "a.json").unlink()
    (folder / "b" / "weights").write_bytes(b"another")
    assert sums.damaged(folder) == ["a.json", "b/weights"] and sums.damaged(folder, "b/") == ["b/weights"]
    sums.write_sums(folder, ["b/weights"])
    assert sums.damaged(folder) == ["a.json"], "noting one file does not forgive another"
    (folder / sums.SUMS).unlink()
    assert sums.damaged(folder) == []


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="this system has no sha256sum")
@pytest.mark.parametrize("place", [None, SHIPPED], ids=["written here", "shipped"])
def test_sha256sum_reads_it_and_agrees(folder, place):
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", sums.SUMS], cwd=place or folder, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.count(": OK") == (8 if place else 2), done.stdout + done.stderr


def test_every_shipped_adapter_is_noted_and_is_what_was_shipped():
    files = {f"{place.parent.name}/{place.name}" for place in SHIPPED.glob("*/adapter_*")}
    assert len(files) == 8 and {name for _, name in sums._noted(SHIPPED)} == files
    assert sums.damaged(SHIPPED) == [], "after a new recording: cd data/adapters && sha256sum */adapter_* > SHA256SUMS"


@pytest.mark.parametrize("name", [ADAPTER_CONFIG, ADAPTER_WEIGHTS])
def test_a_damaged_shipped_adapter_is_refused_and_a_learners_own_is_not(tmp_path, name):
    for place in ("persona", "mine"):
        shutil.copytree(SHIPPED / "persona", tmp_path / place)
    shutil.copy(SHIPPED / sums.SUMS, tmp_path)
    right = read_adapter(tmp_path / "persona")
    for place in ("persona", "mine"):
        data = (tmp_path / place / name).read_bytes()
        changed = data.replace(b"16", b"61") if name == ADAPTER_CONFIG else data[:-1] + bytes([data[-1] ^ 1])
        assert changed != data
        (tmp_path / place / name).write_bytes(changed)
    with pytest.raises(ValueError, match=f"{name} is not the file that SHA256SUMS beside it names.*Get it again"):
        read_adapter(tmp_path / "persona")
    assert read_adapter(tmp_path / "mine") != right
