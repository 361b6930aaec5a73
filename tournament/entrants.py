"""Contestants of a league: by name, of a league file (TOML) or a sweep (grid search); their seeds.

In: the config's rows (entrants). Out: the model, seeds and learning rate each contestant trains with. The shipped
architectures stand in hamner/config/presets.py; a row says how an entrant differs from its base.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hamner.config.attention_kinds import ATTENTION_KINDS
from hamner.config.checks import mix_problems
from hamner.config.cost import training_flops_per_token
from hamner.config.errors import BadInput, Problems, did_you_mean, shortened
from hamner.config.load import parse
from hamner.config.presets import CONTESTANTS, PRESETS, shrink
from hamner.config.schema import Config, Entrant, ModelConfig, ParameterGroup, Strict, Tournament
from hamner.config.toml_file import read_toml
from hamner.runs.safe_paths import name_problem
from tournament.bracket import Run

BASES = CONTESTANTS | PRESETS
MOST_ENTRANTS = 10_000  # of a sweep
OWN_FOLDERS = ("data", "ray")  # of a league, beside its contestants'
OWN_ENDINGS = r"\.(jsonl?|toml|csv|html|md|png|svg)$"  # of its files, such as bracket.json


@dataclass(frozen=True)
class Contestant:
    """An entrant as it is trained."""

    model: ModelConfig
    seeds: tuple[int, ...]  # seed indices it competes with, in the order in which they join
    learning_rate: float | None = None  # None: the league's, or that of the learning-rate search
    groups: tuple[ParameterGroup, ...] = ()
    mix: Mapping[str, float] = field(default_factory=dict)  # what it trains on; empty: the league's mix
    joins: tuple[int, ...] = ()  # 0-based round from which each seed competes; empty: the first

    @property
    def schedule(self) -> dict[int, int]:
        """Seed index -> 0-based round from which on it competes."""
        return dict(zip(self.seeds, self.joins or (0,) * len(self.seeds), strict=True))


def entrants(config: Config) -> dict[str, Contestant]:
    """The league's contestants in the order they enter, shrunk to the config's size.

    Raises BadInput for unknown or repeated names, impossible models and a league too small for its rounds.
    """
    league = config.tournament
    rows = league.league or tuple(Entrant(name=n, base=n) for n in league.contestants or tuple(CONTESTANTS))
    names = [row.name for row in rows]
    problems = Problems()
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    problems.lines += [f"contestant '{name}' is entered twice" for name in repeated]
    if not league.keep:
        raise BadInput("tournament.keep = []: give how many each round keeps")
    if league.reference and league.reference not in names:
        problems.lines.append(
            f"tournament.reference '{league.reference}' does not play; {did_you_mean(league.reference, names)}"
        )
    if league.keep[0] >= len(names) and not league.league:
        problems.lines.append(
            f"round 1 keeps {league.keep[0]} of {len(names)} contestants; it must cut at least one. "
            "Enter more, lower tournament.keep, or use --only NAME to let few play without a cut"
        )
    contestants: dict[str, Contestant] = {}
    joins = seed_rounds(league)
    for row in rows:
        with problems.collect():
            problems.lines += mix_problems(row.mix, f"{row.name}: mix", data_path=config.data.path) if row.mix else ()
            contestants[row.name] = Contestant(
                _model(row, config),
                row.seeds or tuple(range(len(joins))),
                row.learning_rate,
                row.parameter_groups,
                row.mix,
                () if row.seeds else joins,
            )
    problems.raise_all()
    return contestants


def seed_rounds(league: Tournament) -> tuple[int, ...]:
    """0-based round from which on each of a contestant's seeds competes, the first ones first."""
    counts = [league.seeds_in_round(index) for index in range(len(league.keep))]
    return tuple(next(index for index, count in enumerate(counts) if count > seed) for seed in range(max(counts)))


def _model(row: Entrant, config: Config) -> ModelConfig:
    """The model of a row. Raises BadInput with all its problems."""
    problems = list(_row_problems(row))
    if row.base not in BASES:
        raise BadInput([*problems, f"unknown contestant '{row.base}'; {did_you_mean(row.base, list(BASES))}"])
    try:
        full = parse(ModelConfig, {**BASES[row.base].model_dump(), **row.overrides}, f"contestant '{row.name}'")
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from None
    if full_problems := list(full.problems()):
        raise BadInput([*problems, *(f"{row.name}: {problem}" for problem in full_problems)])
    kept = {key: value for key, value in row.overrides.items() if key == "document_mask"}  # else the size's own
    model = shrink(full, config.size).model_copy(update=kept)
    problems += _own_attention_problems(row.name, model)
    problems += [f"{row.name}: {problem}" for problem in model.problems(config.tournament.seq_len)]
    if "vocab_size" in row.overrides:
        problems.append(f"{row.name}: vocab_size is the tokenizer's, {config.size.vocab_size}. Leave it out")
    for group in row.parameter_groups:
        if group.middle_layers > model.num_layers:
            problems.append(
                f"{row.name}: a parameter group has {group.middle_layers} middle layers of {model.num_layers}. "
                "Give at most as many as the model has"
            )
        elif group.parameters and not problems:
            problems += _unmatched(row.name, group, model)
    if problems:
        raise BadInput(problems)
    return model


