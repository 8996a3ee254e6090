"""Paths that a command is given: absolute before its verb sees them, for every verb and every path that it takes."""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.models import ArgumentInfo, OptionInfo

from lora_lessons import paths
from lora_tools import cli
from lora_tools.cli import options

# What a metavar says of a text that may be a path, or the name of something else.
PATH_OR_NAME = ("ADAPTER", "BASE", "MODEL", "LESSON")


def verbs():
    """(words, typer's description) of every verb, also of those of `export` and of `cluster`."""
    groups = [one.typer_instance for one in cli.app.registered_groups]
    for group, before in ((cli.app, []), *((group, [group.info.name]) for group in groups)):
        for verb in group.registered_commands:
            yield [*before, verb.name or verb.callback.__name__.replace("_", "-")], verb


def parameters(callback):
    """(name, the type hint, typer's description) of every parameter that a user gives."""
    for name, hint in get_type_hints(callback, include_extras=True).items():
        for about in get_args(hint)[1:]:
            if isinstance(about, (ArgumentInfo, OptionInfo)):
                yield name, hint, about


def takes_a_path(hint, about):
    return about.metavar in PATH_OR_NAME or Path in types_in(hint)


def types_in(hint):
    """Every type in such a hint as Annotated[list[Path] | None, …]."""
    return (
        {hint}.union(*map(types_in, get_args(hint))) if get_args(hint) else {hint} if isinstance(hint, type) else set()
    )


PATHS = [
    pytest.param(words, verb, name, id=" ".join([*words, name]))
    for words, verb in verbs()
    for name, hint, about in parameters(verb.callback)
    if takes_a_path(hint, about)
]


def words_for(words, callback, name, value):
    """The verb's words with `value` for the parameter `name`, and whatever else it insists on."""
    given = list(words)
    for other, _, about in parameters(callback):
        default = inspect.signature(callback).parameters[other].default
        if other != name and default is not inspect.Parameter.empty:
            continue
        text = value if other == name else {"what": "memory", "cards": "2x24", "r": "2"}.get(other, "x")
        given += [text] if isinstance(about, ArgumentInfo) else [f"--{other.replace('_', '-')}", text]
    return given


@pytest.fixture
def heard(monkeypatch):
    """A function that makes a verb only tell what it was given."""

    def listen(verb):
        given = {}

        @functools.wraps(verb.callback)
        def tell(**values):
            given.update(values)
            return 0

        monkeypatch.setattr(verb, "callback", tell)
        return given

    return listen


def test_every_verb_that_takes_a_path_is_among_them():
    named = {(*param.values[0], param.values[2]) for param in PATHS}
    assert {
        ("run", "out"),
        ("export", "formats", "adapter"),
        ("export", "formats", "calibrate"),
        ("plan", "model"),
    } <= named


@pytest.mark.parametrize("words, verb, name", PATHS)
def test_a_relative_path_is_absolute_before_the_verb_sees_it(words, verb, name, heard, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    there = tmp_path / "here" / "thing.ipynb"
    there.touch()
    monkeypatch.chdir(tmp_path)
    command = words_for(words, verb.callback, name, "here/thing.ipynb")
    given = heard(verb)
    assert cli.main(command) == 0
    found = given[name][0] if isinstance(given[name], list) else given[name]
    assert str(found) == str(there)


@pytest.mark.parametrize("words, verb, name", PATHS)
def test_a_default_is_absolute_too_and_a_name_stays_a_name(words, verb, name, heard, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = verb.callback
    default = inspect.signature(callback).parameters[name].default
    command = words_for(words, callback, "", "")
    about = next(about for other, _, about in parameters(callback) if other == name)
    is_name = about.metavar in PATH_OR_NAME
    if is_name:
        (tmp_path / "embedded").mkdir()  # the base of that name is meant all the same
        command = words_for(words, callback, name, "embedded")
    given = heard(verb)
    assert cli.main(command) == 0
    if is_name:
        assert given[name] in ("embedded", ["embedded"])
    elif isinstance(default, Path):
        assert given[name] == tmp_path / default


@pytest.mark.parametrize(
    "words, verb, name",
    [one for one in PATHS if not one.values[2].startswith("lesson")],  # "" is no lesson's name
)
def test_an_empty_path_is_refused_before_the_verb_writes_into_the_working_folder(words, verb, name, heard, capsys):
    command = words_for(words, verb.callback, name, "")
    given = heard(verb)
    assert cli.main(command) == cli.EXIT_USER and not given
    assert "it is empty: give a path" in " ".join(capsys.readouterr().err.split())


def test_variables_that_hold_a_path_mean_the_folder_of_the_command(tmp_path, monkeypatch):
    """A kernel starts in the lesson's folder, where a relative cache would be another one."""
    monkeypatch.chdir(tmp_path)
    for name in options.VARIABLES:
        monkeypatch.setenv(name, "some/where")
    assert cli.main(["--version"]) == 0
    assert {os.environ[name] for name in options.VARIABLES} == {str(tmp_path / "some" / "where")}
    assert paths.cache_dir() == tmp_path / "some" / "where"


def test_what_is_printed_is_short_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options.shown(tmp_path / "out" / "report.html") == Path("out/report.html")
    assert options.shown(Path("/elsewhere/report.html")) == Path("/elsewhere/report.html")


def test_links_that_lead_round_and_round_are_one_sentence(tmp_path, refused):
    (tmp_path / "loop").symlink_to("loop")
    for words in (["export", "formats", "adapter", "--out"], ["run", "03", "--out"], ["check"]):
        said = f"{tmp_path / 'loop'} cannot be used (Too many levels of symbolic links)"
        refused([*words, str(tmp_path / "loop")], said)
