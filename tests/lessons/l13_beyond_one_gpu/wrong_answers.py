"""Plausible wrong answers to lesson 13's exercise, each with a piece of the sentence that must name it."""

SCATTER = "def reduce_scatter(gradients):\n    {}"

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
}
