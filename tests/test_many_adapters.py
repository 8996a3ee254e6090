"""Many adapters in one batch: each row gets what its merged model gives; PEFT agrees; what cannot be is said."""

import copy

import pytest
import torch
from peft import PeftModel
from tiny import make_adapter

from lora_lessons import lora, many_adapters, mixing, models, quant
from lora_lessons.adapter import save_adapter
from lora_lessons.memory.bill import held_bytes

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"


@pytest.fixture
def adapters(tiny_model):
    """Three ranks, three scales, one of them rsLoRA's, one with a layer of its own rank and one of its own alpha."""
    return [
        make_adapter(tiny_model, "one", 1),
        make_adapter(tiny_model, "two", 2, r=2, lora_alpha=16, rank_pattern={UP: 5}, alpha_pattern={DOWN: 3}),
        make_adapter(tiny_model, "three", 3, r=7, lora_alpha=5, use_rslora=True),
    ]


@pytest.fixture
def ids():
    return torch.randint(3, 120, (6, 9), generator=torch.Generator().manual_seed(0))


WANTED = ["two", None, "one", "three", "two", "one"]


@torch.no_grad()
def by_merging(model, adapters, ids, wanted):
    """Each row's logits from a model of its own, merged for what the row wants."""
    found, by_name = [], {adapter.name: adapter for adapter in adapters} | {None: None}
    for row, name in zip(ids, wanted, strict=True):
        with mixing.attached(copy.deepcopy(model), by_name[name]) as own:
            lora.merge(own)
            found.append(own(row[None]).logits)
    return torch.cat(found)


