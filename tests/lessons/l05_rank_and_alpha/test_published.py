"""What lesson 05 quotes of others: the same number wherever it stands."""

from lora_lessons.lessons.l05_rank_and_alpha import measured, pictures


def test_the_papers_table_is_drawn_and_told_from_the_published_figures():
    table = measured.table_6()
    assert list(table) == ["q", "q, v", "q, k, v, o"] and {tuple(row) for row in table.values()} == {(1, 2, 4, 8, 64)}
    said, _ = pictures.of_table_6({})
    assert (
        f"from {table['q'][1]}% at rank 1 to {table['q'][4]}% at rank 4" in said
        and "another 0.2 to 0.7, about what its runs differ by. " in said
    )
