"""The command `hamner plot_training`: which run it draws, what it writes, and what it leaves alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from training_runs import write_curriculum, write_finetuning, write_league

from hamner.config.errors import BadInput
from hamner.plot_training import main
from hamner.runs.find_run import find_run

REPO = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def results(tmp_path):
    """A league `first`, and a curriculum and a fine-tuning that are both called `mine`."""
    results = tmp_path / "results"
    write_league(results)
    write_curriculum(results)
    write_finetuning(results)
    return results


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_found_by_name_kind_contestant_and_folder(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tournament, curriculum = results / "tournament" / "first", results / "curriculum" / "mine"
    assert find_run("first", results) == find_run("tournament/first", results) == tournament
    assert find_run("first/wide-seed1", results) == tournament / "wide-seed1"
    assert find_run("curriculum/mine", results) == find_run(str(curriculum), results) == curriculum
    assert find_run("sft/mine", results) == results / "sft" / "mine"
    assert find_run(None, results).name == find_run("mine", results).name == "mine"  # the newest
    for name, hint in (("frist", "did you mean 'first'"), ("../results", r"no run '../results'; known: mine, first")):
        with pytest.raises(BadInput, match=hint):
            find_run(name, results)
    with pytest.raises(BadInput, match="start one"):
        find_run(None, tmp_path / "none")


def test_pictures_lie_beside_the_run_and_nothing_else_changes(results, capsys):
    before = _contents(results)
    assert main(["first", "--save", "--results", str(results)]) == 0
    png, svg = (Path(line) for line in capsys.readouterr().out.splitlines())
    after = _contents(results)
    assert after.pop(png).startswith(PNG) and b"<svg" in after.pop(svg) and after == before
    assert png.parent == results / "tournament" / "first"


def test_pictures_of_several_runs_in_one_folder_never_meet(results, tmp_path, capsys):
    out = tmp_path / "pictures"
    for run in ("curriculum/mine", "sft/mine", "curriculum/mine"):
        assert main([run, "--out", str(out), "--results", str(results)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"training_curves_{kind}_mine.{ending}" for kind in ("curriculum", "sft") for ending in ("png", "svg")
    ]


def test_live_is_one_drawing_where_the_output_is_no_terminal(results, capsys):
    assert main(["curriculum/mine", "--live", "--results", str(results)]) == 0
    text = capsys.readouterr().out
    assert "mine  step 20" in text and "voice" in text and "\x1b" not in text


def test_the_dashboard_is_the_runs_report_or_the_curves_and_reloads_itself(results, monkeypatch, capsys):
    monkeypatch.setenv("BROWSER", "true %s")
    folder = results / "curriculum" / "mine"
    assert main(["curriculum/mine", "--dashboard", "--every", "7", "--results", str(results)]) == 0
    page = (folder / "dashboard.html").read_text()
    assert '<meta http-equiv="refresh" content="7">' in page and "Throughput" in page
    assert f"dashboard: {folder / 'dashboard.html'}" in capsys.readouterr().out
    (folder / "report.html").write_text("<html><head></head><body>the report</body></html>")
    assert main(["curriculum/mine", "--dashboard", "--results", str(results)]) == 0
    page = (folder / "dashboard.html").read_text()
    assert "the report" in page and 'content="5"' in page and "Throughput" not in page
    assert (folder / "report.html").read_text() == "<html><head></head><body>the report</body></html>"


def test_what_is_wrong_is_one_line(results, capsys):
    (results / "curriculum" / "mine" / "metrics.csv").unlink()
    for words, message in (
        (["curriculum/mine"], "has no curves yet"),
        (["mine", "--save", "--live"], "not allowed with"),
        (["mine", "--every", "0"], "0.2 to 3600"),
    ):
        assert main([*words, "--results", str(results)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.slow
def test_live_draws_anew_at_a_terminal_until_ctrl_c(results):
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hamner.plot_training", "sft/mine", "--live", "--every", "0.3"],
        env=os.environ | {"HAMNER_RESULTS": str(results), "PYTHONPATH": str(REPO), "TERM": "xterm", "COLUMNS": "80"},
        stdout=follower,
        stdin=follower,
        stderr=follower,
    )
    os.close(follower)
    try:
        seen, ends = b"", time.monotonic() + 60
        while b"step 6" not in seen and time.monotonic() < ends:
            seen += os.read(leader, 65536)
            if b"step 5" in seen and b"step 6" not in seen:
                with (results / "sft" / "mine" / "metrics.csv").open("a") as file:
                    file.write("6,0.5,,,,0.0001\n")
        assert b"step 6" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        os.close(leader)
