"""Plausible wrong answers to lesson 02's exercises, each with words that its check's sentence must hold."""

_FORWARD = "def forward(x, W, A, B, r, lora_alpha):\n    return "

WRONG = {
    "02.1": [
        ("def trainable(shapes, r):\n    return sum(r * d * k for d, k in shapes)", "add their sizes"),
        ("def trainable(shapes, r):\n    return sum(d * k for d, k in shapes)", "counted W itself"),
        ("def trainable(shapes, r):\n    return sum(d * k + r * (d + k) for d, k in shapes)", "counted W as well"),
        ("def trainable(shapes, r):\n    return sum(d + k for d, k in shapes)", "Each of the r directions"),
        ("def trainable(shapes, r):\n    return sum(2 * r * d for d, k in shapes)", "only where d = k"),
        ("def trainable(shapes, r):\n    return sum(r * d for d, k in shapes)", "A (r×k) trains too"),
        ("def trainable(shapes, r):\n    d, k = shapes[0]\n    return r * (d + k)", "first one's count"),
        ("def trainable(shapes, r):\n    d, k = shapes[0]\n    return len(shapes) * r * (d + k)", "three times"),
        ("def trainable(shapes, r):\n    return [r * (d + k) for d, k in shapes]", "Return one number"),
        ("def trainable(shapes, r):\n    return sum(2 * (d + k) for d, k in shapes)", "use `r` as given"),
        ("def trainable(shapes, r):\n    return sum(r * (d + k) for d, k in shapes[:2])", "expect 58, not 36"),
    ],
    "02.2": [
        (_FORWARD + "x @ W.T + x @ A.T @ B.T", "forgot the scale"),
        (_FORWARD + "x @ W.T + r * (x @ A.T @ B.T)", "multiplied the update by r"),
        (_FORWARD + "x @ W.T + 2 * (x @ A.T @ B.T)", "Your scale is 2"),
        (_FORWARD + "x @ W.T + lora_alpha // r * (x @ A.T @ B.T)", "rounds α/r down"),
        (_FORWARD + "x @ W.T + lora_alpha * (x @ A.T @ B.T)", "did not divide by r"),
        (_FORWARD + "x @ W.T + lora_alpha / r * (x @ (A @ B).T)", "ΔW is B @ A"),
        (_FORWARD + "x @ W.T + lora_alpha / r * (x @ A @ B)", "shapes do not fit"),
        (_FORWARD + "lora_alpha / r * (x @ A.T @ B.T)", "W·x is missing"),
        (_FORWARD + "lora_alpha / r * (x @ (W + B @ A).T)", "scaled W·x as well"),
        (_FORWARD + "(x @ W.T + lora_alpha / r * (x @ A.T @ B.T)).T", "one row a token"),
    ],
    "02.3": [
        ('def diagnose(layer):\n    return "healthy"', "every layer"),
        ('def diagnose(layer):\n    return "not a no-op" if layer.lora_B.any() else "healthy"', "neither moves"),
        (
            "def diagnose(layer):\n"
            '    if layer.lora_B.any():\n        return "not a no-op"\n'
            '    if not layer.lora_A.any():\n        return "never learns"\n'
            '    return "healthy" if layer.scaling == layer.lora_alpha / layer.r else "wrong scale"',
            "one zero is enough",
        ),
        (
            "def diagnose(layer):\n"
            '    if layer.lora_A.any() and layer.lora_B.any():\n        return "not a no-op"\n'
            '    if not layer.lora_A.any() and not layer.lora_B.any():\n        return "never learns"\n'
            '    return "wrong scale" if layer.scaling == 1 else "healthy"',
            "Compare with α/r",
        ),
        ('def diagnose(layer):\n    return "ill"', "Answer with one of"),
    ],
}
