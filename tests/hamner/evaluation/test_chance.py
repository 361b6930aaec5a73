"""The chance baseline is what a guesser scores who reads the items."""

import random
import re

import pytest

from hamner.data.synthetic_tasks import LEVELS
from hamner.evaluation.chance import chance


def _guess(rng, example):
    """What a guesser says who reads the item, in code of its own."""
    if example.task == "brackets":
        return rng.choice(("yes", "no"))
    if example.task == "sorting":
        numbers = example.prompt.split(":")[1].split("->")[0].split()
        rng.shuffle(numbers)
        return " ".join(numbers)
    if example.task == "context_recall":
        facts = [f"{part}." for part in example.prompt.split(". ")]
        facts = facts[:-1] if example.prompt.endswith("? ") else facts[:-2]
        return rng.choice(facts)
    if example.task == "copy_repeat":
        times = rng.choice(range(2, example.level + 3))
        text = example.prompt.split(": ")[1].removesuffix(" -> ")
        return (" | " if " | " in example.answer else " ").join([text] * times)
    if example.task == "logic":
        clauses = {c for a, b in re.findall(r"If (.*?) then (.*?)\.", example.prompt) for c in (a, b)}
        return rng.choice(sorted(clauses)) + "."
    if example.level == 5:
        return rng.choice([*re.findall(r"\S+[+*]\d+", example.prompt)])
    return rng.choice(re.findall(r"\d+", example.prompt))


@pytest.mark.parametrize("task", ["brackets", "sorting", "copy_repeat", "context_recall", "logic", "comparison"])
def test_chance_is_what_a_guesser_scores(task, items):
    rng, expected = random.Random(f"guess {task}"), chance(items)
    for index, name in enumerate(items.cells):
        if name.startswith(task):
            of_cell = items.of(index)
            trials = [_guess(rng, example) == example.answer for example in of_cell for _ in range(60)]
            rate = sum(trials) / len(trials)
            drawn = (0.5 if task == "brackets" or name == "comparison 5" else 0) / len(of_cell) ** 0.5  # of the items
            error = (expected[name] * (1 - expected[name]) / len(trials) + drawn**2) ** 0.5
            assert abs(rate - expected[name]) <= 4 * error + 0.01, name


def test_chance_of_one_answer_for_all(items):
    baseline = chance(items)
    assert all(0.48 < baseline[f"brackets {level}"] < 0.55 for level in LEVELS)
    assert (
        abs(baseline["counting 1"] - 1 / 3) < 0.04 and abs(baseline["arithmetic 1"] - 10 / 200) < 0.02
    )  # 0 of 1-1 ...
    assert all(baseline[f"logic {level}"] == 0.5 for level in (1, 2)) and 0.15 < baseline["listops 1"] < 0.35
    assert abs(baseline["comparison 5"] - 0.45) < 0.04 and baseline["copy_repeat 5"] == 1 / 6
    assert baseline == chance(items)
