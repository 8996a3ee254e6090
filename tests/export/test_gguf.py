"""An adapter in llama.cpp says what it says in PEFT: by logits, since equal text hides even a missing permutation."""

import copy
import json
import shutil
import socket
import urllib.error
import urllib.request

import gguf as gguf_library
import peft
import pytest
import torch
from torch import nn

from lora_lessons import cli, lora, models
from lora_lessons.adapter import read_adapter, save_adapter
from lora_lessons.course import learner
from lora_lessons.errors import ModelError
from lora_lessons.export import gguf, llamacpp, vocab

LIMIT = 1e-3
PROMPTS = [
    "The capital of France is", "Once upon a time", "def add(a, b):\n    return", "1, 2, 3, 5, 8,", "Water boils at",
    "To be, or not to", "The opposite of hot is", "My favourite colour", "<|im_start|>user\nHello<|im_end|>\n", "In 1969,",
    "Roses are red, violets are", "import numpy as", "She sells sea shells by the",
]  # fmt: skip


def real_size(model, seed=0):
    """B of a trained adapter's size in place of zeros, so that the adapter matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.03, generator=generator)


@torch.no_grad()
def python_logits(model, prompts):
    return torch.stack([model(torch.tensor([ids])).logits[0, -1] for ids in prompts])


@pytest.fixture(scope="module")
def real(base_fp32, tmp_path_factory):
    """The embedded base: a copy of the model to wrap, its prompts, its logits, and its F32 GGUF."""
    folder = tmp_path_factory.mktemp("gguf")
    prompts = [base_fp32.tokenizer(text)["input_ids"] for text in PROMPTS]
    file = gguf.write_base(models.embedded_folder(), folder / "base-f32.gguf", "f32")
    return copy.deepcopy(base_fp32.model), prompts, python_logits(base_fp32.model, prompts), file


def peft_adapter(model, folder, targets="all-linear", seed=0, **settings):
    """An adapter of PEFT's own making, saved by PEFT; `model` comes back as it was."""
    config = {"r": 8, "lora_alpha": 16} | settings
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=targets, **config))
    real_size(wrapped, seed)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    wrapped.unload()
    return folder


def peft_logits(model, folder, prompts, factor=1.0):
    wrapped = peft.PeftModel.from_pretrained(model, folder)
    for module in wrapped.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            module.scale_layer(factor)
    out = python_logits(wrapped.eval(), prompts)
    wrapped.unload()
    return out


def worst(a, b):
    assert a.shape == b.shape
    return (a - b).abs().max().item()


CASES = {
    "all-linear, scale 1": ("all-linear", {}, 1.0),
    "q and v": (["q_proj", "v_proj"], {}, 1.0),
    "rsLoRA": ("all-linear", {"use_rslora": True, "lora_alpha": 6}, 1.0),
    "scale one half": ("all-linear", {}, 0.5),
}


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_and_peft_compute_the_same(real, tmp_path, case):
    model, prompts, plain, base = real
    targets, settings, factor = CASES[case]
    folder = peft_adapter(model, tmp_path / "adapter", targets, **settings)
    expected = peft_logits(model, folder, prompts, factor)
    file = gguf.write_adapter(read_adapter(folder), models.embedded_folder(), tmp_path / "adapter.gguf")
    assert worst(llamacpp.logits(base, prompts, {file: factor}), expected) <= LIMIT
    assert worst(expected, plain) > 1, "an adapter this small proves nothing"


def test_our_own_adapter_too_and_the_base_alone(real, tmp_path):
    model, prompts, plain, base = real
    lora.attach(model, r=4, target_modules=["k_proj", "o_proj", "up_proj"])
    real_size(model)
    folder, expected = save_adapter(model, tmp_path / "ours"), python_logits(model, prompts)
    lora.detach(model)
    file = gguf.write_adapter(read_adapter(folder), models.embedded_folder(), tmp_path / "ours.gguf")
    assert worst(llamacpp.logits(base, prompts, {file: 1.0}), expected) <= LIMIT
    assert worst(llamacpp.logits(base, prompts), plain) <= LIMIT


