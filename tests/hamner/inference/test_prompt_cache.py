"""The prompt cache: which tokens of a next context are read, and that its hidden states are those of the whole."""

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.config.special_tokens import END_OF_TEXT
from hamner.inference.prompt_cache import PromptCache
from hamner.model.transformer import build


def _tokens(count, seed):
    return torch.randint(3, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_differs_is_read_and_the_hidden_states_are_those_of_the_whole(kind):
    hamner = build(small_model(max_seq_len=64, **KINDS[kind]), seed=1).eval().requires_grad_(False)
    first = [*_tokens(9, 0), END_OF_TEXT, *_tokens(20, 1)]
    contexts = {  # context: how many of its tokens are left to read
        "new": (first, 30),
        "longer": ([*first, *_tokens(15, 2)], 15),
        "by one token": ([*first, *_tokens(15, 2), 7], 1),
        "changed in the middle": ([*first[:12], *_tokens(30, 3)], 30),
        "the same": ([*first[:12], *_tokens(30, 3)], 1),
        "shorter": (first[:11], 1),
        "nothing alike": (_tokens(64, 4), 64),
    }
    cache = PromptCache(hamner, 64)
    with torch.no_grad():
        for name, (context, expected) in contexts.items():
            unread = cache.unread(context)
            assert len(unread) == expected, name
            states, (whole, _) = cache.read(unread), hamner.hidden_states(torch.tensor([context]))
            assert cache.length == len(context)
            torch.testing.assert_close(states, whole[0, -expected:], atol=2e-5, rtol=0)


def test_a_reading_that_is_broken_off_leaves_what_was_read_before():
    hamner = build(small_model(max_seq_len=64), seed=1).eval().requires_grad_(False)
    cache, context = PromptCache(hamner, 64), _tokens(30, 0)

    def break_off(*_):
        raise KeyboardInterrupt

    with torch.no_grad():
        cache.read(cache.unread(context[:10]))
        hook = hamner.blocks[1].register_forward_hook(break_off)
        with pytest.raises(KeyboardInterrupt):  # with the first two layers' keys and values written already
            cache.read(cache.unread([*context[:10], *_tokens(20, 5)]))
        hook.remove()
        assert cache.length == 10 and cache.unread(context) == context[10:]
        states, (whole, _) = cache.read(context[10:]), hamner.hidden_states(torch.tensor([context]))
    torch.testing.assert_close(states, whole[0, 10:], atol=2e-5, rtol=0)
