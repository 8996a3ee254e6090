"""Plausible wrong answers to lesson 06's exercises, each with a piece of the sentence that must name it."""

CODES = "def to_codes(block, table):\n    scaled = {scaled}\n    return (scaled[:, None] - table).abs().argmin(1)"

WRONG = {
    "06.1": [
        ("def bits(code_bits, scale_bits, blocksize): return code_bits + scale_bits", "serves its whole block"),
        ("def bits(code_bits, scale_bits, blocksize): return code_bits + blocksize / scale_bits", "wrong way round"),
        ("def bits(code_bits, scale_bits, blocksize): return scale_bits / blocksize", "only the share of the scale"),
        (
            "def bits(code_bits, scale_bits, blocksize): return code_bits * blocksize + scale_bits",
            "bits of a whole block",
        ),
        (
            "def bits(code_bits, scale_bits, blocksize): return (code_bits + scale_bits) / blocksize",
            "Only the scale is shared",
        ),
        ("def bits(code_bits, scale_bits, blocksize): return code_bits + scale_bits // blocksize", "half bit is lost"),
        ("def bits(code_bits, scale_bits, blocksize): return 4.5", "use all three"),
        ("def bits(code_bits, scale_bits, blocksize): return '4.5'", "Return one number"),
    ],
    "06.2": [
        (CODES.format(scaled="block"), "Divide by the block's absmax"),
        (CODES.format(scaled="block / block.max()"), "largest *absolute* value"),
        (CODES.format(scaled="block / block.std()"), "standard deviation"),
        (CODES.format(scaled="block / block.abs().max()").replace("- table)", "- quant.levels('nf4'))"), "use `table`"),
        (
            "def to_codes(block, table):\n    return __import__('torch').bucketize(block / block.abs().max(), table)",
            "the level above",
        ),
        (CODES.format(scaled="block / block.norm()"), "divided by the norm"),
        (CODES.format(scaled="block / block.abs().max()"), "a block of zeros"),
        (
            CODES.format(scaled="block / block.abs().max()")
            .replace("return ", "return table[")
            .replace("argmin(1)", "argmin(1)]"),
            "Those are the levels",
        ),
        (
            "def to_codes(block, table):\n    return (__import__('torch').bucketize(block / block.abs().max(), table, right=True) - 1)",
            "the level below",
        ),
        ("def to_codes(block, table):\n    return block / block.abs().max() * 7", "whole numbers"),
        (CODES.format(scaled="block / block[:2].abs().max().clamp(min=1e-38)"), "Right for 8 weights"),
        (
            CODES.format(scaled="block / block.abs().max().clamp(min=1e-38)") + ".clamp(max=14)",
            "its code is 15, not 14",
        ),
        ("def to_codes(block, table):\n    return [0] * 8", "Return a tensor"),
        (CODES.format(scaled="block / block.abs().max()").replace("argmin(1)", "argmin(0)"), "along the other axis"),
        (CODES.format(scaled="block / block.abs().max()").replace(".abs().argmin", ".argmin"), "has no sign"),
        (CODES.format(scaled="block / block.abs().max()").replace("argmin", "argmax"), "the farthest level"),
        (CODES.format(scaled="block / block.abs().max()") + " + 1", "yours are counted from 1"),
        (CODES.format(scaled="block / block.abs().max()") + " - 8", "yours are counted from -8"),
        (CODES.format(scaled="block / block.min()"), "turned every sign"),
        (CODES.format(scaled="block / block.abs().mean()"), "divided by the mean"),
        (CODES.format(scaled="2 * (block - block.min()) / (block.max() - block.min()) - 1"), "0 is no longer 0"),
        (
            CODES.format(scaled="block / block.abs().max()")
            .replace("return ", "return block.abs().max() * table[")
            .replace("argmin(1)", "argmin(1)]"),
            "as they come back",
        ),
        *(
            (f"def to_codes(block, table):\n    x = block / block.abs().max()\n    return {way}", "evenly spaced")
            for way in (
                "(x*7).round()+7",
                "(x * 7).round().long() + 8",
                "((x + 1) / 2 * 15).round()",
                "(x * 7).round()",
            )
        ),
    ],
    "06.3": [
        (
            "def unpack(packed):\n    import torch\n    return torch.cat([packed & 0xF, packed >> 4])",
            "colleague's code",
        ),
        ("def unpack(packed):\n    import torch\n    return torch.cat([packed >> 4, packed & 0xF])", "take turns"),
        (
            "def unpack(packed):\n    import torch\n    return torch.stack([packed & 0xF, packed >> 4], 1).flatten()",
            "swapped",
        ),
        ("def unpack(packed):\n    import torch\n    return torch.stack([packed >> 4, packed], 1).flatten()", "& 0xF"),
        ("def unpack(packed):\n    import torch\n    return torch.stack([packed >> 4, packed & 0xF], 1)", "one row"),
        (
            "def unpack(packed):\n    import torch\n    return torch.stack([packed & 0xF0, packed & 0xF], 1).flatten()",
            "shift it down",
        ),
        (
            "def unpack(packed):\n    import torch\n    return torch.stack([packed >> 4, packed & 0xE], 1).flatten()",
            "0x01 holds [0, 1]; you gave [0, 0]",
        ),
        (
            "def unpack(packed):\n    import torch\n    return torch.stack([packed[:3] >> 4, packed[:3] & 0xF], 1).flatten()",
            "0x03 holds [0, 3]; you gave []",
        ),
        ("def unpack(packed): return packed >> 4", "hold 6 codes"),
    ],
}
