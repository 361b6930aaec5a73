"""Durations: read at a glance, in the unit that fits."""

import pytest

from hamner.runs.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.5, "4.5 s"),
        (10, "10 s"),
        (90, "90 s"),
        (720, "12.0 min"),
        (750, "12.5 min"),
        (5400, "90.0 min"),
        (30_000, "8.3 h"),
        (43.1 * 3600, "43.1 h"),
    ],
)
def test_a_duration_is_read_at_a_glance(seconds, text):
    assert duration_text(seconds) == text
