"""Little models of every family, made once a session; write to none of them."""

import pytest
from exporting import little_model


@pytest.fixture(scope="session")
def tiny(base_fp32, tmp_path_factory):
    """A function that makes a little model of a family in a folder: (folder, model, tokenizer)."""
    made = {}

    def make(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind) / f"tiny-{kind}"
            made[kind] = folder, *little_model(kind, folder, base_fp32.tokenizer.chat_template)
        return made[kind]

    return make
