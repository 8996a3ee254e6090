"""Plausible wrong answers to lesson 10's exercises and its side trip's, each with a piece of the sentence naming it."""

PAIRS = "def in_pairs(rows, heads): return {}"
ALPHA = "def alpha_in_file(config): return {}"
NET = "def bad_prompts(python, llama, limit): return {}"
PASS = "def pass_on(w, inverse, i, rounded): return {}"
SCALED = "def scaled(W, s, nearest): return {}"
RUNS = """
def leaks(calibration, measured, n):
    def runs(text):
        words = {words}
        return {{{run} for i in range({many})}}
    return bool(runs(calibration) & runs(measured))
"""
Q4_0 = """def q4_0(W):
    blocks = W.reshape(-1, 32)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    step = largest / -8
    return ((blocks / step).round().clamp(-8, 7) * step).view_as(W)
"""
GOOD = {"words": "text.split()", "run": "tuple(words[i : i + n])", "many": "len(words) - n + 1"}


WRONG = {
    "10.1": [
        (PAIRS.format("rows"), "Nothing moved"),
        (PAIRS.format("rows.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1)"), "across heads"),
        (PAIRS.format("rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)"), "the way back"),
        (PAIRS.format("rows.unflatten(0, (heads, 2, -1)).transpose(1, 2)"), "The shape must stay"),
        (PAIRS.format("rows.unflatten(0, (2, 2, -1)).transpose(1, 2).flatten(0, 2)"), "use `heads`"),
        (PAIRS.format("rows.flip(0)"), "should become"),
        (PAIRS.format("rows.flatten().view(2, -1).T.reshape(rows.shape)"), "torn apart"),
        (PAIRS.format("3"), "Return a tensor"),
    ],
    "10.2": [
        (ALPHA.format("config['lora_alpha']"), "llama.cpp divides by r = 16"),
        (ALPHA.format("config['lora_alpha'] / config['r'] ** 0.5"), "That is the scale itself"),
        (ALPHA.format("config['lora_alpha'] / config['r']"), "divide by r again"),
        (ALPHA.format("config['lora_alpha'] * config['r']"), "α itself"),
        (ALPHA.format("config['lora_alpha'] * config['r'] ** 0.5"), "√r times too strong"),
        (ALPHA.format("config['lora_alpha'] * (4 if config.get('use_rslora') else 1)"), "use √r, not 4"),
        (ALPHA.format("config['lora_alpha'] * config['r'] ** 0.5 if config['use_rslora'] else 8"), "16 here"),
        (ALPHA.format("config['lora_alpha'] * (config['r'] ** 0.5 if config['use_rslora'] else 1)"), "an older file"),
        (
            ALPHA.format("config['lora_alpha'] * (config['r'] ** 0.5 if config.get('use_rslora', True) else 1)"),
            "is plain LoRA",
        ),
        (ALPHA.format("7.0"), "would scale by 7/16"),
        (ALPHA.format("[32.0]"), "Return one number"),
    ],
    "10.3": [
        (NET.format("[i for i in range(6) if python[i].argmax() != llama[i].argmax()]"), "compare all logits"),
        (NET.format("[i for i in range(6) if (python[i] - llama[i]).abs().max() > limit]"), "NaN"),
        (NET.format("[i for i in range(6) if not (llama[i] - python[i]).max() <= limit]"), "absolute"),
        (NET.format("[i for i in range(6) if not (llama[i] - python[i]).mean().abs() <= limit]"), "cancel in a mean"),
        (NET.format("[i for i in range(6) if (python[i] - llama[i]).abs().max() <= limit]"), "Turned round"),
        (NET.format("[i for i in range(6) if not (python[i] == llama[i]).all()]"), "rounding alone"),
        (NET.format("[i for i in range(6) if not (python[i] - llama[i]).abs().max() <= 1e-4]"), "use `limit`"),
        (NET.format("[i for i in range(6) if not (python[i] - llama[i]).abs().max() <= 1e-3]"), "bad at limit 0.0001"),
        (
            NET.format("[i for i in range(6) if not (python[i] - llama[i]).abs().mean() <= limit]"),
            "a mean over all of them hides",
        ),
        (NET.format("True"), "Return a list"),
    ],
    "10.4": [
        (Q4_0.replace(".round().clamp(-8, 7)", ""), "Nothing is rounded"),
        (Q4_0.replace("largest / -8", "largest.abs() / 7").replace("-8, 7", "-7, 7"), "from lesson 06"),
        (Q4_0.replace("largest / -8", "largest.abs() / 8"), "Keep the weight's sign"),
        (Q4_0.replace("largest / -8", "largest / 8"), "which is no mark"),
        (Q4_0.replace("largest / -8", "largest.abs() / -8"), "always negative"),
        (Q4_0.replace("blocks.abs().argmax", "blocks.argmax"), "by *absolute* value"),
        (Q4_0.replace(".clamp(-8, 7)", ""), ".clamp(-8, 7)"),
        (Q4_0.replace("/ -8", "/ -7"), "from lesson 06"),
        (Q4_0.replace("-1, 32", "-1, 64"), "have 32"),
        (Q4_0.replace(" * step)", ")"), "times the step"),
        (Q4_0.replace("round()", "floor()"), "the mark below"),
        (Q4_0.replace("round()", "trunc()"), "cut the fraction off"),
        (Q4_0.replace(".view_as(W)", ""), ".view_as(W)"),
        (Q4_0.replace(".view_as(W)", ".view_as(W).tolist()"), "Return a tensor"),
        (Q4_0.replace("-8, 7", "-7, 7"), "not the nearest of the marks"),
    ],
    "10.5": [
        (PASS.format("w + (w[i] - rounded) / inverse[i, i] * inverse[i]"), "sign is turned"),
        (PASS.format("w - (w[i] - rounded) * inverse[i]"), "Divide by inverse[i, i]"),
        (PASS.format("w - (w[0] - rounded) / inverse[0, 0] * inverse[0]"), "use i"),
        (PASS.format("torch.cat([w[:i], torch.tensor([rounded]), w[i + 1 :]])"), "round-to-nearest"),
        (PASS.format("rounded"), "the whole row"),
        (
            PASS.format("torch.cat([w[:i], w[i:] - (w[i] - rounded) / inverse[i, i] * inverse[i, i:]])"),
            "only the later weights",
        ),
        (PASS.format("w - (w[i] - rounded) / inverse[i].sum() * inverse[i]"), "should now be the rounded one"),
        (
            PASS.format(
                "torch.cat([w[:i], torch.tensor([rounded]), w[i + 1 :] - (w[i] - rounded) * inverse[i, i + 1 :]])"
            ),
            "the others are not",
        ),
    ],
    "10.6": [
        (SCALED.format("nearest(W * s)"), "Divide by s again"),
        (SCALED.format("nearest(W)"), "enlarged before"),
        (SCALED.format("nearest(W / s) * s"), "Turned round"),
        (SCALED.format("nearest(W * s[:, None]) / s[:, None]"), "Those are rows"),
        (SCALED.format("W * s / s"), "Nothing has been rounded"),
        (SCALED.format("nearest(W * s).sum()"), "W's shape"),
        (SCALED.format("(W * s).round() / s"), "round in no other way"),
        (SCALED.format("nearest(W * s**2) / s**2"), "in this order"),
    ],
    "10.7": [
        (
            "def leaks(calibration, measured, n): return bool(set(calibration.split()) & set(measured.split()))",
            "three words in a row",
        ),
        ("def leaks(calibration, measured, n): return calibration == measured", "in the middle"),
        ("def leaks(calibration, measured, n): return measured in calibration", "in the middle"),
        (RUNS.format(**GOOD | {"many": "len(words) - n"}), "The last run is missing"),
        (RUNS.format(**GOOD | {"run": "frozenset(words[i : i + n])"}), "The order of the words"),
        (RUNS.format(**GOOD | {"words": "text.split(' ')"}), "Line breaks"),
        (RUNS.format(**GOOD | {"many": "len(words)"}), "fewer than n"),
        (
            (
                "def leaks(calibration, measured, n):\n    w = calibration.split()\n    return any(' '.join(w[i : i + "
                "n]) in ' '.join(measured.split()) for i in range(len(w) - n + 1))"
            ),
            "Whole words",
        ),
        (
            "def leaks(calibration, measured, n): return len(set(calibration.split()) & set(measured.split()))",
            "True or False",
        ),
    ],
}
