"""The linear model of a round: least-squares means, spreads, errors and degrees of freedom against other sums."""

import math

import numpy as np
import pytest
from scipy import stats

from hamner.evaluation.statistics import clustered_error
from tournament.document_errors import document_problems
from tournament.uncertainty import (
    CONFIDENCE,
    PRIOR_DF,
    Label,
    SeedNoise,
    fit,
    least_squares_means,
    moderate,
    satterthwaite,
    studentized_range_tail,
)

TEN = [f"c{i}" for i in range(10)]


def _losses(values):
    """Losses of contestants [C, S], all with the seed indices 0 to S - 1."""
    return {f"c{i}": dict(enumerate(map(float, row))) for i, row in enumerate(values)}


def _documents(nats, tokens, source="sft", share=1.0):
    return {source: {"share": share, "nats": list(map(float, nats)), "tokens": list(map(int, tokens))}}


def _paired_error(a, b):
    """Standard error of the documents. a, b: documents, one entry a seed."""
    losses = _losses([[1.0, 1.1], [2.0, 2.2]])
    return fit(losses, {"c0": a, "c1": b}).compare("c1", "c0").evaluation_se


# -- means


def test_with_the_same_seeds_least_squares_means_are_plain_means():
    values = np.random.default_rng(0).normal(5, 0.1, (10, 3))
    assert fit(_losses(values)).means == pytest.approx(values.mean(axis=1), rel=1e-12)


def test_unequal_numbers_of_seeds_compare_as_if_all_had_run_all():
    """Without noise of their own the model is exact, though plain means order the contestants the other way."""
    mean, shift = {"a": 1.0, "b": 1.1, "c": 1.2}, {0: 0.0, 1: 0.5, 2: 1.0}
    ran = {"a": (0, 1, 2), "b": (0,), "c": (0, 1)}
    losses = {name: {seed: mean[name] + shift[seed] for seed in seeds} for name, seeds in ran.items()}
    plain = {name: sum(row.values()) / len(row) for name, row in losses.items()}
    assert min(plain, key=plain.get) == "b"
    found = least_squares_means(losses)
    assert found == pytest.approx({name: value + 0.5 for name, value in mean.items()})
    assert fit(losses).compare("b", "a").difference == pytest.approx(0.1)


def test_means_and_errors_are_those_of_a_regression_on_dummies():
    rng = np.random.default_rng(3)
    losses = {
        name: {seed: rng.normal(5, 0.1) for seed in seeds}
        for name, seeds in {"a": (0, 1, 2, 3), "b": (0, 1), "c": (1, 2, 3), "d": (2,)}.items()
    }
    rows = [(name, seed, loss) for name, of_one in losses.items() for seed, loss in of_one.items()]
    x = np.array([[float(n == "bcd"[k]) for k in range(3)] + [float(s == k) for k in (0, 1, 2, 3)] for n, s, _ in rows])
    y = np.array([row[2] for row in rows])
    solution, *_ = np.linalg.lstsq(x, y, rcond=None)
    residuals = y - x @ solution
    df = len(y) - np.linalg.matrix_rank(x)
    found = fit(losses)
    assert found.noise.df == df == 3 and found.noise.sd == pytest.approx(math.sqrt((residuals**2).sum() / df))
    assert found.compare("c", "a").difference == pytest.approx(solution[1])
    # with all spreads equal to the pooled one the covariance is the textbook's
    contrast = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    equal = found.noise.sd**2 * contrast @ np.linalg.pinv(x.T @ x) @ contrast
    assert found.compare("c", "a").standard_error == pytest.approx(math.sqrt(equal), rel=0.4)


def test_the_order_of_contestants_and_seeds_changes_nothing():
    rng = np.random.default_rng(1)
    losses = {name: {s: rng.normal() for s in (2, 0, 1)[: 1 + i % 3]} for i, name in enumerate("abcdef")}
    turned = {name: dict(reversed(losses[name].items())) for name in reversed(losses)}
    one, other = fit(losses), fit(turned)
    for name in "bcdef":
        assert other.compare(name, "a").standard_error == pytest.approx(one.compare(name, "a").standard_error)
        assert other.compare(name, "a").difference == pytest.approx(one.compare(name, "a").difference)


# -- noise


