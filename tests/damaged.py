"""Ways to damage a folder for Ollama: an edit of its Modelfiles, or a GGUF written again with one thing changed."""

import gguf as gguf_library
import numpy as np

from lora_tools.exporting import gguf


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
        packed = {tensor.name: tensor.tensor_type for tensor in reader.tensors if tensor.data.dtype == np.uint8}
        change(fields, tensors)
        writer = gguf_library.GGUFWriter(folder / name, fields.pop("general.architecture")[0])
        for key, (value, types) in fields.items():
            writer.add_key_value(key, value, types[0], sub_type=types[-1] if len(types) > 1 else None)
        for key, tensor in tensors.items():
            writer.add_tensor(key, tensor, raw_dtype=packed.get(key))
        for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
            getattr(writer, step)()

    return damage


def setting(key, value):
    return lambda fields, tensors: fields.update({key: (value, fields[key][1])})


def without(key):
    def change(fields, tensors):
        assert (fields.pop(key, None) is not None) + (tensors.pop(key, None) is not None) == 1

    return change


def tensor(key, make):
    return lambda fields, tensors: tensors.update({key: make(tensors[key])})


def renamed(fields, tensors):
    for part in ("lora_a", "lora_b"):
        tensors[f"blk.7.attn_q.weight.{part}"] = tensors.pop(f"blk.0.attn_q.weight.{part}")


def no_tokens(fields, tensors):
    without("tokenizer.ggml.eos_token_id")(fields, tensors)
    without("tokenizer.ggml.eot_token_id")(fields, tensors)
