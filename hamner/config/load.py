"""Load a config: TOML + key=value overrides, every problem said at once.

Data in: the name of a file in ray_configs/ or a path (TOML, or the config.json of a run), and key=value words. Data
out: one frozen Config, or a BadInput that names each unknown key, wrong type and impossible relation.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hamner.config.checks import relation_problems
from hamner.config.errors import MOST_PROBLEMS, BadInput, Problems, did_you_mean, shortened
from hamner.config.explain import COMMAND_LINE, RENAMED_KEYS, explain_all, key_hint
from hamner.config.formats import unstamped
from hamner.config.json_text import parse_json
from hamner.config.schema import Config, Strict
from hamner.config.toml_file import parse_toml, read_toml

S = TypeVar("S", bound=Strict)
__all__ = [
    "RENAMED_KEYS",
    "check_overrides",
    "config_names",
    "key_names",
    "leaves",
    "load_config",
    "parse",
    "qualified",
]
# sections that the command of a section does not read, and what it reads of them nevertheless
UNREAD = {
    "tournament": ("curriculum", "finetuning", "concepts"),
    "curriculum": ("tournament", "finetuning", "concepts"),
    "concepts": ("tournament", "curriculum", "finetuning"),
}
READ = {"tournament": "curriculum.max_epochs"}  # a league of mixes


def config_names() -> list[str]:
    """Names of the shipped configs, those of ray_configs/."""
    return sorted(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml"))


def load_config(
    name_or_path: str,
    overrides: Sequence[str] = (),
    section: str = "tournament",
    extra: Mapping[str, Any] | None = None,
    *,
    is_command: bool = False,
) -> Config:
    """The config of a name or path, with key=value words laid over it. Raises BadInput with every problem.

    A bare key (`steps=[10,20,40]`) is looked for in `section` first, then at the top, then anywhere it is unique.
    extra: settings of that section that no word can hold, such as the rows of a league. is_command: the words are of
    the command of `section`, where a bare key of a section that it does not read would change nothing: it is refused.
    """
    values, problems = _read_file(name_or_path), Problems()
    if extra and isinstance(values.setdefault(section, {}), dict):  # else it is refused below
        values[section].update(extra)
    words = _lay_over(values, overrides, section, problems, is_command)
    config, removed = _validated(values, name_or_path, words, problems)
    lines = (line for line in relation_problems(config) if not any(_is_about(key, line) for key in removed))
    problems.lines += islice(lines, MOST_PROBLEMS)  # each name of a source is compared with all known ones
    problems.raise_all()
    return config


def check_overrides(overrides: Sequence[str], section: str) -> None:
    """Raise BadInput for key=value words of a command that fit no config, or that it would not read."""
    values: dict[str, Any] = {}
    problems = Problems()
    words = _lay_over(values, overrides, section, problems, is_command=True)
    _validated(values, COMMAND_LINE, words, problems)
    problems.raise_all()


def _is_about(key: str, line: str) -> bool:
    """Whether a line is about a key that was wrong in itself: what stands in its place then is nobody's choice."""
    names = {key, key.partition(".")[2]} - {""}
    return any(
        name in line and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", line)
        for name in names
        if "." in name or name == key
    )


def key_names() -> list[str]:
    """Every key of a config, with its section and without."""
    names = leaves(Config)
    return sorted({*names, *(name.split(".")[-1] for name in names)})


def _lay_over(
    values: dict[str, Any], overrides: Sequence[str], section: str, problems: Problems, is_command: bool
) -> set[tuple[str, ...]]:
    """Write key=value words into nested values. Returns the paths that were set."""
    paths = set()
    for word in overrides:
        with problems.collect():
            path, value = _parse_override(word, section)
            if is_command:
                _check_read(word, path, section)
            inner = values
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
                if not isinstance(inner, dict):
                    raise BadInput(f"{shortened(word)}: '{key}' is a value in the config file, and must be a section")
            inner[path[-1]] = value
            paths.add(tuple(path))
    return paths


