"""Data mixtures to try (RegMix): mixes of sources drawn round their natural proportions, each within what may be read.

In: how much text there is of each source. Out: mixes for the contestants of a league. Dirichlet draws, as RegMix's (Liu
et al. 2024): centred on the square root of the natural proportions, so that a small source is seen too, and as wide as
equally likely shares would be. Of many sets of draws the one is taken that a log-linear fit learns most from
(D-optimal). Pure numbers, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.errors import BadInput
from tournament.mix_fit import regressors

FLOOR = 0.02  # least share of a source: a fit knows nothing of a source that is never read
FLATTENING = 0.5  # power of the natural proportions, RegMix's
SETS = 100  # of draws, of which one is taken
DIGITS = 4  # of a share

Shares = npt.NDArray[np.float64]


def draw_mixes(
    amounts: Mapping[str, float], count: int, seed: int, *, most: Mapping[str, float] | None = None
) -> list[dict[str, float]]:
    """`count` mixes. amounts: tokens of each source. most: the largest share a source may have; none given: 1.

    Raises BadInput when the sources together cannot fill a mix.
    """
    names = list(amounts)
    caps = np.array([min(1.0, (most or {}).get(name, 1.0)) for name in names])
    check_caps(dict(zip(names, caps.tolist(), strict=True)))
    flat = np.array(list(amounts.values())) ** FLATTENING
    concentrations = len(names) * flat / flat.sum()
    rng = np.random.default_rng([seed, count])
    sets = [np.stack([within(draw, caps) for draw in rng.dirichlet(concentrations, size=count)]) for _ in range(SETS)]
    return [_rounded(names, shares) for shares in max(sets, key=lambda shares: information(names, shares))]


def information(names: Sequence[str], shares: Shares) -> float:
    """How well mixes (n, S) tell a fit its coefficients: the mean over its sources of log det(X'X)."""
    known = [regressors(shares, names, name) for name in names]
    return float(np.mean([np.linalg.slogdet(matrix.T @ matrix)[1] for matrix in known]))


def check_caps(most: Mapping[str, float]) -> None:
    """Raise BadInput when a source may not be read at all, or all together not enough for a mix."""
    problems = [
        f"{name} may give {share:.1%} of a mix, under the least share of {FLOOR:.0%}: give more text of it, fewer "
        "steps or a higher curriculum.max_epochs"
        for name, share in most.items()
        if share < FLOOR
    ]
    if sum(most.values()) < 1:
        problems.append(
            f"all sources together may give {sum(most.values()):.0%} of what a contestant reads: give more text, fewer "
            "steps or a higher curriculum.max_epochs"
        )
    if FLOOR * len(most) > 1:
        problems.append(f"{len(most)} sources of at least {FLOOR:.0%} each are more than a mix: use fewer sources")
    if problems:
        raise BadInput(problems)


def within(shares: Shares, caps: Shares) -> Shares:
    """Shares of at least FLOOR and at most their caps, which sum to 1: what is too much goes to the others."""
    shares = FLOOR + (1 - FLOOR * len(shares)) * shares
    while (excess := float((shares - caps).clip(0).sum())) > 1e-12:
        shares = np.minimum(shares, caps)
        room = np.where(shares < caps, shares, 0.0)
        if not room.any():  # the caps leave no choice
            break
        shares = shares + excess * room / room.sum()
    return shares


def _rounded(names: Sequence[str], shares: Shares) -> dict[str, float]:
    """Shares in DIGITS digits that sum to 1, each less than one unit from what it was (largest remainders)."""
    units = shares * 10**DIGITS
    whole = np.floor(units).astype(int)
    missing = 10**DIGITS - int(whole.sum())
    whole[np.argsort(whole - units, kind="stable")[:missing]] += 1
    return {name: round(int(count) / 10**DIGITS, DIGITS) for name, count in zip(names, whole, strict=True)}


def mix_rows(base: str, mixes: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Rows of a league that enters one model with each of the mixes."""
    width = len(str(len(mixes)))
    return [
        {"name": f"mix{number:0{width}}", "base": base, "mix": dict(mix)} for number, mix in enumerate(mixes, start=1)
    ]
