"""Where runs live on disk: the results folder, a run's folder, files written whole or not at all.

results/tournament/RUN/ and results/curriculum/RUN/ begin with an atomic `config.json`, before anything else
is started: a folder that has one can be resumed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from hamner.config.checks import relation_problems
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json_as, write_json


def results_folder(option: str | None = None) -> Path:
    """`--results`, else $HAMNER_RESULTS, else `results/` of the project (editable) or of this folder."""
    if option:
        return Path(option).expanduser().resolve()
    if os.environ.get("HAMNER_RESULTS"):
        return Path(os.environ["HAMNER_RESULTS"]).expanduser().resolve()
    return (home_folder() / "results").resolve()


def home_folder() -> Path:
    """The project's root when installed editable, else the current folder: where relative places begin."""
    project = Path(__file__).resolve().parents[2]
    return project if (project / "pyproject.toml").is_file() else Path.cwd()


def run_folder(results: Path, kind: str, name: str) -> Path:
    """The folder of a run, `kind` tournament or curriculum. Raises BadInput for a name that would leave it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BadInput(
            f"run name '{name}' would leave {results / kind}: use letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return results / kind / name


def new_name() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H%M%S")


def runs(results: Path, kind: str) -> list[Path]:
    """Runs of a kind, newest first."""
    found = (results / kind).glob("*/config.json")
    return [p.parent for p in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)]


def open_run(
    results: Path, kind: str, name: str | None, *, resume: bool, config: Config | None, facts: dict[str, Any]
) -> tuple[Path, Config, dict[str, Any]]:
    """Decide the folder and the config of a run, and write nothing yet.

    config None means: the stored one (only with resume). Returns folder, config, and the stored facts beside
    the config (what `facts` are for a new run). Raises BadInput for an existing name without resume, a
    missing one with it, and for a config or fact that differs from the stored one, listing the differences.
    """
    if resume and name is None:
        existing = runs(results, kind)
        if not existing:
            raise BadInput(f"nothing to resume: no {kind} run in {results / kind}")
        name = existing[0].name
    folder = run_folder(results, kind, name or new_name())
    if not resume:
        if folder.exists() and any(path.suffix not in (".lock", ".lease") for path in folder.iterdir()):
            raise BadInput(f"{folder} exists already: add --resume to go on with it, or choose another --name")
        if config is None:
            raise ValueError("a new run needs a config")
        _check_writable(folder)
        return folder, config, facts
    if not (folder / "config.json").is_file():
        known = [p.name for p in runs(results, kind)]
        hint = did_you_mean(folder.name, known) if known else "there is none"
        raise BadInput(f"no {kind} run '{folder.name}' to resume in {results / kind}; {hint}")
    path = folder / "config.json"
    stored, stored_facts = read_json_as(
        path,
        lambda document: (
            parse(Config, document["config"], str(path)),
            {k: v for k, v in document.items() if k not in ("config", "run")},
        ),
    )
    problems = list(relation_problems(stored))
    if problems:
        raise BadInput([f"{path}: {problem}" for problem in problems])
    wanted = (config or stored).model_dump(mode="json")
    problems = list(differences(stored.model_dump(mode="json"), wanted))
    problems += list(differences(stored_facts, stored_facts | facts))
    if problems:
        raise BadInput(
            [
                f"run '{folder.name}' was started with another config; resume it without the options, "
                "or choose another --name",
                *problems,
            ]
        )
    return folder, stored, stored_facts


def _check_writable(folder: Path) -> None:
    """Raises BadInput when a folder could not be made, before anything tries to."""
    parent = next(path for path in folder.parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise BadInput(f"{folder} cannot be made: {parent} is no folder one can write to; choose another --results")


def write_config(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """The first act of a run."""
    write_json(folder / "config.json", {"run": folder.name, **facts, "config": config.model_dump(mode="json")})


def differences(stored: Any, given: Any, path: str = "") -> Iterator[str]:
    """One line per leaf in which two JSON values differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in [*stored, *(k for k in given if k not in stored)]:
            yield from differences(stored.get(key), given.get(key), f"{path}.{key}" if path else str(key))
    elif stored != given:
        yield f"{path}: the run has {stored!r}, now {given!r}"
