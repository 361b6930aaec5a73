"""A Ray of our own where HOME cannot be written or TMPDIR is long; addresses where no cluster answers. No Ray runs."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hamner.config.errors import BadInput
from hamner.runs import ray_session
from hamner.runs.cluster import join, ray_settings
from hamner.runs.ray_session import without_noise
from hamner.runs.stopping import Interrupted, signals_raised
from hamner.runs.trouble import machine_trouble, remedy


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.mended("TMPDIR longer than 39 letters")
@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_folder_gives_way_to_a_short_one(tmp_path, monkeypatch, variable):
    assert ray_session.temporary_folder() in (None, f"/tmp/ray-{os.getuid()}/r", "/var/tmp/ray")
    short, long = tmp_path / "s", tmp_path / ("x" * 80)
    monkeypatch.setattr(ray_session, "LONGEST_SOCKET", len(str(short)) + len("/ray") + ray_session.RAY_ADDS)
    monkeypatch.setenv(variable, str(short))
    assert ray_session.temporary_folder() is None and (short / "ray").is_dir()
    monkeypatch.setenv(variable, str(long))
    chosen = ray_session.temporary_folder()
    assert chosen and len(chosen) < 30 and Path(chosen).is_dir()


def test_the_folder_of_this_user_alone_lets_nobody_else_in(tmp_path, monkeypatch):
    """Ray opens its own folder to all, so it lies in a closed one; what another user made, or a link, is not used."""
    own = tmp_path / "ray-7"
    assert ray_session._is_writable(own / "r")
    assert stat.S_IMODE(own.stat().st_mode) == 0o700 and (own / "r").is_dir()
    own.chmod(0o777)  # as an earlier version left it
    assert ray_session._is_writable(own / "r") and stat.S_IMODE(own.stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(own)
    assert not ray_session._is_writable(tmp_path / "link" / "r")
    (tmp_path / "file").touch()
    assert not ray_session._is_writable(tmp_path / "file" / "r")
    (tmp_path / "ray").mkdir()
    assert ray_session._is_writable(tmp_path / "ray")
    monkeypatch.setattr(ray_session, "ROOT", -1)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not ray_session._is_writable(own / "r") and not ray_session._is_writable(tmp_path / "ray")


@pytest.mark.mended("no folder for Ray's sockets")
def test_where_no_folder_will_do_it_is_said(monkeypatch):
    monkeypatch.setattr(ray_session, "_is_writable", lambda folder: False)
    with pytest.raises(BadInput, match="set RAY_TMPDIR to a writable folder of at most 39 letters"):
        ray_session.temporary_folder()


@pytest.mark.mended("HOME that cannot be written")
def test_without_a_home_to_write_to_ray_gets_its_token_from_the_environment(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    ray_session.provide_token()
    assert "RAY_AUTH_TOKEN" not in os.environ  # Ray writes one
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "nobody"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray_session.provide_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # so that it is taken back after the test
    ray_session.provide_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


@pytest.fixture
def server():
    """Listens, and answers the first bytes with those given, or not at all."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(answer):
        def serve():
            connection, _ = listener.accept()
            connection.recv(100)
            if answer is None:
                time.sleep(5)
            connection.sendall(answer or b"")
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.close()


@pytest.mark.mended("RAY_ADDRESS of a dead cluster")
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
def test_what_is_no_cluster_is_said_within_seconds(server, answer, monkeypatch):
    monkeypatch.setattr(ray_session, "SECONDS_TO_ANSWER", 0.3)
    address = server(answer)
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"unset RAY_ADDRESS"):
        ray_session.check_answers(address)
    assert time.monotonic() - began < 2


@pytest.mark.mended("RAY_ADDRESS of a dead cluster")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379", "localhost", "127.0.0.1:99999", "x:y"])
def test_an_address_where_nothing_listens_is_refused_before_anything_is_written(address, tmp_path, capsys, monkeypatch):
    from tournament.run import main

    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["--config", "smoke", "--results", str(tmp_path / "results")]) == 2
    err = capsys.readouterr().err
    assert f"RAY_ADDRESS = {address}" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_server_of_grpc_is_taken_for_a_cluster(server):
    ray_session.check_answers(server(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])))


@pytest.mark.mended("RAY_ADDRESS=auto without a cluster")
def test_auto_without_a_cluster_is_refused(monkeypatch):
    def none(address):
        raise ConnectionError("Could not find any running Ray instance.")

    services = SimpleNamespace(canonicalize_bootstrap_address=none)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    ray = SimpleNamespace(_private=SimpleNamespace(services=services))
    with pytest.raises(BadInput, match="no Ray cluster runs on this machine"):
        join(ray, ray_settings(1), cpus=1, gpus=0)


@pytest.mark.mended("a Ray that does not start")
@pytest.mark.parametrize("kind", [RuntimeError, Exception])  # the second is what Ray raises when its start times out
def test_a_ray_that_does_not_start_is_said_in_one_line(kind):
    def init(**settings):
        assert settings["num_cpus"] >= 1
        raise kind("The raylet has died.\nand more")

    ray = SimpleNamespace(init=init, exceptions=SimpleNamespace(RayError=KeyError))
    with pytest.raises(
        BadInput, match=f"Ray did not start on this machine: {kind.__name__}: The raylet has died"
    ) as caught:
        join(ray, ray_settings(1), cpus=1, gpus=0)
    (problem,) = caught.value.problems
    assert problem.endswith("session_latest/logs), then run the same command again")


