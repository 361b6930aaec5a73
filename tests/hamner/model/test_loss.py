"""The shift has one home and points one token ahead."""

import pytest
import torch
import torch.nn.functional as F

from hamner.config.schema import ModelConfig
from hamner.model.kernels import head_loss as kernel
from hamner.model.loss import head_loss, head_losses, next_token_accuracy, next_token_loss, token_losses
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


@pytest.mark.parametrize("pieces", [64, 128, 10_000])  # tokens whose logits exist at a time
@pytest.mark.parametrize("weighted", [False, True])
def test_the_head_s_loss_and_gradients_equal_those_of_whole_logits(monkeypatch, pieces, weighted):
    monkeypatch.setattr("hamner.model.kernels.head_loss.rows_of_logits", lambda vocab, most=0: pieces)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 70, 24, generator=generator).requires_grad_()
    head = torch.randn(50, 24, generator=generator).requires_grad_()
    tokens = torch.randint(0, 50, (3, 70), generator=generator)
    weight = torch.randint(0, 2, (3, 70), generator=generator) if weighted else None
    ours, theirs = head_loss(hidden, head, tokens, weight), next_token_loss(hidden @ head.T, tokens, weight)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    gradients = [torch.autograd.grad(3 * loss, (hidden, head)) for loss in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        head_losses(hidden, head, tokens), token_losses(hidden @ head.T, tokens), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("pieces", [128, 10_000])
@pytest.mark.parametrize("vocab", [300, 513, 900, 1024])
def test_the_head_s_loss_in_bf16_is_near_that_of_fp32(monkeypatch, pieces, vocab):
    monkeypatch.setattr("hamner.model.kernels.head_loss.rows_of_logits", lambda vocab, most=0: pieces)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(4, 300, 64, generator=generator).requires_grad_()
    head = (torch.randn(vocab, 64, generator=generator) / 8).requires_grad_()
    tokens = torch.randint(0, vocab, (4, 300), generator=generator)
    exact = next_token_loss(hidden @ head.T, tokens)
    rounded = head_loss(hidden.bfloat16(), head, tokens)
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() - exact.item()) < 1e-3
    for one, other in zip(
        torch.autograd.grad(rounded, (hidden, head)), torch.autograd.grad(exact, (hidden, head)), strict=True
    ):
        assert one.dtype == torch.float32
        assert ((one - other).norm() / other.norm()).item() < 0.01


def test_a_certain_mistake_costs_a_finite_loss():
    hidden, tokens = torch.tensor([[[200.0], [1.0]]]), torch.tensor([[0, 1]])
    assert 80 < head_loss(hidden, torch.tensor([[1.0], [0.0]]), tokens).item() < 201


@pytest.mark.parametrize("vocab", [300, 513, 1000, 32_001])
def test_what_lies_between_the_rows_of_a_turned_head_reaches_no_gradient(monkeypatch, vocab):
    """Products read on into it. Memory that was used before may hold anything there, also what is no number."""
    plain = kernel._padded_rows

    def used_before(head, dtype):
        room = plain(head, dtype)
        room.as_strided((room.shape[0], room.stride(0)), (room.stride(0), 1)).fill_(float("nan"))
        return room

    monkeypatch.setattr(kernel, "_padded_rows", used_before)
    monkeypatch.setattr(kernel, "use_transposed_head", lambda hidden: True)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 64, 32, generator=generator).bfloat16().requires_grad_()
    head = torch.randn(vocab, 32, generator=generator).requires_grad_()
    head_loss(hidden, head, torch.randint(0, vocab, (1, 64), generator=generator)).backward()
    assert hidden.grad.isfinite().all() and head.grad.isfinite().all()


@pytest.mark.parametrize("sure", [3.0, 5.0, 9.0, 12.0, 20.0])
def test_what_is_almost_certain_is_learnt_from_in_bf16_too(sure):
    """The gradient of a token of probability 0.9999 is what is missing to 1, which bf16 cannot say as 0.9999."""
    generator, rows = torch.Generator().manual_seed(0), 400
    tokens = torch.randint(0, 300, (1, rows), generator=generator)
    head = torch.randn(300, 64, generator=generator) / 8
    hidden = sure * head[tokens.roll(-1)[0]][None] + 0.1 * torch.randn(1, rows, 64, generator=generator)
    hidden, head = hidden.bfloat16().requires_grad_(), head.bfloat16().float().requires_grad_()  # the same for both
    whole = hidden.detach().float().requires_grad_()
    exact, rounded = next_token_loss(whole @ head.T, tokens), head_loss(hidden, head, tokens)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.05)
    one, other = torch.autograd.grad(rounded, hidden)[0].float(), torch.autograd.grad(exact, whole)[0]
    assert ((one - other).norm() / other.norm()).item() < 0.05
    assert (one * other).sum() / (other * other).sum() == pytest.approx(1, abs=0.01)


def test_no_gradient_is_scaled_by_a_rounded_count_of_tokens():
    """1/1023 is 0.4 % off in bf16."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 1024, 64, generator=generator).bfloat16().requires_grad_()
    head, tokens = torch.randn(300, 64, generator=generator) / 8, torch.randint(0, 300, (1, 1024), generator=generator)
    whole = hidden.detach().float().requires_grad_()
    one = torch.autograd.grad(head_loss(hidden, head, tokens), hidden)[0].float()
    other = torch.autograd.grad(next_token_loss(whole @ head.bfloat16().float().T, tokens), whole)[0]
    assert (one * other).sum() / (other * other).sum() == pytest.approx(1, abs=0.0015)
