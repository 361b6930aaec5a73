"""Where a curriculum stands, read from its files alone: stages, loss, gain, strikes, when it ends, whether it lives."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from curriculum.driver import log_shown
from curriculum.run_logger import FIELDS, PROGRESS
from curriculum.run_status import PROGRESS as READ_PROGRESS
from curriculum.run_status import CurriculumReader
from curriculum.stages import CURRICULA, Stage
from hamner.config.load import load_config
from hamner.reports.live_table import draw, state_words
from hamner.runs.files import read_json, write_json
from hamner.runs.folders import write_config
from hamner.runs.heartbeat import LEASE
from hamner.runs.metrics import Metrics
from hamner.runs.resume_log import StepFile
from hamner.runs.tables import console

NOTE = {
    "line": "stage 2/9 reasoning  step 8",
    "stage": 2,
    "stage_step": 8,
    "strikes": 0.8,
    "ends_at_step": [12, 15],
    "stage_seconds_left": [40.0, 70.0],
    "seconds_left": [300.0, 900.0],
}


def _record(number, reason="cap", ended="at the cap of steps, without a plateau"):
    stage = CURRICULA["flat"].stages[number - 1]
    return {
        "number": number,
        "stage": stage.name,
        "steps": 15,
        "tokens": 3840,
        "reason": reason,
        "ended": ended,
        "rows": {name: 10 for name in stage.mix},
        "checkpoint": f"checkpoints/step_{15 * number:09}",
        "heldout_loss": {name: 5.0 for name in stage.mix},
    }


@pytest.fixture
def run(tmp_path):
    """The folder of a run in its second stage, whose driver lives."""
    folder = tmp_path / "curriculum" / "mine"
    folder.mkdir(parents=True)
    curriculum = CURRICULA["flat"].model_dump(mode="json")
    facts = {"kind": "curriculum", "who": "v3", "deadline": None, "curriculum": curriculum}
    write_config(folder, load_config("smoke", [], "curriculum"), facts)
    _write_stages(folder, _record(1))
    metrics = Metrics(folder, FIELDS)
    for step in range(1, 9):
        look = {"gain": 0.05, "gain_error": 0.01, "verdict": "undecided"} if step == 8 else {}
        row = {"phase": "reasoning", "stage_step": step, "mean_loss": 4.5, "heldout_loss": 5 - step / 8}
        metrics.row({"step": 15 + step, "tokens_per_second": 2000.0, "peak_gib": 0.75, **row, **look})
    mark = StepFile(folder, 1)
    mark.mark(23)
    mark.close()
    (folder / PROGRESS).write_text(json.dumps(NOTE))
    (folder / "run.log").write_text("starting at step 0 with stage 1\n  reasoning step 8: gain 5 %\n")
    (folder / LEASE).write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}))
    return folder


def _write_stages(folder, *records):
    (folder / "stages.json").write_text(json.dumps({"run": "mine", "stages": records}))


def test_the_note_is_read_where_it_is_written():
    assert READ_PROGRESS == PROGRESS


def test_a_running_stage_shows_loss_gain_strikes_and_both_ends(run):
    status = CurriculumReader(run).status()
    lines = draw(status, 100).plain.split("\n")
    assert lines[:2] == ["curriculum mine: stage 2 of 9, reasoning", "running; the run takes 5.0 min to 15.0 min more"]
    assert lines[2] == "loss █▇▆▅▄▃▂▁ 4.0000 held out, 4.5000 of the text it read"
    assert lines[3] == "gain 5.00 % (3.00 to 7.00) a window of 4 steps; a plateau is under 8 %"
    assert lines[4] == "cannot tell; strikes 0.8 of 2"
    assert lines[5] == "ends at step 12, in 40 s, at the earliest; at step 15, in 70 s, at the latest"
    assert lines[6] == "2,000 tokens/s, 0.75 GiB, step 23 of the run"
    cells = [row.cells for row in status.rows]
    assert len(cells) == 9 and cells[0][:5] == ("1 structure", 1.0, "5.0000", "15", "3,840") and cells[0][-1] == "cap"
    assert cells[1][:4] == ("2 reasoning", pytest.approx(8 / 15), "4.0000", "8 of 15") and cells[1][-1] == "running"
    assert cells[2][0] == "3 knowledge" and not any(cells[2][1:])
    assert status.line == "stage 2/9 reasoning  step 8; the run takes 5.0 min to 15.0 min more"


def test_a_note_of_an_older_version_costs_what_only_it_knew(run):
    (run / PROGRESS).write_text("stage 2/9 reasoning  step 8  loss 4.5")
    status = CurriculumReader(run).status()
    assert status.title == "curriculum mine: stage 2 of 9, reasoning" and status.time_left == ""
    assert status.rows[1].cells[1] == pytest.approx(8 / 15)


def test_a_killed_run_says_what_was_last_and_how_it_goes_on(run):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for path in run.iterdir():
        os.utime(path, (time.time() - 540,) * 2)
    (run / LEASE).write_text(json.dumps({"host": socket.gethostname(), "pid": ended.pid, "time": time.time() - 540}))
    status = CurriculumReader(run).status()
    assert state_words(status) == ("died: nothing written for 9.0 min; last: stage 2 reasoning, at step 23 of the run")
    assert status.rows[1].cells[-1] == "broken off"
    assert status.way_on.startswith("curriculum run v3 --resume --name mine")


def test_a_finished_run_and_a_deadline(run):
    document = read_json(run / "config.json")
    document["deadline"] = {"began_at": "2026-11-29T07:00:00+00:00", "ends_at": "2026-11-30T07:00:00+00:00"}
    write_json(run / "config.json", document)
    assert CurriculumReader(run).status().time_left.startswith("the run ends ")
    _write_stages(run, *[_record(number) for number in range(1, 10) if number != 4])
    (run / "final").mkdir()
    status = CurriculumReader(run).status()
    assert status.heartbeat.state == "finished" and status.way_on == "hamner chat mine"
    assert status.rows[3].cells[-1] == "left out" and status.rows[8].cells[-1] == "cap"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (80, 12), (30, 6)])
def test_the_picture_fits_and_the_present_stage_is_seen(run, width, height):
    status = CurriculumReader(run).status()
    for is_unicode in (True, False):
        lines = draw(status, width, height, is_unicode=is_unicode).plain.split("\n")
        assert max(map(len, lines)) <= width and len(lines) <= height
        assert height < 12 or any(line.startswith("2 reasoning") for line in lines)


def test_the_driver_prints_new_lines_and_tells_of_each_stage_once(run, capsys, monkeypatch):
    monkeypatch.setattr("hamner.reports.live_view.TICK_SECONDS", 0.02)
    told = []
    with log_shown(console(), run, told.append):
        with (run / "run.log").open("a") as file:
            file.write("stage 2 reasoning ended\n  a detail\nhalf a l")
        _write_stages(run, _record(1), _record(2))
        end = time.monotonic() + 10
        while not told and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.1)
    assert told == [
        "stage 2 reasoning ended at the cap of steps, without a plateau; "
        "held out: synthetic 5.000, tinystories 5.000, fineweb_edu 5.000"
    ]
    assert capsys.readouterr().out == "stage 2 reasoning ended\n  a detail\n"


def test_status_loads_neither_torch_nor_ray_and_takes_less_than_a_second(run):
    code = (
        "import sys, time; from curriculum.__main__ import main; code = main(['status', '--results', sys.argv[1]]);"
        "print(code, {'torch', 'ray', 'scipy', 'pandas'} & set(sys.modules), time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", code, run.parents[1]], capture_output=True, text=True, check=True)
    *picture, last = done.stdout.splitlines()
    assert picture[0] == "curriculum mine: stage 2 of 9, reasoning" and done.stderr == ""
    assert last.startswith("0 set() ") and float(last.split()[-1]) < 1.0


def test_run_status_is_the_same(run, capsys):
    from curriculum.run import main

    assert main(["--status", "--name", "mine", "--results", str(run.parents[1])]) == 0
    assert capsys.readouterr().out.startswith("curriculum mine: stage 2 of 9, reasoning\n")


@pytest.mark.slow
def test_a_real_run_notes_where_it_is_and_both_ends(course):
    notes, stage = [], Stage(name="a", mix={"tinystories": 1.0}, learning_rate=1e-3)

    def look(step):
        if (run.folder / PROGRESS).is_file():
            notes.append(json.loads((run.folder / PROGRESS).read_text()))
        run.log._progress_shown = 0.0  # written after every step, else twice a second

    fixed = stage.model_copy(update={"name": "b", "steps": 3})
    run = course(stage, fixed, words=("max_steps=16",), on_batch=look)
    run.run()
    run.close()
    steps = [*((1, step) for step in range(1, len(notes) - 1)), (2, 1), (2, 2)]
    assert [(note["stage"], note["stage_step"]) for note in notes] == steps and len(notes) > 8
    first, second = notes[0], notes[-1]
    earliest, latest = first["ends_at_step"]
    assert 4 < earliest < latest == 16 and first["strikes"] == 0.0
    assert second["ends_at_step"] == [3, 3] and second["strikes"] is None
    for note in notes[3:]:
        is_at_its_end = note["stage_step"] >= note["ends_at_step"][0]
        assert (note["stage_seconds_left"][0] > 0) != is_at_its_end
        assert note["stage_seconds_left"][0] <= note["stage_seconds_left"][1]
        assert note["stage_seconds_left"][0] < note["seconds_left"][0] <= note["seconds_left"][1]
    status = CurriculumReader(run.folder).status()
    assert status.heartbeat.state == "finished" and [row.cells[1] for row in status.rows] == [1.0, 1.0]
    assert status.rows[1].cells[2] != "" and status.rows[1].cells[3] == "3"
