"""Plausible wrong answers to lesson 00's exercise, each with words that its check's sentence must hold."""

_BYTES = "def bytes_of(n, bits):\n    return "

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
        (_BYTES + "n * bits // 8", "Divide with `/`"),
        (_BYTES + "n // 8 * bits", "you have 0.0"),
    ],
}
ALSO_RIGHT = {"00.1": [(_BYTES + "bits / 8 * n", ""), (_BYTES + "0.125 * n * bits", "")]}
