"""Folders of leagues as the driver and the runs write them, made in milliseconds: no training, no Ray."""

import io
import json
import os
import socket
import time

from rich.console import Console

from hamner.config.load import load_config
from hamner.runs.folders import write_config
from hamner.runs.heartbeat import AT_WORK, LEASE
from hamner.runs.metrics import Metrics
from hamner.runs.resume_log import StepFile
from tournament.bracket import Outcome, Run
from tournament.league import League
from tournament.training import FIELDS

SPEED, PEAK = 2000.0, 1.25


def league_of(folder, count, *words, seeds=1):
    """A league of so many contestants in a new folder, with nothing played."""
    rows = [{"name": f"c{number:02}", "base": "v01_dense_small"} for number in range(count)]
    settings = {"league": rows, "lr": "shared", "seeds": seeds}
    config = load_config("smoke", list(words), "tournament", settings)
    folder.mkdir(parents=True)
    write_config(folder, config, {"kind": "tournament"})
    return League(folder, config, Console(file=io.StringIO(), width=200))


def loss_of(run, index):
    """A loss of a run in a round: the first contestants are the best, seeds lie 0.02 apart."""
    return round(5.0 - index + 0.01 * int(run.contestant[1:]) + 0.02 * run.seed, 6)


def train(league, run, steps, losses=(), *, at_work=True):
    """Leave what a run leaves that has trained so far. losses: (step, held-out loss)."""
    folder = league.folder / league.name(run)
    metrics = Metrics(folder, FIELDS)
    for step, loss in losses:
        metrics.row({"step": step, "heldout_loss_of_grid": loss, "tokens_per_second": SPEED, "peak_gib": PEAK})
    mark = StepFile(folder, 1)
    mark.mark(steps)
    mark.close()
    if at_work:
        (folder / AT_WORK).touch()


def end_round(league, run, index, outcome=None):
    """Leave what a run leaves that has come to the end of a round; the league hears of it."""
    end, loss = sum(league.config.tournament.steps[: index + 1]), loss_of(run, index)
    train(league, run, end, [(end, loss)], at_work=False)
    facts = {"seconds": 10.0, "busy_seconds": 12.0, "tokens_per_second": SPEED, "grid": []}
    outcome = outcome or Outcome(loss, rows=32, facts=facts)
    league.record(run, outcome, league.bracket.report(run, index, outcome))


def play_round(league, index, but=()):
    """End a round for all that are in it, apart from some."""
    for run in league.bracket.runs(index):
        if run not in but:
            end_round(league, run, index)


def hold_lease(league, *, host=None, process=None, age=0.0):
    """A lease as a driver leaves it that renewed it `age` seconds ago."""
    lease, now = league.folder / LEASE, time.time() - age
    document = {"host": host or socket.gethostname(), "pid": process or os.getpid(), "time": now}
    lease.write_text(json.dumps(document))
    os.utime(lease, (now, now))


def set_age(folder, seconds):
    """Let all files of a folder be written so long ago."""
    moment = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))


def second_round(folder, count=10, seeds=1):
    """A league in its second round of three: one run done, one at work, the others waiting."""
    league = league_of(folder, count, seeds=seeds)
    play_round(league, 0)
    first, second = Run("c00", 0), Run("c01", 0)
    end_round(league, first, 1)
    train(league, second, 40, [(20, 4.5), (30, 4.25), (40, 4.125)])
    hold_lease(league)
    return league
