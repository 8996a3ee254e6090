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
        (LOOP.replace("    losses", "    model.requires_grad_(False)\n    losses", 1), "thaw lora_A and lora_B"),
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
