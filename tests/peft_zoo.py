"""Adapters of every kind that PEFT makes, on a tiny base: made once, moved a little as training would,
and saved by PEFT."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from chat_templates import ZEPHYR, tokenizer_of
from peft.tuners.lora import config as variants
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QV = ["q_proj", "v_proj"]
LORA = {"r": 4, "lora_alpha": 8, "target_modules": QV}

# One of each kind: PEFT's settings.
KINDS: dict[str, dict[str, Any]] = {
    "plain": LORA,
    "all_linear": {**LORA, "target_modules": "all-linear"},
    "by_pattern": {**LORA, "target_modules": r".*layers\.\d+\.self_attn\.(q|v)_proj$"},
    "rank_pattern": {**LORA, "rank_pattern": {"layers.1.self_attn.q_proj": 2}},
    "alpha_pattern": {**LORA, "alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 2}},
    "wider_than_w": {**LORA, "r": 40, "use_rslora": True},
    "subtracted": {**LORA, "lora_alpha": -8},
    "dora": {**LORA, "use_dora": True},
    "rslora": {**LORA, "use_rslora": True},
    "modules_to_save": {**LORA, "modules_to_save": ["lm_head", "embed_tokens"]},
    "on_embeddings": {**LORA, "target_modules": ["embed_tokens", "q_proj"]},
    "pissa": {**LORA, "init_lora_weights": "pissa"},
    "olora": {**LORA, "init_lora_weights": "olora"},
    "gaussian": {**LORA, "init_lora_weights": "gaussian"},
    "biases": {**LORA, "bias": "lora_only"},
    "lora_bias": {**LORA, "lora_bias": True},
    "some_layers": {**LORA, "layers_to_transform": [1]},
    "tokens": {**LORA, "trainable_token_indices": {"embed_tokens": [3, 4]}},
    "norms": {**LORA, "modules_to_save": ["norm", "input_layernorm"]},
    "mica": {**LORA, "init_lora_weights": "mica"},
    "orthogonal": {**LORA, "init_lora_weights": "orthogonal"},
    "excluded": {**LORA, "exclude_modules": ["layers.0.self_attn.q_proj"]},
    "alora": {**LORA, "alora_invocation_tokens": [4, 5]},
    "stacked": {**LORA, "layer_replication": [[0, 2], [1, 2]]},
    "bdlora": {
        **LORA,
        "use_bdlora": variants.BdLoraConfig(target_modules_bd_a=["q_proj"], target_modules_bd_b=["v_proj"], nblocks=2),
    },
    "kasa": {**LORA, "kasa_config": variants.KasaConfig()},
    "monteclora": {**LORA, "monteclora_config": variants.MontecloraConfig()},
    "velora": {**LORA, "velora_config": variants.VeloraConfig()},
    "qalora": {**LORA, "use_qalora": True, "qalora_group_size": 8},
    "tied": {**LORA, "target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True},
    "half_tied": {**LORA, "target_modules": ["lm_head", "q_proj"]},
    "lora_bias_on_biases": {**LORA, "lora_bias": True},
}
# Every other kind of PEFT's that can be made here (AdaMSS wants scikit-learn, X-LoRA other adapters).
C = {"task_type": "CAUSAL_LM"}
T = {"target_modules": QV}
OTHERS: dict[str, Any] = {
    "adalora": lambda: peft.AdaLoraConfig(target_r=2, init_r=4, tinit=1, tfinal=2, total_step=8, **T, **C),
    "adaption": lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=1, **C),
    "beft": lambda: peft.BeftConfig(**T),
    "boft": lambda: peft.BOFTConfig(boft_block_size=4, **T),
    "c3a": lambda: peft.C3AConfig(block_size=8, **T),
    "cartridge": lambda: peft.CartridgeConfig(num_virtual_tokens=4, **C),
    "cpt": lambda: peft.CPTConfig(cpt_token_ids=[3, 4], cpt_mask=[1, 1], cpt_tokens_type_mask=[1, 1], **C),
    "deft": lambda: peft.DeftConfig(r=4, **T),
    "delora": lambda: peft.DeloraConfig(r=4, **T),
    "fourierft": lambda: peft.FourierFTConfig(n_frequency=20, **T),
    "frod": lambda: peft.FrodConfig(progressbar=False, **T),
    "glora": lambda: peft.GloraConfig(r=4, **T),
    "gralora": lambda: peft.GraloraConfig(r=4, **T),
    "hira": lambda: peft.HiraConfig(r=4, **T),
    "hra": lambda: peft.HRAConfig(r=4, **T),
    "ia3": lambda: peft.IA3Config(feedforward_modules=[], **T, **C),
    "lily": lambda: peft.LilyConfig(r=4, **T),
    "ln_tuning": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], **C),
    "loha": lambda: peft.LoHaConfig(r=4, **T),
    "lokr": lambda: peft.LoKrConfig(r=4, **T),
    "miss": lambda: peft.MissConfig(r=4, **T),
    "multitask": lambda: peft.MultitaskPromptTuningConfig(num_virtual_tokens=4, num_tasks=2, **C),
    "oft": lambda: peft.OFTConfig(oft_block_size=4, r=0, **T),
    "osf": lambda: peft.OSFConfig(effective_rank=4, **T),
    "p_tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=16, **C),
    "peanut": lambda: peft.PeanutConfig(r=4, **T),
    "poly": lambda: peft.PolyConfig(r=4, **T, **C),
    "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4, **C),
    "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=4, **C),
    "psoft": lambda: peft.PsoftConfig(r=4, psoft_alpha=4, **T),
    "pvera": lambda: peft.PveraConfig(r=4, **T),
    "randlora": lambda: peft.RandLoraConfig(r=4, randlora_alpha=8, **T),
    "road": lambda: peft.RoadConfig(group_size=8, **T),
    "shadow": lambda: peft.ShadowConfig(r=4, **C),
    "shira": lambda: peft.ShiraConfig(r=4, **T),
    "supertuning": lambda: peft.SupertuningConfig(**T),
    "tinylora": lambda: peft.TinyLoraConfig(**T),
    "trainable_tokens": lambda: peft.TrainableTokensConfig(token_indices=[3, 4], target_modules=["embed_tokens"]),
    "unilora": lambda: peft.UniLoraConfig(**T),
    "vblora": lambda: peft.VBLoRAConfig(num_vectors=8, vector_length=8, **T),
    "vera": lambda: peft.VeraConfig(r=4, **T),
    "waveft": lambda: peft.WaveFTConfig(n_frequency=20, **T),
}
# The bases that are not the plain one.
BASES: dict[str, dict[str, bool]] = {
    **dict.fromkeys(["biases", "lora_bias_on_biases"], {"bias": True}),
    **dict.fromkeys(["tied", "half_tied"], {"tied": True}),
}


class Kept:
    """A folder of PEFT's with the model that it was saved from."""

    def __init__(self, place: Path, model: Any) -> None:
        self.place, self.model = place, model


