"""`plan` and `cluster`: what training takes before anything is trained,
and the files for a training on several cards."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lora_lessons import disk_cache, models
from lora_lessons.errors import holding
from lora_lessons.outside import in_json
from lora_lessons.paths import expanded, ledgers_measured

from .as_json import AsJson, written
from .options import EXIT_NO, EXIT_OK, absolute_path, exit_status, in_switches, names, path_or_name, shown
from .terminal import waiting, wrapped

MODEL = (
    "A model that is known by name, such as Llama-3.1-8B, Qwen3-8B, Gemma-3-4B or gpt-oss-20b (docs/commands.md has "
    "all), a name that `lora-lessons base` lists, a folder with config.json, a .gguf file, or a hub id."
)
# The code that gives the answer, beside the ledger's own: an answer is kept until one of these files changes.
ANSWERED_BY = (
    "planning/*.py",
    "lora_tools/cli/plan.py",
    "lora_tools/cli/options.py",
    "lora_tools/exporting/gguf/names.py",
)
RECIPE = "trl, SFTTrainer of TRL 1.16, unless you say: hf, PEFT with Trainer, which takes more; unsloth; or course."
LOSS = (
    "whole, shifted (transformers before 4.49), chunked (torchtune), fused (SFTTrainer since TRL 1.7), or liger "
    "(fused, with Liger's norms and SwiGLU). With the first three, --recipe is course unless you say otherwise."
)
TASKS = {
    "dpo": "DPO sends the chosen and the rejected answer through the model together, and asks the base, without the "
    "adapter, for both: this is the plan for twice as many sequences and the logits of each, by Trainer.",
    "grpo": "GRPO writes its answers before it learns from them, and this plans no generation. It is the plan of its "
    "step of training, by Trainer (--batch-size as per_device_train_batch_size, --seq for prompt and answer together): "
    "leave free what generation takes, such as vLLM beside it (TRL's vllm_gpu_memory_utilization).",
}
OPTIMIZER = "adamw, adamw_fused, adamw_8bit, paged_adamw or paged_adamw_8bit."


def plan(
    model: Annotated[str, typer.Argument(parser=path_or_name, metavar="MODEL", help=MODEL)],
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu", "--card", metavar="CARD", help='A card such as "RTX 4090", or its GB; without it, the one here.'
        ),
    ] = None,
    method: Annotated[str, typer.Option(metavar="M", help="qlora, lora, full or full fp32.")] = "qlora",
    r: Annotated[int, typer.Option("--r", "--lora-r", "--lora-rank", metavar="R", help="Rank.")] = 16,
    targets: Annotated[
        str,
        typer.Option(
            "--targets",
            "--target-modules",
            "--lora-target",
            metavar="NAMES",
            help="all-linear (or all), or names such as q_proj,v_proj.",
        ),
    ] = "all-linear",
    seq: Annotated[
        int,
        typer.Option(
            "--seq", "--max-length", "--max-seq-length", "--cutoff-len", metavar="N", help="Tokens per sequence."
        ),
    ] = 1024,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "--per-device-train-batch-size", metavar="N", help="Sequences per step.")
    ] = 1,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing", help="Compute each block again on the way back."
        ),
    ] = True,
    optimizer: Annotated[str, typer.Option("--optimizer", "--optim", metavar="O", help=OPTIMIZER)] = "adamw",
    recipe: Annotated[str | None, typer.Option(metavar="R", help=RECIPE)] = None,
    loss: Annotated[str | None, typer.Option(metavar="L", help=LOSS)] = None,
    task: Annotated[Literal["sft", "dpo", "grpo"], typer.Option(metavar="T", help="sft, dpo or grpo.")] = "sft",
    cards: Annotated[
        str | None, typer.Option(metavar="NxCARD", help="Several cards that share the model by FSDP, such as 2x24.")
    ] = None,
    offload: Annotated[
        bool, typer.Option("--offload", help="With --cards: what a card does not use waits in the computer's memory.")
    ] = False,
    nodes: Annotated[int, typer.Option(metavar="N", help="With --cards: computers that they are spread over.")] = 1,
    fsdp: Annotated[int, typer.Option(metavar="V", help="With --cards: FSDP's version, 2 or 1.")] = 2,
    load_in_4bit: Annotated[
        bool | None, typer.Option("--load-in-4bit/--no-load-in-4bit", help="The same as --method qlora, or lora.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say how much memory training takes, and if it fits.

    Predicts one training step line by line, from the model's configuration alone: no weights are loaded.
    """
    if load_in_4bit is not None:
        method = "qlora" if load_in_4bit else "lora"
    if task != "sft":
        recipe, loss, batch_size = recipe or "hf", loss or "shifted", (1 + (task == "dpo")) * batch_size
    settings = {
        "method": method,
        "r": r,
        "target_modules": "all-linear" if targets in ("all", "all-linear") else names(targets),
        "seq": seq,
        "batch_size": batch_size,
        "gradient_checkpointing": gradient_checkpointing,
        "optimizer": optimizer,
        "recipe": recipe or ("trl" if loss in ("fused", "liger") else "course"),  # without both: see planning.usual
        "loss": loss or "whole",
    }
    named = bool(recipe or loss)
    cluster = {"cards": cards, "offload": offload, "nodes": nodes, "fsdp": fsdp}
    answer = partial(_answer, model, gpu, settings, cluster, as_json, named, task)
    where = expanded(model)
    config = where / "config.json"
    key = None
    # whose card is here, what a hub says today and what a file holds is asked anew
    if not ((gpu is None and cards is None) or _asks_the_hub(model) or where.is_file()):
        key = [
            model,
            gpu,
            settings,
            cluster,
            as_json,
            named,
            task,
            ledgers_measured(),
            config.read_bytes().hex() if config.is_file() else "",
        ]
    with waiting("Planning"):
        reply = disk_cache.once("plan", key, ["answer", "status"], answer, ANSWERED_BY) if key else answer()
    print(reply["answer"] if as_json else wrapped(reply["answer"]))
    return int(reply["status"])


