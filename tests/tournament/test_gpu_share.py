"""Memory and disk of a contestant: terms of the estimate, share of the card, fallbacks of out of memory, free space."""

import itertools
from collections import namedtuple

import pytest

from hamner.config.cost import GIB, count_parameters
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.memory import CONTEXT, OTHERS
from tournament.disk import check_disk, disk_gib
from tournament.entrants import entrants
from tournament.gpu_memory import MemoryPlan, first_memory_plan, memory_estimate, next_fallback, share
from tournament.training import Training

SHARED = "runs_per_card=100"  # memory alone decides
CARD = load_config("rtx3090", [SHARED])
WHOLE = [SHARED, "compute.activation_checkpointing=false"]
CHECKPOINTED = [SHARED, "compute.activation_checkpointing=true"]
TEN = {name: contestant.model for name, contestant in entrants(CARD).items()}


def _peak(model, config, plan=None):
    return memory_estimate(model, config, plan).peak


def _plans(model, config):
    """All memory plans from the first to the last fallback, and what each fallback changes."""
    plans, changes = [first_memory_plan(model, config)], []
    while fallback := next_fallback(plans[-1], config):
        plans.append(fallback[0])
        changes.append(fallback[1])
        assert len(plans) < 9
    return plans, changes


def test_the_fallbacks_come_in_their_order():
    plans, changes = _plans(TEN["v01_dense_small"], load_config("rtx3090", WHOLE))
    start = plans[0].share
    assert 0.2 < start < 0.5
    assert plans == [
        MemoryPlan(1, False, start),
        MemoryPlan(2, False, start),
        MemoryPlan(2, True, start),
        MemoryPlan(2, True, 2 * start),
        MemoryPlan(2, True, 1.0),
    ]
    assert changes == [
        "gradient accumulation steps 1 -> 2",
        "activation checkpointing",
        f"share of the card {start:g} -> {2 * start:g}",
        f"share of the card {2 * start:g} -> 1",
    ]


def test_what_the_config_already_does_is_not_a_fallback():
    plans, _ = _plans(TEN["v02_dense_medium"], load_config("rtx3090", CHECKPOINTED))
    assert [(plan.gradient_accumulation_steps, plan.activation_checkpointing) for plan in plans] == [(1, True)] + [
        (2, True)
    ] * 4
    assert [plan.share for plan in plans] == [0.17, 0.17, 0.34, 0.68, 1.0]


@pytest.mark.parametrize(("batch", "gradient_accumulation_steps"), [(16, 16), (6, 2), (3, 1)])
def test_a_batch_that_cannot_be_halved_is_not(batch, gradient_accumulation_steps):
    words = (
        f"tournament.batch_size={batch}",
        f"tournament.gradient_accumulation_steps={gradient_accumulation_steps}",
        *WHOLE,
    )
    plans, changes = _plans(TEN["v01_dense_small"], load_config("rtx3090", words))
    assert {plan.gradient_accumulation_steps for plan in plans} == {gradient_accumulation_steps}
    assert changes[0] == "activation checkpointing" and plans[-1].share == 1.0


def test_without_a_card_the_last_fallback_is_checkpointing():
    config = load_config("smoke")
    plans, _ = _plans(entrants(config)["v01_dense_small"].model, config)
    assert plans == [MemoryPlan(1, False, 0.0), MemoryPlan(2, False, 0.0), MemoryPlan(2, True, 0.0)]


@pytest.mark.parametrize("name", TEN)
def test_each_of_the_first_two_fallbacks_needs_less_memory_but_never_less_than_weights_and_adam(name):
    config = load_config("rtx3090", WHOLE)
    needs = [_peak(TEN[name], config, plan) for plan in _plans(TEN[name], config)[0]]
    assert needs[0] > 1.05 * needs[1] > 1.05 * 1.02 * needs[2]
    assert needs[2] > 16 * count_parameters(TEN[name]).total
    assert len(set(needs[2:])) == 1  # more of the card is no less memory
    assert needs[0] == _peak(TEN[name], config)


@pytest.mark.parametrize("name", TEN)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_terms_of_the_fullest_moment_sum_to_the_peak(name, precision, parts):
    words = [*CHECKPOINTED, f"compute.precision={precision}", f"tournament.gradient_accumulation_steps={parts}"]
    estimate = memory_estimate(TEN[name], load_config("rtx3090", words))
    assert sum(estimate.breakdown.values()) == estimate.peak
    parameters = count_parameters(TEN[name]).total
    assert estimate.weights == estimate.gradients == estimate.optimizer / 2 == 4 * parameters
    assert (estimate.earlier_gradients > 0) == (parts > 1)
    totals = {moment: sum(terms.values()) for moment, terms in estimate.moments.items()}
    assert totals[estimate.fullest_moment] == max(totals.values())


RECORDED = {  # bytes of a step in bf16 without activation checkpointing, config rtx3090
    "v01_dense_small": 6231261798.4,
    "v02_dense_medium": 10501238886.4,
    "v03_diffattn_small": 7124720230.4,
    "v04_diffattn_medium": 12231478886.4,
    "v05_moe_small": 7303545446.4,
    "v06_moe_medium": 15401488486.4,
    "v07_hybrid_small": 7973639270.4,
    "v08_hybrid_medium": 16785680486.4,
    "v09_deep_narrow": 7750744934.4,
    "v10_wide_shallow": 6306766438.4,
}


def test_estimates_are_the_recorded_ones():
    config = load_config("rtx3090", WHOLE)
    assert {name: _peak(model, config) for name, model in TEN.items()} == RECORDED


