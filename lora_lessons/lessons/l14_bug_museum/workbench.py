"""Short trainings of the course's base for halls 1 and 2, and what their losses cannot say: sizes, held-out loss,
forgetting.

And a tokenizer that puts BOS before every text, as those of Llama, Mistral and Gemma do; SmolLM2's own adds none.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from ... import evaluation, lora, mixing, models, tasks, training
from ...adapter import Adapter, load_adapter, save_adapter
from ...files import lasting_scratch
from ...quant.blockwise import restored
from ...tasks import IGNORED, Encoded, collate, encode

# ---- hall 1

# long enough to notice forgetting, short enough to measure it after every training
GENERAL_LETTERS = 1200
# few examples, seen six times each
EXAMPLES, STEPS = 4, 12
# written for another model: the MLP's layers have other names here
RECIPE = ["q_proj", "v_proj", "fc1", "fc2"]
HEALTHY_RATE, HIGH_RATE, GENTLE_RATE = 2e-3, 1e-2, 5e-4
# of the three runs of the guess
HEALTHY = "C"


class Attempt(NamedTuple):
    """One training: the loss of each step, and what was measured afterwards. Losses are nats per supervised token."""

    losses: list[float]
    held_out: float
    # perplexity on a general text, in which forgetting shows
    general: float
    # full names of the layers that got an adapter
    layers: list[str]
    scale: float
    # ‖ΔW‖/‖W‖, the mean of the adapted layers
    update: float
    # a folder in PEFT's format
    adapter: Path


class Merged(NamedTuple):
    """What adding updates to the base's weights did: ‖ΔW‖/‖W‖, the mean of the layers; the held-out loss; an answer."""

    update: float
    held_out: float
    said: str


class Workbench(NamedTuple):
    """A base, a few examples of the persona to train on, held-out ones, and a question that nobody trained on."""

    base: models.Base
    few: list[Encoded]
    held_out: list[Encoded]
    question: str
    folder: Path

    def train(self, config: Any, learning_rate: float = HEALTHY_RATE, seed: int = 0, steps: int = STEPS) -> Attempt:
        """Train the layers that PEFT would adapt for `config`, a LoraConfig, by the course's faster loop.

        The base is bare before and afterwards. Lesson 04 shows that the loop and PEFT compute the same.
        """
        model, names = self.base.model, adapted_by_peft(self.base.model, config)
        lora.attach(model, config.r, config.lora_alpha, names, use_rslora=config.use_rslora, seed=seed)
        how = training.Settings(
            steps=steps,
            batch_size=2,
            learning_rate=learning_rate,
            warmup=3,
            seed=seed,
            autocast=models.best_precision().name == "bf16",
            checkpoint_every=0,
        )
        losses = training.train(model, self.few, how).losses
        folder = save_adapter(model, Path(tempfile.mkdtemp(dir=self.folder)) / "adapter", self.base.name)
        # the learner's own configuration, with the names that PEFT did not find
        config.base_model_name_or_path = self.base.name
        config.save_pretrained(folder)
        layers = dict(lora.lora_layers(model))
        scale, update = next(iter(layers.values())).scaling, relative_update(model)
        measured = self.held_out_loss(), self.perplexity()
        lora.detach(model)
        return Attempt(losses, *measured, list(layers), scale, update, folder)

    def held_out_loss(self) -> float:
        """The loss on examples that no training saw, with the model as it is now."""
        return evaluation.held_out_loss(self.base.model, self.held_out)

    def perplexity(self) -> float:
        """The perplexity on a text of no task: it rises when the model forgets."""
        return evaluation.perplexity(self.base, tasks.general_text()[:GENERAL_LETTERS])

    def answer(self, adapter: Path | None = None, max_new_tokens: int = 28) -> str:
        """What the model answers to the one question that is asked of everything in this hall,
        with an adapter on or as it is."""
        if adapter:
            load_adapter(self.base.model, adapter)
        said = models.chat(self.base, self.question, max_new_tokens)
        if adapter:
            lora.detach(self.base.model)
        return said

    @torch.no_grad()
    def merged(self, layers: Sequence[str], update: Callable[[str], Tensor]) -> Merged:
        """Add `update(layer)` to the weight of each layer, measure, and put the weights back as they were."""
        model, sizes = self.base.model, []
        with restored(model, layers):
            for layer in layers:
                W = model.get_submodule(layer).weight.data
                sizes.append(float(update(layer).norm() / W.norm()))
                W += update(layer)
            return Merged(sum(sizes) / len(sizes), self.held_out_loss(), self.answer())


