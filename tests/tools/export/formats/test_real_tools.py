"""GPTQ, AWQ and HQQ for real, on a tiny model: int4 on disk, and a loader that reads it back."""

import platform

import pytest
import torch
from two_layers import two_layers

from lora_tools.exporting.formats import environments, table


@pytest.fixture(scope="module")
def taught(tokenizer, tmp_path_factory):
    """A tiny model that knows eight windows by heart, in a folder, and those windows: a broken loader shows at once."""
    torch.manual_seed(0)
    model, windows = two_layers(256), torch.randint(3, 256, (8, 64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        model(input_ids=windows, labels=windows).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("taught")
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, windows.tolist()


@pytest.mark.parametrize("name", ["hqq", "gptq", "awq"])
def test_a_real_tool_writes_int4_and_its_loader_reads_it_back(name, taught, tmp_path):
    if name == "awq" and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("auto-round-lib's kernels are for x86 Linux")
    folder, windows = taught
    job = {
        "source": str(folder),
        "windows": windows,
        "prompt": windows[0][:8],
        "calibration": windows,
        "awq_rows": 8,
        "new_tokens": 8,
        "group_size": 64,
        "dtype": "float32",
        "threads": 1,
        "target": str(tmp_path),
    }
    made = environments.work(name, job | {"do": "quantize"})
    _, bits = table.safetensors_bits(tmp_path, folder)
    assert 4.25 <= bits <= 4.75, bits  # int4, a scale and a zero point for 64 weights, and hqq's notes to itself
    assert not [*tmp_path.rglob("*.bin"), *tmp_path.rglob("*.pt"), *tmp_path.rglob("*.pth")]
    found = environments.work(name, job | {"do": "measure"})
    assert found["reference_perplexity"] < 1.5 and found["perplexity"] < 2 * found["reference_perplexity"]
    assert found["perplexity"] != found["reference_perplexity"]
    assert made["version"] in str(environments.ENVIRONMENTS) and found["loader"] and found["tokens_per_second"] > 0
