"""Exercises of lesson 03: what is supervised, what training holds, the order of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...course.exercises import Unsolved, answered, exercise, not_a_number


@exercise("03.1", "Only the answer teaches", difficulty=1, minutes=4)
def exercise_03_1(labels: Callable[[list[int], int], list[int]]) -> str | None:
    returned = answered(labels([11, 12, 13, 14, 2], 3))
    if not isinstance(returned, Iterable) or isinstance(returned, (str, dict)):
        return f"Return a list with one label for each token, and no {type(returned).__name__}."
    if None in list(returned):
        return "Where nothing is taught the label is -100, not None: a label is a whole number."
    got = [int(label) for label in returned]
    if got == [-100, -100, -100, 14, 2]:
        if list(labels([5, 6], 1)) != [-100, 6]:
            return "This is right for one example and wrong for another: use `answer_start`, not a fixed place."
        if list(labels([7, 8, 7, 2], 2)) != [-100, -100, 7, 2]:
            return "A token of the question may come again in the answer, where it is taught: go by its place, not by its number."
        return None
    if got == [11, 12, 13, 14, 2]:
        return "You hid nothing, so the model would also learn to write the user's questions. Put -100 before `answer_start`."
    if got == [11, 12, 13, -100, -100]:
        return "This is turned round: you hid the answer and taught the question."
    if got in ([-100, -100, -100, 14, -100], [-100, -100, -100, 14]):
        return "The end token is missing or hidden. A model that never sees its end token never learns to stop."
    if got in (
        [-100, -100, -100, 2, -100],
        [-100, -100, 14, 2, -100],
        [-100, -100, 14, 2],
        [-100, -100, -100, -100, 14],
    ):
        return "Your labels are shifted by one. The model does the shift itself, so label i belongs to token i."
    if got == [-100] * 5:
        return "You hid every token, so nothing is taught. From `answer_start` on, the label is the token itself."
    if got == [-100, -100, -100, -100, 2]:
        return "The answer's first token is hidden: it stands at `answer_start` and is taught, too."
    if got == [-100, -100, 13, 14, 2]:
        return "The question's last token is taught: `answer_start` is the first place that is, so hide everything before it."
    if got in ([0, 0, 0, 1, 1], [1, 1, 1, 0, 0]):
        return "That is a mask, which says where something is taught. A label says what: the token itself, or -100."
    if got[:3] == [0, 0, 0] and got[3:] == [14, 2]:
        return "0 is a real token. The label that cross-entropy skips is -100."
    if len(set(got[:3])) == 1 and got[3:] == [14, 2]:
        return f"The label that cross-entropy skips is -100, and nothing else; you put {got[0]}."
    if got == [-100, -100, -100, 11, 12, 13, 14, 2]:
        return "After the hidden places comes only the answer: ids[answer_start:], not all of `ids`."
    if len(got) != 5:
        return f"Every token needs one label: 5 tokens came in and {len(got)} labels came out."
    return f"Put -100 before `answer_start` and the tokens themselves after it. For [11, 12, 13, 14, 2] and 3 you gave {got}."


@exercise("03.2", "What training must hold", difficulty=2, minutes=6)
def exercise_03_2(training_bytes: Callable[[int, int], int]) -> str | None:
    P, T = 1_000, 10
    got, right = answered(training_bytes(P, T)), 4 * P + 12 * T
    if advice := not_a_number(got):
        return advice
    if got == right:
        if training_bytes(P, P) != 16 * P:
            return "This is right for LoRA. Full fine-tuning is the case in which every parameter is trainable."
        if training_bytes(5 * P, T) != 20 * P + 12 * T:
            return "This is right for 1,000 parameters and wrong for 5,000: use `parameters` as given."
        return None
    named = {
        8 * P + 8 * T: "Only what trains has moments and a gradient: a frozen parameter has none.",
        16 * P: "You gave every parameter a gradient and moments. A frozen parameter has neither.",
        4 * P
        + 8 * T: "One of the three is missing: a gradient and AdamW's two moments, 4 bytes each, for what trains.",
        4 * P + 4 * T: "The gradients are there; AdamW also keeps two moments, 4 bytes each, for what trains.",
        12 * T: "The frozen weights must be held too, because the forward pass uses them.",
        4 * P + 16 * T: "You counted the trainable weights twice: `parameters` includes them.",
        P + 3 * T: "You counted numbers, not bytes: an fp32 number takes 4 bytes.",
    }
    return named.get(
        int(got), f"For 1,000 parameters of which 10 train, training holds {right:,} bytes; you gave {got:,}."
    )


@exercise("03.3", "The order of one step", difficulty=2, minutes=8)
def exercise_03_3(step: Callable[[Any, Any, Any, Any], None]) -> str | None:
    import torch

    def trained(by: Callable[..., None], steps: int, x: float = 1.0, y: float = 0.0) -> float:
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(model.weight, 1.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            by(model, torch.full((1, 1), x), torch.full((1, 1), y), optimizer)
        return round(model.weight.item(), 4)

    class WatchedSGD(torch.optim.SGD):
        """Notices that it is used: an unfilled stub leaves it alone."""

        def step(self, closure: Any = None) -> Any:
            seen.append(True)
            return super().step(closure)

        def zero_grad(self, set_to_none: bool = True) -> None:
            seen.append(True)
            super().zero_grad(set_to_none)

    seen: list[bool] = []
    model = torch.nn.Linear(1, 1)
    model.register_forward_hook(lambda *_: seen.append(True))
    step(model, torch.ones(1, 1), torch.zeros(1, 1), WatchedSGD(model.parameters(), lr=0.1))
    if not seen:
        raise Unsolved
    once, thrice = trained(step, 1), trained(step, 3)
    if (once, thrice) == (0.8, 0.512):
        # from 1 on: model(x) is 2, so the gradient is 2 · (2 − 3) · 2 = −4
        if (other := trained(step, 1, x=2.0, y=3.0)) != 1.4:
            return (
                f"Right for the target 0. For x = 2 and y = 3 the weight should go to 1.4; yours is {other}: use `y`."
            )
        return None
    if once == thrice == 1.0:
        return "Nothing moved. Either the gradient was cleared before the optimizer could read it, or `backward` or `step` is missing."
    if once == 1.0:
        return "The first step did nothing: the optimizer stepped before there was a gradient."
    if once == 0.8:
        return "The first step is right and the third is not: the old gradient is still there, and the new one is added to it. Clear it."
    if once > 1:
        return "The weight moved away from its target: the sign of the loss, or of the step, is turned round."
    return f"After one step the weight should be 0.8 and after three 0.512; you got {once} and {thrice}."
