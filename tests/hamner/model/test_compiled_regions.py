"""Compiled regions of a block (torch.compile) against eager ones: gradients, graphs, checkpointing, evaluation."""

import functools

import pytest
import torch
from model_kinds import KINDS, relative_error, small_model
from torch.optim.swa_utils import AveragedModel

from hamner.model import transformer
from hamner.model.kernels import dispatch
from hamner.model.loss import head_loss
from hamner.model.transformer import build


def _gradients(hamner, tokens):
    hamner.zero_grad()
    hidden, balance = hamner.hidden_states(tokens)
    loss = head_loss(hidden, hamner.embedding.weight, tokens)
    (loss + balance).backward()
    return loss.item(), {name: weight.grad for name, weight in hamner.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "bf16"])
def test_compiled_regions_give_the_gradients_of_the_eager_ones(kind, precision):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    hamner = build(small_model(num_layers=5, **KINDS[kind]), seed=0).train()
    hamner.dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    tokens = torch.randint(0, 300, (2, 64), generator=torch.Generator().manual_seed(0))
    loss, eager = _gradients(hamner, tokens)
    hamner.compile_regions()
    compiled_loss, compiled = _gradients(hamner, tokens)
    assert abs(loss - compiled_loss) < (1e-5 if precision == "fp32" else 5e-3)
    errors = {
        name: relative_error(compiled[name], eager[name])
        for name in eager
        if "lambda" not in name and "router" not in name
    }
    assert max(errors.values()) < (1e-4 if precision == "fp32" else 0.05), errors
    stats = torch._dynamo.utils.counters["stats"]
    graphs = stats["unique_graphs"]
    assert graphs <= (6 if kind == "experts" else 2), graphs  # not two or more for each of the five layers
    _gradients(hamner, tokens.flip(1))  # other tokens go to other experts
    assert stats["unique_graphs"] == graphs


@pytest.mark.parametrize("choice", ["padded_products", "fp16_accumulation"])
def test_what_a_product_is_made_of_breaks_no_graph(choice, monkeypatch):
    """Two regions with and without it, and the gradients of the eager ones."""
    if choice == "fp16_accumulation":  # an operator, which no backend looks into
        monkeypatch.setattr(transformer.torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    hamner = build(small_model(), seed=0).train()
    hamner.dtype = torch.float16 if choice == "fp16_accumulation" else torch.float32
    tokens = torch.randint(0, 300, (2, 64), generator=torch.Generator().manual_seed(0))
    with dispatch.force(**{choice: True}):
        loss, eager = _gradients(hamner, tokens)
        hamner.compile_regions()
        compiled_loss, compiled = _gradients(hamner, tokens)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]
    assert compiled_loss == pytest.approx(loss, abs=1e-5 if choice == "padded_products" else 1e-3)
    assert max(relative_error(compiled[name], eager[name]) for name in eager) < (
        1e-4 if choice == "padded_products" else 0.02
    )


def test_evaluation_is_not_compiled(monkeypatch):
    hamner = build(small_model(), seed=0)
    monkeypatch.setattr(transformer.torch, "compile", lambda *_, **__: pytest.fail)
    hamner.compile_regions()
    hamner.eval()(torch.zeros(1, 8, dtype=torch.long))


@pytest.mark.parametrize("kind", ["dense", "documents"])
@pytest.mark.parametrize("compiled", [False, True])
def test_activation_checkpointing_changes_no_gradient_and_averages_can_be_taken(compiled, kind):
    tokens, gradients = torch.randint(0, 300, (2, 150), generator=torch.Generator().manual_seed(0)), []
    for checkpointing in (False, True):
        torch._dynamo.reset()
        hamner = build(small_model(**KINDS[kind]), seed=0, activation_checkpointing=checkpointing).train()
        hamner.dtype = torch.bfloat16
        if compiled:
            hamner.compile_regions()
        gradients.append(_gradients(hamner, tokens)[1])
        average = AveragedModel(hamner)  # as the plateau's judge has one
        average.update_parameters(hamner)
        with torch.no_grad():
            assert torch.equal(average.module.eval()(tokens).logits, hamner.eval()(tokens).logits)
    assert all(relative_error(gradients[1][name], gradient) < 1e-6 for name, gradient in gradients[0].items())


def test_the_tenth_model_of_a_process_is_compiled_as_the_first(monkeypatch):
    """PyTorch stops compiling a function that it has seen in eight shapes, and says so in a warning alone."""
    monkeypatch.setattr(transformer.torch, "compile", functools.partial(torch.compile, backend="eager"))
    stats, graphs = torch._dynamo.utils.counters["stats"], []
    for width in range(32, 32 + 8 * 11, 8):
        stats.clear()
        hamner = build(small_model(hidden_size=width, num_heads=2, num_kv_heads=1), seed=0).train()
        hamner.compile_regions()
        _gradients(hamner, torch.arange(64).view(2, 32))
        graphs.append(stats["unique_graphs"])
    assert graphs == [2] * 11
