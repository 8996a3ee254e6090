"""What TRL's own helpers make of a preference is what we make of it: prompt, answers and tokens."""

import json
from types import SimpleNamespace

import pytest
import torch
from chat_templates import CHATML, tokenizer_of

from lora_lessons import tasks
from lora_tools import checking

trl = pytest.importorskip("trl")
data_utils = pytest.importorskip("trl.data_utils")
datasets = pytest.importorskip("datasets")

USER, CHOSEN, REJECTED, RULE, HELLO, SAID = (
    {"role": role, "content": said}
    for role, said in [
        ("user", "Which leaf makes tea?"),
        ("assistant", "Camellia sinensis."),
        ("assistant", "Any leaf will do."),
        ("system", "Be brief."),
        ("user", "Hello."),
        ("assistant", "Good day."),
    ]
)
EXPLICIT = {"prompt": [USER], "chosen": [CHOSEN], "rejected": [REJECTED]}
IMPLICIT = {"chosen": [USER, CHOSEN], "rejected": [USER, REJECTED]}
PAIRS = [
    EXPLICIT,
    {**EXPLICIT, "prompt": [RULE, HELLO, SAID, USER]},
    {**EXPLICIT, "chosen": [CHOSEN, HELLO, SAID]},
    IMPLICIT,
    {"chosen": [RULE, *IMPLICIT["chosen"]], "rejected": [RULE, *IMPLICIT["rejected"]]},
    {"chosen": [HELLO, SAID, *IMPLICIT["chosen"]], "rejected": [HELLO, SAID, *IMPLICIT["rejected"], HELLO, SAID]},
    {"prompt": USER["content"], **IMPLICIT},
]


def ours_of(folder, record):
    (folder / "x.jsonl").write_text(json.dumps(record))
    ((_, pair),) = checking.conversations(folder / "x.jsonl")
    return pair


@pytest.mark.parametrize("record", PAIRS, ids=range(len(PAIRS)))
def test_prompt_and_answers_are_parted_as_trl_parts_them(tmp_path, record):
    ours, theirs = ours_of(tmp_path, record), data_utils.maybe_extract_prompt(dict(record))
    assert {name: ours[name] for name in ("prompt", "chosen", "rejected")} == theirs


def test_a_common_beginning_of_texts_is_trls_up_to_the_word_that_it_cuts(tmp_path):
    record = {"chosen": "Which leaf makes tea? It is Camellia.", "rejected": "Which leaf makes tea? It is Cannabis."}
    ours, theirs = ours_of(tmp_path, record), data_utils.extract_prompt(record)
    assert theirs["prompt"] == "Which leaf makes tea? It is Ca" and theirs["chosen"] == "mellia."
    assert ours["prompt"][0]["content"] == "Which leaf makes tea? It is" and ours["chosen"][0]["content"] == "Camellia."


@pytest.mark.parametrize("record", [one for one in PAIRS if not isinstance(one.get("prompt"), str)], ids=range(6))
def test_the_tokens_of_both_answers_are_those_of_trls_trainer(tmp_path, record):
    """But for the line break behind the end, which TRL teaches too, and all that is said between two answers."""
    tokenizer = tokenizer_of(CHATML)
    tokenizer.eos_token = "<|im_end|>"
    prepare = trl.DPOTrainer._prepare_dataset
    args = trl.DPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None)
    made = prepare(
        SimpleNamespace(_tokenizer=tokenizer), datasets.Dataset.from_list([record]), tokenizer, args, "train"
    )
    for side, one in zip(("chosen", "rejected"), tasks.encode_pair(tokenizer, ours_of(tmp_path, record)), strict=True):
        prompt, answer = made[0]["prompt_ids"], made[0][f"{side}_ids"]
        ids = one.input_ids.tolist()
        assert (prompt + answer)[: len(ids)] == ids and tokenizer.decode((prompt + answer)[len(ids) :]) == "\n"
        taught = torch.nonzero(one.labels != tasks.IGNORED).flatten().tolist()
        assert taught[0] == len(prompt) and taught[-1] == len(ids) - 1
