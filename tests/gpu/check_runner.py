"""Runner of the GPU check: each section in a child process of its own (fork) with a limit of its own in seconds.

A section that hangs, crashes or takes a card down with it costs its own rows alone: rows come through a pipe as they
are measured. The parent never touches the card, which a forked child could not use then.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from check_setup import Row, Setup

FORK = multiprocessing.get_context("fork")
# read when a process first uses the card; for products that are the same each time
ENVIRONMENT = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
Rows = Iterator[Row]


@dataclass(frozen=True)
class Section:
    name: str
    seconds: float  # limit on a card
    measure: Callable[[Setup], Rows]
    needs_card: bool = False


@dataclass
class Outcome:
    """What came of a section. state: "done", "cut" at its limit, "failed" or "skipped"; note: why."""

    name: str
    seconds: float = 0.0
    state: str = "done"
    note: str = ""
    rows: list[Row] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        return self.state in ("done", "skipped") and all(row.is_right is not False for row in self.rows)


def run_sections(
    sections: Sequence[Section], setup: Setup, patience: float, say: Callable[[str], None]
) -> list[Outcome]:
    """All sections in their order. patience: factor of their limits. say: takes a line as something is measured."""
    outcomes = []
    for section in sections:
        if section.needs_card and not setup.is_card:
            outcomes.append(Outcome(section.name, state="skipped", note="needs a card"))
            continue
        outcome = _run(section, setup, patience * section.seconds, say)
        say(f"{section.name}: {outcome.state} after {outcome.seconds:.0f} s {outcome.note}".rstrip())
        outcomes.append(outcome)
    return outcomes


def _run(section: Section, setup: Setup, limit: float, say: Callable[[str], None]) -> Outcome:
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(section, setup, sender))
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 of any fork of a process with threads
        child.start()
    sender.close()
    outcome = Outcome(section.name, state="failed", note="it died without a word")
    try:
        while receiver.poll(max(0.0, limit - (time.monotonic() - began))):
            message = receiver.recv()
            if isinstance(message, Row):
                outcome.rows.append(message)
                say(f"  {section.name}: {message.name}: {one_line(message)}")
            else:
                outcome.state, outcome.note = message
                break
        else:
            outcome.state, outcome.note = "cut", f"at its limit of {limit:.0f} s: use --patience 2"
    except EOFError:  # killed, or crashed below Python
        child.join(5)
        outcome.note = f"it died with code {child.exitcode}"
    _end(child)
    outcome.seconds = time.monotonic() - began
    return outcome


def _child(section: Section, setup: Setup, sender: Connection) -> None:
    os.setpgrp()  # so that its own children end with it
    os.environ.update(ENVIRONMENT)
    try:
        for row in section.measure(setup):
            sender.send(row)
        sender.send(("done", ""))
    except BaseException as error:
        traceback.print_exc()
        sender.send(("failed", f"{type(error).__name__}: {str(error)[:200]}"))


def _end(child: Any) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join()


def one_line(row: Row) -> str:
    """The values of a row, and whether they are right."""
    mark = {True: "right: ", False: "WRONG: ", None: ""}[row.is_right]
    return mark + ", ".join(f"{key} {short(value)}" for key, value in row.values.items() if value is not None)


def short(value: Any) -> str:
    """A number with as many digits as are worth reading."""
    if isinstance(value, bool) or not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
