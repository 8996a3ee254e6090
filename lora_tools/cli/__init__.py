"""The command `lora-lessons`. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from lora_lessons import __version__
from lora_lessons.errors import Faults, ModelError, Unavailable, disk_is_full, in_words, memory_ran_out
from lora_lessons.interrupts import sigterm_is_ctrl_c
from lora_lessons.outside import in_line
from lora_lessons.paths import ensure_home

from . import terminal
from .as_json import refusal, schema
from .base import base
from .check import ask, check, inspect, symptom
from .claims import claims
from .export import export
from .options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO, EXIT_OK, EXIT_USER, exit_status, make_variables_absolute
from .plan import cluster, plan
from .run import LessonCommand, doctor, lab, run
from .sweep import bench, sweep
from .teach import copies, mark_class

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_NO", "EXIT_OK", "EXIT_USER", "main", "obey"]

# How a program of ours answers: plainly, and to -h, too.
PLAINLY: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    # a switch with underscores, as in transformers' own programs, is the same
    "context_settings": {
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda one: one.replace("_", "-"),
    },
}
app = typer.Typer(**PLAINLY)
app.command(cls=LessonCommand, epilog=exit_status("run"))(run)
VERBS: list[Callable[..., int]] = [
    *(lab, copies, mark_class, plan, base, check, inspect, ask, symptom, doctor, claims, sweep, bench, schema)
]
for verb in VERBS:
    app.command(epilog=exit_status(verb.__name__))(verb)
app.add_typer(export)
app.add_typer(cluster)


# The libraries that a verb may lack, as they are imported, and the extra that brings each.
EXTRAS = {
    library: extra
    for extra, libraries in {
        "course": "jupyterlab papermill nbclient nbformat IPython ipykernel ipywidgets anywidget matplotlib",
        "export": "xllamacpp llama_cpp_py_sync",
    }.items()
    for library in libraries.split()
}


GROUPS = ("", "export", "cluster")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lora-lessons {__version__}")
        raise typer.Exit


@app.callback()
def lora_lessons(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Run the LoRA Lessons, and use what they teach on your own models."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status. What the user can mend is one sentence on stderr, no traceback."""
    return obey(app, "lora-lessons", list(sys.argv[1:] if arguments is None else arguments))


@terminal.shown()
def obey(app: typer.Typer, program: str, words: list[str]) -> int:
    """Run one command of `app`, which is called `program`; what `main` says."""
    split = words.index("--") if "--" in words else len(words)
    words, passed_on = words[:split], words[split + 1 :]
    status = EXIT_USER
    try:
        ensure_home()
        make_variables_absolute()
        if passed_on and words[:1] != ["lab"]:
            raise ValueError("only `lora-lessons lab` passes on what follows --: leave it out.")
        command = typer.main.get_command(app)
        if " ".join(words) in GROUPS:  # a name alone says what there is
            words = [*words, "--help"]
        with sigterm_is_ctrl_c(), command.make_context(program, words, obj=passed_on) as context:
            return command.invoke(context) or EXIT_OK
    except typer.Exit as stopped:
        return stopped.exit_code
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except typer.TyperException as error:
        sentence = _usage_sentence(error, program)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        sentence = f"this needs {library}, which is not installed: pip install 'lora-lessons[{EXTRAS[library]}]'."
        status = EXIT_FAILED
    except OSError as error:
        sentence = in_words(error)
        status = EXIT_FAILED if disk_is_full(error) else EXIT_USER
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        sentence = f"half a character, {half}, stands in what was read, and no file can hold it: correct it there."
    except Faults as error:
        return _refused(program, words, str(error), status)
    except (ValueError, ModelError) as error:
        sentence = str(error)
        status = EXIT_FAILED if isinstance(error, Unavailable) else EXIT_USER
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        sentence = "memory ran out: close other programs, or give something smaller."
        status = EXIT_FAILED
    return _refused(program, words, in_line(sentence), status)


def _refused(program: str, words: list[str], sentence: str, status: int) -> int:
    sentence = _LONG_WORD.sub(r"\1…\2", sentence)
    print(f"{program}: {sentence}", file=sys.stderr)
    if "--json" in words:
        print(refusal(sentence, status))
    return status


# What a user gave comes back in the sentence, and no path is that long.
_LONG_WORD = re.compile(r"(\S{60})\S{320,}(\S{20})")


def _usage_sentence(error: typer.TyperException, program: str) -> str:
    """What is wrong with the words given, and which command's help says what is possible."""
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else program
    # Typer passes on its validator's own words; the reader needs none of its names, and a list of choices in one line.
    message = " ".join(error.format_message().split()).replace("Value error, ", "").removesuffix(".")
    return f"{message}{'' if message.endswith('?') else '.'} `{path} --help` says what is possible."
