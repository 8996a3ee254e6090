"""Plausible wrong answers to lesson 06's exercises, each with a piece of the sentence that must name it."""

CODES = """def to_codes(blocks, levels):
    absmax = blocks.abs().amax(1, keepdim=True).clamp(min=1e-38)
    borders = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(blocks / absmax, borders)
"""
SCALED = "def to_codes(blocks, levels):\n    x = {}\n    return (x[..., None] - levels).abs().argmin(-1)"
DIVIDED = SCALED.format("blocks / blocks.abs().amax(1, keepdim=True)")
BYTES = """def from_bytes(packed, levels, absmax):
    codes = torch.stack([packed >> 4, packed & 0xF], dim=1).view(-1, 64)
    return levels[codes.long()] * absmax
"""


WRONG = {
    "06.1": [
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
    "06.2": [
        (BYTES.replace("codes.long()", "codes"), "for a mask"),
        (BYTES.replace(" & 0xF", "").replace("packed >> 4", "packed & 0xF0"), "larger than 15"),
        (BYTES.replace(".view(-1, 64)", ".view(-1)"), ".view(-1, 64) before you multiply"),
        (BYTES.replace("packed >> 4, packed & 0xF", "packed & 0xF, packed >> 4"), "halves are swapped"),
        (BYTES.replace("stack", "cat").replace("dim=1", "dim=0"), "Neighbours share a byte"),
        (BYTES.replace("dim=1", "dim=0"), "Neighbours share a byte"),
        (BYTES.replace(" * absmax", ""), "Multiply each row"),
        (BYTES.replace(" * absmax", " / absmax"), "multiply by the absmax"),
        (BYTES.replace("levels[codes.long()]", "codes"), "Look each one up"),
        (BYTES.replace("levels[codes.long()] * absmax", "codes"), "Look each one up"),
        (BYTES.replace("levels[codes.long()]", "(codes.float() - 7) / 7"), "even marks"),
        (BYTES.replace("* absmax", "* absmax.max()"), "one absmax for all"),
        (BYTES.replace("* absmax", "* absmax.flip(0)"), "in the order of the blocks"),
        (BYTES.replace("* absmax", "* absmax + 1"), "should be"),
        ("def from_bytes(packed, levels, absmax): return levels[(packed >> 4).long()]", "two codes"),
        ("def from_bytes(packed, levels, absmax): return levels", "128 weights"),
        (BYTES.replace("return ", "return torch.flatten(").replace("* absmax", "* absmax)"), "a block in each row"),
        (BYTES.replace("levels[codes", "quant.levels('nf4')[codes"), "use the argument"),
        ("def from_bytes(packed, levels, absmax): return [0]", "Return a tensor"),
    ],
}  # fmt: skip
ALSO_RIGHT = {
    "06.1": [
        (DIVIDED.replace("keepdim=True)", "keepdim=True).clamp(min=1e-38)"), "torch.bucketize"),
        (CODES.replace("blocks / absmax", "blocks * (1 / absmax)"), ""),
        (CODES.replace("(levels[1:] + levels[:-1]) / 2", "levels[:-1] + levels.diff() / 2"), ""),
        (CODES.replace(".clamp(min=1e-38)", " + 1e-8").replace("borders)", "borders).to(torch.uint8)"), ""),
    ],
    "06.2": [
        (BYTES.replace("packed >> 4, packed & 0xF", "packed // 16, packed % 16"), ""),
        (BYTES.replace("codes.long()", "codes.int()"), ""),
    ],
}
