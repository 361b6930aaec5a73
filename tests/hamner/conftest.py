"""What all tests of hamner/ share: one thread, and a small model on disk."""

import json

import pytest
import torch
from model_kinds import small_model

from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices this small are many times slower when two threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model_results(tmp_path_factory):
    """A results folder with one curriculum run, `mine`, whose model has random weights."""
    folder = tmp_path_factory.mktemp("results")
    run = folder / "curriculum" / "mine"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {}}))
    tokenizer = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
    model = small_model(vocab_size=tokenizer.vocab_size, num_layers=1, max_seq_len=300)
    checkpoint.save(run / "final", {"model": build(model, 0).state_dict()}, {"step": 7}, model, tokenizer)
    return folder
