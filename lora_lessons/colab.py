"""Colab's set-up: install what it lacks, at the versions the course was proven on, and replace nothing it brings.

The set-up cell runs this file inside its own kernel, before the package is on the path: standard library and
`packaging` only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

KEEP = ("torch", "numpy", "matplotlib", "ipykernel", "ipython", "jupyterlab")  # Colab's own, whatever their version


def lacking(requirements: list[str]) -> list[Requirement]:
    """The requirements that are not installed, or installed too old; never those in KEEP that are there."""
    wanted = []
    for requirement in map(Requirement, requirements):
        try:
            fits = requirement.specifier.contains(version(requirement.name), prereleases=True)
        except PackageNotFoundError:
            wanted += [requirement] * (requirement.name not in ("ipykernel", "jupyterlab"))
            continue
        if not fits and requirement.name not in KEEP:
            wanted.append(requirement)
    return wanted


def pins(constraints: str) -> dict[str, str]:
    """{name: version} of a constraints file."""
    lines = (line.partition("==") for line in constraints.splitlines() if "==" in line)
    return {canonicalize_name(name): pin.strip() for name, _, pin in lines}


class RestartNeeded(RuntimeError):
    """A library that this session may have loaded was replaced. Raised, so that Run All stops; shown as a sentence."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def main() -> None:
    """Install what is lacking, and let widgets of ours be drawn.
    Raises RestartNeeded until the session is a new one."""
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    proven = pins((root / "constraints.txt").read_text(encoding="utf-8"))
    replaced = root / ".replaced.json"  # by which session, and what
    if replaced.is_file():
        told = json.loads(replaced.read_text(encoding="utf-8"))
        if told["session"] == _session():
            raise RestartNeeded(_restart(told["libraries"]))
        replaced.unlink()
    wanted = lacking(project["dependencies"] + project.get("optional-dependencies", {}).get("course", []))
    _allow_widgets()
    if not wanted:
        print("Everything the course needs is here.")
        return
    exact = [f"{r.name}=={proven[n]}" if (n := canonicalize_name(r.name)) in proven else str(r) for r in wanted]
    print("Installing:", ", ".join(exact))
    older = [r.name for r in wanted if _installed(r.name)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *exact]
    done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")  # a notebook shows what is printed here, and nothing that a process of its own says
    if done.returncode:
        raise RuntimeError("pip could not install what the course needs; it says why above. Run this cell again.")
    if older:  # the session may have imported the old one already
        replaced.write_text(json.dumps({"session": _session(), "libraries": older}), encoding="utf-8")
        raise RestartNeeded(_restart(older))
    print("Ready.")


def _session() -> list[float]:
    """What tells this process from any other: its number, and when it began (numbers are used again)."""
    began = Path(f"/proc/{os.getpid()}")
    return [os.getpid(), began.stat().st_ctime if began.exists() else 0]


def _restart(libraries: list[str]) -> str:
    return f"{', '.join(libraries)} had to be replaced: choose Runtime, then Restart session, and run this cell again."


def _allow_widgets() -> None:
    """Colab draws only the widgets that it knows, until it is told to fetch the others' code, too."""
    try:
        from google.colab import output
    except ImportError:
        return
    output.enable_custom_widget_manager()


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
