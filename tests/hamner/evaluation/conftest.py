"""Held-out items of every task and level, and the tokenizer they are written in."""

import random

import pytest
import torch

from hamner.config.schema import ModelConfig
from hamner.data.synthetic_tasks import LEVELS, generate
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.skills import skill_items
from hamner.model.loss import next_token_loss
from hamner.model.transformer import build

FRACTION = 0.05


@pytest.fixture(scope="session")
def tokenizer():
    rng = random.Random(0)
    return Tokenizer.train([generate(rng, level).text for level in LEVELS for _ in range(400)], 500)


@pytest.fixture(scope="session")
def items(tokenizer):
    return skill_items(tokenizer, seed=1, heldout_fraction=FRACTION, count=64)


@pytest.fixture(scope="session")
def few(tokenizer):
    return skill_items(tokenizer, seed=1, heldout_fraction=FRACTION, count=3)


@pytest.fixture(scope="session")
def half_taught(tokenizer, few):
    """A tiny model that has learnt the answers of about every other item that is not long, and little else."""
    hamner = build(
        ModelConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=64,
            num_layers=2,
            num_heads=4,
            num_kv_heads=2,
            intermediate_size=96,
            max_seq_len=256,
        ),
        seed=0,
    )
    lengths = (few.answer * torch.arange(1, few.answer.shape[1] + 1)).amax(dim=1)
    rows = lengths.argsort()[:100:2]
    tokens, answer = few.tokens[rows, : lengths[rows].max()], few.answer[rows, : lengths[rows].max()]
    adam = torch.optim.AdamW(hamner.parameters(), lr=6e-3)
    for _ in range(50):
        adam.zero_grad()
        next_token_loss(hamner(tokens).logits, tokens, answer).backward()
        adam.step()
    return hamner
