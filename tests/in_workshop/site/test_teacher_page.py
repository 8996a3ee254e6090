"""The page for teachers: no lesson lacks its questions, its sentence or its mistakes; a schedule knows its lessons."""

import html
import re

from course.test_exercises import WRONG

from lora_lessons.course.syllabus import SYLLABUS
from workshop.site import teacher_page
from workshop.site.build import stored


def test_every_lesson_has_its_sentence_its_questions_with_answers_and_all_that_its_checks_know():
    page = teacher_page.page(stored())
    parts = dict(zip(SYLLABUS, re.split(r"^## \[\d\d · ", page, flags=re.M)[1:], strict=True))
    for number, part in parts.items():
        assert re.search(r"\*\*To take home:\*\* .{30,}", part) and re.search(r"\*\*To show live:\*\* .{40,}", part), (
            number
        )
        questions, answers = re.search(
            r"\*\*Recall\*\*\n(.*?)<summary>Answers</summary>(.*?)</details>", part, re.S
        ).groups()
        asked, answered = (re.findall(r"^\d\. .+", text, re.M) for text in (questions, answers))
        assert 1 <= len(asked) == max(1, len(answered)) and len(answers) > 40, number  # one answer has no number
        assert "<!--" not in part, number
        for id, cases in WRONG.items():
            if id.startswith(number):
                shown = re.search(rf"Exercise {id}, .*", part)[0]
                assert all(html.escape(words) in shown for _, words in cases) and shown.count("<pre>") == len(cases)


def test_the_last_schedule_is_the_whole_course_and_its_minutes_are_the_lessons_own():
    page = teacher_page.page(stored())
    *_, six_weeks = page.partition("\n## [")[0].split("### ")
    assert [f"{n} · " in six_weeks for n in SYLLABUS] == [True] * len(SYLLABUS)
    first = re.search(r"Week 1.*?min\"><div>(\d+)<.*?min\"><div>(\d+)<", six_weeks)
    lines = re.findall(r"^Reading (\d+) minutes, exercises (\d+)", page, re.M)[:3]
    assert [*map(int, first.groups())] == [sum(int(line[n]) for line in lines) for n in (0, 1)]
