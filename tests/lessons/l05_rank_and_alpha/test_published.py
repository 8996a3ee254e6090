"""What lesson 05 quotes of others: the same number wherever it stands."""

from lora_lessons.lessons.l05_rank_and_alpha import measured


def test_the_papers_table_is_read_from_the_published_figures():
    table = measured.table_6()
    assert list(table) == ["q", "q, v", "q, k, v, o"] and {tuple(row) for row in table.values()} == {(1, 2, 4, 8, 64)}
