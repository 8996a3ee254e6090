"""A base in 4 bits: a folder equals transformers' own loading, one tensor at a time; its weights are those of
bitsandbytes, kept while their source is the same; its layers multiply a slice at a time, and adapters on it train as
PEFT's."""

import copy
import inspect
import itertools
import json
import shutil
import weakref
from unittest.mock import Mock

import bitsandbytes as bnb
import peft
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, has_avx512bf16, quantize_4bit
from safetensors.torch import load_file, save_file
from tiny_folders import BF16, FP32, SIZES, adapted, assert_same, examples, make_folder, ours, steps, stock
from torch import nn
from transformers import (
    AutoModelForCausalLM,
)

from lora_lessons import lora, models, quant, tasks, training
from lora_lessons.errors import ModelError
from lora_lessons.models import filling, four_bit, frozen, random_weights, tensor_by_tensor, weights
from lora_lessons.models.four_bit import Format
from lora_lessons.paths import cache_dir


@pytest.mark.parametrize("kind, tied", [("llama", False), ("llama", True), ("qwen2", False), ("qwen2", True)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
def test_a_folder_in_4_bits_equals_transformers(tmp_path, kind, tied, dtype, quant_type):
    folder, form = make_folder(tmp_path / "m", kind, tied), Format(quant_type, dtype)
    assert len(list(folder.glob("*.safetensors"))) > 2
    mine, theirs = (
        models.keep_trainable(tensor_by_tensor.load(folder, form)),
        models.keep_trainable(stock(folder, form)),
    )
    assert_same(mine, theirs, cast=dtype == torch.float32)  # 16-bit embeddings stay 16-bit here
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        assert torch.allclose(mine(ids).logits.float(), theirs(ids).logits.float(), atol=1e-5)
    assert (mine.lm_head.weight is mine.model.embed_tokens.weight) == tied


def test_only_one_tensor_of_the_source_is_held(folder, monkeypatch):
    read, held = tensor_by_tensor.read_tensor, []

    def watched(where, name):
        assert not any(alive() is not None for alive in held), f"an earlier tensor is still held when {name} is read"
        tensor = read(where, name)
        held.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(tensor_by_tensor, "read_tensor", watched)
    tensor_by_tensor.load(folder, BF16)
    assert len(held) == 2 * 9 + 3  # every weight once


def test_a_bad_folder_is_one_sentence(folder, tmp_path):
    shards = sorted(folder.glob("*.safetensors"))
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is the download complete"):
        tensor_by_tensor.load(folder, BF16)
    shards[1].unlink()
    with pytest.raises(ModelError, match=rf"lacks 1 of its {len(shards)} weight files \({shards[1].name}\)"):
        tensor_by_tensor.load(folder, BF16)
    shards[1].write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    for change, sentence in (
        ({"num_hidden_layers": 3}, r"holds no model\.layers\.2.*BitsAndBytesConfig"),
        ({"intermediate_size": 128}, "belong to different models"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantized already.*give the 16-bit model"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=sentence):
            tensor_by_tensor.load(folder, BF16)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / weights.INDEX).write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        tensor_by_tensor.load(folder, BF16)
    (folder / weights.INDEX).unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors and no model\.safetensors\.index\.json"):
        tensor_by_tensor.load(folder, BF16)


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
def test_a_weight_with_nan_is_named(folder, name):
    (shard,) = (file for file in folder.glob("*.safetensors") if name in load_file(file))
    tensors = load_file(shard)
    save_file(tensors | {name: tensors[name] / 0}, shard, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"{name} in {shard.name} holds NaN or infinity"):
        tensor_by_tensor.load(folder, BF16)


def test_weights_that_are_in_4_bits_already_are_read_as_they_are(folder, tmp_path):
    made = stock(folder, BF16)
    made.save_pretrained(tmp_path / "four")
    assert_same(tensor_by_tensor.load(tmp_path / "four", BF16), made)
    with pytest.raises(ModelError, match="holds nf4 weights"):
        tensor_by_tensor.load(tmp_path / "four", Format("fp4", torch.bfloat16))


def test_the_kept_weights_are_equal_and_the_source_is_read_no_more(folder, tmp_path, monkeypatch, keep_all):
    first = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert_same(first, tensor_by_tensor.load(folder, BF16))
    (place,) = (tmp_path / "cache").iterdir()
    assert_same(first, AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16))  # transformers reads it, too
    monkeypatch.setattr(four_bit, "quantized", lambda *_: pytest.fail("quantised again"))
    again = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert_same(first, again)
    assert (
        models.weights_digest(first) == models.weights_digest(again)
        and first.base_fingerprint == again.base_fingerprint
    )


def test_a_changed_source_or_a_damaged_copy_is_made_anew(folder, tmp_path, capsys, keep_all):
    before = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    shard = next(place.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert_same(before, tensor_by_tensor.load(folder, BF16, tmp_path / "cache"))
    assert "damaged" in capsys.readouterr().err
    changed = sorted(folder.glob("*.safetensors"))[0]
    tensors = load_file(changed)
    save_file({name: t + 1 for name, t in tensors.items()}, changed, {"format": "pt"})
    after = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert (
        models.weights_digest(after) != models.weights_digest(before)
        and after.base_fingerprint != before.base_fingerprint
    )
    assert_same(after, tensor_by_tensor.load(folder, BF16))
    assert len(list((tmp_path / "cache").iterdir())) == 1  # in the old one's place


def test_a_disk_that_is_short_or_fills_up_leaves_nothing(folder, tmp_path, monkeypatch, keep_all):
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 100)
    with monkeypatch.context() as patch:
        patch.setattr(filling.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(ModelError, match=r"need 0\.0 GB in .* 0\.0 GB is free: make room"):
            tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    monkeypatch.setattr(filling, "save_file", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(ModelError, match=r"could not be kept.*No space left"):
        tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (7, 3), (1, 64 * 300)])
def test_pieces_are_packed_as_the_whole(monkeypatch, quant_type, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    whole, state = quantize_4bit(weight, quant_type=quant_type, compress_statistics=True)
    monkeypatch.setattr(four_bit, "PIECE", 64 * 4)
    mine = four_bit.quantized(weight, Format(quant_type, torch.bfloat16))
    assert torch.equal(mine.data, whole)
    for name, tensor in state.as_dict(packed=True).items():
        assert torch.equal(mine.quant_state.as_dict(packed=True)[name], tensor), name


def layer(kind, weight, bias, dtype):
    made = kind(
        weight.shape[1], weight.shape[0], bias is not None, compute_dtype=dtype, quant_type="nf4", device="meta"
    )
    made.weight = four_bit.quantized(weight.to(dtype), Format("nf4", dtype))
    made.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
    return models.keep_trainable(made)


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize("shape, biased", [((1000, 192), True), ((192, 960), False), ((512, 512), True)])
def test_slices_multiply_as_the_whole(monkeypatch, shape, biased, dtype, limit):
    monkeypatch.setattr(four_bit, "SLICE", 1 << 15)
    generator = torch.Generator().manual_seed(0)
    weight, x, g = (torch.randn(s, generator=generator) for s in (shape, (2, 9, shape[1]), (2, 9, shape[0])))
    bias = torch.linspace(-1, 1, shape[0]) if biased else None
    found = []
    for kind in (bnb.nn.Linear4bit, four_bit.SlicedLinear4bit):
        at = x.to(dtype).requires_grad_()
        out = layer(kind, weight, bias, dtype)(at)
        out.backward(g.to(dtype))
        found.append((out, at.grad))
    calls = []
    monkeypatch.setattr(four_bit, "_dequantized", lambda *a, real=four_bit._dequantized: calls.append(1) or real(*a))
    layer(four_bit.SlicedLinear4bit, weight, bias, dtype)(x.to(dtype))
    assert len(calls) > 5  # it was cut
    for mine, yours in zip(found[1], found[0], strict=True):
        assert ((mine - yours).abs().max() / yours.abs().max()).item() <= limit


def test_a_head_in_16_bits_computes_in_fp32_forward_and_backward(monkeypatch):
    monkeypatch.setattr(frozen, "ROWS", 10)
    wide = frozen.WidenedLinear(16, 37, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    x = torch.randn(3, 5, 16, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    out, expected = wide(x), y @ wide.weight.float().T
    g = torch.randn_like(out)
    out.backward(g), expected.backward(g)
    assert out.dtype == torch.float32 and torch.allclose(out, expected, atol=1e-6)
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


@pytest.mark.parametrize("k, d", [(96, 64), (160, 64), (32, 48), (576, 64)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_row_that_is_no_whole_number_of_blocks_is_computed_right(k, d, bias):
    """bitsandbytes' own layer is far off here on processors with AVX-512: the reference is the course's dequantize."""
    linear = nn.Linear(k, d, bias=bias)
    layer = four_bit.SlicedLinear4bit(k, d, bias=bias, compute_dtype=torch.float32, quant_type="nf4")
    layer.weight, layer.bias = four_bit.quantized(linear.weight.detach(), FP32), linear.bias
    layer.support_avx512bf16_for_cpu = False
    W = quant.dequantize(quant.quantize(linear.weight, double=True))
    x, y = (torch.linspace(-1, 1, 3 * k).view(3, k).requires_grad_() for _ in range(2))
    out, expected = layer(x), nn.functional.linear(y, W, linear.bias)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_peft_on_the_same_base_has_the_same_losses(tokenized, dtype, limit):
    one = models.load(tokenized, "nf4", device="cpu", compute_dtype=dtype).model
    other = copy.deepcopy(one)
    lora.attach(one, 4, 8)
    wrapped = peft.get_peft_model(
        other, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, layer in lora.lora_layers(one):
        theirs = wrapped.base_model.model.get_submodule(name)
        assert isinstance(theirs, peft.tuners.lora.bnb.Linear4bit)
        with torch.no_grad():
            theirs.lora_A["default"].weight.copy_(layer.lora_A)
    mine, yours = steps(one)[0], steps(wrapped)[0]
    assert mine == pytest.approx(yours, abs=limit) and mine[-1] < mine[0] - 0.05


def test_a_packed_weight_cannot_be_merged_into(tokenized):
    model = adapted(tokenized, ours)
    digest = models.weights_digest(model)
    for merge in (lambda: lora.merge(model), lambda: next(iter(lora.lora_layers(model)))[1].merged()):
        with pytest.raises(
            ValueError, match=r"packed in 4 bits.*load the base in 16 bits, load_adapter there, and merge that"
        ):
            merge()
    assert models.weights_digest(model) == digest and len(list(lora.lora_layers(model))) == 14


@pytest.mark.parametrize("part", ["codes", "absmax", "nested_absmax", "offset"])
def test_digest_and_fingerprint_see_every_part_of_a_packed_weight(tokenized, part):
    model = adapted(tokenized, ours)
    digest, mark = models.weights_digest(model), training.fingerprint(model, examples(), training.Settings())
    assert training.fingerprint(adapted(tokenized, ours), examples(), training.Settings()) == mark
    weight = model.model.layers[0].mlp.up_proj.base_layer.weight
    state = weight.quant_state
    tensor = {
        "codes": weight.data,
        "absmax": state.absmax,
        "nested_absmax": state.state2.absmax,
        "offset": state.offset,
    }[part]
    tensor.view(-1)[:1] += 1
    assert models.weights_digest(model) != digest
    assert training.fingerprint(model, examples(), training.Settings()) != mark


def test_a_large_base_is_known_by_its_source(tokenized, keep_all, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    model = adapted(tokenized, ours)
    mark = training.fingerprint(model, examples(), training.Settings())
    seen = []
    monkeypatch.setattr(models, "parameter_bytes", lambda p, real=models.parameter_bytes: seen.append(p) or real(p))
    assert training.fingerprint(model, examples(), training.Settings()) == mark
    assert seen and all(p.requires_grad for p in seen)  # the frozen ones were not read
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).add_(1)
    assert training.fingerprint(model, examples(), training.Settings()) != mark


@pytest.mark.parametrize("precision", four_bit.FORMATS)
def test_load_in_4_bits_gives_a_frozen_base(tokenized, precision):
    base = models.load(tokenized, precision, device="cpu", compute_dtype=torch.float32)
    assert base.name == "tiny" and not base.model.training and not any(p.requires_grad for p in base.model.parameters())
    q = base.model.model.layers[0].self_attn.q_proj
    assert q.weight.quant_type == precision and q.weight.quant_state.nested and q.weight.blocksize == 64
    assert q.compute_dtype == torch.float32
    with pytest.raises(ValueError, match="compute_dtype belongs to 4 bits"):
        models.load(tokenized, "fp32", compute_dtype=torch.float32)
    with pytest.raises(ModelError, match="does not exist"):
        models.load(tokenized / "no" / "where", precision)


def test_a_model_without_a_linear_layer_is_not_called_4_bits(tokenized):
    """GPT-2's layers are of a kind of their own."""
    from transformers import GPT2Config, GPT2LMHeadModel

    for file in tokenized.glob("*.safetensors*"):
        file.unlink()
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=64, n_layer=1, n_head=2)).save_pretrained(tokenized)
    with pytest.raises(ModelError, match="GPT2LMHeadModel .*load it with precision"):
        models.load(tokenized, "nf4", "cpu")


def test_the_embedded_base_in_nf4_answers(base_fp32):
    base = models.load(precision="nf4", device="cpu")
    packed = [m for m in base.model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert base.name == models.EMBEDDED_NAME and len(packed) == 30 * 7
    assert "Paris" in models.chat(base, "What is the capital of France?", max_new_tokens=20)


def test_compute_dtype_is_what_the_device_is_fast_in(monkeypatch):
    for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None, c=capability: c)
        assert models.fast_dtype("cuda") == dtype
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        monkeypatch.setattr(models.precision, "best_precision", lambda n=name: models.Precision(n, 1.0, 1.0))
        assert models.fast_dtype("cpu") == dtype


def test_a_hub_id_is_fetched_as_safetensors_only(tokenized, monkeypatch, tmp_path, keep_all):
    import huggingface_hub

    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    wanted = []

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda hub_id, name: str(tokenized / name))
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda _, allow_patterns: wanted.extend(allow_patterns) or str(tokenized)
    )
    base = models.load("someone/tiny-7b", "nf4", device="cpu", compute_dtype=torch.bfloat16)
    assert base.name == "someone/tiny-7b"
    assert_same(base.model, stock(tokenized, BF16))
    assert {p.name for p in tokenized.glob("*.safetensors")} < set(wanted)
    assert not [p for p in wanted if p.endswith((".bin", ".py", ".pt", "*"))]
    (only_place,) = cache_dir().joinpath("4bit").glob("tiny-7b-*-nf4-bfloat16")  # not named by a commit
    assert only_place.is_dir()
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 10)
    monkeypatch.setattr(models.hub.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModelError, match="files are still to come.*HF_HOME"):
        models.load("someone/tiny-7b", "nf4", device="cpu", compute_dtype=torch.bfloat16)


@pytest.mark.skipif(
    not has_avx512bf16(), reason="NOT TESTED HERE: this processor has no AVX-512 bf16, so the trap is not there"
)
def test_the_trap_is_still_there_without_the_guard(tokenized):
    """The story of keep_trainable. When this fails, bitsandbytes has changed: tell the new story."""
    model = stock(tokenized, BF16)
    with torch.no_grad():
        model(torch.arange(3, 20)[None])
    lora.attach(model, r=4)
    batch = tasks.collate(examples(), pad_id=0)
    model(**batch).loss.backward()
    heard = {name.split(".")[4] for name, p in model.named_parameters() if "lora_B" in name and p.grad.any()}
    assert heard == {"o_proj", "down_proj"}, "only what the residual stream reaches"
    with pytest.raises(training.TrainingStopped, match="a quantized layer that ran before training"):
        training.check_gradients({name: p for name, p in model.named_parameters() if p.requires_grad})
    lora.detach(model)
    with pytest.raises(ValueError, match="was repacked for inference.*load the base again"):
        models.keep_trainable(model)


def test_the_switch_that_the_guard_turns_is_still_read_by_bitsandbytes():
    """Were it renamed, setting it would do nothing, and nobody would notice on a processor without the trap."""
    layer = bnb.nn.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    assert "support_avx512bf16_for_cpu" in vars(layer), "the guard sets an attribute that the layer no longer has"
    assert "self.support_avx512bf16_for_cpu" in inspect.getsource(bnb.nn.Linear4bit.forward), (
        "the layer no longer asks it"
    )


def test_every_layer_of_a_loaded_base_is_guarded(tokenized):
    """What the guard sets, on any processor, and that it survives PEFT."""
    wrapped = peft.get_peft_model(ours(tokenized), peft.LoraConfig(r=4, target_modules="all-linear"))
    layers = [m for m in wrapped.modules() if isinstance(m, bnb.nn.Linear4bit) and not hasattr(m, "lora_A")]
    assert len(layers) == 14 and not any(m.support_avx512bf16_for_cpu for m in layers)


@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
def test_random_blocks_look_like_a_quantised_fresh_weight(quant_type):
    form = Format(quant_type, torch.float32)
    mine = random_weights.RandomBlocks(0.02, form, torch.Generator().manual_seed(0)).weight(torch.Size((2048, 1024)))
    real = four_bit.quantized(torch.randn(2048, 1024, generator=torch.Generator().manual_seed(1)) * 0.02, form)
    one, other = (dequantize_4bit(p.data, p.quant_state) for p in (mine, real))
    assert one.std().item() == pytest.approx(0.02, rel=0.01) and abs(one.mean().item()) < 1e-4
    assert one.std().item() == pytest.approx(other.std().item(), rel=0.005)
    shares = [
        torch.bincount(torch.cat([p.data >> 4, p.data & 15]).flatten().int(), minlength=16) / one.numel()
        for p in (mine, real)
    ]
    assert (shares[0] - shares[1]).abs().max() < 0.002
    if quant_type == "nf4":  # the docstring's word on why random bytes would not do
        assert shares[1][15] < 0.6 * shares[1][7] and shares[1].min() < 0.05 < 1 / 16


def test_a_random_7b_has_its_layers_and_repeats_by_seed():
    tiny = {k: v for k, v in SIZES.items() if not k.endswith("id")}
    one, same, other = (
        models.random_base("Qwen2.5-7B", compute_dtype=torch.float32, device="cpu", seed=s, **tiny) for s in (0, 0, 1)
    )
    assert models.weights_digest(one) == models.weights_digest(same) != models.weights_digest(other)
    assert one.base_fingerprint == same.base_fingerprint != other.base_fingerprint
    assert len(lora.attach(one)) == 2 * 7 and one.lm_head.weight.dtype == torch.bfloat16  # not wider than needed
    first, _ = steps(one, 10)
    assert abs(first[0] - torch.tensor(128.0).log()) < 0.2 and first[-1] < first[0] - 0.5
    assert not any(p.is_meta for p in itertools.chain(one.parameters(), one.buffers()))
    with pytest.raises(ValueError, match="Llama-2-7B"):
        models.random_base("Qwen-0B")
    with pytest.raises(ValueError, match="no 4-bit format"):
        models.random_base("Qwen2.5-7B", "int4", **tiny)
