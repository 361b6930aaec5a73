"""The property that is fuzzed: what a command reads is accepted, or refused in lines that a person can use.

Data in: a function that a command calls on what a user wrote. Data out: the lines of the refusal, none where it was
accepted. Anything else is an error: another exception, a hang, memory without bound, a file written, a line without
end or one that steers the terminal.
"""

import io
import re
import resource
import signal
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from hamner.config.errors import LONGEST_LINE, MOST_PROBLEMS
from hamner.runs.cli import run_command

SECONDS = 10  # of the processor's time for one example: the slowest takes a tenth of it
WAITING = 6  # times as long by the clock: other programs may use the machine
GIB = 2**30
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MORE = 200  # letters beside a problem in its line: `error: `, and of a reader that passes over a file


class Hang(BaseException):
    """An example took too long. Not an Exception: nothing may take it for bad input."""


@contextmanager
def bounded(seconds=SECONDS, memory=4 * GIB, waiting=WAITING):
    """Raise Hang in a block that takes too long, and MemoryError where it takes much more memory than before it."""

    def stop(number, frame):
        raise Hang(
            f"over {seconds} s of the processor's" if number == signal.SIGPROF else f"over {waiting * seconds} s"
        )

    present = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, waiting * seconds)
    resource.setrlimit(resource.RLIMIT_AS, (present + memory, hard))
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for kind, handler in before.items():
            signal.signal(kind, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def tree(folder):
    """What lies in a folder: paths with their size and time."""
    return {str(path): (facts.st_size, facts.st_mtime_ns) for path in folder.rglob("*") if (facts := path.lstat())}


def refusal(read, folder=None, words=()):
    """The lines with which a command that calls `read` on its words refuses; [] where it accepts.

    folder: nothing may change there.
    """
    before = tree(folder) if folder else None
    out, err = io.StringIO(), io.StringIO()

    def command(words):
        read(words)
        return 0

    with bounded(), redirect_stdout(out), redirect_stderr(err):
        try:
            code = run_command(command, words)
        except SystemExit as leave:  # --help
            code = leave.code or 0
    if code == 130:  # Ctrl-C while the command read: it is of who fuzzes, and no answer to the case
        raise KeyboardInterrupt
    lines = err.getvalue().split("\n")
    assert code in (0, 2), (code, lines)
    assert folder is None or tree(folder) == before, "something was written"
    assert not STEERING.search(err.getvalue()) and not STEERING.search(out.getvalue())
    assert all(len(line) <= LONGEST_LINE + MORE for line in lines), max(map(len, lines))
    assert len(lines) <= 3 * MOST_PROBLEMS
    if code == 0:
        return []
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    assert told and all(len(line) > 10 for line in told)
    return told
