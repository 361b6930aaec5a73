"""Statistical significance: standard errors and thresholds against SciPy, NumPy and printed tables."""

import math

import numpy as np
import pytest
from scipy import stats

from tournament.uncertainty import DocumentMeans, Label, SeedNoise, compare, paired_error, seed_noise, threshold


def _documents(nats, tokens, source="sft", share=1.0):
    return {source: {"share": share, "nats": list(map(float, nats)), "tokens": list(map(int, tokens))}}


def _paired_error(a, b):
    """a, b: documents, one entry a seed."""
    return paired_error(DocumentMeans(a), DocumentMeans(b))


@pytest.mark.parametrize(
    ("contestants", "df", "table"), [(3, 10, 3.877), (10, 10, 5.599), (5, 4, 6.287), (4, 2, 9.798)]
)
def test_threshold_is_the_printed_studentised_range_over_root_two(contestants, df, table):
    assert threshold(contestants, df) == pytest.approx(table / math.sqrt(2), abs=5e-4)


@pytest.mark.parametrize(("contestants", "df"), [(3, 1), (10, 4), (7, 20)])
def test_threshold_leaves_five_percent_beyond_it(contestants, df):
    q = threshold(contestants, df) * math.sqrt(2)
    assert stats.studentized_range.sf(q, contestants, df) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("df", [1, 4, 30])
def test_threshold_of_a_pair_is_students_t(df):
    assert threshold(2, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-5)
    assert threshold(1, df) == threshold(2, df)  # a lone survivor has no rival: as for two


def test_threshold_keeps_identical_contestants_apart_in_one_round_of_twenty():
    rng = np.random.default_rng(0)  # ten alike, two seeds each: the largest of all differences
    draws = rng.normal(size=(20_000, 10, 2))
    sd = np.sqrt(draws.var(axis=2, ddof=1).mean(axis=1))
    largest = np.ptp(draws.mean(axis=2), axis=1) / (sd * math.sqrt(1 / 2 + 1 / 2))
    assert (largest > threshold(10, 10)).mean() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("sizes", [(2,), (3, 2), (1, 4, 1), (2, 2, 2, 5)])
def test_seed_noise_is_the_pooled_standard_deviation(sizes):
    rng = np.random.default_rng(len(sizes))
    groups = [rng.normal(5 + 3 * i, 0.1, size).tolist() for i, size in enumerate(sizes)]
    repeated = [np.asarray(group) for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in repeated)
    pooled = math.sqrt(sum(group.var(ddof=1) * (len(group) - 1) for group in repeated) / df)
    assert seed_noise(groups) == SeedNoise(pytest.approx(pooled, rel=1e-12), df)


@pytest.mark.parametrize("groups", [[], [[1.0]], [[1.0], [2.0], []]])
def test_seed_noise_of_single_seeds_is_unknown(groups):
    assert seed_noise(groups) == SeedNoise(None, 0)


def test_compare_adds_both_errors():
    label = compare([5.2, 5.4, 5.3], [5.0, 5.1], 0.03, SeedNoise(0.04, 6), 5)
    error = math.sqrt(0.03**2 + 0.04**2 * (1 / 3 + 1 / 2))
    assert label == Label(pytest.approx(0.25), 0.03, pytest.approx(error, rel=1e-12), "settled")


@pytest.mark.parametrize(("part", "verdict"), [(0.999, "contested"), (1.001, "settled"), (-5.0, "contested")])
def test_a_difference_is_settled_beyond_the_threshold_of_its_error(part, verdict):
    error = math.sqrt(0.03**2 + 2 * 0.04**2)
    limit = stats.studentized_range.ppf(0.95, 6, 4) / math.sqrt(2) * error
    assert compare([5 + part * limit], [5.0], 0.03, SeedNoise(0.04, 4), 6).verdict == verdict


def test_without_seed_noise_nothing_is_known_and_without_texts_seeds_alone_count():
    assert compare([9.0], [5.0], 0.01, SeedNoise(None, 0), 3) == Label(4.0, 0.01, None, "unknown")
    assert compare([9.0], [5.0], None, SeedNoise(0.5, 4), 3).standard_error == pytest.approx(0.5 * math.sqrt(2))


