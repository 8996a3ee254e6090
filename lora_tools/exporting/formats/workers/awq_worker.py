"""AWQ (Lin et al. 2023) by auto-round: its AWQ search, AutoAWQ's file layout;
loaded back on auto-round-lib's int4 kernels."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from measuring import Job, main, say, sixteen_bit
from transformers import AutoModelForCausalLM, AutoRoundConfig, AutoTokenizer


def quantize(job: Job) -> Job:
    """Scale each layer's important channels up, round to int4 in groups, and write AutoAWQ's layout."""
    from auto_round import AutoRound, AWQConfig  # seconds, which who loads the model back need not spend

    model, target = sixteen_bit(job, torch.float32), Path(job["target"])
    rows = [torch.tensor([row]) for row in job["calibration"] if len(row) == len(job["calibration"][0])]
    rows = rows[: job["awq_rows"]]
    say(f"AWQ over {len(rows)} windows of calibration text: a search in every layer, minutes")
    length = rows[0].shape[1]
    awq = AutoRound(
        model,
        AutoTokenizer.from_pretrained(job["source"], trust_remote_code=False),
        alg_configs=AWQConfig(seqlen=length, nsamples=len(rows)),
        bits=4,
        group_size=job["group_size"],
        sym=False,
        nsamples=len(rows),
        seqlen=length,
        dataset=[{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in rows],
        device_map="cpu",
        batch_size=8,
        enable_torch_compile=False,
    )
    awq.quantize_and_save(str(target / "written"), format="auto_awq")
    written = next(path.parent for path in (target / "written").rglob("config.json"))  # auto-round adds a folder
    for file in written.iterdir():
        shutil.move(file, target / file.name)
    shutil.rmtree(target / "written")
    return {"tool": "auto-round", "version": version("auto-round")}


def load(job: Job) -> tuple[Any, str]:
    """The model back, its int4 weights repacked for the processor's kernels."""
    model = AutoModelForCausalLM.from_pretrained(
        job["target"],
        dtype=getattr(torch, job["dtype"]),
        use_safetensors=True,
        trust_remote_code=False,
        quantization_config=AutoRoundConfig(backend="auto"),
    )
    return model.eval(), f"transformers {version('transformers')} with auto-round-lib {version('auto-round-lib')}"


if __name__ == "__main__":
    main(quantize, load)
