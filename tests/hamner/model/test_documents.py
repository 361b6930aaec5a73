"""Documents of packed rows, against a count by hand and a loop."""

import math

import pytest
import torch

from hamner.config.special_tokens import END_OF_TEXT
from hamner.model.document_mask import document_ids, document_mask, document_positions, same_document

E = END_OF_TEXT
ROWS = torch.tensor([[5, 6, E, 7, E, E, 8, 9], [E, 5, 6, 7, 8, 9, 5, E], [5, 6, 7, 8, 9, 5, 6, 7]])


def test_an_end_belongs_to_the_document_it_closes():
    assert document_ids(ROWS).tolist() == [[0, 0, 0, 1, 1, 2, 3, 3], [0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
    assert document_ids(ROWS).dtype == torch.int64


def test_positions_count_from_each_document_s_beginning():
    assert document_positions(ROWS).tolist() == [
        [0, 1, 2, 0, 1, 0, 0, 1],
        [0, 0, 1, 2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5, 6, 7],
    ]


def test_only_tokens_of_one_document_see_each_other():
    seen = same_document(ROWS)
    assert seen.shape == (3, 1, 8, 8) and seen.dtype == torch.bool
    assert seen[0, 0].sum().item() == 9 + 4 + 1 + 4
    assert seen[0, 0, 4].nonzero().flatten().tolist() == [3, 4]
    assert seen[2].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_takes_away_the_future_and_other_documents(dtype):
    mask = document_mask(ROWS, 8, dtype)
    assert mask.shape == (3, 1, 8, 8) and mask.dtype == dtype
    assert set(mask.unique().tolist()) == {0, -math.inf}
    seen = [row.nonzero().flatten().tolist() for row in mask[0, 0] == 0]
    assert seen == [[0], [0, 1], [0, 1, 2], [3], [3, 4], [5], [6], [6, 7]]
    assert torch.equal(mask[2, 0] == 0, torch.ones(8, 8).tril() > 0)
    assert torch.equal(document_mask(ROWS, 3, dtype), mask[:, :, 5:])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_loop_over_random_rows_says_the_same(dtype):
    tokens = torch.randint(0, 6, (64, 97), generator=torch.Generator().manual_seed(0)).to(dtype)
    ids, positions = document_ids(tokens), document_positions(tokens)
    for row, of_row, place_in in zip(tokens.tolist(), ids.tolist(), positions.tolist(), strict=True):
        document = place = 0
        for token, said, said_place in zip(row, of_row, place_in, strict=True):
            assert (said, said_place) == (document, place)
            document, place = (document + 1, 0) if token == E else (document, place + 1)


@pytest.mark.parametrize("tokens", [torch.zeros(4, dtype=torch.long), torch.zeros(2, 4), torch.zeros(1, 4) > 0])
def test_what_is_no_batch_of_tokens_is_refused(tokens):
    for function in (document_ids, document_positions, same_document):
        with pytest.raises(ValueError, match=r"tokens must be integers \(B, T\), not"):
            function(tokens)
