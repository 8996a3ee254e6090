"""Which programs load the adapter, and why: read in the sources of vLLM and llama.cpp in November 2026, and in their threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..adapter import ADAPTER_CONFIG
from ..peft_config import read_config
from .disagreements import dropped, other_ranks
from .measures import AdaptedMatrix
from .reading import AdapterFolder, Stored, adapter_name, odd_keys
from .xray import AgainstBase, Loads, Runtime

# vLLM's default for --max-lora-rank.
VLLM_RANK = 16
_VLLM_READS = "vllm/lora/peft_helper.py"
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
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None = None
) -> tuple[Runtime, ...]:
    """PEFT, llama.cpp, vLLM, and Ollama by way of a merge; of each the first reason that decides."""
    found = []
    for name, reasons in (("PEFT", _peft), ("llama.cpp", _llama_cpp), ("vLLM", _vllm), ("Ollama (merged)", _merged)):
        found.append(Runtime(name, *(_by_keys(opened, name) or next(reasons(opened, matrices, against)))))
    return tuple(found)


def _by_keys(opened: AdapterFolder, runtime: str) -> Answer | None:
    """What follows from keys that are not PEFT's; None where they are."""
    by_peft = runtime in ("PEFT", "Ollama (merged)")
    if opened.settings.is_lora and odd_keys(opened):
        if by_peft:
            return "no", "the keys of its file are not those that PEFT looks for", "peft#1678, peft#2171"
        return "unknown", "the keys of its file are not PEFT's: save it anew first", ""
    if name := adapter_name(opened):
        if by_peft:
            return "care", f"only under the name in its keys, with adapter_name={name!r}", ""
        return "no", f"it knows no keys with an adapter's name ({name}) in them", "llama.cpp#3640"
    return None


def _peft(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    if against and against.other_shapes:
        yield "no", "its matrices have other shapes than this base's", "peft#1457"
    if other_ranks(opened, matrices):
        yield "no", "the r of its configuration is not that of its tensors: a size mismatch", ""
    if lost := dropped(opened):
        yield "care", f"without the {len(lost)} matrices that target_modules leaves out", ""
    if opened.settings.changes_base:
        yield "yes", "it works the same start out of the base anew, so the base must be the very same", ""
    yield "yes", "it wrote the format", ""


def _llama_cpp(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[Answer]:
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
        reason = "its converter has one alpha for all matrices, and alpha_pattern gives some another"
        reason += "; `lora-lessons export gguf` writes each matrix with its own" if _exporters_take(opened) else ""
        yield "care", reason, "lesson 10"
    if said.use_rslora:
        reason = "its converter reads lora_alpha alone"
        reason += "; `lora-lessons export gguf` writes α·√r in its place" if _exporters_take(opened) else ""
        yield "care", reason, "lesson 10"
    ours = "`lora-lessons export gguf` or " if _exporters_take(opened) else ""
    yield "yes", f"{ours}its own converter writes the file", "lesson 10"


def _vllm(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    said = opened.settings
    if not said.is_lora:
        yield "no", f"its adapters are A and B, and this is {said.kind}", ""
    if said.modules_to_save:
        yield "no", "it takes no modules_to_save: merge it first", "vllm#9280"
    if said.use_dora:
        yield "no", "it takes no DoRA: merge it first", "vllm#6983, vllm#10849"
    whole = [one for one in _besides(opened) if one.role != "embedding"]
    if whole:
        yield "no", f"it takes A and B alone, and the file has {_last(whole)} too: merge it first", "vllm#7441"
    if said.bias != "none":
        yield "no", f"it refuses bias={said.bias!r}, also where the file has no bias: merge it first", "vllm#7441"
    if other_ranks(opened, matrices):
        yield "care", "its scale comes from the r of the configuration, which is not that of the tensors", _VLLM_READS
    if any(one.role == "embedding" for one in opened.tensors):
        yield "care", "it skips the embeddings in the file: merge it first if they were trained", "vllm#32599"
    if said.target_parameters:
        yield "unknown", "stacked experts (target_parameters) depend on the model: try it, or merge first", ""
    if said.changes_base:
        yield "care", f"{said.init_lora_weights} changed the base too: convert it with PEFT first", "lesson 05"
    if said.rank_pattern or said.alpha_pattern:
        reason = "it reads r and lora_alpha once for all matrices: those that a pattern names get another scale"
        yield "care", reason, _VLLM_READS
    largest = max((one.r for one in matrices), default=0)
    if largest > VLLM_RANK:
        yield "yes", f"with --max-lora-rank {_power(largest)}: its default is {VLLM_RANK}", "vllm#2847"
    yield "yes", "with --enable-lora", "lesson 16"


def _merged(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    said = opened.settings
    if said.kind in NOT_MERGED:
        yield "no", f"{said.kind} has no update to fold into W", ""
    if any(one.norm is None for one in matrices):
        yield "no", "NaN or infinity in A, B or B·A would spread to every answer", ""
    if against and against.other_shapes:
        yield "no", "its matrices have other shapes than this base's", ""
    if other_ranks(opened, matrices):
        yield "no", "PEFT, which merges it, stops at the r of its configuration", ""
    if said.task_type not in ("", "CAUSAL_LM"):
        yield "no", f"it was made for {said.task_type}, and Ollama serves language models", ""
    if lost := dropped(opened):
        yield "care", f"without the {len(lost)} matrices that target_modules leaves out", ""
    on_embedding = any(one.role == "embedding" or one.on_embedding for one in opened.tensors)
    if on_embedding and (against is None or against.tied):
        reason = "if the base ties head and embedding, untie them in the merged model's config before you save it"
        yield "care", reason, "transformers#45127"
    tool = (
        "`lora-lessons export ollama`"
        if _exporters_take(opened)
        else "PEFT's merge_and_unload, then llama.cpp's converter"
    )
    yield "yes", f"by {tool}", "lesson 10"


def _exporters_take(opened: AdapterFolder) -> bool:
    """Whether the course's own exporters take it: A, B, r and α, and nothing else."""
    try:
        read_config(opened.place / ADAPTER_CONFIG)
    except ValueError:
        return False
    return all(one.role in ("A", "B") and not one.on_embedding for one in opened.tensors)


def _besides(opened: AdapterFolder) -> list[Stored]:
    """Tensors that are neither A nor B, nor what llama.cpp's converter passes over or keeps: the base's own W, and norms."""
    others = (one for one in opened.tensors if one.role not in ("A", "B"))
    passed = (".base_layer.weight", "_layernorm", ".norm")
    return [one for one in others if not any(part in one.key for part in passed)]


def _last(tensors: Sequence[Stored]) -> str:
    return ".".join(tensors[0].key.split(".")[-2:])


def _power(r: int) -> int:
    """The next of vLLM's ranks: 8, 16, 32 …"""
    return max(8, 1 << (r - 1).bit_length())
