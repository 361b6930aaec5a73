"""The file and the picture of the skills matrix."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hamner.evaluation.forgetting import drops
from hamner.evaluation.skills import CELLS
from hamner.evaluation.statistics import Chance
from hamner.reports.skills_matrix import picture, render, write_matrix

SOURCES = ("synthetic", "tinystories", "fineweb_edu", "sft", "personal")
STAGES = ("structure", "reasoning", "knowledge", "context", "deep_knowledge", "dialogue", "synthesis", "voice")


def made_up(stages=8):
    """A run in which synthetic skills are learnt one after the other and some are lost to dialogue."""
    rng, records = random.Random(0), []
    ease = {cell: rng.uniform(-1.5, 1.5) for cell in CELLS}
    for number in range(1, stages + 1):
        skills = {}
        for cell, ease_of in ease.items():
            logit = ease_of + 0.9 * number - 1.1 * int(cell[-1]) - (3.5 if number >= 6 and cell[:5] == "logic" else 0)
            skill = 1 / (1 + math.exp(-logit))
            skills[cell] = "".join("01"[random.Random(f"{cell}{item}").random() < skill] for item in range(64))
        documents = {}
        for place, source in enumerate(SOURCES):
            loss = 1.2 + 0.5 * place + 2.5 / (number + place) + (0.3 if place == 2 and number == 8 else 0)
            hard = random.Random(source)
            nats = [200 * loss * hard.uniform(0.9, 1.1) for _ in range(20)]
            documents[source] = {"nats": nats, "tokens": [200] * 20}
        losses = {name: sum(d["nats"]) / sum(d["tokens"]) for name, d in documents.items()}
        records.append(
            {
                "number": number,
                "stage": STAGES[number - 1],
                "skills": skills,
                "choice": skills,
                "documents": documents,
                "heldout_loss": losses,
            }
        )
    chance = {cell: rng.uniform(0, 0.5) for cell in CELLS}
    return records, Chance(chance, chance)


def test_the_file_and_the_picture_are_written(tmp_path):
    records, chance = made_up()
    records[2]["train_loss"] = 2.5
    path = write_matrix(tmp_path, records, chance, "mine")
    assert path == tmp_path / "skills.png" and path.read_bytes()[:4] == b"\x89PNG"
    assert {p.name for p in tmp_path.iterdir()} == {"skills.json", "skills.png"}
    written = json.loads((tmp_path / "skills.json").read_text())
    assert written["run"] == "mine" and written["chance"] == written["choice_chance"] == chance.exact_match
    assert written["items_per_cell"] == dict.fromkeys(CELLS, 64)
    assert [stage["stage"] for stage in written["stages"]] == list(STAGES)
    first = written["stages"][0]
    assert first["exact_match"]["logic 1"] == records[0]["skills"]["logic 1"].count("1") / 64
    assert first["heldout_loss"] == records[0]["heldout_loss"]
    assert [stage["train_loss"] for stage in written["stages"]] == [None, None, 2.5, None, None, None, None, None]
    assert len(written["drops"]) == 8 and written["drops"][0] == []
    assert {drop["skill"] for drop in written["drops"][5]} >= {"logic 1", "logic 2"}
    assert {drop["stage"] for drop in written["drops"][5]} == {"dialogue"}
    assert [drop["best"] for drop in written["drops"][7]] == [drop.best for drop in drops(records)]


def test_before_the_first_stage_there_is_nothing_to_write(tmp_path):
    assert write_matrix(tmp_path, [], Chance({}, {}), "mine") is None
    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_1600_pixels_wide_and_grows_with_the_stages():
    one, eight = (render(picture(*made_up(stages))) for stages in (1, 8))
    assert one.dtype == "uint8" and one.shape[1:] == eight.shape[1:] == (1600, 3)
    assert 450 < one.shape[0] < eight.shape[0] < 1200
    red = [int(((p[..., 0] > 200) & (p[..., 1] < 60) & (p[..., 2] < 60)).sum()) for p in (one, eight)]
    assert red[0] < 2000 < red[1]  # frames


def test_a_picture_with_more_drops_than_lines_says_how_many_are_left():
    records, chance = made_up(2)
    records[1]["skills"] = {cell: "0" * 64 for cell in CELLS}
    count = len(drops(records))
    texts = [text.get_text() for axes in picture(records, chance).axes for text in axes.texts]
    assert count > 10 and "Lost in 2 reasoning" in texts
    assert sum(text.startswith("and ") for text in texts) == 1
    shown = sum("(a drop of" in text for text in texts)
    assert f"and {count - shown} more" in texts


DRAW = """
import sys
from pathlib import Path
import curriculum.run_logger, hamner.reports.skills_matrix as matrix
assert "matplotlib" not in sys.modules
marks = {"logic 1": "0110"}
record = {"number": 1, "stage": "a", "skills": marks, "choice": marks, "heldout_loss": {"sft": 2.0}, "documents": {}}
chance = matrix.Chance({"logic 1": 0.5}, {"logic 1": 0.5})
matrix.write_matrix(Path(sys.argv[1]), [record], chance, "mine")
assert "matplotlib" in sys.modules
"""


@pytest.mark.mended("matplotlib's two lines where HOME is not writable")
def test_matplotlib_is_loaded_for_a_picture_alone_and_says_nothing_of_a_home_it_cannot_write(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME")}
    answer = subprocess.run(
        [sys.executable, "-c", DRAW, str(tmp_path)],
        env=environment | {"HOME": "/proc/nowhere", "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "") and (tmp_path / "skills.png").is_file()
