"""One training loop for every lesson: repeatable by seed, resumable after a kill, honest about gradients.

for step: batch → loss on the answer's tokens → backward → AdamW on what is trainable
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import lora, models, tasks
from ..files import whole_file
from ..paths import cache_dir
from .optimizers import make_optimizer
from .settings import Settings

FINISHED, CHECKPOINT = "finished.safetensors", "checkpoint.safetensors"


@dataclass
class Training:
    """What a run left behind: the loss of every step and what it cost. The learned weights are in the model."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0  # all that went through the model
    supervised: int = 0  # those that carried a loss
    optimizer_bytes: int = 0  # AdamW's two moments, and what 8-bit ones are scaled by
    gradient_bytes: int = 0
    finished: str = ""  # the day it ended
    loss_scale: dict[str, float] = field(default_factory=dict)  # of fp16 training; empty otherwise
    reused: bool = False  # read from the cache instead of trained now

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message says what was seen and what to change."""


def train(
    model: nn.Module,
    examples: Sequence[tasks.Encoded],
    settings: Settings,
    *,
    run_dir: Path | str | None = None,
    reuse: bool = True,
) -> Training:
    """Train every parameter of `model` that requires a gradient, in place, on `examples`.

    A finished run of the same settings, data, start weights, code, versions and machine is read back, and said on
    screen; an interrupted one goes on from its checkpoint, to the same weights bit for bit. Both lie in `run_dir`
    (default: a folder in the cache). reuse=False or $LORA_LESSONS_FRESH trains from the start.
    Raises TrainingStopped when the loss is not finite, a matrix gets no gradient, or the disk is full; ValueError when
    there is nothing to train, `run_dir` holds another run, or a paged optimizer has no card.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not learned:
        raise ValueError("nothing to train: no parameter requires a gradient. Attach adapters first (lora.attach).")
    if not examples:
        raise ValueError("nothing to train on: `examples` is empty.")
    run = fingerprint(model, examples, settings)
    folder = Path(run_dir) if run_dir else cache_dir() / "runs" / run
    reuse = reuse and not os.environ.get("LORA_LESSONS_FRESH")
    if reuse and (training := _read(folder / FINISHED, run, learned, None)):
        training.reused = True
        print(
            f"Reused: the same run finished on {training.finished} in {training.seconds:.0f} s, {len(training.losses)} steps."
        )
        return training
    B = [p for name, p in learned.items() if "lora_B" in name]
    rest = [p for name, p in learned.items() if "lora_B" not in name]
    groups = [{"params": ps, "times": times} for ps, times in ((rest, 1.0), (B, settings.lr_ratio)) if ps]
    optimizer = make_optimizer(
        settings.optimizer, groups, settings.learning_rate, settings.weight_decay, next(iter(learned.values())).device
    )
    training = (reuse and _read(folder / CHECKPOINT, run, learned, optimizer)) or Training()
    begun, was_training = len(training.losses), model.training
    if begun:
        print(f"Resumed at step {begun} of {settings.steps}, from a run that was interrupted.")
    try:
        model.train()
        with checkpointing(model) if settings.gradient_checkpointing else no_cache(model):
            _run(model, examples, settings, learned, optimizer, training, begun, folder, run)
    finally:
        model.train(was_training)
    training.finished = date.today().isoformat()
    _write(folder / FINISHED, run, learned, None, training)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    print(
        f"Trained {settings.steps} steps in {training.seconds:.0f} s, {training.tokens_per_second:.0f} tokens a second; "
        f"loss {training.losses[0]:.2f} → {training.losses[-1]:.2f}."
    )
    return training


@contextmanager
def checkpointing(model: Any) -> Iterator[None]:
    """Gradient checkpointing while the block runs: of each transformer block only the input is kept for backward.

    One more forward pass (a third more time) for activations that no longer grow with the depth. Not reentrant, so
    that adapters get gradients although the embeddings' output asks for none.
    """
    on = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable  # older: < 5.20
    off = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
    on({"use_reentrant": False})
    try:
        with no_cache(model):
            yield
    finally:
        off()


