"""Killed, on Ray: workers, driver, raylet and GCS of a league and a curriculum; the watchdog.

And the negative control: with the ledger written after acting, what the suite checks fails.
"""

import os
import random
import signal

import pytest
from faults import met, play, points_environment, start_with
from killed import KILLED, point_at, processes, steps_point, uncovered
from outcomes import LOST, SAME, outcome_of, problems

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]  # each plays a league or more
FAULTS = {fault.name: fault for fault in KILLED}


def test_a_league_killed_four_times_has_the_standings_of_one_left_alone(scene, reference):
    """A worker at a checkpoint, another at a step, the driver once a decision is in the ledger, Ray's raylet."""
    run, expected = scene("tournament"), reference("tournament")
    points = (
        point_at(run, "*/checkpoints/step_*", role="worker"),
        steps_point(run, 10, role="worker"),
        point_at(run, "bracket.json", nth=2, role="driver"),
    )
    ended = start_with(run, *points)
    assert ended.code == -signal.SIGKILL and all(met(run, number) for number in range(3)), ended
    assert ended.out.count("started again from its newest checkpoint") == 2, ended.out

    started = run.start()
    assert started.wait_until(run.is_running)
    os.kill(processes(run, "raylet")[0], signal.SIGKILL)
    ended = started.wait()
    assert ended.code == 1 and "continue with `tournament --resume --name run" in ended.said, ended

    outcome = outcome_of(run, expected, ended, fault="four", kind="killed", what="four kills, one after the other")
    assert problems(outcome) == [] and outcome.outcome == SAME


def test_every_file_of_a_league_that_is_renamed_into_its_place_has_a_point(reference):
    assert uncovered("tournament", reference("tournament").files) == ([], [])


def test_every_file_of_a_curriculum_that_is_renamed_into_its_place_has_a_point(reference):
    assert uncovered("curriculum", reference("curriculum").files) == ([], [])


def test_with_the_ledger_written_after_acting_the_suite_fails(scene, reference):
    """Negative control: one that was cut has lost its optimizer, and there is no ledger to go on from."""
    run, expected = scene("tournament"), reference("tournament")
    point, plant = point_at(run, "bracket.json", "before", role="driver"), {"HAMNER_CHAOS_PLANT": "late_ledger"}
    ended = run.start(environment=points_environment(run, [point]) | plant).wait()
    assert ended.code == -signal.SIGKILL and (run.folder / "standings.json").is_file(), ended
    outcome = outcome_of(run, expected, ended, fault="late ledger", kind="killed", what="a kill before it is written")
    assert outcome.outcome == LOST, outcome  # what is cut is pruned before its ledger is written, so at any speed
    honest = scene("tournament")
    ended = start_with(honest, point_at(honest, "bracket.json", "before", role="driver"))
    outcome = outcome_of(honest, expected, ended, fault="a kill", kind="killed", what="before the first outcome")
    assert ended.code == -signal.SIGKILL and problems(outcome) == []


@pytest.mark.mended("a training's controller that is killed")
def test_a_curriculum_whose_controller_is_ended_stops_with_the_way_on(scene, reference):
    """Ray's memory monitor does so, too: it ends the controller with the worker."""
    fault = FAULTS["kill -9 of the controller while it trains"]
    outcome = play(fault, scene("curriculum"), reference("curriculum"), random.Random(5))
    assert problems(outcome) == [] and (outcome.outcome, outcome.code) == (SAME, 1), outcome
    assert "controller of Ray on this machine has ended" in " ".join(outcome.said), outcome


@pytest.mark.parametrize("pipeline", ["tournament", "curriculum"])
@pytest.mark.parametrize(
    "name",
    [
        *("kill -9 of the worker while it trains", "kill -9 of the raylet while it trains"),
        "kill -9 of the agent while it trains",  # with which the raylet ends, after all that it has started
        *("kill -9 of the GCS while it trains", "SIGSTOP of worker", "SIGINT", "a worker hangs"),
    ],
)
def test_a_fault_while_it_trains(name, pipeline, scene, reference):
    outcome = play(FAULTS[name], scene(pipeline), reference(pipeline), random.Random(f"{name}/{pipeline}"))
    assert problems(outcome) == [] and outcome.outcome == SAME, outcome
