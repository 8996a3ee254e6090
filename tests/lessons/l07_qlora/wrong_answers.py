"""Plausible wrong answers to lesson 07's exercises, each with a piece of the sentence that must name it."""


def _product(
    forward="x @ back(q).to(x.dtype).T",
    backward="g @ back(ctx.q).to(g.dtype), None",
    keeps="ctx.q = q",
    way_back="@staticmethod\n    def backward(ctx, g):",
):
    """A PackedProduct with one thing changed."""
    return f"""
class PackedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, q):
        {keeps}
        return {forward}

    {way_back}
        return {backward}
"""


def _layer(
    freeze="linear.requires_grad_(False)",
    holds="self.q = nf4(linear.weight)",
    A="nn.Parameter(torch.randn(r, k) / math.sqrt(k))",
    B="nn.Parameter(torch.zeros(d, r))",
    scaling="lora_alpha / r",
    product="PackedProduct.apply(x, self.q)",
    bias="0 if self.bias is None else self.bias",
    update="x.float() @ self.lora_A.T @ self.lora_B.T * self.scaling",
    gives="h.to(x.dtype)",
):
    """A MyQLoRA with one thing changed."""
    return f"""
class PackedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, q):
        ctx.q = q
        return x @ back(q).to(x.dtype).T

    @staticmethod
    def backward(ctx, g):
        return g @ back(ctx.q).to(g.dtype), None

class MyQLoRA(nn.Module):
    def __init__(self, linear, r, lora_alpha):
        super().__init__()
        d, k = linear.weight.shape
        {freeze}
        self.bias = linear.bias
        {holds}
        self.lora_A = {A}
        self.lora_B = {B}
        self.scaling = {scaling}

    def forward(self, x):
        h = {product} + ({bias}) + {update}
        return {gives}
"""


_UPDATE = "x.float() @ self.lora_A.T @ self.lora_B.T"

