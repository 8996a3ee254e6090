"""One zygote for a worker's reliability tests, and the seed."""

from collections.abc import Iterator

import pytest

from reliability.attacks import Zygote
from reliability.reporting import seed_of


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The process that reads every input in a fork of its own."""
    made = Zygote(tmp_path_factory.mktemp("zygote"))
    yield made
    made.end()


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """--hypothesis-seed, or 0."""
    return seed_of(pytestconfig)