@torch.no_grad()
def logits(model: Any) -> Any:
    """What a model says to TEXTS, in fp32; of kinds that learn several tasks, in the first one."""
    config = getattr(model, "active_peft_config", None)
    first = {"task_ids": torch.zeros(len(TEXTS), dtype=torch.long)}
    several = config is not None and config.peft_type in (peft.PeftType.POLY, peft.PeftType.MULTITASK_PROMPT_TUNING)
    return model.eval()(input_ids=TEXTS, **(first if several else {})).logits.float()


def what_peft_does(kept: Kept, base: Any) -> tuple[str, str]:
    """How PEFT loads an adapter onto `base` (yes; no: it raises; care: other answers),
    and whether a merge says the same.

    PEFT's own merge, and the merged model as it comes back from disk.
    """
    torch.manual_seed(99)  # what is not in the file is drawn anew
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            worn = peft.PeftModel.from_pretrained(base, str(kept.place))
        except (ValueError, RuntimeError, KeyError):
            return "no", "no"
        loads = "yes" if torch.allclose(said := logits(worn), logits(kept.model), atol=1e-4) else "care"
        try:
            merged = worn.merge_and_unload()
            merged.save_pretrained(kept.place / "merged")
            again = type(merged).from_pretrained(kept.place / "merged")
        except (AttributeError, NotImplementedError, ValueError, RuntimeError):
            return loads, "no"
        finally:
            shutil.rmtree(kept.place / "merged", ignore_errors=True)
    same = torch.allclose(logits(merged), said, atol=1e-4) and torch.allclose(logits(again), said, atol=1e-4)
    return loads, "yes" if same else "no"


