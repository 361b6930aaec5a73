"""Status of a league (live progress), read from its own files while it runs or afterwards, wherever it runs.

Data in: config.json, the ledger and the runs' folders. Data out: a RunStatus, which hamner/reports/live_table.py
draws. The driver's live table and `tournament status` are both this. No torch, no Ray; nothing is written.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.reports.live_table import Part, Row, RunStatus
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json_as, reading
from hamner.runs.folders import results_words, resume_command
from hamner.runs.heartbeat import Heartbeat, heartbeat
from hamner.runs.tables import Column
from tournament.bracket import Bracket, Run
from tournament.budget import Budget, budgets
from tournament.entrants import Contestant, entrants, flops_per_token, is_mix_league, run_name
from tournament.league import new_bracket
from tournament.ledger import LEDGER, LOG, read_ledger_as
from tournament.outcome import Outcome, is_pending
from tournament.run_facts import RunFacts, RunReader, evaluation_error, loss_and_error

COLUMNS = (
    Column("contestant", justify="left"),
    Column("round", justify="left"),
    Column("held-out loss", justify="left"),
    Column("step", 4),
    Column("tokens/s", 2),
    Column("GiB", 3),
    Column("left", 5),
    Column("its curve", 6, justify="left"),
    Column("state", justify="left"),
)
FAILURES = {"oom": "out of memory", "diverged": "diverged", "error": "error"}
STYLES = {"winner": "bold green", "in": "green", "done": "green", "running": "cyan", "waiting": "", "out": "dim"}
FAILED = "red"  # style of what has failed
MOST_NOTES = 6  # lines below the table
Stamp = tuple[int, int] | None  # what tells one content of a file from another; None: there is no file
NOTHING: tuple[Stamp, Stamp] = (None, None)  # of the ledger's files at first
OVERHEAD = 1.3  # seconds that a run is busy, by those it trains, before a round has told


@dataclass(frozen=True)
class _Line:
    """One contestant as it stands."""

    name: str
    place: int  # 0-based, the last round that it was let into
    state: str  # the first word of it is a key of STYLES, or it has failed
    share: float  # of its round
    loss: tuple[float, float | None] | None
    facts: Sequence[RunFacts]
    seconds_left: float | None  # of its runs in its round, one after the other
    end: int  # step at the round's end

    @property
    def kind(self) -> str:
        return self.state.split(",")[0].split(" ")[0]


def _opened(config: Config) -> tuple[Mapping[str, Contestant], Mapping[str, Budget], Bracket]:
    """The contestants of a config, their budgets, and the bracket before anything is played."""
    contestants = entrants(config)
    return contestants, budgets(config, flops_per_token(config, contestants)), new_bracket(config, contestants)


class LeagueReader:
    """Reads one league again and again; what has not changed is not read twice."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput for a folder without a config.json of a league."""
        self._folder = folder
        where = folder / "config.json"
        self._config = read_json_as(where, lambda document: parse(Config, document["config"], str(where)))
        self._contestants, self._budgets, self._bracket = read_json_as(where, lambda _: _opened(self._config))
        self._stamps = NOTHING
        self._readers = {
            run: RunReader(folder / run_name(run, self._contestants))
            for name, contestant in self._contestants.items()
            for run in (Run(name, seed) for seed in contestant.seeds)
        }
        self._errors: dict[str, float | None] = {}  # file of documents -> evaluation error
        self._slots = 1  # runs that were seen at work at one time

    def status(self) -> RunStatus:
        """How the league stands now. Raises BadInput for a broken ledger."""
        self._read_ledger()
        with reading(self._folder / LEDGER):
            return self._status()

    def _status(self) -> RunStatus:
        files = [self._folder / name for name in ("config.json", LEDGER, LOG, "winner.json")]
        files += (self._folder / "data").glob("*")  # while the text is prepared
        files += [file for reader in self._readers.values() for file in reader.files()]
        pulse = heartbeat(self._folder, files, is_finished=(self._folder / "winner.json").is_file())
        lines = [self._line(name, pulse) for name in self._contestants]
        self._slots = max(self._slots, sum(facts.is_at_work for line in lines for facts in line.facts))
        time_left = self._time_left(lines)
        now = self._now(lines)
        return RunStatus(
            title=f"tournament {self._folder.name}: {now}",
            heartbeat=pulse,
            last=self._last(pulse),
            time_left=time_left,
            head=(self._strip(lines),),
            columns=COLUMNS,
            rows=tuple(self._row(line) for line in sorted(lines, key=self._order)),
            foot=tuple(self._notes(lines)),
            line="; ".join(part for part in (now, self._in_short(lines), time_left) if part),
            way_on=self._way_on(pulse),
        )

    def _read_ledger(self) -> None:
        stamps = _stamp(self._folder / LEDGER), _stamp(self._folder / LOG)
        if stamps[0] and stamps != self._stamps:
            read_ledger_as(self._folder, self._bracket.load_state)
            self._stamps = stamps

    # -- a contestant

    def _line(self, name: str, pulse: Heartbeat) -> _Line:
        bracket = self._bracket
        rounds = range(len(bracket.rounds))
        place = max(index for index in rounds if index == 0 or name in bracket.rounds[index - 1].survivors)
        runs = bracket.competing(place, name)
        facts = [self._readers[run].facts() for run in runs]
        outcomes = [bracket.rounds[place].outcomes.get(run) for run in runs]
        shares = [
            1.0 if _is_done(outcome, bracket, place) else self._share(run, place, known)
            for run, outcome, known in zip(runs, outcomes, facts, strict=True)
        ]
        left = [
            self._seconds_left(run, place, known, share) for run, known, share in zip(runs, facts, shares, strict=True)
        ]
        return _Line(
            name,
            place,
            self._state(name, place, facts, outcomes, pulse),
            sum(shares) / len(shares) if shares else 0.0,
            self._loss(facts, outcomes),
            facts,
            None if None in left else sum(seconds for seconds in left if seconds is not None),
            self._budgets[name].steps[place],
        )

    def _state(
        self, name: str, place: int, facts: Sequence[RunFacts], outcomes: Sequence[Outcome | None], pulse: Heartbeat
    ) -> str:
        bracket, round_ = self._bracket, self._bracket.rounds[place]
        failure = next((f for index in range(place + 1) if (f := bracket.failure(index, name))), None)
        if failure and failure.failure:
            return f"{FAILURES[failure.failure]}, round {place + 1}"
        if bracket.winner() == name:
            return "winner"
        if round_.is_decided and name not in round_.survivors:
            return f"out, round {place + 1}"
        at_work = sum(known.is_at_work and outcome is None for known, outcome in zip(facts, outcomes, strict=True))
        tried = [record["fallback"] for known in facts for record in known.fallbacks]
        memory = f", out of memory → {tried[-1]}" if tried else ""
        if all(_is_done(outcome, bracket, place) for outcome in outcomes):
            return f"done{memory}"
        if not at_work:
            return f"waiting{memory}"
        if any(known.is_searching for known in facts):
            return f"running, learning-rate search{memory}"
        word = "running" if not pulse.is_over else "broken off"
        return word + (f" {at_work} of {len(facts)}" if len(facts) > 1 and not pulse.is_over else "") + memory

    def _share(self, run: Run, place: int, facts: RunFacts) -> float:
        """Share of its round that a run has trained."""
        budget = self._budgets[run.contestant]
        joined = self._bracket.seeds[run.contestant].get(run.seed, 0)
        if budget.seconds:
            start = budget.seconds[place - 1] if place > joined else 0.0
            return _part((self._trained_seconds(facts) or 0.0), start, budget.seconds[place])
        start = budget.steps[place - 1] if place > joined else 0
        return _part(facts.step, start, budget.steps[place])

    def _trained_seconds(self, facts: RunFacts) -> float | None:
        """About how long a run has trained, by its speed; None where that is not known."""
        league = self._config.tournament
        tokens = facts.step * league.batch_size * league.seq_len
        return tokens / facts.tokens_per_second if facts.tokens_per_second else None

    def _seconds_left(self, run: Run, place: int, facts: RunFacts, share: float) -> float | None:
        """How long a run is still busy in its round; None where its speed is not known."""
        if share >= 1:
            return 0.0
        return self._round_seconds(run.contestant, place, facts.tokens_per_second, share)

    def _round_seconds(self, name: str, place: int, speed: float | None, share: float = 0.0) -> float | None:
        """Seconds that a run is busy in what is left of a round. speed: tokens/s."""
        budget, league = self._budgets[name], self._config.tournament
        if budget.seconds:
            length = budget.seconds[place] - (budget.seconds[place - 1] if place else 0.0)
            return length * (1 - share) * self._overhead()
        steps = budget.steps[place] - (budget.steps[place - 1] if place else 0)
        return steps * (1 - share) * league.batch_size * league.seq_len / speed * self._overhead() if speed else None

    def _overhead(self) -> float:
        """Seconds that runs were busy, by those they trained: evaluations and checkpoints come on top."""
        facts = [o.facts for round_ in self._bracket.rounds for o in round_.outcomes.values()]
        trained = sum(f.get("seconds", 0.0) for f in facts)
        return sum(f.get("busy_seconds", 0.0) for f in facts) / trained if trained else OVERHEAD

    def _loss(self, facts: Sequence[RunFacts], outcomes: Sequence[Outcome | None]) -> tuple[float, float | None] | None:
        """Held-out loss and its standard error: of seeds, else, at a round's end, of the text."""
        ends = [outcome for outcome in outcomes if outcome and outcome.heldout_loss is not None]
        if len(ends) < len(outcomes) or not ends:
            return loss_and_error([known.losses for known in facts])
        mean = loss_and_error([{0: outcome.heldout_loss or 0.0} for outcome in ends])
        if mean and mean[1] is None:
            return mean[0], self._evaluation_error(ends[0])
        return mean

    def _evaluation_error(self, outcome: Outcome) -> float | None:
        key = str(outcome.documents)[:200]
        if key not in self._errors:
            self._errors[key] = evaluation_error(self._folder, outcome)
        return self._errors[key]

    # -- what is said

    def _order(self, line: _Line) -> tuple[float, ...]:
        """Who is in the latest round comes first; there who is done, by loss, then who runs, then who waits."""
        kinds = ("winner", "done", "running", "broken", "waiting", "out")
        rank = kinds.index(line.kind) if line.kind in kinds else len(kinds)
        return (rank > 4, -line.place, rank, line.loss[0] if line.loss and rank in (1, 5) else 0.0)

    def _row(self, line: _Line) -> Row:
        speeds = [known.tokens_per_second for known in line.facts if known.tokens_per_second]
        peaks = [known.peak_gib for known in line.facts if known.peak_gib]
        is_playing = line.kind in ("done", "running", "waiting", "broken", "winner")
        many = f" × {len(line.facts)}" if len(line.facts) > 1 else ""
        left = line.seconds_left if line.kind in ("running", "waiting") else None
        cells: tuple[Part, ...] = (
            line.name + many,
            line.share if is_playing else "",
            _loss_text(line.loss),
            f"{max((known.step for known in line.facts), default=0):,} of {line.end:,}",
            f"{sum(speeds) / len(speeds):,.0f}" if speeds else "",
            f"{max(peaks):.2f}" if peaks else "",
            duration_text(left) if left else "",
            tuple(loss for known in line.facts[:1] for loss in known.losses.values()),
            line.state,
        )
        return Row(cells, STYLES.get(line.kind, "yellow" if line.kind == "broken" else FAILED))

    def _strip(self, lines: Sequence[_Line]) -> tuple[Part, ...]:
        """The rounds side by side: number, bar, how many play and how many are kept."""
        parts: list[Part] = []
        before = len(lines)
        for index, keep in enumerate(self._config.tournament.keep):
            playing = [line for line in lines if line.place >= index]
            shares = [line.share if line.place == index else 1.0 for line in playing]
            is_begun = index == 0 or self._bracket.rounds[index - 1].survivors
            is_decided = self._bracket.rounds[index].is_decided
            share = 1.0 if is_decided else sum(shares) / max(before, 1) if is_begun else 0.0
            parts += [f"{'  ' * (index > 0)}{index + 1}", share, f"{before} → {keep}"]
            before = min(before, keep)
        return tuple(parts)

    def _now(self, lines: Sequence[_Line]) -> str:
        bracket = self._bracket
        if bracket.is_over():
            winner = bracket.winner()
            return f"{winner} won" if winner else "over, without a winner"
        facts = [known for line in lines for known in line.facts]
        if any(known.is_searching for known in facts):
            return "learning-rate round"
        if self._stamps == NOTHING and not any(known.step or known.is_at_work for known in facts):
            return "getting ready (text, Ray)"
        return f"round {bracket.round + 1} of {len(bracket.rounds)}"

    def _in_short(self, lines: Sequence[_Line]) -> str:
        """What the contestants do, for one line of a log."""
        running = [f"{line.name} {100 * line.share:.0f} %" for line in lines if line.kind == "running"]
        now = self._bracket.round
        playing = [line for line in lines if line.place >= now]  # those beyond were certain to be in
        done = sum(line.kind == "done" or line.place > now for line in playing)
        losses = [(line.loss[0], line.name) for line in playing if line.loss and line.kind == "done"]
        best = f"lowest loss {min(losses)[0]:.4f}, {min(losses)[1]}" if losses else ""
        parts = [f"running: {', '.join(running)}" if running else "", f"{done} of {len(playing)} done", best]
        return "; ".join(part for part in parts if part)

    def _time_left(self, lines: Sequence[_Line]) -> str:
        """Time left of the round and of the league, at the speeds seen so far; "" where they are not known."""
        bracket = self._bracket
        known = [line.seconds_left for line in lines if line.seconds_left is not None and line.kind in STYLES]
        playing = [line for line in lines if line.place >= bracket.round and line.kind in ("running", "waiting")]
        if bracket.is_over() or not known or not any(line.seconds_left for line in playing):
            return ""
        mean = sum(known) / len(known)
        seconds = [line.seconds_left if line.seconds_left is not None else mean for line in playing]
        longest = max(s / max(len(line.facts), 1) for s, line in zip(seconds, playing, strict=True))
        of_round = max(longest, sum(seconds) / self._slots)
        return (
            f"{duration_text(of_round)} of the round left, {duration_text(of_round + self._later(lines))} of the league"
        )

    def _later(self, lines: Sequence[_Line]) -> float:
        """Seconds of the rounds after the present one, at the mean speed of those that are in."""
        bracket, league = self._bracket, self._config.tournament
        speeds = [known.tokens_per_second for line in lines for known in line.facts if known.tokens_per_second]
        if not speeds:
            return 0.0
        speed, name, total = sum(speeds) / len(speeds), next(iter(self._contestants)), 0.0
        for place in range(bracket.round + 1, len(bracket.rounds)):
            runs = min(league.keep[place - 1], len(lines)) * league.seeds_in_round(place)
            one = self._round_seconds(name, place, speed) or 0.0
            total += one * max(runs / self._slots, 1)
        return total

    def _notes(self, lines: Sequence[_Line]) -> list[str]:
        """Lines below the table: who ran out of memory and what was done, who failed and why."""
        notes = []
        for line in lines:
            for record in (record for known in line.facts for record in known.fallbacks):
                peak = f" at {record['peak_gib']:.2f} GiB" if record.get("peak_gib") else ""
                notes.append(f"{line.name}: out of memory{peak} → {record['fallback']}")
            failure = self._bracket.failure(line.place, line.name)
            if failure:
                notes.append(f"{line.name}: {FAILURES.get(failure.failure or '', 'failed')}: {failure.reason}")
        return (
            notes if len(notes) <= MOST_NOTES else [*notes[: MOST_NOTES - 1], f"and {len(notes) - MOST_NOTES + 1} more"]
        )

    def _last(self, pulse: Heartbeat) -> str:
        """What the last file that was written is about."""
        file = pulse.last_file
        if file is None:
            return ""
        for run, reader in self._readers.items():
            if file.parent == reader.folder:
                return f"{run_name(run, self._contestants)} at step {reader.facts().step:,}"
        return file.name

    def _way_on(self, pulse: Heartbeat) -> str:
        if pulse.state == "finished":
            return "" if is_mix_league(self._contestants) else next_command(self._folder)
        return resume_command("tournament", self._folder)


def _stamp(path: Path) -> Stamp:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _is_done(outcome: Outcome | None, bracket: Bracket, place: int) -> bool:
    return outcome is not None and not is_pending(outcome, bracket.rounds[place].factor)


def _part(value: float, start: float, end: float) -> float:
    return min(max((value - start) / (end - start), 0.0), 1.0) if end > start else 0.0


def _loss_text(loss: tuple[float, float | None] | None) -> str:
    if loss is None:
        return ""
    return f"{loss[0]:.4f}" + (f" ± {loss[1]:.4f}" if loss[1] is not None else "")


def next_command(folder: Path) -> str:
    """The command that trains a finished league's winner through the curriculum."""
    return shlex.join(["curriculum", "run", "winner", "--tournament", folder.name, *results_words(folder.parents[1])])