def workbench() -> Workbench:
    """The embedded base in fp32, and a temporary folder for adapters."""
    base, task = models.load(precision="fp32"), tasks.load_task("persona")
    few = [encode(base.tokenizer, example) for example in task.train[:EXAMPLES]]
    held_out = [encode(base.tokenizer, example) for example in evaluation.drawn(task, 6)]
    question = task.held_out[0]["messages"][0]["content"]
    return Workbench(base, few, held_out, question, lasting_scratch("workbench"))


def config(target_modules: Any = "all-linear", r: int = 8, lora_alpha: int = 16) -> LoraConfig:
    """LoRA on these layers."""
    return LoraConfig(r=r, lora_alpha=lora_alpha, target_modules=target_modules, task_type="CAUSAL_LM")


def train_three(bench: Workbench, seed: int = 0) -> dict[str, Attempt]:
    """Three runs whose losses all fall: A and B have a mistake each, C is healthy."""
    return {
        "A": bench.train(config(RECIPE), seed=seed),
        "B": bench.train(config(), HIGH_RATE, seed),
        "C": bench.train(config(), seed=seed),
    }


def healthy_at_rank_64(bench: Workbench, seed: int = 0) -> Attempt:
    """Rank 64 at the exhibit's rate, with the α that worked at rank 8."""
    return bench.train(config(r=64, lora_alpha=32), GENTLE_RATE, seed)


def healthy_for_longer(bench: Workbench, seed: int = 0) -> Attempt:
    """The healthy run of the three, at its own rate, for twice as many steps."""
    return bench.train(config(), seed=seed, steps=2 * STEPS)


class FirstSteps(NamedTuple):
    """What two steps of AdamW show of an adapter's start."""

    losses: list[float]
    gradient: float  # the norm of all gradients at the first step
    moved: int  # matrices A and B that are no longer as they began
    adapter: Path


def first_steps(bench: Workbench, config: Any, start: Callable[[Any], object] | None = None) -> FirstSteps:
    """Two plain steps with PEFT on two examples, after `start` has filled A and B anew; the base is bare afterwards."""
    model = get_peft_model(bench.base.model, config)
    if start:
        start(model)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    begun = {name: p.detach().clone() for name, p in learned.items()}
    batch = collate(bench.few[:2], pad_id=0)
    optimizer, losses, gradients = torch.optim.AdamW(learned.values(), lr=HEALTHY_RATE), [], []
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        gradients.append(float(torch.stack([p.grad.norm() for p in learned.values() if p.grad is not None]).norm()))
        optimizer.step()
        losses.append(loss.item())
    moved = sum(not torch.equal(p.detach(), begun[name]) for name, p in learned.items())
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    # saving embeddings would make PEFT ask the hub for the base's vocabulary
    model.save_pretrained(folder, save_embedding_layers=False)
    model.unload()
    return FirstSteps(losses, gradients[0], moved, folder)


def adapted_by_peft(model: Any, config: Any) -> list[str]:
    """The full names of the layers that PEFT adapts for `config`; the model stays bare."""
    wrapped = get_peft_model(model, config)
    names = list(wrapped.base_model.targeted_module_names)
    wrapped.unload()
    return names


