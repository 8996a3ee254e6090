"""A GGUF is a base like any other: tensor by tensor into 32, 16 or 4 bits, equal to transformers' reading of it; one
whose header counts more than it holds is refused at once."""

import os
import shutil
import struct
import time

import gguf
import numpy as np
import pytest
import torch
from chat_templates import CHATML, tokenizer_of
from damaged import rewritten
from gguf import GGMLQuantizationType as Type
from random_ggufs import LITTLE, SCALES, q4_k_m, write
from tiny_folders import BF16, FP32, assert_same
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import gguf_config, gguf_tensors
from lora_lessons.models.filling import is_embedding_or_head, is_four_bit, owner_of
from lora_lessons.models.gguf_header import Header, Listed, read_header
from lora_tools.exporting import gguf as exported
from lora_tools.exporting.gguf.model import _rope_factors

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
SHAPES = {"llama": {}, "qwen2": {}, "qwen3": {"head_dim": 128}}
MIXED = q4_k_m(2)


def make(tmp_path, model_type="llama", type_of=MIXED, tied=False, **settings):
    settings = SIZES | SHAPES.get(model_type, {}) | {"tie_word_embeddings": tied} | settings
    return write(tmp_path / "tiny.gguf", model_type, type_of, **settings)


def by_transformers(file, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=dtype)


