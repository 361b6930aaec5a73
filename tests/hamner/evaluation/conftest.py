"""Held-out items of every task and level, and the tokenizer they are written in."""

import random

import pytest

from hamner.data.synthetic_tasks import LEVELS, generate
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.skills import skill_items

FRACTION = 0.05


@pytest.fixture(scope="session")
def tokenizer():
    rng = random.Random(0)
    return Tokenizer.train([generate(rng, level).text for level in LEVELS for _ in range(400)], 500)


@pytest.fixture(scope="session")
def items(tokenizer):
    return skill_items(tokenizer, seed=1, heldout_fraction=FRACTION, count=64)
