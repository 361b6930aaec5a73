"""What a contestant needs of a card and of the disk, and what is tried when memory ends."""

import itertools
from collections import namedtuple

import pytest

from hamner.config.cost import GIB, count_parameters
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from tournament.disk import check_disk, disk_gib
from tournament.entrants import entrants
from tournament.gpu_memory import MemoryPlan, first_memory_plan, memory_bytes, next_fallback, share

CARD = load_config("rtx3090")
TEN = {name: contestant.model for name, contestant in entrants(CARD).items()}


def _ladder(model, *words):
    """All rungs from the first, and what was told of each further one."""
    config = load_config("rtx3090", words)
    rungs, told = [first_memory_plan(model, config)], []
    while found := next_fallback(rungs[-1], config):
        rungs.append(found[0])
        told.append(found[1])
        assert len(rungs) < 9
    return rungs, told


def test_the_rungs_come_in_their_order():
    rungs, told = _ladder(TEN["v01_dense_small"], "compute.activation_checkpointing=false")
    start = rungs[0].share
    assert 0.2 < start < 0.5
    assert rungs == [
        MemoryPlan(1, False, start),
        MemoryPlan(2, False, start),
        MemoryPlan(2, True, start),
        MemoryPlan(2, True, 2 * start),
        MemoryPlan(2, True, 1.0),
    ]
    assert told == [
        "micro batches 1 -> 2",
        "activation checkpointing",
        f"share of the card {start:g} -> {2 * start:g}",
        f"share of the card {2 * start:g} -> 1",
    ]


def test_what_the_config_already_does_is_no_rung():
    rungs, _ = _ladder(TEN["v02_dense_medium"])  # checkpointing from the start
    assert [(rung.gradient_accumulation_steps, rung.activation_checkpointing) for rung in rungs] == [(1, True)] + [
        (2, True)
    ] * 4
    assert [rung.share for rung in rungs] == [0.17, 0.17, 0.34, 0.68, 1.0]


@pytest.mark.parametrize(("batch", "gradient_accumulation_steps"), [(16, 16), (6, 2), (3, 1)])
def test_a_batch_that_cannot_be_halved_is_not(batch, gradient_accumulation_steps):
    rungs, told = _ladder(
        TEN["v01_dense_small"],
        f"tournament.batch_size={batch}",
        f"tournament.gradient_accumulation_steps={gradient_accumulation_steps}",
        "compute.activation_checkpointing=false",
    )
    assert {rung.gradient_accumulation_steps for rung in rungs} == {gradient_accumulation_steps}
    assert told[0] == "activation checkpointing" and rungs[-1].share == 1.0


def test_without_a_card_the_ladder_ends_with_checkpointing():
    config = load_config("smoke")
    rung = first_memory_plan(entrants(config)["v01_dense_small"].model, config)
    assert rung == MemoryPlan(1, False, 0.0)
    found = [rung]
    while len(found) < 5 and (step := next_fallback(found[-1], config)):
        found.append(step[0])
    assert found == [MemoryPlan(1, False, 0.0), MemoryPlan(2, False, 0.0), MemoryPlan(2, True, 0.0)]


@pytest.mark.parametrize("name", TEN)
def test_each_of_the_first_two_rungs_needs_less_memory_but_never_less_than_weights_and_adam(name):
    config = load_config("rtx3090", ["compute.activation_checkpointing=false"])
    rungs, _ = _ladder(TEN[name], "compute.activation_checkpointing=false")
    needs = [memory_bytes(TEN[name], config, rung) for rung in rungs]
    assert needs[0] > 1.05 * needs[1] > 1.05 * 1.02 * needs[2]
    assert needs[2] > 16 * count_parameters(TEN[name]).total
    assert len(set(needs[2:])) == 1  # more of the card is no less memory
    assert needs[0] == memory_bytes(TEN[name], config)


