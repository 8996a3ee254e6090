"""Plausible wrong answers to lesson 03's exercises, each with a piece of the sentence that must name it."""

LOOP = """def train_by_hand(model, batches, learning_rate):
    model.train()
    ours = [p for name, p in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW(ours, lr=learning_rate, weight_decay=0)
    losses = []
    for batch in batches:
        logits = model(input_ids=batch["input_ids"]).logits
        loss = answer_loss(logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""
WRONG = {
    "03.1": [
        ("def labels(ids, answer_start): return list(ids)", "You hid nothing"),
        (
            "def labels(ids, answer_start): return ids[:answer_start] + [-100] * (len(ids) - answer_start)",
            "turned round",
        ),
        ("def labels(ids, answer_start): return [-100] * answer_start + ids[answer_start:-1] + [-100]", "end token"),
        ("def labels(ids, answer_start): return [0] * answer_start + ids[answer_start:]", "real token"),
        ("def labels(ids, answer_start): return ids[answer_start:]", "needs one label"),
        ("def labels(ids, answer_start): return [-100] * 3 + ids[3:]", "another"),
        (
            "def labels(ids, answer_start): return [-100 if i in ids[:answer_start] else i for i in ids]",
            "go by its place",
        ),
        ("def labels(ids, answer_start): return ids + 1", "TypeError"),
        ("def labels(ids, answer_start): return [-100] * (answer_start - 1) + ids[answer_start:] + [-100]", "shifted"),
        ("def labels(ids, answer_start): return [-100] * (answer_start + 1) + ids[answer_start:-1]", "shifted"),
        (
            "def labels(ids, answer_start): return [-100] * (answer_start + 1) + ids[answer_start + 1 :]",
            "first token is",
        ),
        (
            "def labels(ids, answer_start): return [-100] * (answer_start - 1) + ids[answer_start - 1 :]",
            "last token is",
        ),
        ("def labels(ids, answer_start): return [-100] * answer_start + ids", "not all of"),
        ("def labels(ids, answer_start): return [-100] * len(ids)", "hid every token"),
        ("def labels(ids, answer_start): return [i >= answer_start for i in range(len(ids))]", "That is a mask"),
        ("def labels(ids, answer_start): return [100] * answer_start + ids[answer_start:]", "you put 100"),
        ("def labels(ids, answer_start): return [-1] * answer_start + ids[answer_start:]", "you put -1"),
        ("def labels(ids, answer_start): return [None] * answer_start + ids[answer_start:]", "not None"),
        ("def labels(ids, answer_start): return ids[answer_start]", "and no int"),
    ],
    "03.2": [
        ("def training_bytes(parameters, trainable): return 16 * parameters", "frozen"),
        ("def training_bytes(parameters, trainable): return 16 * trainable", "left out the frozen"),
        ("def training_bytes(parameters, trainable): return 4 * parameters + 8 * trainable", "One of the three"),
        ("def training_bytes(parameters, trainable): return 4 * parameters + 4 * trainable", "two moments"),
        (
            "def training_bytes(parameters, trainable): return 8 * parameters + 8 * trainable",
            "a frozen parameter has none",
        ),
        ("def training_bytes(parameters, trainable): return '4120'", "Return one number"),
        ("def training_bytes(parameters, trainable): return 12 * trainable", "must be held too"),
        (
            "def training_bytes(parameters, trainable): return 4 * parameters + 16 * trainable",
            "trainable weights twice",
        ),
        ("def training_bytes(parameters, trainable): return parameters + 3 * trainable", "not bytes"),
        ("def training_bytes(parameters, trainable): return 4_000 + 12 * trainable", "use `parameters` as given"),
    ],
    "03.4": [
        (
            "def answer_loss(z, t): return cross_entropy(z.flatten(0, 1), t.flatten())",
            "Nothing is shifted",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, 1:].flatten(0, 1), t[:, :-1].flatten())",
            "the wrong way",
        ),
        ("def answer_loss(z, t): return cross_entropy(z[:, :-1], t[:, 1:])", "The shapes do not fit"),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), reduction='sum')",
            "That is the sum",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), reduction='none')",
            "Return one number",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), reduction='none').mean()",
            "Hidden places",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten()).item()",
            "without .item()",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].detach().flatten(0, 1), t[:, 1:].flatten())",
            "lost its way",
        ),
        ("def answer_loss(z, t): return -cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten())", "sign"),
        (
            "def answer_loss(z, t): return sum(cross_entropy(a[:-1], b[1:]) for a, b in zip(z, t)) / len(z)",
            "mean of two means",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].softmax(-1).flatten(0, 1), t[:, 1:].flatten())",
            "takes the softmax itself",
        ),
        ("def answer_loss(z, t): return cross_entropy(z[:-1].flatten(0, 1), t[1:].flatten())", "along the batch"),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :4].flatten(0, 1), t[:, 1:5].flatten())",
            "use the shapes as given",
        ),
    ],
    "03.5": [
        (LOOP.replace("        optimizer.zero_grad()\n", ""), "The old gradient is still there"),
        (
            LOOP.replace(", weight_decay=0", "").replace("        optimizer.zero_grad()\n", ""),
            "The old gradient is still there",
        ),
        (
            LOOP.replace("    model.train()\n", "").replace("        optimizer.zero_grad()\n", ""),
            "The old gradient is still there",
        ),
        (LOOP.replace("        optimizer.step()\n", ""), "Nothing moved"),
        (
            LOOP.replace("zero_grad()\n        loss.backward()", "zero()").replace(
                "optimizer.zero()", "loss.backward()\n        optimizer.zero_grad()"
            ),
            "cleared before the optimizer could read it",
        ),
        (LOOP.replace("    model.train()\n", ""), "eval mode"),
        (LOOP.replace('batch["labels"]', 'batch["input_ids"]'), "The prompt is taught"),
        (LOOP.replace("(ours, ", "(model.parameters(), "), "belongs to the base"),
        (LOOP.replace("lr=learning_rate, ", ""), "its own learning rate"),
        (LOOP.replace("AdamW", "SGD"), "plain gradient descent"),
        (LOOP.replace("loss.item()", "loss"), "loss.item()"),
        (LOOP.replace("    return losses", "    return losses[-1:]"), "you returned 1 loss"),
        (LOOP.replace("    return losses", "    print(losses)"), "told nobody"),
        (LOOP.replace("answer_loss(logits, ", "-answer_loss(logits, "), "sign"),
        (LOOP.replace('"lora_"', '"lora_B"'), "lora_A has not moved"),
        (LOOP.replace('"lora_"', '"lora_A"'), "the optimizer has lora_A alone"),
        (LOOP.replace('"lora_" in name', 'name.startswith("lora_")'), "anywhere in it"),
        (
            LOOP.replace("        optimizer.step()\n", "").replace(
                "batches:\n", "batches:\n        optimizer.step()\n"
            ),
            "before there is a gradient",
        ),
        (
            LOOP.replace("        optimizer.step()\n", "").replace(".logits\n", ".logits\n        optimizer.step()\n"),
            "First backward",
        ),
        (
            LOOP.replace(
                "batches:\n",
                "batches:\n        optimizer = torch.optim.AdamW(ours, lr=learning_rate, weight_decay=0)\n",
            ),
            "anew",
        ),
        (LOOP.replace('answer_loss(logits, batch["labels"])', "..."), "solve exercise 03.4 first"),
    ],
}
