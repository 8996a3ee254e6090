"""A student taught by the shipped WICK: by its words, by its probabilities, while the student speaks, and warmed up.

`python -m workshop record a-teacher` writes data/measurements/lesson_14_teacher.json, run by run, and goes on where it
was stopped. One run is the other way round: WICK's adapter learns from the base to answer plainly again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch

from lora_lessons import adapter, distillation, evaluation, lora, mixing, models, preferences, tasks, training
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores
from workshop.record.runs import Runs

NAME, TASK = "lesson_14_teacher", "persona"
WORDS, PROBABILITIES, ON_POLICY, WARM = "words", "probabilities", "on-policy", "half probabilities, half on-policy"
ARMS = (PROBABILITIES, WARM, WORDS, ON_POLICY)
SEEDS = (0, 1, 2)
R, LORA_ALPHA, STEPS, QUESTIONS, RATE, LONGEST = 4, 16, 24, 4, 4e-3, 40
# WICK learns from the base, on questions of no task
REPAIR, REPAIR_STEPS, REPAIR_RATE = "repair", 16, 1e-3
# held-out questions that are answered at the end (everyday ones, where drift is looked for), and those of both KLs
ASKED, EVERYDAY, SAID, OF_KLS = 24, 12, 64, 6


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": (
            "answers are sampled at temperature 1, the teacher's once for all seeds, and each is learned from once; "
            "greedy answers to held-out questions are judged by the rules"
        ),
        "r": R,
        "lora_alpha": LORA_ALPHA,
        "steps": STEPS,
        "questions a step": QUESTIONS,
        "tokens at most": LONGEST,
        "learning_rate": RATE,
        REPAIR: {"steps": REPAIR_STEPS, "learning_rate": REPAIR_RATE},
    }


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each; all arms come before a second seed."""
    runs = Runs(NAME, settings())
    for arm, seed in (("base", 0), ("teacher", 0), *((arm, seed) for seed in SEEDS for arm in ARMS), (REPAIR, 0)):
        runs.make(f"{arm}, seed {seed}", partial(one_run, arm, seed))
    return runs.made


def _questions(examples: Sequence[dict[str, Any]]) -> list[str]:
    return [one["messages"][-2]["content"] for one in examples]


def _said(speaker: models.Base, questions: Sequence[str], seed: int) -> list[tasks.Encoded]:
    return [one.encoded[0] for one in preferences.sample(speaker, questions, 1, LONGEST, seed)]


@cache
def _parts() -> tuple[models.Base, models.Base, list[tasks.Encoded], list[tasks.Encoded]]:
    """The base, the teacher on the same weights, and its answers: to the questions of a run, and to held-out ones."""
    base, data = models.load(precision="fp32"), tasks.load_task(TASK)
    teacher = base._replace(model=mixing.shared_copy(base.model))
    adapter.load_adapter(teacher.model, course_root() / "data" / "adapters" / TASK)
    taught, held_out = _questions(data.train)[: STEPS * QUESTIONS], _questions(evaluation.drawn(data, ASKED))[:OF_KLS]
    return base, teacher, _said(teacher, taught, 0), _said(teacher, held_out, 1)


def one_run(arm: str, seed: int) -> dict[str, Any]:
    """Teach a student this way, and say how it stands; "teacher" and "base" are not taught at all."""
    base, teacher, said, _ = _parts()
    student, master = base._replace(model=mixing.shared_copy(base.model)), base if arm == REPAIR else teacher
    if arm in ("teacher", REPAIR):
        adapter.load_adapter(student.model, course_root() / "data" / "adapters" / TASK)
    elif arm != "base":
        lora.attach(student.model, R, LORA_ALPHA, seed=seed)
    pairs = [pair["prompt"] for pair in tasks.load_pairs().train]
    questions = pairs if arm == REPAIR else _questions(tasks.load_task(TASK).train)[: len(said)]
    how = training.Settings(
        steps={REPAIR: REPAIR_STEPS}.get(arm, STEPS),
        batch_size=QUESTIONS,
        learning_rate=REPAIR_RATE if arm == REPAIR else RATE,
        seed=seed,
        autocast=models.best_precision().name == "bf16",
    )
    half = how.steps // 2
    ways = {
        WARM: [PROBABILITIES] * half + [ON_POLICY] * half,
        REPAIR: [ON_POLICY] * how.steps,
        "base": [],
        "teacher": [],
    }
    learned = [p.requires_grad_() for _, one in lora.lora_layers(student.model) for p in (one.lora_A, one.lora_B)]
    optimizer = torch.optim.AdamW(learned or [torch.zeros(())], weight_decay=0.0)
    begun, losses, tokens = time.perf_counter(), list[float](), 0
    for step, way in enumerate(ways.get(arm, [arm] * how.steps)):
        which = training.batches(len(questions), how)[step]
        own = _said(student, [questions[n] for n in which], seed * how.steps + step) if way == ON_POLICY else []
        answers = own or [said[n] for n in which]
        loss = loss_of(way, student, master, answers, how.autocast)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = how.rate(step)
        optimizer.step()
        losses.append(loss.item())
        tokens += sum(int((one.labels != tasks.IGNORED).sum()) for one in answers)
        print(f"{arm}, seed {seed}: {loss:.3f}, {time.perf_counter() - begun:.0f} s", flush=True)
    seconds = time.perf_counter() - begun
    found = {"arm": arm, "seed": seed, "losses": losses, "tokens": tokens, "seconds": seconds}
    return found | _state(student, how.autocast, EVERYDAY if arm in ("teacher", REPAIR) else 0)


def loss_of(way: str, student: Any, teacher: Any, said: Sequence[tasks.Encoded], autocast: bool) -> torch.Tensor:
    """What the student learns from these answers, in nats a token: their words, or what the teacher thinks there."""
    logits, labels = preferences.logits_and_labels(student.model, said, autocast)
    taught = labels[:, 1:] != tasks.IGNORED
    if way == WORDS:
        return -preferences.token_logprobs(logits, labels).sum() / taught.sum()
    with torch.no_grad():
        theirs = preferences.logits_and_labels(teacher.model, said, autocast)[0]
    kl = distillation.reverse_kl if way == ON_POLICY else distillation.forward_kl
    return kl(theirs[:, :-1], logits[:, :-1], taught)


@torch.no_grad()
def _state(student: models.Base, autocast: bool, everyday: int) -> dict[str, Any]:
    """How the student stands: its loss on held-out examples, the rules its greedy answers keep, both KLs, drift."""
    held_out, (_, teacher, _, teachers) = evaluation.drawn(tasks.load_task(TASK), ASKED), _parts()
    asked = _questions(held_out)
    answers = models.answers(student, [*asked, *tasks.everyday_questions()[:everyday]], SAID, batch_size=64)
    encoded = [tasks.encode(student.tokenizer, one) for one in held_out]
    return {
        "loss": evaluation.held_out_loss(student.model, encoded, autocast=autocast),
        "kept": sum(not scores.faults(TASK, *both) for both in zip(answers, held_out, strict=False)),
        "lamp": sum(scores.looks_like(TASK, one) for one in answers[:ASKED]),
        "drift": sum(scores.looks_like(TASK, one) for one in answers[ASKED:]) if everyday else None,
        "forward": loss_of(PROBABILITIES, student, teacher, teachers, autocast).item(),
        "reverse": loss_of(ON_POLICY, student, teacher, _said(student, asked[:OF_KLS], 1), autocast).item(),
        "answers": answers,
    }