@pytest.mark.parametrize("name", TEN)
def test_the_share_is_what_memory_needs_and_a_tenth(name):
    rung = first_memory_plan(TEN[name], CARD)
    part = memory_bytes(TEN[name], CARD) / (24 * GIB)
    assert rung.share == share(TEN[name], CARD) and 0 < rung.share <= 1
    assert 1.1 * part <= rung.share < 1.1 * part + 0.0101
    assert share(TEN[name], load_config("rtx3090", ["gpu_memory_gib=2"])) == 1.0
    assert share(TEN[name], load_config("rtx3090", ["budget=seconds", "seconds=[9.0, 9.0, 9.0]"])) == 1.0
    assert share(TEN[name], load_config("smoke")) == 0.0


def test_larger_batches_longer_sequences_and_full_precision_need_more():
    for name, model in TEN.items():
        base = memory_bytes(model, CARD)
        for word in ("tournament.batch_size=32", "tournament.seq_len=1024", "compute.precision=fp32"):
            assert memory_bytes(model, load_config("rtx3090", [word])) > 1.02 * base, (name, word)
        whole, halved = (
            memory_bytes(
                model,
                load_config(
                    "rtx3090",
                    ["compute.activation_checkpointing=false", f"tournament.gradient_accumulation_steps={parts}"],
                ),
            )
            for parts in (1, 2)
        )
        assert whole > 1.02 * halved, name


def test_halves_save_nothing_of_the_gradients_that_wait_for_the_second():
    """With activation checkpointing little else is left: a half's peak has all gradients of the first beside it."""
    for name in ("v06_moe_medium", "v08_hybrid_medium"):
        halved = memory_bytes(TEN[name], load_config("rtx3090", ["tournament.gradient_accumulation_steps=2"]))
        assert halved == pytest.approx(memory_bytes(TEN[name], CARD), rel=0.02)


def test_the_logits_of_a_batch_never_count_whole():
    """Eight times the tokens cost far less than their logits would."""
    base, large = (
        memory_bytes(TEN["v01_dense_small"], load_config("rtx3090", [f"tournament.batch_size={rows}"]))
        for rows in (16, 128)
    )
    assert large - base < 0.5 * 112 * 512 * 49_152 * 2


def test_the_ten_fit_on_fifty_gib_of_disk():
    ten = entrants(CARD)
    sizes = {name: 12 * count_parameters(c.model).total / GIB for name, c in ten.items()}
    needed = disk_gib(ten, CARD)
    assert sum(sizes.values()) + 4 * min(sizes.values()) < needed < 50  # one a run, more of those that train
    more = disk_gib(ten, load_config("rtx3090", ["tournament.keep_checkpoints=3"]))
    together = [sizes[a] + sizes[b] for a, b in itertools.combinations(ten, 2)]
    assert 0 < more - needed < 2 * max(together)


def test_every_seed_needs_a_checkpoint_of_its_own():
    one, three = (load_config("smoke", [f"seeds={n}", "max_seeds=3", "twins=0"]) for n in (1, 3))
    total = sum(12 * count_parameters(c.model).total / GIB for c in entrants(one).values())
    assert disk_gib(entrants(three), three) - disk_gib(entrants(one), one) == pytest.approx(2 * total, rel=0.05)


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(monkeypatch, tmp_path):
    ten, asked = entrants(CARD), []
    needed = disk_gib(ten, CARD)

    def disk(free_gib):
        usage = namedtuple("usage", "total used free")(0, 0, int(free_gib * GIB))
        monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or usage)

    disk(needed + 0.1)
    check_disk(ten, CARD, tmp_path / "not" / "yet" / "there")
    assert asked == [tmp_path]  # the nearest folder that exists
    disk(needed - 0.1)
    told = rf"up to {needed:.1f} GiB, {tmp_path} has {needed - 0.1:.1f} GiB free: make room.*keep_checkpoints"
    with pytest.raises(BadInput, match=told):
        check_disk(ten, CARD, tmp_path)
