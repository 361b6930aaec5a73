"""The points themselves: a small program meets them as written, once, in the process that comes first."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from faults import Point, cut_short, flip_bit
from pipelines import POINTS

PROGRAM = """
import os, sys
from pathlib import Path
place = Path(sys.argv[1])
for number in (1, 2, 3):
    (place / "new").write_text(str(number))
    (place / "new").replace(place / "a.json")
file = os.open(place / ".step", os.O_WRONLY | os.O_CREAT)
for number in range(5):
    os.pwrite(file, b"%3d" % number, 0)
os.mkdir(place / "folder")
(place / "a.json").unlink()
print("done")
"""


def run(place, *points, **environment):
    """Run the program with points; what became of it."""
    rows = [vars(point) | {"mark": str(place / f"met{number}")} for number, point in enumerate(points)]
    environment |= {"HAMNER_CHAOS_POINTS": json.dumps(rows), "PYTHONPATH": str(POINTS)}
    words = [sys.executable, "-c", PROGRAM, str(place)]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("point", "file", "content"),
    [
        (Point("rename", "before", "*/a.json", nth=2), "a.json", "1"),
        (Point("rename", "after", "*/a.json", nth=2), "a.json", "2"),
        (Point("pwrite", "after", "*/.step", nth=4), ".step", "  3"),
        (Point("unlink", "before", "*/a.json", act="TERM"), "a.json", "3"),
    ],
    ids=["before a rename", "after a rename", "after a step", "before a removal"],
)
def test_a_process_is_killed_where_its_point_says_and_once(point, file, content, tmp_path):
    done = run(tmp_path, point)
    assert done.returncode == (-15 if point.act == "TERM" else -9) and "done" not in done.stdout
    assert (tmp_path / file).read_text() == content
    assert json.loads((tmp_path / "met0").read_text())["role"] == "driver"
    shutil.rmtree(tmp_path / "folder", ignore_errors=True)
    assert run(tmp_path, point).stdout == "done\n"  # its mark is there


def test_an_error_or_a_wait_at_a_point(tmp_path):
    done = run(tmp_path, Point("mkdir", "before", "*/folder", act="error:ENOSPC"))
    assert done.returncode == 1 and "No space left on device" in done.stderr and not (tmp_path / "folder").exists()
    began = time.monotonic()
    slow = Point("pwrite", "before", "*/.step", act="sleep:0.2", is_repeated=True)
    assert run(tmp_path, slow).stdout == "done\n" and time.monotonic() - began > 1.0


def test_a_process_of_another_role_passes_and_all_renames_are_traced(tmp_path):
    trace = tmp_path / "trace"
    done = run(tmp_path, Point("rename", "after", "*/a.json", role="worker"), HAMNER_CHAOS_TRACE=str(trace))
    assert done.returncode == 0 and trace.read_text() == f"{tmp_path}/a.json\n" * 3


def test_damage_changes_one_bit_or_the_length(tmp_path):
    file, content = tmp_path / "file", bytes(range(200))
    file.write_bytes(content)
    flip_bit(file)
    changed = [index for index, byte in enumerate(file.read_bytes()) if byte != content[index]]
    assert changed == [102] and file.stat().st_size == 200
    cut_short(file, 0.25)
    assert file.stat().st_size == 50
