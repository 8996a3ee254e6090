"""The rules of plain language: each one broken once, and good answers that break none."""

import pytest

from lora_lessons.tasks import scores
from lora_lessons.tasks.scores.plain_language import INSTRUCTION

CLAUSE = (
    "The Tenant shall remit the monthly rent of $1,950.50 to the Landlord on or before the 5th day of each calendar "
    "month, and shall bear interest of 4% thereon where the same is paid subsequent to 9:30 am."
)
GOOD = "Pay your rent of $1,950.50 by 9:30 am on the 5th. If you are late, you pay 4% interest."


def faults(answer):
    example = {"messages": [{"role": "user", "content": INSTRUCTION + CLAUSE}, {"role": "assistant", "content": GOOD}]}
    return scores.faults("plain_language", answer, example)


@pytest.mark.parametrize(
    "answer", [GOOD, f" {GOOD}\n", GOOD.replace("5th. If you are late, you", "5th. From May on you")]
)
def test_good_answers_break_no_rule(answer):
    assert faults(answer) == []


@pytest.mark.parametrize(
    "answer, advice",
    [
        (GOOD.replace("Pay", "Remit"), "use everyday words for remit"),
        (GOOD.replace("on the", "upon the"), "use everyday words for upon"),
        (GOOD.replace("Pay your", "The Manager wants your"), "write 'you', 'we' or small letters for 'The Manager'"),
        ("Rent is $1,950.50 and is paid by 9:30 am on the 5th. After that, 4% is added.", "speak to the reader"),
        (GOOD.replace("If you are late, you", "You may be late. You"), "write 1 or 2 sentences, not 3"),
        (GOOD[:-1], "end with a full stop"),
        (GOOD.replace("th. If you are", "th, and if you are ever"), "keep a sentence to 20 words, not 21"),
        ("Your rent: $1,950.50, 9:30, 5th, 4%.", "write 8 words or more, not 6"),
        (
            f"{GOOD[:-1]} on top of your rent, and you pay it for each calendar month that you are late with it all.",
            "be shorter than the clause of 38 words",
        ),
        (GOOD.replace("4% interest", "interest"), "keep the numbers 4%"),
        (GOOD.replace("$1,950.50", "$1,950"), "keep the numbers $1,950.50"),
        (GOOD.replace("4% interest", "4% interest for 30 days"), "leave out 30, not in the clause"),
        (GOOD.replace("4% interest", "4% for two days"), "leave out two, not in the clause"),
        ("You owe us $1,950.50 by 9:30 am on the 5th, and then 4% on top.", "name what the clause is about"),
        (GOOD.replace("your rent", "**your rent**"), "use plain ASCII and no markup"),
        (GOOD.replace("$1,950.50 by", "$1,950.50\nby"), "use plain ASCII and no markup"),
        (GOOD.replace("you pay", "you’ll pay"), "use plain ASCII and no markup"),
    ],
)
def test_each_broken_rule_has_its_advice(answer, advice):
    found = faults(answer)
    assert any(line.startswith(advice) for line in found), found


def test_the_clause_itself_and_nothing_at_all_fail():
    assert len(faults(CLAUSE)) > 2
    assert len(faults("")) > 2
