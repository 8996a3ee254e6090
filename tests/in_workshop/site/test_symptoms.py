"""The list of symptoms on the web: the repository's page, with tables that a phone and the filter know."""

import html

from lora_lessons.paths import course_root
from lora_tools.symptoms import ALIKE
from workshop.site import lessons


def test_each_table_stands_in_a_box_and_no_row_is_lost():
    page = lessons.symptoms_page(["12_bug_museum", "deeper/12_text_and_loss", "deeper/12_training_and_files"])
    source = (course_root() / "notebooks" / "symptoms.md").read_text(encoding="utf-8")
    assert page.count('">\n\n|') == page.count("\n\n</div>\n") == source.count("|---|---|") == 3
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        line for line in source.splitlines() if line.startswith("|")
    ]
    assert page.count("(exhibit-") == source.count('<a id="exhibit-') > 20


def test_the_filter_has_the_words_that_the_command_takes_for_one():
    page = lessons.symptoms_page([])
    assert page.count(f'<div class="symptoms" data-alike="{html.escape(",".join(ALIKE))}">') == 3
    assert "alike:" not in page and not any("," in line for line in ALIKE)
