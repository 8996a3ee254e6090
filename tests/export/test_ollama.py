"""Ollama gets what the model was trained on: Go's rendering, every finding provoked once, and no folder that fails."""

import json
import os
import shutil
import stat
from pathlib import Path

import gguf as gguf_library
import pytest
from torch import nn

from lora_lessons import cli, lora, models
from lora_lessons.adapter import read_adapter, save_adapter
from lora_lessons.export import chatform, gguf, gotemplate, modelfile, ollama, vocab
from lora_lessons.export.ollama_check import check

SMOLLM_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
GO = json.loads((Path(__file__).parent / "go_templates.json").read_text(encoding="utf-8"))
ONLY_GO = ("{{ with ", "(index .Messages 0).Role", "{{ break }}")  # Go renders these, and here they are refused by name


# What Go renders.


def rendered(case):
    messages = tuple(gotemplate.Message(m["role"], m["content"]) for m in case["messages"])
    values = {
        "System": case["system"],
        "Messages": messages,
        "Tools": (),
        "Response": "",
        "Think": False,
        "IsThinkSet": False,
    }
    try:
        return gotemplate.render(case["template"], values)
    except gotemplate.TemplateError:
        return None


def test_what_go_rendered_is_what_is_rendered_here():
    assert GO["recorded"].startswith("go1.") and len(GO["cases"]) > 50
    agreed = 0
    for case in GO["cases"]:
        if any(words in case["template"] for words in ONLY_GO):
            assert case["output"] is not None and rendered(case) is None
        else:
            assert rendered(case) == case["output"], case["template"]
            agreed += case["output"] is not None
    assert agreed > 40


def test_every_template_was_rendered_by_go_as_it_is_now():
    assert set(chatform.TEMPLATES.values()) <= {case["template"] for case in GO["cases"]}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ .Prompt }} {{ .Response }}", "does not name .Messages"),
        ("{{ range .Messages }}", "has no {{ end }}"),
        ("{{ .Messages | json }}", "| is not known here"),
        ("{{ range .Messages }}{{ .Contents }}{{ end }}", ".Contents: a message has no such field"),
        ("{{ range .Messages }}{{ . }}{{ end }}", "name its .Content"),
    ],
)
def test_a_template_that_is_not_understood_is_a_sentence(template, sentence):
    with pytest.raises(gotemplate.TemplateError) as caught:
        gotemplate.chat(template, [{"role": "user", "content": "Hi"}])
    assert sentence in str(caught.value)


def test_messages_of_one_role_are_joined_as_ollama_joins_them():
    talk = [
        {"role": role, "content": text}
        for role, text in (("system", "A"), ("user", "B"), ("user", "C"), ("system", "D"))
    ]
    assert gotemplate.chat("{{ range .Messages }}{{ .Role }}:{{ .Content }}|{{ end }}{{ .System }}", talk) == (
        "system:A|user:B\n\nC|system:D|A\n\nD"
    )


# Which template a model needs.

FIRST_SYSTEM = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}{%- set rest = messages[1:] %}"
    "{%- else %}{%- set rest = messages %}{%- endif %}{{- bos_token }}{%- for message in rest %}"
)
MISTRAL_3 = FIRST_SYSTEM + (
    "{%- if message['role'] == 'user' %}{%- if loop.last and system_message is defined %}"
    "{{- '[INST] ' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}"
    "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
    "{%- else %}{{- ' ' + message['content']|trim + eos_token }}{%- endif %}{%- endfor %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set system_message = false %}{% endif %}{% for message in rest %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
MISTRAL_1 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\n"
    + QWEN_SYSTEM
    + "<|im_end|>\\n' }}{%- endif %}{%- for message in messages %}"
    "{%- if message.role in ('user', 'assistant') or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ZEPHYR = "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}{% endfor %}{{ '<|assistant|>\\n' }}"
MARKS = ["<|im_start|>", "<|im_end|>", "<|eot_id|>"]


