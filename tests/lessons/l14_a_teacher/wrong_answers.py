"""Plausible wrong answers to lesson 14's exercises, each with a piece of the sentence that must name it."""

KL = """def forward_kl(teacher_logits, student_logits, taught):
    p = teacher_logits.detach().log_softmax(-1)
    q = student_logits.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)[taught].mean()
"""
PUSH = """def on_policy(student, teacher, taught):
    worth = (teacher - student).detach()
    return -(worth * student).sum() / taught.sum()
"""

WRONG = {
    "14.1": [
        (KL.replace("p.exp() * (p - q)", "q.exp() * (q - p)"), "the wrong way round"),
        (KL.replace("[taught]", ""), "Hidden places count"),
        (KL.replace("sum(-1)[taught].mean()", "sum(-1).mul(taught).mean()"), "still counted"),
        (KL.replace(".mean()", ".sum() / len(taught)"), "the answers in the batch"),
        (KL.replace(".mean()", ".sum()"), "long answers"),
        (KL.replace(".sum(-1)[taught]", "[taught]"), "over the vocabulary as well"),
        (KL.replace("return ", "return -"), "The sign is turned"),
        (KL.replace("p.exp() * (p - q)", "-p.exp() * q"), "the cross-entropy"),
        (
            KL.replace("p - q", "teacher_logits - student_logits").replace("p.exp()", "p.exp().detach()"),
            "You subtracted logits",
        ),
        (KL.replace(".detach()", ""), "the teacher would learn"),
        (KL.replace("student_logits.", "student_logits.detach()."), "does not lead back"),
        (KL.replace(".mean()", ".mean().item()"), "and no float"),
        (KL.replace("[taught].mean()", ""), "Return one number"),
        (KL.replace("[taught]", "[taught[:, :3]]"), "PyTorch stopped"),
        (KL.replace(".mean()", ".sum() / 5"), "use the shapes"),
        (KL.replace("(p.exp() * (p - q))", "(p.exp() * (p - q.detach()) + 0 * q)"), "its gradient is not"),
        (KL.replace("log_softmax(-1)", "softmax(-1)"), "For this example it is"),
    ],
    "14.2": [
        (PUSH.replace("-(worth * student)", "(student - teacher.detach())"), "its gradient is not"),
        (PUSH.replace("return -", "return "), "The sign is turned"),
        (PUSH.replace("(teacher - student).detach()", "teacher.detach() - student"), "The reward learns"),
        (PUSH.replace("worth * student", "student"), "no say"),
        (PUSH.replace("taught.sum()", "taught.numel()"), "Hidden places"),
        (PUSH.replace(" / taught.sum()", ""), "That is the sum"),
        (PUSH.replace("taught.sum()", "len(taught)"), "You divided by the answers"),
        (PUSH.replace("worth * student", "worth * student.exp()"), "not the one that is asked for"),
        (PUSH.replace("(teacher - student).detach()", "teacher - student.detach()"), "the teacher would learn"),
        (PUSH.replace("worth * student", "worth * student.detach()"), "does not lead back"),
        (PUSH.replace("(worth * student).sum()", "(worth * student).sum(-1)"), "Return one number"),
        (PUSH.replace("return -", "return float(-").replace("taught.sum()", "taught.sum())"), "and no float"),
    ],
}

ALSO_RIGHT = {
    "14.1": [
        (
            "def forward_kl(t, s, taught):\n    p, q = t.detach().log_softmax(-1), s.log_softmax(-1)\n"
            "    each = torch.nn.functional.kl_div(q, p, reduction='none', log_target=True)\n"
            "    return each[taught].sum() / taught.sum()\n",
            "",
        )
    ],
    "14.2": [(PUSH.replace("worth * student", "worth * (student - student.detach()).exp() * taught"), "")],
}
