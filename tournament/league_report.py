"""Report of a league: what won, how sure that is, what it cost, what failed, how to go on, and all that is behind it.

In: the files of a league's folder, at any moment of its life. Out: report.html, report.md, PNGs and report.json there,
and the index of all runs. Numbers are those of standings.json, bracket.json, winner.json and timing.json; a part whose
numbers are not there says so, and the others stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.reports.charts import quantity, scientific
from hamner.reports.index import INDEX
from hamner.reports.parts import (
    Cell,
    Commands,
    DataTable,
    Fact,
    Facts,
    Fold,
    Paragraph,
    Part,
    Report,
    Section,
    Summary,
    Tone,
)
from hamner.reports.report_files import write_report
from hamner.runs.durations import duration_text, seconds_between
from hamner.runs.files import reading
from hamner.runs.tables import Column
from tournament.league_cost import Spent, league_spent
from tournament.league_files import LeagueFiles, read_league_files
from tournament.report_commands import way_on
from tournament.report_curves import NAME, loss_text
from tournament.report_sections import SECTIONS, failures
from tournament.standings_table import percent, verdict_words

SHOWN = 16  # contestants of the bracket; the others are folded
HOW_SURE = {
    "settled": "settled: more than chance of seeds and text explains",
    "contested": "contested: another seed or text could have reversed it",
    "unknown": "how sure is unknown: no rival ran with two seeds",
}
UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)


def write_league_report(folder: Path) -> Path:
    """Write the report of the league in a folder, RESULTS/tournament/RUN; returns the path of its page.

    Raises BadInput where there is no config.json, or one that cannot be read.
    """
    files = read_league_files(folder)
    with reading(folder):  # what cannot be drawn is a number that no run writes
        return write_report(folder, *league_report(files))


def league_report(files: LeagueFiles) -> tuple[Report, Summary]:
    """The report, and what the index of all runs says of it."""
    result, cost = _result(files), league_cost(files)
    sections = [_section(title, build, files) for title, build in SECTIONS]
    report = Report(
        kind="tournament",
        title=f"Tournament {files.name}",
        lead=f"{result.who}{f'; {result.how_sure}' if result.how_sure else ''}",
        parts=[*_first_screen(files, result, cost)],
        sections=[section for section in sections if section.parts],
        back=f"../../{INDEX}",
        footer=[
            "The bars, bands and words that say how sure a result is are explained in docs/verdict.md; "
            "losses are held out, in nats per token."
        ],
    )
    return report, Summary(result.who, result.how_sure, cost.line, result.tone)


def _section(title: str, build: Callable[[LeagueFiles], Sequence[Part]], files: LeagueFiles) -> Section:
    """A section; one that cannot be made of these files says so, and the others stand."""
    try:
        return Section(title, build(files))
    except UNREADABLE as error:
        text = f"This run's files are of another version, or broken: {type(error).__name__} {error}"
        return Section(title, [Paragraph(text, "warn")])


# -- the sentence


@dataclass(frozen=True)
class Result:
    """How the league stands, in a sentence."""

    who: str
    how_sure: str = ""
    tone: Tone = ""


def _result(files: LeagueFiles) -> Result:
    if files.winner:
        return Result(f"{files.winner['contestant']} won", _how_sure(files))
    count = len(files.contestants)
    if files.is_over:
        who = "the one contestant" if count == 1 else f"all {count} contestants"
        return Result(f"No winner: {who} failed", "", "bad")
    index = sum(round_.is_decided for round_ in files.rounds) or len(files.decided)
    if index and index >= len(files.keep):
        return Result("The last round is decided, and the winner not written down yet")
    where = f"Round {index + 1} of {len(files.keep)} is not decided" if files.keep else "No round is decided"
    losses = _losses_so_far(files, index)
    if not losses:
        return Result(f"{where}, and nobody has come to its end" if files.rounds else f"{where} yet", "", "warn")
    leader = min(losses, key=lambda name: losses[name])
    there = f"{len(losses)} of {len(files.players(index))} have come to its end"
    return Result(f"{where}; {leader} leads so far", there, "warn")


def _how_sure(files: LeagueFiles) -> str:
    """How sure it is that the winner is the best; of a contested one the likeliest other."""
    verdict, (name, chance) = files.winner.get("verdict"), _likeliest_other(files)
    if verdict == "contested" and chance:
        return f"contested: {name} might have won ({percent(chance)})"
    return HOW_SURE.get(verdict or "", "it was the only one left")


def _likeliest_other(files: LeagueFiles) -> tuple[str, float]:
    """Who beside the winner is the likeliest to be the best, with its probability; "" and 0 where that is not known."""
    others = [row for row in files.standings.get("contestants", ()) if not row.get("is_winner") and row.get("p_best")]
    return max(((row["contestant"], row["p_best"]) for row in others), key=lambda pair: pair[1], default=("", 0.0))


def _losses_so_far(files: LeagueFiles, index: int) -> dict[str, float]:
    """Mean losses of contestants that have reported in a round."""
    losses: dict[str, list[float]] = {}
    for run, outcome in files.rounds[index].outcomes.items() if index < len(files.rounds) else ():
        if outcome.heldout_loss is not None:
            losses.setdefault(run.contestant, []).append(outcome.heldout_loss)
    return {name: sum(of_name) / len(of_name) for name, of_name in losses.items()}


# -- what it cost


@dataclass(frozen=True)
class Cost:
    """What a league has taken so far."""

    spent: Spent
    wall: float | None  # seconds, of a league played in one go
    elapsed: float | None  # seconds from its start to its end, pauses included
    kwh: float | None  # of the driver's machine's cards, of a league played in one go

    @property
    def time(self) -> str:
        if self.wall is not None:
            return duration_text(self.wall)
        if self.elapsed is not None:
            return f"{duration_text(self.elapsed)}, pauses included"
        return f"{duration_text(self.spent.seconds)} of runs" if self.spent.seconds else "not known yet"

    @property
    def line(self) -> str:
        if not self.spent.runs:
            return ""
        return f"{self.time}; {self.words(quantity(self.spent.tokens))}"

    def words(self, tokens: str) -> str:
        """Runs, tokens, FLOPs, and energy where the cards tell."""
        energy = "" if self.kwh is None else f", {self.kwh:.3g} kWh"
        runs, flops = self.spent.runs, scientific(self.spent.flops)
        return f"{runs} run{'s' * (runs > 1)}, {tokens} tokens, {flops} FLOPs{energy}"


def league_cost(files: LeagueFiles) -> Cost:
    """From the ledger and the files of times."""
    reports = [
        (run.contestant, run.seed, outcome.facts) for round_ in files.rounds for run, outcome in round_.outcomes.items()
    ]
    wall = files.timing.get("wall")
    return Cost(
        spent=league_spent(reports, files.standings, files.rates),
        wall=float(wall) if wall is not None else None,
        elapsed=seconds_between(files.started, files.finished),
        kwh=files.timing.get("kwh"),
    )


# -- the first screen


def _first_screen(files: LeagueFiles, result: Result, cost: Cost) -> list[Part]:
    early = files.standings.get("cut_too_early")
    failed = failures(files)
    parts: list[Part] = [Paragraph(str(early), "warn")] if early else []
    parts += [Paragraph(problem, "warn") for problem in files.problems]
    facts = [_winner_fact(files), _sure_fact(files), _cost_fact(cost), _failed_fact(failed, len(files.contestants))]
    parts.append(Facts([fact for fact in facts if fact]))
    try:
        parts += _bracket(files)
    except UNREADABLE as error:
        text = f"The bracket cannot be drawn of this run's files: {type(error).__name__} {error}"
        parts.append(Paragraph(text, "warn"))
    return [*parts, Commands([way_on(files)])]


def _winner_fact(files: LeagueFiles) -> Fact | None:
    if not files.winner:
        return None
    loss = files.winner.get("heldout_loss")
    return Fact("Who won", str(files.winner["contestant"]), f"{loss_text(loss)} nats/token held out", "good")


def _sure_fact(files: LeagueFiles) -> Fact | None:
    winner = files.winner
    if not winner:
        return None
    if winner.get("p_best") is None or winner.get("best_of", 0) < 2:
        note = "seeds=2 measures how far chance moves a result"
        return Fact("How sure", str(winner.get("verdict") or "no rival"), note)
    name, chance = _likeliest_other(files)
    other = f", {name} {percent(chance)}" if chance else ""
    note = f"that it is the best of {winner['best_of']}{other}; expected regret {winner['regret']:.4f} nats"
    return Fact("How sure", f"{percent(winner['p_best'])}, {winner['verdict']}", note)


def _cost_fact(cost: Cost) -> Fact:
    if not cost.spent.runs:
        return Fact("What it cost", "not known yet", "no run has come to the end of a round")
    return Fact("What it cost", cost.time, cost.words(f"{cost.spent.tokens:,}"))


def _failed_fact(failed: Sequence[Mapping[str, Any]], count: int) -> Fact:
    names = list(dict.fromkeys(row["contestant"] for row in failed))
    if not names:
        return Fact("What failed", "nothing", f"{count} contestant{'s' * (count != 1)} entered, none had an error")
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Fact("What failed", f"{len(names)} of {count}", shown, "bad")


def _bracket(files: LeagueFiles) -> list[Part]:
    """A row for each contestant, a column for each round."""
    count = len(files.keep) or len(files.decided)
    if not count or not files.contestants:
        return []
    columns = [NAME, *(Column(_round_heading(files, index), justify="left") for index in range(count))]
    winner = files.winner.get("contestant")
    rows: list[list[str | Cell]] = [
        [Cell(name, "winner" if name == winner else ""), *(_bracket_cell(files, index, name) for index in range(count))]
        for name in files.contestants
    ]
    notes = [
        "Held-out loss at each round's end, nats per token; lower is better. Settled: the cut is beyond chance; "
        "else the odds (1.5 to 1) that it was right."
    ]
    first = DataTable(columns, rows[:SHOWN], "the bracket", notes, "bracket")
    if len(rows) <= SHOWN:
        return [first]
    rest = DataTable(columns, rows[SHOWN:], "the bracket, continued", (), "bracket")
    return [first, Fold(f"{len(rows) - SHOWN} more contestants", [rest])]


def _round_heading(files: LeagueFiles, index: int) -> str:
    keep = f", keeps {files.keep[index]}" if index < len(files.keep) else ""
    return f"round {index + 1}{keep}"


def _bracket_cell(files: LeagueFiles, index: int, name: str) -> Cell:
    row = files.standing(index, name)
    if row is not None:
        tones: dict[str, Tone] = {"winner": "winner", "advanced": "in", "eliminated": "out"}
        return Cell(loss_text(row["heldout_loss"]), tones.get(row["status"], "failed"), verdict_words(row))
    if index > len(files.decided) or name not in files.players(index) or files.is_over:
        return Cell("")
    failed = [o for run in files.runs(name) for o in _reported(files, index, run) if o.failure]
    if failed:
        return Cell("–", "failed", str(failed[0].failure))
    loss = _losses_so_far(files, index).get(name)
    return Cell("…", "waiting", "has not come to its end") if loss is None else Cell(f"{loss:.4f}", "waiting", "so far")


def _reported(files: LeagueFiles, index: int, run: Any) -> list[Any]:
    outcomes = files.rounds[index].outcomes if index < len(files.rounds) else {}
    return [outcomes[run]] if run in outcomes else []
