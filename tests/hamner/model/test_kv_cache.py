"""The KV cache: hidden states in parts equal those of the whole; what does not fit is refused."""

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.config.special_tokens import END_OF_TEXT
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import build


@pytest.mark.parametrize("kind", KINDS)
def test_cached_hidden_states_equal_those_of_the_whole(kind):
    model = small_model(num_layers=2, max_seq_len=40, **KINDS[kind])
    hamner, cache = build(model, seed=1).eval(), KVCache(model, 99, batch=2)
    tokens = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(0))
    tokens[0, 3], tokens[1, 7], tokens[:, 15] = END_OF_TEXT, END_OF_TEXT, END_OF_TEXT  # within parts and at an edge
    with torch.no_grad():
        whole, _ = hamner.hidden_states(tokens)
        parts = [hamner.hidden_states(part, cache)[0] for part in tokens.split([7, 1, 12, 20], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=0)
    assert cache.length == 40
    with pytest.raises(ValueError, match="41 tokens exceed max_seq_len 40"):
        hamner.hidden_states(tokens[:, :1], cache)


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_cache_continues_each_row_in_several_ways(kind):
    model = small_model(num_layers=2, max_seq_len=40, **KINDS[kind])
    hamner, cache = build(model, seed=1).eval(), KVCache(model, 9, batch=2)
    tokens = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    more = torch.randint(0, 300, (5, 4), generator=torch.Generator().manual_seed(1))
    counts = torch.tensor([3, 2])
    with torch.no_grad():
        hamner.hidden_states(tokens, cache)
        parts, _ = hamner.hidden_states(more, cache.repeated(counts, 13))
        whole, _ = hamner.hidden_states(torch.cat((tokens.repeat_interleave(counts, dim=0), more), dim=1))
    torch.testing.assert_close(parts, whole[:, 9:], atol=2e-5, rtol=0)
    assert cache.length == 9


@pytest.mark.parametrize("masked", [False, True])
def test_a_cache_takes_neither_more_tokens_nor_other_rows_than_it_has_room_for(masked):
    model = small_model(num_layers=1, document_mask=masked)
    hamner = build(model, 0).eval()
    cache = KVCache(model, 5)
    hamner.hidden_states(torch.arange(5)[None], cache)
    with pytest.raises(ValueError, match="1 rows of 6 tokens do not fit a cache of 1 rows of 5"):
        hamner.hidden_states(torch.tensor([[7]]), cache)
    with pytest.raises(ValueError, match="1 rows of 2 tokens do not fit a cache of 3 rows of 5"):
        hamner.hidden_states(torch.tensor([[7, 8]]), KVCache(model, 5, batch=3))