def test_a_ray_that_starts_too_late_may_be_tried_again():
    def init(**settings):
        raise Exception("The current node timed out during startup. The GCS has become overloaded.")

    with pytest.raises(BadInput, match=r"overloaded; run the same command again once the machine has less to do"):
        join(SimpleNamespace(init=init), ray_settings(1), cpus=1, gpus=0)


@pytest.mark.mended("SIGTERM while Ray starts")
def test_a_signal_is_heard_once_ray_has_started_and_by_our_handler():
    utils = SimpleNamespace(set_sigterm_handler=lambda handler: signal.signal(signal.SIGTERM, handler))
    constants = SimpleNamespace(RAY_DISABLE_FAILURE_SIGNAL_HANDLER=False)
    ray, steps = SimpleNamespace(_private=SimpleNamespace(utils=utils, ray_constants=constants)), []
    before = signal.getsignal(signal.SIGTERM)
    with signals_raised(), pytest.raises(Interrupted), ray_session.own_signals(ray):
        assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # inherited by what Ray starts
        assert constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER
        os.kill(os.getpid(), signal.SIGTERM)
        utils.set_sigterm_handler(signal.SIG_IGN)
        steps.append("started")
    assert steps == ["started"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with signals_raised(), pytest.raises(Interrupted), ray_session.own_signals(ray):
        for _ in range(2):  # who cannot wait
            os.kill(os.getpid(), signal.SIGTERM)
        steps.append("never")
    assert steps == ["started"]


def _ray(session, *, is_head=True):
    node = SimpleNamespace(is_head=lambda: is_head, get_session_dir_path=lambda: str(session))
    worker = SimpleNamespace(_global_node=node)
    return SimpleNamespace(_private=SimpleNamespace(worker=worker), shutdown=lambda: None)


@pytest.mark.mended("sessions left in /tmp/ray")
def test_a_session_of_our_own_is_removed_after_a_clean_end_and_no_other(tmp_path):
    session = tmp_path / "session_2026-11-28_23-04-12_123456_1"
    session.mkdir()
    (tmp_path / "session_latest").symlink_to(session)
    ray_session.leave(_ray(session, is_head=False))  # a cluster that was joined
    assert session.is_dir()
    with pytest.raises(KeyError):
        try:
            raise KeyError("x")
        finally:
            ray_session.leave(_ray(session))
    assert session.is_dir()  # its logs tell why
    ray_session.leave(_ray(session))
    assert not list(tmp_path.iterdir())


def test_one_more_ctrl_c_while_ray_ends_says_no_second_way_on_and_leaves_nothing(tmp_path):
    session = tmp_path / "session_2026-11-28_23-04-12_123456_1"
    session.mkdir()
    ray, ended = _ray(session), []
    ray.shutdown = lambda: (os.kill(os.getpid(), signal.SIGINT), ended.append(True))
    with signals_raised():
        ray_session.leave(ray)
    assert ended and not session.exists()


def test_a_dead_process_of_our_own_ray_is_trouble_with_a_way_out(tmp_path, monkeypatch):
    process = subprocess.Popen(["sleep", "60"])
    ray = _ray(tmp_path)
    node = ray._private.worker._global_node
    node.dead_processes = lambda: [(kind, process) for kind in ("log_monitor", "raylet") if process.poll() is not None]
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert ray_session.ray_trouble() is None
    process.kill()
    process.wait()
    line = ray_session.ray_trouble()
    assert line == "the process raylet of Ray on this machine has ended by signal 9"
    assert machine_trouble(line) == line and "dmesg" in remedy(line, tmp_path)
    node.is_head = lambda: False  # a cluster that was joined
    assert ray_session.ray_trouble() is None


@pytest.mark.mended("an agent of Ray that is killed")
def test_a_raylet_that_ends_after_its_processes_is_waited_for(tmp_path, monkeypatch):
    process = subprocess.Popen(["sleep", "0.5"])
    ray = _ray(tmp_path)
    node = ray._private.worker._global_node
    node.dead_processes = lambda: [("raylet", process)] if process.poll() is not None else []
    monkeypatch.setitem(sys.modules, "ray", ray)
    line = ray_session.ray_trouble_after_a_death()
    assert line == "the process raylet of Ray on this machine has ended with exit code 0"
    node.dead_processes = list
    monkeypatch.setattr(ray_session, "SECONDS_TO_END", 0.2)
    assert ray_session.ray_trouble_after_a_death() is None  # Ray is well: the process has died by itself


def test_what_ray_prints_of_its_dead_is_hidden_and_all_else_is_shown():
    shown = []
    worker = SimpleNamespace(print_to_stdstream=lambda batch, ignore_prefix: shown.append(batch["lines"]))
    ray_session.hide_said(SimpleNamespace(_private=SimpleNamespace(worker=worker)))
    for line in ("Raylet is terminated. Termination is unexpected.", "A worker died or was killed while", "no memory"):
        worker.print_to_stdstream({"lines": [line]}, ignore_prefix=False)
    assert shown == [["no memory"]]
    ray_session.hide_said(SimpleNamespace())  # another Ray


def test_noise_of_a_start_is_kept_off_standard_error_and_errors_are_not(capfd):
    with pytest.raises(ValueError, match="x"), without_noise():
        os.write(2, b"[2026 W 1 1] node.cc:5: Failed to determine local IP via external connectivity to: 8.8.8.8:53\n")
        print("of Python", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo an error of a process >&2"], check=True)
        raise ValueError("x")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "of Python\nan error of a process\nafterwards\n"
