"""Trouble of the machine is told from errors of the work, however a library wraps it."""

import errno
import os
import pickle

import pytest
import ray
import torch
from safetensors import SafetensorError

from hamner.config.errors import BadInput
from hamner.runs.files import replacing
from hamner.runs.trouble import machine_trouble, refusal, remedy, storage_trouble


def _error(code):
    return OSError(code, os.strerror(code), "results/x")


def _caused(outer, inner, *, by_context=False):
    """`outer`, raised from `inner` or while that was handled."""
    try:
        try:
            raise inner
        except type(inner):
            if by_context:
                raise outer  # noqa: B904 (that is the case)
            raise outer from inner
    except type(outer) as error:
        return error


TROUBLES = {
    "no space": _error(errno.ENOSPC),
    "quota": _error(errno.EDQUOT),
    "limit of a file's size": _error(errno.EFBIG),
    "read-only": _error(errno.EROFS),
    "input/output": _error(errno.EIO),
    "open files": _error(errno.EMFILE),
    "open files of all": _error(errno.ENFILE),
    "locks": _error(errno.ENOLCK),
    "NFS gone": _error(errno.ESTALE),
    "mount gone": _error(errno.ENOTCONN),
    "safetensors": SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    "SQLite": RuntimeError("database or disk is full"),
    "threads": RuntimeError("can't start new thread"),
    "torch": RuntimeError("unable to write to file </torch_1>: No space left on device (28)"),
    "caused by": _caused(RuntimeError("writing failed"), _error(errno.ENOSPC)),
    "handled": _caused(KeyError("x"), _error(errno.EROFS), by_context=True),
    "group": ExceptionGroup("several", [ValueError("x"), _error(errno.EIO)]),
    "argument": RuntimeError(_error(errno.EDQUOT)),
    "bad input of a file": BadInput("state.json is broken: [Errno 5] Input/output error: 'state.json'"),
    "orphan": TimeoutError("The file lock 'x/.lock' could not be acquired."),
    "lost node": ray.exceptions.NodeDiedError("the node died"),
    "Ray": ray.exceptions.RayTaskError(
        "step", "Traceback ...\nOSError: [Errno 28] No space left on device", KeyError()
    ),
    "memory": RuntimeError("Task was killed due to the node running low on memory."),
    "card": RuntimeError("CUDA error: uncorrectable ECC error encountered"),
}
OWN = [
    KeyError("x"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    PermissionError(errno.EACCES, "Permission denied"),
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("shape mismatch [28] os error 280"),
    ray.exceptions.ActorDiedError(),
    ray.exceptions.RayTaskError("step", "Traceback ...\nKeyError: 'x'", KeyError("x")),
]


@pytest.mark.mended("cases/commands/enospc_rule.py, wrapped")
@pytest.mark.parametrize("case", TROUBLES)
def test_trouble_is_found_through_whatever_it_is_wrapped_in(case):
    line = machine_trouble(TROUBLES[case])
    assert line and "\n" not in line
    try:
        raise TROUBLES[case]
    except Exception as error:  # as it comes from another process: the chain is a text in the traceback
        as_text = ray.exceptions.RayTaskError("step", ray._private.utils.format_error_message(_traceback(error)), error)
    assert machine_trouble(pickle.loads(pickle.dumps(as_text)))


def _traceback(error):
    import traceback

    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)
def test_errors_of_the_work_are_no_trouble(error):
    assert machine_trouble(error) is None


@pytest.mark.mended("a lost mount")
def test_storage_is_tried_by_writing(tmp_path, monkeypatch):
    assert storage_trouble(tmp_path) is None and not list(tmp_path.iterdir())
    gone = tmp_path / "gone"
    gone.touch()  # where the folder should be
    assert "cannot be written" in storage_trouble(gone)

    class Space:
        f_bavail, f_frsize = 3, 4096

    monkeypatch.setattr("os.statvfs", lambda path: Space)
    assert "12288 bytes left" in storage_trouble(tmp_path)


@pytest.mark.mended("a full disk keeps half-written files")
def test_a_file_that_could_not_be_written_leaves_its_room(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(OSError, match="No space"), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise _error(errno.ENOSPC)
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "old"


def test_a_remedy_says_what_is_free_and_needed_or_the_command_that_helps(tmp_path):
    for trouble in (str(_error(errno.ENOSPC)), "disk quota exceeded", f"{tmp_path} has 12288 bytes left"):
        line = remedy(trouble, tmp_path / "not" / "there", 2.5)
        assert line.startswith(f"make room: {tmp_path} has ") and "free, and what it keeps needs up to 2.5 GiB" in line
    assert remedy("No space left on device", tmp_path).endswith(" free")
    assert "needs up to 10.0 MiB in all" in remedy("No space left on device", tmp_path, 10 / 1024)
    for code, word in ((errno.EROFS, "remount,rw"), (errno.EMFILE, "ulimit -n"), (errno.EIO, "mount it again")):
        assert word in remedy(machine_trouble(_error(code)), tmp_path)
    assert remedy("x/.lock could not be acquired", tmp_path).startswith("wait for the process of the earlier start")


def test_what_a_worker_refused_is_found_in_its_traceback():
    for kind in ("hamner.config.errors.BadInput", "BadInput", "hamner.training.checkpoint.Corrupt"):
        text = (
            f"[Rank 0]:\nTraceback (most recent call last):\n  File ...\n{kind}: no checkpoint in x is whole: begin\n"
        )
        assert refusal(text) == "no checkpoint in x is whole: begin"
    assert refusal("Traceback\nKeyError: 'BadInput: x'") is None and refusal("") is None
