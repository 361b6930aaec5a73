"""A Ray of our own on this machine: where its sockets and token lie, which signals reach it, what is left of it.

Data in: environment, file system. Data out: settings for ray.init. Ray itself is an argument, as in cluster.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.files import write_json
from hamner.runs.stopping import signals_deferred

LONGEST_SOCKET = 107  # bytes of a Unix socket's path on Linux; 103 on macOS
# what Ray adds to its folder: the session with date, microseconds and process, and the longest name of a socket
RAY_ADDS = len("/session_2026-11-28_23-04-12_123456_4194304/sockets/plasma_store")
# what Ray says at its start that nobody can do anything about: a machine without a network, hints
NOISE = (
    b"Failed to determine local IP via external connectivity",
    b"Unable to detect local IP address",
    b"Tip: use `ray status`",
)
SAID = ("A worker died or was killed", "Raylet is terminated")  # beginnings of what a driver is told by Ray
SECONDS_TO_ANSWER = 4.0  # for each of connecting and answering
INNER = "r"  # Ray's folder in one of this user's alone: a short name, for the sockets in it
ROOT = 0  # the user who may do everything anyway
MARK = "hamner.json"  # in the folder of a session that a command of ours has started
GCS = "gcs_server"
VITAL = (GCS, "raylet")  # processes of Ray
SECONDS_TO_END = 6.0  # of a raylet, which gives its processes five
SECONDS_TO_START = 120.0  # in which a session has a folder, and no process answers yet


def temporary_folder() -> str | None:
    """The folder for Ray's sessions, where Ray's own choice would not do; None where it does.

    Ray takes RAY_TMPDIR, TMPDIR or /tmp. A long one makes the paths of its sockets longer than the system allows.
    """
    own, folders = _folders()
    longest = (103 if sys.platform == "darwin" else LONGEST_SOCKET) - RAY_ADDS
    chosen = next((f for f in folders if len(os.fsencode(f)) <= longest and _is_writable(Path(f))), None)
    if chosen is None:
        raise BadInput(
            f"Ray has no folder for its sockets: {own} is too long a path, or cannot be written to: set RAY_TMPDIR to "
            f"a writable folder of at most {longest - len('/ray')} letters"
        )
    return None if chosen == folders[0] else chosen


def own_choice() -> str:
    """The folder for its sessions that Ray takes by itself."""
    return _folders()[1][0]


def _folders() -> tuple[str, list[str]]:
    """Where Ray would put its folder by itself, and all folders of sessions in the order in which they are tried."""
    own = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    places = [own, "/tmp", "/var/tmp", "/dev/shm"]
    return own, [f"{place}/ray" for place in places] + [f"{place}/ray-{os.getuid()}/{INNER}" for place in places]


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where there is none, as Ray would.

    And whether it is safe there: who owns it, or the folder of this user's alone that it lies in, can put sockets and
    sessions of his own into the place of ours.
    """
    try:
        if folder.name == INNER:
            _make_private(folder.parent)
            folder.mkdir(exist_ok=True)
        elif not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o777)  # as Ray does, for other users' sessions
        if folder.stat().st_uid not in (os.getuid(), ROOT):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _make_private(folder: Path) -> None:
    """Make a folder that no other user may enter. Raises OSError where it is a link, or another user's.

    Ray opens its own folder to all users at each start: the one around it keeps them out.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user's")
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)


def provide_token() -> None:
    """Give Ray a token for its processes where it could not write one to ~/.ray/auth_token (no writable HOME)."""
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    try:
        path = Path.home() / ".ray" / "auth_token"
        if path.is_file() and path.read_bytes().strip():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except (OSError, RuntimeError, KeyError):  # the latter two: a user that the system does not know
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextlib.contextmanager
def own_signals(ray: Any) -> Iterator[None]:
    """Keep this process's signal handlers while Ray starts, and Ray's processes from ending when a terminal does.

    Ray's handlers for SIGTERM end the driver without a word, or with a C++ trace, and a start that an exception breaks
    off leaves processes behind: a signal is heard once Ray has started. Ray's processes inherit that SIGHUP is blocked:
    a terminal that closes sends it to all of them, and the driver has yet to let them save.
    """
    private = getattr(ray, "_private", None)
    utils, constants = getattr(private, "utils", None), getattr(private, "ray_constants", None)
    with contextlib.ExitStack() as stack:
        if utils is not None:
            stack.enter_context(_replaced(utils, "set_sigterm_handler", lambda handler: None))
        if constants is not None:
            stack.enter_context(_replaced(constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True))
        stack.enter_context(signals_deferred())
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """While the block lasts, keep lines of NOISE off standard error, which Ray's C++ writes to before it can be told.

    All other lines appear when the block ends, an error that ends it included.
    """
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        try:
            own = os.dup(2)
            stack.callback(os.close, own)
            file = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # no room for a file: then with noise
            yield
            return
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            file.seek(0)
            for line in file:
                if not any(words in line for words in NOISE):
                    os.write(2, line)


def hide_said(ray: Any) -> None:
    """Keep what Ray prints of a dead process of its own, 20 lines of a log, off the screen: a line of ours says it."""
    worker = getattr(getattr(ray, "_private", None), "worker", None)
    show = getattr(worker, "print_to_stdstream", None)
    if show is None:
        return

    def shown(batch: Mapping[str, Any], *more: Any, **options: Any) -> None:
        if not any(str(line).startswith(SAID) for line in batch.get("lines", ())):
            show(batch, *more, **options)

    setattr(worker, "print_to_stdstream", shown)  # noqa: B010 (it is Any)


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _own_node(ray: Any) -> Any:
    """Ray's node that this process has started; None where it joined a cluster, or has none."""
    node = getattr(getattr(getattr(ray, "_private", None), "worker", None), "_global_node", None)
    return node if node is not None and node.is_head() else None


