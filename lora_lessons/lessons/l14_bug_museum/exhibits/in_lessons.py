"""Suspects without an exhibit: a lesson is about each of them, so the museum only sends you there."""

from __future__ import annotations

from ..exhibit import InALesson

SUSPECTS: tuple[InALesson, ...] = (
    InALesson(
        id="lesson 05",
        notebook="05_rank_and_alpha.ipynb",
        title="Which rank? Which alpha?",
        symptoms=(
            "I increased the rank and it got worse",
            "I raised r and nothing got better",
            "rank 64 is worse than rank 8 with alpha = 2r",
            "a high rank ends at a worse loss than a low rank",
        ),
        suspect="α rose with the rank (α = 2r), so every step became too large at the old learning rate; or the rank was "
        "never what held the adapter back.",
        noticed="Train the higher rank with α as it was. If it is now as good as the low rank, the step was too large. If it "
        "is no better than the low rank, the low rank had room enough.",
    ),
    InALesson(
        id="lesson 08",
        notebook="08_qlora_7b.ipynb",
        title="Will a real 7B train on my card?",
        symptoms=(
            "CUDA out of memory",
            "training crashes with an out-of-memory error",
            "out of memory on the longest texts",
        ),
        suspect="The run needs more memory than the card has: the base, what is kept for the adapter, and the activations, "
        "which grow with the batch and with the length of the texts.",
        noticed="Before you train, let `lora-lessons plan` or the lesson's sliders add up what your run needs. "
        "Checkpointing, shorter texts, one text at a time and a 4-bit base each lower it.",
    ),
)
