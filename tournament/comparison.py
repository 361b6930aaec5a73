"""Two leagues side by side: settings that differ, places and losses of each contestant, agreement of their orders.

In: config.json and standings.json of two leagues. Out: tables and lines. Losses of different texts are not compared
with each other, only the orders they make; where the held-out text is the same, their difference has an interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.errors import BadInput
from hamner.reports.settings_table import UNSET, setting_text
from hamner.runs.files import read_json_as
from hamner.runs.folders import changed_leaves, run_folder
from hamner.runs.tables import Column, fitted_table
from tournament.agreement import FEWEST, agreement, pair_groups
from tournament.past_leagues import PastLeague, past_league
from tournament.standings_table import percent

LONGEST_VALUE = 60  # characters of a setting
UNREAD = ("curriculum.", "finetuning.")  # keys of a config that say nothing about a league
# keys that decide which text is held out and how it is cut into tokens and rows
OF_HELDOUT_TEXT = (
    "seed", "data.", "size.vocab_size", "size.document_mask", "tournament.mix", "tournament.seq_len",
    "tournament.eval_sequences", "tournament.more_rows",
)  # fmt: skip
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Place:
    """Where a contestant ended."""

    rank: int  # over the whole league: by the round it came to, there by its rank
    round: int  # the last it played
    loss: float | None  # at that round's end, nats per token; None where it failed
    status: str
    interval: float | None = None  # 95 %, to either side of the loss, by chance of seeds; None: not measured


@dataclass(frozen=True)
class LeagueResult:
    """One league as its files tell it."""

    name: str
    config: Mapping[str, Any]
    places: Mapping[str, Place]
    losses: list[dict[str, float]]  # of each decided round: contestant -> held-out loss, of those that have one
    summary: PastLeague


def read_league_result(results: Path, name: str) -> LeagueResult:
    """Raises BadInput for a run that is not there, is broken or has not decided a round."""
    folder = run_folder(results, "tournament", name)
    if not folder.is_dir():
        raise BadInput(f"{results / 'tournament'} has no run '{name}': give two of its folders, or --results DIR")
    config = read_json_as(folder / "config.json", lambda document: document["config"])
    if not (folder / "standings.json").is_file():
        raise BadInput(f"run '{name}' has decided no round yet: compare it once round 1 is over")
    return read_json_as(
        folder / "standings.json", lambda document: _result(past_league(folder), config, document["rounds"])
    )


def _result(summary: PastLeague, config: Mapping[str, Any], rounds: list[dict[str, Any]]) -> LeagueResult:
    places: dict[str, Place] = {}
    for index, played in reversed(list(enumerate(rounds))):
        for row in sorted(played["standings"], key=lambda row: row["rank"]):
            if row["contestant"] not in places:
                interval = _interval(played, row.get("seeds") or 0)
                place = Place(len(places) + 1, index + 1, row["heldout_loss"], row["status"], interval)
                places[row["contestant"]] = place
    losses = [
        {row["contestant"]: row["heldout_loss"] for row in played["standings"] if row["heldout_loss"] is not None}
        for played in rounds
    ]
    return LeagueResult(summary.run, config, places, losses, summary)


def _interval(played: Mapping[str, Any], seeds: int) -> float | None:
    """How far other seeds would move a mean loss over `seeds` of them, 95 %: Student's t with the round's noise."""
    noise, df = played.get("seed_sd"), played.get("seed_df")
    if noise is None or not df or not seeds:
        return None
    from scipy.stats import t

    sd = math.hypot(noise, played.get("shared_seed_sd") or 0.0)
    return float(t.ppf((1 + CONFIDENCE) / 2, df)) * sd / math.sqrt(seeds)


def comparison_report(console: Console, one: LeagueResult, other: LeagueResult) -> list[Table | str]:
    """What is printed: settings first, then the outcome, then how far the orders agree."""
    changes = list(changed_leaves(one.config, other.config))
    unread = [key for key, _, _ in changes if key.startswith(UNREAD)]
    changes = [change for change in changes if change[0] not in unread]
    parts: list[Table | str] = [_settings(console, one, other, changes) if changes else "the same settings"]
    if unread:
        parts.append(f"and {len(unread)} of the later steps, which no league reads")
    parts += [_summary_line(league.summary) for league in (one, other)]
    other_text = [key for key, _, _ in changes if key.startswith(OF_HELDOUT_TEXT)]
    parts.append(_outcome(console, one, other, has_same_text=not other_text))
    if other_text:
        parts.append(f"losses are of other held-out text ({', '.join(other_text)} differ): only the orders compare")
    parts += list(_agreement_lines(one, other))
    return parts


def _summary_line(league: PastLeague) -> str:
    """One league's winner, how sure that is, and its cost."""
    if league.winner is None:
        return f"{league.run}: {league.state}, {league.rounds_decided} of {league.rounds} rounds decided"
    line = f"{league.run}: winner {league.winner}"
    line += f", {league.verdict}" if league.verdict else ""
    if league.p_best is not None:
        line += f", P(best of {league.best_of}) {percent(league.p_best)}, expected regret {league.regret:.4f} nats"
    line += "" if league.hours is None else f"; {league.hours:.2f} hours"
    return line + ("" if league.tokens is None else f", {league.tokens:,} tokens, {league.flops:.3g} FLOPs in all runs")


