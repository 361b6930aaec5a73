"""What all tests of hamner/ share: one thread, a small model on disk, and a run to fine-tune."""

import json

import pytest
import torch
from model_kinds import small_model

from hamner.config.load import load_config
from hamner.config.presets import model_named
from hamner.data.preparation.for_run import prepare
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.runs.folders import write_config
from hamner.training import checkpoint
from hamner.training.session import Session, Setup

BASE_SETTINGS = (
    "builtin_characters=100_000",
    "bpe_characters=20_000",
    "size.vocab_size=600",
    "compute.worker_threads=1",
    "finetuning.seq_len=128",
    "finetuning.batch_size=4",
    "finetuning.max_steps=12",
    "finetuning.evaluations=4",
    "finetuning.eval_sequences=8",
    "finetuning.log_every=1",
    "finetuning.checkpoint_every=3",
)
BASE_MIX = {"tinystories": 0.75, "synthetic": 0.25}


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


@pytest.fixture(scope="session")
def base_results(tmp_path_factory):
    """A results folder with one curriculum run, `mini`: a model that has read stories and exercises for some steps."""
    folder = tmp_path_factory.mktemp("base")
    run, config = folder / "curriculum" / "mini", load_config("smoke", BASE_SETTINGS)
    prepare(config, run / "data", BASE_MIX, tokenizer=None, seq_len=64, hub_tokens=0, say=lambda line: None)
    setup = Setup(
        model=model_named("v01_dense_small", config.size),
        seed=3,
        optimizer=config.optimizer,
        compute=config.compute,
        threads=1,
        sources=list(BASE_MIX),
        batch_size=4,
        seq_len=64,
    )
    session = Session(setup, run / "data", run, say=lambda line: None)
    session.trainer.mixer.start_stage(BASE_MIX)
    session.trainer.begin(6e-3, 2)
    for _ in range(20):
        session.step()
    groups, state, model, tokenizer = session.contents()
    checkpoint.save(run / "final", {"model": groups["model"]}, state, model, tokenizer)
    write_config(run, config, {"kind": "curriculum"})
    session.close()
    return folder
