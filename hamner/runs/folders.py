"""Run folders: create, resume, find.

Data in: --results, --name, --resume, a config. Data out: results/tournament/RUN/ or results/curriculum/RUN/, which
begins with config.json, written before anything else is started: a folder that has one can be resumed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hamner.config.checks import relation_problems
from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.config.formats import FORMATS, OtherFormat, format_of
from hamner.config.load import parse
from hamner.config.machine_keys import auto_keys, with_keys
from hamner.config.schema import Config
from hamner.runs.files import foreign_json, read_json, read_json_as, write_json
from hamner.runs.safe_paths import leaves, name_problem

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
LONGEST_NAME = 255  # letters of a folder's name
# what a resume decides by and nothing makes again: one that is damaged ends it before anything is started
NEEDED = (
    *("config.json", "manifest.json", "conversations.json", "bracket.json", "documents_*.json"),
    *("learning_rate.json", "memory_fallbacks.json"),
)
RUN_DEPTH = 3  # LEAGUE/CONTESTANT/checkpoints/step_1: from a checkpoint to config.json
# kinds of runs, each a folder in the results folder: the file that makes a folder in it a run
RUN_FILES = {
    "tournament": "config.json",
    "curriculum": "config.json",
    "sft": "config.json",
    "friend": "friend.json",
    "choice": "choice.json",
    "concepts": "config.json",
}
NAME_TIME = "%Y-%m-%d_%H%M%S"
CALIBRATION = "calibration"  # in config.json: when it was made that chose keys of this run, and which
LINKABLE = ("data", "ray")  # inner folders into which no check of links looks: the text, and what Ray writes
PACKING_LIST = "pack.json"  # of a run that was unpacked: what its archive said of it
STARTED, FINISHED = "started", "finished"  # when, in UTC: in config.json, and in a tournament's winner.json


def results_folder(option: str | None = None) -> Path:
    """The folder of --results, else of $HAMNER_RESULTS, else results/ in home_folder()."""
    if option:
        return absolute(option, "--results")
    if os.environ.get("HAMNER_RESULTS"):
        return absolute(os.environ["HAMNER_RESULTS"], "HAMNER_RESULTS")
    return (home_folder() / "results").resolve()


def absolute(path: str, what: str) -> Path:
    """A path that a user has given, absolute. Raises BadInput for one that cannot be.

    what: where it was given, for the message. An address (s3://…) is refused: a run renames and locks its files, which
    object stores do not; as a path, s3:// would be a folder named "s3:" here.
    """
    if ADDRESS.match(path):
        raise BadInput(
            f"{what} {shortened(path)} is an address, not a folder: runs rename and lock their files, which object "
            "stores do not. Name a folder, one that all nodes see where there are several (NFS, EFS), and copy a "
            "finished run with `hamner pack`"
        )
    try:
        resolved = Path(path).expanduser().resolve()
        resolved.exists()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: an unknown user, or links in a circle
        raise BadInput(f"{what} {shortened(path)} cannot be used: {reason(error)}; name another path") from None
    return resolved


def reason(error: BaseException) -> str:
    """What the system says of an error, without the path, which the message names anyway."""
    return getattr(error, "strerror", None) or str(error)


def home_folder() -> Path:
    """The project's root when it is run from a clone, else the current folder: relative places begin there."""
    project = Path(__file__).resolve().parents[2]
    return project if (project / "pyproject.toml").is_file() else Path.cwd()


def run_folder(results: Path, kind: str, name: str) -> Path:
    """The folder of a run, `kind` tournament or curriculum. Raises BadInput for a name outside the results folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BadInput(
            f"run name '{name}' would leave {results / kind}: use letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    if len(name) > LONGEST_NAME:
        raise BadInput(f"run name '{shortened(name)}' is too long for a folder: use at most {LONGEST_NAME} letters")
    problem = name_problem(name)
    if problem and not (results / kind / name).is_dir():  # a run that is there already goes on under its name
        raise BadInput(f"run name '{name}' {problem}: choose another")
    return results / kind / name


def new_name() -> str:
    """A name for a run: date and time."""
    return datetime.now().strftime(NAME_TIME)


def runs(results: Path, kind: str) -> list[Path]:
    """Folders of the runs of a kind, newest first, by the time that config.json names."""
    return [path.parent for path in newest_first((results / kind).glob("*/config.json"), STARTED)]


def newest_first(files: Iterable[Path], key: str) -> list[Path]:
    """JSON files of runs by the time they name themselves; copying, unpacking and git alter that of the file system.

    A file of an older version names none: then the default name of its run's folder does, else the file system.
    """
    return sorted(files, key=lambda path: (_written_time(path, key), path.parent.name), reverse=True)


def _written_time(path: Path, key: str) -> float:
    try:
        return datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))[key]).timestamp()
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    try:
        return datetime.strptime(path.parent.name, NAME_TIME).timestamp()
    except (ValueError, OverflowError):
        return path.stat().st_mtime if path.is_file() else 0.0


def start_times(results: Path) -> list[float]:
    """When each run says that it was started, seconds since 1970."""
    return [_written_time(path, STARTED) for path in results.glob("*/*/config.json")]


def now() -> str:
    """The time, as JSON files of runs name it."""
    return datetime.now(UTC).isoformat()


def run_above(folder: Path) -> Path | None:
    """The folder of the run, league or not, that a model's folder belongs to: itself or one above; None without one."""
    place = folder.resolve()
    return next((path for path in (place, *list(place.parents)[:RUN_DEPTH]) if (path / "config.json").is_file()), None)


def step_folders(checkpoints: Path) -> list[Path]:
    """The folders step_NUMBER of a folder, in order; a copy beside them ("step_10 (copy)") is somebody else's."""
    return sorted(path for path in checkpoints.glob("step_*") if path.name.removeprefix("step_").isdecimal())


def next_attempt(folder: Path) -> int:
    """How many times a run will have been started, the next start included. Each leaves a folder RUN/ray/<number>."""
    numbers = [int(path.name) for path in (folder / "ray").glob("*") if path.name.isdecimal()]
    return 1 + max(numbers, default=0)


def open_run(
    results: Path,
    kind: str,
    name: str | None,
    *,
    resume: bool,
    config: Config | None,
    facts: dict[str, Any],
    may_differ: tuple[str, ...] = (),
    of_each_start: tuple[str, ...] = (),
) -> tuple[Path, Config, dict[str, Any]]:
    """Choose the folder and the config of a run, new or resumed, and write nothing yet.

    config: None to resume with the stored one. facts: what config.json keeps beside the config. Returns folder, config
    and facts, of a resumed run the stored ones, but for keys of the config that `may_differ` (their beginnings).
    of_each_start: facts that another start of the same command has otherwise, such as what the clock said. Raises
    BadInput for the name of an existing run without resume, for one that does not exist with it, and for a config or
    fact that differs from the stored one, listing the differences.
    """
    if not resume:
        if config is None:
            raise ValueError("a new run needs a config")
        folder = run_folder(results, kind, name or new_name())
        _check_creatable(folder, config, facts, of_each_start)
        return folder, config, facts
    folder = _existing_run(results, kind, name)
    _check_files(folder)
    stored, stored_facts = _stored_config(folder / "config.json")
    if config:  # what a calibration chose at the start stays as it was
        chosen = stored_facts.get(CALIBRATION, {}).get("choices", {})
        config = with_keys(config, {key: value for key, value in chosen.items() if key in auto_keys(config)})
    requested = (config or stored).model_dump(mode="json")
    if (folder / PACKING_LIST).is_file():  # its text is compared with what it read, wherever it lies here
        may_differ = (*may_differ, "data.path", "data.local_path")
    problems = list(differences(stored.model_dump(mode="json"), requested, may_differ))
    problems += list(differences(stored_facts, stored_facts | facts))
    if problems:
        raise BadInput(
            [
                f"run '{folder.name}' was started with another config; resume it without the options, "
                "or choose another --name",
                *problems,
            ]
        )
    return folder, config or stored, stored_facts


def _existing_run(results: Path, kind: str, name: str | None) -> Path:
    """The folder of the run to resume: of that name, or the newest one."""
    existing = runs(results, kind)
    if name is None:
        if not existing:
            raise BadInput(f"nothing to resume: {results / kind} has no {kind} run; leave out --resume to start one")
        return existing[0]
    folder = run_folder(results, kind, name)
    if not (folder / "config.json").is_file():
        hint = did_you_mean(name, [path.name for path in existing]) if existing else "leave out --resume to start one"
        raise BadInput(f"{results / kind} has no {kind} run '{name}' to resume; {hint}")
    return folder


def _check_files(folder: Path) -> None:
    """Raise BadInput with every file of a run that this version does not read, before anything is decided by others.

    Where there is none, with every one that is damaged and NEEDED; of others, a checkpoint's or a table's, whoever
    reads them falls back or says so.
    """
    _check_links(folder)
    problems: list[str] = []
    damaged: list[str] = []
    places = sorted(path for path in folder.iterdir() if path.name != "ray")
    for path in (path for place in places for path in (place, *sorted(place.rglob("*.json")))):
        is_needed = any(path.match(name) for name in NEEDED)
        if path.suffix != ".json" or not (is_needed or path.name in FORMATS):
            continue
        try:
            read_json(path)
        except OtherFormat as error:
            problems += error.problems
        except BadInput as error:
            damaged += error.problems if is_needed else ()
    if problems:
        raise OtherFormat(problems)
    if damaged:
        raise BadInput(damaged)


def _check_links(folder: Path) -> None:
    """Raise BadInput where a folder in a run's is a link that leads out of it: a resume removes old checkpoints.

    The run's folder itself may be behind a link, and its `data` may be one: what lies there is only added to.
    """
    links: list[str] = []
    for place, names, _ in os.walk(folder):
        is_top = Path(place) == folder
        paths = [Path(place, name) for name in names if not (is_top and name == "data")]
        links += [str(path) for path in paths if path.is_symlink() and leaves(folder, path)]
        if is_top:
            names[:] = [name for name in names if name not in LINKABLE]
    if links:
        raise BadInput(
            f"{min(links)} leads out of the run's folder by a link, and a resume would write and remove files there: "
            "remove the link, and move a folder of yours that it leads to into its place; for another disk, move the "
            "whole run there and link its folder"
        )


def _stored_config(path: Path) -> tuple[Config, dict[str, Any]]:
    """The config and the facts of a run's config.json. Raises BadInput with every problem."""
    config, facts = read_json_as(
        path,
        lambda document: (
            parse(Config, document["config"], str(path)),
            {key: value for key, value in document.items() if key not in ("config", "run", STARTED)},
        ),
    )
    problems = list(relation_problems(config))
    if problems:
        raise BadInput([f"{path}: {problem}" for problem in problems])
    return config, facts


def _check_creatable(folder: Path, config: Config, facts: dict[str, Any], of_each_start: tuple[str, ...]) -> None:
    """Raise BadInput when a new run's folder holds a run already, or could not be created.

    One that a start has left, that came no further than the text, is used again with the same config.
    """
    try:
        if folder.exists() and not _is_failed_start(folder, config, facts, of_each_start):
            raise BadInput(f"{folder} exists already: use --resume to continue that run, or choose another --name")
        parent = next(path for path in folder.parents if path.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise BadInput(f"{folder} cannot be created: {parent} is not a writable folder; choose another --results")
        space = os.statvfs(parent)
    except OSError as error:  # a folder one may not enter, a loop of links, a name too long
        raise BadInput(f"{folder} cannot be created: {reason(error)}; choose another --results or --name") from None
    if space.f_files and not space.f_ffree:
        raise BadInput(
            f"{folder} cannot be created: {parent} has no inodes left; remove files, or choose another --results"
        )


def _is_failed_start(folder: Path, config: Config, facts: dict[str, Any], of_each_start: tuple[str, ...]) -> bool:
    """Whether a folder is empty, or holds but the config, the same, and the text that were there before training."""
    names = {path.name for path in folder.iterdir() if path.suffix not in (".lock", ".lease", ".tmp")}
    if not names:
        return True
    if not names <= {"config.json", "data"} or "config.json" not in names:
        return False
    try:
        stored, stored_facts = _stored_config(folder / "config.json")
    except BadInput:
        return False
    # as JSON has them: a tuple is a list
    return stored == config and not list(differences(stored_facts, json.loads(json.dumps(facts)), of_each_start))


def write_config(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """Write config.json, the first file of a run. Raises BadInput where the folder takes none."""
    document = {"run": folder.name, **facts, STARTED: now(), "config": config.model_dump(mode="json")}
    try:
        write_json(folder / "config.json", document)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written: {reason(error)}; make room there, or choose another --results"
        ) from None


def store_config(folder: Path, config: Config) -> None:
    """Write down where the text of a run lies that was unpacked, as its resume says. Of any other run nothing."""
    if (folder / PACKING_LIST).is_file():
        document = read_json(folder / "config.json")
        data = document["config"].get("data", {}) | {"path": config.data.path, "local_path": config.data.local_path}
        write_json(folder / "config.json", document | {"config": document["config"] | {"data": data}})


def format_lines(folder: Path) -> list[str]:
    """What a resume says of files that an older version wrote, a line a format; nothing of those of the present one."""
    names: dict[tuple[int, int], set[str]] = {}
    for path in _files_with_formats(folder):
        with suppress(BadInput, ValueError, OSError):  # what is broken is said by whoever reads it
            number, present = format_of(foreign_json(path)), FORMATS[path.name]
            if number < present:
                names.setdefault((number, present), set()).add(path.name)
    return [
        f"{folder.name} was begun by an older Hamner: {', '.join(sorted(files))} read in format {number}, continued in "
        f"format {present}"
        for (number, present), files in sorted(names.items())
    ]


def _files_with_formats(folder: Path) -> Iterator[Path]:
    """The JSON files of a run that have a format, those of its contestants and checkpoints too."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "ray" and not name.startswith(".")]
        yield from (Path(place, name) for name in files if name.endswith(".json") and name in FORMATS)


def resume_command(command: str, folder: Path) -> str:
    """The whole command that continues the run of a folder. command: `tournament`, or `curriculum run WHO`."""
    return f"{command} --resume --name {folder.name}{place_words(folder.parents[1])}"


def results_words(results: Path) -> list[str]:
    """The words that name a results folder on the command line of another command; none where it is the default."""
    return [] if results == results_folder() else ["--results", str(results)]


def place_words(results: Path) -> str:
    """` --results DIR` for a command to type; "" where it is the folder that is used without it."""
    return "".join(f" {shlex.quote(word)}" for word in results_words(results))


def typed_path(path: Path) -> str:
    """A path as it is typed: from home_folder() on where it lies below."""
    home = home_folder().resolve()
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def changed_leaves(stored: Any, requested: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value before, value now) of each leaf in which two JSON values differ."""
    if isinstance(stored, dict) and isinstance(requested, dict):
        for key in [*stored, *(k for k in requested if k not in stored)]:
            yield from changed_leaves(stored.get(key), requested.get(key), f"{path}.{key}" if path else str(key))
    elif stored != requested:
        yield path, stored, requested


def differences(stored: Any, requested: Any, may_differ: tuple[str, ...] = ()) -> Iterator[str]:
    """One line for each leaf in which two JSON values differ, but for keys that begin with one of `may_differ`."""
    for key, before, now in changed_leaves(stored, requested):
        if not key.startswith(may_differ):
            yield f"{key}: the run has {before!r}, now {now!r}"
