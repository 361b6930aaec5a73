"""Configuration reference: docs/configuration.md, generated from the schema and its comments.

Data in: schema.py and ray_configs/*.toml. Data out: one page with every key, its type, default, unit and meaning, and
its value in each shipped config. `python -m hamner.config.documentation` writes it; a test says when it is stale.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import tokenize
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hamner.config.explain import REMOVED_KEYS, RENAMED_KEYS
from hamner.config.load import config_names, load_config
from hamner.config.schema import Config, Entrant, ModelConfig, ParameterGroup

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
COMMAND = "python -m hamner.config.documentation"
TYPE_NAMES = {int: "integer", float: "number", str: "text", bool: "true, false"}
LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
HEAD = f"""# Configuration

Every key of a config. This page is generated: change the comments of `hamner/config/schema.py` and run
`{COMMAND}`.

A config is a TOML file: a name in `ray_configs/` or a path, given as `--config`. It says only what differs from the
defaults, which are the full-size numbers. Words `key=value` on the command line override it; values are written as in
TOML. A key needs its section in front only where its name is not unique: `seeds=2`, `curriculum.batch_size=8`. The keys
of the command's own section come first. A run keeps its whole config in `RUN/config.json`, which is a `--config` too.

Numbers have a unit; a *share* is between 0 and 1. A column of a shipped config is empty where the default holds.
"""
TABLES: tuple[tuple[str, type[BaseModel], str], ...] = (  # heading, keys, what they are for; beside those of Config
    ("Rows of a league file", Entrant, "`tournament --league FILE` reads a TOML file of `[[contestant]]` tables."),
    ("Parameter groups of a row", ParameterGroup, "`parameter_groups = [{...}]` in a row of a league file."),
    ("Models", ModelConfig, "Keys of `overrides = {...}` in a row of a league file, of --sweep, and of a model file."),
)


class Meaning(NamedTuple):
    """What a key's comment says. unit: empty for what is no number."""

    unit: str
    text: str


def configuration_page() -> str:
    """The text of docs/configuration.md."""
    shipped = {name: load_config(name) for name in config_names()}
    lines = [HEAD]
    for path, section in sections(Config):
        values = {name: _inner(config, path) for name, config in shipped.items()}
        lines += [
            f"## {'.'.join(path) or 'Top level'}",
            "",
            inspect.getdoc(section) or "",
            "",
            *_table(section, values),
            "",
        ]
    for heading, kind, purpose in TABLES:
        lines += [f"## {heading}", "", f"{kind.__doc__} {purpose}", "", *_table(kind, {}), ""]
    lines += ["## Renamed keys", "", "A config that still has an old name is refused, with the new one.", ""]
    lines += ["| old | new |", "| --- | --- |", *(f"| `{old}` | `{new}` |" for old, new in RENAMED_KEYS.items())]
    lines += [*(f"| `{old}` | {way} |" for old, way in REMOVED_KEYS.items()), ""]
    return "\n".join(lines)


def sections(kind: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """(path, section) of a config and of all sections in it, in the order of the schema."""
    yield path, kind
    for key, field in kind.model_fields.items():
        if inner := _section(field):
            yield from sections(inner, (*path, key))


def meanings(kind: type[BaseModel]) -> dict[str, Meaning]:
    """What the comments of a section say, by key. Raises ValueError for a key without a comment."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    entries = {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = node.lineno - 1
            is_line_above = lines[above - 1].lstrip().startswith("#")
            comment = comments.get(node.end_lineno or 0) or (comments[above] if is_line_above else "")
            match = re.fullmatch(r"# (?:\[([^]]+)\] )?(.+)", comment)
            if match:
                entries[node.target.id] = Meaning(match[1] or "", match[2])
    missing = [key for key, field in kind.model_fields.items() if key not in entries and not _section(field)]
    if missing:
        raise ValueError(f"{kind.__name__} needs a comment with unit and meaning for {', '.join(missing)}")
    return entries


def _table(kind: type[BaseModel], shipped: dict[str, BaseModel]) -> list[str]:
    """The rows of a section's table. shipped: the section in each shipped config."""
    headings = ["key", "type", "default", *shipped, "unit", "meaning"]
    rows = [headings, ["---"] * len(headings)]
    texts = meanings(kind)
    for key, field in kind.model_fields.items():
        if _section(field):
            continue
        differing = [
            _code(value) if (value := getattr(config, key)) != field.default else "" for config in shipped.values()
        ]
        default = "needed" if field.default is PydanticUndefined else _code(field.default)
        rows.append([f"`{key}`", type_name(field), default, *differing, *texts[key]])
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def type_name(field: FieldInfo) -> str:
    """The type of a key in words, with its limits: "integer > 0"."""
    limits = [
        f"{sign} {limit:g}" if limit < 2**53 else f"{sign} 2^{int(limit).bit_length() - 1}"
        for item in field.metadata
        for name, sign in LIMITS.items()
        if (limit := getattr(item, name, None)) is not None
    ]
    return " ".join([_kind_name(field.annotation), ", ".join(limits)]).strip()


def _kind_name(annotation: Any) -> str:
    """A type in words."""
    arguments: Sequence[Any] = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_kind_name(arguments[0])}"
    if origin is dict:
        return "table"
    if origin in (UnionType, Union):  # which of them depends on what is joined
        return " or ".join(_kind_name(inner) for inner in arguments if inner is not NoneType)
    return TYPE_NAMES.get(annotation, "rows")


def _code(value: Any) -> str:
    """A value as it is written in TOML, as code."""
    return f"`{toml_value(value)}`" if value is not None else "none"


def toml_value(value: Any) -> str:
    """A value as it is written in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml_value(inner)}' for key, inner in value.items())}}}"
    return str(value)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The section a field is, None for a plain key."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _inner(config: BaseModel, path: Sequence[str]) -> BaseModel:
    """The section of a config that a path names."""
    for key in path:
        config = getattr(config, key)
    return config


if __name__ == "__main__":
    PAGE.write_text(configuration_page(), encoding="utf-8")
    print(f"{PAGE}: written")
