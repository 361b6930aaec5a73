"""SFT loss: of the trained tokens alone, the same in parts as in one, words and turn ends apart."""

import math

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.model.loss import token_losses
from hamner.model.transformer import build
from hamner.training.reply_loss import ReplyLoss, ReplyObjective, evaluate_replies, mean_loss

COMPUTE = Compute(device="cpu", precision="fp32")


def labelled(rows=4, length=40, seed=0):
    """Random tokens of which some stretches are only read; two turn ends in each row are trained on."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(3, 300, (rows, length), generator=generator)
    tokens[:, 10] = tokens[:, 30] = MESSAGE_END
    tokens[:, 20] = ~END_OF_TEXT
    for row in range(rows):
        tokens[row, : 4 + row] = ~tokens[row, : 4 + row]
        tokens[row, 21:25] = ~tokens[row, 21:25]
    return tokens


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_mean_over_the_trained_tokens(kind):
    hamner, tokens = build(small_model(**KINDS[kind]), 0), labelled()
    loss, _ = ReplyObjective(hamner)(tokens)
    ids = torch.where(tokens < 0, -1 - tokens, tokens)
    each = token_losses(hamner(ids).logits, ids)
    assert loss.item() == pytest.approx(each[tokens[:, 1:] >= 0].mean().item(), rel=1e-5)


def test_a_token_that_is_only_read_has_no_gradient_of_its_own():
    hamner, tokens = build(small_model(), 0), labelled(rows=1)
    loss, _ = ReplyObjective(hamner)(tokens)
    loss.backward()
    before = hamner.final_norm.weight.grad.clone()
    hamner.zero_grad()
    changed = tokens.clone()
    changed[0, 39] = ~changed[0, 39]  # the last one: what stands before it reads the same
    loss, _ = ReplyObjective(hamner)(changed)
    loss.backward()
    count = ReplyObjective.trained_tokens(tokens)
    assert ReplyObjective.trained_tokens(changed) == count - 1
    assert not torch.allclose(hamner.final_norm.weight.grad, before)


def test_parts_weigh_as_much_as_they_have_trained_tokens():
    hamner, tokens = build(small_model(), 0), labelled()
    whole, _ = ReplyObjective(hamner)(tokens)
    parts = [(ReplyObjective(hamner)(part)[0], ReplyObjective.trained_tokens(part)) for part in tokens.chunk(4)]
    assert len({count.item() for _, count in parts}) > 1
    weighed = sum(loss * count for loss, count in parts) / sum(count for _, count in parts)
    assert weighed.item() == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_held_out_words_and_turn_ends_are_counted_apart(batch_size):
    hamner, rows = build(small_model(), 0), labelled(rows=5)
    result = evaluate_replies(hamner, rows, COMPUTE, batch_size=batch_size)
    ids = torch.where(rows < 0, ~rows, rows)
    each, trained = token_losses(hamner(ids).logits, ids), rows[:, 1:] >= 0
    is_end = trained & (ids[:, 1:] == MESSAGE_END)
    assert (result.words, result.ends) == (int(trained.sum() - is_end.sum()), int(is_end.sum()))
    assert result.end_loss == pytest.approx(each[is_end].mean().item(), rel=1e-5)
    assert result.word_loss == pytest.approx(each[trained & ~is_end].mean().item(), rel=1e-5)
    assert result.loss == pytest.approx(each[trained].mean().item(), rel=1e-5)


def test_the_mean_of_sources_is_by_their_shares():
    results = {"a": ReplyLoss(20.0, 10, 0.0, 0), "b": ReplyLoss(40.0, 10, 0.0, 0)}
    assert mean_loss(results, {"a": 0.3, "b": 0.1, "text": 0.6}) == pytest.approx(0.75 * 2 + 0.25 * 4)
    assert "end_loss" not in ReplyLoss(20.0, 10, math.inf, 1).numbers()
