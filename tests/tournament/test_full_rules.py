"""The rules that a miniature leaves off, through the real command and the real Tuner."""

import json

import fake_card
import pytest
import ray
from fake_card import OnFakeCard, TrialOnFakeCard

from hamner.config.load import load_config
from tournament.memory_fallbacks import FILE_NAME, fallback_names


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_probe_further_seeds_and_cooldown_through_the_command(commands):
    """Three contestants, each at its own rate; contested cuts are answered with a second seed."""
    done = commands.run(
        "tournament",
        "--config",
        "smoke",
        "--name",
        "full",
        'contestants=["v01_dense_small", "v05_moe_small", "v03_diffattn_small"]',
        "steps=[10, 10]",
        "keep=[2, 1]",
        "lr=probe",
        "contested=seeds",
        "max_seeds=2",
        "cooldown=0.2",
        "report=[]",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = commands.results / "tournament" / "full"
    told = _read(folder / "standings.json")
    probe = told["learning_rate_round"]
    assert [len(r["standings"]) for r in told["rounds"]] == [3, 2]  # the probe is no round
    assert probe["steps"] == 6 and len(probe["standings"]) == 3
    for row in probe["standings"]:
        losses = {float(rate): loss for rate, loss in row["tried"].items()}
        assert 3 <= len(losses) <= 5 and row["tokens"] == len(losses) * 6 * 256
        assert losses[row["learning_rate"]] == min(losses.values())
        assert {1e-4, 3e-4, 9e-4} <= {round(rate, 6) for rate in losses}
    rates = {row["contestant"]: row["learning_rate"] for row in probe["standings"]}
    for played in told["rounds"]:
        for row in played["standings"]:
            assert row["learning_rate"] == pytest.approx(10 * rates[row["contestant"]])
            assert row["seeds"] == len(row["runs"])
            assert row["heldout_loss"] == pytest.approx(
                sum(run["heldout_loss"] for run in row["runs"]) / row["seeds"], rel=1e-12
            )
            if row["verdict"] == "contested":
                assert row["seeds"] == 2
        assert "cut_differs_without_cooldown" in played
    assert max(row["seeds"] for played in told["rounds"] for row in played["standings"]) == 2
    assert not list(folder.glob("*/probe*"))
    assert _read(folder / "winner.json")["checkpoint"].split("/")[-3] == told["winner"]


@pytest.mark.slow
def test_runs_share_a_card_and_one_that_needs_more_is_started_again_with_more(league, tmp_path, monkeypatch):
    """A logical GPU; memory is counted, and refused with the real exception."""
    from rich.console import Console

    from tournament.league import League
    from tournament.tuner import play_rounds

    config = load_config(
        "smoke",
        [
            'contestants=["v01_dense_small", "v05_moe_small", "v09_deep_narrow"]',
            "steps=[5, 5]",
            "keep=[2, 1]",
            "twins=0",
            "report=[]",
            "device=cuda",
            "gpu_memory_gib=2.5",
        ],
    )
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "data").symlink_to(league / "data")
    (folder / "config.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    ray.cloudpickle.register_pickle_by_value(fake_card)  # workers need not import it
    started = League(folder, config, Console(quiet=True))

    class Small(OnFakeCard):
        limits = {"v05_moe_small": 1.0}  # noqa: RUF012 (one byte: only the whole card would do, and it does not)

    class SmallTrial(TrialOnFakeCard):
        training = Small

    ray.init(
        address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    try:
        play_rounds(started, SmallTrial)
    finally:
        ray.shutdown()
    failed = started.bracket.failure(0, "v05_moe_small")
    assert failed.failure == "oom" and "CUDA out of memory" in failed.reason and "peak" in failed.reason
    fallbacks = fallback_names(folder / "v05_moe_small" / FILE_NAME)
    assert fallbacks[:2] == ["gradient accumulation steps 1 -> 2", "activation checkpointing"]
    assert fallbacks[-1].endswith("-> 1")
    assert started.bracket.winner() in ("v01_dense_small", "v09_deep_narrow")
    assert len(started.bracket.rounds[1].outcomes) == 2  # its neighbours were not disturbed