@pytest.mark.parametrize(
    "left_out, instead", [("permuted", lambda rows, heads: rows), ("gguf_alpha", lambda adapter: adapter.lora_alpha)]
)
def test_parity_fails_without_the_permutation_or_the_root_of_r(real, tmp_path, monkeypatch, left_out, instead):
    model, prompts, _, base = real
    folder = peft_adapter(model, tmp_path / "adapter", ["q_proj", "k_proj", "v_proj"], use_rslora=True, lora_alpha=6)
    expected = peft_logits(model, folder, prompts)
    monkeypatch.setattr(gguf, left_out, instead)
    file = gguf.write_adapter(read_adapter(folder), models.embedded_folder(), tmp_path / "wrong.gguf")
    assert worst(llamacpp.logits(base, prompts, {file: 1.0}), expected) > 0.5


def test_merged_says_the_same_as_the_two_apart(real, tmp_path):
    model, prompts, _, _ = real
    folder = peft_adapter(model, tmp_path / "adapter", use_rslora=True, lora_alpha=6)
    merged = gguf.write_merged(models.embedded_folder(), read_adapter(folder), tmp_path / "merged.gguf", "f32")
    assert worst(llamacpp.logits(merged, prompts), peft_logits(model, folder, prompts)) <= LIMIT


def sentencepiece_like():
    """A tokenizer as Llama 2 and Mistral have it (▁ for a space, bytes for what is unknown), of a few hundred tokens."""
    from tokenizers import Tokenizer, decoders, normalizers, trainers
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    first = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trained = Tokenizer(kinds.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(PROMPTS, trainers.BpeTrainer(vocab_size=120, show_progress=False))
    made = json.loads(trained.to_str())["model"]
    letters = [t for t in made["vocab"] if len(t) == 1] + ["▁"] * ("▁" not in made["vocab"])
    pieces = ["".join(pair) for pair in made["merges"]]
    ids = {token: i for i, token in enumerate(dict.fromkeys([*first, *letters, *pieces]))}
    splits = [(p[:i], p[i:]) for p in dict.fromkeys(pieces) for i in range(1, len(p)) if p[:i] in ids and p[i:] in ids]
    made = Tokenizer(kinds.BPE(ids, splits, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if m.role == 'assistant' %}</s>{% endif %}{% endfor %}"
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **special)


def byte_level(name, template):
    """A tokenizer of some hundred tokens that cuts words as SmolLM2, Qwen2 or Llama 3 does, with SmolLM2's end and start."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    rules = next(seen for seen, known in vocab.SPLITTERS.items() if known == name)
    first = pre_tokenizers.Digits(True) if name == "smollm" else pre_tokenizers.Split(Regex(rules[0]), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "smollm")
    made = Tokenizer(kinds.BPE(ignore_merges=name == "llama-bpe"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence([first, level]), decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    text = [*PROMPTS, *vocab.PROBES]
    made.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=letters, show_progress=False)
    )
    ends = {"unk_token": special[0], "bos_token": special[1], "eos_token": special[2], "pad_token": special[2]}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **ends)


LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
SHAPES = {
    "llama": {
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "attention_bias": True,
        "rope_parameters": LLAMA3,
    },
    "mistral": {"num_key_value_heads": 1, "head_dim": 32, "tie_word_embeddings": False},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
}
TOKENIZERS = {"llama": "llama-bpe", "mistral": "llama", "qwen2": "qwen2"}


@pytest.fixture(scope="module")
def tiny(base_fp32, tmp_path_factory):
    """A function that makes a random little model of a family, with that family's kind of tokenizer, in a folder."""
    made = {}

    def make(kind):
        from transformers import AutoConfig, AutoModelForCausalLM

        if kind not in made:
            tokenizer = (
                sentencepiece_like()
                if kind == "mistral"
                else byte_level(TOKENIZERS[kind], base_fp32.tokenizer.chat_template)
            )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                config = AutoConfig.for_model(
                    kind, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
                    max_position_embeddings=256, vocab_size=len(tokenizer) + 3, initializer_range=0.1,
                    bos_token_id=1, eos_token_id=2, **SHAPES[kind],
                )  # fmt: skip
                model = AutoModelForCausalLM.from_config(config).eval()
                for name, parameter in model.named_parameters():
                    if name.endswith("bias"):
                        nn.init.normal_(parameter, std=0.5)
            folder = tmp_path_factory.mktemp(kind) / f"tiny-{kind}"
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[kind] = folder, model, tokenizer
        return made[kind]

    return make


@pytest.mark.parametrize("kind", SHAPES)
def test_every_family_agrees_with_base_adapter_and_merged(tiny, tmp_path, kind):
    folder, model, tokenizer = tiny(kind)
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS]
    targets = ["q_proj", "k_proj", "down_proj"] + ["lm_head"] * (kind == "llama")
    saved = peft_adapter(model, tmp_path / "adapter", targets)
    adapter, plain, expected = (
        read_adapter(saved), python_logits(model, prompts), peft_logits(model, saved, prompts)
    )  # fmt: skip
    base = gguf.write_base(folder, tmp_path / "base.gguf", "f32")
    file = gguf.write_adapter(adapter, folder, tmp_path / "adapter.gguf")
    merged = gguf.write_merged(folder, adapter, tmp_path / "merged.gguf", "f32")
    assert worst(llamacpp.logits(base, prompts), plain) <= LIMIT
    assert worst(llamacpp.logits(base, prompts, {file: 1.0}), expected) <= LIMIT
    assert worst(llamacpp.logits(merged, prompts), expected) <= LIMIT
    assert worst(plain, expected) > 0.1
    fields = gguf.read(base).fields
    assert fields["general.architecture"].contents() == {"mistral": "llama"}.get(kind, kind)
    assert fields["tokenizer.ggml.pre"].contents() == {"mistral": "default"}.get(kind, TOKENIZERS[kind])
    assert vocab.check_tokens(base, tokenizer) >= 20


