"""Resumable pipeline (workflow state): what a friend was asked to be, which of its steps are begun, and which are done.

Data in: the results folder and a friend's name. Data out: RESULTS/friend/NAME/friend.json, a small record of what was
asked and when steps were over. That a step is done is read from what it leaves on disk, never from the record, so that
a run that was trained by hand counts, and a kill at any moment costs nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.files import read_json, read_json_as, write_json
from hamner.runs.folders import now, run_folder
from hamner.runs.friend_hours import CARD, EXPORT, FINETUNING, LEAGUE, STAGES, STEPS
from hamner.runs.metrics import finite, read_metrics

KIND = "friend"  # folder of the records in the results folder
WINNER = "winner"
SPEED_ROWS = 50  # of metrics.csv, the last ones, whose median is the speed


@dataclass(frozen=True)
class Asked:
    """What a friend is made from. settings: key=value words for every step."""

    model: str = WINNER  # or what `curriculum run` takes, and then no league is played
    config: str = ""
    data: str = ""  # empty: the config's
    settings: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """As every step takes them."""
        return ["--config", self.config, *(["--data", self.data] if self.data else []), *self.settings]


@dataclass(frozen=True)
class FriendRecord:
    """One friend on disk."""

    results: Path
    name: str
    asked: Asked
    hours: float | None = None  # in all, from `began` on; None: as long as it takes
    began: str = field(default_factory=now)
    league_hours: float | None = None  # that the league would take as the config has it
    finished: Mapping[str, str] = field(default_factory=dict)  # step: when it was over

    @classmethod
    def open(cls, results: Path, name: str, asked: Mapping[str, Any], hours: float | None) -> FriendRecord:
        """The record of a friend that is begun, else a new one; nothing is written.

        asked: of Asked, what the command line gives; what it leaves out is as it was. Hours may be others than before.
        Raises BadInput for what differs from the record, and for a name that is no folder's.
        """
        file = run_folder(results, KIND, name) / "friend.json"
        if not file.is_file():
            return cls(results, name, Asked(**asked), hours)
        stored = read_json_as(file, lambda document: cls._of(document, results, name))
        before = asdict(stored.asked)
        changed = [
            f"{key}: it has {before[key] or 'none'}, now {value}"
            for key, value in asked.items()
            if value != before[key]
        ]
        if changed:
            raise BadInput(
                [f"friend '{name}' was begun with other words: leave them out, or give another --name", *changed]
            )
        return replace(stored, hours=hours or stored.hours)

    @classmethod
    def _of(cls, document: Mapping[str, Any], results: Path, name: str) -> FriendRecord:
        asked = document["asked"]
        settings = tuple(asked["settings"])
        options = [word for word in (*settings, *asked.values()) if str(word).startswith("-")]
        if options:  # the words are put into command lines, --notify runs what stands behind it
            raise ValueError(f"{options[0]!r} would be an option")
        others = [word for word in (*settings, *(asked[key] for key in asked if key != "settings"))]
        hours = [document[key] for key in ("hours", "league_hours") if document[key] is not None]
        if not all(isinstance(word, str) for word in others) or not all(isinstance(n, int | float) for n in hours):
            raise ValueError("a word or a number of hours in it is of another kind")
        for moment in (document["began"], *document["finished"].values()):
            _hours_between(moment, now())
        return cls(
            results,
            name,
            Asked(**asked | {"settings": settings}),
            document["hours"],
            document["began"],
            document["league_hours"],
            dict(document["finished"]),
        )

    def write(self) -> None:
        """Write friend.json."""
        document = {key: value for key, value in asdict(self).items() if key not in ("results", "name")}
        write_json(self.folder / "friend.json", document)

    @property
    def folder(self) -> Path:
        return self.results / KIND / self.name

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of its steps, in order."""
        return STEPS if self.asked.model == WINNER else STEPS[1:]

    @property
    def runs(self) -> Mapping[str, Path]:
        """The folder of each step that is a run."""
        kinds = {LEAGUE: "tournament", STAGES: "curriculum", FINETUNING: "sft"}
        return {step: self.results / kind / self.name for step, kind in kinds.items()}

    def is_begun(self, step: str) -> bool:
        """Whether a step is a run that can be resumed."""
        return step in self.runs and (self.runs[step] / "config.json").is_file()

    def is_done(self, step: str) -> bool:
        """Whether what a step leaves last is there."""
        last = {
            LEAGUE: self.runs[LEAGUE] / "winner.json",
            STAGES: self.runs[STAGES] / "final",
            FINETUNING: self.runs[FINETUNING] / "finetuning.json",
            CARD: self.runs[FINETUNING] / "friend_card" / "friend_card.html",
            EXPORT: self.folder / "export",
        }
        return last[step].exists()

    def done(self) -> list[str]:
        """The steps that are done: all before the first that is not."""
        steps = []
        for step in self.steps:
            if not self.is_done(step):
                break
            steps.append(step)
        return steps

    def problems(self) -> Iterator[str]:
        """One line for each run of its name that was not begun for it."""
        begun = [step for step in self.steps if self.is_begun(step)]
        for step in begun:
            before = self.steps[: self.steps.index(step)]
            missing = next((name for name in before if not self.is_done(name)), None)
            if missing:
                yield f"{self.runs[step]} is begun, and its {missing} is not done: give another --name"
                return
        if STAGES in begun and (who := read_json(self.runs[STAGES] / "config.json").get("who")) != self.asked.model:
            yield f"{self.runs[STAGES]} trains '{who}', not '{self.asked.model}': give another --name"
        if FINETUNING in begun:
            base = read_json_as(self.runs[FINETUNING] / "config.json", lambda document: document["base"]["checkpoint"])
            if self.runs[STAGES].resolve() not in Path(base).parents:
                yield f"{self.runs[FINETUNING]} begins with {base}, not with {self.runs[STAGES]}: give another --name"

    def noted(self, step: str) -> FriendRecord:
        """The record with the time at which a step was over, now unless it is known."""
        return replace(self, finished={step: now()} | dict(self.finished))

    def hours_of(self, step: str) -> float | None:
        """Hours that a finished step took, pauses included; None where the record does not know."""
        place = self.steps.index(step)
        begin = self.finished.get(self.steps[place - 1]) if place else self.began
        end = self.finished.get(step)
        return _hours_between(begin, end) if begin and end else None

    def elapsed(self) -> float:
        """Hours since the beginning."""
        return _hours_between(self.began, now())

    def has_deadline(self) -> bool:
        """Whether the stages that are begun have one."""
        return bool(read_json(self.runs[STAGES] / "config.json").get("deadline"))

    def tokens_per_second(self) -> float | None:
        """Speed of the stages' last steps; None where they left none."""
        rows = read_metrics(self.runs[STAGES])
        speeds = [speed for row in rows if (speed := finite(row.get("tokens_per_second")))]
        return statistics.median(speeds[-SPEED_ROWS:]) if speeds else None


def _hours_between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600
