"""A real league that has lost lines of its ledger's log: runs report again, or begin again, and it ends the same."""

import os
import signal

import pytest
from faults import Point, met, points_environment
from killed import point_at
from outcomes import SAME, outcome_of, problems

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]
SLOW, INTERVALS = "v05_moe_small", 6  # all 36 steps of a run
LOSSES = {
    "emptied": lambda log: log.write_bytes(b""),
    "missing": lambda log: log.unlink(),
    "its last line damaged": lambda log: log.write_bytes(log.read_bytes()[:-9] + bytes(8) + b"\n"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_league_that_lost_reports_while_one_run_was_in_the_next_round_ends_the_same(loss, scene, reference):
    """One contestant stands still: the better of the others is let into round 2, and trains there, before 1 is over.

    Killed just before that is decided; then its log is damaged.
    """
    run = scene("tournament")
    still = Point("pwrite", "after", f"{run.folder}/{SLOW}/.step", "STOP", "worker", nth=6)
    decided = point_at(run, "bracket.json", "before", role="driver", nth=2)
    started = run.start(environment=points_environment(run, [decided, still]))
    assert started.wait_until(lambda: max(_steps(run), default=0) > 12)
    os.kill(met(run, 1)["pid"], signal.SIGCONT)
    ended = started.wait()
    assert ended.code == -signal.SIGKILL and met(run), ended
    log = run.folder / "bracket.jsonl"
    assert log.read_bytes().count(b"\n") >= 1 and not (run.folder / "standings.json").exists()
    LOSSES[loss](log)
    outcome = outcome_of(
        run, reference("tournament"), ended, fault=loss, kind="damaged", what="its log", intervals=INTERVALS
    )
    assert problems(outcome) == [] and outcome.outcome == SAME, outcome
    said = "\n".join(outcome.next_said)
    assert ("bracket.jsonl is " in said) == (loss != "missing"), said


def _steps(run):
    """Steps of the checkpoints that there are."""
    return [int(path.name[5:]) for path in run.folder.glob("*/checkpoints/step_*") if path.name[5:].isdecimal()]
