"""Each sabotage turns a test red, in less than a minute; and what is no finding is not taken for one."""

import re

import pytest

from lora_lessons.experiments import recordings
from sabotage.running import AT_MOST, ROOT, Course, Ran, run, sabotaged
from sabotage.sabotages import SABOTAGES, Sabotage

# Tried by `make test`; the others by `pytest -m sabotage`.
SAMPLE = {
    "a text is written in place, and a kill leaves half of it",
    "every measured number is inside its band",
    "a record that is gone is not missed",
}


@pytest.fixture(scope="module")
def course(request, tmp_path_factory):
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    chosen = [call.params["sabotage"] for call in calls if call and "sabotage" in call.params]
    return Course(tmp_path_factory.mktemp("course"), chosen)


def in_words(sabotage):
    return pytest.param(sabotage, id=sabotage.what, marks=pytest.mark.sabotage(sample=sabotage.what in SAMPLE))


@pytest.mark.parametrize("sabotage", [in_words(one) for one in SABOTAGES])
def test_it_is_noticed(sabotage, course):
    ran = course.try_it(sabotage)
    if ran.skipped:
        pytest.skip(f"NOT TESTED HERE: {sabotage.tests[0]} needs something that is not here")
    assert ran.red, f"no test noticed that {sabotage.what}:\n{ran.said}"
    assert ran.processor < AT_MOST, f"{ran.failed} takes too long to notice it: name a quicker test"


def test_each_has_a_sentence_of_its_own_and_still_fits_its_file():
    assert len({one.what for one in SABOTAGES}) == len(SABOTAGES) >= 36
    assert {one.what for one in SABOTAGES} >= SAMPLE
    for one in SABOTAGES:
        assert (ROOT / one.file).read_text(encoding="utf-8").count(one.old) == 1 and one.new != one.old, one.what
        for test in one.tests:
            file, *names = re.sub(r"\[.*", "", test).split("::")
            text = (ROOT / file).read_text(encoding="utf-8")
            assert all(f"def {name}(" in text for name in names), f"{one.what}: no {test}"


def test_the_recording_tells_of_every_sabotage():
    """The tables of docs/evidence.md count what it holds."""
    recorded = {row["what"] for row in recordings.recorded("sabotages")["rows"]}
    assert recorded == {one.what for one in SABOTAGES}, "cd tests && python -m sabotage.running --new"


@pytest.mark.parametrize(
    ("ran", "red"),
    [
        (Ran(1, 1.0, 1.0, "tests/test_lora.py::test_x", ""), True),
        (Ran(1, 1.0, 1.0, "", "ERROR at setup of test_x"), False),
        (Ran(2, 1.0, 1.0, "", "errors during collection"), False),
        (Ran(0, 1.0, 1.0, "", "1 passed"), False),
    ],
)
def test_only_a_test_that_failed_is_a_finding(ran, red):
    assert ran.red == red


@pytest.fixture
def little(tmp_path):
    """A course of one module and two tests."""
    (tmp_path / "two.py").write_text("def two():\n    return 1 + 1\n")
    (tmp_path / "test_two.py").write_text(
        "from two import two\n\ndef test_it(): assert two() == 2\n\ndef test_no(): ...\n"
    )
    return tmp_path


def test_a_copy_is_sabotaged_for_as_long_as_its_tests_run(little):
    tests = ("test_two.py",)
    assert run(little, tests).status == 0
    with sabotaged(little, Sabotage("two is three", "two.py", "1 + 1", "1 + 2", tests)):
        ran = run(little, tests)
    assert ran.red and ran.failed == "test_two.py::test_it"
    with sabotaged(little, Sabotage("it cannot be read", "two.py", "return", "return)", tests)):
        assert not run(little, tests).red, "a file that cannot be imported is found by whoever starts Python"
    assert run(little, tests).status == 0
    with (
        pytest.raises(ValueError, match=r"holds '1' 2 times: bring 'too vague' up to date"),
        sabotaged(little, Sabotage("too vague", "two.py", "1", "2", tests)),
    ):
        pass