def test_what_a_seed_does_to_all_contestants_cancels():
    noise = np.random.default_rng(2).normal(0, 0.01, (5, 3))
    calm, moved = fit(_losses(noise)), fit(_losses(noise + np.array([0.0, 0.4, -0.3])))
    assert moved.noise.sd == pytest.approx(calm.noise.sd) and moved.noise.shared_sd == pytest.approx(0.35, abs=0.02)
    assert moved.compare("c0", "c1").standard_error == pytest.approx(calm.compare("c0", "c1").standard_error)
    assert moved.is_paired and moved.noise.df == 8


def test_common_and_own_noise_are_found_in_their_proportion():
    rng, own, shared = np.random.default_rng(4), [], []
    for _ in range(400):
        values = rng.normal(0, 3.0, (1, 3)) + rng.normal(0, 1.0, (8, 3))
        noise = fit(_losses(values)).noise
        own.append(noise.sd**2)
        shared.append(noise.shared_sd**2)
    assert np.mean(own) == pytest.approx(1.0, abs=0.05) and np.mean(shared) == pytest.approx(9.0, rel=0.12)


def test_each_spread_is_moderated_towards_the_pooled_one():
    variances, df = moderate(np.array([0.0, 9.0]), np.array([1.0, 1.0]), 4.5, 2)
    assert variances == pytest.approx([4 * 4.5 / 5, (4 * 4.5 + 9) / 5]) and df == pytest.approx([2, 2])
    values = np.random.default_rng(5).normal(0, 1, (10, 4)) * np.array([[5.0]] + 9 * [[1.0]])
    found = fit(_losses(values))
    assert found.spreads[0] > 1.3 * found.spreads[1:].max()
    wild, calm = found.compare("c0", "c1"), found.compare("c2", "c1")
    assert wild.standard_error > 1.5 * calm.standard_error and wild.df < calm.df
    own = PRIOR_DF + 27 / 10
    assert found.compare("c2", "c1").df == pytest.approx(
        sum(found.spreads[i] ** 2 for i in (1, 2)) ** 2 / sum(found.spreads[i] ** 4 / own for i in (1, 2))
    )


def test_covariance_means_and_df_are_those_of_the_comparisons():
    rng = np.random.default_rng(6)
    losses = {name: {seed: rng.normal() for seed in range(2 + i % 2)} for i, name in enumerate("abcde")}
    tokens = rng.integers(5, 40, 30)
    texts = {name: [_documents(rng.normal(90, 9, 30), tokens) for _ in losses[name]] for name in losses}
    found = fit(losses, texts)
    v = found.covariance
    for a, first in enumerate(found.names):
        for b, other in enumerate(found.names):
            if a != b:
                label = found.compare(first, other)
                assert label.difference == pytest.approx(found.means[a] - found.means[b])
                assert label.standard_error**2 == pytest.approx(v[a, a] + v[b, b] - 2 * v[a, b])
                assert 1 <= label.df <= found.noise.df + 29
    best = found.names[found.means.argmin()]
    assert found.df == np.median([found.compare(name, best).df for name in found.names if name != best])


@pytest.mark.parametrize("common", [0.0, 0.7])
def test_of_ten_identical_contestants_any_pair_differs_as_seldom_as_the_confidence_says(common):
    rng, found = np.random.default_rng(7), 0
    for _ in range(1500):
        values = common**0.5 * rng.normal(size=(1, 2)) + (1 - common) ** 0.5 * rng.normal(size=(10, 2))
        one = fit(_losses(values))
        order = one.means.argsort()
        found += one.compare(TEN[order[-1]], TEN[order[0]]).verdict == "settled"
    assert found / 1500 == pytest.approx(1 - CONFIDENCE, abs=0.012)


def test_a_pair_four_seed_sd_apart_is_seen_where_most_of_the_noise_is_common():
    rng, found = np.random.default_rng(8), 0
    for _ in range(1000):
        values = 0.6**0.5 * rng.normal(size=(1, 2)) + 0.4**0.5 * rng.normal(size=(10, 2))
        values[1] += 4
        found += fit(_losses(values)).compare("c1", "c0").verdict == "settled"
    assert found / 1000 >= 0.9


# -- what cannot be known


def test_a_pair_is_unknown_when_neither_was_repeated():
    found = fit({"a": {0: 1.0, 1: 1.1}, "b": {0: 1.4, 1: 1.6}, "c": {0: 9.0}, "d": {0: 20.0}})
    assert found.compare("d", "c") == Label(pytest.approx(11.0), 0.0, None, "unknown")
    assert found.compare("d", "a").verdict == "settled" and found.repeated == {"a", "b"}


