"""metrics.csv: one row a report, floats exact, no step twice after a kill."""

import csv
import json
import math

from hamner.runs.files import append_json_line, drop_json_lines_after
from hamner.runs.metrics import SUMS, Metrics, read_metrics

FIELDS = ("step", "loss", "balance_loss", "note")


def _rows(folder):
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(folder, steps, **more):
    metrics = Metrics(folder, FIELDS, **more)
    for step in steps:
        metrics.row({"step": step, "loss": 1 / step, "balance_loss": 0.0, "note": f"n{step}"})
    return metrics


def test_rows_append_and_can_be_read_at_any_time(tmp_path):
    metrics = _write(tmp_path / "new" / "folder", [1])
    assert [r["step"] for r in _rows(tmp_path / "new" / "folder")] == ["1"]
    metrics.row({"step": 2, "loss": 0.25, "unknown": 9})
    second = _rows(tmp_path / "new" / "folder")[1]
    assert second == {"step": "2", "loss": "0.25", "balance_loss": "", "note": ""}
    assert tuple(second) == FIELDS


def test_floats_keep_their_last_bit(tmp_path):
    values = [1 / 3, math.pi * 1e-12, 2.0**-1074, 1.7976931348623157e308, 0.1 + 0.2, 5.0]
    metrics = Metrics(tmp_path, FIELDS)
    for step, value in enumerate(values, start=1):
        metrics.row({"step": step, "loss": value})
    assert [float(r["loss"]) for r in _rows(tmp_path)] == values
    Metrics(tmp_path, FIELDS, resume_step=99)  # rewriting changes nothing either
    assert [float(r["loss"]) for r in _rows(tmp_path)] == values


def test_text_with_commas_quotes_and_lines_comes_back(tmp_path):
    note = 'a, "b"\nc — ü'
    Metrics(tmp_path, FIELDS).row({"step": 1, "note": note})
    Metrics(tmp_path, FIELDS, resume_step=1).row({"step": 2, "note": note})
    assert [r["note"] for r in _rows(tmp_path)] == [note, note]


def test_resume_drops_the_rows_after_its_step(tmp_path):
    _write(tmp_path, range(1, 8))
    _write(tmp_path, [5, 6], resume_step=4)
    assert [int(r["step"]) for r in _rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert [float(r["loss"]) for r in _rows(tmp_path)] == [1 / n for n in range(1, 7)]


def test_resume_is_written_like_never_stopped(tmp_path):
    _write(tmp_path / "a", range(1, 10))
    _write(tmp_path / "b", range(1, 7))
    _write(tmp_path / "b", range(5, 10), resume_step=4)
    assert (tmp_path / "a" / "metrics.csv").read_bytes() == (tmp_path / "b" / "metrics.csv").read_bytes()


def test_a_new_start_begins_an_empty_file(tmp_path):
    _write(tmp_path, range(1, 4))
    _write(tmp_path, [])
    assert _rows(tmp_path) == []


def test_resume_without_a_file_begins_one(tmp_path):
    _write(tmp_path, [8], resume_step=7)
    assert [r["step"] for r in _rows(tmp_path)] == ["8"]


def test_torn_last_line_is_dropped(tmp_path):
    _write(tmp_path, range(8, 14))
    path = tmp_path / "metrics.csv"
    whole = path.read_text(encoding="utf-8")
    last = whole.splitlines(keepends=True)[-1]
    assert last.startswith("13,")
    for cut in range(1, len(last) - 1):
        path.write_text(whole[: len(whole) - cut], encoding="utf-8")
        Metrics(tmp_path, FIELDS, resume_step=12)
        assert [int(r["step"]) for r in _rows(tmp_path)] == [8, 9, 10, 11, 12], last[:-cut]


def test_json_lines_append_and_drop(tmp_path):
    path = tmp_path / "events.jsonl"
    for step in (1, 5, 12):
        append_json_line(path, {"step": step, "text": "ü\n“x”", "loss": 1 / 3})
    drop_json_lines_after(path, 5)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"step": step, "text": "ü\n“x”", "loss": 1 / 3} for step in (1, 5)]


def test_torn_json_line_is_dropped(tmp_path):
    path = tmp_path / "events.jsonl"
    append_json_line(path, {"step": 1})
    append_json_line(path, {"step": 13, "text": "u"})
    whole = path.read_bytes()
    for cut in range(1, 25):
        path.write_bytes(whole[:-cut])
        drop_json_lines_after(path, 12)
        assert path.read_text(encoding="utf-8") == '{"step": 1}\n'


def test_dropping_from_no_file_makes_none(tmp_path):
    drop_json_lines_after(tmp_path / "events.jsonl", 3)
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_is_said_and_left_out_and_a_whole_file_says_nothing(tmp_path):
    lines = []
    _write(tmp_path, range(1, 8))
    Metrics(tmp_path, FIELDS, resume_step=6, every=2, say=lines.append)
    assert lines == []
    path = tmp_path / "metrics.csv"
    whole = path.read_text()
    for text, words in (
        (whole.replace("0.5", "0.7"), "1 of its rows cannot be read, or were altered"),
        ("\n".join(whole.splitlines()[:4]) + "\n", "it has no row of steps 4 to 6"),
        (whole.replace("loss,", "lozs,", 1), "its first line names lozs"),
        ("", "it is empty or missing, it has no row of steps 1 to 6"),
    ):
        path.write_text(text)
        Metrics(tmp_path, FIELDS, resume_step=6, every=2, say=lines.append)
        assert words in lines.pop() and not lines, text
        path.write_text(whole)
        Metrics(tmp_path, FIELDS, resume_step=6)


def test_rows_of_an_older_version_have_no_checksums_and_are_kept(tmp_path):
    lines = []
    _write(tmp_path, range(1, 5))
    (tmp_path / SUMS).unlink()
    Metrics(tmp_path, FIELDS, resume_step=4, every=1, say=lines.append)
    assert [row["step"] for row in read_metrics(tmp_path)] == ["1", "2", "3", "4"] and lines == []
    assert len((tmp_path / SUMS).read_text().splitlines()) == 4
