"""Attention by blocks against PyTorch's kernel and the plain formula: values and all gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from hamner.model.kernels.attention import BLOCK, block_attention, differential_block_attention

LENGTHS = [1, 5, BLOCK, BLOCK + 1, 3 * BLOCK - 7]


def _inputs(heads, kv_heads, length, doubled=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(length)
    return [
        torch.randn(2, count, length, 16, generator=generator).to(dtype).requires_grad_()
        for count in (doubled * heads, doubled * kv_heads, kv_heads)
    ]


def _plain(q, k, v, allowed=None):
    groups = q.shape[1] // k.shape[1]
    return F.scaled_dot_product_attention(
        q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), allowed, is_causal=allowed is None
    )


def _plain_differential(q, k, v, lambda_value, allowed=None):
    first, second = _plain(q, k, v.repeat(1, 2, 1, 1), allowed).chunk(2, dim=1)
    return first - lambda_value * second


def _compare(ours, theirs, inputs, atol):
    gradient = torch.randn_like(theirs)
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)
    for one, other in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(one, other, atol=atol * max(1.0, other.abs().max().item()), rtol=0)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 2), (3, 3), (4, 1)])
def test_values_and_gradients_equal_pytorch_s_own(length, heads, kv_heads):
    q, k, v = _inputs(heads, kv_heads, length)
    _compare(block_attention(q, k, v), _plain(q, k, v), (q, k, v), 1e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_difference_of_two_maps_equals_two_attentions(length):
    q, k, v = _inputs(4, 2, length, doubled=2)
    lambda_value = torch.tensor(0.7, requires_grad=True)
    _compare(
        differential_block_attention(q, k, v, lambda_value),
        _plain_differential(q, k, v, lambda_value),
        (q, k, v, lambda_value),
        3e-5,
    )


def _two_documents(length, dtype=torch.float32):
    """Rows with a border at a third and at two thirds: booleans as PyTorch takes them, and the same as numbers."""
    allowed = torch.zeros(2, 1, length, length, dtype=torch.bool)
    for row, border in enumerate((length // 3, 2 * length // 3)):
        allowed[row, 0, :border, :border] = allowed[row, 0, border:, border:] = True
    allowed = allowed.tril()
    return allowed, torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, -math.inf)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 2), (3, 3), (4, 1)])
def test_with_a_mask_it_equals_pytorch_s_own_with_the_same(length, heads, kv_heads):
    q, k, v = _inputs(heads, kv_heads, length)
    allowed, mask = _two_documents(length)
    _compare(block_attention(q, k, v, mask), _plain(q, k, v, allowed), (q, k, v), 1e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_with_a_mask_the_difference_equals_two_masked_attentions(length):
    q, k, v = _inputs(4, 2, length, doubled=2)
    lambda_value, (allowed, mask) = torch.tensor(0.7, requires_grad=True), _two_documents(length)
    _compare(
        differential_block_attention(q, k, v, lambda_value, mask),
        _plain_differential(q, k, v, lambda_value, allowed),
        (q, k, v, lambda_value),
        3e-5,
    )


def test_gradients_equal_finite_differences_in_float64():
    q, k, v = _inputs(2, 1, 9, doubled=2, dtype=torch.float64)
    lambda_value = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(differential_block_attention, (q, k, v, lambda_value), atol=1e-6)
    q, k, v = _inputs(2, 1, 9, dtype=torch.float64)
    assert torch.autograd.gradcheck(block_attention, (q, k, v), atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_in_bf16_it_is_about_as_near_to_fp32_as_pytorch_s_kernel(masked):
    allowed, mask = _two_documents(300, torch.bfloat16) if masked else (None, None)
    exact = _inputs(4, 2, 300)
    rounded = [x.detach().bfloat16().requires_grad_() for x in exact]
    truth, gradient = _plain(*exact, allowed), torch.randn(2, 4, 300, 16)
    expected = torch.autograd.grad(truth, exact, gradient)

    def errors(attention, mask):
        out = attention(*rounded, mask)
        gradients = torch.autograd.grad(out, rounded, gradient.bfloat16())
        pairs = zip((out, *gradients), (truth, *expected), strict=True)
        return [((a.float() - b).norm() / b.norm()).item() for a, b in pairs]

    ours, theirs = errors(block_attention, mask), errors(_plain, allowed)
    assert max(ours) < 0.01
    assert all(a < 1.5 * b for a, b in zip(ours, theirs, strict=True)), (ours, theirs)


def test_no_query_sees_what_comes_after_it():
    q, k, v = (x.detach() for x in _inputs(2, 1, 200))
    before = block_attention(q, k, v)
    k[:, :, 150:], v[:, :, 150:] = math.pi, -math.e
    after = block_attention(q, k, v)
    assert torch.equal(before[:, :, :150], after[:, :, :150])
    assert not torch.allclose(before[:, :, 150:], after[:, :, 150:])
