"""Plausible wrong answers to lesson 05's exercise, each with words that its check's sentence must hold."""

_FALL = "def predicted_fall(slopes, lr):\n    return "

WRONG = {
    "05.2": [
        (_FALL + "-lr * sum(s.abs().sum().item() for s in slopes)", "the loss rises"),
        (_FALL + "lr * sum(s.sum() for s in slopes)", "cancel in your sum"),
        (_FALL + "-lr * sum(s.sum() for s in slopes)", "cancel in your sum"),
        (_FALL + "sum(s.abs().sum() for s in slopes)", "a step of 1"),
        (_FALL + "lr * sum((s * s).sum() for s in slopes)", "plain gradient descent"),
        (_FALL + "lr * sum(s.numel() for s in slopes)", "move together"),
        (_FALL + "lr * sum((s * s).sum() for s in slopes) ** 0.5", "gradient's length"),
        (_FALL + "lr * sum(s.abs().sum() for s in slopes) / sum(s.numel() for s in slopes)", "mean fall"),
        (_FALL + "lr * sum(s.abs().mean() for s in slopes)", "each tensor's mean"),
        (_FALL + "lr * slopes[0].abs().sum()", "first tensor alone"),
        (_FALL + "lr * slopes[-1].abs().sum()", "last tensor alone"),
        (_FALL + "lr * sum(s.sum().abs() for s in slopes)", "First abs(), then sum()"),
        (_FALL + "lr * slopes.abs().sum()", "a list of tensors"),
        (_FALL + "lr * max(s.abs().max() for s in slopes)", "these seven slopes"),
        (_FALL + "0.01 * sum(s.abs().sum() for s in slopes)", "as given"),
        (_FALL + "[lr * s.abs() for s in slopes]", "Return one number"),
    ],
}
ALSO_RIGHT = {
    "05.2": [
        (_FALL + "sum(lr * abs(x) for s in slopes for x in s.flatten().tolist())", ""),
        (_FALL + "lr * sum(s.abs().sum() for s in slopes)", ""),
    ],
}
