"""The transformer against code we did not write, transformers' Llama and Mixtral; its weights as they are drawn."""

import math

import pytest
import torch
from hugging_face import hugging_face
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from hamner.config.errors import BadInput
from hamner.config.presets import CONTESTANTS, shrink
from hamner.config.schema import ModelConfig, Size
from hamner.model.attention import ATTENTIONS
from hamner.model.loss import next_token_loss
from hamner.model.transformer import build, decayed_parameters

SMALL = ModelConfig(vocab_size=320, hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, intermediate_size=96)
TOKENS = torch.randint(0, 320, (2, 40), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_logits_equal_llama():
    ours = build(SMALL, seed=3)
    theirs = hugging_face(ours, LlamaConfig, LlamaForCausalLM)
    torch.testing.assert_close(ours(TOKENS).logits, theirs(TOKENS).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_logits_equal_mixtral():
    ours = build(SMALL.model_copy(update={"num_experts": 8, "num_active_experts": 2}), seed=3)
    theirs = hugging_face(
        ours, MixtralConfig, MixtralForCausalLM, num_local_experts=8, num_experts_per_tok=2, sliding_window=None
    )
    torch.testing.assert_close(ours(TOKENS).logits, theirs(TOKENS).logits, atol=1e-4, rtol=0)
    loss = theirs(TOKENS, labels=TOKENS).loss
    torch.testing.assert_close(next_token_loss(ours(TOKENS).logits, TOKENS), loss, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_starts_at_unit_scale_and_trains_one_step(name):
    model = shrink(CONTESTANTS[name], Size(divide=4, vocab_size=2048))
    hamner = build(model, seed=0)
    tokens = torch.randint(0, 2048, (2, 64), generator=torch.Generator().manual_seed(0))
    embedded = hamner.embed(tokens)
    assert embedded.square().mean().item() == pytest.approx(1.0, abs=1e-3)
    out = hamner(tokens)
    loss = next_token_loss(out.logits, tokens)
    assert loss.item() == pytest.approx(math.log(2048), abs=0.3)
    assert (out.balance_loss.item() > 0.005 * model.num_layers) == (model.num_experts > 1)
    (loss + out.balance_loss).backward()
    for weight_name, weight in hamner.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), weight_name


def test_no_position_sees_the_future():
    for kind in ATTENTIONS:
        hamner = build(SMALL.model_copy(update={"attention": kind, "num_experts": 4, "num_active_experts": 2}), 1)
        changed = TOKENS.clone()
        changed[:, 20:] = (changed[:, 20:] + 7) % 320
        with torch.no_grad():
            a, b = hamner(TOKENS).logits, hamner(changed).logits
        torch.testing.assert_close(a[:, :20], b[:, :20], atol=1e-5, rtol=0)
        assert (a[:, 20:] - b[:, 20:]).abs().max() > 0.1


def test_activation_checkpointing_changes_no_gradient():
    model = SMALL.model_copy(update={"attention": "differential", "num_experts": 4, "num_active_experts": 2})
    gradients = []
    for on in (False, True):
        hamner = build(model, 1, activation_checkpointing=on)
        out = hamner(TOKENS)
        (next_token_loss(out.logits, TOKENS) + out.balance_loss).backward()
        gradients.append([w.grad for w in hamner.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


def test_activation_checkpointing_keeps_no_state_of_a_generator_that_nobody_draws_from(monkeypatch):
    """On a card each block's forward and backward would copy it."""
    states, state = [], torch.get_rng_state
    monkeypatch.setattr(torch, "get_rng_state", lambda: states.append(1) or state())
    out = build(SMALL, 1, activation_checkpointing=True)(TOKENS)
    next_token_loss(out.logits, TOKENS).backward()
    assert states == []


def test_decay_spares_norms_embedding_and_lambda():
    hamner = build(SMALL.model_copy(update={"attention": "differential", "num_experts": 4}), 1)
    spared = {name for name, _, decays in decayed_parameters(hamner) if not decays}
    assert {n.split(".")[-1] for n in spared} == {"weight", "lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"}
    assert all("norm" in n or "embedding" in n or "lambda" in n for n in spared)
    assert not any("norm" in n or "lambda" in n for n, _, decays in decayed_parameters(hamner) if decays)


def test_an_impossible_config_names_every_problem():
    with pytest.raises(BadInput) as caught:
        build(SMALL.model_copy(update={"num_heads": 7, "num_active_experts": 3}), 0)
    assert len(caught.value.problems) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTESTANTS)
def test_full_size_forward_and_backward(name):
    """1 × 16 tokens on the CPU; the half-billion ones need about 9 GB."""
    model = CONTESTANTS[name]
    hamner = build(model, seed=0)
    tokens = torch.randint(0, model.vocab_size, (1, 16), generator=torch.Generator().manual_seed(0))
    out = hamner(tokens)
    loss = next_token_loss(out.logits, tokens)
    assert loss.item() == pytest.approx(math.log(model.vocab_size), abs=0.5)
    (loss + out.balance_loss).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in hamner.parameters())