@contextmanager
def no_cache(model: Any) -> Iterator[None]:
    """No cache of keys and values while the block runs: training never reads one, and only without one does
    transformers tell the conversations of a packed row apart.
    """
    config: Any = getattr(model, "config", None)
    used = getattr(config, "use_cache", False)
    if used:
        config.use_cache = False
    try:
        yield
    finally:
        if used:
            config.use_cache = True


def _run(
    model: nn.Module,
    examples: Sequence[tasks.Encoded],
    settings: Settings,
    learned: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    training: Training,
    begun: int,
    folder: Path,
    run: str,
) -> None:
    """The loop itself, from step `begun`."""
    from tqdm.auto import tqdm

    device = next(iter(learned.values())).device
    order = batches(len(examples), settings)
    scaler = _loss_scaler(model, device, training)
    progress = tqdm(range(begun, settings.steps), initial=begun, total=settings.steps, unit="step", leave=False)
    for step in progress:
        start = time.perf_counter()
        torch.manual_seed(settings.seed * 1_000_003 + step)  # each step's own randomness: a resumed run repeats it
        batch = {name: t.to(device) for name, t in tasks.collate([examples[i] for i in order[step]], pad_id=0).items()}
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step) * group["times"]
        with torch.autocast(device.type, torch.bfloat16) if settings.autocast else nullcontext():
            loss = model(**batch).loss
        if not torch.isfinite(loss):
            raise TrainingStopped(
                f"the loss became {loss.item()} at step {step}: lower the learning rate (now {settings.learning_rate:g}; "
                "try a third), check that every example has supervised tokens, or train in fp32."
            )
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        if step == begun:
            check_gradients(learned)
        scaler.step(optimizer)
        scaler.update()
        training.loss_scale = scaler.state_dict()
        training.losses.append(loss.item())
        training.seconds += time.perf_counter() - start
        training.tokens += sum(len(examples[i].input_ids) for i in order[step])
        training.supervised += int((batch["labels"] != tasks.IGNORED).sum())
        progress.set_postfix_str(f"loss {training.losses[-1]:.3f}, {training.tokens_per_second:.0f} tok/s")
        if settings.checkpoint_every and (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
            _write(folder / CHECKPOINT, run, learned, optimizer, training)
    moments = [t for state in optimizer.state.values() for key, t in state.items() if not key.startswith("qmap")]
    training.optimizer_bytes = sum(t.nbytes for t in moments if isinstance(t, Tensor) and t.ndim)
    training.gradient_bytes = sum(p.grad.nbytes for p in learned.values() if p.grad is not None)
    optimizer.zero_grad(set_to_none=True)


def _loss_scaler(model: nn.Module, device: torch.device, training: Training) -> torch.amp.GradScaler:
    """What keeps small gradients from vanishing in fp16 (a T4 has no bf16): the loss times a large number that adapts
    itself, taken out again before the step; a step whose gradients overflow is left out. Idle in bf16 and fp32.
    """
    half = any(p.dtype == torch.float16 for p in model.parameters())
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**12, enabled=half)
    if half and training.loss_scale:
        scaler.load_state_dict(training.loss_scale)
    return scaler


def batches(count: int, settings: Settings) -> list[list[int]]:
    """Which examples each step sees: a fresh shuffle per epoch, fixed by the seed alone."""
    generator = torch.Generator().manual_seed(settings.seed)
    needed = settings.steps * settings.batch_size
    order: list[int] = []
    while len(order) < needed:
        order += torch.randperm(count, generator=generator).tolist()
    return [order[i : i + settings.batch_size] for i in range(0, needed, settings.batch_size)]


def check_gradients(learned: dict[str, nn.Parameter]) -> None:
    """Raise TrainingStopped unless every matrix that must have a gradient has one after the first backward.

    With B = 0, A's gradient is rightly zero at step 0; every lora_B, and everything else that learns, must have one.
    """
    silent = []
    for name, parameter in learned.items():
        partner = learned.get(name.replace("lora_A", "lora_B")) if "lora_A" in name else None
        if partner is not None and not partner.detach().any():
            continue  # this A waits for its B
        if parameter.grad is None or not parameter.grad.any():
            silent.append(name)
    if silent:
        named = ", ".join(silent[:4]) + (f" and {len(silent) - 4} more" if len(silent) > 4 else "")
        raise TrainingStopped(
            f"{len(silent)} of {len(learned)} trainable matrices got no gradient: {named}. Something between them and the loss "
            "cuts the graph: a quantized layer that ran before training, checkpointing without input gradients, a detach(), "
            "or a layer that the forward pass never calls. The loss could still fall a little, and the adapter would be poor."
        )


