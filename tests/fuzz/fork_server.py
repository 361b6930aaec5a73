"""Runs the real commands, each in a process of its own that is forked from one where they are imported already.

Data in: lines of JSON, {"module", "words", "folder"}; standard input is the file `stdin` above the folder. Data out:
of each its exit code, a line; what it printed is in the files `out` and `err` beside `stdin`.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

SECONDS = 60  # for one command; SIGALRM ends it


def _run(job: dict) -> None:
    """Be the command."""
    folder = Path(job["folder"])
    for number, (name, mode) in enumerate((("stdin", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY))):
        flags = mode | (os.O_CREAT | os.O_TRUNC if number else 0)
        os.dup2(os.open(folder.parent / name, flags, 0o600), number)
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
    sys.stdin = os.fdopen(os.dup(0), encoding="utf-8")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    sys.argv = [job["module"], *job["words"]]
    code = 1
    try:
        code = importlib.import_module(job["module"]).main(job["words"])
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for name in json.loads(sys.argv[1]):
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
