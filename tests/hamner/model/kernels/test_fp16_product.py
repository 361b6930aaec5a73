"""Products summed in fp16: what the imitated rounding costs a model, and that gradients of weights are spared it."""

import pytest
import torch
import torch.nn.functional as F
from model_kinds import relative_error, small_model

from hamner.model.kernels import dispatch
from hamner.model.kernels.fp16_product import TERMS, fp16_product
from hamner.model.loss import head_loss
from hamner.model.transformer import build

WIDE = {"hidden_size": 128, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 341, "num_layers": 4}


def _operands(inputs):
    generator = torch.Generator().manual_seed(inputs)
    x = torch.randn(2, 40, inputs, generator=generator).half().requires_grad_()
    weight = (torch.randn(24, inputs, generator=generator) / inputs**0.5).half().requires_grad_()
    return x, weight


@pytest.mark.parametrize("inputs", [TERMS, 512, 1500])
def test_its_error_grows_with_the_root_of_the_number_of_roundings(inputs):
    """Of products that have one rounding the error is a 2000th; of 32 and 94 about the root of it times that."""
    x, weight = _operands(inputs)
    exact = F.linear(x.double(), weight.double())
    error, roundings = relative_error(fp16_product(x, weight).double(), exact), -(-inputs // TERMS)
    assert 0.1 < error / (2**-12 * roundings**0.5) < 1.5


def test_the_gradient_of_the_weight_is_summed_in_fp32_and_the_input_s_as_the_product():
    x, weight = _operands(512)
    gradient = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(1)).half()
    fp16_product(x, weight).backward(gradient)
    assert torch.equal(weight.grad, gradient.flatten(0, 1).t() @ x.detach().flatten(0, 1))
    assert torch.equal(x.grad, fp16_product(gradient, weight.detach().t().contiguous()))


def test_it_is_an_operator_that_pytorch_s_own_checks_accept():
    torch.library.opcheck(fp16_product, _operands(48), test_utils=("test_schema", "test_faketensor"))


def _gradients(dtype, **choices):
    hamner = build(small_model(**WIDE), seed=0).train()
    hamner.dtype = dtype
    tokens = torch.randint(0, 300, (4, 128), generator=torch.Generator().manual_seed(0))
    with dispatch.force(transposed_head=False, **choices):
        hidden, _ = hamner.hidden_states(tokens)
        loss = head_loss(hidden, hamner.embedding.weight, tokens)
        loss.backward()
    return loss.item(), torch.cat([weight.grad.flatten() for weight in hamner.parameters()])


def test_a_model_s_gradient_is_nearer_to_fp32_than_that_of_bf16():
    """At 128 wide. 1,024 wide sums eight times as many roundings: about three times this error, still below bf16's."""
    exact_loss, exact = _gradients(torch.float32)
    errors = {}
    for name, dtype, choices in (
        ("fp16", torch.float16, {}),
        ("fp16 summed in fp16", torch.float16, {"fp16_accumulation": True}),
        ("bf16", torch.bfloat16, {}),
    ):
        loss, gradient = _gradients(dtype, **choices)
        assert loss == pytest.approx(exact_loss, abs=2e-3)
        errors[name] = relative_error(gradient, exact)
    assert errors["fp16"] < errors["fp16 summed in fp16"] < errors["bf16"] < 0.02, errors


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_other_precisions_the_choice_changes_nothing(dtype):
    plain, chosen = _gradients(dtype), _gradients(dtype, fp16_accumulation=True)
    assert plain[0] == chosen[0] and torch.equal(plain[1], chosen[1])


def test_no_rule_sums_in_fp16():
    assert not dispatch.use_fp16_accumulation(torch.zeros(1, dtype=torch.float16))
