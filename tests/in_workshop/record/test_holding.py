"""The phone book: entries that nobody can guess, bits that are what they say, and a recording that goes on."""

import math

import pytest
import torch
from tiny import AsciiTokenizer, make_tiny_base, make_tiny_model

from lora_lessons import lora, training
from workshop.record import capacity, holding, phone_book

HOW = training.Settings(steps=60, batch_size=4, learning_rate=2e-2)


@pytest.fixture
def bench():
    return holding.BookBench(make_tiny_base(), entries=8, upper=1, kind="down_proj")


def test_names_are_invented_once_and_a_longer_book_begins_as_a_shorter_one():
    entries = phone_book.invented(512)
    assert len({name for name, _ in entries}) == 512 and entries[:32] == phone_book.invented(32)
    assert all(len(number) == 7 and number.isdigit() for _, number in entries)
    digits = "".join(number for _, number in entries)
    assert all(0.08 < digits.count(d) / len(digits) < 0.12 for d in "0123456789")


def test_a_digit_is_predicted_at_the_token_before_it():
    entries = phone_book.invented(8)
    made = phone_book.as_tokens(AsciiTokenizer(), entries)
    for (name, number), ids, at, digits in zip(entries, made.input_ids, made.at, made.digits, strict=True):
        text = f"{name}: {number}"
        assert "".join(map(chr, ids[: len(text)].tolist())) == text
        assert [chr(ids[place + 1]) for place in at] == list(number)
        assert digits.tolist() == [int(d) for d in number] and made.ten[digits].equal(ids[at + 1])


def test_a_tokenizer_that_joins_digits_is_refused():
    def in_pairs(texts, add_special_tokens):
        return {
            "input_ids": [
                [ord(a) * 128 + ord(b) for a, b in zip(text[-8::2], text[-7::2], strict=True)] for text in texts
            ]
        }

    with pytest.raises(ValueError, match="writes several digits as one token"):
        phone_book.as_tokens(in_pairs, phone_book.invented(3))


def test_a_base_cut_in_two_computes_as_the_whole(bench):
    whole, made = make_tiny_model(), bench.book
    with torch.no_grad():
        for n, ids in enumerate(made.input_ids):
            logits = whole(ids[None]).logits[0, made.at[n]][:, made.ten]
            assert torch.allclose(bench.logits(torch.tensor([n]))[0], logits, atol=1e-5)


def test_bits_are_the_likelihood_that_ten_digits_gained(bench):
    with torch.no_grad():
        p = bench.logits(torch.arange(5)).softmax(-1)
    digits = bench.book.digits[:5]
    read = bench.read(5)
    assert read["log2_p"] == pytest.approx(
        sum(math.log2(p[n, i, d]) for n in range(5) for i, d in enumerate(digits[n])), rel=1e-4
    )
    assert read["exact"] == sum(bool(p[n].argmax(-1).equal(digits[n])) for n in range(5))
    blind = {"log2_p": 5 * 7 * math.log2(0.1), "exact": 2}
    assert holding.beyond_chance(blind, 5) == pytest.approx(0), "who knows nothing has stored nothing"
    found = holding.held(blind | {"log2_p": blind["log2_p"] + 60}, 5, 30)
    assert (found["bits"], found["bits_a_number"], found["recall"]) == (pytest.approx(60), pytest.approx(2), 0.4)
    assert pytest.approx(23.25, abs=0.01) == phone_book.BITS


@pytest.mark.parametrize("way", capacity.WAYS)
def test_a_run_learns_the_book_and_leaves_the_base_as_it_was(bench, way):
    before = holding.beyond_chance(bench.read(8), 8)
    found = bench.trained(way, 4, 8, 1, HOW)
    assert found["trained"] == 4 * (32 + 64)
    assert found["bits"] > found["before"] + 5 and found["before"] == before
    assert holding.beyond_chance(bench.read(8), 8) == before
    assert not any(p.requires_grad for p in bench.core.parameters()) and not list(lora.lora_layers(bench.core))
    assert bench.trained(way, 4, 8, 1, HOW)["bits"] == found["bits"]


def test_in_more_blocks_more_is_trained():
    bench = holding.BookBench(make_tiny_base(), entries=4, upper=2, kind="down_proj")
    assert bench.targets(1) == ["layers.0.mlp.down_proj"] and len(bench.targets(2)) == 2
    short = training.Settings(steps=2, batch_size=4, learning_rate=1e-3)
    assert bench.trained("mask", 2, 4, 2, short)["trained"] == 2 * 2 * (32 + 64)


def test_a_cut_holds_less_the_smaller_its_rank_and_at_full_rank_the_same(bench):
    found = bench.trained("B·A", 8, 8, 1, HOW, cuts=(1, 7))
    assert found["cut"]["1"]["trained"] == 96 and found["cut"]["1"]["bits"] < found["bits"]
    assert found["cut"]["7"]["bits"] == pytest.approx(found["bits"], rel=0.2)
    assert found["cut"]["1"]["bits"] < found["cut"]["7"]["bits"] and not list(lora.lora_layers(bench.core))


def test_a_mask_is_pefts_shira():
    """The same count of numbers, and on PEFT's places the same output and gradient."""
    import peft

    x = torch.randint(128, (2, 9), generator=torch.Generator().manual_seed(0))
    config = peft.ShiraConfig(r=2, target_modules=["down_proj"], random_seed=3)
    theirs = peft.get_peft_model(make_tiny_model(), config)
    ours = make_tiny_model()
    lora.replace_layers(
        ours, lora.resolve_targets(ours, ["down_proj"]), lambda _, layer: holding.MaskedLinear(layer, 2)
    )
    pairs = [
        (theirs.base_model.model.get_submodule(name), layer)
        for name, layer in ours.named_modules()
        if isinstance(layer, holding.MaskedLinear)
    ]
    for their, our in pairs:
        rows, columns = their.shira_indices["default"].long()
        assert len(rows) == len(our.places) == 2 * (32 + 64)
        our.places.copy_(rows * 64 + columns)
        drawn = torch.randn(len(rows), generator=torch.Generator().manual_seed(1))
        their.shira_weight["default"].data, our.values.data = drawn.clone(), drawn / our.SCALING
    for model in (theirs, ours):
        model(x, labels=x).loss.backward()
    assert torch.allclose(theirs(x).logits, ours(x).logits, atol=1e-5)
    for their, our in pairs:
        assert torch.allclose(our.SCALING * their.shira_weight["default"].grad, our.values.grad, rtol=1e-4, atol=1e-5)
