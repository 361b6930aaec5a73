"""How many runs train on one card at a time."""

import os

import pytest

from hamner.config.load import load_config
from hamner.config.schema import Compute
from hamner.runs.card_sharing import PROCESS_FILE, has_mps, runs_per_card
from tournament.entrants import entrants
from tournament.gpu_memory import share

NO_PROCESS = 2**22 + 1  # above the largest that Linux gives


@pytest.fixture
def pipes(tmp_path):
    """A number or text -> the environment of a machine whose Multi-Process Service says that this is its process."""

    def environment(process):
        (tmp_path / PROCESS_FILE).write_text(f"{process}\n")
        return {"CUDA_MPS_PIPE_DIRECTORY": str(tmp_path)}

    return environment


def test_processes_that_take_turns_are_two_and_with_the_service_four(pipes, tmp_path):
    without = {"CUDA_MPS_PIPE_DIRECTORY": str(tmp_path / "none")}
    assert runs_per_card(Compute(), without) == 2 and not has_mps(without)
    assert runs_per_card(Compute(), pipes(os.getpid())) == 4
    assert runs_per_card(Compute(runs_per_card=7), without) == 7


@pytest.mark.parametrize("left", [NO_PROCESS, "", "nonsense", 2**80])
def test_a_service_that_has_died_is_none(pipes, left):
    assert not has_mps(pipes(left))


def test_another_users_service_is_one(pipes, monkeypatch):
    def refuse(process, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert has_mps(pipes(1))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_so_many_runs_fit_one_card_and_one_more_does_not(count):
    config = load_config("rtx3090", [f"runs_per_card={count}", "gpu_memory_gib=1000"])
    parts = {share(contestant.model, config) for contestant in entrants(config).values()}
    (part,) = parts  # memory is no limit there
    assert count * part <= 1 < (count + 1) * part + 1e-9 or part == 1.0


def test_memory_still_decides_where_it_needs_more():
    model = entrants(load_config("rtx3090"))["v08_hybrid_medium"].model
    assert share(model, load_config("rtx3090", ["runs_per_card=8"])) == share(model, load_config("rtx3090")) > 0.6
