"""The head's loss in chunks of tokens against that of whole logits: values and gradients, in fp32 and bf16."""

import pytest
import torch
from torch._dynamo.utils import counters

from hamner.model.kernels import dispatch
from hamner.model.kernels.head_loss import softmax_gradient
from hamner.model.loss import head_loss, head_losses, next_token_loss, token_losses


@pytest.mark.parametrize("rows", [64, 128, 10_000])  # tokens whose logits exist at a time
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_the_head_s_loss_and_gradients_equal_those_of_whole_logits(rows, weighted, fused):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 70, 24, generator=generator).requires_grad_()
    head = torch.randn(50, 24, generator=generator).requires_grad_()
    tokens = torch.randint(0, 50, (3, 70), generator=generator)
    weight = torch.randint(0, 2, (3, 70), generator=generator) if weighted else None
    theirs = next_token_loss(hidden @ head.T, tokens, weight)
    with dispatch.force(rows_of_logits=rows, fused_softmax=fused):
        ours, losses = head_loss(hidden, head, tokens, weight), head_losses(hidden, head, tokens)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    gradients = [torch.autograd.grad(3 * loss, (hidden, head)) for loss in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(losses, token_losses(hidden @ head.T, tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [128, 10_000])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("vocab", [300, 513, 900, 1024])
def test_the_head_s_loss_in_bf16_is_near_that_of_fp32(rows, transposed, fused, vocab):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(4, 300, 64, generator=generator).requires_grad_()
    head = (torch.randn(vocab, 64, generator=generator) / 8).requires_grad_()
    tokens = torch.randint(0, vocab, (4, 300), generator=generator)
    exact = next_token_loss(hidden @ head.T, tokens)
    with dispatch.force(rows_of_logits=rows, transposed_head=transposed, fused_softmax=fused):
        rounded = head_loss(hidden.bfloat16(), head, tokens)
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() - exact.item()) < 1e-3
    for one, other in zip(
        torch.autograd.grad(rounded, (hidden, head)), torch.autograd.grad(exact, (hidden, head)), strict=True
    ):
        assert one.dtype == torch.float32
        assert ((one - other).norm() / other.norm()).item() < 0.01


@pytest.mark.parametrize(("fused", "least"), [(False, 80), (True, 199.9)])
def test_a_certain_mistake_costs_a_finite_loss(fused, least):
    hidden, tokens = torch.tensor([[[200.0], [1.0]]]), torch.tensor([[0, 1]])
    with dispatch.force(fused_softmax=fused):
        assert least < head_loss(hidden, torch.tensor([[1.0], [0.0]]), tokens).item() < 201


@pytest.mark.parametrize("fused", [False, True])
def test_states_that_overflow_make_no_finite_loss(fused):
    hidden, head = torch.full((1, 4, 8), 1e30), torch.linspace(-1, 1, 48).view(6, 8) * 1e30
    with dispatch.force(fused_softmax=fused):
        assert not head_loss(hidden, head, torch.zeros(1, 4, dtype=torch.long)).isfinite()


def _logits(precision, sure):
    """Of 200 rows; of every second one the target's is above the others' by about `sure`. And the targets."""
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(200, 3000, generator=generator), torch.randint(0, 3000, (200,), generator=generator)
    logits[torch.arange(0, 200, 2), targets[::2]] += sure
    return logits.to(precision), targets


def _is_fp64s_rounded_once(losses, gradient, logits, targets):
    """Whether losses (N,) and gradient (N, V) are those of logits in fp64 but for their own precision's rounding."""
    at = torch.arange(len(targets)), targets
    exact = logits.double().softmax(-1)
    right, exact[at] = exact[at], 0
    rest = exact.sum(-1)
    exact[at] = -rest
    exact_losses = torch.where(rest < 0.5, -torch.log1p(-rest), -right.log())
    rounding = 2.0 ** {torch.float32: -16, torch.bfloat16: -8, torch.float16: -11}[gradient.dtype]
    # below the least number that a precision knows in full there is no share to speak of
    off = (gradient - exact).abs() - 1.02 * rounding * exact.abs() - torch.finfo(gradient.dtype).tiny
    return bool(((losses - exact_losses).abs() < 2e-5 * exact_losses).all() and (off <= 0).all())


@pytest.mark.parametrize("sure", [-40.0, 0.0, 9.0, 20.0, 60.0])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
def test_the_fused_softmax_is_that_of_fp64_rounded_once(precision, sure):
    logits, targets = _logits(precision, sure)
    losses, gradient = softmax_gradient(logits.clone(), targets)
    assert losses.dtype == torch.float32 and gradient.dtype == precision
    assert _is_fp64s_rounded_once(losses, gradient, logits, targets)


def test_compiled_it_is_the_same():
    """By the compiler of a processor, which makes more than one kernel of it."""
    torch._dynamo.reset()
    logits, targets = _logits(torch.bfloat16, 9.0)
    losses, gradient = torch.compile(softmax_gradient)(logits, targets)
    assert _is_fp64s_rounded_once(losses, gradient, logits, targets)


def test_the_losss_region_is_compiled_once_for_parts_of_any_number_of_rows():
    torch._dynamo.reset()
    counters.clear()
    region = torch.compile(softmax_gradient, backend="eager")
    with dispatch.force(fused_softmax=True, rows_of_logits=128):
        for rows in (200, 300, 600):  # parts of 128, 72, 44 and 88 rows
            hidden, head = torch.randn(1, rows, 8).requires_grad_(), torch.randn(50, 8).requires_grad_()
            head_loss(hidden, head, torch.zeros(1, rows, dtype=torch.long), region=region).backward()
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]


@pytest.fixture
def uninitialized_memory_is_nan():
    """What PyTorch offers to find reads of memory that nothing was written to."""
    torch.use_deterministic_algorithms(True)  # fill_uninitialized_memory, which is on, acts under it alone
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("vocab", [300, 513, 1000, 32_001])
def test_what_lies_between_the_rows_of_a_transposed_head_reaches_no_gradient(uninitialized_memory_is_nan, vocab):
    """Products read on into it: it must be a number."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 64, 32, generator=generator).bfloat16().requires_grad_()
    head = torch.randn(vocab, 32, generator=generator).requires_grad_()
    with dispatch.force(transposed_head=True):
        head_loss(hidden, head, torch.randint(0, vocab, (1, 64), generator=generator)).backward()
    assert hidden.grad.isfinite().all() and head.grad.isfinite().all()


@pytest.mark.parametrize("sure", [3.0, 5.0, 9.0, 12.0, 20.0])
@pytest.mark.parametrize("fused", [False, True])
def test_almost_certain_tokens_are_learnt_from_in_bf16_too(sure, fused):
    """The gradient of a token of probability 0.9999 is what is missing to 1, which bf16 cannot say as 0.9999."""
    generator, rows = torch.Generator().manual_seed(0), 400
    tokens = torch.randint(0, 300, (1, rows), generator=generator)
    head = torch.randn(300, 64, generator=generator) / 8
    hidden = sure * head[tokens.roll(-1)[0]][None] + 0.1 * torch.randn(1, rows, 64, generator=generator)
    hidden, head = hidden.bfloat16().requires_grad_(), head.bfloat16().float().requires_grad_()  # the same for both
    whole = hidden.detach().float().requires_grad_()
    with dispatch.force(fused_softmax=fused):
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
