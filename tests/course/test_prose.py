"""Prose quotes only what its sources support, and a number that says nothing of its source is found."""

import re

import pytest
from prose_checks import calculated, free_numbers, prose_problems
from sources import Sources, read, texts

from lora_lessons.course import prose, published
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.records import MIME, records_of
from lora_lessons.lessons import all_claims
from lora_lessons.paths import course_root
from lora_tools import papers

LESSONS = [p.stem for p in [*lessons(), *side_trips()]]
CLAIMS = [pytest.param(claim, id=f"{claim.id}-{claim.lesson}") for claim in all_claims()]
FRONT = [course_root() / "README.md", *sorted((course_root() / "docs").glob("*.md"))]
README = "\n\n".join(page.read_text(encoding="utf-8") for page in FRONT)


def problems(lesson, notebook, shown=None):
    """What is wrong with a lesson's prose, held against its baseline, or against what is `shown` instead."""
    known, code = Sources(lesson), "\n".join(texts(notebook, "code"))
    known.mine |= shown or {}
    return [p for source in texts(notebook) for p in prose_problems(source, known, code)]


def package():
    """Every line of both packages, and their settings."""
    doors = [course_root() / name for name in ("lora_lessons", "lora_tools")]
    files = [course_root() / "pyproject.toml", *(file for door in doors for file in sorted(door.rglob("*.py")))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def sentence(claim):
    """What a verdict's card says, without the numbers that its records fill in."""
    return re.sub(r"\{[^}]*\}", "…", claim.sentence)


def readme():
    """What README and docs say themselves: what `python -m workshop readme` makes is held against its
    sources by tests of its own."""
    own = re.sub(r"<!-- `python -m workshop readme` makes.*?<!-- end of [^>]*-->", "", README, flags=re.S)
    return re.sub(r"!\[.*?\]\(", "(", own)  # what a picture shows is said by whoever draws it


@pytest.mark.parametrize("lesson", LESSONS)
def test_prose_quotes_only_what_its_sources_support(lesson):
    assert problems(lesson, read(lesson)) == []


def besides_its_outputs(lesson, notebook):
    """What is wrong with prose that is held against the lesson's stored outputs instead of its baseline.

    A stored output may lie anywhere in its record's band, but a reader sees it beside the sentence:
    it must round to the same.
    """
    return problems(lesson, notebook, {name: record.value for name, record in records_of(notebook).items()})


@pytest.mark.parametrize("lesson", LESSONS)
def test_prose_says_what_the_outputs_beside_it_show(lesson):
    assert besides_its_outputs(lesson, read(lesson)) == [], (
        "the sentence, or the output stored beside it, is wrong: if the record's baseline is the output's, mend the "
        "sentence; if not, lora-lessons run LESSON --update-baselines --update-notebooks"
    )


def test_an_output_of_another_run_is_noticed():
    """Sabotage: one stored record of 09_many_adapters within what its baseline allows, and not what its sentence
    says."""
    notebook = read("09_many_adapters")
    table = next(
        o for c in notebook.cells for o in c.get("outputs", []) if "speed.times" in str(o.get("data", {}).get(MIME))
    )
    table["data"][MIME][0]["value"] *= 1.2
    assert "is quoted for speed.times" in besides_its_outputs("09_many_adapters", notebook)[0]


def passed_off_as_true_everywhere(text, names):
    """The numbers of a text that are records of `names`, which depend on the machine,
    in sentences that do not say so."""
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z*(])|\n\n", text):
        for quoted in prose.quoted_numbers(sentence):
            if names & set(re.findall(r"[\w.:]+", quoted.what)) and not re.search(r"\bour run\b", sentence):
                yield quoted.number


