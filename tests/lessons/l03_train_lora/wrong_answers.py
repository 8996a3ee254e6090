"""Plausible wrong answers to lesson 03's exercises, each with a piece of the sentence that must name it."""

LOOP = """def train_by_hand(model, batches, learning_rate):
    model.train()
    ours = [p for name, p in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW(ours, lr=learning_rate, weight_decay=0)
    losses = []
    for batch in batches:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = answer_loss(logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""
# Clears by hand, learns A and B in two groups, and lets the optimizer ask for the loss.
BY_CLOSURE = """def train_by_hand(model, batches, learning_rate):
    A, B = ([p for name, p in model.named_parameters() if part in name] for part in ("lora_A", "lora_B"))
    optimizer, losses = torch.optim.AdamW([{"params": A}, {"params": B}], lr=learning_rate, weight_decay=0.0), []
    model.train(True)
    for batch in batches:

        def closure(batch=batch):
            for p in (*A, *B):
                p.grad = None
            logits = model(batch["input_ids"], batch["attention_mask"]).logits[:, :-1].transpose(1, 2)
            loss = torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:])
            loss.backward()
            return loss

        losses.append(float(optimizer.step(closure).detach()))
    return tuple(losses)
"""
WRONG = {
    "03.1": [
        (
            "def answer_loss(z, t): return cross_entropy(z.flatten(0, 1), t.flatten())",
            "Nothing is shifted",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, :-1].flatten())",
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
            (
                "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), "
                "reduction='none')"
            ),
            "Return one number",
        ),
        (
            (
                "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), "
                "reduction='none').mean()"
            ),
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
        (
            "def answer_loss(z, t): return cross_entropy(z.flatten(0, 1)[:-1], t.flatten()[1:])",
            "once for the whole batch",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].view(-1, z.shape[-1]), t[:, 1:].reshape(-1))",
            "use reshape or flatten",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), ignore_index=0)",
            "−100 is no token",
        ),
        (
            "def answer_loss(z, t): return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].float().flatten())",
            "stopped with an error. RuntimeError: expected",
        ),
        (
            "def answer_loss(z, t):\n    t[t == -100] = 0\n"
            "    return cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten())",
            "taught as token 0",
        ),
        (
            "def answer_loss(z, t):\n    loss = cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten())\n"
            "    return torch.tensor(loss.item(), requires_grad=True)",
            "lost its way",
        ),
        ("def answer_loss(z, t): return cross_entropy(z.flatten(0, 1), t.roll(-1, 1).flatten())", "do not roll"),
        (
            "def answer_loss(z, t):\n"
            "    total = cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten(), reduction='sum')\n"
            "    return total / (t != -100).sum()",
            "counted a row's first token",
        ),
    ],
    "03.2": [
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
        (LOOP.replace('answer_loss(logits, batch["labels"])', "..."), "solve exercise 03.1 first"),
        (LOOP.replace(', attention_mask=batch["attention_mask"]', ""), "never hears which tokens are padding"),
        *(
            (LOOP.replace("        optimizer.step", f"        {way}\n        optimizer.step"), "clip_grad_norm_")
            for way in ("torch.nn.utils.clip_grad_norm_(ours, 1.0)", "torch.nn.utils.clip_grad_norm_(ours, 0.3)")
        ),
    ],
}
ALSO_RIGHT = {
    "03.1": [
        ("def answer_loss(z, t): return cross_entropy(z[:, :-1].transpose(1, 2), t[:, 1:])", ""),
        (
            "def answer_loss(z, t):\n    z, t = z[:, :-1], t[:, 1:]\n"
            "    return cross_entropy(z[t != -100], t[t != -100])",
            "",
        ),
        (
            "def answer_loss(z, t):\n    z, t = z[:, :-1].log_softmax(-1), t[:, 1:, None]\n"
            "    return -z.gather(-1, t.clamp(min=0))[t != -100].mean()",
            "",
        ),
    ],
    "03.2": [(BY_CLOSURE, ""), (LOOP, "the base got gradients that nobody used"), (LOOP.replace("AdamW", "Adam"), "")],
}
