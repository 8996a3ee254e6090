"""What the reliability tests counted: shown at the end of a run, and kept as the record that the table in
docs/evidence.md is made of.

The counts travel as properties of the tests' reports, so that they also arrive from workers.
"""

import json
from importlib import metadata
from typing import Any

import pytest

READER, KILLED = "reliability of a reader", "reliability of a command"
OPTION = "--record-reliability"


def pytest_addoption(parser: pytest.Parser) -> None:
    said = (
        "with -m reliability: write data/measurements/reliability.json, which the table in docs/evidence.md is made of"
    )
    parser.addoption(OPTION, action="store_true", help=said)


def seed_of(config: pytest.Config) -> int:
    """The seed of every mutant and of every kill: --hypothesis-seed, or 0."""
    given = config.getoption("--hypothesis-seed", None)
    return int(given) if given not in (None, "random") else 0


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the counts, and keep them where the record is asked for and every row is there."""
    # a worker's report of the teardown tells the same again
    every = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "call"]
    told = [pair for report in every for pair in getattr(report, "user_properties", ())]
    rows, kills = ([json.loads(text) for name, text in told if name == kind] for kind in (READER, KILLED))
    if not rows and not kills:
        return
    terminalreporter.section(f"reliability, seed {seed_of(config)}")
    for row in [*rows, *kills]:
        name, *rest = row.items()
        counts = ", ".join(f"{what} {n}" for what, n in rest if n and what != "kind")
        terminalreporter.write_line(f"{name[1]:<32} {counts}")
    if config.getoption(OPTION):
        terminalreporter.write_line(_record(rows, kills, seed_of(config)))


def _record(rows: list[dict[str, Any]], kills: list[dict[str, Any]], seed: int) -> str:
    from lora_lessons.experiments import recordings
    from lora_lessons.machine import stamp
    from reliability.commands import COMMANDS
    from reliability.readers import READERS

    about = stamp() | {"seed": seed}
    about["versions"] |= {"hypothesis": metadata.version("hypothesis")}
    rows, kills = sorted(rows, key=lambda row: row["reader"]), sorted(kills, key=lambda row: row["what"])
    if {row["reader"] for row in rows} != READERS.keys() or {row["what"] for row in kills} != COMMANDS.keys():
        return (
            "Not recorded: this run did not reach every reader and every command. Run pytest -m reliability as a whole."
        )
    recordings.keep("reliability", about | {"rows": rows, "kills": kills})
    return (
        "Recorded in data/measurements/reliability.json; "
        "`python -m workshop readme` makes the table in docs/evidence.md of it."
    )
