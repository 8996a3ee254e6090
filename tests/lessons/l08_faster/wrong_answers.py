"""Plausible wrong answers to the exercises of 08_faster, each with a piece of the sentence that must name it."""

LOSS = "from torch.nn.functional import cross_entropy\ndef taught_loss(h, E, labels):\n    {}"
ROW = """def packed(parts):
    ids = torch.cat([one.input_ids for one in parts])[None]
    labels = torch.cat([one.labels for one in parts])[None]
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])[None]
    row = {{"input_ids": ids, "labels": labels, "position_ids": positions}}
    {}"""

WRONG = {
    "08.3": [
        (LOSS.format("return cross_entropy(h @ E.T, labels)"), "shift is missing"),
        (LOSS.format("return cross_entropy(h[1:] @ E.T, labels[:-1])"), "wrong way"),
        (LOSS.format("return cross_entropy(h[:-1] @ E.T, labels[1:])"), "logits existed for 39 tokens"),
        (LOSS.format("return cross_entropy(h[:-1] @ E.T, labels[1:], reduction='sum')"), "That is the sum"),
        (LOSS.format("return cross_entropy(h[:-1] @ E.T, labels[1:], reduction='sum') / 39"), "divided by all"),
        (LOSS.format("return cross_entropy(h[:-1] @ E.T, labels[1:], reduction='sum') / 6"), "nothing comes before"),
        (LOSS.format("return cross_entropy(h[:-1] @ E.T, labels[1:], reduction='none')"), "Return the mean"),
        (LOSS.format("w = labels != -100; return -(h @ E.T)[w].log_softmax(-1).mean()"), "own label"),
        (LOSS.format("return 'low'"), "Return one number"),
    ],
    "08.4": [
        (ROW.format("return row | {'position_ids': torch.arange(9)[None]}"), "still run on"),
        (ROW.format("del row['position_ids']; return row"), "Without position_ids"),
        (ROW.format("return row"), "One leak is left"),
        (ROW.format("return row | {'position_ids': positions + 1}"), "begin at 0"),
        (ROW.format("return row | {'position_ids': positions // 2}"), "expected positions"),
        (ROW.format("return row | {'attention_mask': torch.ones_like(ids)}"), "undoes it"),
        (ROW.format("return row | {'use_cache': True}"), "With a cache"),
        (ROW.format("return row | {'labels': labels * 0 - 100}"), "nothing is taught"),
        (ROW.format("return row | {'labels': ids}"), "The labels have changed"),
        (ROW.format("labels[:, :-1][positions[:, 1:] == 0] = -100; return row"), "not its last"),
        (ROW.format("labels[positions < 2] = -100; return row"), "expected labels"),
        (ROW.format("return row | {'labels': labels[0]}"), "1 × all tokens, as input_ids"),
        (ROW.format("for one in parts: one.labels[0] = -100\n    return row"), "work on a copy"),
        (ROW.format("return ids, labels, positions"), "Return a dictionary"),
        (ROW.format("return row | {'input_ids': ids.flip(1)}"), "in their order"),
        (ROW.format("return row | {'input_ids': ids[0]}"), "1 × all of them"),
    ],
}
