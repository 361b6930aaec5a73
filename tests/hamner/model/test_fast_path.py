"""The fast ways against the plain ones: same numbers, gradients and weights."""

import copy
import functools

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.data.mixer import Mixer, TextRows
from hamner.model import experts, transformer
from hamner.model.kernels import dispatch
from hamner.model.loss import head_loss, next_token_loss
from hamner.model.transformer import build
from hamner.training import compilation
from hamner.training.trainer import Trainer

KINDS = {
    "dense": {},
    "differential": {"attention": "differential"},
    "experts": {"num_experts": 4, "num_active_experts": 2},
    "documents": {"document_mask": True},
}


def _model(**changes):
    return ModelConfig(
        **(
            {
                "vocab_size": 300,
                "hidden_size": 32,
                "num_layers": 3,
                "num_heads": 4,
                "num_kv_heads": 2,
                "intermediate_size": 50,
            }
            | changes
        )
    )


def _gradients(hamner, tokens):
    hamner.zero_grad()
    hidden, balance = hamner.hidden_states(tokens)
    loss = head_loss(hidden, hamner.embedding.weight, tokens)
    (loss + balance).backward()
    return loss.item(), {name: weight.grad for name, weight in hamner.named_parameters()}


def _far(one, other):
    return ((one - other).norm() / other.norm().clamp_min(1e-12)).item()


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_losses_and_gradients_are_near_those_of_fp32(kind):
    hamner = build(_model(**KINDS[kind]), seed=0).train()
    tokens = torch.randint(0, 300, (4, 140), generator=torch.Generator().manual_seed(0))
    loss, exact = _gradients(hamner, tokens)
    hamner.dtype = torch.bfloat16
    rounded_loss, rounded = _gradients(hamner, tokens)
    assert abs(rounded_loss - loss) < 5e-3
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())
    far = {name: _far(rounded[name], exact[name]) for name in exact if "lambda" not in name and "router" not in name}
    assert max(far.values()) < 0.05, far


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_regions_give_the_gradients_of_the_eager_ones(kind, precision):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    hamner = build(_model(num_layers=5, **KINDS[kind]), seed=0).train()
    hamner.dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    tokens = torch.randint(0, 300, (2, 64), generator=torch.Generator().manual_seed(0))
    loss, eager = _gradients(hamner, tokens)
    hamner.compile_regions()
    compiled_loss, compiled = _gradients(hamner, tokens)
    assert abs(loss - compiled_loss) < (1e-5 if precision == "fp32" else 5e-3)
    far = {name: _far(compiled[name], eager[name]) for name in eager if "lambda" not in name and "router" not in name}
    assert max(far.values()) < (1e-4 if precision == "fp32" else 0.05), far
    stats = torch._dynamo.utils.counters["stats"]
    graphs = stats["unique_graphs"]
    assert graphs <= (6 if kind == "experts" else 2), graphs  # not two or more for each of the five layers
    _gradients(hamner, tokens.flip(1))  # other tokens go to other experts
    assert stats["unique_graphs"] == graphs