def saved(file, folder):
    """The model of a GGUF as the folder that `save_pretrained` writes, without any rounding."""
    base = models.load(file, "fp32", "cpu")
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("model_type", SHAPES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_gguf_is_what_transformers_makes_of_it(tmp_path, model_type, tied, precision, dtype):
    file = make(tmp_path, model_type, tied=tied)
    mine, theirs = models.load(file, precision, "cpu").model, by_transformers(file, dtype)
    assert_same(mine, theirs)
    assert (mine.lm_head.weight is mine.model.embed_tokens.weight) == tied == mine.config.tie_word_embeddings
    assert not mine.training and all(p.requires_grad for p in mine.parameters())
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        assert torch.equal(mine(ids).logits, theirs.eval()(ids).logits)


@pytest.mark.parametrize(
    "kind", [*sorted(SCALES.keys() - {Type.Q8_K}), Type.F32, Type.F16, Type.BF16], ids=lambda kind: kind.name
)
def test_every_type_is_read_piece_by_piece_and_never_whole(tmp_path, kind, monkeypatch):
    file, largest = make(tmp_path, type_of=lambda _: kind, num_hidden_layers=1), 0
    theirs, dequantize = by_transformers(file), gguf.quants.dequantize

    def watched(data, of):
        nonlocal largest
        made = dequantize(data, of)
        largest = max(largest, made.size)
        return made

    monkeypatch.setattr(gguf_tensors, "PIECE", 10 * 256)
    monkeypatch.setattr(gguf.quants, "dequantize", watched)
    assert_same(models.load(file, "fp32", "cpu").model, theirs)
    assert largest <= 10 * 256


@pytest.mark.parametrize("model_type, tied", [("llama", False), ("qwen2", True)])
def test_nf4_of_a_gguf_is_nf4_of_the_same_model_in_a_folder(tmp_path, model_type, tied):
    file = make(tmp_path, model_type, tied=tied)
    folder = saved(file, tmp_path / "folder")
    for form in (BF16, FP32):
        mine = models.load(file, "nf4", "cpu", form.compute_dtype).model
        theirs = models.load(folder, "nf4", "cpu", form.compute_dtype).model
        wide = [name for name, _ in mine.named_parameters() if is_embedding_or_head(mine, owner_of(mine, name))]
        if form is FP32:  # a file of 4 and 6 bits is not held in 32
            assert {mine.get_parameter(name).dtype for name in wide} == {torch.float16}
            for name in wide:
                assert torch.equal(mine.get_parameter(name), theirs.get_parameter(name).half())
            theirs.half_ones = [owner_of(theirs, name).half() for name in wide]
        assert_same(mine, theirs)
        assert any(is_four_bit(owner_of(mine, name), name) for name, _ in mine.named_parameters())
        assert not any(p.requires_grad for p in mine.parameters())


def test_4_bit_weights_of_a_gguf_are_kept_while_the_file_is_the_same(tmp_path, empty_cache, keep_all, monkeypatch):
    file = make(tmp_path)
    first, read = models.load(file, "nf4", "cpu", torch.bfloat16).model, []
    unpack = gguf_tensors.TensorInGguf.to
    monkeypatch.setattr(gguf_tensors.TensorInGguf, "to", lambda *given, **how: read.append(1) or unpack(*given, **how))
    again = models.load(file, "nf4", "cpu", torch.bfloat16).model
    assert_same(again, first)
    assert not read and again.base_fingerprint == first.base_fingerprint
    stat = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = models.load(file, "nf4", "cpu", torch.bfloat16).model
    assert read and changed.base_fingerprint != first.base_fingerprint
    (only_place,) = (empty_cache / "4bit").iterdir()
    assert only_place.name.startswith("tiny.gguf-")


def test_an_architecture_that_is_not_read_here_is_left_to_transformers_and_not_rounded(tmp_path):
    file = make(tmp_path, "gemma2", head_dim=64, tied=True)
    assert_same(models.load(file, "fp32", "cpu").model, by_transformers(file))
    with pytest.raises(ModelError, match="holds a gemma2, and of GGUFs llama, qwen2, qwen3 are loaded in 4 bits"):
        models.load(file, "nf4", "cpu")


def test_mistrals_own_name_is_read_too(tmp_path):
    """transformers takes such a file for a Mistral, and then finds none of its tensors."""
    file = make(tmp_path, "mistral", architecture="llama", fields={"general.name": "mistral"})
    folder = saved(file, tmp_path / "folder")
    assert type(AutoConfig.from_pretrained(folder)).__name__ == "MistralConfig"
    plain = make(tmp_path, "mistral", architecture="llama")
    assert_same(models.load(plain, "fp32", "cpu").model, AutoModelForCausalLM.from_pretrained(folder))


STRETCHED = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
STRETCHED |= {"original_max_position_embeddings": 8192}


def with_factors(file, change):
    """The GGUF with Llama 3's divisors of the rotary frequencies, changed."""
    factors = change(_rope_factors(AutoConfig.for_model("llama", **SIZES, rope_parameters=STRETCHED))).numpy()
    rewritten(file.name, lambda fields, tensors: tensors.update({"rope_freqs.weight": factors}))(file.parent)
    return file


def test_llama_3s_stretched_rotary_embeddings_are_read_where_transformers_forgets_them(tmp_path):
    plain = make(tmp_path, rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    mine = models.load(with_factors(plain, lambda factors: factors), "nf4", "cpu", torch.float32).model
    config = AutoConfig.for_model("llama", **SIZES, rope_parameters=STRETCHED)
    expected = AutoModelForCausalLM.from_config(config).model.rotary_emb.inv_freq
    assert mine.config.rope_parameters == STRETCHED
    assert torch.equal(mine.model.rotary_emb.inv_freq, expected)
    with pytest.raises(ModelError, match="rope_freqs.weight, and not Llama 3's.*give the folder"):
        models.load(with_factors(plain, lambda factors: factors + 1), "fp32", "cpu")


def test_other_stretched_rotary_embeddings_are_read_or_refused(tmp_path):
    said = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    mine = models.load(make(tmp_path, fields=said), "fp32", "cpu").model
    assert mine.config.rope_parameters["rope_type"] == "linear" and mine.config.rope_parameters["factor"] == 4.0
    with pytest.raises(ModelError, match=r"not read from a GGUF here \(yarn\)"):
        models.load(make(tmp_path, fields=said | {"llama.rope.scaling.type": "yarn"}), "fp32", "cpu")


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_what_cannot_be_read_rightly_is_a_sentence(tmp_path, precision):
    def refused(file, sentence):
        with pytest.raises(ModelError, match=sentence):
            models.load(file, precision, "cpu")

    file = make(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-4000])
    refused(file, "tiny.gguf ends before its tensors do: is the download complete")
    head = read_header(make(tmp_path)).tensors["output.weight"].offset
    file.write_bytes(whole[: head + 208] + b"\0\x7e" + whole[head + 210 :])
    refused(file, "lm_head.weight in tiny.gguf holds NaN or infinity")
    refused(
        make(tmp_path, drop=("blk.1.ffn_up.weight",)), r"holds no blk\.1\.ffn_up\.weight, and LlamaForCausalLM needs it"
    )
    refused(make(tmp_path, type_of=lambda name: Type.Q8_K), "of the type Q8_K, which the gguf library does not unpack")
    refused(
        make(tmp_path, fields={"llama.block_count": 1}), r"holds blk\.1\.\S+, which LlamaForCausalLM has no place for"
    )
    refused(make(tmp_path, fields={"llama.feed_forward_length": 256}), "they belong to different models")
    refused(shutil.copy(make(tmp_path), tmp_path / "it-00001-of-00002.gguf"), "one part of a GGUF")


def test_a_tokenizer_that_lies_beside_a_gguf_is_not_taken_for_its_own(tmp_path):
    file = make(tmp_path)
    other = tokenizer_of("{{ messages }}")
    other.add_tokens(["another"])
    other.save_pretrained(tmp_path)
    tokenizer = models.load_tokenizer(file)
    assert tokenizer.chat_template == CHATML and "another" not in tokenizer.get_vocab()


def test_what_a_tokenizer_class_gets_wrong_of_a_gguf_is_corrected():
    tokenizer, fields = tokenizer_of(CHATML), {"tokenizer.chat_template": "{{ messages }}"}
    ids = {"bos": 2, "eos": 4, "padding": 0, "unknown": 0}
    fields |= {f"tokenizer.ggml.{name}_token_id": number for name, number in ids.items()}
    tokenizer.pad_token = None
    gguf_config.correct(tokenizer, Header(fields | {"tokenizer.ggml.add_bos_token": True}, {}, False))
    found = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.chat_template]
    assert found == [2, 4, 0, "{{ messages }}"]
    assert tokenizer("a")["input_ids"][0] == 2
    gguf_config.correct(tokenizer, Header({"tokenizer.ggml.add_bos_token": False}, {}, False))
    assert tokenizer("a")["input_ids"][0] != 2