WRONG = {
    "07.1": [
        ("def PackedProduct(x, q): return x @ back(q).T", "inherits from torch.autograd.Function"),
        (_product().replace("forward(ctx, x, q)", "forward(x, q)").replace("ctx.q = q", "pass"), "ctx comes first"),
        (_product(way_back="@staticmethod\n    def backward(g):"), "ctx comes first"),
        (_product(forward="x @ q.T", keeps="ctx.q = q; q = q.packed"), "shapes do not fit in forward"),
        (_product(forward="x @ q"), "q holds packed codes"),
        (_product(forward="x @ back(q)"), "so h = x @ W.T"),
        (_product(forward="x"), "tokens × d"),
        (_product(forward="2 * x @ back(q).T"), "must return x @ W.T"),
        (_product(keeps="ctx.save_for_backward(q)"), "takes tensors alone"),
        (_product(keeps="ctx.W = back(q)", backward="g @ ctx.W, None"), "W is kept for backward"),
        (
            _product(keeps="ctx.save_for_backward(back(q))", backward="g @ ctx.saved_tensors[0], None"),
            "bytes more are held than before, and W unpacked is 49,152",
        ),
        (_product(way_back="def nothing(ctx, g):"), "there is no backward"),
        (_product(backward="None"), "backward returns nothing yet"),
        (_product(backward="g @ back(ctx.q).T, None"), "without a transpose"),
        (_product(backward="back(ctx.q).T @ g.T, None"), "has x's shape"),
        (_product(backward="g, None"), "has x's shape"),
        (_product(backward="g.T @ torch.ones(4, 128), None"), "That is W's gradient"),
        (_product(backward="2 * g @ back(ctx.q), None"), "wrong numbers"),
        (_product(backward="None, g @ back(ctx.q)"), "changed places"),
        (_product(backward="g @ back(ctx.q), g.T @ torch.ones(4, 128)"), "a gradient for W, too"),
        (_product(backward="g @ back(ctx.q)"), "one value for each argument"),
        (_product(backward="[g @ back(ctx.q), None]"), "returns a tuple"),
        (_product(keeps="pass"), "set ctx.q = q in forward"),
        (_product(forward="x @ back(q).T", backward="g @ back(ctx.q), None"), "may come in 16"),
        (_product(backward="g @ back(ctx.q), None"), "back(q).to(x.dtype)"),
        (
            _product(forward="x.flatten(0, -2) @ back(q).to(x.dtype).T"),
            "batch × tokens × k",
        ),
    ],
    "07.2": [
        ("MyQLoRA = nn.Linear(3, 3)", "without brackets"),
        ("def MyQLoRA(linear, r, lora_alpha): return linear", "inherits from nn.Module"),
        (_layer().replace("lora_", ""), "as in lesson 02 (not A and B)"),
        (_layer(A="None"), "There is no self.lora_A"),
        (_layer(product="PackedProduct(x, self.q)"), "but by apply"),
        (_layer(A="torch.randn(r, k)"), "must be an nn.Parameter of shape r×k"),
        (_layer(A="nn.Linear(k, r)"), "lora_A.bias trains, too"),
        (_layer(A="nn.Linear(k, r, bias=False)"), "or its matrix is taken"),
        (_layer(A="nn.Parameter(torch.randn(k, r))"), "lora_A is 128×3, and must be r×k"),
        (_layer(B="nn.Parameter(torch.zeros(d, r), requires_grad=False)"), "lora_B does not train"),
        (_layer(freeze="pass"), "The bias still trains"),
        (_layer(bias="self.bias"), "may have no bias"),
        (_layer(holds="self.base_layer = linear; self.q = nf4(linear.weight)"), "still holds W unpacked"),
        (_layer(holds="self.q = nf4(linear.weight); self.W = back(self.q)"), "nothing is saved"),
        (_layer(holds="self.q = nf4(linear.weight); self.gain = nn.Parameter(torch.ones(1))"), "gain trains, too"),
        (
            _layer(holds="self.W4 = nf4(linear.weight)", product="PackedProduct.apply(x, self.W4)"),
            "Call the packed weight self.q",
        ),
        (_layer(A="nn.Parameter(torch.zeros(r, k))"), "A is zero"),
        (_layer(B="nn.Parameter(torch.randn(d, r))"), "B does not start at zero"),
        (_layer(A="nn.Parameter(torch.randn(r, k))"), "times larger than 1/√k"),
        (_layer(A="nn.Parameter(1e-6 * torch.randn(r, k))"), "times smaller than 1/√k"),
        (_layer(freeze="torch.manual_seed(0); linear.requires_grad_(False)"), "Your __init__ sets the seed"),
        (_layer(product="None"), "solve exercise 07.1 first"),
        (_layer(gives="None"), "forward returns nothing yet"),
        (_layer(bias="0"), "The bias is lost"),
        (_layer(product="x.sum() * PackedProduct.apply(x, self.q)"), "With B = 0"),
        (_layer(update="0"), "update B·A·x is missing"),
        (_layer(update=_UPDATE), "forgot the scale"),
        (_layer(scaling="lora_alpha"), "did not divide by r"),
        (_layer(scaling="r / lora_alpha"), "upside down"),
        (_layer(scaling="lora_alpha // r"), "rounds α/r down"),
        (_layer(scaling="2"), "Your scale is always 2"),
        (_layer(scaling="13 / 3"), "fits one setting only"),
        (_layer(update="-x.float() @ self.lora_A.T @ self.lora_B.T"), "with another B it is not"),
        (_layer(update="x.float() @ self.lora_A.detach().T @ self.lora_B.T * self.scaling"), "lora_A gets no gradient"),
        (_layer(update="x.detach().float() @ self.lora_A.T @ self.lora_B.T * self.scaling"), "layers before is wrong"),
        (_layer(product="x @ back(self.q).to(x.dtype).T"), "PyTorch keeps it for the way back"),
        (
            _layer(A="nn.Parameter(torch.randn(r, k).to(linear.weight.dtype) / math.sqrt(k))"),
            "They stay in 32",
        ),
        (_layer(update="x @ self.lora_A.T @ self.lora_B.T * self.scaling"), "take x.float() for the update"),
        *(
            (_layer(update=f"({A_x}) @ self.lora_B.to(x.dtype).T * self.scaling"), "is computed in 16 bits, too")
            for A_x in ("x @ self.lora_A.to(x.dtype).T", "(x.float() @ self.lora_A.T).to(x.dtype)")
        ),
        (_layer(gives="h"), "return h.to(x.dtype)"),
        (_layer(A="nn.Parameter(torch.randn(3, 128) / 12)"), "Your shapes fit one layer only"),
        (
            _layer(update="(self.lora_B @ (self.lora_A @ x.float().T)).T * self.scaling"),
            "batch × tokens × k",
        ),
    ],
}
ALSO_RIGHT = {"07.2": [(_layer(update=f"({_UPDATE} * self.scaling).to(x.dtype)"), "")]}
