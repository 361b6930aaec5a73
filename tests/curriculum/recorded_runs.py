"""Recorded runs of the curriculum, whole and cut off, to write reports of."""

import json
import shutil
from pathlib import Path

RECORDED = Path(__file__).with_name("recorded")


def recorded_run(results: Path, name: str = "flat") -> Path:
    """A finished run of `v3` through the nine stages of `flat`, recorded, with a part of its rows, in a folder."""
    folder = results / "curriculum" / name
    shutil.copytree(RECORDED / "flat", folder)
    (folder / "final").mkdir()
    return folder


def document(folder: Path, file: str):
    return json.loads((folder / file).read_text(encoding="utf-8"))


def change(folder: Path, file: str, edit) -> None:
    """Rewrite a JSON file after `edit` has changed what it holds."""
    value = document(folder, file)
    edit(value)
    (folder / file).write_text(json.dumps(value), encoding="utf-8")


def kill_in_stage(folder: Path, number: int, step: int) -> None:
    """Leave of a run what a kill in that stage, at that global step, would have left."""
    (folder / "final").rmdir()

    def cut(stages):
        stages["stages"] = [record for record in stages["stages"] if record["number"] < number]
        del stages["final"]

    def cut_skills(skills):
        for key in ("stages", "drops"):
            skills[key] = skills[key][: number - 1]

    change(folder, "stages.json", cut)
    change(folder, "skills.json", cut_skills)
    head, *rows = (folder / "metrics.csv").read_text().splitlines()
    whole = [row for row in rows if int(row.split(",")[2]) <= step]
    torn = rows[len(whole)][: len(rows[len(whole)]) // 2]
    (folder / "metrics.csv").write_text("\n".join([head, *whole, torn]))
    lines = [line for line in (folder / "samples.jsonl").read_text().splitlines() if json.loads(line)["step"] <= step]
    (folder / "samples.jsonl").write_text("\n".join([*lines, '{"timestamp": "2026']))
