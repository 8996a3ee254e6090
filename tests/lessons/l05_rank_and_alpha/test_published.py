"""What lesson 05 quotes of others: the same number wherever it stands."""

import inspect

from lora_lessons.course import published
from lora_lessons.experiments.sweep import table
from lora_lessons.lessons.l05_rank_and_alpha import exercises, measured, pictures


def test_students_t_is_the_same_in_the_table_in_the_sweep_and_in_the_checks_words():
    factor = published.figure("student_t.two_degrees")
    assert table._T[3] == factor
    assert inspect.getsource(exercises).count(f"{factor} · s/√3") == inspect.getsource(exercises).count("· s/√3") > 0


def test_the_papers_table_is_drawn_and_told_from_the_published_figures():
    table = measured.table_6()
    assert list(table) == ["q", "q, v", "q, k, v, o"] and {tuple(row) for row in table.values()} == {(1, 2, 4, 8, 64)}
    said, _ = pictures.of_table_6({})
    assert (
        f"from {table['q'][1]}% at rank 1 to {table['q'][4]}% at rank 4" in said
        and "another 0.2 to 0.7, about what its runs differ by. " in said
    )