def _answer(
    model: str,
    gpu: str | None,
    settings: dict[str, Any],
    cluster: dict[str, Any],
    as_json: bool,
    named: bool,
    task: str,
) -> dict[str, Any]:
    """The plan in words, or as JSON, and the exit status.

    The libraries are imported only here: an answer that is known waits for none.
    """
    if _asks_the_hub(model):
        models.fetch_config(model)  # before anything slow: where no hub answers, that is the answer
    from lora_lessons import memory, planning

    plain = memory.Job(**settings)
    if cluster["cards"] is not None:
        if gpu is not None:
            raise ValueError("--gpu plans one card and --cards several: give one of the two.")
        return _for_several(model, plain if named else replace(plain, recipe="trl"), cluster, as_json, task)
    if cluster["offload"] or cluster["nodes"] != 1 or cluster["fsdp"] != 2:
        raise ValueError(
            "--offload, --nodes and --fsdp belong to a plan for several cards: name them with --cards, such as 2x24."
        )
    card, room = planning.find_card(gpu) if gpu is not None else models.card() or ("", float("inf"))
    if card:
        plain = planning.on_card(plain, card if gpu is None else gpu)
    shape = memory.shape_of(model)
    job = plain if named else planning.usual(shape, plain)
    made = planning.plan(shape, job, room, 1 + (task == "dpo")) if card else None
    ledger = made.ledger if made else memory.predict(shape, job)
    sizes = {} if named else planning.by_trainer(shape, plain)
    if as_json:
        fields = planning.as_json(shape, job, ledger, made, card) | {
            "export": _not_exported(shape),
            "by_trainer": {name: round(size) for name, size in sizes.items()},
        }
        return _reply([in_json(fields)], made is None or made.fits)
    if made:
        says = [
            "Its step of training: " * (task == "grpo") + planning.verdict(made, card, sizes),
            planning.several_sizes(gpu or ""),
            planning.in_fp16(job, card),
        ]
    else:
        enough = [name for name in planning.CARDS if planning.is_enough(planning.card_bytes(name), ledger.bill.total)]
        says = [
            f"It needs {ledger.bill.total / memory.GB:.1f} GB, and this machine has no card.\nIt would fit on: "
            f"{', '.join(enough) or 'none of the cards known here'}. Name a card with --gpu. {planning.validated()}",
            planning.trainers_in_words(sizes, room, job.recipe),
        ]
    says += [
        TASKS.get(task, ""),
        models.others_say(shape.name)[1],
        _not_exported(shape),
        f"{shape.name}: {planning.describe(job)}",
        planning.parameters_in_words(shape, job),
        planning.bill_table(ledger),
        planning.ASSUMED,
    ]
    return _reply(says, made is None or made.fits)


def _reply(says: list[str], fits: bool) -> dict[str, Any]:
    return {"answer": "\n".join(filter(None, says)), "status": EXIT_OK if fits else EXIT_NO}


def _asks_the_hub(model: str) -> bool:
    return models.is_hub_id(model) and not models.known(model)


def _not_exported(shape: Any) -> str:
    """Where nothing here can export what is trained, that is said before it is trained; "" elsewhere."""
    from ..exporting import gguf

    reason = gguf.why_not_exported(json.loads(shape.text)["model_type"])
    return f"`lora-lessons export` cannot write the result: {reason}." if reason else ""


