"""Plausible wrong answers to lesson 03's exercises, each with a piece of the sentence that must name it."""

WRONG = {
    "03.1": [
        ("def labels(ids, answer_start): return list(ids)", "You hid nothing"),
        (
            "def labels(ids, answer_start): return ids[:answer_start] + [-100] * (len(ids) - answer_start)",
            "turned round",
        ),
        ("def labels(ids, answer_start): return [-100] * answer_start + ids[answer_start:-1] + [-100]", "end token"),
        ("def labels(ids, answer_start): return [0] * answer_start + ids[answer_start:]", "real token"),
        ("def labels(ids, answer_start): return ids[answer_start:]", "needs one label"),
        ("def labels(ids, answer_start): return [-100] * 3 + ids[3:]", "another"),
        (
            "def labels(ids, answer_start): return [-100 if i in ids[:answer_start] else i for i in ids]",
            "go by its place",
        ),
        ("def labels(ids, answer_start): return ids + 1", "TypeError"),
        ("def labels(ids, answer_start): return [-100] * (answer_start - 1) + ids[answer_start:] + [-100]", "shifted"),
        ("def labels(ids, answer_start): return [-100] * (answer_start + 1) + ids[answer_start:-1]", "shifted"),
        (
            "def labels(ids, answer_start): return [-100] * (answer_start + 1) + ids[answer_start + 1 :]",
            "first token is",
        ),
        (
            "def labels(ids, answer_start): return [-100] * (answer_start - 1) + ids[answer_start - 1 :]",
            "last token is",
        ),
        ("def labels(ids, answer_start): return [-100] * answer_start + ids", "not all of"),
        ("def labels(ids, answer_start): return [-100] * len(ids)", "hid every token"),
        ("def labels(ids, answer_start): return [i >= answer_start for i in range(len(ids))]", "That is a mask"),
        ("def labels(ids, answer_start): return [100] * answer_start + ids[answer_start:]", "you put 100"),
        ("def labels(ids, answer_start): return [-1] * answer_start + ids[answer_start:]", "you put -1"),
        ("def labels(ids, answer_start): return [None] * answer_start + ids[answer_start:]", "not None"),
        ("def labels(ids, answer_start): return ids[answer_start]", "and no int"),
    ],
    "03.2": [
        ("def training_bytes(parameters, trainable): return 16 * parameters", "frozen"),
        ("def training_bytes(parameters, trainable): return 4 * parameters + 8 * trainable", "One of the three"),
        ("def training_bytes(parameters, trainable): return 4 * parameters + 4 * trainable", "two moments"),
        (
            "def training_bytes(parameters, trainable): return 8 * parameters + 8 * trainable",
            "a frozen parameter has none",
        ),
        ("def training_bytes(parameters, trainable): return '4120'", "Return one number"),
        ("def training_bytes(parameters, trainable): return 12 * trainable", "must be held too"),
        (
            "def training_bytes(parameters, trainable): return 4 * parameters + 16 * trainable",
            "trainable weights twice",
        ),
        ("def training_bytes(parameters, trainable): return parameters + 3 * trainable", "not bytes"),
        ("def training_bytes(parameters, trainable): return 4_000 + 12 * trainable", "use `parameters` as given"),
    ],
    "03.3": [
        (
            "def step(m, x, y, o):\n    loss = ((m(x) - y) ** 2).mean()\n    loss.backward()\n    o.zero_grad()\n    o.step()",
            "Nothing moved",
        ),
        ("def step(m, x, y, o):\n    loss = ((m(x) - y) ** 2).mean()\n    loss.backward()\n    o.step()", "Clear it"),
        (
            "def step(m, x, y, o):\n    loss = ((m(x) - y) ** 2).mean()\n    o.step()\n    o.zero_grad()\n    loss.backward()",
            "before there was",
        ),
        (
            "def step(m, x, y, o):\n    loss = -((m(x) - y) ** 2).mean()\n    o.zero_grad()\n    loss.backward()\n    o.step()",
            "moved away",
        ),
        ("def step(m, x, y, o):\n    o.zero_grad()\n    o.step()", "Nothing moved"),
        (
            "def step(m, x, y, o):\n    o.zero_grad()\n    m(x).square().mean().backward()\n    o.step()",
            "use `y`",
        ),
        ("def step(m, x, y, o):\n    ((m(x) - y) ** 2).mean().backward()", "Nothing moved"),
    ],
}
