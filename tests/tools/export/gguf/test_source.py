"""A base whose config.json cannot be, or says something else than its weights,
is refused before anything is made of it."""

import json

import pytest
import random_ggufs
from chat_templates import CHATML
from exporting import little_model, peft_adapter

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_tools.exporting import gguf


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "little"
    little_model("qwen2", folder, CHATML)
    return folder


@pytest.fixture
def little(made):
    """The folder of a little model; its files are put back afterwards."""
    kept = {file: file.read_bytes() for file in made.iterdir()}
    yield made
    for file in made.iterdir():
        file.unlink()
    for file, data in kept.items():
        file.write_bytes(data)


CHANGES = [
    ({"hidden_size": None}, "could not be loaded|hidden_size"),
    ({"hidden_size": 0}, "hidden_size|could not be loaded"),
    ({"hidden_size": 16}, "hidden_size = 16|by config.json"),
    ({"intermediate_size": 7}, "by config.json it is"),
    ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1,000,000,000, and no model has more"),
    ({"num_hidden_layers": 10**30}, "a number of more than 18 digits"),
    ({"num_hidden_layers": 1}, "layer_types|it holds . blocks, and config.json says num_hidden_layers = 1"),
    ({"num_attention_heads": 0}, "num_attention_heads|could not be loaded"),
    ({"num_key_value_heads": 1}, "by config.json it is"),
    ({"max_position_embeddings": None}, "max_position_embeddings|could not be loaded"),
    ({"max_position_embeddings": 2**40}, "max_position_embeddings = 1,099,511,627,776"),
    ({"rms_norm_eps": None}, "rms_norm_eps|could not be loaded"),
    ({"rms_norm_eps": "small"}, "rms_norm_eps|could not be loaded"),
    ({"rope_parameters": {"rope_type": "default", "rope_theta": None}}, "rope_theta|could not be loaded"),
    ({"rope_parameters": []}, "rope|could not be loaded"),
    ({"vocab_size": "many"}, "could not be loaded"),
    ({"model_type": None}, "names no model_type"),
    ({"model_type": ["qwen2"]}, "names no model_type"),
    ({"hidden_act": None}, "hidden_act"),
    ({"layer_types": 5}, "could not be loaded"),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGES, ids=[str(change) for change, _ in CHANGES])
def test_a_config_that_cannot_be_is_a_sentence(little, change, sentence):
    said = json.loads((little / "config.json").read_text())
    (little / "config.json").write_text(json.dumps(said | change))
    with pytest.raises(ModelError, match=sentence) as error:
        gguf.open_base(little)
    assert "\n" not in str(error.value)


ELSEWHERE, DAMAGED = "names files that are not beside it", "index.json cannot be read"
INDICES = {
    '{"weight_map": {"a": "../other.safetensors"}}': ELSEWHERE,
    '{"weight_map": {"a": "/etc/passwd"}}': ELSEWHERE,
    '{"weight_map": {}}': ELSEWHERE,
    "{": DAMAGED,
    **dict.fromkeys(
        ("[]", '{"weight_map": 5}', '{"weight_map": {"a": [1]}}', '{"weight_map": {"a": "x", "b": 5}}'),
        f"{DAMAGED}|{ELSEWHERE}",
    ),
}


@pytest.mark.parametrize(
    ("file", "data", "asked", "sentence"),
    [
        *(
            ("config.json", data, "tokenizer", r"config.json could .*fetch it again")
            for data in (b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe{")
        ),
        ("tokenizer.json", b"{", "tokenizer", "could not be loaded"),
        # before llama.cpp is asked
        ("chat_template.jinja", b"{% include 'x' %}", "findings", "little includes another file"),
        *(
            ("model.safetensors", spoil, "tokenizer", "model.safetensors cannot be read")
            for spoil in (
                lambda whole: b"",
                lambda whole: whole[:4],
                lambda whole: whole[: len(whole) // 2],
                lambda whole: b"\xff" * 8 + whole[8:],
                lambda whole: (2**62).to_bytes(8, "little") + whole[8:],
            )
        ),
        *(("model.safetensors.index.json", text.encode(), "tokenizer", said) for text, said in INDICES.items()),
    ],
    ids=range(20),
)
def test_a_file_of_a_base_that_is_damaged_or_leads_elsewhere_is_a_sentence(little, file, data, asked, sentence):
    (little / file).write_bytes(data((little / file).read_bytes()) if callable(data) else data)
    with pytest.raises(ModelError, match=sentence):
        getattr(gguf.open_base(little), asked)


def test_weights_that_change_while_they_are_read_are_a_sentence(little):
    weights = little / "model.safetensors"
    plan = gguf.model.model_tensors(gguf.open_base(little), None, "f16")[0]
    for change in (lambda: weights.write_bytes(weights.read_bytes()[:-8]), weights.unlink):
        change()
        with pytest.raises(ModelError, match="model.safetensors cannot be read"):
            plan.read()


def test_a_gguf_is_exported_as_the_folder_of_the_same_model(tmp_path):
    """Its rows are in llama.cpp's order already: read back, and written in that order again."""
    file = random_ggufs.write(tmp_path / "base.gguf", "llama", random_ggufs.q4_k_m(1), **random_ggufs.LITTLE)
    base = models.load(file, "fp32", "cpu")
    base.model.save_pretrained(tmp_path / "folder")
    base.tokenizer.save_pretrained(tmp_path / "folder")
    peft_adapter(base.model, tmp_path / "adapter")
    written = []
    for number, place in enumerate((file, tmp_path / "folder")):
        adapter, found = gguf.adapter_and_base(tmp_path / "adapter", place)
        source = gguf.checked_base(found, adapter)
        files = [tmp_path / f"{name}-{number}.gguf" for name in ("adapter", "merged")]
        gguf.write_adapter(adapter, source, files[0])
        gguf.write_merged(source, adapter, files[1], "f32")
        written.append([{one.name: one.data.tobytes() for one in gguf.read(file).tensors} for file in files])
    assert written[0] == written[1]
