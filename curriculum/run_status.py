"""Status of a curriculum (live progress), read from its own files while it runs or afterwards, wherever it runs.

Data in: config.json, stages.json, metrics.csv, run.log and the worker's note of progress. Data out: a RunStatus, which
hamner/reports/live_table.py draws. The driver's live table and `curriculum status` are both this. No torch, no Ray;
nothing is written.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curriculum.deadline import Deadline, clock_text
from curriculum.endings import limit, look_words, percent, short_ending
from curriculum.stages import Stage, StagePlan
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.evaluation.statistics import mix_loss
from hamner.reports.live_table import Part, Row, RunStatus
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json_as, reading
from hamner.runs.find_run import find_run
from hamner.runs.folders import results_folder, resume_command
from hamner.runs.heartbeat import Heartbeat, heartbeat
from hamner.runs.new_rows import NewRows, number
from hamner.runs.read_back import json_object
from hamner.runs.resume_log import STEP_FILE, step_reached
from hamner.runs.tables import Column

COLUMNS = (
    Column("stage", justify="left"),
    Column("length", justify="left"),
    Column("held-out loss"),
    Column("steps"),
    Column("tokens", 3),
    Column("read", 4, justify="left"),
    Column("ended", justify="left"),
)
PROGRESS = ".progress"  # as run_logger.py names it, which loads more than a look at it needs
MOST_ROWS = 4096  # of metrics.csv that are remembered
TAIL = 4096  # bytes of run.log in which its last line is looked for
WIDTHS = 2  # standard errors of an interval, to either side


class CurriculumReader:
    """Reads one run again and again; of metrics.csv only what is new."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput for a folder without a config.json of a curriculum."""
        self._folder, where = folder, folder / "config.json"

        def build(document: Mapping[str, Any]) -> tuple[Config, Sequence[Stage], Deadline | None, str]:
            stages = parse(StagePlan, document["curriculum"], str(where)).stages
            deadline = Deadline.from_facts(document.get("deadline"))
            return parse(Config, document["config"], str(where)), stages, deadline, str(document.get("who") or "WHO")

        self._config, self._stages, self._deadline, self._who = read_json_as(where, build)
        self._rule = self._config.curriculum.plateau
        self._file = NewRows(folder / "metrics.csv")
        self._rows = deque[Mapping[str, str]](maxlen=MOST_ROWS)

    def status(self) -> RunStatus:
        """How the run stands now. Raises BadInput for broken files."""
        with reading(self._folder):
            return self._status()

    def _status(self) -> RunStatus:
        files = [self._folder / name for name in ("config.json", "run.log", "stages.json", STEP_FILE, PROGRESS)]
        files += (self._folder / "data").glob("*")  # while the text is prepared
        pulse = heartbeat(
            self._folder, [*files, self._folder / "metrics.csv"], is_finished=(self._folder / "final").is_dir()
        )
        records, progress = self._records(), self._progress()
        rows, is_new = self._file.look()
        if is_new:
            self._rows.clear()
        self._rows.extend(rows)
        index = self._stage_index(records, progress)
        now = self._now(index, pulse)
        time_left = self._time_left(progress)
        return RunStatus(
            title=f"curriculum {self._folder.name}: {now}",
            heartbeat=pulse,
            last=self._last(index),
            time_left=time_left,
            head=tuple(self._head(index, progress, pulse)),
            columns=COLUMNS,
            rows=tuple(self._row(number, records, index, progress, pulse) for number in range(len(self._stages))),
            focus=min(index, len(self._stages) - 1),
            foot=tuple(line for line in [self._last_line()] if line),
            line="; ".join(part for part in (progress.get("line") or now, time_left) if part),
            way_on=self._way_on(pulse),
        )

    # -- the files

    def _records(self) -> list[Mapping[str, Any]]:
        """Records of the stages that are over."""
        path = self._folder / "stages.json"
        if not path.is_file():
            return []
        return read_json_as(path, lambda document: list(document["stages"]))

    def _progress(self) -> Mapping[str, Any]:
        """The worker's note of progress; nothing where there is none, or one of an older version."""
        return json_object(self._folder / PROGRESS)

    def _last_line(self) -> str:
        """The last line of run.log."""
        try:
            with (self._folder / "run.log").open("rb") as file:
                file.seek(max(file.seek(0, 2) - TAIL, 0))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _stage_index(self, records: Sequence[Mapping[str, Any]], progress: Mapping[str, Any]) -> int:
        """0-based index of the stage that is being trained; behind the last one where all are over."""
        over = max((record["number"] for record in records if not record.get("abandoned")), default=0)
        noted = int(progress.get("stage") or 0)
        return noted - 1 if noted > over else over

    def _rows_of(self, index: int) -> list[Mapping[str, str]]:
        """Rows of metrics.csv of a stage, of those that are remembered."""
        return [row for row in self._rows if row.get("phase") == self._stages[index].name]

    # -- what is said

    def _now(self, index: int, pulse: Heartbeat) -> str:
        count = len(self._stages)
        if pulse.state == "finished":
            return f"all {count} stages are over"
        if index >= count:
            return "the last stage is over"
        if not self._rows and not (self._folder / "run.log").is_file():
            return "getting ready (text, Ray)"
        return f"stage {index + 1} of {count}, {self._stages[index].name}"

    def _head(self, index: int, progress: Mapping[str, Any], pulse: Heartbeat) -> list[tuple[Part, ...]]:
        """Lines of the stage that is being trained: loss, gain, when it ends, speed."""
        if pulse.state == "finished" or index >= len(self._stages):
            return []
        rows = self._rows_of(index)
        losses = [loss for row in rows if (loss := number(row, "heldout_loss")) is not None]
        last = rows[-1] if rows else {}
        lines: list[tuple[Part, ...]] = []
        if losses:
            mean = number(last, "mean_loss")
            trained = f", {mean:.4f} of the text it read" if mean is not None else ""
            lines.append(("loss", tuple(losses), f"{losses[-1]:.4f} held out{trained}"))
        if not self._stages[index].steps and not self._stages[index].run_share:
            lines += [(line,) for line in _gain_lines(rows, progress, self._config)]
        lines += [(line,) for line in [_end_line(progress)] if line]
        speed, peak = number(last, "tokens_per_second"), number(last, "peak_gib")
        parts = [f"{speed:,.0f} tokens/s" if speed else "", f"{peak:.2f} GiB" if peak else ""]
        parts.append(f"step {step_reached(self._folder) or 0:,} of the run")
        return [*lines, (", ".join(part for part in parts if part),)]

    def _row(
        self,
        index: int,
        records: Sequence[Mapping[str, Any]],
        present: int,
        progress: Mapping[str, Any],
        pulse: Heartbeat,
    ) -> Row:
        """A line of the strip of stages."""
        stage, name = self._stages[index], f"{index + 1} {self._stages[index].name}"
        record = next((r for r in reversed(records) if r["number"] == index + 1 and not r.get("abandoned")), None)
        if record and index != present:
            read = ", ".join(f"{source} {rows:,}" for source, rows in record.get("rows", {}).items() if rows)
            ended = short_ending(record["reason"], self._rule)
            cells = (name, 1.0, _loss(record, stage), f"{record['steps']:,}", f"{record['tokens']:,}", read, ended)
            return Row(cells, "red" if record["reason"] == "worse" else "green")
        if index != present or pulse.state == "finished":
            return Row((name, "", "", "", "", "", "left out" if index < present else ""), "dim")
        rows = self._rows_of(index)
        step = int(progress.get("stage_step") or (number(rows[-1], "stage_step") if rows else 0) or 0)
        latest = (progress.get("ends_at_step") or [0, stage.length(self._config.curriculum.max_steps)])[1]
        losses = [loss for row in rows if (loss := number(row, "heldout_loss")) is not None]
        state = "running" if pulse.state == "running" else "broken off"
        newest = f"{losses[-1]:.4f}" if losses else ""
        return Row((name, step / latest, newest, f"{step:,} of {latest:,}", "", "", state), "cyan")

    def _time_left(self, progress: Mapping[str, Any]) -> str:
        """When the run ends; "" where that is not known."""
        if self._deadline:
            return f"the run ends {clock_text(self._deadline.ends_at, self._deadline.seconds)}"
        left = progress.get("seconds_left")
        return f"the run takes {_range(left)} more" if left else ""

    def _last(self, index: int) -> str:
        name = f"stage {index + 1} {self._stages[index].name}" if index < len(self._stages) else "the end"
        return f"{name}, at step {step_reached(self._folder) or 0:,} of the run"

    def _way_on(self, pulse: Heartbeat) -> str:
        if pulse.state == "finished":
            return f"hamner chat {shlex.quote(self._folder.name)}"
        return resume_command(f"curriculum run {shlex.quote(self._who)}", self._folder)


