"""Every choice of a kernel against the plain way: same numbers and gradients. The choices themselves."""

import json

import pytest
import torch
from model_kinds import KINDS, relative_error, small_model

from hamner.config.load import load_config
from hamner.config.schema import Config, Kernels
from hamner.model.kernels import dispatch
from hamner.model.kernels.rules import Hardware
from hamner.model.loss import head_loss
from hamner.model.transformer import build


def _gradients(hamner, tokens):
    hamner.zero_grad()
    hidden, balance = hamner.hidden_states(tokens)
    loss = head_loss(hidden, hamner.embedding.weight, tokens)
    (loss + balance).backward()
    return loss.item(), {name: weight.grad for name, weight in hamner.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_losses_and_gradients_are_near_those_of_fp32(kind):
    hamner = build(small_model(**KINDS[kind]), seed=0).train()
    tokens = torch.randint(0, 300, (4, 140), generator=torch.Generator().manual_seed(0))
    loss, exact = _gradients(hamner, tokens)
    hamner.dtype = torch.bfloat16
    rounded_loss, rounded = _gradients(hamner, tokens)
    assert abs(rounded_loss - loss) < 5e-3
    assert all(gradient.dtype == torch.float32 for gradient in rounded.values())
    errors = {
        name: relative_error(rounded[name], exact[name])
        for name in exact
        if "lambda" not in name and "router" not in name
    }
    assert max(errors.values()) < 0.05, errors


CHOICES = [
    {"block_attention": True, "differential_blocks": True},
    {"grouped_experts": False},
    {"transposed_head": True},
    {"rows_of_logits": 64},
    {"logits_at_a_time": 2**15},
    {"fused_softmax": True, "padded_products": True},
    {"padded_products": True},
    {"block_attention": True, "logits_at_a_time": 2**16, "padded_products": True},  # as with AVX2 alone
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: next(iter(choice)))
def test_a_forced_choice_changes_no_gradient_by_more_than_rounding(kind, choice):
    hamner = build(small_model(**KINDS[kind]), seed=0).train()
    tokens = torch.randint(0, 300, (2, 140), generator=torch.Generator().manual_seed(0))
    loss, plain = _gradients(hamner, tokens)
    with dispatch.force(**choice):
        forced_loss, forced = _gradients(hamner, tokens)
    assert forced_loss == pytest.approx(loss, abs=1e-5)
    errors = {name: relative_error(forced[name], plain[name]) for name in plain}
    assert max(errors.values()) < 1e-3, errors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: next(iter(choice)))
def test_in_bf16_a_forced_choice_is_as_near_to_fp32_as_the_plain_way(kind, choice):
    """Both round at 2**-9 where the other does not, so they are compared with what both should be."""
    hamner = build(small_model(**KINDS[kind]), seed=0).train()
    tokens = torch.randint(0, 300, (2, 140), generator=torch.Generator().manual_seed(0))
    loss, exact = _gradients(hamner, tokens)
    hamner.dtype = torch.bfloat16
    plain = {name: relative_error(rounded, exact[name]) for name, rounded in _gradients(hamner, tokens)[1].items()}
    with dispatch.force(**choice):
        forced_loss, gradients = _gradients(hamner, tokens)
    assert forced_loss == pytest.approx(loss, abs=5e-3)
    forced = {name: relative_error(gradients[name], exact[name]) for name in exact}
    worse = {name: (forced[name], plain[name]) for name in exact if forced[name] > 1.5 * plain[name] + 0.003}
    assert not worse or all("lambda" in name or "router" in name for name in worse), worse


def test_padding_adds_only_zeros():
    """Every sum has the same terms, and the gradients the shapes of the weights: 50 wide is computed as 64."""
    hamner = build(small_model(), seed=0).train()
    tokens = torch.randint(0, 300, (2, 140), generator=torch.Generator().manual_seed(0))
    loss, plain = _gradients(hamner, tokens)
    with dispatch.force(padded_products=True):
        padded_loss, padded = _gradients(hamner, tokens)
    assert padded_loss == pytest.approx(loss, abs=1e-6)
    assert all(padded[name].shape == weight.shape for name, weight in hamner.named_parameters())
    assert max(relative_error(padded[name], plain[name]) for name in plain) < 2e-6  # 3e-7 at 1,365 wide