@pytest.mark.parametrize("name", TEN)
def test_the_share_is_what_memory_needs_and_a_tenth(name):
    plan = first_memory_plan(TEN[name], CARD)
    part = _peak(TEN[name], CARD) / (CARD.compute.gpu_memory_gib * GIB)
    assert plan.share == share(TEN[name], CARD) and 0 < plan.share <= 1
    assert 1.1 * part <= plan.share < 1.1 * part + 0.0101
    assert share(TEN[name], load_config("rtx3090", ["gpu_memory_gib=2"])) == 1.0
    assert share(TEN[name], load_config("rtx3090", ["budget=seconds", "seconds=[9.0, 9.0, 9.0]"])) == 1.0
    assert share(TEN[name], load_config("smoke")) == 0.0


def test_the_ten_start_without_checkpointing_and_two_share_a_card_where_memory_allows():
    config = load_config("rtx3090")
    plans = {name: first_memory_plan(model, config) for name, model in TEN.items()}
    assert not any(plan.activation_checkpointing for plan in plans.values())
    assert plans["v01_dense_small"].share == plans["v09_deep_narrow"].share == 0.5
    assert {name for name, plan in plans.items() if plan.share > 0.5} == {
        "v04_diffattn_medium",
        "v06_moe_medium",
        "v08_hybrid_medium",
    }


def test_a_smaller_card_recomputes_activations_of_those_that_would_not_fit():
    config = load_config("rtx3090", ["gpu_memory_gib=12"])
    plans = {name: first_memory_plan(model, config) for name, model in TEN.items()}
    assert {name for name, plan in plans.items() if plan.activation_checkpointing} == {
        "v04_diffattn_medium",
        "v06_moe_medium",
        "v08_hybrid_medium",
    }
    assert all(plan.share <= 1 for plan in plans.values())
    for name, plan in plans.items():
        assert memory_estimate(TEN[name], config).peak == memory_estimate(TEN[name], config, plan).peak


def test_the_allocators_limit_is_the_share_of_the_card_that_the_driver_reports_less_the_context(monkeypatch):
    limits, card = [], 23.7 * GIB
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (5 * GIB, card))
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", limits.append)
    run = object.__new__(Training)
    run.config = CARD
    run._limit_card(MemoryPlan(1, False, 0.5))
    assert limits == [pytest.approx((0.5 * (card - OTHERS) - CONTEXT) / card)]
    assert 2 * (limits[0] * card + CONTEXT) < card  # where shares of 24 GiB had left no room


def test_larger_batches_longer_sequences_and_full_precision_need_more():
    for name, model in TEN.items():
        base = _peak(model, load_config("rtx3090", CHECKPOINTED))
        for word in ("tournament.batch_size=32", "tournament.seq_len=1024", "compute.precision=fp32"):
            assert _peak(model, load_config("rtx3090", [*CHECKPOINTED, word])) > 1.02 * base, (name, word)
        whole, halved = (
            _peak(model, load_config("rtx3090", [*WHOLE, f"tournament.gradient_accumulation_steps={parts}"]))
            for parts in (1, 2)
        )
        assert whole > 1.02 * halved, name


def test_halves_save_nothing_of_the_gradients_that_wait_for_the_second():
    """With activation checkpointing little else is left: a half's peak has all gradients of the first beside it."""
    whole, halves = (
        load_config("rtx3090", [*CHECKPOINTED, f"tournament.gradient_accumulation_steps={n}"]) for n in (1, 2)
    )
    for name in ("v06_moe_medium", "v08_hybrid_medium"):
        assert _peak(TEN[name], halves) == pytest.approx(_peak(TEN[name], whole), rel=0.03)


def test_the_logits_of_a_batch_never_count_whole():
    """Eight times the tokens cost far less than their logits would."""
    base, large = (
        _peak(TEN["v01_dense_small"], load_config("rtx3090", [*CHECKPOINTED, f"tournament.batch_size={rows}"]))
        for rows in (16, 128)
    )
    assert large - base < 0.5 * 112 * 512 * 49_152 * 2


def test_the_ten_fit_on_eighty_gib_of_disk():
    ten = entrants(CARD)
    sizes = {name: 12 * count_parameters(c.model).total / GIB for name, c in ten.items()}
    needed = disk_gib(ten, CARD)
    largest = sorted(sizes.values())[-3:]
    assert 2 * sum(sizes.values()) < 4 * sum(largest) < needed < 80  # one a run, more of those that train
    more = disk_gib(ten, load_config("rtx3090", ["tournament.keep_checkpoints=3"]))
    together = [sizes[a] + sizes[b] for a, b in itertools.combinations(ten, 2)]
    assert 0 < more - needed < 2 * max(together)


def test_every_seed_needs_a_checkpoint_of_its_own():
    one, three = (load_config("smoke", [f"seeds={n}"]) for n in (1, 3))
    total = sum(12 * count_parameters(c.model).total / GIB for c in entrants(one).values())
    assert disk_gib(entrants(three), three) - disk_gib(entrants(one), one) == pytest.approx(2 * total, rel=0.05)


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(monkeypatch, tmp_path):
    ten, paths = entrants(CARD), []
    needed = disk_gib(ten, CARD)

    def disk(free_gib):
        usage = namedtuple("usage", "total used free")(0, 0, int(free_gib * GIB))
        monkeypatch.setattr("shutil.disk_usage", lambda path: paths.append(path) or usage)

    disk(needed + 0.1)
    check_disk(ten, CARD, tmp_path / "not" / "yet" / "there")
    assert paths == [tmp_path]  # the nearest folder that exists
    disk(needed - 0.1)
    message = rf"up to {needed:.1f} GiB, {tmp_path} has {needed - 0.1:.1f} GiB free: make room.*keep_checkpoints"
    with pytest.raises(BadInput, match=message):
        check_disk(ten, CARD, tmp_path)