def _gain_lines(rows: Sequence[Mapping[str, str]], progress: Mapping[str, Any], config: Config) -> list[str]:
    """What the newest look of a stage found: the gain with its interval; the verdict and the strikes."""
    rule = config.curriculum.plateau
    look = next((row for row in reversed(rows) if row.get("verdict")), None)
    gain = number(look, "gain") if look else None
    strikes = progress.get("strikes")
    counted = f"; strikes {strikes:.1f} of {rule.strikes}" if strikes is not None else ""
    if look is None or gain is None:
        return [f"no look at the gain yet{counted}"]
    error = number(look, "gain_error")
    interval = f" ({100 * (gain - WIDTHS * error):.2f} to {100 * (gain + WIDTHS * error):.2f})" if error else ""
    window = f"a window of {rule.window_steps} steps; a plateau is under {percent(limit(rule))}"
    return [f"gain {100 * gain:.2f} %{interval} {window}", f"{look_words(look['verdict'], rule)}{counted}"]


def _end_line(progress: Mapping[str, Any]) -> str:
    """When the stage ends, at the earliest and at the latest."""
    ends, seconds = progress.get("ends_at_step"), progress.get("stage_seconds_left")
    if not ends:
        return ""
    times = [f", in {duration_text(one)}" for one in seconds] if seconds else ["", ""]
    if ends[0] == ends[1]:
        return f"ends at step {ends[0]:,}{times[0]}"
    return f"ends at step {ends[0]:,}{times[0]}, at the earliest; at step {ends[1]:,}{times[1]}, at the latest"


def _range(seconds: Sequence[float]) -> str:
    low, high = (duration_text(max(one, 0.0)) for one in seconds)
    return low if low == high else f"{low} to {high}"


def _loss(record: Mapping[str, Any], stage: Stage) -> str:
    """Held-out loss of a stage's mix at its end."""
    try:
        return f"{mix_loss(record['heldout_loss'], stage.mix):.4f}"
    except KeyError:  # a source without held-out text, or a stage that was left unmeasured
        return ""


def print_run_status(name: str | None, results: str | None, *, is_watched: bool = False) -> int:
    """Print where a run stands, None for the newest one; returns exit code 0. Raises BadInput where there is none."""
    from hamner.reports.live_view import show_status

    folder = find_run(name, results_folder(results), ("curriculum",))
    show_status(CurriculumReader(folder).status, is_watched=is_watched)
    return 0
