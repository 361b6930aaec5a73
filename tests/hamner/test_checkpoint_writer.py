"""Checkpoints written beside training hold what was there when they were asked for."""

import pytest
import torch

from hamner import checkpoint, checkpoint_writer
from hamner.checkpoint_writer import CheckpointWriter
from hamner.config import ModelConfig
from hamner.tokenizer import Tokenizer

MODEL = ModelConfig(vocab_size=280, hidden_size=8, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8)


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch):
    monkeypatch.setattr(checkpoint_writer, "BESIDE_BYTES", 0)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["hello"], 280)


def test_what_changes_afterwards_is_not_in_it(tmp_path, tokenizer):
    writer, weight, state = CheckpointWriter(), torch.arange(2_000_000.0), {"step": 1, "told": [1]}
    pruned = []
    writer.write(tmp_path / "step_1", {"model": {"w": weight}}, state, MODEL, tokenizer, then=lambda: pruned.append(1))
    weight.zero_()
    state["told"].append(2)
    writer.wait()
    found = checkpoint.load(tmp_path / "step_1")
    assert torch.equal(found.tensors("model")["w"], torch.arange(2_000_000.0))
    assert found.state["told"] == [1] and pruned == [1]


def test_one_at_a_time_in_their_order(tmp_path, tokenizer):
    writer = CheckpointWriter()
    for step in range(5):
        writer.write(tmp_path / checkpoint.step_name(step), {"model": {"w": torch.full((100_000,), float(step))}},
                     {"step": step}, MODEL, tokenizer, then=lambda: checkpoint.prune(tmp_path, 2))
    writer.wait()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000000003", "step_000000004"]


def test_what_goes_wrong_is_raised_at_the_next_chance(tmp_path, tokenizer):
    writer = CheckpointWriter()
    (tmp_path / "file").write_text("no folder")
    writer.write(tmp_path / "file" / "step_1", {}, {}, MODEL, tokenizer)
    with pytest.raises(OSError):
        writer.wait()
    writer.wait()    # said once
    writer.write(tmp_path / "file" / "step_1", {}, {}, MODEL, tokenizer)
    with pytest.raises(OSError):
        writer.write(tmp_path / "step_2", {}, {}, MODEL, tokenizer)


def test_a_small_one_is_there_when_the_call_returns(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(checkpoint_writer, "BESIDE_BYTES", 1000)
    writer = CheckpointWriter()
    writer.write(tmp_path / "step_1", {"model": {"w": torch.ones(200)}}, {"step": 1}, MODEL, tokenizer)
    assert checkpoint.load(tmp_path / "step_1").state["step"] == 1
    with pytest.raises(OSError):
        (tmp_path / "file").write_text("no folder")
        writer.write(tmp_path / "file" / "step_1", {"model": {"w": torch.ones(200)}}, {}, MODEL, tokenizer)
