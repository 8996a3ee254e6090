"""Plausible wrong answers to lesson 06's exercises, each with a piece of the sentence that must name it."""

LEVELS = """def nf4_levels(outermost):
    right = quantiles(0.5, outermost, 9)
    left = quantiles(0.5, outermost, 8)[1:]
    levels = torch.cat([-left.flip(0), right])
    return levels / levels.max()
"""
CODES = """def to_codes(blocks, levels):
    absmax = blocks.abs().amax(1, keepdim=True).clamp(min=1e-38)
    borders = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(blocks / absmax, borders)
"""
SCALED = "def to_codes(blocks, levels):\n    x = {}\n    return (x[..., None] - levels).abs().argmin(-1)"
DIVIDED = SCALED.format("blocks / blocks.abs().amax(1, keepdim=True)")
PACK = "def pack(codes):\n    return {}"
DOUBLE = """def double_quantize(absmax):
    mean = absmax.mean()
    blocks = in_blocks(absmax - mean, 256)
    scale = blocks.abs().amax(1, keepdim=True).clamp(min=1e-38)
    return quant.eight_bit(blocks / scale), scale, mean
"""


WRONG = {
    "06.5": [
        (LEVELS.replace(" / levels.max()", ""), "Divide all by the largest"),
        (LEVELS.replace("left.flip(0)", "left[::-1]"), ".flip(0) does"),
        (
            LEVELS.replace("outermost, 9", "outermost, 8").replace("outermost, 8)[1:]", "outermost, 9)[1:]"),
            "7 on the left",
        ),
        (LEVELS.replace("[1:]", ""), "0 is there twice"),
        (LEVELS.replace("outermost, 8)", "outermost, 9)"), "17 marks"),
        (LEVELS.replace("outermost, 8)[1:]", "outermost, 9)[2:]"), "the mark next to 0 is missing"),
        (LEVELS.replace("[1:]", "").replace("outermost, 9", "outermost, 8"), "0 is there twice"),
        (LEVELS.replace("outermost, 9", "outermost, 8"), "15 marks"),
        (LEVELS.replace("quantiles(0.5, outermost, 8)[1:]", "right[1:8]"), "even steps of its own"),
        (LEVELS.replace("outermost, ", "1.0, "), "the bell never ends"),
        (LEVELS.replace("-left.flip(0)", "-left"), "in another order"),
        (LEVELS.replace("-left.flip(0)", "left"), "no minus"),
        (LEVELS.replace("-left.flip(0)", "left.flip(0)"), "no minus"),
        (LEVELS.replace("-left.flip(0), right", "right, -left.flip(0)"), "in another order"),
        (LEVELS.replace("outermost, ", "0.9677083, "), "use the argument"),
        ((
            "def nf4_levels(outermost):\n    x = quantiles(1 - outermost, outermost, 16)\n    return x / x.max()"
        ), "have no 0"),
        ("def nf4_levels(outermost): return torch.linspace(-1, 1, 16)", "Those marks are even"),
        ("def nf4_levels(outermost): return torch.linspace(-1, 1, 20)", "Four bits name 16"),
        (LEVELS.replace("levels / levels.max()", "(levels / levels.max()).double()"), "Your marks are in float64"),
        (LEVELS.replace("levels / levels.max()", "(levels / levels.max()).round(decimals=5)"), "yours is "),
        (LEVELS.replace("outermost, ", "0.98, "), "should be"),
    ],
    "06.6": [
        (SCALED.format("blocks"), "Divide by each block's absmax"),
        (SCALED.format("blocks / blocks.abs().max()"), "one absmax for all blocks"),
        (SCALED.format("blocks / blocks.abs().amax(0)"), "each column's largest"),
        (SCALED.format("blocks / blocks.abs().amax(1)"), "in a column: amax"),
        (SCALED.format("blocks / blocks.amax(1, keepdim=True)"), "largest *absolute* value"),
        (SCALED.format("blocks / blocks.amin(1, keepdim=True)"), "turned signs round"),
        (SCALED.format("blocks / blocks.abs().mean(1, keepdim=True)"), "divided by the mean"),
        (
            "def to_codes(blocks, levels):\n    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, "
            "keepdim=True)\n    return torch.bucketize(2 * (blocks - low) / (high - low) - 1, "
            "(levels[1:] + levels[:-1]) / 2)",
            "0 has moved",
        ),
        (DIVIDED, "a block of zeros"),
        (CODES.replace("(levels[1:] + levels[:-1]) / 2", "levels"), "the mark above"),
        (CODES.replace("torch.bucketize(blocks / absmax, borders)", (
            "torch.bucketize(blocks / absmax, levels, right=True) - 1"
        )), "the mark below"),
        (CODES.replace("return ", "return levels[").replace("borders)", "borders)]"), "Those are the marks"),
        (CODES.replace("return ", "return absmax * levels[").replace("borders)", "borders)]"), (
            "Those are the rounded weights"
        )),
        ("def to_codes(blocks, levels): return blocks / blocks.abs().amax(1, keepdim=True) * 7", "whole numbers"),
        (CODES.replace("levels[1:] + levels[:-1]", (
            "quant.levels('nf4')[1:] + quant.levels('nf4')[:-1]"
        )), "Right for 16 weights"),
        (CODES.replace("borders)", "borders).clamp(max=14)"), "not 14"),
        (CODES.replace("min=1e-38", "min=1e-2"), "with absmax 0.0037"),
        (CODES.replace("min=1e-38", "min=1.0"), "we expected [2, 11"),
        ("def to_codes(blocks, levels): return [0] * 16", "Return a tensor"),
        (DIVIDED.replace("argmin(-1)", "argmin(0)"), "along the last axis"),
        (DIVIDED.replace(".abs().argmin", ".argmin"), "has no sign"),
        (DIVIDED.replace("argmin", "argmax"), "the farthest mark"),
        (DIVIDED + " + 1", "counted from 1"),
        (DIVIDED + " - 8", "counted from -8"),
        *(
            ((
                f"def to_codes(blocks, levels):\n    x = blocks / blocks.abs().amax(1, keepdim=True)\n    return {way}"
            ), "even marks")
            for way in ("(x*7).round()+7", (
                "(x * 7).round().long() + 8"
            ), "((x + 1) / 2 * 15).round()", "(x * 7).round()")
        ),
    ],
    "06.7": [
        (PACK.format("codes[1::2] * 16 + codes[::2]"), "halves are swapped"),
        (PACK.format("codes[:3] * 16 + codes[3:]"), "Neighbours share a byte"),
        (PACK.format("(codes[:3] << 4) | codes[3:]"), "Neighbours share a byte"),
        (PACK.format("codes[::2] + codes[1::2]"), "A sum forgets"),
        (PACK.format("codes[::2] | codes[1::2]"), "was not shifted"),
        (PACK.format("codes[::2] << 4 + codes[1::2]"), "+ binds before <<"),
        (PACK.format("codes[::2].long() * 16 + codes[1::2]"), ".to(torch.uint8)"),
        (PACK.format("(codes[::2] * 16 + codes[1::2])[None]"), "make it one row"),
        (PACK.format("codes * 16"), "fill three bytes"),
        (PACK.format("codes[::2] * 8 + codes[1::2]"), "43 is 16 · 2 + 11"),
        (PACK.format("codes[::2].clamp(min=1) * 16 + codes[1::2]"), "wrong for others"),
        (PACK.format("[43, 240, 122]"), "Return a tensor"),
    ],
    "06.9": [
        (DOUBLE.replace("absmax - mean", "absmax"), "Subtract the mean first"),
        (DOUBLE.replace(", keepdim=True", ""), "as a column"),
        (DOUBLE.replace("in_blocks(absmax - mean, 256)", "in_blocks(absmax, 256) - mean"), (
            "subtract first, then in_blocks"
        )),
        (DOUBLE.replace("mean = absmax.mean()", "mean = in_blocks(absmax, 256).mean()"), "counts the zeros"),
        (DOUBLE.replace("scale, mean\n", "mean, scale\n"), "in another order"),
        (DOUBLE.replace((
            "quant.eight_bit(blocks / scale), scale"
        ), "scale, quant.eight_bit(blocks / scale)"), "in another order"),
        (DOUBLE.replace("blocks.abs()", "blocks"), ".abs() before the maximum"),
        (DOUBLE.replace("256", "64"), "hold 64 scales"),
        (DOUBLE.replace("in_blocks(absmax - mean, 256)", "(absmax - mean)[None]"), "one scale for all 300"),
        (DOUBLE.replace("256", "100"), "two blocks of 256"),
        (DOUBLE.replace((
            "quant.eight_bit(blocks / scale)"
        ), "quant.eight_bit(blocks)"), "Divide each block by its scale"),
        (DOUBLE.replace("quant.eight_bit(blocks / scale)", "(blocks / scale * 127).round()"), "even steps"),
        (DOUBLE.replace("quant.eight_bit(blocks / scale)", "blocks / scale"), "whole numbers, 0 to 255"),
        (DOUBLE.replace("blocks / scale)", "-blocks / scale)"), "quant.eight_bit of each block"),
        (DOUBLE.replace("blocks.abs().amax(1, keepdim=True)", (
            "2 * blocks.abs().amax(1, keepdim=True)"
        )), "largest absolute value"),
        (DOUBLE.replace(".clamp(min=1e-38)", ""), "all scales are equal"),
        (DOUBLE.replace(", scale, mean", ", scale"), "Return three things"),
        (DOUBLE.replace(" scale, mean\n", " scale.half(), mean\n"), "in 32 bits"),
        (DOUBLE.replace("scale, mean", "scale, mean.item()"), "no .item()"),
        (DOUBLE.replace("scale, mean\n", "scale, absmax.median()\n"), "the mean of all scales"),
        (DOUBLE.replace("return quant.eight_bit(blocks / scale)", "return ..."), "codes are missing"),
    ],
}  # fmt: skip
_ONE_ROW = (
    "def nf4_levels(o):\n    x = torch.cat([quantiles(1 - o, 0.5, 8)[:-1], quantiles(0.5, o, "
    "9)])\n    return x / x.max()"
)
ALSO_RIGHT = {
    "06.5": [(_ONE_ROW, "right to six digits"), (LEVELS.replace("levels.max()", "levels[-1]"), "")],
    "06.6": [
        (DIVIDED.replace("keepdim=True)", "keepdim=True).clamp(min=1e-38)"), "torch.bucketize"),
        (CODES.replace("blocks / absmax", "blocks * (1 / absmax)"), ""),
        (CODES.replace("(levels[1:] + levels[:-1]) / 2", "levels[:-1] + levels.diff() / 2"), ""),
        (CODES.replace(".clamp(min=1e-38)", " + 1e-8").replace("borders)", "borders).to(torch.uint8)"), ""),
    ],
}
