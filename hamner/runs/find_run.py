"""Find the folder of a run of any kind: a league, a contestant of one, a curriculum, a fine-tuning.

Data in: what a user typed. Data out: a folder, or a BadInput with what was meant. Reads no file but config.json.
"""

from __future__ import annotations

from pathlib import Path

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.folders import STARTED, absolute, newest_first, runs

KINDS = ("tournament", "curriculum", "sft")


def find_run(name: str | None, results: Path) -> Path:
    """The folder of a run: RUN, KIND/RUN or LEAGUE/CONTESTANT in `results`, any path, or None for the newest run.

    Of several runs with one name it is the newest. Raises BadInput where there is none.
    """
    folders = [path for kind in KINDS for path in runs(results, kind)]
    newest = [path.parent for path in newest_first([path / "config.json" for path in folders], STARTED)]
    if name is None and newest:
        return newest[0]
    if name is None:
        raise BadInput(f"no run in {results}; use `hamner tournament` to start one, or name another --results")
    path = absolute(name, "run")
    if path.is_dir():
        return path
    if ".." not in Path(name).parts:
        places = [results / name, results / "tournament" / name]
        found = [path for path in newest if path.name == name] + [place for place in places if place.is_dir()]
        if found:
            return found[0]
    known = [path.name for path in newest]
    hint = did_you_mean(name, list(dict.fromkeys(known))) if known else f"{results} has none"
    raise BadInput(f"no run or folder '{name}'; {hint}")
