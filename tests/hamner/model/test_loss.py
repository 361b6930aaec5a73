"""The shift has one home and points one token ahead."""

import torch
import torch.nn.functional as F

from hamner.config.schema import ModelConfig
from hamner.model.loss import next_token_accuracy, next_token_loss, token_losses
from hamner.model.transformer import build

CYCLE = 23


def _sure(targets):
    return 50.0 * F.one_hot(targets, CYCLE).float()


def test_oracle_logits():
    tokens = torch.arange(40).remainder(CYCLE).repeat(2, 1)
    assert next_token_loss(_sure(tokens.roll(-1, dims=1)), tokens).item() < 1e-6
    assert next_token_loss(_sure(tokens.roll(-2, dims=1)), tokens).item() > 10
    assert token_losses(_sure(tokens), tokens).shape == (2, 39)


def test_weight_is_by_predicted_token():
    tokens = torch.tensor([[0, 1, 2, 3]])
    logits = _sure(torch.tensor([[1, 2, 0, 0]]))  # the last prediction, of token 3, is wrong
    assert next_token_loss(logits, tokens, torch.tensor([[1, 1, 1, 0]])).item() < 1e-6
    assert next_token_loss(logits, tokens, torch.tensor([[0, 0, 0, 1]])).item() > 10


def _train_on_a_cycle(loss_of):
    torch.manual_seed(0)
    hamner = build(
        ModelConfig(vocab_size=CYCLE, hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, intermediate_size=64),
        seed=0,
    )
    step = torch.randint(1, CYCLE, (64, 1), generator=torch.Generator().manual_seed(0))
    tokens = (step * torch.arange(24)).remainder(CYCLE)  # each row counts in its own stride
    adam = torch.optim.AdamW(hamner.parameters(), lr=3e-3)
    for _ in range(150):
        adam.zero_grad()
        loss_of(hamner(tokens).logits, tokens).backward()
        adam.step()
    with torch.no_grad():  # the first token does not tell the stride: accuracy is asked from the third on
        logits = hamner(tokens).logits
    return next_token_accuracy(logits[:, 1:], tokens[:, 1:])


def test_training_on_a_cyclic_sequence_reaches_accuracy_one():
    assert _train_on_a_cycle(next_token_loss) == 1.0


def test_a_doubly_shifted_target_fails_it():
    def shifted_twice(logits, tokens):
        return next_token_loss(logits[:, :-1], tokens[:, 1:])  # data that is already shifted, shifted again

    assert _train_on_a_cycle(shifted_twice) < 0.2
