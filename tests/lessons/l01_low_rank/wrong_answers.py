"""Plausible wrong answers to lesson 01's exercises, each with words that its check's sentence must hold."""

_EVEN = "def break_even(d, k):\n    return "
_BEST = "def best_rank_r(W, r):\n    U, S, Vh = torch.linalg.svd(W, full_matrices=False)\n    return "
_HAND = "def rank_one():\n    return "

WRONG = {
    "01.1": [
        (_HAND + "[[3.5, 2.5, 0], [2.5, 3.5, 0], [0, 0, 2]]", "W itself"),
        (_HAND + "[[3, 3, 0], [3, 3, 0], [0, 0, 2]]", "That is rank 2"),
        (_HAND + "[[3.5, 2.5, 0], [2.5, 3.5, 0], [0, 0, 0]]", "For rank 1 both go"),
        (_HAND + "[[0, 0, 0], [0, 0, 0], [0, 0, 2]]", "the second direction"),
        (_HAND + "[[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]]", "the weakest direction"),
        (_HAND + "[[1, 1, 0], [1, 1, 0], [0, 0, 0]]", "the factor in front, 3"),
        (_HAND + "[[6, 6, 0], [6, 6, 0], [0, 0, 0]]", "6 is the strength"),
        (_HAND + "[[3.5, 0, 0], [0, 3.5, 0], [0, 0, 2]]", "You kept the diagonal"),
        (_HAND + "[[3.5, 0, 0], [2.5, 0, 0], [0, 0, 0]]", "one column of W"),
        (_HAND + "[[3.5, 2.5, 0], [0, 0, 0], [0, 0, 0]]", "one row of W"),
        (_HAND + "[[3, 0, 0], [0, 3, 0], [0, 0, 0]]", "gives nine numbers"),
        (_HAND + "[3, 3, 0]", "yours is 3"),
        (_HAND + "6", "one number"),
        (_HAND + "'3 3 0'", "three rows of three numbers"),
    ],
    "01.2": [
        (_EVEN + "d * k // (d + k)", "exactly as many numbers"),
        (_EVEN + "min(d, k) // 2", "only for square matrices"),
        (_EVEN + "(min(d, k) - 1) // 2", "only for square matrices"),
        (_EVEN + "d * k / (d + k)", "divide with //"),
        (_EVEN + "min(d, k)", "full rank"),
        (_EVEN + "k - 1", "B (d×r) alone"),
        (_EVEN + "287 if d == k else 5", "is 418, and you return 5"),
        (_EVEN + "[287]", "Return one number"),
        (_EVEN + "d * k", "the size of W"),
        (_EVEN + "d + k", "one direction costs"),
    ],
    "01.3": [
        (_BEST + "U[:r] * S[:r] @ Vh[:, :r]", "columns of U and the rows of Vh"),
        (_BEST + "U[:, :r] @ Vh[:r]", "left the singular values out"),
        (_BEST + "(U[:, :r] * S[:r]) @ (S[:r, None] * Vh[:r])", "S came in twice"),
        (_BEST + "U[:, -r:] * S[-r:] @ Vh[-r:]", "weakest directions"),
        (_BEST + "U[:, 1:r + 1] * S[1:r + 1] @ Vh[1:r + 1]", "skipped the strongest"),
        (_BEST + "U * S @ Vh", "W itself"),
        (_BEST + "U[:, :r] * S[:r], Vh[:r]", "not its factors"),
        (_BEST + "U[:, :r] * S[:r]", "yours is 12×4"),
        (_BEST + "(U[:, :r] * S[:r] @ Vh[:r]).numpy()", "Return a tensor"),
        (_BEST + "(U[:, :r] * S[:r] @ Vh[:r]).tolist()", "Return a tensor"),
        (_BEST + "U[:, :r] * S[:r] @ Vh.T[:r]", "Vh is already transposed"),
        (_BEST + "U[:, :r] * S[:r] @ torch.linalg.svd(W).Vh.T[:r]", "Vh is already transposed"),
        (_BEST + "lowrank.truncate(W, r - 1)", "r − 1 directions"),
        (_BEST + "W * (torch.arange(W.shape[1]) < r)", "the best matrix of rank 4"),
        (_BEST + "U[:, :4] * S[:4] @ Vh[:4]", "use `r` as given"),
    ],
}
ALSO_RIGHT = {
    "01.2": [(_EVEN + "-(-d * k // (d + k)) - 1", "")],
    "01.3": [
        (_BEST.replace("svd(W", "svd(W.double()") + "U[:, :r] * S[:r] @ Vh[:r]", ""),
        (_BEST.replace("return ", "S[r:] = 0\n    return ") + "U * S @ Vh", ""),
    ],
}
