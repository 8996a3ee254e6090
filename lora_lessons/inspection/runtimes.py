"""Which programs load the adapter, and why: read in the sources of vLLM and llama.cpp in November 2026, and in their threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .measures import Matrix
from .reading import AdapterFolder, Stored, odd_keys
from .xray import AgainstBase, Loads, Runtime

# vLLM's default for --max-lora-rank.
VLLM_RANK = 16
# Kinds that stand before the text, or inside attention: there is no W to fold them into.
NOT_MERGED = (
    "PROMPT_TUNING",
    "PREFIX_TUNING",
    "P_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "ADAPTION_PROMPT",
    "CPT",
    "CARTRIDGE",
)

Answer = tuple[Loads, str, str]


def runtimes(
    opened: AdapterFolder, matrices: Sequence[Matrix], against: AgainstBase | None = None
) -> tuple[Runtime, ...]:
    """PEFT, llama.cpp, vLLM, and Ollama by way of a merge; of each the first reason that decides."""
    broken = odd_keys(opened)
    found = []
    for name, reasons in (("PEFT", _peft), ("llama.cpp", _llama_cpp), ("vLLM", _vllm), ("Ollama (merged)", _merged)):
        first = next(reasons(opened, matrices, against))
        if broken and name != "vLLM":
            first = ("no", "the keys of its file are not those that PEFT looks for", "peft#1678, peft#2171")
        found.append(Runtime(name, *first))
    return tuple(found)


def _peft(opened: AdapterFolder, matrices: Sequence[Matrix], against: AgainstBase | None) -> Iterator[Answer]:
    if against and against.other_shapes:
        yield "no", "its matrices have other shapes than this base's", "peft#1457"
    if opened.settings.changes_base:
        yield "yes", "it works the same start out of the base anew, so the base must be the very same", ""
    yield "yes", "it wrote the format", ""


def _llama_cpp(opened: AdapterFolder, matrices: Sequence[Matrix], against: AgainstBase | None) -> Iterator[Answer]:
    said = opened.settings
    if not said.is_lora:
        yield "no", f"its adapters are A and B, and this is {said.kind}", ""
    if said.use_dora:
        yield "no", "its converter stops at DoRA's magnitudes: merge it first", "llama.cpp#6536"
    if other := _besides(opened):
        yield "no", f"its converter takes A and B alone and stops at {_last(other)}: merge it first", "llama.cpp#11554"
    if against and against.tied and any(one.module.endswith("lm_head") for one in matrices):
        yield "no", "this base's head is its embedding, and its converter leaves no lm_head alone", "llama.cpp#9065"
    if said.target_parameters:
        yield "unknown", "stacked experts (target_parameters) were not tried here: merge it first", ""
    if said.changes_base:
        yield "care", f"{said.init_lora_weights} changed the base too: convert it with PEFT first", "lesson 05"
    if said.alpha_pattern:
        yield "care", "its file has one alpha for all matrices, and alpha_pattern gives some another", "lesson 10"
    if said.use_rslora:
        reason = "its converter reads lora_alpha alone; `lora-lessons export gguf` writes α·√r in its place"
        yield "care", reason, "lesson 10"
    yield "yes", "`lora-lessons export gguf` or its own converter writes the file", "lesson 10"


def _vllm(opened: AdapterFolder, matrices: Sequence[Matrix], against: AgainstBase | None) -> Iterator[Answer]:
    said = opened.settings
    if not said.is_lora:
        yield "no", f"its adapters are A and B, and this is {said.kind}", ""
    if said.modules_to_save:
        yield "no", "it takes no modules_to_save: merge it first", "vllm#9280"
    if said.use_dora:
        yield "no", "it takes no DoRA: merge it first", "vllm#6983, vllm#10849"
    whole = [one for one in _besides(opened) if one.role != "embedding"]
    if said.bias != "none" or whole:
        yield "no", f"it takes A and B alone, and the file has {_last(whole)} too: merge it first", "vllm#7441"
    if any(one.role == "embedding" for one in opened.tensors):
        yield "care", "it passes over the embeddings in the file: merge it first if they were trained", "vllm#32599"
    if said.target_parameters:
        yield "unknown", "stacked experts (target_parameters) depend on the model: try it, or merge first", ""
    if said.changes_base:
        yield "care", f"{said.init_lora_weights} changed the base too: convert it with PEFT first", "lesson 05"
    if said.rank_pattern or said.alpha_pattern:
        reason = "it reads r and lora_alpha once for all matrices: those that a pattern names get another scale"
        yield "care", reason, "vllm/lora/peft_helper.py"
    largest = max((one.r for one in matrices), default=0)
    if largest > VLLM_RANK:
        yield "yes", f"with --max-lora-rank {_power(largest)}: its default is {VLLM_RANK}", "vllm#2847"
    yield "yes", "with --enable-lora", "lesson 16"


def _merged(opened: AdapterFolder, matrices: Sequence[Matrix], against: AgainstBase | None) -> Iterator[Answer]:
    said = opened.settings
    if said.kind in NOT_MERGED:
        yield "no", f"{said.kind} has no update to fold into W", ""
    if any(not one.finite for one in matrices):
        yield "no", "NaN or infinity in A or B would spread to every answer", ""
    if against and against.other_shapes:
        yield "no", "its matrices have other shapes than this base's", ""
    if said.task_type not in ("", "CAUSAL_LM"):
        yield "no", f"it was made for {said.task_type}, and Ollama serves language models", ""
    on_embedding = any(one.role == "embedding" or one.on_embedding for one in opened.tensors)
    if on_embedding and (against is None or against.tied):
        reason = "if the base ties head and embedding, untie them in the merged model's config before you save it"
        yield "care", reason, "transformers#45127"
    plain = said.is_lora and not (said.use_dora or _besides(opened) or said.target_parameters or said.changes_base)
    plain = plain and not (said.rank_pattern or said.alpha_pattern)
    tool = "`lora-lessons export ollama`" if plain else "PEFT's merge_and_unload, then llama.cpp's converter"
    yield "yes", f"by {tool}", "lesson 10"


def _besides(opened: AdapterFolder) -> list[Stored]:
    """Tensors that are neither A nor B, nor a copy of the base's own, nor a norm: llama.cpp keeps norms."""
    others = (one for one in opened.tensors if one.role not in ("A", "B"))
    return [one for one in others if ".base_layer." not in one.key and "norm" not in one.key.rpartition(".")[0]]


def _last(tensors: Sequence[Stored]) -> str:
    return ".".join(tensors[0].key.split(".")[-2:]) if tensors else "biases"


def _power(r: int) -> int:
    """The next of vLLM's ranks: 8, 16, 32 …"""
    return max(8, 1 << (r - 1).bit_length())