def tokenizer_of(template, begin=True):
    """A tokenizer of bytes with this chat template; `begin`: it puts <s> before every text."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "<s>", "</s>", *MARKS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "he"]
    made = Tokenizer(kinds.BPE({token: i for i, token in enumerate(tokens)}, [("h", "e")]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    if begin:
        made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "additional_special_tokens": MARKS}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **special)


@pytest.mark.parametrize(
    ("template", "name", "system", "takes_system", "end", "remarks"),
    [
        (QWEN, "ChatML", QWEN_SYSTEM, True, "<|im_end|>", 0),
        (CHATML, "ChatML", None, True, "<|im_end|>", 0),
        (LLAMA_3, "Llama 3", None, True, "<|eot_id|>", 1),  # it trims a text, which Go's templates cannot
        (LLAMA_2, "Llama 2", None, True, "</s>", 2),
        (MISTRAL_1, "Mistral 0.1", None, False, "</s>", 0),
        (MISTRAL_1.replace("eos_token }}", "eos_token + ' ' }}"), "Mistral 0.1, with a space", None, False, "</s>", 0),
        (MISTRAL_3, "Mistral 0.3", None, True, "</s>", 2),
        (MISTRAL_3.replace("system_message is defined", "system_message"), "Mistral 0.3", None, True, "</s>", 1),
        (
            MISTRAL_3.replace("loop.last", "loop.first").replace("'[INST]", "' [INST]").replace("'[/INST]'", "' [/INST]'"),
            "Mistral 0.2", None, True, "</s>", 2,
        ),
    ],
)  # fmt: skip
def test_the_template_is_found_by_what_it_renders(template, name, system, takes_system, end, remarks):
    form = chatform.of_tokenizer(tokenizer_of(template, begin="bos_token" in template))
    assert (form.system, form.takes_system, form.end) == (system, takes_system, end)
    found, odd = chatform.choose_template(form, system)
    assert (found, len(odd)) == (name, remarks)
    if takes_system:
        assert chatform.choose_template(form, "You are a pirate.")[0] == name


def test_the_base_of_the_course_is_chatml_with_a_system_message_of_its_own():
    from transformers import AutoTokenizer

    form = chatform.of_tokenizer(AutoTokenizer.from_pretrained(models.embedded_folder()))
    assert (form.system, form.end) == (SMOLLM_SYSTEM, "<|im_end|>")
    assert chatform.choose_template(form, SMOLLM_SYSTEM) == ("ChatML", [])
    faults, _ = chatform.compare(chatform.TEMPLATES["ChatML"], form, None)  # without SYSTEM: what probes.md saw
    assert {fault.talk for fault in faults} == {"one question", "three turns", "odd text inside"}
    assert "system\\nYou are a helpful" in str(faults[0]) and "(character 12)" in str(faults[0])


def test_a_template_nobody_knows_is_refused_with_its_first_difference():
    form = chatform.of_tokenizer(tokenizer_of(ZEPHYR, begin=False))
    with pytest.raises(
        ValueError, match=r"comes nearest. For one question, Ollama would send .*<\|user\|>.*--template FILE"
    ):
        chatform.choose_template(form)
    own = "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n"
    assert chatform.compare(own, form, None) == ([], [])
    assert chatform.compare(own.replace("</s>\n", "</s>"), form, None)[0]
    with pytest.raises(ValueError, match="refuses one question"):
        chatform.choose_template(chatform.of_tokenizer(tokenizer_of("{{ raise_exception('no') }}")))
    with pytest.raises(ValueError, match="no chat template"):
        chatform.of_tokenizer(tokenizer_of(None))


# Modelfiles.


@pytest.mark.parametrize(
    "text",
    [
        "plain", 'says "hi"', '"quoted"', "ends with a line\n", ' "', '""', 'a """ b', '"""', "two\nlines # no comment",
        "a\nFROM nothing\n", "tab\tand  spaces ", 'a "\nb"', "{{ .Content }}<|im_end|>\n\n", "naïve 🙂", "cr\r\nlf", "# not a comment",
    ],
)  # fmt: skip
def test_what_is_quoted_is_read_back(text):
    file = (
        f"FROM ./x.gguf\n# a comment\n  SYSTEM {modelfile.quote(text)}\nPARAMETER stop {modelfile.quote('<|a b|>')}\n"
    )
    assert modelfile.parse(file) == [
        ("FROM", "./x.gguf", 1, ""), ("SYSTEM", text, 3, ""), ("PARAMETER", "<|a b|>", file[:-1].count("\n") + 1 - text.count("\r"), "stop"),
    ] or "\r" in text  # fmt: skip
    assert [i.value for i in modelfile.parse(file)] == ["./x.gguf", text, "<|a b|>"]


@pytest.mark.parametrize("text", ["", 'x """\ny', '"""\nx', "family 👩\u200d🔬", "a\u00a0b", "bell\x07"])
def test_what_a_modelfile_cannot_hold_is_refused(text):
    with pytest.raises(
        ValueError, match="Ollama drops from a Modelfile" if text[1:2].isalpha() or "\u00a0" in text else "ends with"
    ):
        modelfile.quote(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SYSTEM hi\n", "it has no FROM line"),
        ("FROM x\nPARAMATER stop y\n", "line 2: PARAMATER is no instruction"),
        ('FROM x\nSYSTEM """never\nclosed"\n', "line 2: the text of SYSTEM is opened"),
        ('FROM x\nSYSTEM "\n', "line 2: the text of SYSTEM is opened"),
        ('FROM x\nSYSTEM """""\n', "line 2: the text of SYSTEM is opened"),
        ("FROM x\n\nPARAMETER stop\n", "line 3: PARAMETER needs a name and a value"),
        ("FROM\n", "line 1: FROM has no value"),
        ("FROM x\nMESSAGE robot hi\n", "line 2: MESSAGE needs system, user or assistant"),
    ],
)
def test_a_modelfile_that_ollama_would_refuse(text, sentence):
    with pytest.raises(modelfile.ModelfileError) as caught:
        modelfile.parse(text)
    assert sentence in str(caught.value)


