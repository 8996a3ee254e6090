"""The importance matrix: the squares that torch counts, under llama.cpp's names, and a quantization that heeds it."""

import gguf as gguf_library
import numpy as np
import pytest
import torch

from lora_tools.exporting import gguf

WINDOWS = [[5, 17, 3, 99, 42, 8], [1, 2]]


def test_it_is_the_mean_square_of_what_each_matrix_reads(tiny):
    _, model, _ = tiny("qwen2")
    read = []
    hook = model.model.layers[1].mlp.down_proj.register_forward_pre_hook(lambda _, args: read.append(args[0][0]))
    found = gguf.importance(model, WINDOWS)
    hook.remove()
    assert torch.allclose(found["blk.1.ffn_down.weight"], torch.cat(read).square().mean(0), rtol=1e-4)
    assert len(found) == 7 * model.config.num_hidden_layers and not any("embd" in name for name in found)
    with pytest.raises(ValueError, match="at least one window"):
        gguf.importance(model, [])
    assert not model.model.layers[1].mlp.down_proj._forward_pre_hooks, "no hook is left behind"


def error(file, whole, tensor, column):
    """The mean squared error of one column of a tensor after rounding."""
    there = [
        gguf_library.quants.dequantize(one.data, one.tensor_type)
        for path in (file, whole)
        for one in gguf.read(path).tensors
        if one.name == tensor
    ]
    return float(np.square(there[0] - there[1])[:, column].mean())


def test_llama_cpp_spares_the_columns_that_it_is_told_matter(tiny, tmp_path):
    folder, model, _ = tiny("qwen2")
    whole = gguf.write_base(folder, tmp_path / "whole.gguf", "f32")
    matrix = {name: torch.full_like(values, 1e-3) for name, values in gguf.importance(model, WINDOWS).items()}
    for values in matrix.values():
        values[::32] = 1e3  # one column of each block
    plain = gguf.quantize(whole, tmp_path / "plain.gguf", "Q4_0")
    heeding = gguf.quantize(whole, tmp_path / "heeding.gguf", "Q4_0", importance=matrix)
    assert plain.stat().st_size < heeding.stat().st_size + 4096
    for tensor in ("blk.0.attn_q.weight", "blk.1.ffn_down.weight"):
        assert error(heeding, whole, tensor, 0) < 0.7 * error(plain, whole, tensor, 0)
        assert error(heeding, whole, tensor, 5) > error(plain, whole, tensor, 5)
