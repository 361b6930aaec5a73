"""The long form of the fuzzer itself: a failure is counted, shown and kept, as small as it gets; Ctrl-C is none."""

import json
import os
import signal
import time
from functools import partial

import kinds
import pytest
import refusals
import run_fuzz
from hypothesis import strategies as st
from kinds import Kind

from hamner.config.errors import BadInput


def _read(folder, case):
    if b"h" in case:
        time.sleep(60)
    if b"k" in case:
        raise KeyError("planted")
    if b"c" in case:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    if b"r" in case:
        raise BadInput(f"x: refused for its {case[:1].hex()}")


def _kind(letters):
    cases = st.lists(st.sampled_from(list(letters)), max_size=12).map(lambda words: "".join(words).encode())
    return Kind(cases, _read, "x", share=1)


@pytest.fixture
def fuzzer(tmp_path, monkeypatch):
    """fuzzer(kinds, *words) -> the exit code of a run of those kinds alone, and the page."""
    monkeypatch.setattr(run_fuzz, "CORPUS", tmp_path / "corpus")
    monkeypatch.setattr(run_fuzz, "PAGE", tmp_path / "fuzz.md")
    monkeypatch.setattr(refusals, "bounded", partial(refusals.bounded, seconds=0.05, waiting=1))

    def run(found, *words):
        monkeypatch.setattr(kinds, "KINDS", found)
        code = run_fuzz.main(["--keep", str(tmp_path / "keep"), *words])
        return code, (tmp_path / "fuzz.md").read_text(encoding="utf-8")

    return run


def test_a_failing_kind_is_on_the_page_in_place_of_its_counts_of_before_and_others_follow(
    fuzzer, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(run_fuzz, "LEAST", 0)
    (tmp_path / "keep").mkdir()
    old = {"examples": 9999, "accepted": 9999, "refused": 0, "failures": 0, "seconds": 1.0, "refusals": []}
    (tmp_path / "keep" / "one_kind.json").write_text(json.dumps(old))
    code, page = fuzzer({"one kind": _kind("ak"), "other": _kind("ar")}, "--examples", "100")
    assert code == 1 and "failed: one kind" in capsys.readouterr().err
    row, other, total = (next(line for line in page.split("\n") if line.startswith(f"| {name} |")) for name in NAMES)
    assert row.split("|")[6].strip() == "1" and "9,999" not in page
    assert other.split("|")[6].strip() == "0" and int(other.split("|")[2]) > 30
    assert total.split("|")[6].strip() == "1"
    assert "KeyError: 'planted'" in page
    (case,) = (tmp_path / "corpus" / "one_kind").iterdir()
    assert case.read_bytes() == b"k" and f"`one_kind/{case.name}`" in page


NAMES = ("one kind", "other", "all")


def test_a_hang_is_shrunk_and_counted(fuzzer, tmp_path):
    code, page = fuzzer({"slow": _kind("ah")}, "--examples", "60")
    (case,) = (tmp_path / "corpus" / "slow").iterdir()
    assert code == 1 and case.read_bytes() == b"h" and "a hang: over 0.05 s" in page


@pytest.mark.parametrize("is_in_command", [True, False])
def test_ctrl_c_ends_the_fuzzer_and_writes_no_case(fuzzer, tmp_path, monkeypatch, is_in_command):
    def interrupted(*words):
        raise KeyboardInterrupt

    if not is_in_command:
        monkeypatch.setattr(kinds, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fuzzer({"slow": _kind("c")}, "--examples", "60")
    assert not (tmp_path / "corpus").exists() and not (tmp_path / "keep" / "slow.json").exists()


def test_a_page_of_all_kinds_with_too_few_cases_is_an_error_and_one_of_some_kinds_is_not(fuzzer, capsys):
    found = {"one kind": _kind("ar"), "other": _kind("ar")}
    assert fuzzer(found, "--examples", "20", "other")[0] == 0
    assert fuzzer(found, "--examples", "20")[0] == 1
    assert "of all kinds, 50,000 are asked for" in capsys.readouterr().err


def test_the_page_has_every_refusal_of_different_words():
    rows = [f"x: refused for its {chr(97 + place // 26)}{chr(97 + place % 26)}" for place in range(200)]
    result = {"examples": 200, "accepted": 0, "refused": 200, "failures": 0, "seconds": 1.0, "refusals": rows}
    lines = run_fuzz.page({"one kind": result}).split("\n")
    assert set(rows) <= set(lines) and "<details><summary>one kind: 200</summary>" in lines
