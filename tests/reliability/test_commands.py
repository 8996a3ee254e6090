"""Commands that are killed at random moments, run twice at once, or meet odd circumstances: nothing lost,
nothing half."""

import json
import os

import pytest

from reliability import attacks
from reliability.circumstances import CIRCUMSTANCES
from reliability.commands import COMMANDS
from reliability.reporting import KILLED

STARTS_PROGRAMS = ("run a lesson", "sweep", "export gguf", "prepare the base")
QUICK = [name for name in COMMANDS if COMMANDS[name].quick]


def killed(zygote, name, kills, seed):
    row = attacks.killed(zygote, name, kills, seed)
    wrong = row.pop("wrong")
    if wrong or row["kills"] < kills:
        pytest.fail("\n".join([f"{row}, seed {seed}", *wrong]), pytrace=False)
    return row


@pytest.mark.parametrize("name", QUICK)
def test_a_command_that_was_killed_goes_on_to_the_same_result(name, zygote, seed):
    killed(zygote, name, 3, seed)


@pytest.mark.reliability
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_again_and_again_goes_on_to_the_same_result(name, zygote, seed, record_property):
    row = {"what": name, "kills": 0, "resumed": 0, "lost": COMMANDS[name].kills}
    try:
        row = killed(zygote, name, COMMANDS[name].kills, seed)
    finally:
        record_property(KILLED, json.dumps(row))


def meets(zygote, name, circumstance):
    if CIRCUMSTANCES[circumstance].user and os.getuid() == 0 and name in STARTS_PROGRAMS:
        pytest.skip("whom root becomes may not be allowed to start this Python")
    found = zygote.ask("under", name=name, circumstance=circumstance)
    assert not found["odd"]["error"], found
    assert found["odd"]["same"] or (found["odd"]["said"] and not CIRCUMSTANCES[circumstance].works), found
    assert found["again"]["same"] and not found["files"], found


@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
def test_training_in_odd_circumstances_gives_its_result_or_a_sentence(circumstance, zygote):
    meets(zygote, "train", circumstance)


@pytest.mark.reliability
@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_odd_circumstances_give_the_result_or_a_sentence(name, circumstance, zygote):
    meets(zygote, name, circumstance)


@pytest.mark.parametrize("name", QUICK)
def test_two_at_once_give_the_same_result_or_a_sentence(name, zygote):
    found = zygote.ask("twice", name=name)
    assert not any(one["error"] for one in found["both"]), found
    assert any(one["same"] for one in found["both"]) and all(one["same"] or one["said"] for one in found["both"]), found
    assert not found["files"], found