EMULATED = (
    "These cards have no bf16, and `lora-lessons cluster` computes in it on any card: PyTorch emulates it there, "
    "slowly or not at all. Newer cards (RTX 30, A100, L4) have it."
)


def _for_several(model: str, job: Any, settings: dict[str, Any], as_json: bool, task: str) -> dict[str, Any]:
    """The plan for several cards, in words or as JSON, and the exit status."""
    from lora_lessons import memory, planning

    shape = memory.shape_of(model)
    made = planning.shard(
        shape, job, planning.cluster_of(settings["cards"], settings["offload"], settings["nodes"], settings["fsdp"])
    )
    if as_json:
        return _reply(
            [in_json(planning.sharded_as_json(shape, job, made) | {"export": _not_exported(shape)})], made.fits
        )
    _, card = planning.cards_of(settings["cards"])
    parts = [
        planning.sharded_verdict(made),
        planning.several_sizes(card),
        EMULATED if planning.computes_in(card) == "fp16" else "",
        TASKS.get(task, ""),
        _not_exported(shape),
        f"{shape.name}, on each card: {planning.describe(job)}",
        planning.parameters_in_words(shape, job),
        planning.sharded_table(made),
    ]
    return _reply(parts, made.fits)


cluster = typer.Typer(name="cluster", help="Train on several cards or machines.", rich_markup_mode=None)


@cluster.callback()
def several() -> None:
    """Train on several cards or machines, each of which holds a part of the model (FSDP, by accelerate)."""


@cluster.command(epilog=exit_status("cluster config"))
def config(
    model: Annotated[
        str,
        typer.Argument(
            parser=path_or_name, metavar="MODEL", help="A name that `lora-lessons base` lists, a folder, or a hub id."
        ),
    ],
    cards: Annotated[str, typer.Option(metavar="NxCARD", help="Cards in each machine: 2x24, 8xH200.")],
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines.")] = 1,
    method: Annotated[str, typer.Option(metavar="M", help="qlora or lora.")] = "qlora",
    out: Annotated[
        Path, typer.Option(parser=absolute_path, metavar="DIR", help="Where the files go; every machine must see it.")
    ] = Path("cluster"),
    task: Annotated[
        str, typer.Option(parser=path_or_name, metavar="TASK", help="A task of the course, or a .jsonl of your own.")
    ] = "persona",
    r: Annotated[int, typer.Option(metavar="R", help="Rank of the adapter; alpha is 2r.")] = 8,
    steps: Annotated[int, typer.Option(metavar="N", help="Optimizer steps.")] = 40,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Examples per step, of all cards together.")] = 8,
    lr: Annotated[float, typer.Option(metavar="LR", help="Learning rate.")] = 2e-3,
    host_ram: Annotated[
        float | None, typer.Option(metavar="GB", help="Memory of each machine; checked when it is given.")
    ] = None,
    offload: Annotated[bool, typer.Option("--offload", help="Keep the shards in the machine's memory.")] = False,
    storage: Annotated[str, typer.Option(metavar="D", help="What 4-bit codes are kept as: bf16.")] = "bf16",
    fsdp: Annotated[int, typer.Option(metavar="V", help="FSDP's version: 2.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files that DIR has.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write accelerate's file and the launch lines.

    One line for each machine. A setting that would train nothing, or does not fit, is refused.
    """
    from lora_lessons import models
    from lora_lessons.training import Settings

    from ..cluster import launch, launcher

    number, gb = launch.cards_and_gb(cards)
    machines = launch.Machines(
        cards=number, card_gb=gb, nodes=nodes, host_ram_gb=host_ram, offload=offload, storage=storage, fsdp=fsdp
    )
    if method not in launch.METHODS:
        raise ValueError(f"--method {method!r} is not known: choose from {', '.join(launch.METHODS)}.")
    settings = Settings(steps=steps, batch_size=batch_size, learning_rate=lr, gradient_checkpointing=True)
    sizes = launch.sizes_of(model, method, r)
    launch.check(machines, method, sizes)
    wanted = launcher.ClusterJob(model, task, r, 2.0 * r, launch.METHODS[method], settings)
    with in_switches():
        lines = launch.write_launch_files(out, machines, wanted, overwrite=overwrite)
    notes = holding(
        (True, launch.memory_in_words(machines, sizes)),
        (
            model in models.PUBLISHED,
            (
                f"{model} is a shape without weights: write a folder or a hub id as base in "
                f"{launcher.JOB} before you start."
            ),
        ),
        (nodes > 1, launch.BETWEEN_MACHINES),
    )
    if as_json:
        print(written(sorted(out.iterdir()), notes, lines))
        return EXIT_OK
    print(f"Written: {shown(out)}. {notes[0]}", *notes[1:], sep="\n")
    print("Start it with:", *(f"    {line}" for line in lines), sep="\n")
    return EXIT_OK
