"""Stop sequences: found wherever the pieces part, never shown, and nothing else held back."""

import random

import pytest

from hamner.inference.stop_text import StopText


def _passed(text, stops, cuts):
    """What is passed on of a text that comes in pieces."""
    stop, said = StopText(stops), ""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        said += stop.pass_on(text[begin:end])
        if stop.is_found:
            return said, True
    return said + stop.rest(), False


@pytest.mark.parametrize(
    ("text", "stops", "said"),
    [
        ("one two three", ["two"], "one "),
        ("one two three", ["three", "two"], "one "),
        ("ababac", ["abac"], "ab"),
        ("one\n\nuser: two", ["\nuser:", "\n\n"], "one"),
        ("héllo wörld", ["ö"], "héllo w"),
        ("xstop", ["x", "xstop"], ""),
    ],
)
def test_a_stop_sequence_ends_the_text_wherever_the_pieces_part(text, stops, said):
    for first in range(len(text)):
        for second in range(first, len(text)):
            assert _passed(text, stops, [first, second]) == (said, True)


def test_random_texts_are_cut_at_the_first_stop_sequence_or_not_at_all():
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices("ab", k=rng.randrange(12)))
        stops = ["".join(rng.choices("ab", k=rng.randrange(1, 5))) for _ in range(rng.randrange(4))]
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(5)))
        places = [text.find(stop) for stop in stops if stop in text]
        said, is_found = _passed(text, stops, cuts)
        assert is_found == bool(places)
        assert not any(stop in said for stop in stops)
        assert said == (text if not places else text[: len(said)])
        # as soon as a stop sequence is there it is found: no later than where the first one ends
        ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
        assert not places or len(said) <= min(ends)


def test_only_what_may_become_a_stop_sequence_is_held_back():
    stop = StopText(["\nuser"])
    assert [stop.pass_on(piece) for piece in ("hello", "\n", "us", "a", "\nu")] == ["hello", "", "", "\nusa", ""]
    assert stop.rest() == "\nu" and stop.rest() == ""