def session_folder(ray: Any) -> Path | None:
    """The folder of the session that this process has started; None where it joined a cluster, or has none."""
    node = _own_node(ray)
    return Path(node.get_session_dir_path()) if node is not None else None


def ray_trouble() -> str | None:
    """A line where a process has ended without which a Ray of our own cannot go on; None where all is well.

    Ray itself waits a minute for its GCS, and then ends the driver with a C++ trace instead of a way on.
    """
    for kind, code in _dead_processes(sys.modules.get("ray")).items():
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the process {kind} of Ray on this machine has ended {how}"
    return None


def ray_trouble_after_a_death() -> str | None:
    """ray_trouble once a process that Ray had started has died: a raylet that ends, as it does where one of its agents
    was killed, ends those first, and is seen to have ended seconds later."""
    end = time.monotonic() + SECONDS_TO_END
    while not (line := ray_trouble()) and _own_node(sys.modules.get("ray")) and time.monotonic() < end:
        time.sleep(0.1)
    return line


def _dead_processes(ray: Any) -> dict[str, int]:
    """The vital processes of a Ray of our own that have ended, with their exit codes."""
    dead: list[tuple[str, Any]] = getattr(_own_node(ray), "dead_processes", list)()
    return {kind: process.poll() for kind, process in dead if kind in VITAL}


def mark_session(ray: Any) -> None:
    """Write into the folder of a session of our own whose it is, so that it can be removed once it is dead."""
    folder = session_folder(ray)
    if folder and folder.is_dir():
        with contextlib.suppress(OSError):
            write_json(folder / MARK, {"pid": os.getpid()})  # not the words of the command: --notify may hold a secret


def dead_sessions() -> tuple[list[Path], int]:
    """Folders of sessions that a command of ours has started and in which no process answers any more.

    And how many dead ones of this user's are not marked as ours: of other programs, or of a start that was killed.
    """
    places = dict.fromkeys(Path(folder) for folder in _folders()[1])
    sessions = [path for place in places for path in sorted(place.glob("session_[0-9]*")) if is_dead_session(path)]
    ours = [path for path in sessions if (path / MARK).is_file()]
    return ours, len(sessions) - len(ours)


def is_dead_session(folder: Path) -> bool:
    """Whether a folder is a session of this user's, none too young, whose sockets nobody answers at."""
    try:
        status = folder.lstat()
        is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        is_young = time.time() - status.st_mtime < SECONDS_TO_START
        return is_ours and not is_young and not any(map(_answers, (folder / "sockets").glob("*")))
    except OSError:
        return False


def _answers(path: Path) -> bool:
    """Whether a process listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS_TO_ANSWER)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # a full queue, no right to ask: there may be one
            return True
    return True


def leave(ray: Any) -> None:
    """Leave the cluster, or end a Ray of our own and remove its session, unless an error is on its way up.

    With an error Ray's logs stay, for whoever looks for its cause.
    """
    if GCS in _dead_processes(ray):  # for which Ray would wait, and then abort the process
        atexit.register(_end_at_once)
        return
    error = sys.exc_info()[1]
    is_clean = error is None or isinstance(error, (KeyboardInterrupt, BadInput))
    folder = session_folder(ray)
    with signals_deferred(are_raised=False):  # Ctrl-C again, or too late: what has ended has said so, and how to go on
        ray.shutdown()
        if folder and is_clean and folder.name.startswith("session_"):
            shutil.rmtree(folder, ignore_errors=True)
            newest = folder.parent / "session_latest"
            with contextlib.suppress(OSError):
                if newest.is_symlink() and not newest.exists():
                    newest.unlink()


def _end_at_once() -> None:
    """End the process before Ray's own duties at its exit; its children end with it. Exit code 1: trouble."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def check_answers(address: str) -> None:
    """Raise BadInput, within ten seconds, when no Ray cluster answers at HOST:PORT. Ray would try for ten minutes."""
    host, separator, port = address.rpartition(":")
    way_out = "start it there, name one that runs, or unset RAY_ADDRESS to run on this machine"
    if not separator or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise BadInput(f"RAY_ADDRESS = {address} is not HOST:PORT, auto or local: {way_out}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            # gRPC is HTTP/2: its server answers a client's first frame, SETTINGS, with its own
            connection.settimeout(SECONDS_TO_ANSWER)
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            answer = connection.recv(9)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"RAY_ADDRESS = {address}: no Ray cluster answers ({error}): {way_out}") from None
    if len(answer) < 4 or answer[3] != 4:
        raise BadInput(
            f"RAY_ADDRESS = {address}: what answers there is no Ray cluster: {way_out}; `ray start` prints the "
            "address to use, and jobs are submitted to http://HOST:8265"
        )
