"""The learner's layer is kept when it is right and stands alone, and not before."""

import torch
from in_kernel import a_kernel

from lora_lessons.course.learner import newest_code

RIGHT = '''
class MyLoRA(nn.Module):
    """My own."""

    def __init__(self, base_layer, r, lora_alpha):
        super().__init__()
        d, k = base_layer.weight.shape
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.randn(r, k) / math.sqrt(k))
        self.lora_B = nn.Parameter(torch.zeros(d, r))
        self.scaling = lora_alpha / r

    def forward(self, x):
        return self.base_layer(x) + x @ self.lora_A.T @ self.lora_B.T * self.scaling

after = "not part of the class"'''
NAME = "my_lora"
CHECK = "from lora_lessons.course import check\nimport lora_lessons.lessons.l02\ncheck('02.1', MyLoRA)"


def shown(outputs):
    assert not [o for o in outputs if o["msg_type"] == "error"], outputs
    return "".join(o.get("data", {}).get("text/html", "") for o in outputs)


def test_a_right_layer_is_kept_and_trains_alone_and_a_wrong_one_is_not(progress, tmp_path):
    with a_kernel(tmp_path) as kernel:
        kernel.run("import math, torch\nfrom torch import nn\nwidth = math.sqrt")
        kernel.run(RIGHT.replace("lora_alpha / r", "1.0"))
        assert "Correct" not in shown(kernel.run(CHECK)) and newest_code(NAME) is None
        kernel.run(RIGHT.replace("math.sqrt(k)", "width(k)"))
        said = shown(kernel.run(CHECK))
        assert "needs something else from this notebook" in said and "width&#x27; is not defined" in said
        assert newest_code(NAME) is None
        kernel.run(RIGHT)
        assert "It is kept: later lessons use it." in shown(kernel.run(CHECK))
    kept = newest_code(NAME).read_text(encoding="utf-8")
    assert RIGHT.split("\n\nafter")[0].strip() in kept and "after" not in kept
    alone = {}
    exec(kept, alone)
    layer = alone["MyLoRA"](torch.nn.Linear(4, 5), 2, 4.0)
    layer(torch.randn(3, 4)).sum().backward()
    assert layer.lora_B.grad.any()
