"""What processes that train on a card find in their environment: read from the code that starts them."""

import os
from types import SimpleNamespace

import pytest
from rich.console import Console

from hamner.config.load import load_config
from hamner.config.schema import Compute
from hamner.runs import cluster
from hamner.runs.card_environment import card_environment
from tournament import tuner
from tournament.league import League

CARD = Compute()


def test_a_card_gets_segments_that_grow_and_sums_in_one_order():
    wanted = {"PYTORCH_ALLOC_CONF": "expandable_segments:True", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert card_environment(CARD, {}) == wanted
    assert "CUBLAS_WORKSPACE_CONFIG" not in card_environment(CARD.model_copy(update={"deterministic": False}), {})
    assert card_environment(CARD.model_copy(update={"device": "cpu"}), {}) == {}


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_what_the_user_has_set_for_the_allocator_stays(name):
    assert "PYTORCH_ALLOC_CONF" not in card_environment(CARD, {name: "backend:cudaMallocAsync"})


@pytest.mark.parametrize(("mine", "becomes"), [(":16:8", None), (":0:0", ":4096:8"), ("", ":4096:8")])
def test_a_setting_of_cublas_stays_only_where_it_keeps_sums_in_one_order(mine, becomes):
    given = {"CUBLAS_WORKSPACE_CONFIG": mine}
    assert card_environment(CARD, given).get("CUBLAS_WORKSPACE_CONFIG") == becomes


@pytest.fixture
def trial_environment(tmp_path, monkeypatch):
    """Words of a config -> the variables that trials of a league get from the Ray that it starts."""

    def read(*words):
        found = {}

        def init(ray, settings, **needs):
            found.update(os.environ)
            found.update(settings.get("runtime_env", {}).get("env_vars", {}))

        monkeypatch.setattr(tuner, "join", init)
        monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0})
        league = League(tmp_path, load_config("smoke", list(words), "tournament"), Console(quiet=True))
        tuner.connect(league)
        return found

    for name in ("RAY_ADDRESS", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return read


def test_trials_on_a_card_compile_with_their_own_threads_and_have_the_cards_variables(trial_environment):
    on_card = trial_environment("device=cuda", "precision=bf16", "compute.threads=3")
    assert on_card["TORCHINDUCTOR_COMPILE_THREADS"] == on_card["OMP_NUM_THREADS"] == "3"
    assert on_card["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    assert on_card["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_trials_on_a_cpu_compile_with_their_own_threads_and_have_none_of_a_card(trial_environment):
    on_cpu = trial_environment("compute.threads=2")
    assert on_cpu["TORCHINDUCTOR_COMPILE_THREADS"] == "2"
    assert not {"PYTORCH_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"} & set(on_cpu)


def test_workers_of_a_curriculum_have_them_too(tmp_path, monkeypatch):
    from curriculum import launch

    found, config = {}, load_config("smoke", ["device=cuda", "precision=bf16"], "curriculum")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(launch, "join", lambda ray, settings, **needs: found.update(settings))
    monkeypatch.setattr(launch, "_prepare_text", lambda *arguments: None)
    (tmp_path / "checkpoints" / "step_1").mkdir(parents=True)  # a resumed run, whose stages are planned
    run = launch.Opened(tmp_path, config, {}, (), 2)
    launch._prepare(Console(quiet=True), run, SimpleNamespace(is_resumed=True, is_verbose=False))
    variables = found["runtime_env"]["env_vars"]
    assert variables["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and variables["TORCHINDUCTOR_COMPILE_THREADS"] == "2"


def test_processes_that_only_prepare_text_have_none_of_a_card():
    assert not {"PYTORCH_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"} & set(cluster.worker_environment(1))
