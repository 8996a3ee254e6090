"""How much of a card a plan leaves free, and why: most jobs that others published took more than their plan.

docs/evidence.md has the 26 published figures beside their plans. Nine in ten of them took at most 1.17 times what is
planned, and the next simple part of a card that covers as much is a sixth: 6/5 = 1.2. All that took more, two rows of
litgpt's, ran with a bitsandbytes that kept each layer's input (before 0.43.2). A test works the part out again.
"""

from ..memory.bill import GB

PARTS = 6  # one of so many of a card stays free
EDGE = 0.97  # beyond this part of a card a plan is only just enough: drivers keep 1% to 3% of what a card holds
WHY = "a sixth of the card stays free, because most published jobs took more than planned"


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
    """The answer to every plan, in a sentence or two: whether `needed` bytes fit into the `room` of `card`,
    all in GB."""
    held, with_margin = f"{which(card)} holds {room / GB:.1f}", f"{(needed + margin(needed)) / GB:.1f} with the margin"
    takes = f"{needed / GB:.1f} GB are needed"
    answers = (
        (is_enough(EDGE * room, needed), f"It fits: {takes}, {with_margin}, and {held}."),
        (
            is_enough(room, needed),
            f"It may just fit: {takes}, {with_margin}, and {held}, of which the driver may keep 1% to 3%.",
        ),
        (
            needed <= room,
            (
                f"It does not fit safely: {takes}, {with_margin}, and {held}. "
                "Most published jobs took more than such a plan says."
            ),
        ),
        (True, f"It does not fit: {takes}, and {held}."),
    )
    return next(answer for is_so, answer in answers if is_so)
