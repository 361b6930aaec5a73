"""Killed, in pipelines of one process: at named points, one kill after another, each run ends with the same numbers.

And the negative control: with the test of checksums disabled, what the suite checks fails.
"""

import random
import signal

import pytest
from faults import ALL, flip_bit, met, play, start_with
from killed import KILLED, point_at, steps_point, uncovered
from outcomes import DIFFERENT, SAME, outcome_of, problems

from hamner.runs.folders import step_folders

pytestmark = pytest.mark.end_to_end
FAULTS = {fault.name: fault for fault in KILLED}


def kill_at(scene, point):
    """Start or go on, and be killed at a point; returns how it ended."""
    ended = start_with(scene, point)
    assert ended.code == -signal.SIGKILL and met(scene), (point.words(), ended)
    return ended


def test_a_preparation_killed_at_seven_points_and_stopped_by_ctrl_c_writes_the_same_files(scene, reference):
    """No file of a shard whose record is written is written again."""
    run = scene("prepare_data")
    kill_at(run, point_at(run, "unfinished/plan.json", "before"))
    ended = start_with(run, point_at(run, "unfinished/*.survey.npz", act="INT"))
    assert ended.code == 128 + signal.SIGINT and "run the same command again to continue" in ended.said, ended
    for name, when in (
        ("unfinished/*.survey.npz", "before"),
        ("tokenizer.json", "after"),
        ("unfinished/decided.json", "before"),
        ("*.bin", "after"),
        ("unfinished/*.shard.json", "after"),
        ("manifest.json", "before"),
    ):
        ended = kill_at(run, point_at(run, name, when))
    shards = {path: path.stat().st_mtime_ns for path in run.folder.glob("*.bin")}
    assert len(shards) > 8
    outcome = outcome_of(run, reference("prepare_data"), ended, fault="points", kind="killed", what="seven kills")
    assert problems(outcome) == [] and outcome.outcome == SAME
    assert {path: path.stat().st_mtime_ns for path in run.folder.glob("*.bin")} == shards


def test_a_finetuning_killed_and_stopped_ends_with_the_same_numbers(scene, reference):
    """In the middle of an interval, by SIGTERM, between the renames that replace a checkpoint."""
    run = scene("sft")
    kill_at(run, steps_point(run, 10))
    ended = start_with(run, steps_point(run, 5, "TERM"))
    assert ended.code == 128 + signal.SIGTERM and "--resume" in ended.said, ended
    ended = kill_at(run, point_at(run, "checkpoints/.step_*.old"))
    outcome = outcome_of(run, reference("sft"), ended, fault="points", kind="killed", what="two kills and a SIGTERM")
    assert problems(outcome) == [] and outcome.outcome == SAME
    assert 0 < outcome.steps_redone <= outcome.interval


@pytest.mark.parametrize("name", ["prepare_data", "sft"])
def test_every_file_that_is_renamed_into_its_place_has_a_point(name, reference):
    assert uncovered(name, reference(name).files) == ([], [])


@pytest.mark.slow
def test_without_the_test_of_checksums_the_suite_fails(scene, reference):
    """Negative control: a flipped bit of the newest checkpoint is trained on, and the numbers differ."""
    run = scene("sft")
    kill_at(run, steps_point(run, 16))
    flip_bit(step_folders(run.folder / "checkpoints")[-1] / "model.safetensors")
    ended = run.start(environment={"HAMNER_CHAOS_PLANT": "no_checksums"}).wait()
    assert ended.code == 0, ended
    outcome = outcome_of(run, reference("sft"), ended, fault="a flipped bit", kind="damaged", what="no checksums")
    assert outcome.outcome == DIFFERENT and problems(outcome) != []


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ALL)
@pytest.mark.parametrize(
    "name", ["kill -9 of the driver at a random moment", "SIGTERM", "SIGINT twice", "SIGSTOP of all"]
)
def test_a_fault_at_a_random_moment(name, pipeline, scene, reference):
    outcome = play(FAULTS[name], scene(pipeline), reference(pipeline), random.Random(f"{name}/{pipeline}"))
    assert problems(outcome) == [] and outcome.outcome == SAME, outcome