@pytest.mark.parametrize("seed", range(3))
def test_paired_error_is_the_cluster_robust_error_of_a_regression_on_a_constant(seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 40, 30)
    clusters = np.repeat(np.arange(30), tokens)
    gaps = rng.normal(0.1, 0.5, tokens.sum()) + rng.normal(0, 0.3, 30)[clusters]  # of each token
    x = np.ones((len(gaps), 1))
    bread = np.linalg.inv(x.T @ x)
    scores = np.stack([x[clusters == g].T @ (gaps - gaps.mean())[clusters == g] for g in range(30)])
    sandwich = bread @ (scores.T @ scores) @ bread * 30 / 29
    b = rng.uniform(2, 9, 30) * tokens
    a = b + np.bincount(clusters, gaps)
    error = _paired_error([_documents(a, tokens)], [_documents(b, tokens)])
    assert error == pytest.approx(math.sqrt(sandwich[0, 0]), rel=1e-9)
    assert error > 1.5 * gaps.std(ddof=1) / math.sqrt(len(gaps))  # tokens of a document err together


def test_with_one_token_a_document_it_is_the_standard_error_of_a_mean():
    a, b = np.random.default_rng(0).normal(5, 1, (2, 50))
    error = _paired_error([_documents(a, [1] * 50)], [_documents(b, [1] * 50)])
    assert error == pytest.approx(stats.sem(a - b), rel=1e-9)


def test_paired_error_is_how_far_the_difference_moves_with_other_documents():
    rng, scores = np.random.default_rng(1), []
    for _ in range(800):
        tokens = rng.integers(5, 60, 60)
        b = rng.normal(4, 1, 60) * tokens
        a = b + (0.1 + rng.normal(0, 0.2, 60)) * tokens
        scores.append(
            ((a - b).sum() / tokens.sum() - 0.1) / _paired_error([_documents(a, tokens)], [_documents(b, tokens)])
        )
    assert np.std(scores) == pytest.approx(1.0, abs=0.1)


def test_the_order_of_documents_and_of_seeds_changes_nothing():
    rng = np.random.default_rng(2)
    tokens, order = rng.integers(1, 40, 25), rng.permutation(25)
    a, b = rng.normal(50, 9, (2, 3, 25))
    error = _paired_error([_documents(row, tokens) for row in a], [_documents(row, tokens) for row in b])
    moved = _paired_error(
        [_documents(row[order], tokens[order]) for row in a[::-1]], [_documents(row[order], tokens[order]) for row in b]
    )
    assert error == pytest.approx(moved, rel=1e-12) and error > 0
    assert error == pytest.approx(_paired_error([_documents(a.mean(0), tokens)], [_documents(b.mean(0), tokens)]))


def test_what_both_share_cancels():
    tokens, hard = [3, 9, 4, 4], np.array([30.0, 9.0, 70.0, 4.0])
    assert _paired_error([_documents(hard + 0.5 * np.array(tokens), tokens)], [_documents(hard, tokens)]) == (
        pytest.approx(0.0, abs=1e-12)
    )


def test_sources_count_by_their_share():
    rng = np.random.default_rng(3)
    parts = {}
    for source, share in (("sft", 0.3), ("personal", 0.7)):
        tokens = rng.integers(1, 20, 12)
        parts[source] = [_documents(rng.normal(9, 3, 12), tokens, source, share) for _ in range(2)]
    alone = {source: _paired_error([{source: a[source] | {"share": 1.0}}], [b]) for source, (a, b) in parts.items()}
    both = [parts["sft"][side] | parts["personal"][side] for side in (0, 1)]
    expected = math.hypot(0.3 * alone["sft"], 0.7 * alone["personal"])
    assert _paired_error(both[:1], both[1:]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([], [_documents([1, 2], [1, 1])]),
        ([_documents([1], [1])], [_documents([2], [1])]),  # one document
        ([_documents([1, 2], [3, 4])], [_documents([1, 2], [4, 3])]),  # other documents
        ([_documents([1, 2], [3, 4])], [_documents([1, 2, 3], [3, 4, 5])]),  # more of them
        ([_documents([1, 2], [3, 4])], [_documents([1, 2], [3, 4], "personal")]),  # another source
        ([_documents([1, 2], [3, 4])], [_documents([1, 2], [3, 4]), _documents([1, 2], [3, 9])]),  # in one seed
        ([_documents([1, 2], [3, 4]), _documents([1, 2], [3, 9])], [_documents([1, 2], [3, 4])]),
    ],
)
def test_without_the_same_two_documents_there_is_no_paired_error(a, b):
    assert _paired_error(a, b) is None
