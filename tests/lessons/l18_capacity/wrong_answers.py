"""Plausible wrong answers to lesson 18's exercises, each with a piece of the sentence that must name it."""

BITS = """def bits_stored(logits, digits):
    nats = logits.log_softmax(-1).gather(-1, digits[..., None])
    return (nats / math.log(2) + math.log2(10)).sum()
"""
CUT = """def cut(B, A, r):
    Q_B, R_B = torch.linalg.qr(B)
    Q_A, R_A = torch.linalg.qr(A.T)
    U, S, Vh = torch.linalg.svd(R_B @ R_A.T)
    return Q_B @ U[:, :r] * S[:r], Vh[:r] @ Q_A.T
"""
ALPHA = """def alpha_after(lora_alpha, r, new_r, use_rslora):
    ratio = new_r / r
    return lora_alpha * (math.sqrt(ratio) if use_rslora else ratio)
"""

WRONG = {
    "18.1": [
        (BITS.replace(" / math.log(2)", "").replace("log2(10)", "log(10)"), "Those are nats"),
        (BITS.replace("(nats / math.log(2) + math.log2(10))", (
            "((nats + math.log(10)) * math.log(2))"
        )), "You multiplied by ln 2"),
        (BITS.replace("math.log2(10)", "math.log(10)"), "In bits it is"),
        (BITS.replace("return ", "return -"), "The sign is turned"),
        (BITS.replace(" + math.log2(10)", ""), "with a minus"),
        (BITS.replace(" + math.log2(10)", "").replace("return ", "return -"), "how much less that is"),
        (BITS.replace("+ math", "- math"), "and subtracting it adds"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + math.log2(10)"), "log₂ 10 once. A"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + len(digits) * math.log2(10)"), "once an entry"),
        (BITS.replace(".sum()", ".mean()"), "the mean of a digit"),
        (BITS.replace(".sum()", ".sum() / len(digits)"), "the bits of one entry"),
        (BITS.replace("log_softmax", "softmax").replace((
            "(nats / math.log(2) + math.log2(10))"
        ), "(nats - 0.1)"), "You subtracted probabilities"),
        (BITS.replace(".log_softmax(-1)", ""), "the logits as they are"),
        ("def bits_stored(logits, digits):\n    return (logits.argmax(-1) == digits).sum()\n", "You counted"),
        (BITS.replace(".sum()", ".sum(1)"), "one number for the whole book"),
        (BITS.replace("digits[..., None]", "digits"), "a last dimension"),
        (BITS.replace("return ", "return str(").replace(".sum()", ".sum())"), "returned a str"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + 35 * math.log2(10)"), "use the shapes as given"),
        (BITS.replace(".sum()", ".sum().clamp(min=0)"), "Below 0 is right here"),
        (BITS.replace(".sum()", ".clamp(min=0).sum()"), "cut every digit off"),
        (BITS.replace(".gather(-1, digits[..., None])", ".max(-1).values"), "the likeliest digit in each place"),
        (BITS.replace("log_softmax(-1)", "log_softmax(1)"), "over the places"),
        (BITS.replace("log_softmax(-1)", "log_softmax(0)"), "over the entries"),
    ],
    "18.2": [
        ("def cut(B, A, r):\n    return B[:, :r], A[:r]\n", "They come in no order"),
        (CUT.replace(" * S[:r]", ""), "S is missing"),
        (CUT.replace("Vh[:r] @", "S[:r, None] * Vh[:r] @"), "S counts twice"),
        (CUT.replace("[:, :r]", "[:, -r:]").replace("[:r]", "[-r:]"), "the three weakest"),
        (CUT.replace("R_B @ R_A.T", "R_A @ R_B.T"), "U of the core belongs to Q_B"),
        (
            "def cut(B, A, r):\n    U, S, Vh = torch.linalg.svd(B @ A, full_matrices=False)\n"
            "    return U[:, :r] * S[:r], Vh[:r]\n",
            "Right, but you made the whole",
        ),
        (CUT.replace((
            "return Q_B @ U[:, :r] * S[:r], Vh[:r] @ Q_A.T"
        ), "return Vh[:r] @ Q_A.T, Q_B @ U[:, :r] * S[:r]"), "A first"),
        (CUT.replace(":r", ":3"), "use `r` as given"),
        (CUT.replace("qr(A.T)", "qr(A)"), "for A take A.T"),
        (CUT.replace("[:, :r]", "").replace("[:r]", ""), "Keep the first 3 directions"),
        ("def cut(B, A, r):\n    return B @ A\n", "Return two tensors"),
        (CUT.replace("U[:, :r]", "U[:r]"), "U's directions are its columns"),
        (CUT.replace("Q_B @ U[:, :r] * S[:r]", "Q_B @ (U[:r] * S[:r])"), "U's directions are its columns"),
        (CUT.replace("Vh[:r]", "Vh[:, :r]"), "Vh's its rows"),
        (
            CUT.replace("return Q_B", "return Q_B.double()").replace("Q_B.double() @ U", "Q_B.double() @ U.double()"),
            "in the dtype that came",
        ),
        (
            "def cut(B, A, r):\n    U, S, V = torch.linalg.svd(B)\n    u, s, v = torch.linalg.svd(A, "
            "full_matrices=False)\n    x, y, z = torch.linalg.svd(S[:, None] * (V @ u) * s)\n"
            "    return U[:, :len(S)] @ x[:, :r] * y[:r], z[:r] @ v\n",
            "a matrix of 30×30",
        ),
        (
            "def cut(B, A, r):\n    values, V = torch.linalg.eigh(A.T @ (B.T @ B) @ A)\n    V = V[:, -r:]\n"
            "    return B @ (A @ V), V.T\n",
            "a matrix of 40×40",
        ),
        (
            "def cut(B, A, r):\n    product = torch.from_numpy(B.numpy() @ A.numpy())\n"
            "    U, S, V = torch.svd_lowrank(product, q=len(A), niter=4)\n    return U[:, :r] * S[:r], V[:, :r].T\n",
            "you made the whole",
        ),
        (
            "def cut(B, A, r):\n    import numpy as np\n    U, S, Vh = np.linalg.svd(B.numpy() @ A.numpy(), "
            "full_matrices=False)\n    return torch.tensor(U[:, :r] * S[:r]), torch.tensor(Vh[:r])\n",
            "stay with torch",
        ),
    ],
    "18.3": [
        (ALPHA.replace((
            "lora_alpha * (math.sqrt(ratio) if use_rslora else ratio)"
        ), "lora_alpha"), "four times as large"),
        (ALPHA.replace("new_r / r", "r / new_r"), "the wrong way round"),
        (ALPHA.replace(" if use_rslora else ratio", ""), "right for rsLoRA alone"),
        (ALPHA.replace("(math.sqrt(ratio) if use_rslora else ratio)", "ratio"), "wrong for rsLoRA"),
        (ALPHA.replace((
            "lora_alpha * (math.sqrt(ratio) if use_rslora else ratio)"
        ), "lora_alpha / r"), "the scale itself"),
        (ALPHA.replace("new_r / r", "16 / 64"), "use the ranks as given"),
        (ALPHA.replace("lora_alpha * ", "7 * "), "the new α is 8"),
        (ALPHA.replace("return ", "return str(").replace("ratio)\n", "ratio))\n"), "returned a str"),
        (ALPHA.replace("return lora_alpha * (math.sqrt(ratio) if use_rslora else ratio)", (
            "return round(lora_alpha * (math.sqrt(ratio) if use_rslora else ratio))"
        )), "do not round"),
        (ALPHA.replace("lora_alpha * (math.sqrt(ratio) if use_rslora else ratio)", (
            "None if use_rslora else lora_alpha * ratio"
        )), "For rsLoRA: Return one number"),
    ],
}  # fmt: skip