def test_smollms_own_way_with_digits_is_known(base_fp32, tmp_path):
    tokenizer = byte_level("smollm", base_fp32.tokenizer.chat_template)
    vocab.check(models.embedded_folder(), tokenizer, len(tokenizer), tmp_path)


def test_tokens_read_by_the_wrong_rule_are_an_error(base_fp32, tmp_path, monkeypatch):
    monkeypatch.setattr(vocab, "splitter", lambda said: "llama-bpe")
    with pytest.raises(ModelError, match="transformers as .* nothing was written"):
        gguf.write_base(models.embedded_folder(), tmp_path / "base.gguf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "file_type, low, high", [("f16", 0, 0.2), ("bf16", 1e-4, 1), ("q8_0", 1e-3, 1), ("Q4_K_M", 0.02, 10)]
)
def test_smaller_types_load_and_differ_a_little(tiny, tmp_path, file_type, low, high):
    folder, model, tokenizer = tiny("qwen2")
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS[:3]]
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter"))
    if file_type == "Q4_K_M":
        whole = gguf.write_merged(folder, adapter, tmp_path / "whole.gguf", "f32")
        file = gguf.quantize(whole, tmp_path / "small.gguf", file_type)
        assert file.stat().st_size < whole.stat().st_size / 4
    else:
        file = gguf.write_merged(folder, adapter, tmp_path / "small.gguf", file_type)
    assert low <= worst(llamacpp.logits(file, prompts), peft_logits(model, tmp_path / "adapter", prompts)) < high
    norms = [t for t in gguf.read(file).tensors if "norm" in t.name]
    assert norms and all(t.tensor_type == gguf_library.GGMLQuantizationType.F32 for t in norms)


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """A tiny Qwen with two adapters on the server, and what PEFT says of each."""
    folder, model, tokenizer = tiny("qwen2")
    place, prompt = tmp_path_factory.mktemp("served"), tokenizer(PROMPTS[0])["input_ids"]
    files, expected = {}, {"none": python_logits(model, [prompt])[0]}
    for seed, name in enumerate(("one", "two")):
        saved = peft_adapter(model, place / name, seed=seed)
        files[name] = gguf.write_adapter(read_adapter(saved), folder, place / f"{name}.gguf")
        expected[name] = peft_logits(model, saved, [prompt])[0]
    expected["half of one"] = peft_logits(model, place / "one", [prompt], 0.5)[0]
    base = gguf.write_base(folder, place / "base.gguf", "f32")
    with llamacpp.serve(base, files, exact=True, context=256) as server:
        yield server, prompt, {name: logits.log_softmax(0) for name, logits in expected.items()}


def test_swapping_by_scale_equals_peft(served):
    server, prompt, expected = served
    for name, scales in [("one", {"one": 1.0}), ("two", {"two": 1.0}), ("none", {}), ("half of one", {"one": 0.5}), ("one", {"one": 1})]:  # fmt: skip
        found = server.next_logprobs(prompt, scales)
        assert worst(found, expected[name]) <= 2 * LIMIT, name
        assert server.set_scales(scales) == {"one": 0.0, "two": 0.0} | scales
        assert worst(server.next_logprobs(prompt), expected[name]) <= 2 * LIMIT, name
    assert worst(expected["one"], expected["two"]) > 0.5
    assert isinstance(server.chat("Hello", {"two": 1.0}, max_tokens=4), str)


