"""Does the adapter survive? One adapter, merged and rounded in every way: its score on the task, KL, and bits.

`python -m workshop record survives` writes data/measurements/lesson_09_survives.json.

base ──→ NF4 ──→ + ΔW ──→ NF4 again         W4 lies on its marks: a small ΔW snaps back
base ──→ + ΔW ──→ NF4, GGUF, GPTQ …         W + ΔW lies between marks: what is rounded is not the adapter
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from lora_lessons import evaluation, mixing, models, quant, tasks
from lora_lessons.adapter import Adapter, read_adapter
from lora_lessons.experiments import recordings, shipped_adapters
from lora_lessons.experiments.survives import NAME, TITLES, recorded
from lora_lessons.paths import course_root
from lora_lessons.quant.blockwise import restored
from lora_tools.exporting import formats, gguf
from lora_tools.exporting.formats import environments, rows, table

ADAPTER = "strict_json"  # its score is the hardest one: every value must be right
NEW_TOKENS = 48  # the longest right answer has about 40
COMPARED = 16  # answers whose tokens the KL is taken over, some 400 tokens
WINDOWS = 64  # of calibration text, 256 tokens each
AWQ_WINDOWS = 4  # its search reads them many times over


class Questions(NamedTuple):
    """What every way is asked: the examples that are judged, and the first COMPARED of them as tokens."""

    examples: list[dict[str, Any]]
    encoded: list[tasks.Encoded]

    @property
    def prompts(self) -> list[str]:
        """The user's messages."""
        return [example["messages"][-2]["content"] for example in self.examples]


def questions(base: models.Base, count: int = shipped_adapters.DRAWN, name: str = ADAPTER) -> Questions:
    """`count` held-out examples of the task, always the same ones."""
    examples = evaluation.drawn(tasks.load_task(name), count)
    return Questions(examples, [tasks.encode(base.tokenizer, example) for example in examples[:COMPARED]])


def updates(adapter: Adapter) -> dict[str, Tensor]:
    """ΔW = α/r · B·A of each layer, by name."""
    return {name: adapter.delta(name) for name in adapter.A}


def weights(way: str, W: Tensor, delta: Tensor) -> Tensor:
    """The layer's weight after going `way`, in fp32; W is the base's in 16 bits."""
    if way == "merged":
        return (W + delta).bfloat16().float()
    if way == "then_nf4":
        return quant.dequantize(quant.quantize((W + delta).bfloat16(), double=True)).float()
    packed = quant.quantize(W.bfloat16(), double=True)
    if way == "into_nf4":
        packed = mixing.merged_into_four_bits(packed, delta)
    return quant.dequantize(packed).float() + (delta if way == "nf4_apart" else 0)


def bits(way: str, adapter: Adapter, model: Any) -> float:
    """Bits a weight of the adapted layers takes, the adapter's own 16-bit numbers included where it stands apart."""
    layers = sum(model.get_submodule(name).weight.numel() for name in adapter.A)
    beside = 16 * sum(A.numel() + adapter.B[name].numel() for name, A in adapter.A.items()) / layers
    stored = quant.bits_per_parameter(double=True) if "nf4" in way else 16.0
    return stored + (beside if way in ("unmerged", "nf4_apart") else 0)


def score(said: Sequence[str], asked: Questions, name: str = ADAPTER) -> dict[str, float]:
    """The share of answers that keep every rule of the task, and its interval."""
    right = [not tasks.scores.faults(name, answer, one) for answer, one in zip(said, asked.examples, strict=True)]
    share = sum(right) / len(right)
    low, high = evaluation.interval(share, len(right))
    return {"kept": share, "low": low, "high": high, "of": len(right)}


def in_torch(
    base: models.Base, adapter: Adapter, asked: Questions, ways: Sequence[str], reference: Tensor | None = None
) -> Iterator[dict[str, Any]]:
    """One row a way of TITLES that torch can go, unmerged first; the base's weights are restored afterwards.

    KL is taken from `reference`, the logits of the first way where it is None.
    """
    delta = updates(adapter)
    for way in ways:
        with restored(base.model, delta), mixing.attached(base.model, adapter if way == "unmerged" else None):
            if way not in ("unmerged", "base"):
                for name, update in delta.items():
                    linear = base.model.get_submodule(name)
                    linear.weight.data = weights(way, linear.weight.detach(), update)
            logits = evaluation.answer_logits(base.model, asked.encoded)
            reference = logits if reference is None else reference
            answers = models.answers(base, asked.prompts, NEW_TOKENS, batch_size=len(asked.prompts))
        kl = evaluation.divergence(reference, logits)
        yield {"way": way, "bits": bits(way, adapter, base.model), "kl": kl} | score(answers, asked)


