"""Plausible wrong answers to lesson 09's exercises, each with a piece of the sentence that must name it."""

ADD = "def add(parts): return ({})"
KL = "def kl(p, q): return {}"
LP, LQ = "p.log_softmax(-1)", "q.log_softmax(-1)"

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
        (ADD.format("sum(w * B @ A for A, B, w in parts)"), "Return two tensors"),
        (
            ADD.format("torch.cat([A for A, B, w in parts[:2]]), torch.cat([w * B for A, B, w in parts[:2]], 1)"),
            "go through all",
        ),
        (ADD.format("torch.cat([A for A, B, w in parts]), torch.cat([w * B for A, B, w in parts])"), "wrong side"),
    ],
    "09.2": [
        (KL.format(f"({LQ}.exp() * ({LQ} - {LP})).sum(-1).mean()"), "KL(q ‖ p)"),
        (KL.format("(p * (p.log() - q.log())).sum(-1).mean()"), "not a number"),
        (KL.format("(p * (p - q)).sum(-1).mean()"), "log_softmax first"),
        (KL.format(f"({LP}.exp() * ({LP} - {LQ})).sum()"), "Summed over the tokens"),
        (KL.format(f"({LP}.exp() * ({LP} - {LQ})).mean()"), "Divided by the vocabulary"),
        (KL.format(f"({LP}.exp() * ({LP} - {LQ})).sum(-1)"), "take their mean"),
        (KL.format(f"({LP}.exp() * ({LQ} - {LP})).sum(-1).mean()"), "sign is turned"),
        (KL.format("(p.softmax(-1) * (p - q)).sum(-1).mean()"), "no log-probabilities yet"),
        (KL.format("(p.softmax(-1) - q.softmax(-1)).abs().sum(-1).mean()"), "without a logarithm"),
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
}
