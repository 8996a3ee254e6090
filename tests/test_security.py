"""SECURITY.md, held to: what others give is read as data, starts no download,
and nothing is heard beyond this machine."""

import ast
import json
import os
import pickle
import re
import socket
import subprocess
import sys
from unittest.mock import Mock

import psutil
import pytest
import torch
import zmq
from tiny_folders import make_folder

from lora_lessons import lora, memory, models
from lora_lessons.adapter import read_adapter, save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.llamacpp import compute
from lora_lessons.models import hub
from lora_lessons.paths import course_root
from lora_tools.exporting import gguf

PACKAGES = [course_root() / name for name in ("lora_lessons", "lora_tools")]

# Called by this name, each runs what it is given, or unpacks a pickle.
RUNS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "torch.load",
    "torch.hub.load",
    "joblib.load",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "marshal.loads",
    "runpy.run_path",
    "yaml.load",
    "yaml.unsafe_load",
    # JupyterLab runs the scripts in what these show.
    "HTML",
    "Markdown",
}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy"}
ALLOWED = {
    # The learner's own class, in the learner's own kernel, to see whether it runs alone.
    ("course/own_code.py", "exec(…)"),
    # A student's answer, in a process that is held in; and the raising of an error that is told apart from ours.
    ("marking/cells.py", "exec(…)"),
    ("marking/confined.py", "exec(…)"),
    ("marking/values.py", "exec(…)"),
    # Every set-up cell: in Colab it runs colab.py of the clone that it has just made.
    ("a notebook", "import runpy"),
    ("a notebook", "runpy.run_path(…)"),
    # What is put into it goes through `outside`; the other two show the course's own words.
    ("drawing.py", "Markdown(…)"),
    ("course/claims.py", "HTML(…)"),
    ("course/exercises.py", "HTML(…)"),
    ("course/lesson.py", "HTML(…)"),
    ("course/syllabus.py", "HTML(…)"),
    ("lessons/__init__.py", "HTML(…)"),
}


def dangers(tree):
    """(line, what) of everything in a module that runs code or unpacks a pickle that it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {a.name}") for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES and not node.level:
            yield node.lineno, f"import {node.module}"
        elif isinstance(node, ast.Call):
            named = ast.unparse(node.func)
            if named in RUNS:
                yield node.lineno, f"{named}(…)"
            given = {word.arg: word.value for word in node.keywords if word.arg}
            for name, safe in (("shell", False), ("trust_remote_code", False), ("allow_pickle", False)):
                if name in given and getattr(given[name], "value", None) is not safe:
                    yield node.lineno, f"{name}={ast.unparse(given[name])}"
            unsaid = "trust_remote_code" not in given
            if named.startswith("Auto") and named.endswith((".from_pretrained", ".from_config")) and unsaid:
                yield node.lineno, f"{named} without trust_remote_code=False"


def sources():
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            yield path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((course_root() / "notebooks").rglob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        yield "a notebook", re.sub(r"^(\s*)[!%].*$", r"\1pass", "\n".join(code), flags=re.M)


def test_no_pickle_no_remote_code_and_no_shell_is_reachable():
    found = [(file, what) for file, text in sources() for _, what in dangers(ast.parse(text))]
    assert set(found) - ALLOWED == set()
    assert set(found) >= ALLOWED, "an exception that is no longer needed"


@pytest.mark.parametrize(
    "planted, dangerous",
    [
        ("torch.load(file)", True),
        ("import pickle", True),
        ("from dill import loads", True),
        ("eval(text)", True),
        ("exec(text, {})", True),
        ("os.system(line)", True),
        ("subprocess.run(line, shell=True)", True),
        ("AutoModel.from_pretrained(x, trust_remote_code=True)", True),
        ("AutoModel.from_pretrained(x, trust_remote_code=said)", True),
        ("AutoTokenizer.from_pretrained(x)", True),
        ("display(Markdown(text))", True),
        ("np.load(file, allow_pickle=True)", True),
        ("model.eval()", False),
        ("np.load(f)", False),
        ("subprocess.run([x], shell=False)", False),
        ("AutoModel.from_pretrained(x, trust_remote_code=False)", False),
    ],
)
def test_the_search_finds_what_is_planted_and_nothing_harmless(planted, dangerous):
    assert bool(list(dangers(ast.parse(planted)))) == dangerous


def test_no_widget_makes_elements_of_text():
    makes = re.compile(
        r"(inner|outer)HTML\s*\+?=|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|eval\("
    )
    scripts = [path for package in PACKAGES for path in package.rglob("*.js")]
    assert scripts and [path.name for path in scripts if makes.search(path.read_text(encoding="utf-8"))] == []


class Bomb(str):
    """Where it leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return open, (str(self), "w")


def test_a_pickle_is_never_unpacked(tmp_path, tiny_model):
    """In a base's folder, and in an adapter's."""
    marker, base, adapter = tmp_path / "went off", tmp_path / "base", tmp_path / "adapter"
    make_folder(base)
    for weights in base.glob("*.safetensors*"):
        weights.unlink()
    lora.attach(tiny_model, r=2)
    save_adapter(tiny_model, adapter)
    (adapter / "adapter_model.safetensors").unlink()
    bomb = pickle.dumps(Bomb(marker))
    for file in (base / "pytorch_model.bin", base / "model.safetensors.bin", adapter / "adapter_model.bin"):
        file.write_bytes(bomb)
    for load in (models.load, models.folder, gguf.open_base, lambda folder: models.load(folder, "nf4", "cpu")):
        with pytest.raises(ModelError, match="safetensors"):
            load(base)
    with pytest.raises(FileNotFoundError, match="is a pickle"):
        read_adapter(adapter)
    for folder, name in ((base, "model.safetensors"), (adapter, "adapter_model.safetensors")):
        (folder / name).write_bytes(bomb)  # by another name
    with pytest.raises(ModelError):
        models.load(base)
    with pytest.raises(ValueError, match="damaged"):
        read_adapter(adapter)
    assert not marker.exists()
    pickle.loads(bomb).close()
    assert marker.exists(), "the bomb is a bomb"