def _validated(
    values: dict[str, Any], where: str, words: Collection[tuple[str, ...]], problems: Problems
) -> tuple[Config, set[str]]:
    """The config of nested values, and the dotted names of the settings that were wrong.

    These are added to `problems` and removed from `values`. words: the paths that the command line set, of which the
    file at `where` is innocent.
    """
    removed: set[str] = set()
    while True:
        try:
            return Config.model_validate_json(json.dumps(values, default=str)), removed
        except ValidationError as error:
            by_place: dict[str, list[Any]] = {}
            for item in error.errors():
                path = tuple(part for part in item["loc"] if isinstance(part, str))
                is_word = any(path[: len(word)] == word for word in words)
                by_place.setdefault(COMMAND_LINE if is_word else where, []).append(item)
                if item["type"] != "extra_forbidden":  # a key that no check knows is in no line of one
                    removed.add(".".join(path))
            for place, items in by_place.items():
                problems.lines += explain_all(Config, items, place, values)
            for item in error.errors():
                if not _remove(values, [part for part in item["loc"] if isinstance(part, str)]):
                    problems.raise_all()  # nothing would be another the next time


def _remove(values: dict[str, Any], path: list[str]) -> bool:
    """Remove one setting from nested values, or the innermost part of its path that exists; whether one did.

    Of a value that may be of several kinds the path ends with the name of a kind, which is no key.
    """
    holder: dict[str, Any] | None = None
    inner: Any = values
    for key in path:
        if not isinstance(inner, dict) or key not in inner:
            break
        holder, last, inner = inner, key, inner[key]
    if holder is not None:
        del holder[last]
    return holder is not None


def _shipped() -> Any:
    """The folder ray_configs/, wherever it is installed."""
    return resources.files("ray_configs")


def _read_file(name_or_path: str) -> dict[str, Any]:
    """The nested values of a shipped config, a TOML file or the config.json of a run."""
    shipped = _shipped() / f"{name_or_path}.toml"
    path = Path(name_or_path).expanduser()
    if shipped.is_file():  # a path that leads elsewhere is one without its ending
        return read_toml(Path(str(shipped)))
    if not path.is_file():
        raise BadInput(
            f"--config '{shortened(name_or_path)}' is neither a file nor a name; "
            f"{did_you_mean(name_or_path, config_names())}"
        )
    if path.suffix != ".json":
        return read_toml(path)
    try:
        document = unstamped("config.json", parse_json(path.read_text(encoding="utf-8-sig")), path)
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not the config.json of a run: {type(error).__name__} {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise BadInput(f"{path} is not the config.json of a run: it has no table 'config'; give that of a run's folder")
    return dict(document["config"])


def _parse_override(word: str, section: str) -> tuple[list[str], Any]:
    """The path and the value of a key=value word. Raises BadInput for an unknown or ambiguous key."""
    key, _, text = word.partition("=")
    names = leaves(Config)
    matches = [key] if key in names else []
    for prefix in (f"{section}.", f"{section}.plateau."):
        matches = matches or [name for name in names if name == prefix + key]
    matches = matches or [name for name in names if name.split(".")[-1] == key]
    if not matches:
        raise BadInput(f"unknown key '{shortened(key)}' in '{shortened(word)}'{key_hint(key, key, key_names())}")
    if len(matches) > 1:
        raise BadInput(f"'{key}' in '{shortened(word)}' is ambiguous: write one of {', '.join(matches)}")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word such as path=builtin is a string
    except ValueError as error:
        raise BadInput(f"'{key}' in '{shortened(word)}': {error}; give another value") from None
    return matches[0].split("."), value


def _check_read(word: str, path: Sequence[str], section: str) -> None:
    """Raise BadInput for a bare key of a section that the command does not read."""
    key, name = word.partition("=")[0], ".".join(path)
    if "." not in key and path[0] in UNREAD.get(section, ()) and name != READ.get(section):
        raise BadInput(
            f"'{key}' in '{shortened(word)}' is a key of {path[0]}, which this command does not read: leave it out, or "
            f"write {name}=... to have it in the config"
        )


def qualified(word: str) -> str:
    """A key=value word with its key in full, as every command takes it. Raises BadInput for an unknown key."""
    return f"{'.'.join(_parse_override(word, '')[0])}={word.partition('=')[2]}"


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build a strict object from plain JSON values. Raises BadInput with each bad key, its value and the way out."""
    try:
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise BadInput(explain_all(kind, error.errors(), where, values)) from None


def leaves(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all keys of a section and the sections in it, in the order of the schema."""
    names: list[str] = []
    for key, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += leaves(inner, f"{prefix}{key}.")
        else:
            names.append(prefix + key)
    return names
