"""League of data mixtures (`--mixes N --target MIX`): one model, N mixes, equal tokens, ranked on the target mix.

In: the words of a command line, a config. Out: settings of the section `tournament`. One round: the fit that proposes
the next mix needs every mix at equal tokens, and those that an early cut spares would be the ones it learns most from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hamner.config.checks import mix_problems
from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.schema import SOURCE_NAMES, Config
from hamner.data.preparation.for_run import absent_sources, check_sources
from hamner.data.preparation.inputs import find_inputs, text_names
from hamner.data.preparation.manifest import is_prepared, prepared_sources
from hamner.data.split import CHARACTERS_PER_TOKEN
from tournament.entrants import BASES
from tournament.mix_fit import fewest_mixes
from tournament.mixes import draw_mixes, mix_rows


def mix_settings(config: Config, count: int, target_words: str, model: str) -> dict[str, Any]:
    """Settings that make a config's league one of `count` mixes of `model`. Raises BadInput with every problem."""
    problems, target = Problems(), {}
    if model not in BASES:
        problems.lines.append(f"--model {model}: unknown contestant; {did_you_mean(model, list(BASES))}")
    with problems.collect():
        target = read_shares(target_words, config.data.path)
    problems.raise_all()
    names = list(dict.fromkeys([*(name for name in SOURCE_NAMES if _is_there(name, config)), *target]))
    if count < fewest_mixes(len(names)):
        raise BadInput(
            f"--mixes {count}: a fit over the {len(names)} sources {', '.join(names)} needs more. "
            f"Give {fewest_mixes(len(names))} or more"
        )
    check_sources(config, target, f"--target {target_words}")
    amounts = source_amounts(config, names)
    league = config.tournament
    tokens = sum(league.steps) * league.batch_size * league.seq_len  # that each contestant reads
    most = {name: amounts[name] * config.curriculum.max_epochs / tokens for name in text_names(names)}
    return {
        "league": mix_rows(model, draw_mixes(amounts, count, config.seed, most=most)),
        "mix": target,
        "report": [name for name in names if name not in target],
        "lr": "shared",
        "steps": [sum(league.steps)],
        "keep": [1],
        "seeds": 1,  # another mix tells the fit more than another seed of the same; `seeds=2` for a verdict as well
        "seconds": [sum(league.seconds)] if league.seconds else [],
    }


def read_shares(words: str, data_path: str) -> dict[str, float]:
    """The mix that `sft=.4,personal=.6` writes. Raises BadInput."""
    mix: dict[str, float] = {}
    for word in words.split(","):
        name, _, share = word.partition("=")
        try:
            mix[name.strip()] = float(share)
        except ValueError:
            raise BadInput(
                f"--target {words}: '{word}' is not SOURCE=SHARE. Write --target sft=.4,personal=.4,synthetic=.2"
            ) from None
    problems = list(mix_problems(mix, f"--target {words}", data_path=data_path))
    if problems:
        raise BadInput(problems)
    return mix


def _is_there(name: str, config: Config) -> bool:
    return not absent_sources(config, [name])


def source_amounts(config: Config, names: Sequence[str]) -> dict[str, float]:
    """About how many tokens there are of each source, known before any is read: by a manifest, or the files' sizes.

    `synthetic` has no end: it counts as much as the others have on average.
    """
    text = _text_amounts(config, text_names(names))
    average = sum(text.values()) / len(text) if text else 1.0
    return {name: text.get(name, average) for name in names}


def _text_amounts(config: Config, names: Iterable[str]) -> Mapping[str, float]:
    names, data = tuple(names), config.data
    if is_prepared(data.path):
        return {name: float(prepared_sources(data.path)[name]["tokens"]) for name in names}
    ready = data.builtin_characters / CHARACTERS_PER_TOKEN if data.path == "builtin" else float(data.hub_tokens)
    files = find_inputs(config, names)
    sizes = {name: math.fsum(path.stat().st_size for path in found.paths) for name, found in files.items()}
    return {name: sizes[name] / CHARACTERS_PER_TOKEN if name in sizes else ready for name in names}
