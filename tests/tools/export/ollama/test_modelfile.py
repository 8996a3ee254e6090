"""A Modelfile is read as Ollama reads it, and what is quoted is read back."""

import time

import pytest

from lora_tools.exporting.ollama import modelfile


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        'says "hi"',
        '"quoted"',
        "ends with a line\n",
        ' "',
        '""',
        'a """ b',
        '"""',
        "two\nlines # no comment",
        "a\nFROM nothing\n",
        "tab\tand  spaces ",
        'a "\nb"',
        "{{ .Content }}<|im_end|>\n\n",
        "naïve 🙂",
        "cr\r\nlf",
        "# not a comment",
    ],
)
def test_what_is_quoted_is_read_back(text):
    file = (
        f"FROM ./x.gguf\n# a comment\n  SYSTEM {modelfile.quote(text)}\nPARAMETER stop {modelfile.quote('<|a b|>')}\n"
    )
    assert (
        modelfile.parse(file)
        == [
            ("FROM", "./x.gguf", 1, ""),
            ("SYSTEM", text, 3, ""),
            ("PARAMETER", "<|a b|>", file[:-1].count("\n") + 1 - text.count("\r"), "stop"),
        ]
        or "\r" in text
    )
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


def test_a_long_text_takes_no_longer_than_it_must():
    license = "\n".join(f'line {n} says "so"' for n in range(20_000))
    begun = time.process_time()  # of the processor: it does not depend on what else the machine does
    found = modelfile.parse(f'FROM x\nLICENSE """{license}\n"""\nSYSTEM "a\nb"\n')
    assert [i.name for i in found] == ["FROM", "LICENSE", "SYSTEM"] and found[1].value == license + "\n"
    assert time.process_time() - begun < 20
