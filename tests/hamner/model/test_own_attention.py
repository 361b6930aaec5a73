"""The example of an attention kind of your own: it runs, trains in both precisions, and is what its row says."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_kinds import small_model

from hamner.config.cost import count_parameters
from hamner.config.load import load_config
from hamner.model.attention_check import attention_problems
from hamner.model.loss import head_loss
from hamner.model.transformer import build
from tournament.gpu_memory import memory_estimate

REPO = Path(__file__).resolve().parents[3]
NAME = "own_attention.GatedAttention"


@pytest.fixture(autouse=True)
def example_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "docs" / "examples")
    monkeypatch.setenv("HAMNER_MODULES", "own_attention")


def test_the_example_plans_a_league_of_both():
    script = REPO / "docs" / "examples" / "own_attention.py"
    answer = subprocess.run([sys.executable, script], cwd=REPO, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "v01_dense_small" in answer.stdout and "v01_gated" in answer.stdout


@pytest.mark.parametrize("sizes", [(32, 4, 2), (64, 4, 4), (128, 8, 1)], ids=str)
def test_its_row_is_what_its_class_does(sizes):
    hidden, heads, kv_heads = sizes
    model = small_model(attention=NAME, hidden_size=hidden, num_heads=heads, num_kv_heads=kv_heads)
    assert attention_problems(model) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_learns_a_sequence_by_heart(dtype):
    hamner, tokens = build(small_model(attention=NAME), seed=0).train(), torch.arange(120).remainder(23).repeat(2, 1)
    hamner.dtype = dtype
    adam = torch.optim.AdamW(hamner.parameters(), lr=3e-3)
    for _ in range(60):
        adam.zero_grad()
        loss = head_loss(hamner.hidden_states(tokens)[0], hamner.embedding.weight, tokens)
        loss.backward()
        adam.step()
    assert loss.item() < 0.3


def test_memory_and_parameters_follow_from_the_row():
    config, plain, gated = load_config("rtx3090"), small_model(), small_model(attention=NAME)
    assert count_parameters(gated).total - count_parameters(plain).total == 3 * 32 * 32
    assert memory_estimate(gated, config).first_block > memory_estimate(plain, config).first_block
