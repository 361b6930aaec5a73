"""Continuous batching: streams side by side give what each gives alone, whatever the model and their lengths."""

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.inference.continuous_batch import FEW, Part, last_hidden_states
from hamner.inference.decode import next_hidden_states
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import build

# tokens of each stream in each round: prompts in pieces of any length, 0 (an end of text) among them, then one each
ROUNDS = [[[5, 6, 7], [8], [9, 0, 11, 12, 13]], [[14], [15], [16, 17]], [[18], [19, 20, 21], [22]], [[23], [24], [25]]]


@pytest.mark.parametrize("kind", KINDS)
def test_streams_side_by_side_are_as_each_alone(kind):
    model = small_model(max_seq_len=40, **KINDS[kind])
    hamner = build(model, seed=1).eval()
    together, alone = ([KVCache(model, 20) for _ in range(3)] for _ in range(2))
    with torch.inference_mode():
        for tokens in ROUNDS:
            states = last_hidden_states(hamner, [Part(t, cache) for t, cache in zip(tokens, together, strict=True)])
            single = [
                next_hidden_states(hamner, torch.tensor([t]), cache)[0, -1]
                for t, cache in zip(tokens, alone, strict=True)
            ]
            torch.testing.assert_close(states, torch.stack(single), atol=1e-5, rtol=0)
    assert [cache.length for cache in together] == [6, 6, 9]


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_few_streams_one_after_the_other_and_more_together_are_the_same(count):
    model = small_model(max_seq_len=40)
    hamner = build(model, seed=1).eval()
    caches = [KVCache(model, 9) for _ in range(FEW + 1)]
    with torch.inference_mode():
        for place, cache in enumerate(caches):
            last_hidden_states(hamner, [Part([3 + place] * (place + 2), cache)])
        states = last_hidden_states(hamner, [Part([7], cache) for cache in caches[:count]])
        whole = [hamner.hidden_states(torch.tensor([[3 + n] * (n + 2) + [7]]))[0][0, -1] for n in range(count)]
    torch.testing.assert_close(states, torch.stack(whole), atol=1e-5, rtol=0)


def test_a_full_cache_is_an_error_and_no_longer_text():
    model = small_model(max_seq_len=40)
    hamner, caches = build(model, seed=1).eval(), [KVCache(model, 2) for _ in range(3)]
    with torch.inference_mode(), pytest.raises(ValueError, match="do not fit a cache"):
        last_hidden_states(hamner, [Part([1, 2, 3], cache) for cache in caches])
