"""Plausible wrong answers to lesson 13's exercises, each with a piece of the sentence that must name it."""

LOGPROBS = """def answer_logprobs(logits, labels):
    labels = labels[:, 1:]
    taught = labels != -100
    logp = logits[:, :-1].log_softmax(-1)
    each = logp.gather(-1, labels.where(taught, 0)[..., None])[..., 0]
    return (each * taught).sum(-1)
"""
DPO = """def dpo_loss(policy, reference, beta):
    chosen = policy[0] - reference[0]
    rejected = policy[1] - reference[1]
    return -logsigmoid(beta * (chosen - rejected)).mean()
"""
REFERENCE = """def reference_of(model, logprobs):
    lora.set_scale(model, 0)
    with torch.no_grad():
        found = logprobs(model)
    lora.set_scale(model, 1)
    return found
"""
PUSH = """def push(logprobs, taught, rewards):
    better = (rewards - rewards.mean(-1, keepdim=True)).flatten()
    each = logprobs.sum(-1) / taught.sum(-1)
    return -(better * each).mean()
"""

WRONG = {
    "13.1": [
        (
            LOGPROBS.replace("(each * taught).sum(-1)", "(each * taught).sum(-1) / taught.sum(-1)"),
            "the mean over the tokens",
        ),
        (LOGPROBS.replace("(each * taught).sum(-1)", "each.sum(-1)"), "Hidden places count"),
        (LOGPROBS.replace("labels[:, 1:]", "labels").replace("logits[:, :-1]", "logits"), "Nothing is shifted"),
        (LOGPROBS.replace("labels[:, 1:]", "labels[:, :-1]").replace("[:, :-1].log", "[:, 1:].log"), "the wrong way"),
        (LOGPROBS.replace("return ", "return -"), "The sign is turned"),
        (LOGPROBS.replace(".sum(-1)", ".sum()"), "the whole batch"),
        (LOGPROBS.replace("log_softmax", "softmax"), "Probabilities multiply"),
        (LOGPROBS.replace(".log_softmax(-1)", ""), "You added logits up"),
        (LOGPROBS.replace("sum(-1)", "sum(-1).exp()"), "That is the probability"),
        (LOGPROBS.replace("sum(-1)", "sum(-1).detach()"), "lost its way"),
        (LOGPROBS.replace("sum(-1)", "sum(-1).tolist()"), "and no list"),
        (LOGPROBS.replace("labels.where(taught, 0)", "labels"), "-100 is no place"),
        (LOGPROBS.replace("(each * taught).sum(-1)", "each * taught"), "one number for each row"),
        (LOGPROBS.replace("labels[:, 1:]", "labels[:, 1:5]").replace("[:, :-1].log", "[:, :4].log"), "use the shapes"),
    ],
    "13.2": [
        (DPO.replace("return -", "return "), "The minus sign is missing"),
        (DPO.replace("chosen - rejected", "rejected - chosen"), "The sign is turned"),
        (DPO.replace("beta * ", ""), "β is missing"),
        (DPO.replace("beta * (chosen - rejected)", "(chosen - rejected) / beta"), "You divided by β"),
        (DPO.replace("-logsigmoid(beta * ", "-beta * logsigmoid("), "β stands outside"),
        (DPO.replace(" - reference[0]", "").replace(" - reference[1]", ""), "The reference is missing"),
        (DPO.replace(" - reference", " + reference"), "You added the reference"),
        (DPO.replace("reference[", "policy["), "ln 2"),
        (DPO.replace("beta * (chosen - rejected)", "beta * chosen"), "The rejected answer is missing"),
        (DPO.replace("logsigmoid", "torch.sigmoid"), "The logarithm is missing"),
        (
            DPO.replace("logsigmoid(beta * (chosen - rejected))", "torch.sigmoid(beta * (chosen - rejected)).log()"),
            "logsigmoid",
        ),
        (DPO.replace(".mean()", ""), "return their mean"),
        (DPO.replace(".mean()", ".sum()"), "the sum over the pairs"),
        (DPO.replace("(chosen - rejected)).mean()", "(chosen - rejected).mean())"), "mean of the margins first"),
        (DPO.replace("beta * ", "0.3 * "), "use `beta` as given"),
        (DPO.replace(".mean()", ".mean().item()"), "and no float"),
        (
            DPO.replace("policy[0] -", "policy[0].detach() -").replace("policy[1] -", "policy[1].detach() -"),
            "lost its way",
        ),
    ],
    "13.3": [
        (REFERENCE.replace("    lora.set_scale(model, 0)\n", ""), "the trained adapter itself"),
        (REFERENCE.replace("    lora.set_scale(model, 1)\n", ""), "still off"),
        (REFERENCE.replace("lora.set_scale(model, 0)", "lora.detach(model)"), "gone for good"),
        (REFERENCE.replace("set_scale(model, 0)", "set_scale(model, -1)"), "neither the base"),
        (REFERENCE.replace("set_scale(model, 1)", "set_scale(model, 2)"), "not what it was"),
        (REFERENCE.replace("with torch.no_grad():", "if True:"), "carries a gradient"),
        (
            REFERENCE.replace("with torch.no_grad():", "if True:").replace(
                "logprobs(model)", "logprobs(model).detach()"
            ),
            "was built before you dropped it",
        ),
        (REFERENCE.replace("return found", "return found.tolist()"), "and no list"),
    ],
    "13.4": [
        (PUSH.replace(".flatten()", ""), ".flatten() what you made"),
        (PUSH.replace("return -", "return "), "The sign is turned"),
        (PUSH.replace(" - rewards.mean(-1, keepdim=True)", ""), "The group's mean is missing"),
        (PUSH.replace("rewards.mean(-1, keepdim=True)", "rewards.mean()"), "mean of all rewards"),
        (PUSH.replace("rewards.mean(-1, keepdim=True)", "rewards.mean(0)"), "across the groups"),
        (
            PUSH.replace("keepdim=True))", "keepdim=True)) / rewards.std(-1, keepdim=True)")
            .replace("better = (", "better = ((")
            .replace("keepdim=True).flatten", "keepdim=True)).flatten"),
            "standard deviation",
        ),
        (PUSH.replace(" / taught.sum(-1)", ""), "long answer is pushed harder"),
        (PUSH.replace("logprobs.sum(-1) / taught.sum(-1)", "logprobs.mean(-1)"), "counts the hidden places"),
        (
            PUSH.replace("(better * each).mean()", "(better[:, None] * logprobs).sum() / taught.sum()"),
            "over all tokens",
        ),
        (PUSH.replace("(better * each).mean()", "(better * each).sum()"), "take the mean"),
        (PUSH.replace("(better * each).mean()", "better.mean() * each.mean()"), "multiply first"),
        (PUSH.replace("(better * each).mean()", "better * each"), "one number"),
        (PUSH.replace("(better * each).mean()", "(better * each).mean().item()"), "and no float"),
        (PUSH.replace("(better * each).mean()", "(better * each).sum() / 4"), "use the shapes as given"),
    ],
}
