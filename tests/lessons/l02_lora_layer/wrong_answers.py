"""Plausible wrong answers to lesson 02's exercises, each with words that its check's sentence must hold."""


def _layer(
    A="nn.Parameter(torch.randn(r, k) / math.sqrt(k))",
    B="nn.Parameter(torch.zeros(d, r))",
    freeze="self.base_layer.requires_grad_(False)",
    forward="self.base_layer(x) + x @ self.lora_A.T @ self.lora_B.T * self.scaling",
    scaling="lora_alpha / r",
    more="pass",
    first="super().__init__()",
):
    """A MyLoRA with one thing changed."""
    return f"""
class MyLoRA(nn.Module):
    def __init__(self, base_layer, r, lora_alpha):
        {first}
        d, k = base_layer.weight.shape
        self.base_layer = base_layer
        {freeze}
        self.lora_A = {A}
        self.lora_B = {B}
        self.scaling = {scaling}
        self.r, self.lora_alpha = r, lora_alpha
        {more}

    def forward(self, x):
        return {forward}
"""


_UPDATE = "x @ self.lora_A.T @ self.lora_B.T"
_FORWARD = f"self.base_layer(x) + {_UPDATE} * self.scaling"
# A and B as PEFT holds them, and a forward that calls them.
_AS_PEFT = {
    "A": "nn.Linear(k, r, bias=False)",
    "B": "nn.Linear(r, d, bias=False)",
    "more": "nn.init.zeros_(self.lora_B.weight)",
    "forward": "self.base_layer(x) + self.lora_B(self.lora_A(x)) * self.scaling",
}

