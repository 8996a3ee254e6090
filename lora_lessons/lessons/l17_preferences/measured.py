"""What lesson 17 measures and records: who is preferred, what the model says, what it has forgotten;
and a reward's recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from textwrap import shorten
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import evaluation, models, preferences, tasks
from ...course import record, show
from ...experiments import betas, recordings, rewards
from . import pictures

ASKED = 8  # questions of the held-out topics, one a topic
LONGEST = 60  # tokens of an answer
READ = 1500  # characters of the general text

Both = tuple[Tensor, Tensor]
Run = Mapping[str, Any]


class Spoken(NamedTuple):
    """A model's greedy answers to questions of held-out topics, and its perplexity on text of no task."""

    answers: dict[str, str]
    general: float

    @property
    def words(self) -> float:
        """Words an answer has, on average."""
        return mean(len(answer.split()) for answer in self.answers.values())


def ask(base: models.Base, pairs: tasks.Task) -> Spoken:
    """Ask the model as it is now, adapters included."""
    questions = [pair["prompt"] for pair in pairs.held_out[:ASKED]]
    answers = models.answers(base, questions, LONGEST, batch_size=ASKED)
    general = evaluation.perplexity(base, tasks.general_text()[:READ])
    return Spoken(dict(zip(questions, answers, strict=True)), general)


def accuracy(policy: Both, reference: Both) -> tuple[float, float, float]:
    """The share of pairs whose chosen answer training has raised above the rejected one, and its 95% interval."""
    won = preferences.margins(policy, reference) > 0
    share = float(won.float().mean())
    return share, *evaluation.interval(share, len(won))


def likelier(reference: Both, pairs: Sequence[tasks.Preference]) -> tuple[float, float]:
    """The share of pairs whose chosen answer the base already finds likelier: as a whole, and per token."""
    tokens = [
        torch.tensor([int((one.labels != tasks.IGNORED).sum()) for one in side]) for side in zip(*pairs, strict=True)
    ]
    whole, each = reference[0] > reference[1], reference[0].cpu() / tokens[0] > reference[1].cpu() / tokens[1]
    return float(whole.float().mean()), float(each.float().mean())


def record_data(pairs: tasks.Task) -> None:
    """How many pairs there are, and how long their answers."""
    record("pairs.train", len(pairs.train))
    record("pairs.held_out", len(pairs.held_out))
    show(*pictures.lengths(pairs.train))


def record_base(reference: Both, pairs: Sequence[tasks.Preference]) -> None:
    """What the base makes of the held-out pairs."""
    whole, each = likelier(reference, pairs)
    record("base.whole", whole, "of held-out pairs: the chosen answer is likelier")
    record("base.per_token", each, "of held-out pairs: the chosen answer is likelier per token")


def record_first(losses: Sequence[float]) -> None:
    """The loss before anything is learned."""
    record("loss.first", losses[0], "nats")


def record_preferred(policy: Both, reference: Both) -> float:
    """The held-out pairs, each with what became of its two answers; returns the accuracy in percent."""
    share, low, high = accuracy(policy, reference)
    record("dpo.accuracy", share, "of held-out pairs")
    record("dpo.low", low, "lower end of the 95% interval")
    record("dpo.high", high, "upper end of the 95% interval")
    chosen, rejected = (after - before for after, before in zip(policy, reference, strict=True))
    record("moved.chosen", float(chosen.mean()), "nats an answer, held-out")
    record("moved.rejected", float(rejected.mean()), "nats an answer, held-out")
    show(*pictures.moved(chosen.tolist(), rejected.tolist()))
    return 100 * share


def record_price(before: Spoken, after: Spoken) -> None:
    """How long the answers are now, and what the model has forgotten."""
    record("words.before", before.words, f"words an answer, cut at {LONGEST} tokens")
    record("words.after", after.words, f"words an answer, cut at {LONGEST} tokens")
    record("forgetting.ratio", after.general / before.general, "times the perplexity on general text")


def replay_rewards() -> dict[str, list[Run]]:
    """The recorded runs on a reward, a line each way of training, and their picture; or how to record them.

    Returns the runs by their way, none where nothing is recorded.
    """
    recording = recordings.recorded_if_any(rewards.NAME)
    if recording is None:
        print(f"Not recorded yet. To record it, in pieces if you like: {rewards.COMMAND}")
        return {}
    runs: dict[str, list[Run]] = {}
    for run in recording["runs"].values():
        runs.setdefault(run["arm"], []).append(run)
    print(recordings.when(recording))
    for name, of_way in runs.items():
        was, now = (f"{mean(run[time]['share'] for run in of_way):.0%}" for time in ("before", "after"))
        words, price = (mean(of(run) for run in of_way) for of in (lambda run: run["after"]["words"], forgotten))
        print(
            f"{name}: {was} → {now} of greedy answers to held-out questions earn the point, {words:.0f} words each; "
            f"perplexity × {price:.2f}"
        )
    show(*pictures.earned(runs))
    return runs


def forgotten(run: Run) -> float:
    """How many times the base's perplexity on general text a run's model has."""
    return float(run["after"]["perplexity"] / run["before"]["perplexity"])


def said(runs: Mapping[str, Sequence[Run]], ask: int = 3) -> None:
    """What the base says to some questions, and what the last seed of each way of training."""
    if not runs:
        return
    ways = {name: of_way[-1] for name, of_way in runs.items()}
    one = ways[rewards.WRITTEN.name]
    for n, question in enumerate(one["asked"][:ask]):
        answers = {"base": one["before"]} | {name: run["after"] for name, run in ways.items()}
        print(f"Q: {question}")
        print(
            *(f"{name}: {shorten(of['answers'][n], 90, placeholder=' …')}" for name, of in answers.items()),
            "",
            sep="\n",
        )


def record_betas() -> None:
    """What the smallest and the largest recorded β leave: words of an answer, and what was forgotten."""
    runs = list((recordings.recorded_if_any(betas.NAME) or {"runs": {}})["runs"].values())
    for name, beta in (("small", min(betas.BETAS)), ("large", max(betas.BETAS))):
        of_beta = [run for run in runs if run["beta"] == beta]
        record(f"beta.{name}.accuracy", mean(run["accuracy"] for run in of_beta), "of held-out pairs, recorded")
        record(f"beta.{name}.words", mean(run["after"]["words"] for run in of_beta), "words an answer, recorded")
        record(f"beta.{name}.forgetting", mean(map(forgotten, of_beta)), "times the perplexity, recorded")
        record(
            f"beta.{name}.lost", -mean(run["chosen"] for run in of_beta), "nats that a chosen answer loses, recorded"
        )


def record_rewards(runs: Mapping[str, Sequence[Run]]) -> None:
    """Of each recorded way of training: what it earns, what it says and what it has forgotten, means over seeds."""
    for name, of_way in runs.items():
        key = f"reward.{SHORT[name]}"
        record(f"{key}.earned", mean(run["after"]["share"] for run in of_way), "of answers, recorded")
        record(f"{key}.words", mean(run["after"]["words"] for run in of_way), "words an answer, recorded")
        record(f"{key}.forgetting", mean(map(forgotten, of_way)), "times the perplexity on general text, recorded")
        record(f"{key}.kl", mean(run["kl"]["everyday"] for run in of_way), "nats from the base, recorded")


SHORT = dict(
    zip((arm.name for arm in (*rewards.REWARDED, rewards.WRITTEN)), ("r1", "r8", "full", "written"), strict=True)
)