@pytest.mark.parametrize("lesson", LESSONS)
def test_what_depends_on_the_machine_is_quoted_as_of_our_run(lesson):
    names = set(Sources(lesson).of_one_run)
    assert [n for source in texts(read(lesson)) for n in passed_off_as_true_everywhere(source, names)] == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("In our run it was 1.2<!--record a.b--> times as fast.", []),
        ("It is 1.2<!--record a.b--> times as fast. In our run it was slow.", ["1.2"]),
        ("It takes 2.4<!--calc 2 * a.b--> s.", ["2.4"]),
        ("It takes 2.4<!--record c--> s.", []),
    ],
)
def test_a_number_of_one_machine_that_does_not_say_so_is_found(text, found):
    assert list(passed_off_as_true_everywhere(text, {"a.b"})) == found


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_verdicts_sentence_quotes_only_what_its_sources_support(claim):
    assert prose_problems(sentence(claim), Sources(claim.lesson)) == []


def test_the_readme_quotes_only_what_its_sources_support():
    assert prose_problems(readme(), Sources(), package()) == []


def test_every_published_figure_is_quoted():
    quoting = [text for lesson in LESSONS for text in texts(read(lesson))]
    quoting += [readme(), *(claim.sentence for claim in all_claims())]
    numbers = [q for text in quoting for q in prose.quoted_numbers(text)]
    found = [q.what for q in numbers if q.kind == "published"]
    found += [row for q in numbers if q.kind == "calc" for row in re.findall(r"published:([\w.]+)", q.what)]
    quoted = {re.sub(r"\.(low|high)$", "", row) for row in found}
    pages = "\n".join(cell.source for lesson in LESSONS for cell in read(lesson).cells if cell.cell_type == "code")
    used = re.findall(r'(?:published\.column|\bfigure)\("([\w.]+)"', package() + pages)
    rows = published.figures()
    assert [row for row in rows if row not in quoted and not f"{row}.".startswith(tuple(f"{u}." for u in used))] == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("It took 3.4 s, 12 ms a step.", ["3.4", "12"]),
        ("It cut 97% of it, and 12 MB.", ["97", "12"]),
        ("Rank 8 of 576, r = 64, lesson 03, the paper's section 7.2.", []),
        ("`0.5` and $0.25$ and $$1.5$$ are code and formulas", []),
        ("8.4<!--record a.b--> nats, 62.0<!--published LoRA Table 7-->", []),
        ("see [1.5](https://example.org/2.5)", ["1.5"]),
        ("Llama-3.1-8B is a name, -3.1 is a number", ["-3.1"]),
        ("It cuts 90–99%, or 90–99%<!--published glossary.cut_percent-->.", ["99"]),
    ],
)
def test_numbers_that_look_measured_are_found(text, found):
    assert free_numbers(text) == found


def test_quoted_numbers_are_compared_at_their_own_digits_and_published_ones_as_they_were_printed():
    values = {"a": 8.449, "share": 0.4512, "ratio": 2.17, "n": 19_988_480}
    values |= {"published:a.share": 20, "published:a.range": [90, 99], "published:a.loss": 0.870}
    good = (
        "8.4<!--record a--> 8.45<!--record a--> 45%<!--record share--> 45.1%<!--record share--> 2.2×<!--record "
        "ratio--> 19,988,480<!--record n-->20%<!--published a.share--> 90–99%<!--published a.range--> "
        "0.870<!--published a.loss-->"
    )
    assert prose_problems(good, values) == []
    for bad in (
        "8.5<!--record a-->",
        "46%<!--record share-->",
        "1<!--record absent-->",
        "2<!--calc lesson minutes-->",
        "21%<!--published a.share-->",
        "80–99%<!--published a.range-->",
        "90–98%<!--published a.range-->",
        "99%<!--published a.range-->",
        "10–20%<!--published a.share-->",
        "0.871<!--published a.loss-->",
        "20%<!--published somebody-->",
    ):
        assert len(prose_problems(bad, values)) == 1, bad


