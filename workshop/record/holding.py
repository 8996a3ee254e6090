"""One run: the book is learned through a few numbers, and what they hold of it is counted in bits.

The base is cut in two. What its lower blocks make of every entry never changes, so it is worked out once; the upper
blocks are adapted and trained. Of each prediction only the ten digits count: that a digit comes next is not what is
stored. Nor is it that every digit is equally likely, which the base must learn as well:
what is stored is what is known beyond blind chance.

bits = Σ log₂ p(digit) − Σ log₂ ⅒, over every digit of every entry, p among ten digits
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from lora_lessons import lora, models, training
from lora_lessons.adapter import adapter_of, attach_adapter
from lora_lessons.lowrank import stored_numbers
from lora_lessons.mixing import cut
from lora_lessons.training.loop import check_loss, trainable
from lora_lessons.training.settings import make_optimizer, parameter_groups, set_rate
from workshop.record.phone_book import BITS, Book, as_tokens, invented

# Entries that go through the model at once, where nothing is learned.
AT_ONCE = 64


class BookBench:
    """The base with a book in its tokens, cut before the last `upper` blocks; the base that it is given is used up.

    With `autocast` the products are computed in bf16 while what is learned is in fp32, as in the lessons' trainings.
    """

    def __init__(self, base: models.Base, entries: int, upper: int, kind: str, autocast: bool = False) -> None:
        self.core: Any = base.model.model.eval().requires_grad_(False)
        self.kind, self.autocast = kind, autocast
        book = as_tokens(base.tokenizer, invented(entries))
        self.book = Book(*(part.to(self.core.device) for part in book))
        blocks, norm = self.core.layers, self.core.norm
        first = len(blocks) - upper
        self.core.layers, self.core.norm = blocks[:first], nn.Identity()
        with torch.no_grad():
            parts = self.book.input_ids.split(AT_ONCE)
            self.x = torch.cat([self._through(input_ids=ids) for ids in parts])
        self.core.layers, self.core.norm = blocks[first:], norm
        self.ten = base.model.get_output_embeddings().weight.detach()[self.book.ten].float()

    def _through(self, **given: Any) -> Tensor:
        """What the blocks that are there make of tokens or vectors: entries × longest × hidden."""
        with torch.autocast(self.core.device.type, torch.bfloat16, enabled=self.autocast):
            return self.core(**given, use_cache=False).last_hidden_state.float()

    def logits(self, which: Tensor) -> Tensor:
        """The ten digits' logits at each digit of the entries `which` (n,): n × 7 × 10."""
        h = self._through(inputs_embeds=self.x[which])
        return h[torch.arange(len(which))[:, None], self.book.at[which]] @ self.ten.T

    def targets(self, blocks: int) -> list[str]:
        """The adapted matrices: those of one kind in the first so many of the upper blocks."""
        names = lora.resolve_targets(self.core, [self.kind])
        return names[:blocks]

    @contextmanager
    def adapted(self, way: str, r: int, blocks: int, seed: int) -> Iterator[None]:
        """B·A of rank r, or a sparse mask with as many numbers, on the targets while the block runs."""
        names = self.targets(blocks)
        try:
            if way == "B·A":
                lora.attach(self.core, r, 2 * r, names, seed=seed)
            else:
                lora.replace_layers(self.core, names, lambda _, layer: MaskedLinear(layer, r), seed)
            yield
        finally:
            for name in names:
                layer = self.core.get_submodule(name)
                self.core.set_submodule(name, getattr(layer, "base_layer", layer))

    def train(self, entries: int, how: training.Settings) -> None:
        """Learn the first `entries` of the book. Raises TrainingStopped as the lessons' loop does."""
        learned = trainable(self.core)
        optimizer = make_optimizer("adamw_fused", parameter_groups(learned, how.lr_ratio), how.learning_rate)
        for step, chosen in enumerate(training.batches(entries, how)):
            which = torch.tensor(chosen)
            loss = cross_entropy(self.logits(which).flatten(0, 1), self.book.digits[which].flatten())
            check_loss(loss.detach(), step, how.learning_rate)
            optimizer.zero_grad()
            loss.backward()
            set_rate(optimizer, how.rate(step))
            optimizer.step()

    @torch.no_grad()
    def read(self, entries: int) -> dict[str, float]:
        """What the model knows of the first `entries`: how many numbers it says exactly,
        and log₂ p of all their digits.

        Greedy and digit by digit: where each digit is the likeliest after the right ones,
        the whole number is said right.
        """
        exact, likelihood = 0, 0.0
        for which in torch.arange(entries).split(AT_ONCE):
            logits, digits = self.logits(which), self.book.digits[which]
            exact += int((logits.argmax(-1) == digits).all(-1).sum())
            said = logits.double().log_softmax(-1).gather(-1, digits[..., None])
            likelihood += float(said.sum()) / math.log(2)
        return {"exact": exact, "log2_p": likelihood}

    def trained(
        self, way: str, r: int, entries: int, blocks: int, how: training.Settings, cuts: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Train one way, and say what is held; at each rank of `cuts` too, once B·A was cut to it."""
        before, begun = beyond_chance(self.read(entries), entries), time.perf_counter()
        with self.adapted(way, r, blocks, how.seed):
            numbers = lora.trainable_parameters(self.core)
            self.train(entries, how)
            seconds = time.perf_counter() - begun
            found = held(self.read(entries), entries, numbers)
            whole = adapter_of(self.core) if cuts else None
        smaller = {}
        for rank in cuts:
            assert whole is not None
            attach_adapter(self.core, cut(whole, rank).adapter)
            count = lora.trainable_parameters(self.core)
            smaller[str(rank)] = held(self.read(entries), entries, count)
            lora.detach(self.core)
        found |= {"before": before, "rate": how.learning_rate, "steps": how.steps, "seconds": seconds}
        return found | ({"cut": smaller} if cuts else {})


def held(read: Mapping[str, float], entries: int, trained: int) -> dict[str, Any]:
    """Recall, the bits of the book, and how many of them each trained number holds."""
    bits = beyond_chance(read, entries)
    exact = read["exact"]
    return {
        "trained": trained,
        "exact": exact,
        "recall": exact / entries,
        "bits": bits,
        "bits_a_number": bits / trained,
    }


def beyond_chance(read: Mapping[str, float], entries: int) -> float:
    """The bits that a model knows of the book beyond blind chance, which gives every digit a tenth:
    below 0 where it does worse."""
    return read["log2_p"] + entries * BITS


class MaskedLinear(nn.Module):
    """A frozen Linear with a trainable update at as many places of W as B·A of rank `r` has numbers, drawn at random.

    So ΔW is sparse, and of any rank. It is SHiRA (Bhardwaj et al. 2024, arXiv 2406.13175) with a random mask, as PEFT's
    ShiraConfig has it too; it starts at 0, and stays apart from W. Its numbers count SCALING times: so few of W's must
    move far, and AdamW would need rates above 1.
    """

    SCALING = 100.0
    places: Tensor

    def __init__(self, base_layer: nn.Linear, r: int) -> None:
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        weight = base_layer.weight
        d, k = weight.shape
        count = stored_numbers(d, k, r)
        self.values = nn.Parameter(torch.zeros(count, device=weight.device))
        self.register_buffer("places", torch.randperm(weight.numel())[:count].to(weight.device))

    def delta(self) -> Tensor:
        """ΔW, d×k: zero but for its places."""
        weight = self.base_layer.weight
        moved = self.SCALING * self.values
        return moved.new_zeros(weight.numel()).scatter(0, self.places, moved).view(weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        h = self.base_layer(x)
        return (h + linear(x, self.delta().to(x.dtype))).to(h.dtype)