def test_grouped_experts_equal_experts_in_turn(monkeypatch):
    torch.manual_seed(0)
    layer = experts.MixtureOfExperts(_model(num_experts=5, num_active_experts=2))  # 50 wide: padded to 56
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.15)
    results = []
    for grouped in (False, True):
        monkeypatch.setattr(experts, "use_grouped_experts", lambda tokens, grouped=grouped: grouped)
        x = torch.randn(3, 37, 32, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()
        layer.zero_grad()
        out, balance = layer(x)
        (out.float().square().sum() + balance).backward()
        results.append([out, balance, x.grad, *(weight.grad for weight in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert _far(one.float(), other.float()) < 0.01


def test_an_expert_that_gets_no_token_has_no_gradient():
    layer = experts.MixtureOfExperts(_model(num_experts=4, num_active_experts=1))
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0.0, 0.15)
        layer.router.weight[3] = -100
    x = torch.rand(1, 24, 32).bfloat16()
    layer(x)[0].float().sum().backward()
    assert layer.gate.grad[3].abs().max() == layer.down.grad[3].abs().max() == 0
    assert layer.gate.grad.isfinite().all() and layer.gate.grad.abs().max() > 0


def test_the_trainer_s_step_is_plain_autograd_s(monkeypatch):
    """Fused loss, permutations and products side by side against logits in one piece and a fresh AdamW."""

    def trainer(hamner):
        rows = TextRows(torch.arange(64 * 40).remainder(299).numpy(), 64, "sft", 0)
        mixer = Mixer({"sft": rows}, 4)
        mixer.start_stage({"sft": 1.0})
        made = Trainer(hamner, mixer, Optimizer(), Compute(device="cpu", precision="fp32"))
        made.begin(1e-3, 0)
        return made

    ours = trainer(build(_model(), seed=0))
    theirs = trainer(copy.deepcopy(ours.hamner))
    plain = theirs.hamner

    class Plain(torch.nn.Module):
        def forward(self, tokens):
            out = plain(tokens)
            return next_token_loss(out.logits, tokens), out.balance_loss

    theirs._forward = Plain()
    for _ in range(5):
        assert ours.step()["loss"] == pytest.approx(theirs.step()["loss"], abs=1e-5)
    for name, weight in ours.hamner.named_parameters():
        torch.testing.assert_close(weight, dict(plain.named_parameters())[name], atol=1e-5, rtol=0)


def test_evaluation_is_not_compiled(monkeypatch):
    hamner = build(_model(), seed=0)
    monkeypatch.setattr(transformer.torch, "compile", lambda *_, **__: pytest.fail)
    hamner.compile_regions()
    hamner.eval()(torch.zeros(1, 8, dtype=torch.long))


def test_a_run_compiles_when_it_is_long_enough():
    compute, size = Compute(device="cpu", precision="bf16"), _model()

    def compiles(tokens, **changes):
        return compilation.compiles(compute.model_copy(update=changes), size, 64, tokens, 2)

    lengths = [compiles(10.0**power) for power in range(3, 13)]
    assert lengths == sorted(lengths) and set(lengths) == {False, True}
    assert compiles(1, compile="always") and not compiles(1e15, compile="never")


@pytest.mark.parametrize("most", [2**24, 2**27])
@pytest.mark.parametrize("vocab", [300, 2048, 49_152, 300_000])
def test_logits_at_a_time_stay_within_their_bound(vocab, most):
    rows = dispatch.rows_of_logits(vocab, most)
    assert rows % 64 == 0 and (rows == 64 or rows * vocab <= most)
    assert dispatch.rows_of_logits(vocab) == dispatch.rows_of_logits(vocab, dispatch.LOGITS_AT_A_TIME)


@pytest.mark.parametrize("kind", ["dense", "documents"])
@pytest.mark.parametrize("compiled", [False, True])
def test_activation_checkpointing_changes_no_gradient_and_averages_can_be_taken(compiled, kind):
    tokens, found = torch.randint(0, 300, (2, 150), generator=torch.Generator().manual_seed(0)), []
    for checkpointing in (False, True):
        torch._dynamo.reset()
        hamner = build(_model(**KINDS[kind]), seed=0, activation_checkpointing=checkpointing).train()
        hamner.dtype = torch.bfloat16
        if compiled:
            hamner.compile_regions()
        found.append(_gradients(hamner, tokens)[1])
        average = AveragedModel(hamner)  # as the plateau's judge keeps one
        average.update_parameters(hamner)
        with torch.no_grad():
            assert torch.equal(average.module.eval()(tokens).logits, hamner.eval()(tokens).logits)
    assert all(_far(found[1][name], gradient) < 1e-6 for name, gradient in found[0].items())


def test_the_tenth_model_of_a_process_is_compiled_as_the_first(monkeypatch):
    """PyTorch stops compiling a function that it has seen in eight shapes, and says so in a warning alone."""
    monkeypatch.setattr(transformer.torch, "compile", functools.partial(torch.compile, backend="eager"))
    stats, graphs = torch._dynamo.utils.counters["stats"], []
    for width in range(32, 32 + 8 * 11, 8):
        stats.clear()
        hamner = build(_model(hidden_size=width, num_heads=2, num_kv_heads=1), seed=0).train()
        hamner.compile_regions()
        _gradients(hamner, torch.arange(64).view(2, 32))
        graphs.append(stats["unique_graphs"])
    assert graphs == [2] * 11