def with_code(tmp_path, model_type):
    """A base's folder which brings code of its own, and the file that whatever imports it leaves."""
    folder, marker = make_folder(tmp_path / model_type), tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\n" + "".join(f"class {n}: pass\n" for n in ("Config", "Model", "Tokenizer"))
    (folder / "theirs.py").write_text(code)
    config = json.loads((folder / "config.json").read_text()) | {
        "model_type": model_type,
        "auto_map": {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    about = {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["theirs.Tokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder, marker


LOADERS = {
    "load": models.load,
    "4 bits": lambda folder: models.load(folder, "nf4", "cpu", torch.float32),
    "export": gguf.checked_base,
    "plan": lambda folder: memory.predict(memory.shape_of(folder), memory.Job("lora", 4, seq=8)),
}


@pytest.mark.parametrize("model_type", ["theirs", "llama"])
@pytest.mark.parametrize("name", LOADERS)
def test_code_that_a_folder_brings_never_runs(name, model_type, tmp_path, monkeypatch):
    """Of a family that transformers does not know, the model is refused; of one that it knows,
    its own class is used."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks whether to run the code"))
    folder, marker = with_code(tmp_path, model_type)
    if name == "plan" and model_type == "llama":
        LOADERS[name](folder)  # it reads the sizes alone
    else:
        with pytest.raises(ModelError):
            LOADERS[name](folder)
    assert not marker.exists() and "theirs" not in sys.modules


def test_an_adapter_starts_no_download_by_the_base_that_it_names(tmp_path, tiny_model, monkeypatch, capsys):
    from lora_tools import cli

    lora.attach(tiny_model, r=2)
    adapter = save_adapter(tiny_model, tmp_path / "theirs", base_name="somebody/their-model")
    asked = []  # by whoever turns to the network

    def refused(self, address):
        asked.append(address)
        raise ConnectionRefusedError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(models.loading, "fetch", lambda name: asked.append(name) or make_folder(tmp_path / "fetched"))
    for verb in ("gguf", "ollama", "formats"):
        assert cli.main(["export", verb, str(adapter), "--out", str(tmp_path / "out")]) == cli.EXIT_USER
        said = capsys.readouterr().err
        assert "somebody/their-model" in said and "Nothing is fetched" in said
        assert "--base somebody/their-model" in said and said.count("\n") == 1
    assert asked == [] and not (tmp_path / "out").exists()
    assert gguf.adapter_and_base(adapter, "somebody/their-model")[1] == tmp_path / "fetched"
    assert asked == ["somebody/their-model"], "named by the user, it is fetched"


def test_of_a_hub_model_no_pickle_and_no_code_is_fetched(monkeypatch, tmp_path):
    import fnmatch

    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    patterns = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Mock(side_effect=EntryNotFoundError("no index")))
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda _, allow_patterns: patterns.extend(allow_patterns) or str(tmp_path)
    )
    hub.fetch("somebody/their-model")
    offered = ["pytorch_model.bin", "model.pt", "modeling_theirs.py", "training_args.bin", "x.pkl", "x.so", "x.ckpt"]
    assert not [name for name in offered if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    assert any(fnmatch.fnmatch("model.safetensors", pattern) for pattern in patterns)


def test_a_lessons_kernel_listens_to_its_owner_alone(make_lesson, tmp_path):
    """It is addressed through a folder that nobody else may open, and what is sent to it is signed."""
    from lora_lessons.run import runner

    cell = (
        "import psutil, json\nfrom ipykernel.connect import get_connection_info\n"
        "heard = {c.laddr.ip for c in psutil.Process().net_connections('inet') if c.status == 'LISTEN'}\n"
        "print(json.dumps([sorted(heard), json.loads(get_connection_info())]))"
    )
    (result,) = runner.run([make_lesson("00_a", cell)], out=tmp_path / "out")
    heard, address = json.loads(result.notebook.cells[-1].outputs[0].text)
    assert heard in (["127.0.0.1"], []), "ipykernel's own pipe for what a subprocess prints"
    assert (
        address["transport"] == ("ipc" if os.name == "posix" and zmq.has("ipc") else "tcp")
        and len(address["key"]) >= 32
    )


def test_llama_cpps_token_is_on_no_command_line(monkeypatch):
    """Every user of a machine can read those. It is read while the worker waits for its job: it ends soon after."""
    launch, words = subprocess.Popen, []

    def launched(*args, **how):
        worker = launch(*args, **how)
        while worker.poll() is None and not words:  # a process that is being made has no words yet
            words.extend(psutil.Process(worker.pid).cmdline())
        return worker

    monkeypatch.setattr(compute.subprocess, "Popen", launched)
    job = {"job": "serve", "token": "a secret", "base": "none", "adapters": []}
    with open(os.devnull, "w+b") as chatter:
        worker = compute.start(job | {"context": 8, "threads": 1, "exact": False}, chatter)
        worker.kill()
        worker.communicate()
    assert compute.WORKER in words and not [word for word in words if "secret" in word]


def test_the_page_names_every_danger_that_it_answers():
    page = (course_root() / "SECURITY.md").read_text(encoding="utf-8")
    words = ("Adapters", "base folders", "GGUF", "hub", "Training files", "notebook", "127.0.0.1", "token", "Reporting")
    for word in words:
        assert word in page, word
    assert len(page.split()) < 450, "half a page"
    assert "tests/test_security.py" in page
