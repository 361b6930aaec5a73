"""Leagues that were never trained, as files: the real League writes what runs with known curves report."""

import io
import json
import math
import random

from rich.console import Console

from hamner.config.load import load_config
from hamner.runs.files import resealed
from hamner.runs.folders import write_config
from tournament.bracket import Outcome
from tournament.league import League

MANY = [f"c{place:02}" for place in range(40)]


def league_of(folder, *words, names=None, extra=None):
    """A league of the miniature config with a folder and a config.json, and nothing played."""
    rows = {"league": [{"name": name, "base": "v01_dense_small"} for name in names]} if names else {}
    config = load_config("smoke", words, extra=rows | (extra or {}))
    folder.mkdir(parents=True)
    write_config(folder, config, {"kind": "tournament"})
    return League(folder, config, Console(file=io.StringIO(), width=200))


def play(league, *, failing=(), reports=None, seed=0):
    """Play a league, to its end or for so many reports; each contestant is worse than the one before.

    failing: contestant -> the failure it ends with in round 1.
    """
    rng, names = random.Random(seed), [*league.contestants]
    count = 0
    for name in league.contestants_to_probe():
        run = next(run for run in league.bracket.runs(0) if run.contestant == name)
        tried = {str(3e-4 * 3.0**power): 5.0 + 0.2 * abs(power - 0.3) for power in (-1, 0, 1)}
        league.record_rate(run, {"tried": tried, "learning_rate": 3.5e-4, "notch_cost": 0.1, "busy_seconds": 2.0})
    while not league.bracket.is_over():
        for run in league.bracket.waiting_for():
            index = league.bracket.next_round(run)
            if index is None or (reports is not None and count >= reports):
                continue
            count += 1
            outcome = known_outcome(league, run, index, names.index(run.contestant), rng)
            if index == 0 and run.contestant in failing:
                kind = failing[run.contestant]
                outcome = Outcome(None, kind, f"{kind}: a reason of its own", facts={"memory_fallbacks": ["half"]})
            league.record(run, outcome, league.bracket.report(run, index, outcome))
        if reports is not None and count >= reports:
            break
    return league


def known_outcome(league, run, index, place, rng):
    settings = league.config.tournament
    per_step, per_token = settings.batch_size * settings.seq_len, league.bracket.flops[run.contestant]
    begin, end = sum(settings.steps[:index]), sum(settings.steps[: index + 1])

    def loss(step):
        return 2 + 0.01 * place + 5 * math.exp(-step / 60)

    final = loss(end) + rng.gauss(0, 0.01)
    looks = sorted({begin, *(begin + round(part * (end - begin) / 6) for part in range(1, 7))})
    grid = [[at, at * per_step * per_token, 0.1 * at * (1 + 0.02 * place), loss(at)] for at in looks]
    seconds = 0.1 * (end - begin) * (1 + 0.02 * place)
    facts = {
        "train_loss": final - 0.05,
        "tokens_per_second": (end - begin) * per_step / seconds,
        "seconds": seconds,
        "busy_seconds": 1.2 * seconds,
        "steps": end,
        "tokens": end * per_step,
        "flops": end * per_step * per_token,
        "grid": grid,
        "peak_gib": 0.9 + 0.01 * place,
        "memory_fallbacks": [],
        "learning_rate": 3e-4,
    }
    documents = {"s": {"share": 1.0, "tokens": [4] * 40, "nats": [4 * (final + rng.gauss(0, 0.05)) for _ in range(40)]}}
    factor = league.bracket.rounds[index].factor
    return Outcome(final, None, "", factor, league.bracket.rules.rows * factor, documents, facts)


def rename(folder, old, new):
    """Put another contestant's name into all JSON files of a league, also one that no config would take."""
    for path in folder.glob("*.json"):
        before = path.read_bytes()
        after = before.replace(old.encode(), json.dumps(new, ensure_ascii=False)[1:-1].encode())
        path.write_bytes(resealed(path.name, before, after))