# A folder.


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random little Llama of SmolLM2's chat template in a folder, and an adapter for it."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    template = AutoTokenizer.from_pretrained(models.embedded_folder()).chat_template
    tokenizer, folder = tokenizer_of(template, begin=False), tmp_path_factory.mktemp("tiny")
    config = AutoConfig.for_model(
        "llama", hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, vocab_size=len(tokenizer), tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    lora.attach(model, r=4, target_modules=["q_proj", "v_proj", "down_proj"])
    for _, layer in lora.lora_layers(model):
        nn.init.normal_(layer.lora_B, std=0.1)
    save_adapter(model, folder / "My Adapter!", base_name=str(folder / "base"))
    return folder / "base", folder / "My Adapter!"


@pytest.fixture(scope="module")
def good(tiny, tmp_path_factory):
    """A folder as `lora-lessons export ollama` writes it; copy it before you damage it."""
    out = tmp_path_factory.mktemp("ollama") / "good"
    assert cli.main(["export", "ollama", str(tiny[1]), "--out", str(out), "--type", "f32"]) == 0
    return out


@pytest.fixture
def copy(good, tmp_path):
    return Path(shutil.copytree(good, tmp_path / "copy"))


def test_what_is_written(good, tiny):
    assert sorted(file.name for file in good.iterdir()) == [
        "Modelfile", "Modelfile.adapter", "adapter.gguf", "base.gguf", "merged.gguf",
    ]  # fmt: skip
    assert check(good) == []
    first, second = (modelfile.parse((good / name).read_text()) for name in ("Modelfile", "Modelfile.adapter"))
    assert [(i.name, i.value) for i in first[:3]] == [
        ("FROM", "./merged.gguf"), ("TEMPLATE", chatform.TEMPLATES["ChatML"]), ("SYSTEM", SMOLLM_SYSTEM),
    ]  # fmt: skip
    assert [(i.name, i.value) for i in second[:2]] == [("FROM", "./base.gguf"), ("ADAPTER", "./adapter.gguf")]
    assert {i.key: i.value for i in first if i.name == "PARAMETER"} == {
        "stop": "<|im_end|>", "temperature": "0", "repeat_penalty": "1", "num_ctx": "512",
    }  # fmt: skip
    merged, base = ({t.name: t.data for t in gguf.read(good / f"{name}.gguf").tensors} for name in ("merged", "base"))
    changed = {name for name in base if (merged[name] != base[name]).any()}
    assert changed == {"blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"}


def test_the_command_says_how_to_run_it(tiny, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", "ollama", str(tiny[1]), "--out", str(out)]
    assert cli.main([*words, "--system", 'You are "Ada".\nBe brief.']) == 0
    said = capsys.readouterr().out
    assert (
        "ollama create my-adapter -f Modelfile" in said
        and "ollama run my-adapter" in said
        and "TEMPLATE: ChatML" in said
    )
    assert (
        next(i.value for i in modelfile.parse((out / "Modelfile").read_text()) if i.name == "SYSTEM")
        == 'You are "Ada".\nBe brief.'
    )
    assert check(out, system='You are "Ada".\nBe brief.') == []
    assert len(check(out)) == 2 and "and the base has" in check(out)[0]  # one for each Modelfile
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert cli.main(words) == 2
    assert "exists: choose another folder" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    assert cli.main([*words, "--overwrite"]) == 0 and check(out) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"system": "  "}, "system text is empty"),
        ({"system": "a\u200db"}, "Ollama drops"),
        (
            {"template": "{{ range .Messages }}{{ .Content }}{{ end }}"},
            "your template does not render as the base's own",
        ),
        ({"template": "{{ range .Messages }}"}, "has no {{ end }}"),
        ({"file_type": "q4"}, "choose f32"),
    ],
)
def test_nothing_is_left_behind_when_it_fails(tiny, tmp_path, changes, sentence):
    with pytest.raises(ValueError) as caught:
        ollama.write(tmp_path / "out", tiny[0], read_adapter(tiny[1]), **changes)
    assert sentence in str(caught.value) and not list(tmp_path.iterdir())