WRONG = {
    "02.1": [
        (_layer(forward=f"self.base_layer(x) + {_UPDATE}"), "forgot the scale"),
        (_layer(forward=f"self.base_layer(x) + {_UPDATE} * self.r"), "multiplied the update by r"),
        (_layer(scaling="2"), "Your scale is always 2"),
        (_layer(scaling="lora_alpha // r"), "rounds α/r down"),
        (_layer(scaling="r / lora_alpha"), "upside down"),
        (_layer(scaling="lora_alpha"), "did not divide by r"),
        (_layer(scaling="lora_alpha / math.sqrt(r)"), "that is rsLoRA"),
        (_layer(scaling="13 / 3"), "fits one setting only"),
        (_layer(forward=f"{_UPDATE} * self.scaling"), "W·x is missing"),
        (_layer(forward=f"self.scaling * (self.base_layer(x) + {_UPDATE})"), "scaled W·x as well"),
        (_layer(forward="self.base_layer(x)"), "the update B·A·x is missing"),
        (_layer(forward=f"x @ self.base_layer.weight.T + {_UPDATE} * self.scaling"), "bias is lost"),
        (_layer(forward=f"self.base_layer(x) - {_UPDATE} * self.scaling"), "the values are not"),
        (_layer(forward="self.base_layer(x) + x @ self.lora_B.T @ self.lora_A.T"), "A comes first, then B"),
        (_layer(forward=f"(self.base_layer(x) + {_UPDATE} * self.scaling).T"), "must return (rows × d) = 6×5"),
        (_layer(forward=f"({_UPDATE} * self.scaling).tolist()"), "must return a tensor"),
        (
            _layer(forward="self.base_layer(x).detach() + x @ self.lora_A.T @ self.lora_B.T * self.scaling"),
            "pass to the layers before",
        ),
        (
            _layer(forward="self.base_layer(x) + x.detach() @ self.lora_A.T @ self.lora_B.T * self.scaling"),
            "pass to the layers before",
        ),
        (_layer(forward="None"), "forward returns nothing yet"),
        (_layer(B="nn.Parameter(torch.randn(d, r))"), "B does not start at zero"),
        (_layer(A="nn.Parameter(torch.zeros(r, k))"), "A and B are both zero"),
        (
            _layer(A="nn.Parameter(torch.zeros(r, k))", B="nn.Parameter(torch.randn(d, r))"),
            "the other way: B = 0, A random",
        ),
        (_layer(A="nn.Parameter(torch.ones(r, k))"), "the work of one"),
        (_layer(A="nn.Parameter(torch.full((r, k), torch.nan))"), "NaN or infinity"),
        (_layer(freeze="pass"), "W still trains"),
        (_layer(freeze="self.base_layer.weight.requires_grad_(False)"), "its bias is not"),
        (_layer(A="torch.randn(r, k)"), "no optimizer would find it"),
        (_layer(A="nn.Parameter(torch.randn(r, k), requires_grad=False)"), "does not train"),
        (_layer(freeze="pass", more="self.requires_grad_(False)"), "lora_A does not train"),
        (_layer(A="nn.Parameter(torch.randn(d, r))", B="nn.Parameter(torch.zeros(r, k))"), "have changed places"),
        (_layer(A="nn.Parameter(torch.randn(r, k))"), "A·x is then 24 times too large"),
        (_layer(A="nn.Parameter(torch.rand(r, k))"), "A starts too large"),
        (_layer(A="nn.Parameter(1e-6 * torch.randn(r, k))"), "times smaller than 1/√k"),
        (_layer(A="nn.Parameter(torch.randn(r, k) / 100 / k)"), "A starts too small"),
        (_layer(first="super().__init__(); torch.manual_seed(0)"), "Your __init__ sets the seed"),
        (_layer(more="torch.manual_seed(0)"), "Your __init__ sets the seed"),
        (
            _layer(A="nn.Parameter(torch.randn(r, k, generator=torch.Generator().manual_seed(0)) / math.sqrt(k))"),
            "starts from the same A",
        ),
        (_layer(forward=f"{_FORWARD} if self.training else self.base_layer(x)"), "right in training only"),
        (
            _layer(**_AS_PEFT | {"more": "nn.init.normal_(self.lora_A.weight); nn.init.zeros_(self.lora_B.weight)"}),
            "24 times",
        ),
        (_layer(**_AS_PEFT | {"forward": _FORWARD}), "An nn.Linear is called"),
        (_layer(more="self.drop = nn.Dropout(0.5)", forward=_FORWARD.replace("x @", "self.drop(x) @")), "dropout"),
        (
            "class MyLoRA(nn.Module):\n    def __init__(self, base_layer, r, lora_alpha):\n        super().__init__()\n"
            "        self.both = [nn.Parameter(torch.zeros(r, base_layer.in_features))]",
            "no matrix called lora_A",
        ),
        (_layer(**_AS_PEFT | {"more": "pass"}), "B does not start at zero"),
        (_layer(**_AS_PEFT | {"A": "nn.Linear(k, r)"}), "Your A has a bias"),
        (_layer(**_AS_PEFT | {"A": "nn.Linear(r, k, bias=False)"}), "nn.Linear takes its inputs first"),
        (_layer(**_AS_PEFT | {"forward": "self.base_layer(x) + self.lora_B(self.lora_A(x))"}), "forgot the scale"),
        (_layer().replace("lora_A", "down").replace("lora_B", "up"), "works, and only its names are your own"),
        (_layer(**_AS_PEFT).replace("lora_A", "A"), "Call the matrices lora_A and lora_B (not A.weight)"),
        (_layer().replace("lora_A", "A").replace("lora_alpha / r", "lora_alpha"), "did not divide by r"),
        (
            _layer(more="self.register_buffer('lora_A', self._parameters.pop('lora_A').data)"),
            "no optimizer would find it",
        ),
        (_layer(A="nn.Parameter(torch.randn(d, k))"), "must be r×k, 3×4"),
        (_layer(A="nn.Parameter(torch.randn(3, 4))", B="nn.Parameter(torch.zeros(5, 3))"), "fit one layer only"),
        (_layer(B="None"), "no matrix called lora_B"),
        (_layer(more="self.extra = nn.Parameter(torch.zeros(1))"), "Something besides A and B trains: extra"),
        (_layer(first="pass"), "super().__init__()"),
        (_layer(forward=f"self.base_layer(x) + ({_UPDATE} * self.scaling).detach()"), "gets no gradient"),
        (
            _layer(forward="self.base_layer(x) + x @ self.lora_A.data.T @ self.lora_B.T * self.scaling"),
            "lora_A gets no gradient",
        ),
        (
            _layer(forward="self.base_layer(x) + (self.lora_B @ (self.lora_A @ x.T)).T * self.scaling"),
            "a model feeds (batch × tokens × k)",
        ),
        (
            _layer(forward=f"(self.base_layer(x) + {_UPDATE} * self.scaling, self.base_layer.weight.data.zero_())[0]"),
            "W was written to",
        ),
        ("MyLoRA = lora.LoRALinear(nn.Linear(4, 5), 3, 13.0)", "the class itself"),
        ("def MyLoRA(x):\n    return x", "inherits from nn.Module"),
    ],
}
