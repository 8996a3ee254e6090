"""Every finding is provoked once: a good folder is damaged in one way, and the check names it."""

import os

import pytest
from chat_templates import CHATML
from damaged import edit, no_tokens, renamed, rewritten, setting, tensor, without

from lora_tools.exporting.ollama import check

Q, A = "blk.0.attn_q.weight", "adapter.gguf"
DAMAGE = [
    (lambda f: (f / "Modelfile").unlink(), "has no Modelfile"),
    (edit("FROM ./", "# FROM ./"), "it has no FROM line"),
    (edit("PARAMETER num_ctx", "PARAMETERS num_ctx"), "PARAMETERS is no instruction"),
    (edit('SYSTEM "', 'SYSTEM """'), "is opened with a quotation mark and never closed"),
    (edit("FROM ./base.gguf", "FROM ./base.gguf\nFROM ./merged.gguf"), "it has 2 lines FROM: Ollama takes one"),
    (edit("PARAMETER temperature 0", "PARAMETER temprature 0"), "temprature is no parameter of Ollama"),
    (edit("PARAMETER temperature 0", "PARAMETER temperature cold"), "temperature needs a number, not 'cold'"),
    (edit("num_ctx 512", "num_ctx 4096"), "num_ctx is 4096, and the model was made for 512"),
    (edit('stop "<|im_end|>"', 'stop "<|im_start|>"'), "no PARAMETER stop names <|im_end|>"),
    (edit("SYSTEM ", "# "), "it has no SYSTEM, and the base's chat template says 'You are a helpful"),
    (edit("SYSTEM ", "# "), "For one question, Ollama would send"),
    (edit("named SmolLM", "named Bob"), "SYSTEM is 'You are a helpful AI assistant named Bob"),
    (
        edit('{{ end }}<|im_start|>assistant\n"""', '{{ end }}<|im_start|>assistant"""'),
        "For one question, Ollama would send",
    ),
    (edit("{{ .Content }}<|im_end|>", "{{ .Prompt }}<|im_end|>"), "TEMPLATE: .Prompt: a message has no such field"),
    (edit("{{- range .Messages }}", "{{- range .Massages }}"), "TEMPLATE: the template does not name .Messages"),
    (edit("TEMPLATE ", "LICENSE "), "it has no TEMPLATE"),
    (
        lambda f: (f / "Modelfile").write_bytes((f / "Modelfile").read_bytes().replace(b"\n", b"\r\n")),
        "Ollama would send …'<|im_start|>system\\r\\n",
    ),
    (edit("./merged.gguf", "./nothing.gguf"), "FROM names ./nothing.gguf, which is not in copy"),
    (edit("FROM ./base.gguf", "FROM ./adapter.gguf"), "FROM names ./adapter.gguf, which is an adapter"),
    (
        edit("ADAPTER ./adapter.gguf", "ADAPTER ./base.gguf"),
        "the adapter's general.type is 'model' and must be 'adapter'",
    ),
    (lambda f: (f / A).unlink(), "ADAPTER names ./adapter.gguf, which is not in copy"),
    (lambda f: (f / "merged.gguf").write_bytes(b"not a model at all"), "FROM names ./merged.gguf: "),
    (lambda f: os.truncate(f / "base.gguf", 20_000), "FROM names ./base.gguf: "),
    (rewritten(A, setting("adapter.type", "dora")), "the adapter's adapter.type is 'dora'"),
    (rewritten(A, without("adapter.lora.alpha")), "the adapter does not say its alpha"),
    (rewritten(A, setting("general.architecture", "qwen2")), "for the architecture qwen2, the base is llama"),
    (rewritten(A, without(f"{Q}.lora_a")), f"the adapter lacks {Q}.lora_a"),
    (rewritten(A, without(f"{Q}.lora_b")), f"the adapter lacks {Q}.lora_b"),
    (rewritten(A, renamed), "changes blk.7.attn_q.weight, which the base does not have"),
    (
        rewritten(A, tensor(f"{Q}.lora_a", lambda t: t[:, :-1])),
        f"{Q} does not fit: lora_a 4×31, lora_b 32×4, the weight 32×32",
    ),
    (
        rewritten(A, tensor(f"{Q}.lora_b", lambda t: t[:-1])),
        f"{Q} does not fit: lora_a 4×32, lora_b 31×4, the weight 32×32",
    ),
    (
        rewritten(A, tensor(f"{Q}.lora_b", lambda t: t[:, :-1])),
        f"{Q} does not fit: lora_a 4×32, lora_b 32×3, the weight 32×32",
    ),
    (rewritten(A, lambda fields, tensors: tensors.clear()), "the adapter holds no tensor at all"),
    (rewritten("merged.gguf", no_tokens), "the GGUF names no end token"),
    (
        rewritten("merged.gguf", without("tokenizer.ggml.eot_token_id")),
        "ends an answer with <|im_end|>, the GGUF stops at </s>",
    ),
    (rewritten("base.gguf", without("tokenizer.chat_template")), "./base.gguf holds no chat template to compare with"),
    (rewritten("base.gguf", setting("tokenizer.chat_template", CHATML)), "and the base says nothing of its own"),
    (
        rewritten("base.gguf", setting("tokenizer.chat_template", CHATML.replace("<|im_end|>", ""))),
        "no special token after an answer",
    ),
    (rewritten("base.gguf", setting("tokenizer.chat_template", "{% broken")), "cannot be read as Jinja"),
    (
        rewritten("base.gguf", setting("tokenizer.chat_template", "{{ 'a' * 3000000000 }}")),
        "the chat template of ./base.gguf fills the memory",
    ),
    (rewritten("base.gguf", setting("tokenizer.chat_template", "{{ raise_exception('no') }}")), "refuses one question"),
    (lambda f: (f / "Modelfile.adapter").write_bytes(b"FROM \xff\n"), "Modelfile.adapter: 'utf-8' codec"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE, ids=[sentence[:40] for _, sentence in DAMAGE])
def test_each_damage_is_found(copy, damage, sentence):
    damage(copy)
    found = check(copy)
    assert any(sentence in finding for finding in found), found


def test_rewriting_alone_damages_nothing(copy):
    for name in (A, "base.gguf", "merged.gguf"):
        rewritten(name, lambda fields, tensors: None)(copy)
    assert check(copy) == []
