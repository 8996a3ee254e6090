"""What the tests of the command share."""

import pytest

from lora_tools import cli


@pytest.fixture
def refused(capsys):
    """A function that holds a command to one sentence of ours with these words in it, and to nothing else."""

    def check(words, sentence):
        assert cli.main(words) == cli.EXIT_USER
        said = capsys.readouterr()
        assert sentence in said.err and said.err.count("\n") == 1 and said.err.startswith("lora-lessons: ")
        assert said.out == ""

    return check
