"""Child process (subprocess) of a command: run another command of ours to its end, and never be outlived by it.

Data in: a module and the words of its command line. Data out: its exit code. What it prints goes where ours goes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from hamner.runs.stopping import Interrupted

PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when its parent ends


def run_child(module: str, words: Sequence[str]) -> int:
    """Run `python -m MODULE WORDS` to its end and return its exit code; 128 + number where a signal ended it.

    A signal that asks this process to end is passed on, and raised once the child has ended. Where this process is
    killed, the child is killed too, on Linux.
    """
    process = subprocess.Popen([sys.executable, "-m", module, *words], preexec_fn=_end_with_parent())
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            if interrupt or number != signal.SIGINT or not _is_in_foreground():
                process.send_signal(number)
            interrupt = error
    if interrupt:
        raise Interrupted(getattr(interrupt, "number", signal.SIGINT), is_saved=True) from None
    return code if code >= 0 else 128 - code


def _is_in_foreground() -> bool:
    """Whether Ctrl-C reaches this process and its children alike, from the terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does first: ask the kernel to be killed when its parent ends. None where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # loaded here: after the fork nothing is to be allocated

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return ask