def _row_problems(row: Entrant) -> Iterator[str]:
    """Problems of a row that do not depend on its model."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=+,-]*", row.name) or row.name.casefold() in OWN_FOLDERS:
        yield (
            f"contestant '{row.name}': the name cannot be a folder's. Use letters, digits and . _ - = + , first a "
            "letter or digit, and neither data nor ray"
        )
    elif problem := name_problem(row.name):
        yield f"contestant '{row.name}': the name {problem}. Use another name"
    elif re.search(OWN_ENDINGS, row.name, re.IGNORECASE):
        yield f"contestant '{row.name}': the league's own files end like that. Use a name without such an ending"
    if re.search(r"-seed\d+$", row.name):
        yield f"contestant '{row.name}': -seed<number> at the end is for the folders of further seeds. Use another name"
    if len(set(row.seeds)) < len(row.seeds) or any(seed < 0 for seed in row.seeds):
        yield f"{row.name}: seeds = {list(row.seeds)} must be different and not negative"
    for group in row.parameter_groups:
        if bool(group.middle_layers) == bool(group.parameters):
            yield f"{row.name}: a parameter group has either middle_layers or parameters. Give one of them"


def _unmatched(name: str, group: ParameterGroup, model: ModelConfig) -> list[str]:
    """The problem of a parameter group whose glob matches no parameter; empty when it matches."""
    import torch

    from hamner.model.transformer import Hamner
    from hamner.training.optimizer import rate_scales

    try:
        with torch.device("meta"):
            rate_scales(Hamner(model), [group])
    except BadInput as error:
        return [f"{name}: {problem}" for problem in error.problems]
    return []


def _own_attention_problems(name: str, model: ModelConfig) -> list[str]:
    """What an attention class of your own computes otherwise than its row says; no torch is needed for the shipped."""
    if model.attention in ATTENTION_KINDS:
        return []
    from hamner.model.attention_check import own_attention_problems

    return [f"{name}: {problem}" for problem in own_attention_problems(model)]


def run_name(run: Run, contestants: Mapping[str, Contestant]) -> str:
    """The name of a run's folder in its league's: the contestant's own for its first seed."""
    first = contestants[run.contestant].seeds[0]
    return run.contestant if run.seed == first else f"{run.contestant}-seed{run.seed}"


def flops_per_token(config: Config, contestants: Mapping[str, Contestant]) -> dict[str, float]:
    """Training FLOPs per token of each contestant."""
    return {name: training_flops_per_token(c.model, config.tournament.seq_len) for name, c in contestants.items()}


def alike(contestants: Mapping[str, Contestant]) -> list[list[str]]:
    """Groups of contestants that differ in their names alone, as rows may that are shrunk."""
    groups: dict[str, list[str]] = {}
    for name, c in contestants.items():
        groups.setdefault(repr((c.model, c.learning_rate, c.groups, sorted(c.mix.items()))), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def is_mix_league(contestants: Mapping[str, Contestant]) -> bool:
    """Whether the contestants are one model, with a mix each."""
    models = [(c.model, c.learning_rate, tuple(c.groups)) for c in contestants.values()]
    return len(models) > 1 and all(c.mix for c in contestants.values()) and all(m == models[0] for m in models)


def all_sources(config: Config) -> list[str]:
    """Every source that some contestant trains on or is evaluated on, each once."""
    mixes = [config.tournament.mix, config.tournament.report, *(row.mix for row in config.tournament.league)]
    return list(dict.fromkeys(name for mix in mixes for name in mix))


class _League(Strict):
    """A league file."""

    contestant: tuple[Entrant, ...]


def read_league(path: str) -> list[dict[str, Any]]:
    """The rows of a league file (TOML, one [[contestant]] each). Raises BadInput with all problems."""
    rows = parse(_League, read_toml(Path(path).expanduser()), path).contestant
    if not rows:
        raise BadInput(f"{path}: nobody enters. Give at least one [[contestant]]")
    return [row.model_dump() for row in rows]


def sweep(words: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a league that enters each setting: words such as `learning_rate=1e-4,3e-4` or `num_layers=2,4`."""
    axes = []
    seen: dict[str, list[str]] = {}
    known = ("learning_rate", *(name for name in ModelConfig.model_fields if name not in ("vocab_size", "attention")))
    for word in words:
        key, _, values = word.partition("=")
        if key == "lr":
            raise BadInput(
                f"--sweep {word}: lr says how the learning rate is chosen; the rate itself is learning_rate. "
                f"Use --sweep learning_rate={values.strip('[]') or 'VALUE,VALUE'}"
            )
        if key in seen:
            raise BadInput(
                f"--sweep {key} is given twice. Give all values at once: --sweep {key}={','.join([*seen[key], values])}"
            )
        seen[key] = [values]
        if key not in known or not values:
            raise BadInput(f"--sweep {word}: write KEY=VALUE,VALUE with one of these keys; {did_you_mean(key, known)}")
        try:
            axes.append([(key, text, json.loads(text)) for text in values.split(",")])
        except (ValueError, RecursionError):
            axes.append([(key, values, None)])
        kinds = (bool,) if key == "document_mask" else (int, float)
        if not all(type(value) in kinds and abs(value) < 2**53 for _, _, value in axes[-1]):
            kind = "true or false" if bool in kinds else "a number"
            raise BadInput(
                f"--sweep {shortened(word)}: each value must be {kind}, as in --sweep {key}=VALUE,VALUE without "
                "brackets"
            )
    if (count := len(names) * math.prod(map(len, axes))) > MOST_ENTRANTS:
        raise BadInput(
            f"--sweep enters {count:,} contestants, one for each combination: give fewer values, or --only NAME"
        )
    rows: list[dict[str, Any]] = []
    for name in names:
        for setting in itertools.product(*axes):
            full_name = "-".join([name, *(f"{key}={text}" for key, text, _ in setting)])
            row: dict[str, Any] = {"name": full_name, "base": name}
            overrides = {key: value for key, _, value in setting if key != "learning_rate"}
            rates = [value for key, _, value in setting if key == "learning_rate"]
            rows.append(
                row
                | ({"overrides": overrides} if overrides else {})
                | ({"learning_rate": float(rates[-1])} if rates else {})
            )
    return rows
