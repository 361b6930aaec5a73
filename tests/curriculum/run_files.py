"""What a run of the curriculum has written, read for tests."""

import csv
import json


def rows_of(folder):
    """The rows of metrics.csv."""
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def rows(run):
    return rows_of(run.folder)


def records(run):
    """One of each stage that is over."""
    return json.loads((run.folder / "stages.json").read_text())["stages"]


def log(run):
    return (run.folder / "run.log").read_text()
