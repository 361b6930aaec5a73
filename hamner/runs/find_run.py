"""Find the folder of a run of any kind: a league, a contestant of one, a curriculum, a fine-tuning.

Data in: what a user typed. Data out: a folder, or a BadInput with what was meant. Reads no file but config.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.runs.folders import RUN_FILES, STARTED, absolute, newest_first, runs

KINDS = tuple(kind for kind, file in RUN_FILES.items() if file == "config.json")


def find_run(name: str | None, results: Path, kinds: Sequence[str] = KINDS) -> Path:
    """The folder of a run: RUN, KIND/RUN or LEAGUE/CONTESTANT in `results`, any path, or None for the newest run.

    kinds: those to look at. Of several runs with one name it is the newest. Raises BadInput where there is none.
    """
    folders = [path for kind in kinds for path in runs(results, kind)]
    newest = [path.parent for path in newest_first([path / "config.json" for path in folders], STARTED)]
    what = "run" if tuple(kinds) == KINDS else f"{' or '.join(kinds)} run"
    if name is None and newest:
        return newest[0]
    if name is None:
        raise BadInput(f"no {what} in {results}; start one, or name another --results")
    named = [path for path in newest if path.name == name]
    if not named and Path(name).parent != Path():  # a path: where it is typed, or in the results folder
        inside = [] if ".." in Path(name).parts else [results / name, results / "tournament" / name]
        named = [path for path in (absolute(name, "run"), *inside) if path.is_dir()]
    if named:
        return named[0]
    known = list(dict.fromkeys(path.name for path in newest))
    hint = did_you_mean(name, known) if known else f"{results} has none"
    raise BadInput(f"no {what} '{shortened(name)}'; {hint}")
