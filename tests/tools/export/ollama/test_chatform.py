"""The Go template that a model needs is found by what it renders, beside the model's own."""

import gguf as gguf_library
import pytest
from chat_templates import (
    CHATML,
    LLAMA_2,
    LLAMA_3,
    MISTRAL_1,
    MISTRAL_3,
    QWEN,
    QWEN_SYSTEM,
    SMOLLM_SYSTEM,
    ZEPHYR,
    tokenizer_of,
)

from lora_lessons import models
from lora_tools.exporting import gguf
from lora_tools.exporting.gguf import vocabulary
from lora_tools.exporting.ollama import chatform
from lora_tools.exporting.ollama.chatform import TEMPLATES


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
            MISTRAL_3.replace("loop.last", "loop.first")
            .replace("'[INST]", "' [INST]")
            .replace("'[/INST]'", "' [/INST]'"),
            "Mistral 0.2",
            None,
            True,
            "</s>",
            2,
        ),
    ],
)
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
    faults, _ = chatform.compare(TEMPLATES["ChatML"], form, None)  # without SYSTEM: what probes.md saw
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


def test_a_begin_that_the_runner_adds_is_not_sent_twice(tmp_path):
    """Mistral's template starts with <s>; llama.cpp adds it, so Ollama's TEMPLATE must not hold it."""
    tokenizer, question = tokenizer_of(MISTRAL_3), chatform.TALKS["one question"]
    writer = gguf_library.GGUFWriter(tmp_path / "vocab.gguf", "llama")
    vocabulary.add_vocabulary(writer, tokenizer, len(tokenizer))
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()
    for form in (chatform.of_tokenizer(tokenizer), chatform.of_gguf(gguf.read(tmp_path / "vocab.gguf"))):
        assert form.render(question) == f"[INST] {question[0]['content']}[/INST]" and form.end == "</s>"
        faults, _ = chatform.compare("<s>" + TEMPLATES["Mistral 0.3"], form, None)
        assert len(faults) == len(chatform.TALKS)