def record(
    ways: Sequence[str] = tuple(TITLES), count: int = shipped_adapters.DRAWN, name: str = ADAPTER
) -> dict[str, Any]:
    """Measure every way of `ways` and keep the table; ways that are not named stay as recorded.

    A tool that fails leaves a row that says why.
    """
    adapter = read_adapter(shipped_adapters.shipped()[name])
    base = models.load(precision="fp32")
    asked = questions(base, count, name)
    files = sorted((course_root() / "data").glob("*/train.jsonl"))
    recording: dict[str, Any] = {
        "what": f"{len(asked.examples)} held-out answers of {name}, judged by its rules; KL from the unmerged model",
        "compared": len(asked.encoded),
        "adapter": name,
        "calibration": [f"{file.parent.name}/{file.name}" for file in files],
        "windows": WINDOWS,
        "environments": {tool: list(made.packages) for tool, made in environments.ENVIRONMENTS.items()},
        "awq_windows": AWQ_WINDOWS,
        "rows": [],
    }
    kept = {row["way"]: row for row in recorded()["rows"]} if set(ways) != set(TITLES) else {}

    def keep(row: Mapping[str, Any]) -> None:
        kept[row["way"]] = dict(row)
        recording["rows"] = [kept[way] for way in TITLES if way in kept]
        print({key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}, flush=True)
        recordings.keep(NAME, recording)

    for row in in_torch(base, adapter, asked, [way for way in ways if way not in FILES]):
        keep(row)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        job = job_for(base, adapter, asked, out, files)
        del base
        for way in ways:
            if way in FILES:
                keep({"way": way} | by_a_tool(way, job, out, asked))
    return recording


def job_for(base: models.Base, adapter: Adapter, asked: Questions, out: Path, files: Sequence[Path]) -> dict[str, Any]:
    """What the tools' workers are handed: the merged model in `out`, tokens,
    and the unmerged model's log-probabilities."""
    with mixing.attached(base.model, adapter):
        logits = evaluation.answer_logits(base.model, asked.encoded)
    np.save(out / "reference.npy", logits.log_softmax(-1).numpy())
    formats.write_merged(adapter, models.embedded_folder(), out / rows.MERGED)
    gguf.write_merged(models.embedded_folder(), adapter, out / rows.REFERENCE, "f16")
    ask: Callable[[str], list[int]] = lambda prompt: base.tokenizer.apply_chat_template(  # noqa: E731
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
    )
    job = rows.job_for(models.embedded_folder(), out / rows.MERGED, files, WINDOWS)
    return job | {
        "dtype": "float32",
        "awq_rows": AWQ_WINDOWS,
        "new_tokens": NEW_TOKENS,
        "end": base.tokenizer.eos_token_id,
        "prompts": [ask(prompt) for prompt in asked.prompts],
        "chats": [one.input_ids.tolist() for one in asked.encoded],
        "taught": [(one.labels[1:] != tasks.IGNORED).nonzero().flatten().tolist() for one in asked.encoded],
        "reference": str(out / "reference.npy"),
    }


FILES = {way for way in TITLES if way.startswith("gguf-")} | {"gptq", "awq", "hqq"}


def by_a_tool(way: str, job: Mapping[str, Any], out: Path, asked: Questions) -> dict[str, Any]:
    """The merged model quantized by the format's own tool, loaded back by a real loader, and asked there."""
    from transformers import AutoTokenizer

    name = way.removesuffix("-imatrix")
    place = rows.target(out, name)
    try:
        if way != name:
            model = models.load(out / rows.MERGED, "fp32").model
            matrix = gguf.importance(model, job["calibration"])
            gguf.quantize(out / rows.REFERENCE, place, "Q4_K_M", importance=matrix, overwrite=True)
        else:
            rows.write(name, job, out)
        told = environments.work(name, dict(job) | {"do": "answer", "target": str(place)})
    except Exception as error:  # what a tool cannot do is a row, too
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    tokenizer = AutoTokenizer.from_pretrained(models.embedded_folder(), trust_remote_code=False)
    answers = [text.strip() for text in tokenizer.batch_decode(told["said"], skip_special_tokens=True)]
    in_layers = table.gguf_bits(place)[1] if place.is_file() else table.safetensors_bits(place, out / rows.MERGED)[1]
    types = {"types": table.gguf_bits(place)[2]} if place.is_file() else {}
    return {"bits": in_layers, "kl": told["kl"]} | score(answers, asked) | types
