"""Ledger of a league on disk (append-only log, compacted): bracket.json, the reports since then in bracket.jsonl.

In: the bracket, at each report. Out: a line in RUN/bracket.jsonl with that report and what it decided, flushed to the
disk before anything follows from it; the documents of its held-out loss in RUN/<run>/documents_*.json, written once,
before the line that names them: they are most of the bytes. Whenever a round is decided, and with the first report
after a start, RUN/bracket.json is replaced as a whole and the log begins anew: so a report writes some hundred bytes,
however many contestants there are, and bracket.json alone has every decided round.

A kill leaves the old bracket.json or the new one, and either finds its documents. Lines are numbered, and bracket.json
says which is the last that it holds: a kill between its renaming and the end of the log counts nothing twice. A last
line that a kill, or a power cut, left short was never acted on: it is left out, and its run reports again. Each has a
checksum: one that was altered elsewhere in the log is refused, since what followed from it has been done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat, stamped, unstamped
from hamner.config.json_text import parse_json
from hamner.runs.files import EXHAUSTED, RESTORE, open_to_append, read_json, read_json_as, reading, write_json
from hamner.runs.safe_paths import path_below
from tournament.bracket import Bracket, Run
from tournament.document_errors import checked_documents

T = TypeVar("T")
LEDGER, LOG = "bracket.json", "bracket.jsonl"
DOCUMENTS = "documents"  # key of an outcome: in memory the documents, in the ledger the file they lie in
LINE = "line"  # key: number of a line; in bracket.json, of the last that it holds
DECISIONS = ("kept", "factor", "decided", "reopened")  # keys of a round beside its outcomes


def has_errors_in_last_round(folder: Path) -> bool:
    """Whether a run of a league's last round ended with an error, by its ledger, without which none is played again.

    Raises BadInput for a broken one.
    """
    if not (folder / LEDGER).is_file():
        return False

    def has_errors(ledger: Mapping[str, Any]) -> bool:
        return any(row["failure"] == "error" for row in ledger["rounds"][-1]["outcomes"])

    return read_ledger_as(folder, has_errors)


# -- reading


def read_ledger_as(folder: Path, build: Callable[[dict[str, Any]], T]) -> T:
    """Build an object from a league's ledger as it stands: Bracket.state(), with the searches of learning rates.

    Raises BadInput for a ledger that is missing or broken, also where a part that `build` reads is not there.
    """
    return _build(folder, lambda document, last: build(document))


def _build(
    folder: Path, build: Callable[[dict[str, Any], int], T], say: Callable[[str], None] = lambda line: None
) -> T:
    """Build an object from a ledger and the number of its last line. say: is told of a line that is left out."""
    lines = _read_log(folder / LOG, say)  # first: what is compacted meanwhile is in bracket.json by then
    log, document = folder / LOG, read_json(folder / LEDGER)
    with reading(folder / LEDGER):
        last = document.pop(LINE, None)
        if last is not None:  # else it was written by a version without a log
            with reading(log):
                new = [line for line in lines if line[LINE] > last]
                if [line[LINE] for line in new] != [last + number for number in range(1, len(new) + 1)]:
                    raise BadInput(f"{log} is broken: of its lines after number {last} some are missing; {RESTORE}")
                _replay(document, new)
            last += len(new)
        return build(document, last or 0)


def _read_log(log: Path, say: Callable[[str], None]) -> list[Mapping[str, Any]]:
    """The lines of a log; none where there is no log. Raises BadInput where one that is not the last cannot be read."""
    try:
        *texts, rest = log.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno in EXHAUSTED:  # the file may be whole
            raise
        raise BadInput(f"{log} is broken: {error}; {RESTORE}") from None
    lines: list[Mapping[str, Any]] = []
    problem = "cut short" if rest else ""
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(_line(text, f"line {number} of {log}"))
        except OtherFormat:
            raise
        except BadInput:
            if rest or number < len(texts):
                raise
            problem = "broken"
    if problem:
        say(f"the last line of {log} is {problem} and is left out: its run reports again")
    elif not texts:
        say(f"{log} is empty: runs that have reported since {LEDGER} was written report again")
    return lines


def _line(text: bytes, where: str) -> Mapping[str, Any]:
    """A line of the log. Raises BadInput for one that is broken or altered."""
    try:
        line: Mapping[str, Any] = unstamped(LOG, parse_json(text), where)
        if isinstance(line[LINE], int):
            return line
        problem = f"its {LINE} is not a number"
    except BadInput:  # altered, or of another format
        raise
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__} {error}"
    raise BadInput(f"{where} is broken: {problem}; {RESTORE}")


def _replay(document: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    """Take lines of the log into a ledger."""
    rounds = document["rounds"]
    places = [{_run(row): place for place, row in enumerate(round_["outcomes"])} for round_ in rounds]
    for line in lines:
        for change in line.get("rounds", ()):
            round_ = rounds[change["round"]]
            round_["kept"] += change["kept"]
            round_ |= {key: change[key] for key in DECISIONS[1:]}
        for row in line.get("outcomes", ()):
            index = row.pop("round")
            outcomes = rounds[index]["outcomes"]
            place = places[index].setdefault(_run(row), len(outcomes))
            outcomes[place : place + 1] = [row]
        document["learning_rates"].update(line.get("learning_rates", {}))


def _run(row: Mapping[str, Any]) -> Run:
    return Run(row["contestant"], row["seed"])


class Ledger:
    """Writes the ledger of one league, and reads it."""

    def __init__(self, folder: Path, run_name: Callable[[Run], str]) -> None:
        """run_name: the folder of a run in the league's."""
        self.path, self._log, self._run_name = folder / LEDGER, folder / LOG, run_name
        self._written: dict[str, Any] = {}  # file, in the league's folder -> documents that it holds
        self._line = 0  # number of the last that was written, or may have been
        self._reports: int | None = None  # of the bracket, that are written; None: write it all
        self._decisions: list[_Decision] = []  # ... of each round, at that time
        self._searches: dict[str, Any] = {}  # contestant -> result of its learning-rate search, not written yet

    def is_there(self) -> bool:
        """Whether anything has been written, or was and is lost in part."""
        return self.path.is_file() or self._log.is_file()

    def add_search(self, name: str, search: Mapping[str, Any]) -> None:
        """Let the result of a contestant's learning-rate search be written with the next report."""
        self._searches[name] = search

    def write(self, bracket: Bracket, rates: Mapping[str, Any]) -> None:
        """Write the reports that are not written yet, and what they decided; rates: of all searches.

        Raises OSError; then the next call writes everything.
        """
        reports, self._reports = self._reports, None
        if reports is None or self._is_decided(bracket):
            self._write_all(bracket, rates)
        elif changes := self._changes(bracket, reports):
            self._append(changes)
        self._reports, self._decisions = len(bracket.reports), _decisions(bracket)
        self._searches.clear()

    def _is_decided(self, bracket: Bracket) -> bool:
        """Whether a round was decided since the last time."""
        pairs = zip(self._decisions, _decisions(bracket), strict=True)
        return any(before.is_decided != now.is_decided for before, now in pairs)

    def _write_all(self, bracket: Bracket, rates: Mapping[str, Any]) -> None:
        """Replace bracket.json; the log ends."""
        self._line += 1
        state = bracket.state()
        for index, round_ in enumerate(state["rounds"]):
            round_["outcomes"] = [self._with_file(index, row) for row in round_["outcomes"]]
        write_json(self.path, {LINE: self._line} | state | {"learning_rates": dict(rates)})
        self._log.unlink(missing_ok=True)

    def _append(self, changes: dict[str, Any]) -> None:
        """Append a line to the log."""
        self._line += 1
        with open_to_append(self._log) as file:
            file.write(json.dumps(stamped(LOG, {LINE: self._line} | changes), allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _changes(self, bracket: Bracket, reports: int) -> dict[str, Any]:
        """What is new since so many reports; empty where nothing is."""
        rows = [
            {"round": index} | self._with_file(index, bracket.row(index, run))
            for index, run in bracket.reports[reports:]
        ]
        rounds = [
            dict(zip(("round", *DECISIONS), (index, round_.survivors[before.kept :], *now[1:]), strict=True))
            for index, (round_, before, now) in enumerate(
                zip(bracket.rounds, self._decisions, _decisions(bracket), strict=True)
            )
            if before != now
        ]
        parts = {"outcomes": rows, "rounds": rounds, "learning_rates": dict(self._searches)}
        return {key: part for key, part in parts.items() if part}

    def _with_file(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        """An outcome as the ledger has it: with the file of its documents, which is written where it is not yet."""
        if not row[DOCUMENTS]:
            return row
        name = f"{self._run_name(_run(row))}/documents_round{index + 1}_x{row['factor']}.json"
        if self._written.get(name) is not row[DOCUMENTS]:
            write_json(path_below(self.path.parent, name, self.path), row[DOCUMENTS])
            self._written[name] = row[DOCUMENTS]
        return row | {DOCUMENTS: name}

    def read(self, build: Callable[[dict[str, Any]], T], say: Callable[[str], None]) -> T:
        """Build an object from the ledger, with the documents of each outcome in place of their file's name.

        say: is told of a line that is left out. Raises BadInput, also where a file is missing or broken.
        """

        def complete(document: dict[str, Any], line: int) -> T:
            self._line = line
            return build(self.complete(document))

        return _build(self.path.parent, complete, say)

    def complete(self, document: dict[str, Any]) -> dict[str, Any]:
        """A ledger as it was read, with the documents of each outcome. Raises BadInput as read does."""
        for round_ in document["rounds"]:
            for row in round_["outcomes"]:
                if isinstance(row[DOCUMENTS], str):
                    name = row[DOCUMENTS]
                    file = path_below(self.path.parent, name, self.path)
                    row[DOCUMENTS] = self._written[name] = read_json_as(file, checked_documents)
        return document


class _Decision(NamedTuple):
    """What is decided of a round, in the order of DECISIONS. None of `kept` is ever taken out."""

    kept: int
    factor: int
    is_decided: bool
    is_reopened: bool


def _decisions(bracket: Bracket) -> list[_Decision]:
    return [_Decision(len(r.survivors), r.factor, r.is_decided, r.is_reopened) for r in bracket.rounds]
