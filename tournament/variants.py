"""Who enters a league: contestants by name. What each of them *is* stands in hamner/contestants.py."""

from __future__ import annotations

from hamner.config import BadInput, Config, ModelConfig, closest
from hamner.contestants import CONTESTANTS, shrink


def entrants(config: Config) -> dict[str, ModelConfig]:
    """The league's models in the order they start, shrunk to the config's size.

    Raises BadInput for unknown or repeated names and for a league too small for its rounds.
    """
    names = config.tournament.contestants or tuple(CONTESTANTS)
    problems = [
        f"unknown contestant '{name}'; {closest(name, list(CONTESTANTS))}" for name in names
        if name not in CONTESTANTS
    ]
    problems += [f"contestant '{name}' is entered twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if config.tournament.keep[0] >= len(names):
        problems.append(
            f"round 1 keeps {config.tournament.keep[0]} of {len(names)} contestants; it must cut at least one: "
            "enter more, or lower tournament.keep"
        )
    if problems:
        raise BadInput(problems)
    models = {name: shrink(CONTESTANTS[name], config.size) for name in names}
    bad = [f"{name}: {problem}" for name, m in models.items() for problem in m.problems(config.tournament.seq_len)]
    if bad:
        raise BadInput(bad)
    return models
