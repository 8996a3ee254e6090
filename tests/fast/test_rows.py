"""One row for a batch: each token once, each in its place, and what is taught where it was."""

import pytest
import torch

from lora_lessons.fast.rows import Rows, common_prefix, conversations
from lora_lessons.tasks import IGNORED, Encoded, pack

CPU = torch.device("cpu")


def chat(prompt, answer):
    return Encoded(torch.tensor(prompt + answer), torch.tensor([IGNORED] * len(prompt) + answer))


BATCH = [chat([1, 2, 3, 4], [5, 6]), chat([1, 2, 3, 9, 9], [7]), chat([1, 2, 8], [9, 9, 9, 2])]


def test_the_shared_prefix_is_there_once_and_everything_else_in_order():
    rows = Rows(BATCH, CPU)
    assert rows.shared == 2
    assert rows.input_ids.tolist() == [1, 2, 3, 4, 5, 6, 3, 9, 9, 7, 8, 9, 9, 9, 2]
    assert rows.positions.tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 2, 3, 4, 5, 6]


def test_what_is_taught_is_the_next_token_within_a_conversation():
    for share in (True, False):
        rows = Rows(BATCH, CPU, share)
        before = rows.input_ids[rows.supervised].tolist()
        assert list(zip(before, rows.labels.tolist(), strict=True)) == [
            (4, 5), (5, 6), (9, 7), (8, 9), (9, 9), (9, 9), (9, 2),
        ]  # fmt: skip


def test_every_answer_of_a_chat_is_taught_and_what_is_shared_ends_before_the_first():
    opening = [1, 2, 3]
    first = Encoded(torch.tensor([*opening, 4, 5, 6, 7, 8]), torch.tensor([IGNORED] * 3 + [4, IGNORED, IGNORED, 7, 8]))
    other = Encoded(torch.tensor([*opening, 4, 5, 9]), torch.tensor([IGNORED] * 3 + [4, IGNORED, 9]))
    taught = [(3, 4), (6, 7), (7, 8), (3, 4), (5, 9)]
    for batch in ([first, other], pack([first, other], 20)):
        rows = Rows(batch, CPU)
        before = rows.input_ids[rows.supervised].tolist()
        assert list(zip(before, rows.labels.tolist(), strict=True)) == taught and rows.shared == 2


def test_the_grid_finds_every_token_and_inside_finds_it_back():
    rows = Rows(BATCH, CPU)
    own = rows.input_ids[rows.shared :]
    assert own[rows.grid].flatten()[rows.inside].equal(own)
    assert [own[line][: len(one.input_ids) - 2].tolist() for line, one in zip(rows.grid, BATCH, strict=True)] == [
        one.input_ids[2:].tolist() for one in BATCH
    ]


def test_a_token_sees_the_prefix_and_its_own_past():
    rows = Rows(BATCH, CPU)
    assert rows.sees.shape == (5, 2 + 5)
    assert Rows(BATCH, CPU, share=False).sees is None, "each looks at its own past: PyTorch knows that without a mask"
    assert rows.sees[:, :2].all() and rows.sees[:, 2:].equal(torch.ones(5, 5, dtype=torch.bool).tril())


def test_a_prefix_ends_before_anything_is_taught_and_at_the_first_difference():
    """The token before an answer predicts its first token, so it stays with its conversation;
    a single chat shares none.

    What is equal again behind a difference is no longer the same past.
    """
    same = [chat([1, 2, 3], [4]), chat([1, 2, 3], [5])]
    assert common_prefix([(one.input_ids, one.labels) for one in same]) == 2
    assert Rows(same[:1], CPU).shared == 0 and Rows(same, CPU, share=False).shared == 0
    one, other = chat([1, 2, 3, 4], [5]), chat([1, 9, 3, 4], [6])
    assert common_prefix([(each.input_ids, each.labels) for each in (one, other)]) == 1


def test_a_packed_row_falls_back_into_its_conversations():
    packed = pack(BATCH, 20)
    assert len(packed) == 1
    apart = conversations(packed[0])
    assert [ids.tolist() for ids, _ in apart] == [one.input_ids.tolist() for one in BATCH]
    assert Rows(packed, CPU).input_ids.equal(Rows(BATCH, CPU).input_ids)
    assert Rows(packed, CPU).labels.equal(Rows(BATCH, CPU).labels)


@pytest.mark.parametrize("positions", [[1, 2, 0, 1], [0, 1, 3, 0], [0, 0, 2, 3]])
def test_positions_that_do_not_count_are_refused(positions):
    row = Encoded(torch.arange(4), torch.full((4,), IGNORED), torch.tensor(positions))
    with pytest.raises(ValueError, match="must count 0, 1, 2"):
        conversations(row)