def test_a_gguf_has_no_token_more_than_its_embedding_has_rows(tmp_path):
    """transformers adds an <|endoftext|> to a vocabulary that has none; its id would be past the embedding's end."""
    given = tokenizer_of(CHATML)
    file = make(tmp_path, vocab_size=len(given))
    assert len(AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)) > len(given)
    tokenizer, text = models.load_tokenizer(file), "he said <|endoftext|><|im_end|>"
    assert len(tokenizer) == len(given)
    assert tokenizer(text)["input_ids"] == given(text)["input_ids"]
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_words_are_cut_as_the_gguf_says(tmp_path, capsys):
    def cut(way):
        tokenizer = models.load_tokenizer(make(tmp_path, fields={"tokenizer.ggml.pre": way}))
        return tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in 1984")

    assert [word for word, _ in cut("gpt-2")] == ["in", "Ġ1984"]
    assert [word for word, _ in cut("smollm")] == ["in", "Ġ", "1", "9", "8", "4"]
    assert [word for word, _ in cut("qwen2")] == ["in", "Ġ", "1", "9", "8", "4"]
    assert not capsys.readouterr().err
    cut("poro-chat")
    assert "does not know how this GGUF cuts text into words (poro-chat)" in capsys.readouterr().err


def test_an_answer_ends_where_the_turn_ends(tmp_path):
    """<|im_end|> ends a turn, </s> the text: a base whose answer ends with the one must not wait for the other."""
    base = models.load(make(tmp_path), "fp32", "cpu")
    end = base.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert base.model.generation_config.eos_token_id == [base.tokenizer.eos_token_id, end]


def test_the_numbers_of_a_gguf_are_counted_and_held_as_those_of_any_base(tmp_path):
    file = make(tmp_path)
    assert models.own_precision(file) == models.best_precision().name
    counts = {models.base_weights(models.load(file, one, "cpu").model) for one in ("fp32", "bf16", "nf4")}
    assert counts == {sum(int(np.prod(one.sizes)) for one in read_header(file).tensors.values())}


HUGE = 2**62


def text(words):
    return struct.pack("<Q", len(words)) + words


