"""Limits of what is read: nesting, digits, sizes; and that a refusal stays a few lines, also between processes."""

import pickle
import time

import pytest

from hamner.config.errors import LONGEST_LINE, MOST_PROBLEMS, BadInput
from hamner.config.formats import OtherFormat
from hamner.config.json_text import MOST_LEVELS, is_deep, parse_json
from hamner.config.load import load_config
from hamner.config.schema import Plateau
from hamner.config.toml_file import parse_toml


def _nested(levels):
    return "[" * levels + "]" * levels


def test_json_is_read_up_to_a_hundred_levels():
    assert parse_json(_nested(MOST_LEVELS)) and not is_deep(parse_json(_nested(MOST_LEVELS)))
    for levels in (MOST_LEVELS + 1, 500, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(_nested(levels))
    with pytest.raises(ValueError, match="thousands of digits"):
        parse_json("9" * 5000)


@pytest.mark.parametrize(
    "text",
    [f"a = {_nested(150)}", f"{'.'.join('a' * 1200)} = 1", f"a = 0x{'f' * 5000}"],
    ids=["brackets", "dots", "digits"],
)
def test_toml_that_nothing_could_hold_is_refused(text):
    with pytest.raises(ValueError):
        parse_toml(text)


@pytest.mark.parametrize("word", ["seeds={a=1}", "activation_checkpointing={bool=1}", "seeds={int=1}"])
def test_a_table_in_place_of_a_value_of_several_kinds_is_refused_once(word):
    """It was looked at without end."""
    with pytest.raises(BadInput) as error:
        load_config("smoke", [word])
    assert len(error.value.problems) == 1 and word.partition("=")[0] in str(error.value)


def test_a_refusal_is_of_few_lines_that_are_not_long_and_travels_whole():
    error = OtherFormat([f"line {number}\n{'x' * 3 * LONGEST_LINE}" for number in range(5000)])
    assert len(error.problems) == MOST_PROBLEMS + 1
    assert all(len(line) <= LONGEST_LINE and "\n" not in line for line in error.problems)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is OtherFormat and again.problems == error.problems


def test_the_steps_between_evaluations_are_the_largest_divisor_up_to_a_twentieth():
    for window in range(2, 3000):
        most = max(1, window // 20)
        expected = next(n for n in range(most, 0, -1) if window % n == 0)
        assert Plateau(window_steps=window).evaluation_steps == expected
    begin = time.process_time()
    assert Plateau(window_steps=999_999_937).evaluation_steps == 1  # a prime: it took seconds
    assert time.process_time() - begin < 0.2
