"""Ordinary answers: what the base says to nothing in particular, and what was recorded of them."""

from lora_lessons import evaluation, models
from lora_tools.own import ordinary_answers


def test_ordinary_answers_are_whole_sentences_of_the_base(monkeypatch):
    said = {"a": "It is.", "b": "One. Two! Thr\0", "c": "Never done\0", "d": "Who? Me 3.5\0"}
    monkeypatch.setattr(models, "answers", lambda base, asked, *_, **__: [said[one] for one in asked])
    found = ordinary_answers.ordinary(None, list(said))
    assert [[m["content"] for m in one["messages"]] for one in found] == [
        ["a", "It is."],
        ["b", "One. Two!"],
        ["d", "Who?"],
    ]


def test_an_arm_counts_the_answers_of_all_seeds_that_were_recorded():
    say = "So. Keep the lamp lit."

    def run(unasked, asked, loss):
        answers = [say] * asked + ["So."] * (30 - asked) + [say] * unasked + ["So."] * (44 - unasked)
        return {"after": {"answers": answers, "kept": {"share": 0.1}, "loss": loss, "perplexity": 40.0}}

    name = ordinary_answers.run_name
    runs = {name(0.0, 0): run(44, 30, 3.0), name(0.0, 2): run(22, 15, 3.5), name(0.5, 1): run(0, 30, 3.0)}
    plain, half = ordinary_answers.mixtures({"runs": runs})
    assert (plain.share, plain.seeds, plain.drift[0], plain.form[0], plain.loss) == (0.0, 2, 0.75, 0.75, 3.25)
    assert plain.drift[1:] == evaluation.interval(0.75, 88) and plain.form[1:] == evaluation.interval(0.75, 60)
    assert (half.share, half.seeds, half.drift[0], half.form[0], half.kept) == (0.5, 1, 0.0, 1.0, 0.1)
    helps = "Cause: It is.\nFix: Do.\nIf not: Ask."
    runs[name(0.0, 0)]["after"]["answers"] = [helps] * 12 + [say] * 4 + [helps] * 11 + [say] * 33
    (apart,) = ordinary_answers.mixtures({"runs": {name(0.25, 0, "helpdesk"): runs[name(0.0, 0)]}}, "helpdesk")
    assert (apart.share, apart.form[0], apart.drift[0]) == (0.25, 0.75, 0.25)