def test_a_folder_that_fails_its_check_is_taken_away(tiny, tmp_path, monkeypatch):
    write_adapter = gguf.write_adapter

    def without_alpha(adapter, base, out):
        write_adapter(adapter, base, out)
        rewritten(out.name, without("adapter.lora.alpha"))(out.parent)

    monkeypatch.setattr(gguf, "write_adapter", without_alpha)
    with pytest.raises(ValueError, match="taken away again. Modelfile.adapter: the adapter does not say its alpha"):
        ollama.write(tmp_path / "out", tiny[0], read_adapter(tiny[1]))
    assert not list(tmp_path.iterdir())


def test_bases_that_ollama_could_not_be_told_about(tiny, tmp_path):
    adapter, base = read_adapter(tiny[1]), Path(shutil.copytree(tiny[0], tmp_path / "base"))
    for template, system, sentence in (
        (MISTRAL_1, "Be brief.", "takes no system message"),
        (CHATML.replace("<|im_end|>", ""), None, "no special token after an answer"),
        (ZEPHYR, None, "no Go template known here"),
    ):
        tokenizer_of(template, begin=False).save_pretrained(base)
        with pytest.raises(ValueError, match=sentence):
            ollama.write(tmp_path / "out", base, adapter, system)
    assert [file.name for file in tmp_path.iterdir()] == ["base"]


def edit(old, new):
    """A damage: in both Modelfiles, `old` becomes `new`."""

    def damage(folder):
        changed = 0
        for file in folder.glob("Modelfile*"):
            text = file.read_text()
            changed += text != text.replace(old, new)
            file.write_text(text.replace(old, new))
        assert changed

    return damage


