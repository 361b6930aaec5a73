"""Plan of a fine-tuning: shares of rows and tokens, length, rate."""

import math
from itertools import pairwise

import pytest

from hamner.config.errors import BadInput
from hamner.training.finetuning_plan import conversation_mix, plan, replay_rows


@pytest.mark.parametrize("replay", [0.0, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("trained", [0.1, 0.5, 1.0])
def test_replay_is_a_share_of_the_tokens_trained_on(replay, trained):
    rows = replay_rows(replay, trained)
    assert rows / (rows + (1 - rows) * trained) == pytest.approx(replay)


def test_sources_without_shares_are_read_by_their_length_and_identity_by_its_share():
    rows = {"a": 300, "b": 100, "identity": 50}
    assert conversation_mix({}, rows, "identity", 0.1) == pytest.approx({"a": 0.675, "b": 0.225, "identity": 0.1})
    assert conversation_mix({"a": 0.2, "b": 0.8}, rows, "identity", 0.5) == pytest.approx(
        {"a": 0.1, "b": 0.4, "identity": 0.5}
    )
    assert conversation_mix({}, {"a": 3, "b": 1}, "identity", 0.1) == pytest.approx({"a": 0.75, "b": 0.25})


SETTINGS = {
    "text": {"stories": 0.6, "web": 0.4},
    "replay": 0.3,
    "epochs": 2.0,
    "batch_size": 8,
    "max_steps": 1000,
    "warmup": 0.1,
    "evaluations": 20,
}


def of(conversations=None, rows=None, trained=0.5, **changes):
    conversations, rows = conversations or {"a": 1.0}, rows or {"a": 4000}
    return plan(conversations, rows, dict.fromkeys(rows, trained), **SETTINGS | changes)


def test_the_mix_sums_to_one_and_text_has_its_share():
    made = of()
    assert sum(made.mix.values()) == pytest.approx(1)
    assert made.mix["stories"] + made.mix["web"] == pytest.approx(replay_rows(0.3, 0.5))
    assert made.mix["stories"] / made.mix["web"] == pytest.approx(1.5)


@pytest.mark.parametrize("off", [{"replay": 0.0}, {"text": {}}])
def test_nothing_is_replayed_where_nothing_is_to_be(off):
    assert of(**off).mix == {"a": 1.0}


def test_each_source_is_read_so_often_at_most_and_the_run_is_no_longer():
    made = of({"a": 0.3, "b": 0.7}, {"a": 100, "b": 200}, replay=0.0)
    assert made.limits == {"a": 200.0, "b": 400.0}
    assert made.steps == (200 + 400 - 2) // 8


def test_a_source_of_templates_has_no_limit():
    made = of({"a": 0.5, "identity": 0.5}, {"a": 100, "identity": 3}, replay=0.0, unlimited=("identity",))
    assert made.limits == {"a": 200.0} and made.steps == math.floor(199 / (0.5 * 8))


def test_the_cap_and_what_follows_from_it():
    made = of(max_steps=100)
    assert (made.steps, made.warmup_steps, made.evaluate_every) == (100, 10, 5)
    assert of(max_steps=3).evaluate_every == 1


def test_the_rate_falls_from_the_warmups_end_to_zero():
    made = of(max_steps=100)
    scales = [made.rate_scale(step) for step in range(100)]
    assert scales[:11] == [1.0] * 11 and all(a > b for a, b in pairwise(scales[10:]))
    assert made.rate_scale(55) == pytest.approx(0.5) and made.rate_scale(100) == pytest.approx(0)


def test_too_few_conversations_for_a_batch_are_refused():
    with pytest.raises(BadInput, match="2 rows of conversations, read 2 times, are less than one batch of 8"):
        of(rows={"a": 2}, replay=0.0)
