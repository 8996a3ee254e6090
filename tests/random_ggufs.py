"""GGUFs of any size, architecture and types, of random blocks, with a tokenizer of bytes."""

import gguf
import numpy as np
import torch
from chat_templates import CHATML, tokenizer_of
from gguf import GGMLQuantizationType as Type
from transformers import AutoConfig, AutoModelForCausalLM

from lora_lessons.models.gguf_tensors import gguf_name
from lora_tools.exporting.gguf import vocabulary

# Where the 16-bit scales of a block lie: any other byte may be anything.
SCALES = {
    Type.Q4_0: (0,),
    Type.Q4_1: (0, 2),
    Type.Q5_0: (0,),
    Type.Q5_1: (0, 2),
    Type.Q8_0: (0,),
    Type.Q8_K: (),
    Type.Q2_K: (80, 82),
    Type.Q3_K: (108,),
    Type.Q4_K: (0, 2),
    Type.Q5_K: (0, 2),
    Type.Q6_K: (208,),
}
POOL = 1 << 14
# A model of one block whose rows are whole blocks of every type.
LITTLE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def blocks(kind, count, generator):
    """`count` bytes of blocks of a type, drawn once and then repeated: small numbers, finite, of every level."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if kind in SCALES:
        pool = generator.integers(0, 256, (POOL, size), np.uint8)
        for at in SCALES[kind]:
            pool[:, at : at + 2] = generator.uniform(1e-4, 1e-3, (POOL, 1)).astype(np.float16).view(np.uint8)
    else:
        pool = gguf.quants.quantize(0.05 * generator.standard_normal((POOL, 4), np.float32), kind).view(np.uint8)
    return np.resize(pool, count)


def q4_k_m(blocks):
    """The type that llama.cpp's Q4_K_M gives a matrix: half of the values and of down_proj, and the head, get Q6_K."""

    def type_of(name):
        if name == "output.weight":
            return Type.Q6_K
        if ("attn_v" in name or "ffn_down" in name) and name.startswith("blk."):
            block = int(name.split(".")[1])
            if block < blocks // 8 or block >= 7 * blocks // 8 or (block - blocks // 8) % 3 == 2:
                return Type.Q6_K
        return Type.Q4_K

    return type_of


def write(file, model_type, type_of, architecture=None, fields=None, drop=(), seed=0, **settings):
    """A GGUF of a random model: `type_of` says the type of each matrix; vectors are F32.
    `fields` change the metadata."""
    tokenizer, generator = tokenizer_of(CHATML), np.random.default_rng(seed)
    config = AutoConfig.for_model(model_type, **{"vocab_size": len(tokenizer) + 3} | settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    architecture = architecture or model_type
    writer = gguf.GGUFWriter(file, architecture)
    for add, value in (
        (writer.add_block_count, config.num_hidden_layers),
        (writer.add_context_length, config.max_position_embeddings),
        (writer.add_embedding_length, config.hidden_size),
        (writer.add_feed_forward_length, config.intermediate_size),
        (writer.add_head_count, config.num_attention_heads),
        (writer.add_head_count_kv, config.num_key_value_heads),
        (writer.add_key_length, getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads),
        (writer.add_layer_norm_rms_eps, config.rms_norm_eps),
        (writer.add_rope_freq_base, config.rope_parameters["rope_theta"]),
    ):
        add(value)
    vocabulary.add_vocabulary(writer, tokenizer, config.vocab_size)
    writer.data_alignment = (fields or {}).get("general.alignment") or writer.data_alignment
    for name, value in (fields or {}).items():
        writer.kv_data[0].pop(name, None)
        if value is not None:
            add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
            add[type(value)](name, value)
    plans = []
    for name, weight in model.named_parameters():
        there = gguf_name(name, architecture, config.num_hidden_layers)
        if there in drop:
            continue
        kind = Type.F32 if weight.ndim == 1 else type_of(there)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        plans.append((there, tuple(weight.shape), kind, weight.numel() // block * size))
    for there, shape, kind, count in plans:
        writer.add_tensor_info(there, shape, np.dtype(np.float32), count, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, _, kind, count in plans:
        writer.write_tensor_data(blocks(kind, count, generator))
    writer.close()
    return file