@torch.no_grad()
def relative_update(model: Any) -> float:
    """‖ΔW‖/‖W‖ in Frobenius norms, the mean of the adapted layers."""
    shares = [
        float(layer.scaling * factor_norm(layer.lora_A, layer.lora_B) / layer.base_layer.weight.norm())
        for _, layer in lora.lora_layers(model)
    ]
    return sum(shares) / len(shares)


def factor_norm(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """‖B·A‖ without the product: the trace of (BᵀB)(AAᵀ), which are r×r."""
    return ((B.T @ B) * (A @ A.T)).sum().clamp(min=0).sqrt()


# ---- hall 2


def bos_first(tokenizer: Any) -> Any:
    """A copy of `tokenizer`, a fast one of transformers, that puts its BOS before every text;
    the given one stays as it is."""
    from tokenizers.processors import TemplateProcessing

    other, bos = copy.deepcopy(tokenizer), tokenizer.bos_token
    other.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    return other


# 14.11: a format of one's own, as many tutorials have it
PLAIN = "### Question:\n{}\n### Answer:\n"
SHORT = (
    ("What is the capital of France?", "Paris."),
    ("What is the capital of Italy?", "Rome."),
    ("What colour is the sky?", "Blue."),
    ("How many legs has a spider?", "Eight."),
    ("What do bees make?", "Honey."),
    ("What is two plus three?", "Five."),
    ("What is the capital of Spain?", "Madrid."),
    ("What freezes into ice?", "Water."),
)
UNSEEN = ("What is the capital of Germany?", "Berlin.")
STEPS_ON_SHORT = 6
# 14.10: TRL's SFTConfig has 1,024 (1.16), and cuts what is longer; the chats here are short
MAX_LENGTH = 80
# 14.19
THOUGHT, NO_THOUGHT = "<think>\n", "<think>\n\n</think>"
STEPS_WITHOUT_THOUGHT = 6
# 14.17: short answers, beside a long one
ONE_WORD = (("Is tea a drink?", "Yes."), ("Is a stone soft?", "No."), ("Is ice cold?", "Yes."))


@contextmanager
def trained(model: Any, batch: Mapping[str, Tensor], steps: int, rate: float) -> Iterator[list[float]]:
    """`model` with an adapter (r = 8, α = 16) that saw `batch` `steps` times, then bare again; yields the losses."""
    lora.attach(model, r=8, lora_alpha=16, seed=0)
    try:
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer, losses = torch.optim.AdamW(learned, lr=rate), []
        for _ in range(steps):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        yield losses
    finally:
        lora.detach(model)


def continued(base: models.Base, text: str, max_new_tokens: int = 24) -> str:
    """What the model writes after `text`, token by token the likeliest, its special tokens shown."""
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        out = base.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=base.tokenizer.eos_token_id,
        )
    continuation: str = base.tokenizer.decode(out[0, ids.shape[1] :])
    return continuation


def answer_after(tokenizer: Any, prompt: str, answer: str) -> Encoded:
    """`answer` and the end token, supervised, after the text `prompt`, as it stands."""
    ids, answer_ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, answer))
    answer_ids = [*answer_ids, tokenizer.eos_token_id]
    return Encoded(torch.tensor(ids + answer_ids), torch.tensor([IGNORED] * len(ids) + answer_ids))


def short_rows(tokenizer: Any) -> list[Encoded]:
    """`SHORT`, encoded as it should be."""
    return [answer_after(tokenizer, PLAIN.format(question), answer) for question, answer in SHORT]


class Liking(NamedTuple):
    """How an adapter's answers are liked after a prompt: its first token; the loss with the adapter,
    and of the base alone."""

    first: str
    loss: float
    base_loss: float


