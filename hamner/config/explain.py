"""Validation errors in the user's words: which key, the value as it is typed, what it must be and what to type instead.

Data in: an error of pydantic, the class it is about, where the value came from. Data out: one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hamner.config.errors import MOST_PROBLEMS, did_you_mean, shortened
from hamner.config.toml_file import parse_toml

RENAMED_KEYS = {  # old: new, in the same section
    "micro_batches": "gradient_accumulation_steps",
    "grid_points": "evaluations_per_round",
    "own": "local_path",
    "keep_cut": "keep_eliminated",
    "after_worse": "after_rising_loss",
    "optimizer_at_border": "optimizer_at_stage_start",
}
REMOVED_KEYS = {  # old: what to use instead
    "twins": "every contestant is repeated itself now: use seeds=2, or one number a round, seeds=[2,3,4]",
    "max_seeds": "further seeds are planned now: use one number a round, seeds=[2,3,4]",
}
REMOVED_VALUES = {
    ("contested", "seeds"): "further seeds are planned now, for all that stay in: use one number a round, "
    "seeds=[2,3,4], with contested=cut or keep"
}
NOUNS = {int: "a whole number (integer)", float: "a number", bool: "true or false", str: "text"}
PLURALS = {int: "whole numbers", float: "numbers", str: "names in quotes"}
LIMITS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
# Errors of pydantic that say no more than the type and the limits of a key do; others are told in its words.
WRONG_KIND = re.compile("_type$|_parsing|^literal_error$|^(greater|less)_than|^finite_number$|^int_from_float$")
NO_VALUE = object()
COMMAND_LINE = "command line"  # where a key=value word is from; all else is a file


def explain(kind: type[BaseModel], error: Any, where: str, values: Any = None) -> str:
    """One line for an error of pydantic: where, key, value, and what it must be. values: what was validated."""
    path, owner, field, element = _place(kind, error["loc"])
    if not path:  # of the whole, not of a key
        return f"{where}: {_whole_problem(error)}"
    row, key = _in_words(path, values)
    where, key = where + row, shortened(key)
    if _is_unknown(error):
        known = list(owner.model_fields) if owner else []
        return f"{where}: unknown key '{key}'{key_hint(key, str(path[-1]), known)}"
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing: it must be {_needed(str(path[-1]), field, element)}"
    if error["type"] == "own_words":  # of a validator of ours: whole sentences
        return f"{where}: '{key}' = {shortened(as_typed(error['input']))}: {error['msg']}"
    problem, way_out = _advice(path, error, field, element)
    is_word = where.startswith(COMMAND_LINE)
    if is_word and way_out is NO_VALUE and get_origin(_plain(element)) is dict:
        problem += _table_hint(str(error["input"]))
    use = "" if way_out is NO_VALUE else f". Use {_assignment(*way_out, is_word=is_word)}"
    return f"{where}: '{key}' = {shortened(as_typed(error['input']))}: {problem}{use}"


def _whole_problem(error: Any) -> str:
    """What is wrong with values of which no key is."""
    if error["type"] == "json_invalid":  # pydantic reads all JSON that Python writes, but for this
        return "a text in it has half of a surrogate pair, which is no character: write that text anew"
    return f"it is {shortened(as_typed(error['input']))} and must be a table with keys and values"


def explain_all(kind: type[BaseModel], errors: Sequence[Any], where: str, values: Any = None) -> list[str]:
    """One line for each thing that is wrong: a misspelt key is not told a second time as one that is missing.

    Of very many the first are told.
    """
    errors, rest = errors[:MOST_PROBLEMS], len(errors) - MOST_PROBLEMS
    unknown = {(tuple(error["loc"][:-1]), str(error["loc"][-1])) for error in errors if _is_unknown(error)}
    lines = [f"{where}: {rest:,} further problems, beside these"] if rest > 0 else []
    for error in errors:
        *place, key = error["loc"] or ("",)
        words = [word for owner, word in unknown if owner == tuple(place)]
        if error["type"] == "missing" and any(get_close_matches(word, [str(key)]) for word in words):
            continue
        lines.append(explain(kind, error, where, values))
    return list(dict.fromkeys(lines))


def _is_unknown(error: Any) -> bool:
    return bool(error["type"] == "extra_forbidden")


def key_hint(key: str, name: str, known: Sequence[str]) -> str:
    """What to write instead of an unknown key: its new name, or the nearest to `name` of the known ones."""
    section, dot, last = key.rpartition(".")
    if last in REMOVED_KEYS:
        return f": {REMOVED_KEYS[last]}"
    if last in RENAMED_KEYS:
        return f": it is now '{section}{dot}{RENAMED_KEYS[last]}'"
    return f"; {did_you_mean(name, known)}" if known else ": leave it out, no key belongs there"


def as_typed(value: Any) -> str:
    """A value as a person types it: a list as [1,2], true for True."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}={as_typed(inner)}' for key, inner in value.items())}}}"
    return repr(value if not isinstance(value, str) else shortened(value))


