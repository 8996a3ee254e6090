"""The blind judge in a real JupyterLab: by mouse and by keyboard, taken back, kept over a restart,
unheard without a kernel."""

from typing import Any

from playwright.sync_api import expect

SETUP = """from lora_lessons.course.blind_judge import BlindJudge, Pair

judge = BlindJudge([Pair(f"question {n}?", f"base {n}", f"tuned {n}") for n in range(3)])"""


class Judge:
    """The widget on the page."""

    def __init__(self, page: Any) -> None:
        self.page, self.root = page, page.get_by_role("group", name="blind comparison")
        self.root.scroll_into_view_if_needed()
        self.status = self.root.get_by_role("status")

    def button(self, name: str) -> Any:
        return self.root.get_by_role("button", name=name)

    def side_of_the_adapter(self) -> str:
        left = self.root.get_by_role("region", name="left answer").locator(".answer").text_content()
        return "left" if left.startswith("tuned") else "right"

    def press(self, key: str) -> None:
        self.root.focus()
        self.page.keyboard.press(key)


def test_it_is_judged_by_mouse_and_keyboard_and_goes_on_after_a_restart(lab, open_lesson, screenshots):
    lab.write("judge", SETUP, "judge", "print(tuple(judge.tally()))")
    lesson = open_lesson("judge")
    lesson.run_all()
    judge = Judge(lesson.page)
    expect(judge.status).to_contain_text("Question 1 of 3")
    judge.root.screenshot(path=screenshots / "blind_judge.png")
    judge.button("Left is better" if judge.side_of_the_adapter() == "left" else "Right is better").click()
    expect(judge.status).to_contain_text("Question 2 of 3")
    judge.press("ArrowDown")
    expect(judge.status).to_contain_text("Question 3 of 3")
    judge.press("Backspace")
    expect(judge.status).to_contain_text("Question 2 of 3")
    judge.press("ArrowRight" if judge.side_of_the_adapter() == "left" else "ArrowLeft")  # the base's
    expect(judge.status).to_contain_text("Question 3 of 3")

    lesson.restart()
    expect(judge.root.locator(".asleep")).to_contain_text("Run this lesson's cells again to wake me up")
    expect(judge.button("No difference")).to_be_disabled()
    judge.press("ArrowDown")
    expect(judge.status).to_contain_text("Question 3 of 3")
    lesson.run_all()
    judge = Judge(lesson.page)
    expect(judge.status).to_contain_text("Question 3 of 3")
    assert lesson.saved()["cells"][2]["outputs"][0]["text"] in ("(1, 1, 0, 1)\n", ["(1, 1, 0, 1)\n"])
    judge.press("ArrowDown")
    expect(judge.status).to_contain_text("1 of 2 decided pairs, 1 without a difference")
    expect(judge.root.get_by_role("button", name="No difference")).to_be_disabled()
    judge.root.screenshot(path=screenshots / "blind_judge_done.png")
    assert lesson.errors() == []

    lab.shut_down("judge")
    judge.press("Backspace")
    expect(judge.status).to_contain_text("run this lesson's cells again")
