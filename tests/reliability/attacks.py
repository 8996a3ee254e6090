"""Both tables at work: a reader is given thousands of mutants, a command is killed; what came of it is counted."""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis.configuration import set_hypothesis_home_dir

from reliability import judging, mutations
from reliability.judging import BAD, Outcome
from reliability.readers import READERS, Reader, slug

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
FOUND = ROOT / "course-report" / "reliability"  # what is found goes here; mended, it belongs into the corpus
INPUTS, SAMPLE = 440, 8  # a reader, in full and in `make test`; less for those that take long
TOGETHER = 3  # kills in one box before the command may end

set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))  # else it leaves a folder in the checkout


class Zygote:
    """The process that forks for each input (see zygote.py), and a folder of its own."""

    def __init__(self, place: Path) -> None:
        self.place, self.mutant = place, place / "mutant"
        nowhere = "http://127.0.0.1:9"  # nobody listens there
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(place / "hub"),
            "MPLCONFIGDIR": str(place / "matplotlib"),
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": "1",
            "PIP_RETRIES": "0",
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        }
        command = [sys.executable, "-m", "reliability.zygote", str(place)]
        self.log = open(place / "zygote.log", "w")  # noqa: SIM115 (closed with the process)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process: Any = subprocess.Popen(command, env=environment, cwd=place, text=True, **pipes)

    def ask(self, do: str, **order: Any) -> Any:
        """Its answer to an order. Raises RuntimeError with its reason where there is none."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or '{"error": "the zygote is gone"}')
        except BrokenPipeError:
            answer = {"error": "the zygote is gone"}
        if "error" in answer:
            raise RuntimeError(f"{answer['error']}\n{(self.place / 'zygote.log').read_text()[-2000:]}")
        return answer["reply"]

    def read(self, name: str, content: bytes) -> Outcome:
        """What comes of a reader's input of these bytes."""
        self.mutant.write_bytes(content)
        answer = self.ask("read", name=name, mutant=str(self.mutant))
        return Outcome(answer["kind"], answer["said"], answer["where"])

    def end(self) -> None:
        """Let it end."""
        self.process.stdin.close()
        self.process.kill()  # it waits for an order, and has nothing to lose
        self.process.wait(30)
        self.log.close()


def attack(zygote: Zygote, reader: Reader, inputs: int, seed: int) -> tuple[dict[str, Any], str]:
    """Give the reader `inputs` mutants of its valid input, the same ones for the same seed: the row of the record,
    and a line for the smallest bad input of each sort, which is kept in FOUND; "" where all went well."""
    valid = Path(zygote.ask("prepare", name=reader.name)["path"]).read_bytes()
    counted, worst = Counter[str](), dict[tuple[str, str], tuple[bytes, str]]()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(mutations.KINDS[reader.kind](valid))
    def every(mutant: bytes) -> None:
        outcome = zygote.read(reader.name, mutant)
        counted[outcome.kind] += 1
        if outcome.kind in BAD:
            sort = (outcome.kind, f"{outcome.where}, {outcome.said[:30]}")
            worst[sort] = min(
                worst.get(sort, (mutant, outcome.said)), (mutant, outcome.said), key=lambda one: len(one[0])
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
        every()
    lines = [f"{reader.name}, seed {seed}: {dict(counted)}. Mended, a case belongs into tests/reliability/corpus/."]
    for (kind, where), (content, said) in sorted(worst.items()):
        place = FOUND / slug(reader.name) / f"{kind}-{hashlib.sha256(content).hexdigest()[:8]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        lines.append(f"{kind} ({where} …): {said}\n    {place.relative_to(ROOT)}")
    row = {"reader": reader.name, "kind": reader.kind, "inputs": counted.total()}
    return row | {kind: counted[kind] for kind in judging.KINDS}, "\n".join(lines) if worst else ""


def cases() -> list[tuple[str, Path]]:
    """Every input that was found once, with its reader."""
    folders = {slug(reader): reader for reader in READERS}
    return [(folders[file.parent.name], file) for file in sorted(CORPUS.glob("*/*"))]


def killed(zygote: Zygote, name: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill a command at random moments until `kills` have met it at work; the row of the record,
    and what went wrong."""
    drawn = random.Random(f"{seed} {name}")
    row: dict[str, Any] = {"what": name, "kills": 0, "resumed": 0, "lost": 0, "wrong": []}
    zygote.ask("whole", name=name)
    for _ in range(4 * kills):
        if row["kills"] >= kills:
            break
        moments = [drawn.uniform(0.02, 0.95) for _ in range(min(TOGETHER, kills - row["kills"]))]
        found = zygote.ask("kill", name=name, moments=moments)
        fine = found["same"] and not found["files"]
        row["kills"] += found["met"]
        row["resumed" if fine else "lost"] += found["met"]
        if not fine:
            why = found["error"] or found["said"] or found["files"] or "another result"
            row["wrong"].append(f"killed at {[round(m, 3) for m in moments]}: {why}")
    return row
