"""What every test of training has: a few conversations to learn from."""

import pytest
from short_run import make_examples


@pytest.fixture
def examples():
    return make_examples()
