"""The command: light to start, and one sentence for whatever a user can mend."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lora_lessons import __version__
from lora_lessons.errors import ModelError
from lora_lessons.paths import course_root
from lora_lessons.run import doctor
from lora_tools import cli
from workshop.__main__ import main as workshop

HEAVY = ["torch", "transformers", "peft", "matplotlib", "papermill", "nbformat", "numpy", "IPython"]


MAIN = "from lora_tools.cli import main; main"


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import lora_lessons", []),
        (f"{MAIN}(['--help'])", []),
        (f"{MAIN}(['symptom', 'loss falls, answers unchanged'])", []),
        (f"{MAIN}(['check', {str(course_root() / 'data' / 'persona' / 'train.jsonl')!r}])", ["numpy"]),
    ],
    ids=["import", "help", "symptom", "check"],
)
def test_a_verb_imports_nothing_heavy_that_it_does_not_need(code, loaded):
    look = (
        f"import sys\ntry:\n {code}\nexcept SystemExit: pass\nprint('LOADED', "
        f"*(m for m in {HEAVY} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["LOADED", *loaded]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "00_aa"], "no lesson is called '00_aa'. Did you mean 00_a?"),
        (["run", "00", "-p", "setps", "3"], "'setps' is not a parameter of 00_a; there are: profile, seed."),
        (["run", "--update-baselines", "-p", "seed", "3"], "leave out -p"),
        (["run", "--update-baselines", "--seeds", "0"], "--seeds is the number of seeds to run"),
        (["swep"], "No such command 'swep'. Did you mean 'sweep'? `lora-lessons --help` says"),
        (["plan"], "Missing argument 'MODEL'. `lora-lessons plan --help` says"),
        (["sweep", "--stepz", "1"], "No such option: --stepz (Possible options: --help, --seed, --steps)"),
        (
            ["bench", "memry"],
            "'memry' is not one of 'train', 'memory'. `lora-lessons bench --help` says",
        ),
        (["run", "00", "--profile", "slow"], "'--profile': 'slow' is not one of 'quick', 'full'. `lora-lessons run"),
        (["run", "-p", "steps"], "-p steps: give the parameter's name and its value, such as -p steps 12."),
        (["export", "gguf", "there"], "Missing option '--out'. `lora-lessons export gguf --help` says"),
        (["doctor", "--", "--port", "1"], "only `lora-lessons lab` passes on what follows --: leave it out."),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(make_lesson, refused, words, sentence):
    make_lesson("00_a")
    refused(words, sentence)


def test_help_stands_beside_every_verb_and_is_no_error(capsys):
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out == f"lora-lessons {__version__}\n"
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    verbs = re.findall(r"^  ([a-z][a-z-]+)  ", overview, re.M)
    assert {"run", "lab", "plan", "sweep", "export"} <= set(verbs) and "..." not in overview.partition("Commands:")[2]
    assert workshop(["--help"]) == 0
    for_maintainers = re.findall(r"^  ([a-z][a-z-]+)  ", capsys.readouterr().out, re.M)
    assert {"site", "readme", "new-lesson"} <= set(for_maintainers) and not {*verbs} & {*for_maintainers}
    for main, program, each in ((cli.main, "lora-lessons", verbs), (workshop, "python -m workshop", for_maintainers)):
        for verb in each:
            assert main([verb, "--help"]) == 0
            assert capsys.readouterr().out.startswith(f"Usage: {program} {verb} ")


@pytest.mark.parametrize(
    ("error", "status", "said"), [(KeyboardInterrupt, 130, "Stopped.\n"), (BrokenPipeError, 0, "")]
)
def test_an_interruption_and_a_reader_who_left_are_no_tracebacks(error, status, said):
    """In a process of its own, since a broken pipe closes the output."""
    code = (
        "import sys\nfrom lora_tools import cli\nfrom lora_lessons.run import doctor\n"
        f"def stops(): raise {error.__name__}\n"
        "doctor.examine = stops\nsys.exit(cli.main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, said)


def test_a_model_error_is_one_sentence_and_a_bug_is_not(monkeypatch, capsys):
    def fails(error):
        monkeypatch.setattr(doctor, "examine", lambda: (_ for _ in ()).throw(error))

    fails(ModelError("there is no such base: name another."))
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "lora-lessons: there is no such base: name another.\n"
    for full in (
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    ):
        fails(full)
        assert cli.main(["doctor"]) == 3 and "memory ran out: close" in capsys.readouterr().err
    fails(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["doctor"])
