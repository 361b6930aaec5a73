"""How a league starts and what Tune is left to do."""


def test_tune_saves_its_own_state_at_the_start_and_the_end_alone(league, tmp_path, monkeypatch):
    """Nobody reads it, and under load one save meets the copying of another."""
    from ray.tune.execution.tune_controller import TuneController

    from tournament.run import main

    saves, save = [], TuneController.save_to_dir
    monkeypatch.setattr(TuneController, "save_to_dir", lambda controller: saves.append(save(controller)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert main(["--config", "smoke", "--results", str(tmp_path), "--name", "saves", "--data", str(league / "data"),
                 'contestants=["v01_dense_small", "v03_diffattn_small", "v09_deep_narrow"]',
                 "steps=[10, 20]", "keep=[2, 1]", "twins=0"]) == 0
    assert len(saves) == 2
