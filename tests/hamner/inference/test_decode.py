"""Decoding: the single-token path against the general one."""

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.inference.decode import next_hidden_states, use_single_token_path
from hamner.model.kv_cache import KVCache
from hamner.model.layers import RMSNorm
from hamner.model.transformer import build


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_the_single_token_path_equals_the_general_one(kind, kv_heads):
    model = small_model(num_kv_heads=kv_heads, max_seq_len=40, **KINDS[kind])
    hamner, prompt = build(model, seed=1).eval().requires_grad_(False), torch.arange(30, 39)[None]
    single, general = KVCache(model, 40), KVCache(model, 40)
    with torch.no_grad():
        for norm in (part for part in hamner.modules() if isinstance(part, RMSNorm)):
            norm.weight.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(0))
        next_hidden_states(hamner, prompt, single)
        hamner.hidden_states(prompt, general)
        for number in range(40, 60):
            token = torch.tensor([[number]])
            assert use_single_token_path(model, token, hamner.dtype) == (kind == "dense")
            state = next_hidden_states(hamner, token, single)
            torch.testing.assert_close(state, hamner.hidden_states(token, general)[0], atol=1e-5, rtol=0)
    assert single.length == general.length == 29


def test_only_one_token_without_gradients_in_fp32_takes_the_single_token_path():
    model, token = small_model(), torch.tensor([[5]])
    with torch.no_grad():
        assert use_single_token_path(model, token, torch.float32)
        assert not use_single_token_path(model, token.expand(1, 2), torch.float32)
        assert not use_single_token_path(model, token, torch.bfloat16)
    assert not use_single_token_path(model, token, torch.float32)
