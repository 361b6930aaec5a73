"""A league (tournament) on disk: ledger and resume, standings, messages, checkpoints of contestants that are out.

In: config and folder. Out: bracket.json and bracket.jsonl (the ledger), standings.json, winner.json, timing.json.
The ledger is written before any action it causes. A resume reads it and decides nothing again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.evaluation.statistics import row_counts
from hamner.reports.report_files import ReportWriter
from hamner.runs.files import read_json, write_json
from hamner.runs.folders import next_attempt, resume_command, step_folders
from hamner.runs.heartbeat import AT_WORK, mark_at_work
from hamner.runs.lock import ORPHAN_SECONDS
from hamner.runs.places import Places
from hamner.runs.ray_session import ray_trouble
from hamner.runs.stopping import StopRequest
from hamner.runs.trouble import machine_trouble
from hamner.runs.watchdog import HANG_FILE, hang_line, take_hang
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.entrants import Contestant, entrants, flops_per_token, is_mix_league, run_name
from tournament.ledger import Ledger
from tournament.looking_ahead import forecast_losses
from tournament.outcome import LOST_NODE
from tournament.standings import standings, write_winner
from tournament.standings_table import round_line, show_round
from tournament.timing import wall_clock_breakdown


def new_bracket(config: Config, contestants: Mapping[str, Contestant]) -> Bracket:
    """The bracket of a league in which nothing has happened yet."""
    settings = config.tournament
    rows = sum(row_counts(settings.mix, settings.eval_sequences).values())
    return Bracket(
        Rules(
            settings.keep,
            settings.contested,
            settings.mode,
            rows,
            # an annealed copy is gone by the time more rows are asked for
            max_factor=1 if settings.cooldown or settings.mode == "async" else settings.more_rows,
            shadow=settings.shadow,
        ),
        flops_per_token(config, contestants),
        {name: contestant.schedule for name, contestant in contestants.items()},
        (lambda bracket, index: forecast_losses(config, bracket, index)) if settings.judge == "forecast" else None,
    )


class League:
    """One tournament: config, contestants, bracket, folder."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        console: Console,
        contestants: dict[str, Contestant] | None = None,
        bracket: Bracket | None = None,
    ) -> None:
        """contestants, bracket: instead of those that the config describes."""
        self.folder, self.config, self.console = folder, config, console
        self.contestants = entrants(config) if contestants is None else contestants
        self.bracket = bracket or new_bracket(config, self.contestants)
        self._ledger = Ledger(folder, self.name)
        self._decided_rounds: dict[int, dict[str, Any]] = {}  # of the standings
        self.attempt = 1  # of the Tuners that this start of the league opens, the first
        self.rates: dict[str, Any] = {}  # contestant -> result of its learning-rate search
        self.stop = StopRequest(folder)
        self.report: ReportWriter | None = None  # of a league that is played
        self.tell: Callable[[str], object] = lambda line: None  # is told of rounds that are over, and of failures
        self.places = Places()  # whether the league waits for a node
        self.is_drawn = False  # whether a live table shows what single runs do
        self.saved: dict[Run, int] = {}  # runs that left at a checkpoint when a stop was requested, with its step

    def describe(self) -> str:
        """One line: contestants and seeds."""
        counts = {len(c.seeds) for c in self.contestants.values()}
        line = f"{len(self.contestants)} contestant{'s' * (len(self.contestants) > 1)}"
        by_round = self.config.tournament.seeds
        if not isinstance(by_round, int) and len(counts) == 1:
            line += f", {', '.join(map(str, by_round))} seeds each by round"
        elif max(counts) > 1:
            line += f", {min(counts)}" + (f" to {max(counts)}" if len(counts) > 1 else "") + " seeds each"
        idle = sum(keep >= len(self.contestants) for keep in self.config.tournament.keep)
        return line + (f" (too few for a cut in {'round 1' if idle == 1 else f'rounds 1 to {idle}'})" if idle else "")

    def open(self, *, retry_errors: bool = False) -> None:
        """Read what the ledger remembers, and print where the league stands.

        retry_errors: runs that crashed, or whose node was lost, play their round again where it still can count.
        """
        self.read_ledger(retry_errors=retry_errors)
        checkpoints = {
            self.name(run): max(step_folders(self.folder / self.name(run) / "checkpoints"), default=None)
            for run in self.bracket.runs(self.bracket.round)
        }
        if not any(checkpoints.values()) and not self.rates and not self._ledger.is_there():
            self.console.print("starting at step 0")
            return
        steps = [f"{name} {int(p.name.removeprefix('step_')) if p else 0}" for name, p in checkpoints.items()]
        self.console.print(
            f"resuming in round {self.bracket.round + 1}; checkpoints at step: {', '.join(steps)}", soft_wrap=True
        )

    def read_ledger(self, *, retry_errors: bool = False) -> None:
        """Read what the ledger remembers, and tidy up after processes that were killed. retry_errors: as of open."""
        if self._ledger.is_there():
            self._ledger.read(self._load, lambda line: self.console.print(line, soft_wrap=True, highlight=False))
            self._reopen(retry_errors)
        self._begin_again_where_ahead()
        self._prune_checkpoints()
        for leftover in self.folder.glob(f"*/{AT_WORK}"):
            mark_at_work(leftover.parent, is_at_work=False)
        self.attempt = next_attempt(self.folder)

    def _reopen(self, retry_errors: bool) -> None:
        """Take errors that are no verdict out of the ledger, and print whose."""
        again = self.bracket.reopen(
            lambda outcome: machine_trouble(outcome.reason) is not None, retry_errors=retry_errors
        )
        self._decided_rounds.clear()
        if again:
            why = "ended with an error" if retry_errors else "ended by the machine or with all others"
            names = ", ".join(map(self.name, again))
            self.console.print(f"{why}, so played again: {names}", soft_wrap=True)
            (self.folder / "winner.json").unlink(missing_ok=True)  # first: without it a resume writes it again
        elif retry_errors:
            self.console.print("no crash and no lost node in a round that is open, or in the last", soft_wrap=True)

    def _begin_again_where_ahead(self) -> None:
        """Remove the checkpoints of runs that are in a round beyond one whose result the ledger has lost, and say so.

        They cannot report it again from there; from step 0 they come to the same result.
        """
        for run in (Run(name, seed) for name, seeds in self.bracket.seeds.items() for seed in seeds):
            checkpoints = self.folder / self.name(run) / "checkpoints"
            reached, joined = _round_reached(checkpoints), self.bracket.seeds[run.contestant][run.seed]
            lost = [i for i, r in enumerate(self.bracket.rounds) if joined <= i < reached and run not in r.outcomes]
            if lost:
                place = f"it is in round {reached + 1}, and the ledger has lost its result of round {lost[0] + 1}"
                self.say(run, f"{place}: it begins again at step 0")
                shutil.rmtree(checkpoints)

    def _load(self, document: dict[str, Any]) -> None:
        self.bracket.load_state(document)
        self.rates = dict(document["learning_rates"])

    def name(self, run: Run) -> str:
        """The folder of a run in the league's."""
        return run_name(run, self.contestants)

    def rate(self, name: str) -> float:
        """What a contestant competes at, without lr_scale."""
        found = (self.rates.get(name) or {}).get("learning_rate")
        return found or self.contestants[name].learning_rate or self.config.tournament.learning_rate

    def contestants_to_probe(self) -> list[str]:
        """Contestants whose learning-rate search is not over."""
        if self.config.tournament.lr == "shared":
            return []
        failed = {run.contestant for run, outcome in self.bracket.rounds[0].outcomes.items() if outcome.failure}
        # a search without a rate is over when its failure is in the ledger, too
        over = {name for name, search in self.rates.items() if search["learning_rate"] is not None} | failed
        return [name for name in self.contestants if name not in over]

    # -- what the scheduler reports, before it acts

    def record(self, run: Run, outcome: Outcome, is_decided: bool) -> None:
        """Write the ledger, then everything that follows from it."""
        self._write()
        line = (
            f"{outcome.failure}: {outcome.reason}"
            if outcome.failure
            else f"{outcome.heldout_loss:.4f} nats/token held out, "
            f"{outcome.facts.get('tokens_per_second') or 0:,.0f} tokens/s"
        )
        if outcome.failure:
            self.tell(f"{self.name(run)} failed: {line}")
        if outcome.failure or not self.is_drawn:
            self.console.print(f"  {self.name(run):<26} {line}", highlight=False, soft_wrap=True)
        if is_decided:
            document = self._write_standings()
            show_round(self.console, document, len(document["rounds"]) - 1)
            self.tell(round_line(document["rounds"][-1], len(self.bracket.rounds)))
            self._prune_checkpoints()
            if self.report and not self.bracket.is_over():
                self.report.begin()

    def record_rate(self, run: Run, search: dict[str, Any]) -> None:
        """Write the result of a contestant's learning-rate search to the ledger, and print it.

        That of a search that found none is written together with its failure, which the scheduler reports next.
        """
        self.rates[run.contestant] = search
        self._ledger.add_search(run.contestant, search)
        if search["learning_rate"] is not None:
            self._write()
        if self.is_drawn:
            return
        losses = ", ".join(
            f"{float(rate):.2g}: {loss:.3f}" if loss is not None else f"{float(rate):.2g}: diverged"
            for rate, loss in search["tried"].items()
        )
        self.console.print(
            f"  {run.contestant:<26} learning rate {search['learning_rate'] or 0:.2g} ({losses})",
            highlight=False,
            soft_wrap=True,
        )

    def say(self, run: Run, line: str) -> None:
        """Print what the process of a run has to say of its files."""
        self.console.print(f"  {self.name(run)}: {line}", style="yellow", highlight=False, markup=False, soft_wrap=True)

    def say_waiting(self, line: str) -> None:
        """Print, and tell, that the league waits for a node of its cluster, or no longer does."""
        self.console.print(f"  {line}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        self.tell(line)

    def say_restarted(self, run: Run, reason: str) -> None:
        """Print that the process of a run ended and is started again, and why; of one that hung, where."""
        if ray_trouble():  # then it is not, and the league stops for a reason that is said
            return
        hung = take_hang(self.folder / self.name(run) / HANG_FILE)
        why = hang_line(hung, self.config.compute.hang_minutes) if hung else reason
        line = f"{why}; started again from its newest checkpoint"
        if reason.startswith(LOST_NODE):  # which may only be cut off
            line += f", once its process there has ended, {ORPHAN_SECONDS / 60:g} minutes from now at the latest"
        self.say(run, line)

    def _write(self) -> None:
        self._ledger.write(self.bracket, self.rates)

    def _write_standings(self) -> dict[str, Any]:
        document = standings(
            self.folder.name, self.config, self.bracket, self.contestants, self.rates, self._decided_rounds
        )
        write_json(self.folder / "standings.json", document)
        return document

    def _prune_checkpoints(self) -> None:
        """Of contestants that are out keep the weights, or nothing; all of a run whose error may be played again."""
        bracket = self.bracket
        retried = set(bracket.retriable())
        alive: set[str | None] = {*bracket.contestants(bracket.round), *bracket.shadows(bracket.round)}
        if bracket.is_over():
            alive = {bracket.winner()}
        runs = [Run(name, seed) for name in bracket.flops if name not in alive for seed in bracket.seeds[name]]
        for run in runs:
            if run in retried:
                continue
            for folder in step_folders(self.folder / self.name(run) / "checkpoints"):
                if self.config.tournament.keep_eliminated == "nothing":
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    from hamner.training import checkpoint  # loads PyTorch, for which Ray's start need not wait

                    checkpoint.keep_weights(folder)

    # -- the end

    def close(self, tokenizer_sha256: str) -> bool:
        """Write the final standings and the winner; False when there is no winner."""
        document = self._write_standings()
        if self.bracket.winner() is None:
            self.console.print(self._why_no_winner(), style="red", soft_wrap=True, markup=False, highlight=False)
            return False
        self._prune_checkpoints()
        if is_mix_league(self.contestants):
            from tournament.mix_report import write_mixes  # loads NumPy, as above

            write_mixes(self.folder, self.config, self.bracket, self.contestants)
        write_winner(
            self.folder,
            self.config,
            self.bracket,
            self.contestants,
            tokenizer_sha256,
            document=document,
            rate=self.rate,
        )
        return True

    def _why_no_winner(self) -> str:
        """One line: what ended the league, and the way on where there is one."""
        way_on = f"continue with `{resume_command('tournament', self.folder)}`"
        if not self.bracket.is_over():
            return f"the league was stopped; {way_on}"
        index = next(i for i, round_ in enumerate(self.bracket.rounds) if not round_.survivors)
        failures = [f for name in self.bracket.contestants(index) if (f := self.bracket.failure(index, name))]
        errors = [failure for failure in failures if failure.failure == "error"]
        if errors and len(errors) == len(failures):
            return (
                f"stopped: all that played round {index + 1} ended with an error, which decides nothing: "
                f"{errors[0].reason}. Mend it, then {way_on}"
            )
        again = f"; those that ended with an error play again: {way_on}" if errors else ""
        return f"no winner: every contestant failed. Read the reasons below the table above{again}"

    def show_time(self, wall: float, slots: int, kwh: float | None = None) -> None:
        """Print where the time went, of a league played in one go. kwh: what this machine's cards used meanwhile."""
        rounds = [
            [o.facts["busy_seconds"] for o in round_.outcomes.values() if "busy_seconds" in o.facts]
            for round_ in self.bracket.rounds
        ]
        rounds.append([search.get("busy_seconds", 0.0) for search in self.rates.values()])
        time = wall_clock_breakdown(wall, rounds, slots) | ({} if kwh is None else {"kwh": kwh})
        write_json(self.folder / "timing.json", time)
        self.console.print(
            f"{wall:.0f} s, of which the runs, packed at best on {slots} slots, need {time['best_packing']:.0f} s "
            f"({time['idle_at_round_ends']:.0f} slot-seconds idle at the ends of rounds); preparation and "
            f"orchestration: {time['orchestration']:.0f} s, {100 * time['orchestration_share']:.0f} %",
            soft_wrap=True,
            highlight=False,
        )


def _round_reached(checkpoints: Path) -> int:
    """The 0-based round that a run's checkpoints have come to, as far as they can be read."""
    rounds = [0]
    for folder in step_folders(checkpoints):
        with suppress(BadInput, KeyError, TypeError):
            rounds.append(int(read_json(folder / "state.json")["progress"]["round"]))
    return max(rounds)
