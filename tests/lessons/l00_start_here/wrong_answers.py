"""Plausible wrong answers to lesson 00's exercises, each with words that its check's sentence must hold."""

_BYTES = "def bytes_of(n, bits):\n    return "
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
    "00.3": [
        (_FITS + "n * bits <= card_gib * 1e9", "Both mistakes"),
        (_FITS + "n * bits <= card_gib * 2**30", "still in bits"),
        (_FITS + "n * bits / 8 <= card_gib * 1e9", "still in GB"),
        (_FITS + "n * bits / 8 <= card_gib * 1024**2", "MiB"),
        (_FITS + "n * bits * 8 <= card_gib * 2**30", "multiplied by 8"),
        (_FITS + "n * bits / 8 >= card_gib * 2**30", "wrong way round"),
        (_FITS + "n * bits / 8 <= 24 * 2**30", "use `card_gib` as given"),
        (_FITS + "n * 2 <= card_gib * 2**30", "use `bits` as given"),
        (_FITS + "True", "to every model"),
        (_FITS + "n * bits / 8", "True or False"),
    ],
}