def test_the_server_answers_only_with_the_token_and_only_here(served):
    server, _, _ = served
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for path in ("/lora-adapters", "/props", "/v1/models", "/slots"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=20)
            assert refused.value.code == 401
    host, port = server.url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with socket.socket() as other:  # another address of this machine is not taken
        other.bind(("127.0.0.2", int(port)))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)


def test_a_server_ends_with_its_block_and_an_unknown_adapter_is_named(served, tiny, tmp_path):
    server, _, _ = served
    with pytest.raises(ValueError, match="no adapter 'three' was loaded: one, two"):
        server.set_scales({"three": 1.0})
    with llamacpp.serve(gguf.write_base(tiny("qwen2")[0], tmp_path / "base.gguf"), context=128) as short:
        url, rendered = short.url, short.render([{"role": "user", "content": "Hi"}])
    assert rendered.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    with pytest.raises(ModelError, match="does not answer"):
        short.scales()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5)


def test_what_llama_cpp_cannot_load_is_a_sentence(tiny, tmp_path):
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ModelError, match="no GGUF"):
        llamacpp.logits(tmp_path / "text.gguf", [[1]])
    with pytest.raises(FileNotFoundError, match="export it first"):
        llamacpp.logits(tmp_path / "none.gguf", [[1]])
    whole = gguf.write_base(tiny("qwen2")[0], tmp_path / "whole.gguf")
    (tmp_path / "half.gguf").write_bytes(whole.read_bytes()[:-100_000])
    for attempt in (lambda f: llamacpp.logits(f, [[1]]), lambda f: llamacpp.serve(f).__enter__()):
        with pytest.raises(ModelError, match="could not .*half.gguf"):
            attempt(tmp_path / "half.gguf")


def changed(adapter, **parts):
    return adapter._replace(**parts)


