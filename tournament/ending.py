"""How a league ended: where each contestant went out and why, P(best of all), expected regret.

In: the bracket of a league that is over. Out: rows for standings.json; nothing is decided here. What a contestant that
was cut would have come to is part of the answer (chance_of_best.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tournament.bracket import Bracket
from tournament.chance_of_best import BestOfAll, RoundEvidence, best_of_all

MOST = 200  # contestants that P(best) is computed for: one core needs minutes for so many, hours for 1,000


def ending(bracket: Bracket) -> dict[str, Any]:
    """Fields of standings.json: `contestants`, the winner first and who went out early last, and `field`.

    p_best and regret (nats per token) are None where no contestant of the last round was repeated, of contestants that
    failed, and of all but the MOST that came furthest. field: widths of the field in nats, None likewise.
    """
    places: dict[str, int] = {}  # the last round of each
    for index in reversed(range(len(bracket.rounds))):
        for name in bracket.ranking(index):
            places.setdefault(name, index)
    likely = set([*places][:MOST])
    best = best_of_all([_evidence(bracket, index, likely) for index in range(len(bracket.rounds))])
    rows = [_row(bracket, index, name, best) for name, index in places.items()]
    field = {"spread": best.spread, "drift": list(best.drift)} if best else None
    return {"contestants": rows, "field": field}


def _row(bracket: Bracket, index: int, name: str, best: BestOfAll | None) -> dict[str, Any]:
    """One contestant, in the last round that it played."""
    failed = bracket.failure(index, name)
    chance = best.chances.get(name) if best and not failed else None
    return {
        "contestant": name,
        "round": index + 1,
        "is_winner": name == bracket.winner(),
        "failure": failed.failure if failed else None,
        "p_best": chance.best if chance else None,
        "regret": chance.regret if chance else None,
    }


def _evidence(bracket: Bracket, index: int, likely: set[str]) -> RoundEvidence:
    """What a round measured of the `likely` contestants that came to its end with a loss and have not failed since."""
    fit, later = bracket.fit(index), range(index, len(bracket.rounds))
    assert fit is not None  # there is a winner
    failed = {name for other in later for name in bracket.contestants(other) if bracket.failure(other, name)}
    names = [name for name in fit.names if name in likely and name not in failed]
    places = [fit.places[name] for name in names]
    here = np.ix_(places, places)
    losses = {name: bracket.losses(index, name) for name in names}
    text, seeds = fit.documents.covariance(), [len(of_one) for of_one in losses.values()]
    if fit.covariance is None or fit.spreads is None:
        nothing = np.zeros((len(names),) * 2)
        return RoundEvidence(names, fit.means[places], nothing, 0.0, np.zeros(len(names)), seeds, text[here])
    covariance, df = (fit.covariance - text)[here], float(fit.noise.df)
    return RoundEvidence(names, fit.means[places], covariance, df, fit.spreads[places], seeds, text[here], losses)
