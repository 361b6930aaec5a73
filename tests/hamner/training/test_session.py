"""A training session: what is registered survives a kill bit for bit, duties come due, checkpoints are written once."""

import json
import math

import pytest
import torch

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.presets import model_named
from hamner.data.preparation.for_run import prepare
from hamner.runs.files import read_json
from hamner.training import checkpoint
from hamner.training.session import Session, Setup
from hamner.training.trainer import Objective

SOURCES = ["tinystories", "synthetic"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session") / "data"
    config = load_config("smoke", ["builtin_characters=100_000", "bpe_characters=20_000"])
    prepare(config, folder, SOURCES, tokenizer=None, seq_len=32, hub_tokens=0, say=lambda line: None)
    return folder


class Average:
    """An owner of numbers and of tensors, as an optimizer or a stopper is."""

    def __init__(self, session):
        self.session, self.losses = session, []
        self.weights = {"w": torch.zeros_like(session.trainer.hamner.final_norm.weight)}

    def after_step(self, row):
        self.losses.append(row["loss"])
        self.weights["w"] += self.session.trainer.hamner.final_norm.weight.detach()

    def state(self):
        return {"losses": self.losses}

    def load_state(self, state):
        self.losses = list(state["losses"])

    def load_tensors(self, tensors):
        self.weights = {name: tensor.clone() for name, tensor in tensors.items()}


@pytest.fixture
def start(data, tmp_path):
    """start(name, **changes of the Setup) -> a session and the owner of what it averages."""

    def opened(name="run", **changes):
        config = load_config("smoke")
        setup = Setup(
            **{
                "model": model_named("v01_dense_small", config.size),
                "seed": 3,
                "optimizer": config.optimizer,
                "compute": config.compute,
                "threads": 1,
                "sources": SOURCES,
                "batch_size": 4,
                "seq_len": 32,
                "checkpoint_every": 5,
            }
            | changes
        )
        session = Session(setup, data, tmp_path / name, say=lambda line: None)
        session.trainer.mixer.start_stage({"tinystories": 0.5, "synthetic": 0.5})
        session.trainer.begin(1e-3, 2)
        owner = Average(session)
        session.register("average", owner.state, owner.load_state)
        session.register_tensors("average", lambda: owner.weights, owner.load_tensors)
        return session, owner

    return opened


def _train(session, owner, steps):
    for _ in range(steps):
        owner.after_step(session.step())
        if session.global_step % 5 == 0:
            session.save()


@pytest.mark.parametrize("prefetch", [False, True])
def test_whatever_is_registered_survives_a_kill_bit_for_bit(start, prefetch):
    whole, losses = start("whole", prefetch=prefetch)
    _train(whole, losses, 12)
    killed, owner = start("killed", prefetch=prefetch)
    _train(killed, owner, 8)  # the last checkpoint is of step 5
    killed.close()
    again, owner = start("killed", prefetch=prefetch)
    assert again.resume().state["step"] == again.global_step == 5 and len(owner.losses) == 5
    _train(again, owner, 7)
    assert owner.losses == losses.losses and torch.equal(owner.weights["w"], losses.weights["w"])
    ours, theirs = again.trainer.tensors(), whole.trainer.tensors()
    assert all(torch.equal(value, theirs[group][name]) for group in ours for name, value in ours[group].items())


def test_the_log_of_a_resume_says_how_many_steps_the_kill_cost(start, tmp_path):
    session, owner = start()
    _train(session, owner, 8)
    session.close()
    again, _ = start()
    again.resume()
    again.log_resume(tmp_path / "resume.jsonl", contestant="me")
    (line,) = [json.loads(line) for line in (tmp_path / "resume.jsonl").read_text().splitlines()]
    assert line["steps_redone"] == 3 and line["contestant"] == "me"


def test_duties_come_due_by_the_global_step_and_some_at_the_end_too(start):
    session, calls = start()[0], []
    session.every(2, lambda row: calls.append(("even", row["step"])))
    session.every(3, lambda row: calls.append(("third", row["step"])), at_end=True)
    for step in range(1, 6):
        session.run_periodic(session.step(), at_end=step == 5)
    assert calls == [("even", 2), ("third", 3), ("even", 4), ("third", 5)]


def test_however_many_ask_one_checkpoint_is_written(start):
    session, _ = start(checkpoint_every=4)
    session.every_checkpoint()
    session.every(2, session.request_checkpoint)
    taken = []
    for _ in range(4):
        session.run_periodic(session.step())
        taken.append(session.take_checkpoint_request())
    assert taken == [False, True, False, True] and not session.take_checkpoint_request()


def test_no_whole_checkpoint_is_an_error_unless_the_run_may_restart(start):
    session, owner = start()
    _train(session, owner, 5)
    session.close()
    for path in session.checkpoints.iterdir():
        (path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="is whole"):
        start()[0].resume()
    again, _ = start()
    assert again.resume(may_restart=True) is None and again.global_step == 0


def test_a_checkpoint_is_all_that_another_program_needs(start):
    session, owner = start()
    _train(session, owner, 5)
    session.close()
    saved = checkpoint.newest(session.checkpoints)
    assert saved.state["run"] == "run" and saved.tokenizer().sha256 == session.tokenizer.sha256
    built = saved.build().state_dict()
    assert all(torch.equal(built[name], value) for name, value in session.trainer.hamner.state_dict().items())
    assert read_json(saved.path / "state.json")["average"]["losses"] == owner.losses


def test_the_training_loss_is_an_argument(start):
    class Nothing(Objective):
        def forward(self, tokens):
            loss, balance = super().forward(tokens)
            return 0 * loss, 0 * balance

    session, _ = start(objective=Nothing)
    before = session.trainer.hamner.blocks[0].attention.q.weight.detach().clone()
    row = session.step()
    assert row["loss"] == 0 and row["gradient_norm"] == 0
    decay = 1 - row["learning_rate"] * session.setup.optimizer.weight_decay
    assert torch.allclose(session.trainer.hamner.blocks[0].attention.q.weight, decay * before)


def test_the_cost_of_steps_is_read_since_the_last_time(start):
    session, _ = start()
    session.step()
    cost = session.cost()
    assert 0 < cost["tokens_per_second"] < math.inf and 0 <= cost["data_wait"] < 1 and cost["mfu"] > 0