def test_single_seeds_leave_everything_unknown():
    found = fit({"a": {0: 1.0}, "b": {0: 9.0}})
    assert found.noise == SeedNoise(None, 0) and found.covariance is None and found.spreads is None
    assert found.compare("b", "a").verdict == "unknown" and list(found.means) == [1.0, 9.0]


@pytest.mark.parametrize(
    ("losses", "sd", "df"),
    [
        ({"a": {0: 1.0, 1: 1.2}, "b": {2: 2.0, 3: 2.4}}, math.sqrt((0.02 + 0.08) / 2), 2),  # no seed in common
        ({"a": {0: 1.0, 1: 1.2}, "b": {0: 2.0}}, math.sqrt(0.02), 1),  # nothing would be left to tell the noise from
    ],
)
def test_where_shifts_cannot_be_told_the_noise_includes_them(losses, sd, df):
    found = fit(losses)
    assert not found.is_paired and found.noise == SeedNoise(pytest.approx(sd), df)
    assert list(found.means) == pytest.approx([sum(row.values()) / len(row) for row in losses.values()])


def test_without_any_noise_a_difference_is_settled_and_a_tie_is_not():
    found = fit(_losses([[1.1, 1.3, 1.7], [1.1, 1.3, 1.7], [1.2, 1.4, 1.8]]))
    assert found.compare("c1", "c0").verdict == found.compare("c0", "c1").verdict == "contested"
    assert found.compare("c2", "c0").verdict == "settled"


# -- documents


def _texts(gap, tokens):
    """Documents of three contestants, the second with other losses by document; the means over both are equal."""
    rng = np.random.default_rng(9)
    base = rng.normal(4, 0.3, len(tokens)) * tokens
    swing = np.where(np.arange(len(tokens)) % 2, gap, -gap) * tokens
    return {name: [_documents(base + part, tokens)] * 2 for name, part in (("c0", 0), ("c1", swing), ("c2", 0))}


def test_both_errors_add_up_and_so_do_their_degrees_of_freedom():
    losses, tokens = _losses([[1.0, 1.1], [3.0, 3.2], [2.0, 2.3]]), np.full(20, 8)
    alone, both = fit(losses).compare("c1", "c0"), fit(losses, _texts(0.5, tokens)).compare("c1", "c0")
    swing = 0.5 / math.sqrt(19)
    assert both.evaluation_se == pytest.approx(swing)
    assert both.standard_error == pytest.approx(math.hypot(alone.standard_error, swing))
    assert both.df == pytest.approx(satterthwaite([(alone.standard_error**2, alone.df), (swing**2, 19)]))
    assert alone.df == 2 < both.df


@pytest.mark.parametrize("documents", [2, 3, 12])
def test_few_documents_settle_no_difference_between_equals(documents):
    rng, settled = np.random.default_rng(10), 0
    for _ in range(600):
        tokens = rng.integers(5, 60, documents)
        nats = rng.normal(5, 0.05, (3, documents)) * tokens
        losses = _losses(nats.sum(axis=1)[:, None] / tokens.sum() + rng.normal(0, 0.001, (3, 2)))
        found = fit(losses, {name: [_documents(row, tokens)] * 2 for name, row in zip(losses, nats, strict=True)})
        order = found.means.argsort()
        settled += found.compare(f"c{order[2]}", f"c{order[0]}").verdict == "settled"
    assert settled / 600 <= 0.05


@pytest.mark.parametrize(
    "other",
    [
        [_documents([1, 2], [4, 3])],  # other documents
        [_documents([1, 2, 3], [3, 4, 5])],  # more of them
        [_documents([1, 2], [3, 4], "personal")],  # another source
        [_documents([1, 2], [3, 4]), _documents([1, 2], [3, 9])],  # in one seed
        [],
    ],
)
def test_contestants_without_the_same_documents_cannot_be_settled(other):
    losses = _losses([[1.0, 1.1], [30.0, 30.1], [20.0, 20.1]])
    texts = {"c0": [_documents([1, 2], [3, 4])] * 2, "c1": other, "c2": [_documents([1, 2], [3, 4])] * 2}
    found = fit(losses, texts)
    assert found.compare("c1", "c0").verdict == "contested" and found.compare("c1", "c0").evaluation_se is None
    assert found.compare("c2", "c0").evaluation_se == 0.0


