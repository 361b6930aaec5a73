"""The GPU check itself: sections cannot stop each other, it needs no Ray, its tables and its exit code say what was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gpu_check
import pytest
from check_page import as_markdown, write_between
from check_runner import Outcome, Section, run_sections
from check_setup import MODELS, Row, Setup, model_on

from hamner.config.presets import shrink
from hamner.config.schema import Size
from hamner.model.transformer import build

HERE = str(Path(gpu_check.__file__).parent)
CPU = Setup("cpu", True)
# whatever the card's machine need not have
ABSENT = ("ray", "transformers", "datasets", "pandas", "tensorboard", "rich", "scipy", "matplotlib", "jinja2", "rensa")


def one_row(setup):
    yield Row("a row", {"number": 1.0}, True)


def hangs(setup):
    yield Row("before", {"number": 2.0})
    time.sleep(600)


def raises(setup):
    yield Row("before", {"number": 3.0})
    raise ValueError("no such card")


def dies(setup):
    yield Row("before", {"number": 4.0})
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(setup):
    yield Row("a row", {"number": 5.0}, False)


def test_a_section_that_hangs_fails_or_crashes_stops_no_other():
    sections = [Section(f.__name__, 3, f) for f in (hangs, raises, dies, wrong, one_row)]
    sections.append(Section("card", 1, one_row, needs_card=True))
    began = time.monotonic()
    outcomes = run_sections(sections, CPU, 0.5, lambda line: None)
    assert time.monotonic() - began < 60
    assert [outcome.state for outcome in outcomes] == ["cut", "failed", "failed", "done", "done", "skipped"]
    assert [[row.values["number"] for row in outcome.rows] for outcome in outcomes] == [
        [2.0],
        [3.0],
        [4.0],
        [5.0],
        [1.0],
        [],
    ]
    assert [outcome.is_right for outcome in outcomes] == [False, False, False, False, True, True]
    assert "no such card" in outcomes[1].note and str(-signal.SIGKILL) in outcomes[2].note


def test_the_limits_add_up_to_eight_minutes():
    assert sum(section.seconds for section in gpu_check.sections()) <= 480
    assert len({section.name for section in gpu_check.sections()}) == 13


def test_bad_words_are_said_at_once(capsys):
    assert gpu_check.main(["--device", "cpu", "--only", "wait", "--patience", "0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "'wait'" in lines[0] and "--patience 0.0" in lines[1]


def test_it_needs_no_ray(tmp_path):
    """With what a card's machine has: the modules of the others cannot be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); sys.path[:0] = [{HERE!r}]; import gpu_check; "
        f"sys.exit(gpu_check.main(['--small', '--device', 'cpu', '--only', 'resume', '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "two resumed differ by" in (tmp_path / "gpu_check.md").read_text()


def test_a_table_has_a_column_a_quantity_and_says_what_is_wrong(tmp_path):
    rows = [Row("v01", {"ms": 12.345, "GiB": None}, True), Row("v02", {"ms": 1234.5, "GiB": 2.0}, False)]
    text = as_markdown([Outcome("speed", 3.2, rows=rows)], {"device": "cuda"})
    assert "| | ms | GiB | as it has to be |" in text
    assert "| v01 | 12.3 |  | yes |" in text and "| v02 | 1,234 | 2 | **no** |" in text
    page = tmp_path / "card.md"
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n")
    write_between(page, text)
    assert "old" not in page.read_text() and text in page.read_text() and page.read_text().endswith("after\n")
    page.write_text("no marks")
    with pytest.raises(ValueError, match="put both marks"):
        write_between(page, text)


def test_weights_are_those_of_the_project():
    model = shrink(MODELS["v07_hybrid_small"], Size(divide=8, vocab_size=512))
    ours, theirs = model_on("cpu", model).state_dict(), build(model, 0).state_dict()
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in ours)


@pytest.mark.slow
def test_the_small_check_is_green_within_two_minutes(tmp_path):
    command = [sys.executable, gpu_check.__file__, "--small", "--device", "cpu", "--out", str(tmp_path)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < gpu_check.SMALL_SECONDS