@torch.no_grad()
def move(model: Any, seed: int = 0) -> Any:
    """Move every trainable number a little, as training does."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += (0.03 * torch.randn(parameter.shape, generator=generator)).to(parameter.dtype)
    return model


def llama(tied: bool = False, bias: bool = False) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=len(TOKENIZER), tie_word_embeddings=tied, attention_bias=bias)
    return LlamaForCausalLM(config).eval()


def mixtral() -> Any:
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**SIZES, vocab_size=128, num_local_experts=4, num_experts_per_tok=2)).eval()


def made(place: Path, model: Any, config: Any, moved: bool = True, before: Any = None) -> Kept:
    """The adapter that PEFT makes of `config` for `model`, saved in `place`; `before` looks at both first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if before is not None:
            before(model, config)
        worn = peft.get_peft_model(model, config)
        if moved:
            move(worn)
        if config.peft_type == peft.PeftType.ADALORA:
            prune(worn, config.total_step)
        worn.save_pretrained(place)
    return Kept(place, worn)


def lora(place: Path, moved: bool = True, model: Any = None, **settings: Any) -> Kept:
    """A LoRA adapter of the tiny Llama; `settings` over LORA's."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", **LORA | settings)
    return made(place, llama() if model is None else model, config, moved)


def prune(worn: Any, steps: int) -> None:
    """A short training of AdaLoRA, so that it drops directions and writes into its configuration which it kept."""
    optimizer = torch.optim.SGD([one for one in worn.parameters() if one.requires_grad], lr=0.1)
    for step in range(steps + 1):
        worn(input_ids=TEXTS[:1], labels=TEXTS[:1]).loss.backward()
        optimizer.step()
        worn.base_model.update_and_allocate(step)
        optimizer.zero_grad()


def corda(model: Any, config: Any) -> None:
    """What CorDA's start wants to know of the texts."""
    with torch.no_grad():
        preprocess_corda(model, config, run_model=lambda: [model(input_ids=row[None]) for row in TEXTS])


def lora_ga(model: Any, config: Any) -> None:
    """What LoRA-GA's start wants to know of the texts."""
    preprocess_loraga(model, config, lambda: model(input_ids=TEXTS, labels=TEXTS).loss.backward())


TOKENIZER = tokenizer_of(ZEPHYR, begin=False)
TEXTS = torch.randint(0, len(TOKENIZER), (4, 40), generator=torch.Generator().manual_seed(0))
# Starts that PEFT makes of more than the weights: the settings, and what it looks at first.
STARTS: dict[str, tuple[dict[str, Any], Any]] = {
    "corda": ({"init_lora_weights": "corda", "corda_config": variants.CordaConfig()}, corda),
    "lora_ga": ({"init_lora_weights": "lora_ga", "lora_ga_config": peft.LoraGAConfig()}, lora_ga),
}


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama and its tokenizer, as a base in a folder."""
    place = tmp_path_factory.mktemp("base") / "tiny"
    llama().save_pretrained(place)
    TOKENIZER.save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    """Every kind in KINDS, and those that need another model or are no LoRA."""
    place = tmp_path_factory.mktemp("zoo")
    found = {name: lora(place / name, model=llama(**BASES.get(name, {})), **said) for name, said in KINDS.items()}
    for name, (settings, before) in STARTS.items():
        config = peft.LoraConfig(task_type="CAUSAL_LM", **LORA, **settings)
        found[name] = made(place / name, llama(), config, before=before)
    found["bf16"] = lora(place / "bf16", model=llama().to(torch.bfloat16))
    stacks = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    experts = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], target_parameters=stacks)
    found["experts"] = made(place / "experts", mixtral(), experts)
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=128, num_labels=3)
    classifier = AutoModelForSequenceClassification.from_config(config)
    found["classifier"] = made(place / "classifier", classifier, peft.LoraConfig(task_type="SEQ_CLS", **LORA))
    return found | {name: made(place / name, llama(), config()) for name, config in OTHERS.items()}


def edited(kept: Kept, place: Path, change: Any = None, **settings: Any) -> Path:
    """A copy of a saved adapter in `place`, its tensors changed by `change`, its configuration by `settings`."""
    shutil.copytree(kept.place, place)
    file, config = place / "adapter_model.safetensors", place / "adapter_config.json"
    if change is not None:
        save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file)
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return place
