"""Plausible wrong answers to lesson 11's exercises, each with a piece of the sentence that must name it."""

LEAKS = "def leaks(train, held_out): return {}"
PLAIN = "def plain(text): return ' '.join(''.join(c for c in text.lower() if c.isalnum() or c == ' ').split())\n"
GOOD = "def good(answer): return {}"
COIN = "from math import comb\ndef by_chance(wins, of): return {}"

WRONG = {
    "11.1": [
        (LEAKS.format("[n for n, q in enumerate(held_out) if q in train]"), "only the exact copy"),
        (
            LEAKS.format("[n for n, q in enumerate(held_out) if q.lower() in [t.lower() for t in train]]"),
            "only the exact copy",
        ),
        (PLAIN + LEAKS.format("[q for q in held_out if plain(q) in map(plain, train)]"), "Return the numbers"),
        (
            PLAIN + LEAKS.format("[n for n, t in enumerate(train) if plain(t) in map(plain, held_out)]"),
            "numbers of training lines",
        ),
        (
            PLAIN + LEAKS.format("[n for n, q in enumerate(held_out) if plain(q) not in map(plain, train)]"),
            "Turned round",
        ),
        (
            PLAIN
            + LEAKS.format("[n for n, q in enumerate(held_out) if any(plain(q).startswith(plain(t)) for t in train)]"),
            "Line 3 asks something else",
        ),
        (
            PLAIN + LEAKS.format("[n for n, q in enumerate(held_out) if q.isupper() or q in train]"),
            "is a copy, too",
        ),
        (PLAIN + LEAKS.format("len([q for q in held_out if plain(q) in map(plain, train)])"), "Return a list"),
        (LEAKS.format("[0, 2, 4]"), "wrong for others"),
    ],
    "11.2": [
        (GOOD.format("'Cause' in answer"), "says yes to all three on one line"),
        (GOOD.format("all(word in answer for word in ('Cause: ', 'Fix: ', 'If not: '))"), "all three on one line"),
        (GOOD.format("len(answer.splitlines()) == 3 and 'Fix: ' in answer"), "wrong order"),
        (
            GOOD.format("[line.split(':')[0] for line in answer.splitlines()][:3] == ['Cause', 'Fix', 'If not']"),
            "a fourth line",
        ),
        (
            GOOD.format("[line.split(':')[0] for line in answer.splitlines()] == ['Cause', 'Fix', 'If not']"),
            "nothing behind its label",
        ),
        (GOOD.format("answer.startswith('Cause: ')"), "all three on one line"),
        (GOOD.format("False"), "refuses a good answer"),
        (GOOD.format("True"), "without any of the three"),
        (
            "import re\n" + GOOD.format("re.fullmatch(r'Cause: .+\\nFix: .+\\nIf not: .+', answer.strip())"),
            "return True or False",
        ),
        (
            "import re\n" + GOOD.format("bool(re.fullmatch(r'Cause: .+\\nFix: .+\\nIf not: .+[^\\n]', answer))"),
            "strip() the text",
        ),
        (
            "import re\n"
            + GOOD.format("bool(re.fullmatch(r'Cause: [^:]+\\nFix: [^:]+\\nIf not: [^:]+', answer.strip()))"),
            "another good answer",
        ),
    ],
    "11.3": [
        (COIN.format("sum(comb(of, k) for k in range(max(wins, of - wins), of + 1)) / 2 ** of"), "one side only"),
        (COIN.format("comb(of, wins) / 2 ** of"), "exactly nine"),
        (COIN.format("2 * comb(of, wins) / 2 ** of"), "ten of ten is left out"),
        (COIN.format("wins / of"), "the share you saw"),
        (COIN.format("1 - 2 * sum(comb(of, k) for k in range(wins, of + 1)) / 2 ** of"), "take the rest"),
        (COIN.format("2 * sum(comb(of, k) for k in range(wins, of + 1)) / 2 ** of"), "1 of 10 is as uneven"),
        (
            COIN.format("2 * sum(comb(of, k) for k in range(max(wins, of - wins), of + 1)) / 2 ** of"),
            "more than 1",
        ),
        (COIN.format("min(1, 2 * sum(comb(10, k) for k in range(max(wins, 10 - wins), 11)) / 2 ** 10)"), "use `of`"),
        (COIN.format("[9]"), "Return one number"),
    ],
}