def fingerprint(model: nn.Module, examples: Sequence[tasks.Encoded], settings: Settings) -> str:
    """A name for this run: equal for equal settings, data, start weights, adapters, code, versions and machine."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for source in (__file__, lora.__file__, tasks.__file__):
        digest.update(Path(source).read_bytes())
    for library in ("torch", "transformers", "peft", "bitsandbytes"):
        digest.update(importlib.metadata.version(library).encode())
    device = next(model.parameters()).device
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    digest.update(f"{models.best_precision().name} {torch.get_num_threads()} {device.type} {card}".encode())
    digest.update(str(getattr(model, "config", "")).encode())
    for name, module in model.named_modules():  # α and rsLoRA show in no weight: the scale is a number beside them
        digest.update(f"{name} {type(module).__name__} {getattr(module, 'scaling', '')}".encode())
    for example in examples:
        for part in (part for part in example if part is not None):
            digest.update(part.numpy().tobytes())
    known = getattr(model, "base_fingerprint", "")  # of a large base: its source stands for the frozen bytes
    digest.update(known.encode())
    for name, p in model.named_parameters():
        digest.update(f"{name} {p.requires_grad} {p.dtype}".encode())
        for data in models.parameter_bytes(p) if p.requires_grad or not known else ():
            digest.update(data)
    return digest.hexdigest()[:24]


def _write(
    path: Path, run: str, learned: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer | None, training: Training
) -> None:
    """Weights, AdamW's moments and the story so far in one safetensors file, whole or not at all."""
    tensors = {f"weights.{name}": p.detach().cpu().contiguous() for name, p in learned.items()}
    for name, p in learned.items() if optimizer else ():
        for key, value in optimizer.state[p].items():  # type: ignore[union-attr]
            if not key.startswith("qmap"):  # bitsandbytes' codebooks: one for all, and a constant
                tensors[f"adamw.{name}.{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata={"run": run, "training": json.dumps(asdict(training))})
    except (OSError, SafetensorError) as error:
        raise TrainingStopped(
            f"{path.name} could not be written to {path.parent} ({error}): free some room, or set LORA_LESSONS_CACHE to "
            "another disk, and run again: it goes on from the last checkpoint."
        ) from error


@torch.no_grad()
def _read(
    path: Path, run: str, learned: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer | None
) -> Training | None:
    """Put the weights (and AdamW's moments) of `path` back; return the story so far, or None where there is none.

    A damaged file is set aside. Raises ValueError when the file belongs to another run.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            if file.metadata()["run"] != run:
                raise ValueError(
                    f"{path} belongs to a run with other settings, data or weights: choose another run_dir."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            training = Training(**json.loads(file.metadata()["training"]))
    except SafetensorError as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        print(f"{path.name} could not be read ({error}); it is kept as {aside.name}, and training starts anew.")
        return None
    for name, p in learned.items():
        p.copy_(tensors[f"weights.{name}"])
        if optimizer:
            prefix = f"adamw.{name}."
            _restore(optimizer, p, {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    return training


def _restore(optimizer: Any, p: nn.Parameter, moments: dict[str, Tensor]) -> None:
    """Give `p` its moments back. bitsandbytes makes room for its own (paged, where it pages), and is then filled."""
    if not hasattr(optimizer, "init_state"):
        optimizer.state[p] = {key: t if key == "step" else t.to(p.device) for key, t in moments.items()}
        return
    at = next((g, i) for g, group in enumerate(optimizer.param_groups) for i, q in enumerate(group["params"]) if q is p)
    optimizer.init_state(optimizer.param_groups[at[0]], p, *at)
    for key, tensor in moments.items():
        if key == "step":
            optimizer.state[p]["step"] = int(tensor)
        else:
            optimizer.state[p][key].copy_(tensor)


def step_flops(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Floating-point operations in the matrix products of one forward and backward pass, counted, not estimated."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops()
