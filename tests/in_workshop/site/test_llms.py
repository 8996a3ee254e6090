"""llms.txt: llmstxt.org's form, every lesson, tool and page for programs, and links that lead somewhere."""

import re

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.paths import course_root
from lora_tools.cli.as_json import SCHEMAS
from workshop.badges import address
from workshop.site import build, llms

LINK = re.compile(r"- \[(?P<name>[^\]]+)\]\((?P<to>[^)\s]+)\)(?:: \S.*)?")


def test_it_has_the_form_of_llmstxt_org():
    heading, summary, details, *sections = llms.text(build.stored()).strip().split("\n\n")
    assert re.fullmatch("# .+", heading) and re.fullmatch("> .+", summary) and not re.match("[#>-]", details)
    assert [re.fullmatch("## .+", section) is not None for section in sections] == [True, False] * (len(sections) // 2)
    assert all(LINK.fullmatch(line) for listed in sections[1::2] for line in listed.splitlines())
    assert sections[-2] == "## Optional"


def test_every_lesson_tool_and_page_for_programs_is_in_it_once():
    names = [link["to"] for link in LINK.finditer(llms.text(build.stored()))]
    assert len(names) == len(set(names))
    here = [
        *(f"lessons/{path.stem}.html" for path in lessons()),
        *(f"lessons/deeper/{path.stem}.html" for path in side_trips()),
    ]
    assert [name for name in names if re.match(r"lessons/(deeper/)?\d", name)] == here
    listed = {name.rpartition("/")[2] for name in names}
    assert listed >= {*llms.DOCS, *(file.name for file in SCHEMAS.glob("*.json"))} - {"error.json"}


def test_its_links_lead_to_pages_of_the_site_and_files_of_the_repository(site):
    text = (site / llms.NAME).read_text(encoding="utf-8")
    repository = f"{address()}/blob/main/"
    targets = [link["to"] for link in LINK.finditer(text)]
    places = [course_root() / to.removeprefix(repository) if to.startswith(repository) else site / to for to in targets]
    assert len(places) > 40 and [place for place in places if not place.is_file()] == []
