"""Mixes drawn for a league: shares within their limits, the same for one seed, wide enough for a fit."""

import numpy as np
import pytest

from hamner.config.errors import BadInput
from tournament.mixes import FLOOR, draw_mixes, mix_rows, within

FIVE = {"tinystories": 4e6, "fineweb_edu": 4e6, "synthetic": 3e6, "sft": 6e5, "personal": 1e5}


def test_shares_sum_to_one_and_keep_to_their_limits():
    most = {"sft": 0.3, "personal": 0.05}
    for seed in range(20):
        for mix in draw_mixes(FIVE, 16, seed, most=most):
            assert list(mix) == list(FIVE) and sum(mix.values()) == pytest.approx(1, abs=1e-9)
            assert all(FLOOR - 1e-4 <= share <= most.get(name, 1.0) + 1e-4 for name, share in mix.items())


def test_a_seed_is_a_draw():
    assert draw_mixes(FIVE, 8, 3) == draw_mixes(FIVE, 8, 3) != draw_mixes(FIVE, 8, 4)
    assert len({tuple(mix.values()) for mix in draw_mixes(FIVE, 16, 0)}) == 16


def test_they_lie_round_the_natural_proportions_flattened():
    shares = np.array([list(mix.values()) for seed in range(40) for mix in draw_mixes(FIVE, 16, seed)]).mean(axis=0)
    assert shares[0] == pytest.approx(shares[1], abs=0.05)  # as much text of one as of the other
    assert shares[0] > shares[3] > shares[4] > 0.04  # a fortieth of the text is a sixth of its share, and is seen


def test_many_sources_are_told_apart_by_the_draw():
    mixes = draw_mixes({f"s{n}": 1.0 for n in range(8)}, 12, 0)
    shares = np.array([list(mix.values()) for mix in mixes])
    assert np.linalg.cond(shares) < 30


@pytest.mark.parametrize(
    ("amounts", "most", "message"),
    [
        ({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.3}, "all sources together may give 80%"),
        ({"a": 1.0, "b": 1.0}, {"a": 0.01}, "a may give 1.0% of a mix, under the least share of 2%"),
        ({f"s{n}": 1.0 for n in range(51)}, {}, "51 sources of at least 2% each"),
    ],
)
def test_text_that_cannot_fill_a_mix_is_refused(amounts, most, message):
    with pytest.raises(BadInput, match=message):
        draw_mixes(amounts, 60, 0, most=most)


def test_limits_that_leave_no_choice_are_met():
    assert within(np.array([0.9, 0.1]), np.array([0.6, 0.4])).tolist() == pytest.approx([0.6, 0.4])


def test_rows_are_numbered_so_that_they_sort():
    rows = mix_rows("v3", [{"a": 1.0}] * 12)
    assert [rows[0]["name"], rows[-1]["name"]] == ["mix01", "mix12"]
    assert rows[0] == {"name": "mix01", "base": "v3", "mix": {"a": 1.0}}
