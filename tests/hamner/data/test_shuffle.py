"""A bijection at any size, the same for the same key, and as disorderly as a drawn permutation."""

from collections import Counter

import numpy as np
import pytest

from hamner.data.shuffle import Shuffle


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 10, 100, 101, 1023, 10_000, 65_537, 1_000_003])
def test_every_row_stands_at_exactly_one_place(count):
    rows = Shuffle(count, "0/sft/0")(np.arange(count))
    assert rows.dtype == np.int64 and np.array_equal(np.sort(rows), np.arange(count))


def test_a_place_needs_no_other_place():
    shuffle = Shuffle(10**10, "0/fineweb_edu/0")  # ten billion rows: no list of them could be made
    places = np.array([0, 1, 12_345, 10**10 - 1])
    together = shuffle(places)
    assert together.tolist() == [int(shuffle(places[i : i + 1])[0]) for i in range(4)]
    assert together.min() >= 0 and together.max() < 10**10 and len(set(together.tolist())) == 4
    assert places.tolist() == [0, 1, 12_345, 10**10 - 1]


def test_the_order_is_that_of_the_key_for_ever():
    """Pinned: a run that is resumed with another order would read some rows twice and others never."""
    assert Shuffle(1000, "0/sft/0")(np.arange(8)).tolist() == [170, 538, 790, 411, 518, 71, 280, 251]
    orders = {key: tuple(Shuffle(1000, key)(np.arange(1000))) for key in ("0/sft/0", "0/sft/1", "1/sft/0", "0/a/0")}
    assert len(set(orders.values())) == 4
    fixed = sum(np.array(orders["0/sft/0"]) == np.array(orders["0/sft/1"]))
    assert fixed < 8  # one is expected


def _chi_squared(counts, expected):
    """(x² - df) / sqrt(2 df): about standard normal where the counts are drawn uniformly."""
    freedom = counts.size - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


def test_no_place_no_neighbour_and_no_distance_gives_a_row_away():
    count, keys = 10_007, 40
    orders = np.stack([Shuffle(count, str(key))(np.arange(count)) for key in range(keys)])
    cells = np.histogram2d(np.tile(np.arange(count), keys), orders.ravel(), bins=40)[0]
    assert abs(_chi_squared(cells, cells.mean())) < 4
    for lag in (1, 2, 100, 101, 102):  # 101: the width of the network's halves
        steps = np.bincount(((orders[:, lag:] - orders[:, :-lag]) % count).ravel(), minlength=count)[1:]
        assert abs(_chi_squared(steps, steps.mean())) < 4, lag
        correlations = [np.corrcoef(order[:-lag], order[lag:])[0, 1] for order in orders]
        assert abs(np.mean(correlations)) < 4 / np.sqrt(count * keys)


def test_all_orders_of_three_rows_come_equally_often():
    orders = Counter(tuple(Shuffle(3, str(key))(np.arange(3))) for key in range(3000))
    assert len(orders) == 6 and all(400 < count < 600 for count in orders.values())


def test_an_order_of_nothing_is_refused():
    with pytest.raises(ValueError, match="an order of 0 rows"):
        Shuffle(0, "")
