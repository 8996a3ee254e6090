"""Plausible wrong answers to lesson 16's exercises, each with a piece of the sentence that must name it."""

UPDATE = "def gathered_update(x, A, B, scaling, wanted):\n    {}"
STACK = """from torch.nn.functional import pad
def stack_adapters(adapters):
    n, r = len(adapters), max(len(A) for A, B, alpha in adapters)
    stacked_A = torch.stack([pad(A, (0, 0, 0, r - len(A))) for A, B, alpha in adapters])
    stacked_B = torch.stack([pad(B, (0, r - B.shape[1])) for A, B, alpha in adapters])
    {}"""
SCALES = STACK.format("return stacked_A, stacked_B, torch.tensor([{} for A, B, alpha in adapters])")

WRONG = {
    "16.1": [
        (UPDATE.format("return x @ A[wanted].mT @ B[wanted].mT"), "scale is missing"),
        (UPDATE.format("return x @ A[wanted].mT @ B[wanted].mT * scaling[:, None, None]"), "scale of adapter i"),
        (UPDATE.format("return x @ A[wanted].mT @ B[wanted].mT * scaling[wanted][:, None, None] ** 2"), "counts twice"),
        (UPDATE.format("return x @ A.mT @ B.mT * scaling[:, None, None]"), "Row i went through adapter i"),
        (UPDATE.format("a = wanted[0]; return x @ A[a].T @ B[a].T * scaling[a]"), "first row's adapter"),
        (UPDATE.format("return torch.einsum('btk,nrk,ndr,n->btd', x, A, B, scaling)"), "added up"),
        (UPDATE.format("return x @ A[wanted] @ B[wanted]"), "do not meet"),
        (UPDATE.format("return x @ A.mT @ B[wanted[:2]].mT"), "do not meet"),
        (UPDATE.format("return x @ A[wanted].mT @ B[wanted].mT * scaling[wanted]"), "two more dimensions"),
        (UPDATE.format("return scaling[wanted] * x @ A[wanted].mT @ B[wanted].mT"), "two more dimensions"),
        (UPDATE.format("return x @ A[wanted].mT @ B[wanted].mT * scaling[wanted][:, None]"), "two more dimensions"),
        (
            UPDATE.format("return (x @ A[wanted].mT @ B[wanted].mT * scaling[wanted][:, None, None])[:, -1]"),
            "the update is 4×3×5",
        ),
        (
            UPDATE.format("return x @ A[wanted].mT @ B[wanted.flip(0)].mT * scaling[wanted][:, None, None]"),
            "its own A with its own B",
        ),
        (
            UPDATE.format(
                "return torch.stack([scaling[wanted[i]] * (x[i] @ A[wanted[i]].T @ B[wanted[i]].T) for i in range(4)])"
            ),
            "not for 5 rows",
        ),
        (UPDATE.format("return 1.0"), "Return a tensor"),
    ],
    "16.2": [
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