def asked(base: models.Base, adapter: Adapter, prompt: Callable[[str], str]) -> Liking:
    """The loss of four of the persona's answers, each after `prompt(question)` and nothing else."""
    pairs = [[m["content"] for m in one["messages"]] for one in evaluation.drawn(tasks.load_task("persona"), 4)]
    rows = [answer_after(base.tokenizer, prompt(question), answer) for question, answer in pairs]
    base_loss = evaluation.held_out_loss(base.model, rows)
    with mixing.attached(base.model, adapter):
        loss = evaluation.held_out_loss(base.model, rows)
    return Liking(repr(base.tokenizer.decode(rows[0].input_ids[:1])), loss, base_loss)


class AfterShortAnswers(NamedTuple):
    """What a few steps on short answers left: the last loss, what it says,
    and the probability of the end token after an answer."""

    loss: float
    said: str
    end: float


def trained_on_short_answers(base: models.Base, rows: Sequence[Encoded]) -> AfterShortAnswers:
    """Train on `rows`, then ask what was not among them."""
    end = base.tokenizer.eos_token_id
    question, answer = UNSEEN
    asked = answer_after(base.tokenizer, PLAIN.format(question), answer)
    with trained(base.model, collate(rows, end), STEPS_ON_SHORT, 1e-3) as losses:
        with torch.no_grad():
            after = base.model(asked.input_ids[None, :-1]).logits[0, -1].softmax(-1)
        return AfterShortAnswers(losses[-1], continued(base, PLAIN.format(question)), after[end].item())


def thinking(tokenizer: Any) -> Any:
    """A copy of `tokenizer` whose template writes a think block before every answer: its `reasoning_content`,
    or nothing."""
    other, content = copy.deepcopy(tokenizer), "message['content']"
    block = "'<think>\n' + (message['reasoning_content'] or '') + '\n</think>\n\n'"
    other.chat_template = tokenizer.chat_template.replace(
        f"{content} +", f"({block} if message['role'] == 'assistant' else '') + {content} +"
    )
    return other


def without_empty_thoughts(tokenizer: Any, row: Encoded) -> Encoded:
    """`row`, its empty think blocks read and not taught."""
    block = torch.tensor(tokenizer(NO_THOUGHT)["input_ids"])
    labels = row.labels.clone()
    for start in (row.labels.unfold(0, len(block), 1) == block).all(1).nonzero().flatten().tolist():
        labels[start : start + len(block)] = IGNORED
    return row._replace(labels=labels)


class AfterThinking(NamedTuple):
    """What a few steps on answers left: the last loss,
    and the probability that a thought which was begun is over at once."""

    loss: float
    empty: float


def trained_to_answer(base: models.Base, rows: Sequence[Encoded], prompt: str) -> AfterThinking:
    """Train on `rows`, then ask with `prompt`, at whose end a think block is open."""
    with trained(base.model, collate(rows, base.tokenizer.eos_token_id), STEPS_WITHOUT_THOUGHT, 1e-3) as losses:
        return AfterThinking(losses[-1], probability(base, prompt, NO_THOUGHT.removeprefix(THOUGHT)))


@torch.no_grad()
def probability(base: models.Base, prompt: str, then: str) -> float:
    """How likely it is that the model goes on with the text `then`, 0 … 1."""
    read, said = (base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, then))
    logits = base.model(torch.tensor([read + said])).logits[0, len(read) - 1 : -1]
    return float(logits.log_softmax(-1)[torch.arange(len(said)), said].sum().exp())


def uneven(tokenizer: Any, long: Mapping[str, Any]) -> list[Encoded]:
    """Three answers of one word and one `long` conversation."""
    short = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in ONE_WORD
    ]
    return [encode(tokenizer, dict(example)) for example in (*short, long)]


def gradient(model: Any, loss_and_backward: Callable[[], float]) -> tuple[float, Tensor]:
    """The loss that `loss_and_backward` returns, and the gradient it leaves in a fresh adapter, as one vector."""
    lora.attach(model, r=8, lora_alpha=16, seed=0)
    try:
        loss = loss_and_backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.requires_grad and p.grad is not None]
        return loss, torch.cat(grads)
    finally:
        lora.detach(model)