def test_an_adapter_that_does_not_fit_is_refused_by_name(tiny, tmp_path):
    folder, model, _ = tiny("qwen2")
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter", ["q_proj"]))
    layer = next(iter(adapter.A))
    bad = {
        r"q_proj: the adapter's ΔW is 99×256, the base's weight 256×256": changed(adapter, B=adapter.B | {layer: torch.ones(99, 8)}),
        "no such layer": changed(adapter, A={"model.layers.7.x": adapter.A[layer]}, B={"model.layers.7.x": adapter.B[layer]}),
        "lm_head, which llama.cpp adapts in no model": changed(adapter, A={"lm_head": adapter.A[layer]}, B={"lm_head": adapter.B[layer]}),
        "NaN": changed(adapter, B=adapter.B | {layer: adapter.B[layer] * torch.nan}),
    }  # fmt: skip
    for sentence, wrong in bad.items():
        for write in (
            lambda a, out: gguf.write_adapter(a, folder, out),
            lambda a, out: gguf.write_merged(folder, a, out),
        ):
            with pytest.raises(ValueError, match=sentence):
                write(wrong, tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*.gguf"))


def test_bases_that_cannot_be_expressed_are_refused(tiny, base_fp32, tmp_path):
    folder = tiny("qwen2")[0]
    said = json.loads((folder / "config.json").read_text())
    for change, sentence in (
        ({"model_type": "gemma"}, "is a gemma"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "type yarn are not written"),
    ):
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        for file in folder.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        (other / "config.json").write_text(json.dumps(said | change))
        with pytest.raises(ModelError, match=sentence):
            gguf.write_base(other, tmp_path / "out.gguf")
    with pytest.raises(ModelError, match="config.json"):
        gguf.open_base(tmp_path)
    with pytest.raises(ModelError, match="not known here .*convert_hf_to_gguf"):
        vocab.splitter({"type": "Whitespace"})
    with pytest.raises(ValueError, match="choose f32, f16"):
        gguf.write_base(folder, tmp_path / "out.gguf", "q3")
    with pytest.raises(ValueError, match="no type of GGUF"):
        gguf.quantize(folder, tmp_path / "out.gguf", "Q3_Z")
    assert not list(tmp_path.glob("*.gguf"))


def test_files_are_whole_or_not_there_and_none_is_replaced_unasked(tiny, tmp_path, monkeypatch):
    folder, model, _ = tiny("qwen2")
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter"))
    writes = {
        "adapter": lambda out, **more: gguf.write_adapter(adapter, folder, out, **more),
        "base": lambda out, **more: gguf.write_base(folder, out, **more),
        "merged": lambda out, **more: gguf.write_merged(folder, adapter, out, **more),
        "small": lambda out, **more: gguf.quantize(tmp_path / "base.gguf", out, **more),
    }
    for name, write in writes.items():
        file = write(tmp_path / f"{name}.gguf")
        before = file.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            write(file)
        assert write(file, overwrite=True).read_bytes() == before
    files = sorted(p.name for p in tmp_path.iterdir())
    real, calls = gguf_library.quants.quantize, []

    def fails(data, kind):
        calls.append(kind)
        if len(calls) > 3:
            raise OSError("No space left on device")
        return real(data, kind)

    monkeypatch.setattr(gguf_library.quants, "quantize", fails)
    for name in ("adapter", "base", "merged"):
        calls.clear()
        with pytest.raises(OSError, match="No space"):
            writes[name](tmp_path / "new.gguf")
    monkeypatch.setattr(gguf.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1000}))
    with pytest.raises(OSError, match="make room"):
        writes["small"](tmp_path / "new.gguf")
    with pytest.raises(OSError, match="make room"):
        writes["base"](tmp_path / "new.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == files


def test_a_missing_or_other_end_and_a_missing_template_are_found(tiny, base_fp32, tmp_path):
    folder, _, tokenizer = tiny("qwen2")
    other = copy.deepcopy(tokenizer)
    assert vocab.end_of_turn(other) == 2
    assert not [s for s in gguf.findings(folder, other) if "EOS" in s or "template" in s]
    other.eos_token = "<|endoftext|>"
    found = gguf.findings(folder, other)
    assert any("ends an answer with '<|im_end|>', and EOS is '<|endoftext|>'" in s for s in found)
    probe = gguf.read(vocab._tiny_model(other, len(other), tmp_path / "probe.gguf"))
    assert probe.fields["tokenizer.ggml.eot_token_id"].contents() == 2
    other.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert any("no end token after an answer" in s for s in gguf.findings(folder, other))
    other.chat_template = None
    assert any("has no chat template" in s for s in gguf.findings(folder, other))
    other.eos_token = None
    assert any("names no EOS" in s for s in gguf.findings(folder, other))
    assert any("pads and ends" in s for s in gguf.findings(models.embedded_folder()))


def test_a_template_that_llama_cpp_renders_otherwise_is_found(tiny):
    folder, _, tokenizer = tiny("qwen2")
    other = copy.deepcopy(tokenizer)
    other.chat_template = (
        "{% if add_generation_prompt is defined and tools is defined and tools is none %}python{% else %}other{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    )
    assert any("renders the chat template differently" in s for s in gguf.findings(folder, other))


def test_the_command_writes_all_and_refuses_to_write_again(tiny, tmp_path, capsys):
    folder, model, _ = tiny("qwen2")
    saved = peft_adapter(model, tmp_path / "mine")
    command = ["export", "gguf", str(saved), "--out", str(tmp_path / "out"), "--base", str(folder)]
    assert cli.main([*command, "--types", "q8_0,Q4_K_M", "--merged"]) == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(
        ["mine-lora.gguf", *(f"tiny-qwen2{a}-{t}.gguf" for a in ("", "-mine") for t in ("q8_0", "Q4_K_M"))]
    )
    assert "Note: '<|im_end|>' pads and ends" in capsys.readouterr().out
    assert cli.main(command) == cli.EXIT_USER
    assert "mine-lora.gguf exists" in capsys.readouterr().err
    kept = learner.my_folder("adapters/kept")
    shutil.copytree(saved, kept)
    assert (
        cli.main(
            ["export", "gguf", "adapters/kept", "--out", str(tmp_path / "own"), "--base", str(folder), "--types", ""]
        )
        == 0
    )
    assert [p.name for p in (tmp_path / "own").iterdir()] == [f"{kept.name}-lora.gguf"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert cli.main(["export", "gguf", str(tmp_path), "--out", str(tmp_path / "out")]) == cli.EXIT_USER
    assert "adapter_config.json" in capsys.readouterr().err


def test_no_server_outlives_the_process_that_asked_for_it(tiny, tmp_path):
    base = gguf.write_base(tiny("qwen2")[0], tmp_path / "base.gguf")
    job = {"job": "serve", "base": str(base), "adapters": [], "token": "t", "exact": False, "context": 64, "threads": 1}
    with open(tmp_path / "chatter", "w+b") as chatter:
        process = llamacpp._start(job, chatter)
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.stdin.close()  # what the end of a process does to its pipes
        assert process.wait(timeout=60) == 0
        process.stdout.close()
