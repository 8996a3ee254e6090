"""How much of a card a plan leaves free, and why: most jobs that others published took more than their plan.

docs/evidence.md has the 26 published figures beside their plans. Nine in ten of them took at most 1.17 times what is
planned, and the next simple part of a card that covers as much is a sixth: 6/5 = 1.2. All that took more, two rows of
litgpt's, ran with a bitsandbytes that kept each layer's input (before 0.43.2). A test works the part out again.
"""

from ..memory.bill import GB

PARTS = 6  # one of so many of a card stays free
EDGE = 0.97  # beyond this part of a card a plan is only just enough: drivers keep 1% to 3% of what a card holds
WHY = "a sixth of the card stays free, because most published jobs took more than planned"
# What the published jobs of each recipe, or like it, took at most beside their plan: a test works them out again.
PUBLISHED = {
    "hf": "the 13 published jobs of Trainer took 0.98 to 1.09 times their plan",
    "course": "the 13 published jobs of loops like the course's took 0.90 to 1.40 times their plan",
    "trl": "no published job of SFTTrainer names all that a plan needs, so its margin is that of the others",
    "unsloth": "no published job of Unsloth names all that a plan needs, so its margin is that of the others",
}


def is_enough(room: float, needed: float) -> bool:
    """Whether `needed` bytes fit into `room` with the margin: the one place where a plan decides."""
    return needed <= (1 - 1 / PARTS) * room


def margin(needed: float) -> float:
    """The bytes that are to stay free beside `needed` ones: a sixth of the smallest card on which they fit."""
    return needed / (PARTS - 1)


def which(card: str) -> str:
    """`card` inside a sentence."""
    return card[0].lower() + card[1:] if card.startswith(("A ", "The ", "Each ")) else f"the {card}"


def fits(needed: float, room: float, card: str) -> str:
    """The answer to every plan: a first sentence of at most 80 characters that says yes or no, and then the margin.

    `needed` bytes, and the `room` of `card`; said in GB.
    """
    sizes = f"{needed / GB:.1f} of {room / GB:.1f} GB ({which(card)})."
    answers = (
        (is_enough(EDGE * room, needed), "Yes, it fits", ""),
        (is_enough(room, needed), "Yes, just", " Of what the card holds, the driver may keep 1% to 3%."),
        (needed <= room, "No, not safely", " Most published jobs took more than such a plan says."),
        (True, "No, it does not fit", ""),
    )
    answer, more = next((answer, more) for is_so, answer, more in answers if is_so)
    return f"{answer}: {sizes}\nWith the margin it takes {(needed + margin(needed)) / GB:.1f} GB.{more}"
