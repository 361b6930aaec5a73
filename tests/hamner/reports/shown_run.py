"""Shows an invented run for a while: what tests of the live view start at a terminal. Words: seconds, what breaks."""

import sys
import time

from hamner.reports import live_view
from hamner.reports.live_table import Row, RunStatus
from hamner.runs.heartbeat import Heartbeat
from hamner.runs.output import open_streams
from hamner.runs.tables import Column, console

COUNT = 10
ABOVE = 5  # lines before


def status(number: int) -> RunStatus:
    """A status that differs from draw to draw."""
    rows = [
        Row((f"contestant{row:02}", (number % 10) / 10, f"{5 - number / 100:.4f} ± 0.0123"), "cyan")
        for row in range(COUNT)
    ]
    return RunStatus(
        title="tournament mine: round 1 of 3",
        heartbeat=Heartbeat("running", 0.0, None),
        last="",
        time_left="",
        head=(
            (
                "1",
                number % 10 / 10,
                "10 → 5",
                "and so on, in a line that is wider than a narrow terminal is: " + "w" * 90,
            ),
        ),
        columns=(Column("contestant", justify="left"), Column("round", justify="left"), Column("loss")),
        rows=tuple(rows),
        line=f"draw {number}",
    )


def main() -> None:
    seconds, breaks = float(sys.argv[1]), sys.argv[2:]
    open_streams()
    live_view.REDRAW_SECONDS, live_view.LINE_SECONDS, live_view.TICK_SECONDS = 0.2, 0.4, 0.05
    draws = iter(range(10**6))

    def read() -> RunStatus:
        number = next(draws)
        if breaks and number >= 2:
            raise ValueError("what was read is broken")
        return status(number)

    screen = console()
    for number in range(ABOVE):
        screen.print(f"before {number}")
    with live_view.shown(screen, read):
        time.sleep(seconds / 2)
        screen.print("a line above")
        print("another line above", flush=True)
        time.sleep(seconds / 2)
    print("the end", flush=True)


if __name__ == "__main__":
    main()
