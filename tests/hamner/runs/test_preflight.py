"""Doctor: every check is shown failing on purpose, by planted facts or a small real circumstance, with its fix."""

import email.utils
import http.server
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from hamner.config.load import load_config
from hamner.data.preparation.preflight_data import data_findings, reads_hub, text_gib
from hamner.runs import calibration_record, preflight, preflight_card, preflight_network
from hamner.runs.preflight import FAIL, OK, WARN, Finding
from hamner.runs.preflight_card import CardFacts
from tests.hamner.pseudo_terminal import Terminal
from tournament.doctor import main

LAPTOP = load_config("laptop")
RTX = load_config("rtx3090").compute
GOOD_CARD = CardFacts(True, "570.86.15", "12.6", True, "NVIDIA GeForce RTX 3090", 23.6, 23.2, 8)
AVX2 = "flags\t\t: fpu sse2 avx avx2\n"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", "HF_ENDPOINT", "HF_HUB_OFFLINE", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def hub_site(date):
    """A web server whose clock tells `date`; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response_only(404)
            self.send_header("Date", email.utils.formatdate(date, usegmt=True))
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def closed_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def package(place, *requirements, python=">=3.11"):
    """Make a distribution `planted` that is installed in a folder."""
    about = place / "planted-1.0.dist-info"
    about.mkdir()
    head = f"Metadata-Version: 2.4\nName: planted\nVersion: 1.0\nRequires-Python: {python}\n"
    (about / "METADATA").write_text(head + "".join(f"Requires-Dist: {line}\n" for line in requirements))


def test_versions(tmp_path, monkeypatch):
    assert preflight.versions().state == OK
    monkeypatch.syspath_prepend(tmp_path)
    package(tmp_path, "torch<1", "no-such-library>=2", 'numpy<1; extra == "more"', "pyarrow>=17", python=">=3.99")
    finding = preflight.versions("planted")
    assert finding.state == FAIL and "needed >=3.99" in finding.text and "needed <1" in finding.text
    assert "no-such-library is missing" in finding.text and "numpy" not in finding.text and "pip install" in finding.fix
    assert preflight.versions("no-such-package").state == WARN


def test_processor():
    check = preflight.processor
    assert check(AVX2, 2, 2, "cpu", "fp32").state == OK
    assert check("", 2, 2, "cpu", "bf16").state == OK  # nothing is known of it
    finding = check(AVX2, 2, 8, "cpu", "fp32")
    assert finding.state == FAIL and "one run asks for 8" in finding.text and "compute.threads" in finding.fix
    assert check(AVX2.replace(" avx2", ""), 2, 2, "cpu", "fp32").state == WARN
    assert check(AVX2, 2, 2, "cpu", "bf16").fix == "use compute.precision=fp32"
    assert check(AVX2, 2, 2, "cuda", "bf16").state == OK


def test_memory(tmp_path):
    assert preflight.memory(16, 12, 8, 4, "fewer").state == OK
    assert preflight.memory(16, 6, 8, 4, "fewer").fix.endswith("or fewer")
    assert preflight.memory(16, 12, 20, 17, "fewer").state == FAIL
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    assert preflight.memory_gib(tmp_path) == (16.0, 8.0)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{4 * 2**30}\n")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text(f"{2**30}\n")
    assert preflight.memory_gib(tmp_path) == (4.0, 3.0)  # of a container
    total, available = preflight.memory_gib()
    assert 0 < available <= total


def test_shared_memory(tmp_path):
    assert preflight.shared_memory(tmp_path, 1).state == OK
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    finding = preflight.shared_memory(tmp_path, 2 * free)
    assert finding.state == WARN and "--shm-size" in finding.fix
    assert preflight.shared_memory(tmp_path / "absent").state == (WARN if sys.platform == "linux" else OK)


def test_results_place(tmp_path):
    assert preflight.results_place(tmp_path / "not" / "yet").state == OK and list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    finding = preflight.results_place(tmp_path / "file")
    assert finding.state == FAIL and "--results" in finding.fix


def test_disk(tmp_path):
    free = preflight.free_gib(tmp_path)[1]
    assert preflight.disk(tmp_path, {"checkpoints": 0.1}).state == (OK if free > 6 else WARN)
    assert preflight.disk(tmp_path, {"checkpoints": free - 1}).state == WARN
    finding = preflight.disk(tmp_path / "later", {"checkpoints": free, "text": 1.5})
    assert finding.state == FAIL and "1.5 of text" in finding.text and "hamner clean" in finding.fix


def test_data(tmp_path):
    assert [finding.state for finding in data_findings(LAPTOP, LAPTOP.tournament.mix)] == [OK]
    absent = load_config("laptop", [f"data.path={tmp_path / 'nowhere'}"])
    (finding,) = data_findings(absent, ["tinystories"])
    assert finding.state == FAIL and "no data folder" in finding.text and "--data" in finding.fix
    (tmp_path / "tinystories").mkdir()
    (tmp_path / "tinystories" / "a.txt").write_text("a story " * 1000)
    config = load_config("laptop", [f"data.path={tmp_path}"])
    states = {finding.name: finding for finding in data_findings(config, ["tinystories"]) if finding.state == WARN}
    assert "--without personal" in states["data"].fix and "conversations" in states
    assert text_gib(config, ["tinystories"], 0) == pytest.approx(8000 / 2**30)
    hub = load_config("rtx3090")
    assert text_gib(hub, ["fineweb_edu"], 1e9) == pytest.approx(1e9 * 1.3 * 7 / 2**30, rel=0.01)
    assert reads_hub(hub, ["fineweb_edu"]) == (True, True)
    assert reads_hub(LAPTOP, ["tinystories"]) == (False, False)


def test_compiler(tmp_path, monkeypatch):
    check = preflight_card.c_compiler
    (tmp_path / "Python.h").write_text("")
    (tmp_path / "mycc").write_text("#!/bin/sh\n")
    (tmp_path / "mycc").chmod(0o755)
    found = {"PATH": str(tmp_path), "CC": "mycc"}
    assert check(RTX, found, str(tmp_path)).state == OK
    finding = check(RTX, {"PATH": str(tmp_path / "empty")}, str(tmp_path))
    assert finding.state == WARN and "gcc" in finding.fix  # steps are not compiled then
    always = RTX.model_copy(update={"compile": "always"})
    assert check(always, {"PATH": str(tmp_path / "empty")}, str(tmp_path)).state == FAIL
    assert "Python.h" in check(RTX, found, str(tmp_path / "empty")).text
    assert check(RTX.model_copy(update={"compile": "never"}), {"PATH": ""}, "").state == OK
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("CXX", raising=False)
    preflight_card.compiler.cache_clear()
    assert check(LAPTOP.compute).state == WARN
    assert check(LAPTOP.compute.model_copy(update={"compile": "always"})).state == FAIL
    preflight_card.compiler.cache_clear()


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({}, OK, ""),
        ({"has_file": False}, FAIL, "install the driver"),
        ({"build": ""}, FAIL, "--force-reinstall torch"),
        ({"is_usable": False}, FAIL, "update the driver"),
        ({"memory_gib": 11.6, "free_gib": 11.6}, FAIL, "compute.gpu_memory_gib=12"),
        ({"free_gib": 12.0}, WARN, "nvidia-smi"),
        ({"capability": 7}, WARN, "compute.precision=fp16"),
    ],
)
def test_card(changes, state, word):
    finding = preflight_card.card(CardFacts(**vars(GOOD_CARD) | changes), RTX)
    assert finding.state == state and word in finding.fix
    assert preflight_card.card(CardFacts(**vars(GOOD_CARD) | changes), LAPTOP.compute).state == OK


def test_facts_of_a_card_are_read_where_there_is_a_drivers_file(tmp_path):
    assert preflight_card.card_facts([str(tmp_path / "none")]) == CardFacts()
    (tmp_path / "nvidiactl").write_text("")
    assert preflight_card.card_facts([str(tmp_path / "nvidiactl")]).has_file


def test_ray(tmp_path, monkeypatch):
    assert preflight_network.ray_place().state == OK
    assert preflight_network.ray_disk(tmp_path, fullest=0.0).state == WARN
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port()}")
    finding = preflight_network.ray_place()
    assert finding.state == FAIL and "unset RAY_ADDRESS" in finding.fix


def test_ray_network():
    assert preflight_network.connections("127.0.0.1").state == OK
    finding = preflight_network.connections("203.0.113.1")  # of documentation: no machine has it
    assert finding.state == FAIL and "firewall" in finding.fix


def test_ports():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        finding = preflight_network.ports({port: "the page"})
    assert finding.state == WARN and f"{port} (the page)" in finding.text and finding.fix
    assert preflight_network.ports({port: "the page"}).state == OK


def test_hub(monkeypatch):
    address = f"http://127.0.0.1:{closed_port()}"
    assert preflight_network.hub(address, text=False, tokenizer=False)[0].state == OK
    finding, clocks = preflight_network.hub(address, text=True, tokenizer=True)
    assert finding.state == FAIL and "does not answer" in finding.text and "--data builtin" in finding.fix
    assert clocks == {}
    assert preflight_network.hub(address, text=False, tokenizer=True)[0].state == WARN
    with hub_site(time.time() + 9000) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        finding, clocks = preflight_network.hub(text=True, tokenizer=True)
        assert finding.state == OK and preflight.clock(time.time(), clocks).state == WARN
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert preflight_network.hub(text=True, tokenizer=True)[0].state == FAIL


def test_clock(tmp_path):
    now = time.time()
    assert preflight.clock(now, preflight.storage_clock(tmp_path)).state == OK
    finding = preflight.clock(now, {"the hub's": now - 3600})
    assert finding.state == WARN and "3,600 s ahead of the hub's" in finding.text and "timedatectl" in finding.fix
    assert preflight.clock(now, {}, newest_run=now + 7200).state == WARN
    assert preflight.clock(86_400.0, {}).state == FAIL


def test_terminal():
    assert preflight.terminal(1000, is_terminal=False, is_unicode=False).state == OK
    assert preflight.terminal(80, is_terminal=True, is_unicode=True).state == OK
    assert preflight.terminal(80, is_terminal=True, is_unicode=False).fix == "set LC_ALL=C.UTF-8"
    assert preflight.terminal(40, is_terminal=True, is_unicode=True).state == WARN


def test_calibration(tmp_path):
    check = calibration_record.finding
    assert check(LAPTOP, "tournament", tmp_path).state == OK
    (tmp_path / "calibration.json").write_text("{")
    finding = check(LAPTOP, "curriculum", tmp_path)
    assert finding.state == WARN and "is broken" in finding.text and "curriculum doctor --calibrate" in finding.fix


def test_a_narrow_terminal_is_one_line_of_the_doctors(tmp_path):
    words, environment = ("tournament", "doctor", "--config", "laptop"), {"HAMNER_RESULTS": str(tmp_path)}
    with Terminal(*words, environment=environment, columns=40) as terminal:
        text = terminal.expect(r"in the way.*\n")
        assert terminal.exit_code() == 0
    assert "warn  terminal:       40 columns" in text and "fix:" in text


def test_every_check_of_the_doctor_is_shown_failing_here(tmp_path, capsys):
    assert main(["--config", "laptop", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    names = {line[6:].split(":")[0] for line in out.splitlines() if line[:5].strip() in (OK, WARN, FAIL)}
    tests = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_")}
    aliases = {"results": "results place", "ray's network": "ray network"}
    assert len(names) == 16 and {aliases.get(name, name) for name in names} <= tests
    assert out.splitlines()[-1].endswith(f"`tournament --plan --config laptop --results {tmp_path}`")


def test_what_fails_has_exit_code_1_and_what_is_bad_input_2(tmp_path, capsys):
    assert main(["--config", "laptop", "--results", str(tmp_path), "--data", str(tmp_path / "none")]) == 1
    out = capsys.readouterr().out
    assert "\nfail  data:" in out and "1 in the way; mend those that fail, then `tournament doctor --config" in out
    assert main(["--config", "laptop", "keep=[3,5,1]"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_finding_is_printed_with_its_fix():
    assert list(preflight.lines(Finding("disk", FAIL, "full", "make room")))[1].split() == ["fix:", "make", "room"]
    assert len(list(preflight.lines(Finding("disk", OK, "room")))) == 1
    for problem in ("no folder: name another", "too small; use more", "broken"):
        assert preflight.of_problem("data", FAIL, problem).fix