def test_one_document_settles_nothing_and_is_said_and_few_are_warned_of():
    losses = _losses([[1.0, 1.1], [30.0, 30.1], [20.0, 20.1]])
    texts = {name: [_documents([9], [3]) | _documents([1, 2, 3], [1, 1, 1], "hub")] * 2 for name in losses}
    assert fit(losses, texts).compare("c1", "c0").verdict == "contested"
    refused, warned = document_problems([of_seeds[0] for of_seeds in texts.values()])
    assert "sft: 1 held-out document" in refused and "nothing can be settled" in refused
    assert "hub: 3 held-out documents" in warned and "eval_sequences" in warned
    assert document_problems([_documents([1] * 6, [1] * 6)]) == []


def test_long_documents_count_for_more():
    losses = _losses([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    even = fit(losses, _texts(0.5, np.full(8, 10))).compare("c1", "c0")
    uneven = fit(losses, _texts(0.5, np.array([200, *[10] * 7]))).compare("c1", "c0")
    assert even.df == pytest.approx(7) and uneven.df < 0.3


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


def test_it_is_the_clustered_error_of_the_gaps():
    rng = np.random.default_rng(12)
    tokens = rng.integers(1, 40, 15)
    a, b = rng.normal(50, 9, (2, 15))
    expected = clustered_error((a - b).tolist(), tokens.tolist())
    assert _paired_error([_documents(a, tokens)], [_documents(b, tokens)]) == pytest.approx(expected, rel=1e-9)


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
    alone = {
        source: _paired_error(*([{source: one[source] | {"share": 1.0}}] for one in pair))
        for source, pair in parts.items()
    }
    both = [parts["sft"][side] | parts["personal"][side] for side in (0, 1)]
    expected = math.hypot(0.3 * alone["sft"], 0.7 * alone["personal"])
    assert _paired_error(both[:1], both[1:]) == pytest.approx(expected, rel=1e-12)


# -- the Studentised range


@pytest.mark.parametrize(
    ("contestants", "df", "table"), [(3, 10, 3.877), (10, 10, 5.599), (5, 4, 6.287), (4, 2, 9.798)]
)
def test_five_percent_lie_beyond_the_printed_studentised_range(contestants, df, table):
    assert studentized_range_tail(table, contestants, df) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(
    ("statistic", "contestants", "df"),
    [(3.0, 3, 2), (9.0, 10, 3.3), (4.0, 5, 17.5), (6.0, 10, 9), (30.0, 3, 1), (4.5, 40, 200.0), (0.7, 4, 6)],
)
def test_the_tail_is_scipys(statistic, contestants, df):
    exact = stats.studentized_range.sf(statistic, contestants, df)
    assert studentized_range_tail(statistic, contestants, df) == pytest.approx(exact, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("df", [1, 4, 30.5])
def test_the_tail_of_a_pair_is_students_t(df):
    assert studentized_range_tail(3 * math.sqrt(2), 2, df) == pytest.approx(2 * stats.t.sf(3, df), rel=1e-3)
    assert studentized_range_tail(3.0, 1, df) == studentized_range_tail(3.0, 2, df)  # a lone survivor has no rival


def test_less_than_one_degree_of_freedom_settles_nothing():
    assert studentized_range_tail(1e9, 3, 0.99) == 1.0 and studentized_range_tail(1e9, 3, 2) == pytest.approx(
        0, abs=1e-9
    )


def test_satterthwaite_of_one_part_is_its_own_and_of_equal_parts_their_sum():
    assert satterthwaite([(0.3, 7)]) == pytest.approx(7)
    assert satterthwaite([(0.3, 7), (0.3, 5)]) == pytest.approx(2**2 / (1 / 7 + 1 / 5))
    assert satterthwaite([(0.0, 7), (0.0, 5)]) == 5 and satterthwaite([]) == math.inf


def test_contestants_whose_seeds_never_differ_are_compared():
    """Arms of a concept suite that all answer everything, say."""
    equal = fit({"a": {0: 0.0, 1: 0.0}, "b": {0: 0.0, 1: 0.0}})
    assert equal.compare("b", "a").verdict == "contested" and equal.compare("b", "a").standard_error == 0.0
    apart = fit({"a": {0: 0.0, 1: 0.0}, "b": {0: 0.0, 1: 0.0}, "c": {0: 0.5, 1: 0.5}})
    assert apart.compare("c", "a").verdict == "settled" and apart.compare("b", "a").verdict == "contested"
