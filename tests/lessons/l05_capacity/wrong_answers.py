"""Plausible wrong answers to the exercises of 05_capacity, each with a piece of the sentence that must name it."""

BITS = """def bits_stored(logits, digits):
    nats = logits.log_softmax(-1).gather(-1, digits[..., None])
    return (nats / math.log(2) + math.log2(10)).sum()
"""

WRONG = {
    "05.1": [
        (BITS.replace(" / math.log(2)", "").replace("log2(10)", "log(10)"), "Those are nats"),
        (
            BITS.replace("(nats / math.log(2) + math.log2(10))", ("((nats + math.log(10)) * math.log(2))")),
            "You multiplied by ln 2",
        ),
        (BITS.replace("math.log2(10)", "math.log(10)"), "In bits it is"),
        (BITS.replace("return ", "return -"), "The sign is turned"),
        (BITS.replace(" + math.log2(10)", ""), "with a minus"),
        (BITS.replace(" + math.log2(10)", "").replace("return ", "return -"), "how much less that is"),
        (BITS.replace("+ math", "- math"), "and subtracting it adds"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + math.log2(10)"), "log₂ 10 once. A"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + len(digits) * math.log2(10)"), "once an entry"),
        (BITS.replace(".sum()", ".mean()"), "the mean of a digit"),
        (BITS.replace(".sum()", ".sum() / len(digits)"), "the bits of one entry"),
        (
            BITS.replace("log_softmax", "softmax").replace(("(nats / math.log(2) + math.log2(10))"), "(nats - 0.1)"),
            "You subtracted probabilities",
        ),
        (BITS.replace(".log_softmax(-1)", ""), "the logits as they are"),
        ("def bits_stored(logits, digits):\n    return (logits.argmax(-1) == digits).sum()\n", "You counted"),
        (BITS.replace(".sum()", ".sum(1)"), "one number for the whole book"),
        (BITS.replace("digits[..., None]", "digits"), "a last dimension"),
        (BITS.replace("return ", "return str(").replace(".sum()", ".sum())"), "returned a str"),
        (BITS.replace(" + math.log2(10)).sum()", ").sum() + 35 * math.log2(10)"), "use the shapes as given"),
        (BITS.replace(".sum()", ".sum().clamp(min=0)"), "Below 0 is right here"),
        (BITS.replace(".sum()", ".clamp(min=0).sum()"), "cut every digit off"),
        (BITS.replace(".gather(-1, digits[..., None])", ".max(-1).values"), "the likeliest digit in each place"),
        (BITS.replace("log_softmax(-1)", "log_softmax(1)"), "over the places"),
        (BITS.replace("log_softmax(-1)", "log_softmax(0)"), "over the entries"),
    ],
}
