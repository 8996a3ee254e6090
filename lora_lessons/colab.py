"""Colab's set-up: install what it lacks, at the versions the course was proven on, and replace nothing it brings.

Run as a script from a clone: `python lora_lessons/colab.py`. Standard library and `packaging` only.
"""

from __future__ import annotations

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


def main() -> None:
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    proven = pins((root / "constraints.txt").read_text(encoding="utf-8"))
    wanted = lacking(project["dependencies"])
    if not wanted:
        print("Everything the course needs is here.")
        return
    exact = [f"{r.name}=={proven[n]}" if (n := canonicalize_name(r.name)) in proven else str(r) for r in wanted]
    print("Installing:", ", ".join(exact))
    older = [r.name for r in wanted if _installed(r.name)]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *exact], check=True)
    if older:  # the session may have imported the old one already
        print(f"{', '.join(older)} had to be replaced: choose Runtime, then Restart session, and run this cell again.")
    else:
        print("Ready.")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
