"""Plausible wrong answers to lesson 00's exercises, each with words that its check's sentence must hold."""

_BYTES = "def bytes_of(n, bits):\n    return "
_STATE = "def full_state(n, weight_bytes, moment_bytes):\n    return "
_FITS = "def fits(n, bits, card_gib):\n    return "

WRONG = {
    "00.1": [
        (_BYTES + "n * bits", "divide by 8"),
        (_BYTES + "n * bits * 8", "fewer bytes than bits"),
        (_BYTES + "n / 8", "1 bit"),
        (_BYTES + "bits / 8", "That is one number"),
        (_BYTES + "n * bits / 8 / 1e9", "in GB"),
        (_BYTES + "n * bits / 1024", "kibibytes"),
        (_BYTES + "[n * bits / 8]", "Return one number"),
        (_BYTES + "n * 2", "use `bits` as given"),
        (_BYTES + "125 * bits", "use `n` as given"),
    ],
    "00.2": [
        (_STATE + "n * weight_bytes", "weights alone"),
        (_STATE + "n * (weight_bytes + 2 * moment_bytes)", "Weights or gradients are missing"),
        (_STATE + "n * (2 * weight_bytes + moment_bytes)", "AdamW keeps two"),
        (_STATE + "n * 2 * weight_bytes", "two moments are missing"),
        (_STATE + "n * 4 * weight_bytes", "They take `moment_bytes` each"),
        (_STATE + "n * (weight_bytes + 3 * moment_bytes)", "A gradient has its weight's format"),
        (_STATE + "2 * weight_bytes + 2 * moment_bytes", "There are n of them"),
        (_STATE + "n * (2 * weight_bytes + 2 * moment_bytes) / 8", "bytes already, not bits"),
        (_STATE + "n * (2 * weight_bytes + 2 * moment_bytes) / 1e9", "in GB"),
        (_STATE + "n * (2 * weight_bytes + 2 * moment_bytes + 4)", "added an fp32 master copy"),
        (_STATE + "n * (2 * weight_bytes + 3 * moment_bytes)", "five things"),
        (_STATE + "n * 4 * moment_bytes", "everything the moments' format"),
        (_STATE + "[n * 2 * weight_bytes, n * 2 * moment_bytes]", "Return one number"),
        (_STATE + "280", "Seven, at 2 and 4 bytes"),
    ],
    "00.3": [
        (_FITS + "n * bits <= card_gib * 1e9", "Both mistakes"),
        (_FITS + "n * bits <= card_gib * 2**30", "still in bits"),
        (_FITS + "n * bits / 8 <= card_gib * 1e9", "still holds GB"),
        (_FITS + "n * bits / 8 <= card_gib * 1024**2", "MiB"),
        (_FITS + "n * bits * 8 <= card_gib * 2**30", "multiplied by 8"),
        (_FITS + "n * bits / 8 >= card_gib * 2**30", "wrong way round"),
        (_FITS + "n * bits / 8 <= 24 * 2**30", "use `card_gib` as given"),
        (_FITS + "n * 2 <= card_gib * 2**30", "use `bits` as given"),
        (_FITS + "True", "to every model"),
        (_FITS + "n * bits / 8", "True or False"),
    ],
}