def test_calculations_are_arithmetic_over_what_has_a_source():
    values = {"a.b": 16, "09_merging:x.y": 0.5, "published:c.d": 8, "lesson minutes": 3, "yes": True, "word": "8×8"}
    for expression, value in {
        "4 + 32/64": 4.5,
        "-(2 - 5) ** 2": -9,
        "65e9 * (0.5 - 0.127) / 8 / 1e9": 3.030625,
        "a.b / sqrt(published:c.d)": 5.656854,
        "exp(09_merging:x.y) - 1": 0.648721,
        "lesson minutes": 3,
    }.items():
        assert calculated(expression, values) == pytest.approx(value), expression
    for expression in (
        "__import__('os')",
        "exp(1, 2)",
        "a.b if 1 else 2",
        "sin(2)",
        "lesson 08's",
        "word",
        "[1]",
        "1 +",
    ):
        with pytest.raises((KeyError, ValueError)):
            calculated(expression, values)


def test_a_number_from_code_stands_in_the_code():
    text = "8<!--code held_out[:8]-->"
    assert prose_problems(text, {}, "x = task.held_out[:8]") == []
    assert "which no cell of the lesson holds" in prose_problems(text, {}, "x = held_out[:9]")[0]
    assert "which says otherwise" in prose_problems(text.replace("8<", "9<"), {}, "x = held_out[:8]")[0]


def test_a_row_that_is_missing_is_named(course):
    (course / "data" / "published.toml").write_text('[a]\nsource = "A. Author"\nb = [1, 2]\n', encoding="utf-8")
    assert published.figures() == {"a.b": [1, 2]} and published.figure("a.b.high") == 2
    assert published.column("a") == {"b": [1, 2]}
    with pytest.raises(KeyError, match="no row 'a.c': add it there with its source"):
        published.figure("a.c")
    with pytest.raises(KeyError, match="no group 'c'"):
        published.column("c")
    (course / "data" / "published.toml").write_text("[a\n", encoding="utf-8")
    with pytest.raises(ValueError, match="published.toml is not valid TOML .*restore it from git"):
        published.figures()


def test_every_group_of_published_figures_names_its_source():
    text = (course_root() / "data" / "published.toml").read_text(encoding="utf-8")
    for head, body in re.findall(r"^\[([\w.]+)\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S):
        assert body.startswith('source = "'), head


def test_a_source_is_not_read_and_each_bound_number_can_be_shown_in_another_way():
    text = "a 2.8%<!--record a.b--> b 1–2<!--published c--> c 3.0"
    assert prose.without_sources(text) == "a 2.8% b 1–2 c 3.0"
    shown = prose.with_sources(text, lambda quoted, reads: f"[{reads}|{quoted.kind} {quoted.what}|{quoted.low}]")
    assert shown == "a [2.8%|record a.b|None] b [1–2|published c|1] c 3.0"


def test_the_names_of_an_arithmetic_can_be_shown_in_another_way():
    marked = prose.with_names("exp(10_gptq_and_awq:table.rtn) - 2e9 * sqrt(published:a.b)", lambda name: f"<{name}>")
    assert marked == "exp(<10_gptq_and_awq:table.rtn>) - 2e9 * sqrt(<published:a.b>)"
    assert prose.with_names("lesson minutes", str.upper) == "LESSON MINUTES"


def test_a_published_figure_keeps_its_digits_and_names_its_group():
    mmlu = published.figure("qlora.table_4.bf16")
    assert published.as_printed(mmlu) == "53.0" and mmlu == 53
    assert published.as_printed(published.figure("glossary.cut_percent")) == "90–99"
    assert published.as_printed(published.figure("svd_llm.plain_svd")) == "20,061"
    assert published.group_of("lora.table_6.q, v.1") == "lora.table_6"
    assert published.about("svd_llm.intact")["url"] == "https://arxiv.org/abs/2403.07378"
    with pytest.raises(KeyError):
        published.about("no.such")


@pytest.mark.parametrize("lesson", LESSONS)
def test_what_a_lesson_says_of_a_papers_claim_is_its_verdict(lesson):
    verdicts = {row.id: row.verdict for row in papers.rows()}
    for source in texts(read(lesson)):
        for id, verdict in re.findall(r"(P\d\d) of `lora-lessons claims`: ((?:(?:not )?seen|this run)[ a-z]*)", source):
            assert verdicts[id] == verdict
