"""What the chaos tests share: undisturbed runs, made once a session, and scenes whose processes end with the test."""

import json
import os
from dataclasses import asdict

import pytest
from filelock import FileLock
from outcomes import Reference, undisturbed
from pipelines import PIPELINES, Scene, remove


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """reference(name) -> the undisturbed run of a pipeline; one for all processes of `pytest -n`."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def of(name: str) -> Reference:
        file = shared / f"undisturbed_{name}.json"
        with FileLock(f"{file}.lock"):
            if not file.is_file():
                found = undisturbed(PIPELINES[name], tmp_path_factory.mktemp(name))
                file.write_text(json.dumps(asdict(found)))
        return Reference(**json.loads(file.read_text()))

    return of


@pytest.fixture
def scene(tmp_path):
    """scene(name, results=None) -> a Scene of a pipeline, in a place of its own."""
    scenes = []

    def make(name: str, results=None) -> Scene:
        scenes.append(Scene(PIPELINES[name], tmp_path / f"{name}{len(scenes)}", results))
        return scenes[-1]

    yield make
    for each in scenes:
        remove(each)