def header(tensors=0, fields=0, rest=b"", version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


def field(kind, value, key=b"a.b"):
    return text(key) + struct.pack("<I", kind) + value


DAMAGED = {
    "no magic": b"GGML" + header()[4:],
    "empty": b"",
    "four bytes": b"GGUF",
    "cut in the counts": header()[:15],
    "many tensors": header(tensors=HUGE),
    "many fields": header(fields=HUGE),
    "a few too many fields": header(fields=3),
    "a long key": header(fields=1, rest=struct.pack("<Q", HUGE) + b"x" * 40),
    "a long text": header(fields=1, rest=field(8, struct.pack("<Q", HUGE))),
    "a long list of numbers": header(fields=1, rest=field(9, struct.pack("<IQ", 4, HUGE))),
    "a long list of texts": header(fields=1, rest=field(9, struct.pack("<IQ", 8, HUGE))),
    "a long list of empty texts": header(fields=1, rest=field(9, struct.pack("<IQ", 8, 2**40) + b"\0" * 800)),
    "a list of lists": header(fields=1, rest=field(9, struct.pack("<IQIQ", 9, 1, 4, 0))),
    "an unknown type": header(fields=1, rest=field(77, b"\0" * 8)),
    "a list of an unknown type": header(fields=1, rest=field(9, struct.pack("<IQ", 77, HUGE))),
    "many dimensions": header(tensors=1, rest=text(b"w") + struct.pack("<I", 2**31) + b"\0" * 40),
    "aligned to nothing": header(fields=1, rest=field(4, struct.pack("<I", 0), b"general.alignment")),
    "aligned to a word": header(fields=1, rest=field(8, text(b"32"), b"general.alignment")),
    "cut in a tensor": header(tensors=1, rest=text(b"w" * 20) + struct.pack("<IQ", 1, 4)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_header_is_refused_at_once(tmp_path, data):
    file = tmp_path / "x.gguf"
    file.write_bytes(data)
    begun = time.process_time()  # of the processor: it does not depend on what else the machine does
    with pytest.raises(ValueError):
        read_header(file)
    with pytest.raises(ValueError, match="x.gguf is no whole GGUF"):
        exported.read(file)
    with pytest.raises(ModelError, match="could not be loaded"):
        models.load(file, precision="fp32")
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_whole_header_of_either_byte_order_is_walked_to_its_end(tmp_path, order):
    def pack(form, *values):
        return struct.pack(order + form, *values)

    numbers, words = pack("IQ3I", 4, 3, 1, 2, 3), pack("IQ", 8, 2) + pack("Q", 1) + b"a" + pack("Q", 0)
    fields = [pack("Q", 1) + b"a" + pack("I", 9) + numbers, pack("Q", 1) + b"b" + pack("I", 9) + words]
    fields.append(pack("Q", 1) + b"c" + pack("Id", 12, 1.5))
    tensor = pack("Q", 1) + b"w" + pack("IQQIQ", 2, 4, 4, 0, 0)
    whole = b"GGUF" + pack("IQQ", 3, 1, len(fields)) + b"".join(fields) + tensor
    (tmp_path / "x.gguf").write_bytes(whole)
    expected = {"w": Listed((4, 4), 0, -(-len(whole) // 32) * 32)}
    assert read_header(tmp_path / "x.gguf") == Header({"c": 1.5}, expected, swapped=order == ">")
    (tmp_path / "x.gguf").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="middle of its header"):
        read_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("alignment", [None, 256])
def test_a_tensor_lies_where_the_gguf_library_finds_it(tmp_path, alignment):
    file = write(tmp_path / "x.gguf", "llama", q4_k_m(1), fields={"general.alignment": alignment}, **LITTLE)
    reader, header = gguf.GGUFReader(file), read_header(file)
    found = {name: (one.sizes, one.type, one.offset) for name, one in header.tensors.items()}
    assert found == {one.name: (tuple(map(int, one.shape)), one.tensor_type, one.data_offset) for one in reader.tensors}
    single = {name: one.contents() for name, one in reader.fields.items() if one.types[0] != gguf.GGUFValueType.ARRAY}
    assert header.fields == {name: value for name, value in single.items() if not name.startswith("GGUF.")}


def test_a_file_that_is_not_there_is_no_whole_gguf(tmp_path):
    with pytest.raises(ValueError, match="is no whole GGUF"):
        exported.read(tmp_path / "nothing.gguf")
