"""Whether steps can be compiled for a card is found out before a run, and kept in its config.json."""

import json
import os

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import Compute
from hamner.runs import compile_check
from hamner.runs.compile_check import CAN_COMPILE, as_started, compile_facts, compile_problem, toy_problem

CARD = load_config("rtx3090")
CPU = Compute(device="cpu", precision="fp32")


def _facts(config, problem, monkeypatch):
    lines = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(compile_check, "compile_problem", lambda compute: problem)
    return compile_facts(config, lines.append), lines


def test_a_card_without_a_c_compiler_is_told_before_a_toy_is_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert compile_problem(CARD.compute) == "compiled steps on a card need gcc or clang, and neither is installed"


def test_a_toy_that_does_not_compile_says_why_in_one_line():
    problem = toy_problem(CPU, {**os.environ, "CXX": "/nonexistent/g++"})
    assert "compiler" in problem.lower() and len(problem.splitlines()) == 1 and "Traceback" not in problem


@pytest.mark.slow
def test_a_toy_compiles_where_there_is_a_compiler():
    assert toy_problem(CPU) == ""


def test_a_toy_that_hangs_is_given_up():
    assert toy_problem(CPU, seconds=0.01) == "a toy was not compiled within 0.01 s"


def test_without_a_compiler_a_run_is_not_compiled_and_says_so_once(monkeypatch):
    facts, lines = _facts(CARD, "no gcc", monkeypatch)
    assert facts == {CAN_COMPILE: False}
    (line,) = lines
    assert line.startswith("steps are not compiled") and "no gcc" in line and "python3-dev" in line
    assert _facts(CARD, "", monkeypatch) == ({CAN_COMPILE: True}, [])


def test_always_without_a_compiler_is_refused(monkeypatch):
    with pytest.raises(BadInput, match=r"compute.compile = always.*no gcc.*or use auto"):
        _facts(load_config("rtx3090", ["compile=always"]), "no gcc", monkeypatch)


@pytest.mark.parametrize("config", [load_config("smoke"), load_config("rtx3090", ["compile=never"])])
def test_nobody_looks_where_there_is_nothing_to_compile_for_a_card(config, monkeypatch):
    assert _facts(config, "never asked", monkeypatch) == ({}, [])


def test_every_start_does_as_the_first_one_found():
    document = json.loads(json.dumps({CAN_COMPILE: False}))
    assert as_started(CARD, document).compute.compile == "never"
    for known in ({}, {CAN_COMPILE: True}):
        assert as_started(CARD, known) is CARD
