"""The seed's claims on concepts, and the rule that calls each confirmed, refuted or undecided at this size; pure.

Rule: a claim of a range of shares counts as that range, one of a single number as that number within 5 points, which no
test of 15 to 31 items could tell apart. It is confirmed where the whole interval of ours lies in the range, refuted
where none of it does, undecided else, and where an arm failed. A claim of an order is confirmed where the tournament's
verdict between the two arms is settled that way, refuted where it is settled the other way, undecided else. What
presupposes a skill (held-out items, composition, forgetting) is undecided where that was not learnt: below LEARNT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hamner.data.concepts import SEVEN

WORKS, HARD = "What works", "The hard questions"
LEARNT = 0.8  # share of right answers on trained items
Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class Claim:
    """What was claimed of one cell: a share of right answers."""

    topic: str
    text: str
    arm: str
    cell: str
    low: float
    high: float
    stage: int = -1  # after which of the arm's stages, the last by default
    needs: tuple[tuple[str, int], ...] = ()  # (cell, stage) of the skills that it presupposes


@dataclass(frozen=True)
class OrderClaim:
    """What was claimed of two arms of a group: that one is better."""

    topic: str
    text: str
    better: str
    worse: str


def _number(share: float) -> tuple[float, float]:
    """The range of a claim of one number."""
    return max(0.0, share - 0.05), min(1.0, share + 0.05)


def _claims() -> Iterator[Claim | OrderClaim]:
    for name in SEVEN:
        yield Claim(WORKS, f"{name} alone, loss on answers: 100 %", f"{name}-masked", f"{name}/seen", *_number(1.0))
    for name in SEVEN:
        yield OrderClaim(WORKS, f"{name}: loss on answers beats loss on all", f"{name}-masked", f"{name}-packed")
    for name in SEVEN:
        yield Claim(WORKS, f"{name} with six others: 97 to 100 %", "seven", f"{name}/seen", 0.97, 1.0)
    for name in ("qa", "opposites", "chat"):
        arm, seen = f"learn-{name}", f"{name}/seen"
        yield Claim(HARD, f"{name}, trained items: 100 %", arm, seen, *_number(1.0))
        text = f"{name}, held-out items: 7 to 40 %"
        yield Claim(HARD, text, arm, f"{name}/heldout", 0.07, 0.40, needs=((seen, -1),))
    for name, needs in (
        ("jointly", (("qa/seen", -1), ("opposites/seen", -1))),
        ("sequence", (("qa/seen", 0), ("opposites/seen", -1))),
    ):
        text = f"composition {name}: 10 to 45 %"
        yield Claim(HARD, text, f"compose-{name}", "composite/seen", 0.10, 0.45, needs=needs)
    yield Claim(HARD, "composition trained directly: 100 %", "compose-direct", "composite/seen", *_number(1.0))
    first = (("qa/seen", 0),)
    yield Claim(HARD, "qa at first: 100 %", "chain", "qa/seen", *_number(1.0), 0)
    yield Claim(HARD, "qa after opposites: 10 %", "chain", "qa/seen", *_number(0.1), 1, first)
    yield Claim(HARD, "qa after addition: 0 %", "chain", "qa/seen", *_number(0.0), 2, first)
    yield Claim(HARD, "qa after opposites with 30 % replay: 100 %", "replay30", "qa/seen", *_number(1.0), 1, first)
    yield OrderClaim(HARD, "30 % replay keeps more than none", "replay30", "replay0")
    yield Claim(HARD, "50 facts fit easily: 100 %", "facts50", "facts50/seen", *_number(1.0))


CLAIMS = tuple(_claims())


def claim_verdict(interval: tuple[float, float], low: float, high: float) -> Verdict:
    """How an interval of ours stands to a claimed range."""
    if low <= interval[0] and interval[1] <= high:
        return "confirmed"
    return "refuted" if interval[1] < low or interval[0] > high else "undecided"


def order_verdict(best: str, label: str, claim: OrderClaim) -> Verdict:
    """How a comparison of the two arms of a claim stands to it. best: of the two; label: how sure that is."""
    if label != "settled":
        return "undecided"
    return "confirmed" if best == claim.better else "refuted"


def claim_rows(arms: Mapping[str, Mapping[str, Any]], compare: Any) -> list[dict[str, Any]]:
    """The claims of which the arms were run, each with our numbers and its verdict.

    arms: as in concepts.json, by name. compare: of two arms, the better one and the label of the comparison; None where
    it cannot be made.
    """
    rows = []
    for claim in CLAIMS:
        row: dict[str, Any] = {"topic": claim.topic, "claim": claim.text, "verdict": "undecided"}
        if isinstance(claim, OrderClaim):
            if not {claim.better, claim.worse} <= arms.keys():
                continue
            row |= {"arm": claim.better, "other": claim.worse}
            if compared := compare(claim.better, claim.worse):
                best, label = compared
                row |= {"difference": label.difference, "verdict": order_verdict(best, label.verdict, claim)}
                row |= {"standard_error": label.standard_error, "best": best}
        else:
            if claim.arm not in arms:
                continue
            row |= {"arm": claim.arm, "cell": claim.cell, "stage": claim.stage, "claimed": [claim.low, claim.high]}
            if stages := arms[claim.arm]["stages"]:
                cell = stages[claim.stage]["cells"][claim.cell]
                row |= {key: cell[key] for key in ("accuracy", "interval", "majority", "chance", "items")}
                row["unmet"] = {
                    needed: share
                    for needed, place in claim.needs
                    if (share := stages[place]["cells"][needed]["accuracy"]) < LEARNT
                }
                if not row["unmet"]:
                    row["verdict"] = claim_verdict(tuple(cell["interval"]), claim.low, claim.high)
        rows.append(row)
    return rows
