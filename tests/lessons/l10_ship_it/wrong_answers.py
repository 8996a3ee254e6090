"""Plausible wrong answers to lesson 10's exercises, each with a piece of the sentence that must name it."""

PAIRS = "def in_pairs(rows, heads): return {}"
ALPHA = "def alpha_in_file(config): return {}"
NET = "def bad_prompts(python, llama, limit): return {}"

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
}
