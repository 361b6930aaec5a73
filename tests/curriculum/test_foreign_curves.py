"""The plateau rule on learning curves of other projects, beside the rules that others would stop them with.

A curve is the held-out loss of a whole run. To stop early is to leave something; to go on is to pay for it.
"""

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ray.tune.stopper import TrialPlateauStopper
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import EarlyStoppingCallback

from curriculum.plateau import make_stopper
from hamner.config.schema import Plateau

CURVES = Path(__file__).parent / "curves"
OVERFITS = "nanogpt_shakespeare_overfits"
NAMES = sorted(path.stem for path in CURVES.glob("*.csv"))


def read(name: str) -> list[tuple[int, float]]:
    """(step, held-out loss) of a curve, evenly spaced."""
    with (CURVES / f"{name}.csv").open() as file:
        rows = [(int(row["step"]), float(row["heldout_loss"])) for row in csv.DictReader(file)]
    every = rows[1][0] - rows[0][0]
    return [(step, loss) for step, loss in rows if step % every == 0]


def confirmed(curve) -> tuple[int, str] | None:
    """Index and reason of the end by the default rule; a window of about 1,000 steps, four evaluations at least."""
    every = curve[0][0]
    per_window = max(4, 1000 // every)
    stopper = make_stopper(Plateau(window_steps=per_window * every, evaluate_every=every))
    for index, (step, loss) in enumerate(curve):
        if reason := stopper.stop_reason(stopper.add_heldout_loss(step, loss)):
            return index, reason
    return None


def trial_plateau(curve) -> int | None:
    """Ray's, at its own defaults for a loss."""
    stopper = TrialPlateauStopper("loss", std=0.01, num_results=4, grace_period=4, mode="min")
    return next((index for index, (_, loss) in enumerate(curve) if stopper("trial", {"loss": loss})), None)


def reduce_on_plateau(curve) -> int | None:
    """PyTorch's, at its defaults: where it first lowers the rate."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = ReduceLROnPlateau(optimizer)
    for index, (_, loss) in enumerate(curve):
        schedule.step(loss)
        if optimizer.param_groups[0]["lr"] < 1.0:
            return index
    return None


def early_stopping(curve) -> int | None:
    """That of transformers, with a patience of five evaluations."""
    callback = EarlyStoppingCallback(early_stopping_patience=5)
    arguments = SimpleNamespace(metric_for_best_model="eval_loss", greater_is_better=False)
    state, control = SimpleNamespace(best_metric=math.inf), SimpleNamespace(should_training_stop=False)
    for index, (_, loss) in enumerate(curve):
        callback.on_evaluate(arguments, state, control, {"eval_loss": loss})
        state.best_metric = min(state.best_metric, loss)
        if control.should_training_stop:
            return index
    return None


def left(curve, index: int | None) -> float:
    """Share of the loss that the rest of the run would still have taken off; 0 for a run that is not stopped."""
    return 0.0 if index is None else 1 - min(loss for _, loss in curve[index:]) / curve[index][1]


def test_there_are_five_curves():
    assert len(NAMES) == 5 and all(len(read(name)) >= 20 for name in NAMES)


def test_a_model_that_overfits_is_ended_by_step_3500():
    curve = read(OVERFITS)
    index, reason = confirmed(curve)
    assert reason == "worse" and curve[index][0] <= 3500  # it is best at 1,750


@pytest.mark.parametrize("name", [name for name in NAMES if name != OVERFITS])
def test_a_stage_that_is_ended_had_little_left(name):
    curve = read(name)
    end = confirmed(curve)
    if end is not None:
        index, reason = end
        windows = (len(curve) - index) / max(4, 1000 // curve[0][0])
        assert reason == "plateau" and left(curve, index) / windows < Plateau().go_on_gain  # a window, on average


def test_rays_stopper_ends_runs_that_had_much_left():
    ours = {name: left(read(name), (confirmed(read(name)) or (None,))[0]) for name in NAMES}
    rays = {name: left(read(name), trial_plateau(read(name))) for name in NAMES}
    gpt2 = [name for name in NAMES if name.startswith("gpt2")]
    assert max(ours[name] for name in gpt2) < 0.005 < 0.05 < min(rays[name] for name in gpt2), (ours, rays)


def test_on_smooth_curves_the_others_stop_no_sooner_and_none_of_them_knows_a_gain():
    for name in NAMES:
        curve = read(name)
        if name.startswith("gpt2"):
            assert left(curve, reduce_on_plateau(curve)) < 0.01 and left(curve, early_stopping(curve)) < 0.01
    curve = read(OVERFITS)
    assert curve[early_stopping(curve)][0] == 3000
