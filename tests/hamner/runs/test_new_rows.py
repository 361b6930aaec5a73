"""Rows of a file that grows, and the step a run has reached."""

from hamner.runs.metrics import Metrics
from hamner.runs.new_rows import MOST_BYTES, NewRows, number
from hamner.runs.resume_log import StepFile, step_reached


def _steps(look):
    rows, is_new = look
    return [number(row, "step") for row in rows], is_new


def test_each_look_reads_what_is_new_and_never_half_a_row(tmp_path):
    path = tmp_path / "metrics.csv"
    rows = NewRows(path)
    assert rows.look() == ([], True)
    metrics = Metrics(tmp_path, ("step", "loss"))
    metrics.row({"step": 1, "loss": 0.5})
    assert rows.look() == ([{"step": "1", "loss": "0.5"}], True)
    with path.open("a") as file:
        file.write("2,0.2")
    assert rows.look() == ([], False)
    with path.open("a") as file:
        file.write("5\n3,\n")
    (second, third), is_new = rows.look()
    assert (number(second, "loss"), number(third, "loss"), number(third, "speed"), is_new) == (0.25, None, None, False)


def test_after_a_resume_what_was_read_is_void(tmp_path):
    metrics, rows = Metrics(tmp_path, ("step",)), NewRows(tmp_path / "metrics.csv")
    for step in range(1, 6):
        metrics.row({"step": step})
    assert _steps(rows.look()) == ([1, 2, 3, 4, 5], True)
    Metrics(tmp_path, ("step",), resume_step=2).row({"step": 3})
    assert _steps(rows.look()) == ([1, 2, 3], True)
    (tmp_path / "metrics.csv").unlink()
    assert rows.look() == ([], True)


def test_of_a_long_file_the_end_is_read(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,text\n" + "".join(f"{step},{'x' * 200}\n" for step in range(10_000)))
    assert path.stat().st_size > 2 * MOST_BYTES
    steps, _ = _steps(NewRows(path).look())
    assert steps == list(range(int(steps[0]), 10_000)) and 2000 < len(steps) < 3000


def test_the_step_is_read_as_it_was_written(tmp_path):
    assert step_reached(tmp_path) is None
    mark = StepFile(tmp_path, 3)
    mark.mark(41)
    mark.close()
    assert step_reached(tmp_path) == 41
    (tmp_path / ".step").write_text("")
    assert step_reached(tmp_path) is None