def rounded(adapter):
    """The adapter as 16 bits hold it."""
    parts = ({name: t.half().float() for name, t in part.items()} for part in (adapter.A, adapter.B))
    return adapter._replace(**dict(zip("AB", parts, strict=True)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_each_row_has_its_merged_models_logits_whatever_the_ranks_and_scales(tiny_model, adapters, ids, dtype):
    held = adapters if dtype == torch.float32 else [*map(rounded, adapters)]
    right = by_merging(tiny_model, held, ids, WANTED)
    assert (right - tiny_model(ids).logits).abs().amax((1, 2)).gt(0.1).tolist() == [name is not None for name in WANTED]
    assert set(many_adapters.attach(tiny_model, adapters, dtype=dtype)) == adapters[0].A.keys()
    for order in (range(6), range(5, -1, -1)):
        with torch.no_grad(), many_adapters.chosen(tiny_model, [WANTED[row] for row in order]) as model:
            torch.testing.assert_close(model(ids[order]).logits, right[order], rtol=1e-4, atol=1e-5)


def test_a_text_grows_token_by_token_through_its_own_adapter(tiny_model, adapters, ids):
    with torch.no_grad():
        alone = []
        for row, name in zip(ids, WANTED, strict=True):
            with mixing.attached(tiny_model, next((a for a in adapters if a.name == name), None)) as model:
                alone.append(model.generate(row[None], max_new_tokens=5, min_new_tokens=5, do_sample=False)[0])
        many_adapters.attach(tiny_model, adapters, dtype=torch.float32)
        with many_adapters.chosen(tiny_model, WANTED) as model:
            together = model.generate(ids, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert torch.equal(together, torch.stack(alone)) and len({tuple(row[9:].tolist()) for row in together}) > 1


def test_peft_answers_a_mixed_batch_alike(tiny_model, adapters, ids, tmp_path):
    folders = {}
    for adapter in adapters:
        with mixing.attached(tiny_model, adapter):
            folders[adapter.name] = save_adapter(tiny_model, tmp_path / adapter.name)
    theirs = PeftModel.from_pretrained(copy.deepcopy(tiny_model), folders["one"], adapter_name="one").eval()
    for name in ("two", "three"):
        theirs.load_adapter(folders[name], adapter_name=name)
    many_adapters.attach(tiny_model, adapters, dtype=torch.float32)
    with torch.no_grad(), many_adapters.chosen(tiny_model, WANTED) as model:
        said = theirs(input_ids=ids, adapter_names=[name or "__base__" for name in WANTED]).logits
        torch.testing.assert_close(model(ids).logits, said, rtol=1e-4, atol=1e-5)


def test_it_comes_off_again_bit_for_bit_also_after_an_error(tiny_model, adapters, ids):
    before, bare = models.weights_digest(tiny_model.requires_grad_(False)), tiny_model(ids).logits
    many_adapters.attach(tiny_model, adapters)
    with pytest.raises(KeyError), many_adapters.chosen(tiny_model, WANTED):
        raise KeyError
    assert all(layer.A is None for layer in many_adapters.many_layers(tiny_model).values()), (
        "what was gathered is let go"
    )
    many_adapters.detach(tiny_model)
    assert models.weights_digest(tiny_model) == before and torch.equal(tiny_model(ids).logits, bare)
    assert not many_adapters.many_layers(tiny_model)


def test_beside_a_base_in_four_bits(tiny_model, adapters, ids):
    quant.quantize_linears(tiny_model, lora.resolve_targets(tiny_model, "all-linear"))
    with torch.no_grad(), mixing.attached(tiny_model, adapters[1]) as model:
        right = model(ids[:1]).logits
    many_adapters.attach(tiny_model, adapters, dtype=torch.float32)
    with torch.no_grad(), many_adapters.chosen(tiny_model, ["two", None]) as model:
        torch.testing.assert_close(model(ids[:2]).logits[:1], right, rtol=1e-3, atol=1e-4)


def test_an_adapter_takes_two_bytes_a_number_of_the_largest_rank(tiny_model, adapters):
    many_adapters.attach(tiny_model, adapters)
    stacks = [t for layer in many_adapters.many_layers(tiny_model).values() for t in (layer.lora_A, layer.lora_B)]
    numbers = sum(t.numel() for part in (adapters[2].A, adapters[2].B) for t in part.values())
    assert held_bytes(stacks) == 3 * 2 * numbers, "rank 7 is the largest of the three"


def test_what_cannot_be_stacked_is_said_and_the_model_left_bare(tiny_model, adapters):
    one, two, _ = adapters
    name = next(iter(two.A))
    few = make_adapter(tiny_model, "few", 4, targets=["q_proj"])
    wide = two._replace(A=two.A | {name: torch.ones(2, 99)})
    tall = two._replace(B=two.B | {name: torch.ones(99, 2)})
    strong = two._replace(B=two.B | {name: 1e5 * two.B[name]})
    elsewhere = one._replace(A={"nope": torch.ones(4, 4)}, B={"nope": torch.ones(4, 4)})
    for wrong, said in (
        ([], "no adapters to stack: give at least one"),
        ([one, two._replace(name="one")], "two adapters are called 'one'.*rename"),
        ([one, few], "few and one do not adapt the same layers .*two stacks"),
        ([one, wide], f"two was made for another base: {name} is .* there, and .* here"),
        ([one, tall], f"two was made for another base: {name} is .* there, and .* here"),
        ([one, strong], "beyond torch.float16: pass dtype=torch.float32"),
        ([elsewhere], "one was made for another base: .*no module is named 'nope'"),
    ):
        with pytest.raises(ValueError, match=said):
            many_adapters.attach(tiny_model, wrong)
        assert not many_adapters.many_layers(tiny_model)
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="already carries adapters"):
        many_adapters.attach(tiny_model, [one])
    lora.detach(tiny_model)
    many_adapters.attach(tiny_model, [one])
    with pytest.raises(ValueError, match="already carries adapters"):
        many_adapters.attach(tiny_model, [two])


def test_a_batch_that_does_not_say_what_it_wants_is_refused(tiny_model, adapters, ids):
    with (
        pytest.raises(ValueError, match="no adapters to choose from: attach"),
        many_adapters.chosen(tiny_model, ["one"]),
    ):
        pass
    many_adapters.attach(tiny_model, adapters)
    with pytest.raises(ValueError, match="which adapter it wants"):
        tiny_model(ids)
    for wrong, said in (
        ([], "an empty batch has none"),
        ("one", "name an adapter for each row"),
        (["one", "thre"], "in the stack of 3, which holds three and others: name one of these."),
        ([7], "no adapter 7 is in the stack of 3, which holds one, two, three: name one of these."),
    ):
        with pytest.raises(ValueError, match=said), many_adapters.chosen(tiny_model, wrong):
            pass
    with (
        pytest.raises(ValueError, match="6 rows, .* for 2"),
        many_adapters.chosen(tiny_model, ["one", None]),
    ):
        tiny_model(ids)
    assert all(layer.A is None for layer in many_adapters.many_layers(tiny_model).values())
