"""Plausible wrong answers to lesson 13's exercises, each with a piece of the sentence that must name it."""

SCATTER = "def reduce_scatter(gradients):\n    {}"
WEIGHT = "def weight(own, everyones): return {}"
CARDS = "def cards(shared, own, room):\n    import math\n    return {}"

WRONG = {
    "13.1": [
        (SCATTER.format("return [sum(gradients) for _ in gradients]"), "That is an all-reduce"),
        (SCATTER.format("return list((sum(gradients) / len(gradients)).chunk(len(gradients)))"), "parts of the mean"),
        (SCATTER.format("return [g.chunk(2)[n] for n, g in enumerate(gradients)]"), "what the others found is lost"),
        (SCATTER.format("return list(gradients[0].chunk(2))"), "rank 0's gradient"),
        (SCATTER.format("return list(sum(gradients).chunk(2, dim=1))"), "cut along its columns"),
        (SCATTER.format("return list(sum(gradients).chunk(2))[::-1]"), "swapped"),
        (SCATTER.format("return gradients"), "neither summed nor cut"),
        (SCATTER.format("return list(sum(gradients).chunk(2))"), "wrong for three"),
        (SCATTER.format("return sum(gradients)"), "Return a list"),
        (SCATTER.format("return [sum(gradients)]"), "yours has 1"),
        (SCATTER.format("return [2 * g for g in gradients]"), "Sum the gradients of all ranks"),
    ],
    "13.2": [
        (WEIGHT.format("1.0"), "the colleague's code"),
        (WEIGHT.format("own / sum(everyones)"), "half as large"),
        (WEIGHT.format("sum(everyones) / own / len(everyones)"), "Turned round"),
        (WEIGHT.format("sum(everyones) / own"), "Turned round"),
        (WEIGHT.format("own"), "sums of the means"),
        (WEIGHT.format("own * len(everyones)"), "divide by all tokens"),
        (WEIGHT.format("own / 6"), "wrong for three"),
        (WEIGHT.format("own - sum(everyones)"), "the weights are 1.5 and 0.5"),
        (WEIGHT.format("[1.5, 0.5]"), "Return one number"),
    ],
    "13.3": [
        (CARDS.format("int(shared // (room - own))"), "round up"),
        (CARDS.format("shared / (room - own)"), "cannot be bought"),
        (CARDS.format("math.ceil(shared / room)"), "take their room first"),
        (CARDS.format("math.ceil((shared + own) / room)"), "only the 45.8 GB are divided"),
        (CARDS.format("int(shared // (room - own)) + 1"), "two are enough"),
        (CARDS.format("math.ceil(shared / (room - own))"), "no number of cards helps"),
        (CARDS.format("12"), "four cards; you gave 12"),
        (CARDS.format("'four'"), "Return one number"),
    ],
}
