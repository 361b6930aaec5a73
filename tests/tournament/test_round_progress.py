"""Looks at a learning curve: even, more of them early in a run's first round, never two for one step."""

import pytest

from tournament.budget import Budget
from tournament.round_progress import Evaluation, RoundProgress


def _looks(ends, evaluations, seconds=()):
    """Steps at which a run that trains through its rounds is looked at, a list a round."""
    progress, budget = RoundProgress(Evaluation(0.0, {}, 0, 1, 0.0)), Budget(tuple(ends), tuple(seconds))
    step, rounds = 0, []
    for index in range(len(seconds or ends)):
        progress.begin(index, step, 1.0)
        while not budget.is_spent(index, step, progress.seconds):
            step, progress.seconds = step + 1, progress.seconds + 1.0
            if progress.is_grid_due(step, budget, evaluations):
                progress.grid.append((step, progress.seconds, 1.0))
        rounds.append([at for at, _, _ in progress.grid])
    return rounds


@pytest.mark.parametrize(
    ("ends", "evaluations", "first", "second"),
    [
        ((20, 60), 8, [0, 1, 2, 3, 5, 8, 10, 13, 15, 18, 20], [20, 25, 30, 35, 40, 45, 50, 55, 60]),
        ((512, 1024), 4, [0, 16, 32, 64, 128, 256, 384, 512], [512, 640, 768, 896, 1024]),
        ((3, 4), 8, [0, 1, 2, 3], [3, 4]),
        ((64, 65), 1, [0, 8, 16, 32, 64], [64, 65]),
    ],
)
def test_looks_are_even_and_halved_before_the_first(ends, evaluations, first, second):
    assert _looks(ends, evaluations) == [first, second]


def test_rounds_of_seconds_are_looked_at_as_often_and_at_their_end():
    first, second = _looks((), 4, seconds=(64.0, 128.0))
    assert first == [0, 2, 4, 8, 16, 32, 48, 64] and second == [64, 80, 96, 112, 128]
