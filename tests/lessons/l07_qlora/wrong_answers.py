"""Plausible wrong answers to lesson 07's exercises, each with a piece of the sentence that must name it."""

FIXED = "def fixed_gb(linear, rest, trains): return ({}) / 1e9"

WRONG = {
    "07.1": [
        ("def backward(g, q): return g @ quant.dequantize(q).T", "the forward direction"),
        ("def backward(g, q): return g.T @ g", "W's gradient"),
        ("def backward(g, q): return g", "unchanged"),
        ("def backward(g, q): return quant.dequantize(q) @ g.T", "order and the shapes"),
        ("def backward(g, q): return 3", "Return a tensor"),
        ("def backward(g, q): return g @ q", "q holds packed codes"),
        ("def backward(g, q): return quant.dequantize(q) @ g", "g comes first"),
        (
            "def backward(g, q):\n    out = g.flatten(0, -2) @ quant.dequantize(q)\n    return out if g.ndim == 2 else out.T.reshape(*g.shape[:-1], -1)",
            "the numbers are not",
        ),
    ],
    "07.2": [
        ("def silent(adapters): return [n for n, p in adapters.items() if p.grad is None]", "colleague's guard"),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if p.grad is not None and not p.grad.any() and 'lora_B' in n]",
            "its gradient is None",
        ),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if p.grad is None or not p.grad.any()]",
            "rightly",
        ),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if 'lora_B' in n and (p.grad is None or not p.grad.all())]",
            "any()",
        ),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if p.grad is not None and p.grad.any()]",
            "wrong way round",
        ),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if n.endswith('lora_B') and (p.grad is None or not p.grad.any())]",
            "PEFT's names",
        ),
        (
            "def silent(adapters): return [n for n, p in adapters.items() if 'lora_B' in n and (p.grad is None or p.grad.sum() == 0)]",
            "add up to nothing",
        ),
        ("def silent(adapters): return 'a.lora_B'", "a list of names"),
    ],
    "07.3": [
        (FIXED.format("linear * 4 / 8 + 2 * rest + 16 * trains"), "The scales are missing"),
        (FIXED.format("(linear + rest) * 4.127 / 8 + 16 * trains"), "stay in 16 bits"),
        (FIXED.format("linear * 4.127 / 8 + 2 * rest + 4 * trains"), "a gradient"),
        (FIXED.format("linear * 4.127 / 8 + 2 * rest + 8 * trains"), "two moments"),
        (FIXED.format("linear * 4.127 / 8 + 2 * rest + 12 * trains"), "are missing"),
        (FIXED.format("linear * 4.127 + 16 * rest + 128 * trains"), "Those are bits"),
        (FIXED.format("(linear * 4.127 / 8 + 2 * rest + 16 * trains) * 1e9"), "in bytes"),
        (FIXED.format("(linear * 4.127 / 8 + 2 * rest + 16 * trains) * 1e9 / 2**30"), "in GiB"),
        (FIXED.format("linear * 4.5 / 8 + 2 * rest + 16 * trains"), "without double"),
        ("def fixed_gb(linear, rest, trains): return 6.19", "use all three"),
    ],
}
