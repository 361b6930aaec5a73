"""Rows per source, means over a mix, errors clustered by document: worked out by hand."""

import math

import pytest

from hamner.evaluation.statistics import accuracy, clustered_error, mix_loss, row_counts


def test_accuracy_is_the_share_of_ones():
    assert accuracy("0110") == 0.5 and accuracy("1") == 1.0


def test_rows_are_shared_out_by_ratio_with_one_of_each_source_at_least():
    assert row_counts({"a": 0.75, "b": 0.24, "c": 0.01}, 32) == {"a": 24, "b": 8, "c": 1}


def test_the_loss_of_a_mix_is_weighted_by_its_ratios():
    assert mix_loss({"a": 2.0, "b": 4.0, "not in the mix": math.nan}, {"a": 0.75, "b": 0.25}) == 2.5


def test_the_error_of_a_difference_is_clustered_by_document():
    # m = 90 / 250 = 0.36; gap - m n = 4, -6, 2; se² = 3/2 * (16 + 36 + 4) / 250²
    assert clustered_error([40.0, 30.0, 20.0], [100, 100, 50]) == pytest.approx(math.sqrt(1.5 * 56) / 250)
    assert clustered_error([40.0], [100]) == math.inf
