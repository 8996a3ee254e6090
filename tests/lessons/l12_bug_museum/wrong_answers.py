"""Plausible wrong repairs in hall 1, each with a piece of the sentence that must name it."""

DELTA = "def delta(A, B, config):\n    return {}"
CONFIG = "def {}():\n    return LoraConfig({}, task_type='CAUSAL_LM')"
START = "def start(r, d, k):\n    return {}"
LOST = "def unmatched(target_modules, layers):\n    return {}"
CHOOSE = "def choose(runs, base_perplexity):\n    return {}"
RATE = """
def rate_for(train, full_rate):
    tried = [full_rate * times for times in (1, 3, 10, 30, 100, 300)]
    return {}
"""

WRONG = {
    "12.1": [
        (DELTA.format("config['lora_alpha'] * B @ A"), "Still broken"),
        (DELTA.format("B @ A"), "it is missing"),
        (DELTA.format("config['lora_alpha'] // config['r'] * B @ A"), "// rounded it down"),
        (DELTA.format("config['lora_alpha'] / config['r'] * A @ B"), "B (here 5×4) comes first"),
        (DELTA.format("config['r'] / config['lora_alpha'] * B @ A"), "upside down"),
        (DELTA.format("config['lora_alpha'] / config['r'] ** 0.5 * B @ A"), "rsLoRA"),
        (DELTA.format("config['lora_alpha'] * config['r'] * B @ A"), "Divide by it"),
        (DELTA.format("2.0 * B @ A"), "from `config`"),
        (DELTA.format("1.5 * B @ A"), "for α = 16 it is 4"),
        (DELTA.format("config['lora_alpha'] / 8 * B @ A"), "the scale is 1.5"),
        (DELTA.format("(B @ A).T"), "as large as W"),
        (DELTA.format("B @ A + 1"), "no multiple"),
    ],
    "12.2": [
        (CONFIG.format("stronger_config", "r=64, target_modules='all-linear'"), "Still broken"),
        (CONFIG.format("stronger_config", "r=8, lora_alpha=16, target_modules='all-linear'"), "Keep r = 64"),
        (CONFIG.format("stronger_config", "r=64, lora_alpha=128, target_modules='all-linear'"), "That is α = 2r"),
        (CONFIG.format("stronger_config", "r=64, lora_alpha=256, target_modules='all-linear'"), "not its scale"),
        (CONFIG.format("stronger_config", "r=64, lora_alpha=0.5, target_modules='all-linear'"), "lora_alpha is α"),
        (CONFIG.format("stronger_config", "r=64, lora_alpha=16, target_modules='all-linear'"), "scale is 0.25 now"),
        (
            CONFIG.format("stronger_config", "r=64, lora_alpha=32, use_rslora=True, target_modules='all-linear'"),
            "rsLoRA divides by √r",
        ),
        (CONFIG.format("stronger_config", "r=64, lora_alpha=32, target_modules=['q_proj']"), "the layers were right"),
        ("def stronger_config():\n    return {'r': 64, 'lora_alpha': 32}", "Return a LoraConfig"),
    ],
    "12.3": [
        (START.format("torch.zeros(r, k), torch.zeros(d, r)"), "Still broken"),
        (START.format("torch.randn(r, k), torch.randn(d, r)"), "B·A is not zero"),
        (START.format("torch.ones(r, k), torch.zeros(d, r)"), "a rank of 1 for ever"),
        (START.format("torch.zeros(r, k), torch.full((d, r), 0.1)"), "a rank of 1 for ever"),
        (START.format("torch.randn(k, r), torch.zeros(r, d)"), "A is r×k"),
        (START.format("torch.full((r, k), math.nan), torch.zeros(d, r)"), "not filled"),
        (START.format("torch.zeros(d, k)"), "Return two tensors"),
    ],
    "12.4": [
        (
            LOST.format("[] if any(l.endswith(t) for t in target_modules for l in layers) else target_modules"),
            "Still silent",
        ),
        (LOST.format("[t for t in target_modules if not any(t in l for l in layers)]"), "the end of a word"),
        (LOST.format("[t for t in target_modules if not any(l.endswith(t) for l in layers)]"), "the end of a word"),
        (LOST.format("[t for t in target_modules if t not in {l.split('.')[-1] for l in layers}]"), "A longer name"),
        (LOST.format("[t for t in target_modules if any(l.endswith('.' + t) for l in layers)]"), "Turned round"),
        (LOST.format("[l for l in layers if 'up_proj' in l]"), "You return layers"),
        (LOST.format("[t for t in target_modules if t not in layers]"), "Here fc1 and fc2"),
        (LOST.format("2"), "Return a list"),
    ],
    "12.5": [
        (CONFIG.format("config_with_experts", "r=4, target_modules='all-linear'"), "Still broken"),
        (
            CONFIG.format("config_with_experts", "r=4, target_modules=['gate_up_proj', 'down_proj']"),
            "name them in target_parameters",
        ),
        (
            CONFIG.format(
                "config_with_experts", "r=4, target_modules='all-linear', target_parameters=['mlp.experts.down_proj']"
            ),
            "Each expert has two weights",
        ),
        (
            CONFIG.format(
                "config_with_experts",
                "r=4, target_modules=[], target_parameters=['mlp.experts.down_proj', 'mlp.experts.gate_up_proj']",
            ),
            "lost its adapters",
        ),
        (
            CONFIG.format("config_with_experts", "r=4, target_modules='all-linear', modules_to_save=['experts']"),
            "whole copies",
        ),
        (
            CONFIG.format(
                "config_with_experts",
                "r=8, target_modules='all-linear', "
                "target_parameters=['mlp.experts.down_proj', 'mlp.experts.gate_up_proj']",
            ),
            "Keep r = 4",
        ),
    ],
    "12.6": [
        (CHOOSE.format("min(runs, key=lambda rate: runs[rate][0])"), "Still broken"),
        (CHOOSE.format("min(runs, key=lambda rate: runs[rate][1])"), "forgot too much"),
        (CHOOSE.format("min(runs, key=lambda rate: runs[rate][2])"), "learned nothing"),
        (CHOOSE.format("min((r for r in runs if runs[r][2] < 60), key=lambda r: runs[r][0])"), "wrong elsewhere"),
        (CHOOSE.format("min((r for r in runs if runs[r][2] < 60), key=lambda r: runs[r][1])"), "use base_perplexity"),
        (CHOOSE.format("min(runs, key=lambda r: sum(runs[r]))"), "the held-out loss alone decides"),
        (
            CHOOSE.format(
                "min([r for r in runs if runs[r][2] < 1.5 * base_perplexity] or runs, key=lambda r: runs[r][1])"
            ),
            "none to keep",
        ),
        (CHOOSE.format("min(run[1] for run in runs.values())"), "Return a rate"),
        (CHOOSE.format("runs"), "Return one number"),
    ],
    "12.22": [
        (RATE.format("full_rate"), "Still the recipe's rate"),
        (RATE.format("min(tried, key=lambda rate: train(rate)[0])"), "Compare the last losses"),
        (RATE.format("10 * full_rate"), "Ten times is where to begin"),
        (RATE.format("tried[-1]"), "the run broke"),
        (RATE.format("2e-3"), "You return 0.002"),
        (RATE.format("min(train(rate)[-1] for rate in tried)"), "You return 1"),
        (RATE.format("tried"), "Return one number"),
    ],
}