def test_a_choice_is_forced_within_its_block_alone():
    wide = torch.zeros(4, 8)
    assert not dispatch.use_grouped_experts(wide)
    with dispatch.force(grouped_experts=True, rows_of_logits=128):
        with dispatch.force(grouped_experts=False):
            assert not dispatch.use_grouped_experts(wide)
            assert dispatch.rows_of_logits(1000) == 128
        assert dispatch.use_grouped_experts(wide)
        with pytest.raises(ZeroDivisionError), dispatch.force(transposed_head=True):
            assert dispatch.use_transposed_head(wide)
            1 / 0  # noqa: B018
        assert not dispatch.use_transposed_head(wide)
    assert not dispatch.use_grouped_experts(wide)


@pytest.fixture
def chosen():
    """The process's choices, put back to the rules afterwards."""
    yield dispatch.use
    dispatch.use(Kernels())


@dispatch.pretend(Hardware("cpu", instructions="AVX512"))  # with AVX2 alone blocks are the rule in fp32, too
def test_a_runs_config_chooses_until_the_next_one_does_and_a_forced_choice_stands_above_it(chosen):
    wide, q = torch.zeros(4, 8), torch.zeros(1, 2, 16, 4)
    chosen(Kernels(grouped_experts="always", block_attention="always", logits_at_a_time=2**20))
    assert dispatch.use_grouped_experts(wide) and dispatch.use_block_attention(q, q)
    assert not dispatch.use_transposed_head(wide)  # auto: the rule's
    assert dispatch.rows_of_logits(2**10) == dispatch.rows_of_logits(2**10, 2**27) == 2**10
    with dispatch.force(grouped_experts=False, rows_of_logits=64):
        assert not dispatch.use_grouped_experts(wide) and dispatch.rows_of_logits(2**10) == 64
    chosen(Kernels(grouped_experts="never"))
    assert not dispatch.use_grouped_experts(wide.bfloat16()) and not dispatch.use_block_attention(q, q)
    assert dispatch.rows_of_logits(2**10) == 2**14


def test_blocks_are_never_chosen_where_a_cache_makes_keys_longer_than_queries(chosen):
    chosen(Kernels(block_attention="always", differential_blocks="always"))
    q, k = torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 16, 4)
    assert not dispatch.use_block_attention(q, k) and not dispatch.use_differential_blocks(q, k)


def test_every_key_of_the_section_is_a_choice_that_can_be_forced():
    always = dict.fromkeys(Kernels.model_fields, "always") | {"logits_at_a_time": 2**20}
    choices = dispatch.choices_of(Kernels(**always))
    assert choices.keys() == Kernels.model_fields.keys()
    with dispatch.force(**choices):
        assert dispatch.rows_of_logits(2**10) == 2**10
    assert dispatch.choices_of(Kernels()) == {}


def test_a_config_of_before_the_section_leaves_all_choices_to_the_rules():
    stored = load_config("laptop").model_dump(mode="json")
    del stored["compute"]["kernels"], stored["compute"]["use_calibration"]
    assert Config.model_validate_json(json.dumps(stored)) == load_config("laptop")


def test_an_unknown_choice_is_refused():
    with pytest.raises(TypeError, match="grouped_expert"), dispatch.force(grouped_expert=True):
        pass


@pytest.mark.parametrize("most", [2**24, 2**27])
@pytest.mark.parametrize("vocab", [300, 2048, 49_152, 300_000])
def test_logits_at_a_time_stay_within_their_bound(vocab, most):
    rows = dispatch.rows_of_logits(vocab, most)
    assert rows % 64 == 0 and (rows == 64 or rows * vocab <= most)
    assert dispatch.rows_of_logits(vocab) == dispatch.rows_of_logits(vocab, dispatch.LOGITS_AT_A_TIME)
