"""Reading what a run is told: a TOML file of `ray_configs/` by name or path, `key=value` words laid over it."""

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

S = TypeVar("S", bound=Strict)


def config_names() -> list[str]:
    return sorted(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml"))


def default_config_name() -> str:
    """`rtx3090` where a CUDA card is, else `laptop`."""
    import torch

    return "rtx3090" if torch.cuda.is_available() else "laptop"


def load_config(
    name_or_path: str,
    overrides: Sequence[str] = (),
    section: str = "tournament",
    extra: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config by name or path (TOML, or a run's config.json) and lay `key=value` words over it.

    A bare key (`steps=[10,20,40]`) is looked for in `section` first, then at the top, then anywhere it is
    unique. extra: settings of that section that no word can hold, such as the rows of a league. Raises
    BadInput with every problem found.
    """
    values = _read_toml(name_or_path)
    if extra:
        values.setdefault(section, {}).update(extra)
    problems = Problems()
    for word in overrides:
        with problems.collect():
            path, value = _parse_override(word, section)
            here = values
            for key in path[:-1]:
                here = here.setdefault(key, {})
                if not isinstance(here, dict):
                    raise BadInput(f"{name_or_path}: '{key}' must be a section, not a value")
            here[path[-1]] = value
    config = None
    while config is None:
        try:
            config = Config.model_validate_json(json.dumps(values, default=str))
        except ValidationError as error:  # note what is wrong, take it out, look at the rest
            problems.found += [explain(Config, item, name_or_path) for item in error.errors()]
            for item in error.errors():
                _remove(values, [part for part in item["loc"] if isinstance(part, str)])
    problems.found += list(relation_problems(config))
    problems.raise_all()
    return config


def _remove(values: dict[str, Any], path: list[str]) -> None:
    """Take one setting (or the innermost part of it that is there) out of nested values."""
    here = values
    for key in path[:-1]:
        if not isinstance(here.get(key), dict):
            here.pop(key, None)
            return
        here = here[key]
    here.pop(path[-1], None)


def _shipped() -> Any:
    return resources.files("ray_configs")


def _read_toml(name_or_path: str) -> dict[str, Any]:
    shipped = _shipped() / f"{name_or_path}.toml"
    path = Path(name_or_path).expanduser()
    found = shipped if shipped.is_file() else path
    if not found.is_file():
        raise BadInput(
            f"no config '{name_or_path}': neither a file nor a name; {did_you_mean(name_or_path, config_names())}"
        )
    try:
        text = found.read_text(encoding="utf-8")
        if path.suffix == ".json":  # the config.json of a run
            return dict(json.loads(text)["config"])
        return tomllib.loads(text)
    except (OSError, ValueError, KeyError, TypeError) as error:  # broken TOML and text are ValueErrors
        raise BadInput(f"{name_or_path} is no valid config: {error}") from None


def _parse_override(word: str, section: str) -> tuple[list[str], Any]:
    key, _, text = word.partition("=")
    names = leaves(Config)
    found = [key] if key in names else []
    for prefix in (f"{section}.", f"{section}.plateau."):
        found = found or [n for n in names if n == prefix + key]
    found = found or [n for n in names if n.split(".")[-1] == key]
    if not found:
        known = sorted({*names, *(n.split(".")[-1] for n in names)})
        raise BadInput(f"unknown key '{key}' in '{word}'; {did_you_mean(key, known)}")
    if len(found) > 1:
        raise BadInput(f"'{key}' in '{word}' is ambiguous: write one of {', '.join(found)}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word such as path=builtin is a string
    return found[0].split("."), value


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build a strict object from plain JSON values, naming each bad key, its value and its neighbour."""
    try:
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise BadInput([explain(kind, item, where) for item in error.errors()]) from None


def explain(kind: type[Strict], error: Any, where: str) -> str:
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        fields = [k.split(".")[-1] for k in leaves(kind) if k.split(".")[:-1] == path[:-1]]
        sections = [k for k, f in kind.model_fields.items() if len(path) == 1]
        return f"{where}: unknown key '{key}'; {did_you_mean(path[-1], sorted({*fields, *sections}))}"
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing"
    return f"{where}: '{key}' = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def leaves(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all settings below `kind`, in reading order."""
    names: list[str] = []
    for key, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += leaves(inner, f"{prefix}{key}.")
        else:
            names.append(prefix + key)
    return names