def _settings(console: Console, one: LeagueResult, other: LeagueResult, changes: list[tuple[str, Any, Any]]) -> Table:
    cells = [
        [key, setting_text(before, LONGEST_VALUE), setting_text(now, LONGEST_VALUE)] for key, before, now in changes
    ]
    columns = (
        Column("key", justify="left", may_wrap=True),
        Column(one.name, justify="left", may_wrap=True),
        Column(other.name if other.name != one.name else f"{other.name} (again)", justify="left", may_wrap=True),
    )
    return fitted_table(console, columns, cells, title="settings that differ")


def _outcome(console: Console, one: LeagueResult, other: LeagueResult, *, has_same_text: bool) -> Table:
    names = [*one.places, *(name for name in other.places if name not in one.places)]
    cells = []
    for name in names:
        a, b = one.places.get(name), other.places.get(name)
        moved = f"{a.rank - b.rank:+d}" if a and b and a.rank != b.rank else "=" if a and b else UNSET
        gap = [_gap(a, b)] if has_same_text else []
        cells.append([name, *_place_cells(a), *_place_cells(b), *gap, moved])
    columns = (
        Column("contestant", justify="left", may_wrap=True),
        Column(f"in {one.name}", justify="left", may_wrap=True),
        Column("loss", 1),
        Column(f"in {other.name}", justify="left", may_wrap=True),
        Column("loss there", 1),
        *([Column("difference", 2)] if has_same_text else []),
        Column("moved", 3),
    )
    captions = [
        ("loss", "loss: held out, nats per token, at the end of the last round played; ±: 95 %, by chance of seeds"),
        ("difference", "difference: of the losses, where both played the same rounds; = : chance could explain it"),
        ("moved", "moved: places up (+) or down"),
    ]
    return fitted_table(console, columns, cells, title="outcome", captions=captions)


def _place_cells(place: Place | None) -> list[str]:
    if place is None:
        return [UNSET, UNSET]
    how = "winner" if place.status == "winner" else f"out in round {place.round}"
    if place.loss is None:
        how = f"{place.status} in round {place.round}"
    elif place.status == "advanced":
        how = f"in after round {place.round}"
    loss = UNSET if place.loss is None else f"{place.loss:.4f}"
    return [f"{place.rank}. {how}", loss if place.interval is None else f"{loss} ± {place.interval:.4f}"]


def _gap(a: Place | None, b: Place | None) -> str:
    """The second loss less the first, with its 95 % interval; "–" where the two do not compare."""
    if not a or not b or a.loss is None or b.loss is None or a.round != b.round:
        return UNSET
    if a.interval is None or b.interval is None:
        return f"{b.loss - a.loss:+.4f}"
    gap, interval = b.loss - a.loss, math.hypot(a.interval, b.interval)
    return f"{gap:+.4f} ± {interval:.4f}{' =' if abs(gap) <= interval else ''}"


def _agreement_lines(one: LeagueResult, other: LeagueResult) -> Iterator[str]:
    """How far the orders of the same contestants agree, round by round, and over all."""
    for index, (first, second) in enumerate(zip(one.losses, other.losses, strict=False)):
        names = [name for name in first if name in second]
        a, b = [first[name] for name in names], [second[name] for name in names]
        found = agreement(a, b)
        if found is None:
            if index == 0:
                yield f"round 1: {len(names)} contestants in both; from {FEWEST} on their orders can be compared"
            continue
        yield (
            f"round {index + 1}: Kendall's τ = {found.tau:.2f} (95 %: {found.low:.2f} to {found.high:.2f}), "
            f"{found.contestants} contestants"
        )
        if index == 0:
            yield from _pair_lines(one, other, a, b)
    names = [name for name in one.places if name in other.places]
    ranks = [[float(league.places[name].rank) for name in names] for league in (one, other)]
    if overall := agreement(*ranks):
        yield (
            f"final order: Kendall's τ = {overall.tau:.2f} (95 %: {overall.low:.2f} to {overall.high:.2f}), "
            f"{overall.contestants} contestants"
        )


def _pair_lines(one: LeagueResult, other: LeagueResult, a: list[float], b: list[float]) -> Iterator[str]:
    for group in pair_groups(a, b):
        yield (
            f"  pairs {group.least:.3f} to {group.most:.3f} nats apart in {one.name} keep their order in {other.name} "
            f"in {100 * group.kept / group.pairs:.0f} % ({group.kept} of {group.pairs})"
        )
