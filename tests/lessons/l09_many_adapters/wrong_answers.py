"""Plausible wrong answers to the exercise of 09_many_adapters, each with a piece of the sentence that must name it."""

STACK = """from torch.nn.functional import pad
def stack_adapters(adapters):
    n, r = len(adapters), max(len(A) for A, B, alpha in adapters)
    stacked_A = torch.stack([pad(A, (0, 0, 0, r - len(A))) for A, B, alpha in adapters])
    stacked_B = torch.stack([pad(B, (0, r - B.shape[1])) for A, B, alpha in adapters])
    {}"""
SCALES = STACK.format("return stacked_A, stacked_B, torch.tensor([{} for A, B, alpha in adapters])")

WRONG = {
    "09.5": [
        (SCALES.format("alpha / r"), "colleague's mistake"),
        (SCALES.format("alpha"), "α alone"),
        (SCALES.format("len(A) / alpha"), "Upside down"),
        (SCALES.format("alpha * 3 / 7"), "not by their mean"),
        (SCALES.format("alpha / len(A) ** 0.5"), "of each adapter"),
        (
            STACK.format("return stacked_A, stacked_B.flip(2), torch.tensor([a / len(A) for A, B, a in adapters])"),
            "B·A of adapter 0",
        ),
        (STACK.format("return stacked_A, stacked_B"), "three tensors"),
        (STACK.format("return stacked_A.mT, stacked_B, torch.ones(n)"), "A 3×4×6"),
        (
            (
                "def stack_adapters(adapters):\n    A, B, alpha = zip(*adapters)\n    return torch.stack(A), "
                "torch.stack(B), torch.tensor(alpha)"
            ),
            "cannot be stacked",
        ),
        (
            "def stack_adapters(adapters):\n    r = min(len(A) for A, B, a in adapters)\n"
            "    return torch.stack([A[:r] for A, B, a in adapters]), torch.stack([B[:, :r] for A, B, a in adapters]), "
            "torch.ones(3)",
            "Cut to the smallest rank",
        ),
    ],
}
