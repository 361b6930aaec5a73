"""Checkpoints written beside training hold what was there when they were requested."""

import pytest
import torch

from hamner.config.schema import ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import CheckpointWriter, checkpoint_due, must_be_on_disk

MODEL = ModelConfig(vocab_size=280, hidden_size=8, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["hello"], 280)


def test_what_changes_afterwards_is_not_in_it(tmp_path, tokenizer):
    writer, weight, state = CheckpointWriter(), torch.arange(2_000_000.0), {"step": 1, "losses": [1]}
    pruned = []
    writer.write(tmp_path / "step_1", {"model": {"w": weight}}, state, MODEL, tokenizer, after=lambda: pruned.append(1))
    weight.zero_()
    state["losses"].append(2)
    writer.wait()
    saved = checkpoint.load(tmp_path / "step_1")
    assert torch.equal(saved.tensors("model")["w"], torch.arange(2_000_000.0))
    assert saved.state["losses"] == [1] and pruned == [1]


def test_one_at_a_time_in_their_order(tmp_path, tokenizer):
    writer = CheckpointWriter()
    for step in range(5):
        writer.write(
            tmp_path / checkpoint.step_name(step),
            {"model": {"w": torch.full((100_000,), float(step))}},
            {"step": step},
            MODEL,
            tokenizer,
            after=lambda: checkpoint.prune(tmp_path, 2),
        )
    writer.wait()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000000003", "step_000000004"]


def test_what_goes_wrong_is_raised_at_the_next_chance(tmp_path, tokenizer):
    writer = CheckpointWriter()
    (tmp_path / "file").write_text("no folder")
    writer.write(tmp_path / "file" / "step_1", {}, {}, MODEL, tokenizer)
    with pytest.raises(OSError):
        writer.wait()
    writer.wait()  # said once
    writer.write(tmp_path / "file" / "step_1", {}, {}, MODEL, tokenizer)
    with pytest.raises(OSError):
        writer.write(tmp_path / "step_2", {}, {}, MODEL, tokenizer)


@pytest.mark.parametrize("every", [1, 2, 5, 9, 10, 12, 25, 50, 250, 2000])
@pytest.mark.parametrize("steps_to_write", [0, 1, 3, 40, 10**6])
def test_a_kill_never_costs_more_than_the_interval(every, steps_to_write):
    """However long writing takes: training waits where it must."""
    on_disk, writing = 0, None  # the step of the newest whole one; (step, when it will be there)
    for step in range(1, 5 * every + 3):
        assert step - on_disk <= every  # what a kill during this step costs, the step itself included
        if writing and step >= writing[1]:
            on_disk, writing = writing[0], None
        if checkpoint_due(step, every):
            if writing:  # the writer waits for the one before
                on_disk = writing[0]
            writing = step, step + steps_to_write
        if must_be_on_disk(step, every) and writing:
            on_disk, writing = writing[0], None
