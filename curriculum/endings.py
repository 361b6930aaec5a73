"""Verdicts of looks and endings of stages: one vocabulary, in which both are written everywhere.

Data in: the judgement of a look (plateau.py) or the reason of a stage's end (stages.json). Data out: the words that
run.log, metrics.csv, TensorBoard and the tables show; pure strings. docs/glossary.md explains the words.

A look's `done` and a stage's `plateau` are one thing, so both are `plateau`. It says that more than so much gain a
window is excluded, and nothing beyond that: where the config's limit is coarse, as in a miniature, the words name the
limit, since the model is still learning.
"""

from __future__ import annotations

from curriculum.plateau import Look
from hamner.config.schema import Plateau

FINE_LIMIT = 0.005  # relative fall of the loss a window: with a coarser limit a stage may end while it learns
VERDICTS = {"done": "plateau"}  # judgement -> verdict, where they differ
LOOK_WORDS = {"going": "still learning", "worse": "the loss rises", "undecided": "cannot tell"}
ENDING_WORDS = {  # reason -> the words that follow "ended"
    "worse": "because its held-out loss rose",
    "cap": "at the cap of steps, without a plateau",
    "steps": "at its fixed length",
    "data": "with its text: a source was read as often as allowed",
    "time": "with its part of the hours",
    "left": "unfinished: a resume began another stage",
}
SHORT_WORDS = {"worse": "loss rose", "steps": "length", "data": "text over"}  # of the others the reason itself
LOOK_COLUMNS = ("gain", "gain_error", "verdict", "strikes")  # of metrics.csv


def limit(rule: Plateau) -> float:
    """The gain a window that a plateau stays below: relative fall of the loss.

    `confirmed` excludes `go_on_gain`; `recorded` compares the gain with `done_gain`, without an error.
    """
    return rule.done_gain if rule.rule == "recorded" else rule.go_on_gain


def verdict(judgement: str) -> str:
    """The word of a look's judgement: going, plateau, worse, undecided."""
    return VERDICTS.get(judgement, judgement)


def look_words(judgement: str, rule: Plateau) -> str:
    """What a look says, in words."""
    if verdict(judgement) == "plateau":
        return f"under {percent(limit(rule))} a window"
    return LOOK_WORDS.get(judgement, judgement)


def ending_words(reason: str, rule: Plateau) -> str:
    """How a stage ended: the words that follow "ended"."""
    if reason != "plateau":
        return ENDING_WORDS.get(reason, f"by {reason}")
    limited = f"{percent(limit(rule))} a window of {rule.window_steps} steps"
    return f"on a plateau, under {limited}" if limit(rule) <= FINE_LIMIT else f"at the limit of {limited}"


def short_ending(reason: str, rule: Plateau) -> str:
    """The same for a column of a table."""
    if reason != "plateau":
        return SHORT_WORDS.get(reason, reason)
    return "plateau" if limit(rule) <= FINE_LIMIT else f"limit {percent(limit(rule))}"


def percent(share: float) -> str:
    """A share in per cent, with as many digits as it has."""
    return f"{100 * share:.3g} %"


def look_columns(look: Look | None) -> dict[str, float | int | str | None]:
    """The columns of metrics.csv that a look fills; none of them without one."""
    if look is None:
        return {}
    values = (look.gain, look.standard_error, verdict(look.judgement), look.strikes)
    return dict(zip(LOOK_COLUMNS, values, strict=True))


def look_line(look: Look, stage: str, rule: Plateau, *, counts: bool) -> str:
    """A look in one line of run.log. counts: whether its strikes may end the stage, which has no fixed length."""
    error = f" ± {100 * look.standard_error:.2f}" if look.standard_error is not None else ""
    strike = f", strikes {look.strikes:.1f} of {rule.strikes}" if look.strikes and counts else ""
    words = look_words(look.judgement, rule)
    return f"{stage} step {look.step}: gain {100 * look.gain:.2f}{error} % a window: {words}{strike}"