def _place(
    kind: type[BaseModel], loc: Sequence[str | int]
) -> tuple[list[str | int], type[BaseModel] | None, FieldInfo | None, Any]:
    """Where an error is: its path without the branches of unions, the class the key belongs to, its field, its type."""
    path: list[str | int] = []
    owner, field, annotation = None, None, kind
    for part in loc:
        inner = _plain(annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            owner, field = inner, inner.model_fields.get(str(part))
            annotation = field.annotation if field else None  # type: ignore[assignment]
        elif get_origin(inner) in (tuple, dict):
            annotation = get_args(inner)[0 if get_origin(inner) is tuple else 1]
        else:
            break  # which branch of a union an error belongs to
        path.append(part)
    return path, owner, field, annotation


def _plain(annotation: Any) -> Any:
    """A type without None."""
    if get_origin(annotation) in (UnionType, Union):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _in_words(path: Sequence[str | int], values: Any) -> tuple[str, str]:
    """A path as a person counts: `: contestant 2 'deep', parameter_groups 1` for rows of lists, and the key in them."""
    row, key = "", ""
    for part in path:
        values = _inner(values, part)
        if isinstance(part, int):
            name = values.get("name") if isinstance(values, Mapping) else None
            row += f"{', ' if row else ': '}{shortened(key)} {part + 1}"
            row += f" {shortened(name)!r}" if isinstance(name, str) else ""
            key = ""
        else:
            key += f".{part}" if key else part
    if not key:  # an entry of a list of plain values
        row, _, key = row.rpartition(", " if ", " in row else ": ")
    return row, key


def _inner(values: Any, part: str | int) -> Any:
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def _needed(key: str, field: FieldInfo | None, annotation: Any) -> str:
    """What a value must be, in words, with its limits and an example."""
    kind = _plain(annotation)
    origin = get_origin(kind)
    if origin is Literal:
        choices = [f"'{choice}'" for choice in get_args(kind)]
        return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
    if origin is tuple:
        inner = get_args(kind)[0]
        return f"one table [[{key}]] for each" if _is_section(inner) else f"a list of {PLURALS[inner]}"
    if origin is dict:
        return "a table, such as {fineweb_edu=1.0}" if get_args(kind)[1] is float else "a table, such as {num_layers=2}"
    if origin in (UnionType, Union):
        if any(get_origin(part) is Literal for part in get_args(kind)):
            return " or ".join(_needed(key, None, part) for part in get_args(kind))
        if get_args(kind)[0] is int:
            return "a whole number (integer) greater than 0 and at most 1000, or a list of them, one a round"
        return "a number, text, true or false"
    if _is_section(kind):
        return f"a section with keys of its own, [{key}]"
    limits = [
        f"{words} {limit:g}" if abs(limit) < 2**53 else f"{words} 2^{int(limit).bit_length() - 1}"
        for item in (field.metadata if field and field.annotation is annotation else ())
        for name, words in LIMITS.items()
        if (limit := getattr(item, name, None)) is not None
    ]
    return " ".join([NOUNS.get(kind, "another value"), " and ".join(limits)]).strip()


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _advice(path: Sequence[str | int], error: Any, field: FieldInfo | None, annotation: Any) -> tuple[str, Any]:
    """What a wrong value must be, and the (key, value) to type instead, NO_VALUE where that cannot be told."""
    value, key, kind = error["input"], str(path[-1]), _plain(annotation)
    needed = f"it must be {_needed(key, field, annotation)}"
    if not WRONG_KIND.search(error["type"]):
        return error["msg"][0].lower() + error["msg"][1:], NO_VALUE
    if error["type"] == "finite_number":
        return f"{needed}, and finite", NO_VALUE
    if key == "lr" and isinstance(value, int | float) and not isinstance(value, bool):
        how = "it says how the rate is chosen, 'probe' or 'shared'; the rate itself is learning_rate"
        return how, ("learning_rate", value)
    if isinstance(value, str) and (key, value) in REMOVED_VALUES:
        return REMOVED_VALUES[key, value], NO_VALUE
    if get_origin(kind) is Literal and isinstance(value, str):
        hint = did_you_mean(value, [str(choice) for choice in get_args(kind)])
        return f"{needed}{'; ' + hint if hint.startswith('did') else ''}", NO_VALUE
    instead = _instead(value, kind, field)
    return needed, NO_VALUE if instead is NO_VALUE or isinstance(path[-1], int) else (key, instead)


def _table_hint(text: str) -> str:
    """Why a word of the command line is no table: the shell took its braces apart, or its names are none."""
    if "=" not in text:
        return ""
    if not text.startswith("{"):
        return "; a shell takes {a=0.5,b=0.5} apart: put the whole word between single quotes, 'KEY={a=0.5,b=0.5}'"
    return "; in it NAME=NUMBER with commas between, names of letters, digits, '_' and '-'"


def _instead(value: Any, kind: Any, field: FieldInfo | None) -> Any:
    """The value of another type that was meant; NO_VALUE where that cannot be told."""
    if get_origin(kind) in (UnionType, Union) and get_args(kind)[0] is int:
        kind = tuple[int, ...] if "," in str(value) or isinstance(value, list) else int
    elif get_origin(kind) in (UnionType, Union) and any(get_origin(part) is Literal for part in get_args(kind)):
        kind = get_args(kind)[0]
    origin = get_origin(kind)
    if origin is tuple and not isinstance(value, list):
        return _list_instead(value, get_args(kind)[0], field)
    if origin is dict and not isinstance(value, Mapping):
        return _mix_instead(value) if get_args(kind)[1] is float else NO_VALUE
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is str and isinstance(value, int | float):
        return as_typed(value)
    if kind is bool and str(value).lower() in ("yes", "on", "1", "true", "no", "off", "0", "false"):
        return str(value).lower() in ("yes", "on", "1", "true")
    if kind in (int, float) and isinstance(value, str):
        return _number_instead(value, kind)
    return NO_VALUE


def _assignment(key: str, value: Any, *, is_word: bool) -> str:
    """key=value as it is typed in a shell, in single quotes where the value has double ones; or as a line of a file."""
    text = json.dumps(value, separators=(",", ":")) if not isinstance(value, Mapping) else _toml_table(value)
    if not is_word:
        return f"{key} = {text}"
    return f"'{key}={text}'" if '"' in text else f"{key}={text}"


def _toml_table(value: Mapping[str, Any]) -> str:
    shares = (f"{key}={share:.4g}" if share % 1 else f"{key}={share:.1f}" for key, share in value.items())
    return f"{{{','.join(shares)}}}"


def _list_instead(value: Any, inner: Any, field: FieldInfo | None) -> Any:
    """The list that was meant: `100` or `50,50,100` or `a,b` or `[a,b]`, whose quotes a shell has eaten."""
    if _is_section(inner):
        return NO_VALUE
    parts = [part.strip().strip("\"'") for part in str(value).strip("[] ").split(",")]
    if inner is str:
        return [part for part in parts if part]
    numbers = [_number_instead(part, inner) for part in parts]
    default = field.default if field and field.default is not PydanticUndefined else ()
    if NO_VALUE in numbers:
        return list(default) or NO_VALUE
    return numbers * max(1, len(default)) if len(numbers) == 1 else numbers


def _mix_instead(value: Any) -> Any:
    """The mix that was meant by `a` or `a,b`: equal shares; or by `{a:0.5}`, as JSON and Python write tables."""
    names = [name.strip().strip("\"'") for name in str(value).strip("{}[] ").split(",")]
    if all(name.replace("_", "").replace("-", "").isalnum() and not name.isdigit() for name in names):
        return dict.fromkeys(names, 1 / len(names))
    try:
        table = parse_toml(f"value = {str(value).replace(':', '=')}")["value"]
    except ValueError:
        return NO_VALUE
    is_mix = isinstance(table, dict) and all(_is_share(share) for share in table.values())
    return table if is_mix else NO_VALUE


def _is_share(value: Any) -> bool:
    """Whether a value can be what somebody meant by a share, or by parts as `3:1`."""
    return isinstance(value, int | float) and 0 <= value < 2**53


def _number_instead(text: str, kind: Any) -> Any:
    """The number that a text holds: `5_000`, `5,000` or `"5"`."""
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return NO_VALUE
    if kind is int:
        return int(value) if value.is_integer() else NO_VALUE
    return value if value - value == 0 else NO_VALUE
