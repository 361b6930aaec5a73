"""The mixture of experts: grouped against sequential products, idle experts, the balance loss."""

import pytest
import torch
from model_kinds import relative_error, small_model

from hamner.model.experts import MixtureOfExperts, balance_loss
from hamner.model.kernels import dispatch


def _layer(**changes):
    torch.manual_seed(0)
    layer = MixtureOfExperts(small_model(**changes))
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.15)
    return layer


def test_grouped_experts_equal_sequential_ones():
    layer, results = _layer(num_experts=5, num_active_experts=2), []  # 50 wide: padded to 56
    for grouped in (False, True):
        x = torch.randn(3, 37, 32, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()
        layer.zero_grad()
        with dispatch.force(grouped_experts=grouped):
            out, balance = layer(x)
            (out.float().square().sum() + balance).backward()
        results.append([out, balance, x.grad, *(weight.grad for weight in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert relative_error(one.float(), other.float()) < 0.01


@pytest.mark.parametrize("grouped", [False, True])
def test_an_expert_that_gets_no_token_has_no_gradient(grouped):
    layer = _layer(num_experts=4, num_active_experts=1)
    with torch.no_grad():
        layer.router.weight[3] = -100
    x = torch.rand(1, 24, 32).bfloat16()
    with dispatch.force(grouped_experts=grouped):
        layer(x)[0].float().sum().backward()
    assert layer.gate.grad[3].abs().max() == layer.down.grad[3].abs().max() == 0
    assert layer.gate.grad.isfinite().all() and layer.gate.grad.abs().max() > 0


def test_the_balance_loss_is_one_when_even_and_the_number_of_experts_when_one_gets_all():
    even, one = torch.full((8, 4), 0.25), torch.tensor([[1.0, 0, 0, 0]]).repeat(8, 1)
    assert balance_loss(even, torch.tensor([2, 2, 2, 2])).item() == pytest.approx(1)
    assert balance_loss(one, torch.tensor([8, 0, 0, 0])).item() == pytest.approx(4)
