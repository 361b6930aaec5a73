"""Calibration: the rule on numbers and how often it errs, the order of timing, and a small machine's kernels timed."""

import random
import time

import pytest
import torch

from hamner.config.load import load_config
from hamner.config.machine_keys import auto_keys
from hamner.config.presets import model_named
from hamner.config.schema import Kernels
from hamner.model import attention
from hamner.model.kernels import dispatch
from hamner.training.calibrate import measured_here
from hamner.training.calibration import FEWEST_ROUNDS, MARGIN, chance_of, choose, interleaved, judged
from hamner.training.kernel_timing import Bench, Workload, models_of_each_kind
from hamner.training.trial_timing import layouts, processes

RULE = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98, 1.00]


@pytest.mark.parametrize(
    ("others", "best"),
    [
        ([[0.90] * 7], 1),
        ([[1.10] * 7], 0),
        ([[1 - MARGIN / 2] * 7], 0),  # faster each time, and not worth it
        ([[0.90, 0.90, 0.90, 0.90, 0.90, 1.10, 1.10]], 0),  # 5 of 7 is chance: 0.23
        ([[0.90] * 7, [0.80] * 7], 2),
        ([[0.90] * 7, [0.80, 0.80, 0.80, 0.80, 0.80, 1.30, 1.30]], 1),  # the lower median, and not beyond chance
        ([[0.2]], 0),  # one round decides nothing
        ([], 0),
    ],
)
def test_an_alternative_is_chosen_where_it_wins_beyond_the_noise(others, best):
    assert choose([RULE, *others]) == best


def test_several_alternatives_share_one_error():
    almost = [0.9] * 8 + [1.1]  # 8 of 9: 0.0195
    rule = [1.0] * 9
    assert chance_of(8, 9) == pytest.approx(10 / 512)
    assert choose([rule, almost]) == 1 and choose([rule, almost, [1.2] * 9, [1.3] * 9]) == 0


def _rounds(draw, ratios, rounds, noise):
    """Times of several ways whose true ratios are known; each round is slow or fast for all."""
    times = [[] for _ in ratios]
    for _ in range(rounds):
        common = draw.lognormvariate(0, 0.3)
        for own, ratio in zip(times, ratios, strict=True):
            own.append(common * ratio * draw.lognormvariate(0, noise))
    return times


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_equal_ways_are_chosen_among_in_at_most_one_of_twenty_comparisons(count, noise):
    draw = random.Random(count)
    wrong = sum(choose(_rounds(draw, [1.0] * (count + 1), 12, noise)) > 0 for _ in range(1000))
    assert wrong <= 65  # 0.05, and three standard errors


def test_what_is_a_tenth_faster_is_found_in_spite_of_a_busy_machine():
    draw = random.Random(0)
    found = sum(choose(_rounds(draw, [1.0, 0.9], 12, 0.05)) for _ in range(300))
    assert found > 270
    assert judged(_rounds(draw, [1.0, 0.9], 2000, 0.05))[1].ratio == pytest.approx(0.9, abs=0.01)


class _Clock:
    """A clock that moves when something runs."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def run(self, name, seconds):
        def call():
            self.calls.append(name)
            self.now += seconds

        return call


def test_rounds_take_turns_in_who_begins_and_the_hopeless_are_timed_once():
    clock = _Clock()
    runs = [clock.run("a", 0.01), clock.run("b", 0.02), clock.run("c", 0.9)]
    times = interleaved(runs, seconds=5, rounds=4, fewest=2, clock=lambda: clock.now)
    assert clock.calls[:5] == ["a", "a", "b", "b", "c"]  # the first call of each is not counted; of a slow one it is
    assert clock.calls[5:] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert [len(row) for row in times] == [4, 4, 1] and times[2] == [pytest.approx(0.9)]


def test_the_way_of_the_rule_is_timed_however_slow_it_is_and_time_ends_the_rounds():
    clock = _Clock()
    times = interleaved([clock.run("a", 1.0), clock.run("b", 0.1)], seconds=2, clock=lambda: clock.now)
    assert [len(row) for row in times] == [FEWEST_ROUNDS, FEWEST_ROUNDS] and choose(times) == 1


# -- on this machine, tiny


@pytest.fixture
def tiny():
    config = load_config("smoke", ["size.divide=16", "seq_len=32", "vocab_size=400"])
    names = ("v02_dense_medium", "v04_diffattn_medium", "v06_moe_medium")
    models = [model_named(name, config.size) for name in names]
    yield config, Workload(models_of_each_kind(models), config.compute, 1, 32, 2, config.optimizer)
    dispatch.use(Kernels())


def test_every_choice_that_a_step_asks_for_is_timed_and_every_part_has_a_speed(tiny):
    config, work = tiny
    keys = [key for key in auto_keys(config) if key != "compile"]
    found = measured_here(work, keys, say=lambda line: None, rounds=1, fewest=1)
    assert found.choices == {}  # one round decides nothing
    of = {row.of.partition(",")[0] for row in found.rows}
    assert {"block_attention", "differential_blocks", "grouped_experts", "output head", "precision of a block"} <= of
    assert set(found.speed) == {"dense", "differential", "experts", "head", "update"}
    assert all(speed > 1e6 for speed in found.speed.values())
    assert all(row.rounds == 1 and row.milliseconds > 0 for row in found.rows)


def test_what_the_config_says_is_not_timed(tiny):
    _, work = tiny
    found = measured_here(work, [], say=lambda line: None, rounds=1, fewest=1)
    assert all(row.of.startswith("precision") for row in found.rows) and found.choices == {}


def test_a_planted_slow_kernel_is_left_and_the_process_computes_without_it(tiny, monkeypatch):
    _, work = tiny
    work = Workload(work.models, work.compute.model_copy(update={"precision": "bf16"}), 1, 32, 2, work.optimizer)
    plain = attention.block_attention

    def slow(*arguments):
        time.sleep(0.02)
        return plain(*arguments)

    monkeypatch.setattr(attention, "block_attention", slow)
    found = measured_here(work, ["kernels.block_attention"], say=lambda line: None, rounds=8, fewest=8)
    assert found.choices == {"kernels.block_attention": "never"}
    q = torch.zeros(1, 2, 16, 4, dtype=torch.bfloat16)
    assert not dispatch.use_block_attention(q, q)


def test_a_run_of_a_bench_leaves_no_gradient_and_changes_no_weight(tiny):
    _, work = tiny
    bench = Bench(next(iter(work.models.values())), work)
    before = [weight.detach().clone() for weight in bench.hamner.parameters()]
    for run in (bench.of_block(), bench.of_block(again=True), bench.of_part("mlp"), bench.of_head(64)):
        run()
    assert all(weight.grad is None for weight in bench.hamner.parameters())
    bench.of_update(work.optimizer)()
    assert all(torch.equal(old, new) for old, new in zip(before, bench.hamner.parameters(), strict=True))


def test_layouts_use_all_cores_and_the_configs_own_comes_first():
    assert layouts("cpu", 2, (2, 1)) == [(2, 1), (1, 2)]
    assert layouts("cpu", 16, (2, 8)) == [(2, 8), (8, 2), (4, 4), (1, 16)]
    assert layouts("cuda", 16, (1, 8)) == [(1, 8), (4, 8), (2, 8)]


def test_timing_has_the_environment_of_a_run_and_leaves_none_of_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    import os

    with processes(1, 3) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "3"
        assert pool.submit(os.getenv, "MALLOC_TRIM_THRESHOLD_").result() == str(2**34)
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MALLOC_TRIM_THRESHOLD_" not in os.environ
