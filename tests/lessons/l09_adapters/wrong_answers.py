"""Plausible wrong answers to lesson 09's exercises, each with a piece of the sentence that must name it."""

ADD = "def add(parts): return ({})"
UPDATE = "def gathered_update(x, A, B, scaling, wanted):\n    {}"
ROOTS = ("w ** 0.5", "__import__('math').sqrt(w)", "torch.tensor(w).sqrt()")

WRONG = {
    "09.1": [
        (ADD.format("sum(A for A, B, w in parts), sum(w * B for A, B, w in parts)"), "on top of one another"),
        (
            ADD.format("torch.cat([A for A, B, w in parts]), torch.cat([B for A, B, w in parts], 1)"),
            "weights are missing",
        ),
        (
            ADD.format("torch.cat([w * A for A, B, w in parts]), torch.cat([w * B for A, B, w in parts], 1)"),
            "counts twice",
        ),
        (
            ADD.format("torch.cat([w * B for A, B, w in parts], 1), torch.cat([A for A, B, w in parts])"),
            "other way round",
        ),
        (
            ADD.format("torch.cat([A for A, B, w in parts]), torch.cat([w * B for A, B, w in parts][::-1], 1)"),
            "same order",
        ),
        *(
            (
                ADD.format(
                    f"torch.cat([{root} * A for A, B, w in parts]), torch.cat([{root} * B for A, B, w in parts], 1)"
                ),
                "square root",
            )
            for root in ROOTS
        ),
        (ADD.format("sum(w * B @ A for A, B, w in parts)"), "Return two tensors"),
        (
            ADD.format("torch.cat([A for A, B, w in parts[:2]]), torch.cat([w * B for A, B, w in parts[:2]], 1)"),
            "go through all",
        ),
        (ADD.format("torch.cat([A for A, B, w in parts]), torch.cat([w * B for A, B, w in parts])"), "wrong side"),
    ],
    "09.3": [
        ("def merge_and_back(W, d): m = (W.float() + d).to(W.dtype); return m, m - d.to(W.dtype)", "did not come back"),
        (
            "def merge_and_back(W, d): m = (W.float() + d).to(W.dtype); return m, (m.float() - d).to(W.dtype)",
            "did not come back",
        ),
        ("def merge_and_back(W, d): m = W.float() + d; return m.to(W.dtype), (m - d).to(W.dtype)", "Keep a copy"),
        ("def merge_and_back(W, d): kept = W; W += d.to(W.dtype); return W, kept", "no copy"),
        ("def merge_and_back(W, d): return W + d, W", "stays so"),
        ("def merge_and_back(W, d): return W.clone(), W", "ΔW is missing"),
        ("def merge_and_back(W, d): return (W.float() - d).to(W.dtype), W", "is not W + ΔW"),
    ],
    "09.2": [
        (
            (
                'def merge(W, delta): return quant.quantize((quant.dequantize(quant.quantize(W, "nf4")).float() + '
                'delta).bfloat16(), "nf4")'
            ),
            "Round, merge, round",
        ),
        ('def merge(W, delta): return quant.quantize(W, "nf4")', "ΔW is not in it"),
        ('def merge(W, delta): return quant.quantize((W.float() - delta).bfloat16(), "nf4")', "added once"),
        ('def merge(W, delta): return quant.quantize((W.float() + delta).bfloat16(), "fp4")', "should be in NF4"),
        ("def merge(W, delta): return (W.float() + delta).bfloat16()", "Return the merged weight in 4 bits"),
    ],
    "09.4": [
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
}