def rewritten(name, change):
    """A damage: the GGUF is written again after change(fields, tensors), both dicts."""

    def damage(folder):
        reader = gguf.read(folder / name)
        fields = {k: (f.contents(), f.types) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        tensors = {tensor.name: tensor.data.copy() for tensor in reader.tensors}
        change(fields, tensors)
        writer = gguf_library.GGUFWriter(folder / name, fields.pop("general.architecture")[0])
        for key, (value, types) in fields.items():
            writer.add_key_value(key, value, types[0], sub_type=types[-1] if len(types) > 1 else None)
        for key, tensor in tensors.items():
            writer.add_tensor(key, tensor)
        for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
            getattr(writer, step)()

    return damage


def setting(key, value):
    def change(fields, tensors):
        fields[key] = (value, fields[key][1])

    return change


def without(key):
    def change(fields, tensors):
        assert (fields.pop(key, None) is not None) + (tensors.pop(key, None) is not None) == 1

    return change


def tensor(key, make):
    def change(fields, tensors):
        tensors[key] = make(tensors[key])

    return change


def renamed(fields, tensors):
    for part in ("lora_a", "lora_b"):
        tensors[f"blk.7.attn_q.weight.{part}"] = tensors.pop(f"blk.0.attn_q.weight.{part}")


def no_tokens(fields, tensors):
    without("tokenizer.ggml.eos_token_id")(fields, tensors)
    without("tokenizer.ggml.eot_token_id")(fields, tensors)


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
    (edit('{{ end }}<|im_start|>assistant\n"""', '{{ end }}<|im_start|>assistant"""'), "For one question, Ollama would send"),
    (edit("{{ .Content }}<|im_end|>", "{{ .Prompt }}<|im_end|>"), "TEMPLATE: .Prompt: a message has no such field"),
    (edit("{{- range .Messages }}", "{{- range .Massages }}"), "TEMPLATE: the template does not name .Messages"),
    (edit("TEMPLATE ", "LICENSE "), "it has no TEMPLATE"),
    (lambda f: (f / "Modelfile").write_bytes((f / "Modelfile").read_bytes().replace(b"\n", b"\r\n")), "Ollama would send …'<|im_start|>system\\r\\n"),
    (edit("./merged.gguf", "./nothing.gguf"), "FROM names ./nothing.gguf, which is not in copy"),
    (edit("FROM ./base.gguf", "FROM ./adapter.gguf"), "FROM names ./adapter.gguf, which is an adapter"),
    (edit("ADAPTER ./adapter.gguf", "ADAPTER ./base.gguf"), "the adapter's general.type is 'model' and must be 'adapter'"),
    (lambda f: (f / A).unlink(), "ADAPTER names ./adapter.gguf, which is not in copy"),
    (lambda f: (f / "merged.gguf").write_bytes(b"not a model at all"), "FROM names ./merged.gguf: "),
    (lambda f: os.truncate(f / "base.gguf", 20_000), "FROM names ./base.gguf: "),
    (rewritten(A, setting("adapter.type", "dora")), "the adapter's adapter.type is 'dora'"),
    (rewritten(A, without("adapter.lora.alpha")), "the adapter does not say its alpha"),
    (rewritten(A, setting("general.architecture", "qwen2")), "for the architecture qwen2, the base is llama"),
    (rewritten(A, without(f"{Q}.lora_a")), f"the adapter lacks {Q}.lora_a"),
    (rewritten(A, without(f"{Q}.lora_b")), f"the adapter lacks {Q}.lora_b"),
    (rewritten(A, renamed), "changes blk.7.attn_q.weight, which the base does not have"),
    (rewritten(A, tensor(f"{Q}.lora_a", lambda t: t[:, :-1])), f"{Q} does not fit: lora_a 4×31, lora_b 32×4, the weight 32×32"),
    (rewritten(A, tensor(f"{Q}.lora_b", lambda t: t[:-1])), f"{Q} does not fit: lora_a 4×32, lora_b 31×4, the weight 32×32"),
    (rewritten(A, tensor(f"{Q}.lora_b", lambda t: t[:, :-1])), f"{Q} does not fit: lora_a 4×32, lora_b 32×3, the weight 32×32"),
    (rewritten(A, lambda fields, tensors: tensors.clear()), "the adapter holds no tensor at all"),
    (rewritten("merged.gguf", no_tokens), "the GGUF names no end token"),
    (rewritten("merged.gguf", without("tokenizer.ggml.eot_token_id")), "ends an answer with <|im_end|>, the GGUF stops at </s>"),
    (rewritten("base.gguf", without("tokenizer.chat_template")), "./base.gguf holds no chat template to compare with"),
    (rewritten("base.gguf", setting("tokenizer.chat_template", CHATML)), "and the base says nothing of its own"),
    (rewritten("base.gguf", setting("tokenizer.chat_template", CHATML.replace("<|im_end|>", ""))), "no special token after an answer"),
    (rewritten("base.gguf", setting("tokenizer.chat_template", "{% broken")), "refuses one question"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE, ids=[sentence[:40] for _, sentence in DAMAGE])
def test_each_damage_is_found(copy, damage, sentence):
    damage(copy)
    found = check(copy)
    assert any(sentence in finding for finding in found), found


def test_rewriting_alone_damages_nothing(copy):
    for name in (A, "base.gguf", "merged.gguf"):
        rewritten(name, lambda fields, tensors: None)(copy)
    assert check(copy) == []


def test_a_begin_that_the_runner_adds_is_not_sent_twice(tmp_path):
    """Mistral's template starts with <s>; llama.cpp adds it, so Ollama's TEMPLATE must not hold it."""
    tokenizer, question = tokenizer_of(MISTRAL_3), chatform.TALKS["one question"]
    writer = gguf_library.GGUFWriter(tmp_path / "vocab.gguf", "llama")
    vocab.add_vocab(writer, tokenizer, len(tokenizer))
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()
    for form in (chatform.of_tokenizer(tokenizer), chatform.of_gguf(gguf.read(tmp_path / "vocab.gguf"))):
        assert form.render(question) == f"[INST] {question[0]['content']}[/INST]" and form.end == "</s>"
        faults, _ = chatform.compare("<s>" + chatform.TEMPLATES["Mistral 0.3"], form, None)
        assert len(faults) == len(chatform.TALKS)


# Ollama itself.


def fake_ollama(folder, says, status, monkeypatch):
    """A program named ollama that writes down how it was called, says `says`, and ends with `status`."""
    script = folder / "ollama"
    script.write_text(
        f"#!/bin/sh\npwd > {folder}/called\necho \"$@\" >> {folder}/called\nprintf '%b' '{says}' >&2\nexit {status}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("says", "status", "ok", "sentence"),
    [
        (r"gathering model components\nsuccess\n", 0, True, "Ollama made ada. Talk to it: ollama run ada"),
        (
            r"\033[1Gpulling\033[K\rError: could not connect to ollama server, run ollama serve\n",
            1,
            False,
            "start `ollama serve`",
        ),
        (
            r"Error: adapters cannot be created\n\n",
            1,
            False,
            "Modelfile.adapter: Error: adapters cannot be created. Newer versions",
        ),
        ("", 3, False, "refused Modelfile.adapter: nothing."),
    ],
)
def test_how_ollama_is_called_and_what_is_said(copy, tmp_path, monkeypatch, says, status, ok, sentence):
    fake_ollama(tmp_path, says, status, monkeypatch)
    created = ollama.try_create(copy, "ada", "Modelfile.adapter")
    assert created.ok is ok and sentence in created.says and "\x1b" not in created.says
    assert (tmp_path / "called").read_text().splitlines() == [str(copy), "create ada -f Modelfile.adapter"]


def test_without_ollama_it_says_what_to_do(copy, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="no ollama on this machine"):
        ollama.try_create(copy, "ada")


@pytest.mark.skipif(
    shutil.which("ollama") is None,
    reason="NOT CHECKED: there is no ollama here, so no Modelfile was given to the real one. Install it and run this again.",
)
def test_the_real_ollama_takes_the_modelfile(good):
    created = ollama.try_create(good, "lora-lessons-test")
    assert created.ok, created.says
