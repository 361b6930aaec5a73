"""Load a config: TOML + key=value overrides, every problem said at once.

Data in: the name of a file in ray_configs/ or a path (TOML, or the config.json of a run), and key=value words. Data
out: one frozen Config, or a BadInput that names each unknown key, wrong type and impossible relation.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hamner.config.checks import relation_problems
from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.schema import Config, Strict
from hamner.config.toml_file import read_toml

S = TypeVar("S", bound=Strict)

RENAMED_KEYS = {  # old: new, in the same section
    "micro_batches": "gradient_accumulation_steps",
    "grid_points": "evaluations_per_round",
    "own": "local_path",
    "keep_cut": "keep_eliminated",
    "after_worse": "after_rising_loss",
    "optimizer_at_border": "optimizer_at_stage_start",
}


def config_names() -> list[str]:
    """Names of the shipped configs, those of ray_configs/."""
    return sorted(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml"))


def load_config(
    name_or_path: str,
    overrides: Sequence[str] = (),
    section: str = "tournament",
    extra: Mapping[str, Any] | None = None,
) -> Config:
    """The config of a name or path, with key=value words laid over it. Raises BadInput with every problem.

    A bare key (`steps=[10,20,40]`) is looked for in `section` first, then at the top, then anywhere it is unique.
    extra: settings of that section that no word can hold, such as the rows of a league.
    """
    values, problems = _read_file(name_or_path), Problems()
    if extra:
        values.setdefault(section, {}).update(extra)
    _lay_over(values, overrides, section, name_or_path, problems)
    config = _validated(values, name_or_path, problems)
    problems.found += list(relation_problems(config))
    problems.raise_all()
    return config


def check_overrides(overrides: Sequence[str], section: str) -> None:
    """Raise BadInput for key=value words that fit no config: unknown keys and wrong types."""
    values: dict[str, Any] = {}
    problems = Problems()
    _lay_over(values, overrides, section, "command line", problems)
    _validated(values, "command line", problems)
    problems.raise_all()


def _lay_over(values: dict[str, Any], overrides: Sequence[str], section: str, where: str, problems: Problems) -> None:
    """Write key=value words into nested values."""
    for word in overrides:
        with problems.collect():
            path, value = _parse_override(word, section)
            inner = values
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
                if not isinstance(inner, dict):
                    raise BadInput(f"{where}: '{key}' must be a section, not a value")
            inner[path[-1]] = value


def _validated(values: dict[str, Any], where: str, problems: Problems) -> Config:
    """The config of nested values; settings that are wrong are added to `problems` and removed from `values`."""
    while True:
        try:
            return Config.model_validate_json(json.dumps(values, default=str))
        except ValidationError as error:
            problems.found += [explain(Config, item, where) for item in error.errors()]
            for item in error.errors():
                _remove(values, [part for part in item["loc"] if isinstance(part, str)])


def _remove(values: dict[str, Any], path: list[str]) -> None:
    """Remove one setting from nested values, or the innermost part of its path that exists."""
    for key in path[:-1]:
        if not isinstance(values.get(key), dict):
            values.pop(key, None)
            return
        values = values[key]
    values.pop(path[-1], None)


def _shipped() -> Any:
    """The folder ray_configs/, wherever it is installed."""
    return resources.files("ray_configs")


def _read_file(name_or_path: str) -> dict[str, Any]:
    """The nested values of a shipped config, a TOML file or the config.json of a run."""
    shipped = _shipped() / f"{name_or_path}.toml"
    path = Path(name_or_path).expanduser()
    if shipped.is_file():
        return tomllib.loads(shipped.read_text(encoding="utf-8"))
    if not path.is_file():
        raise BadInput(
            f"--config '{name_or_path}' is neither a file nor a name; {did_you_mean(name_or_path, config_names())}"
        )
    if path.suffix != ".json":
        return read_toml(path)
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is not the config.json of a run: {type(error).__name__} {error}") from None


def _parse_override(word: str, section: str) -> tuple[list[str], Any]:
    """The path and the value of a key=value word. Raises BadInput for an unknown or ambiguous key."""
    key, _, text = word.partition("=")
    names = leaves(Config)
    matches = [key] if key in names else []
    for prefix in (f"{section}.", f"{section}.plateau."):
        matches = matches or [name for name in names if name == prefix + key]
    matches = matches or [name for name in names if name.split(".")[-1] == key]
    if not matches:
        known = sorted({*names, *(name.split(".")[-1] for name in names)})
        raise BadInput(f"unknown key '{key}' in '{word}'{_hint(key, key, known)}")
    if len(matches) > 1:
        raise BadInput(f"'{key}' in '{word}' is ambiguous: write one of {', '.join(matches)}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word such as path=builtin is a string
    return matches[0].split("."), value


def _hint(key: str, name: str, known: Sequence[str]) -> str:
    """What to write instead of an unknown key: its new name, or the nearest to `name` of the known ones."""
    section, dot, last = key.rpartition(".")
    if last in RENAMED_KEYS:
        return f": it is now '{section}{dot}{RENAMED_KEYS[last]}'"
    return f"; {did_you_mean(name, known)}"


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build a strict object from plain JSON values. Raises BadInput with each bad key, its value and the way out."""
    try:
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise BadInput([explain(kind, item, where) for item in error.errors()]) from None


def explain(kind: type[Strict], error: Any, where: str) -> str:
    """One line for an error of pydantic: where, key, value, and what is wrong with it."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        fields = [name.split(".")[-1] for name in leaves(kind) if name.split(".")[:-1] == path[:-1]]
        sections = list(kind.model_fields) if len(path) == 1 else []
        return f"{where}: unknown key '{key}'{_hint(key, path[-1], sorted({*fields, *sections}))}"
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing"
    return f"{where}: '{key}' = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


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
