"""Plausible wrong answers to lesson 05's exercises, each with a piece of the sentence that must name it."""

INTERVAL = (
    "def better(a, b):\n    from statistics import mean, stdev\n"
    "    (la, ha), (lb, hb) = ((mean(x) - {w} * stdev(x), mean(x) + {w} * stdev(x)) for x in (a, b))\n"
    "    return {result}"
)
RIGHT = "'a' if lb > ha else 'b' if la > hb else None"

WRONG = {
    "05.2": [
        ("def better(a, b): return 'a' if sum(a) < sum(b) else 'b'", "by the means"),
        (INTERVAL.format(w="2.484", result="'b' if lb > ha else 'a' if la > hb else None"), "Turned round"),
        (INTERVAL.format(w="1", result=RIGHT), "too narrow"),
        (INTERVAL.format(w="2", result=RIGHT), "too narrow"),
        (INTERVAL.format(w="2.484", result=RIGHT).replace("stdev", "pstdev"), "n − 1"),
        (INTERVAL.format(w="4.303", result=RIGHT), "too wide"),
        (INTERVAL.format(w="2.484", result="'a' if lb > ha else 'b' if la > hb else 'neither'"), "return None"),
        ("def better(a, b): return sum(a) < sum(b)", "return None"),
    ],
}
