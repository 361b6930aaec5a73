"""Proposed data mixture: mixes.json and a curriculum file of a league of mixes, and the table that it prints.

In: the bracket of a league that enters one model with different mixes. Out: the held-out losses of each source under
each mix, the fit over them (mix_fit.py), the mix with the least predicted target loss. The fit reads round 1, the only
one at whose end every mix has read equally much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.schema import Config
from hamner.runs.files import read_json_as, write_json, write_text
from hamner.runs.tables import Column, fitted_table
from tournament.bracket import Bracket, Outcome
from tournament.entrants import Contestant
from tournament.mix_fit import MixingLaw, fit_law, left_out_losses, propose, rank_correlation

MIXES, PROPOSAL = "mixes.json", "proposed_mix.toml"
DIGITS = 4  # of a share


def write_mixes(folder: Path, config: Config, bracket: Bracket, contestants: Mapping[str, Contestant]) -> None:
    """Write mixes.json and, where the fit proposes one, the curriculum file of the next mix."""
    settings, target = config.tournament, config.tournament.mix
    losses = {name: of_sources for name in bracket.ranking(0) if (of_sources := _losses(bracket, name))}
    measured = [source for source in next(iter(losses.values()), ()) if all(source in row for row in losses.values())]
    rows: list[dict[str, Any]] = [
        {
            "contestant": name,
            "mix": dict(contestants[name].mix),
            "loss": bracket.loss(0, name),
            "losses": {source: of_sources[source] for source in measured},
        }
        for name, of_sources in losses.items()
    ]
    document: dict[str, Any] = {
        "target": target,
        "tokens": settings.steps[0] * settings.batch_size * settings.seq_len,  # of each run at round 1's end
        "mixes": rows,
        "law": None,
        "rank_correlation": None,
    }
    law = fit_law([row["mix"] for row in rows], [row["losses"] for row in rows]) if rows else None
    if law:
        document |= _fit(law, rows, target)
        rate = next(iter(contestants.values())).learning_rate or settings.learning_rate
        write_text(folder / PROPOSAL, curriculum_text(folder.name, document["proposal"], target, rate))
    write_json(folder / MIXES, document)


def _fit(law: MixingLaw, rows: list[dict[str, Any]], target: Mapping[str, float]) -> dict[str, Any]:
    """What the fit says: the law, the proposal, how well it ranks mixes left out; each row gets what it predicts."""
    mixes, losses = [row["mix"] for row in rows], [row["losses"] for row in rows]
    correlation, predicted = None, left_out_losses(mixes, losses, target)
    if predicted:
        correlation = rank_correlation(predicted, [row["loss"] for row in rows])
        for row, loss in zip(rows, predicted, strict=True):
            row["predicted_by_others"] = loss
    return {"law": _law(law), "proposal": _proposal(law, mixes, target), "rank_correlation": correlation}


def _losses(bracket: Bracket, name: str) -> dict[str, float]:
    """Held-out loss of each source at round 1's end, means over a contestant's seeds; empty when it failed."""
    outcomes = [bracket.rounds[0].outcomes.get(run) for run in bracket.competing(0, name)]
    of_seeds = [_of_run(o) for o in outcomes if o and o.heldout_loss is not None]
    common = [source for source in (of_seeds[0] if of_seeds else ()) if all(source in losses for losses in of_seeds)]
    return {source: sum(losses[source] for losses in of_seeds) / len(of_seeds) for source in common}


def _of_run(outcome: Outcome) -> dict[str, float]:
    losses = {name: sum(facts["nats"]) / sum(facts["tokens"]) for name, facts in outcome.documents.items()}
    others = outcome.facts.get("other_sources", {})
    return losses | {name: loss for name, loss in others.items() if loss is not None}


def _law(law: MixingLaw) -> dict[str, Any]:
    """The fit as JSON."""
    keys = [*law.sources, "own_root"]
    return {
        "log_loss": {
            name: dict(zip(keys, row, strict=True))
            for name, row in zip(law.losses, law.coefficients.tolist(), strict=True)
        },
        "error": dict(zip(law.losses, law.covariance.diagonal().clip(0) ** 0.5, strict=True)),
        "degrees_of_freedom": law.df,
    }


def _proposal(law: MixingLaw, mixes: Sequence[Mapping[str, float]], target: Mapping[str, float]) -> dict[str, Any]:
    shares = {name: round(share, DIGITS) for name, share in propose(law, mixes, target).items()}
    mix = {name: share for name, share in shares.items() if share > 0}
    largest = max(mix, key=lambda name: mix[name])
    mix[largest] = round(mix[largest] + 1 - sum(mix.values()), DIGITS)
    prediction = law.target_loss(mix, target)
    return {"mix": mix, "loss": prediction.loss, "interval": prediction.interval, "losses": law.predict(mix)}


def curriculum_text(league: str, proposal: Mapping[str, Any], target: Mapping[str, float], rate: float) -> str:
    """The proposed mix as a curriculum file: at one rate, then a decay over the last fifth, as `flat` has it."""
    shares = ", ".join(f"{name} = {share:g}" for name, share in proposal["mix"].items())
    goal = ", ".join(f"{name} = {share:g}" for name, share in target.items())
    stage = f"mix = {{{shares}}}\nlearning_rate = {rate:g}\n"
    return (
        f"# The mix that the league {league} proposes for the target {goal}:\n"
        f"# predicted {proposal['loss']:.4f} ± {proposal['interval']:.4f} nats/token (95 %, one run of the league's "
        f'size and tokens)\n\nname = "proposed_mix"\noptimizer_at_stage_start = "keep"\n\n'
        f'[[stages]]\nname = "proposed"\n{stage}\n'
        f'[[stages]]\nname = "anneal"\n{stage}schedule = "linear"\nrun_share = 0.2\n'
    )


def show_mixes(console: Console, folder: Path) -> bool:
    """Print what the mixes of a finished league came to, and the command that trains the proposed one.

    False for a league whose contestants are not mixes.
    """
    path = folder / MIXES
    if not path.is_file():
        return False
    document, table = read_json_as(path, lambda document: (document, mixes_table(console, document)))
    console.print(table)
    if not document["law"]:
        console.print(
            "no mix is proposed: the mixes that finished are too few, or too alike, for a fit over their sources. "
            "Enter more with --mixes",
            soft_wrap=True,
        )
        return True
    console.print(f"train it: curriculum run WHO --curriculum {folder / PROPOSAL}", soft_wrap=True, highlight=False)
    return True


def mixes_table(console: Console, document: Mapping[str, Any]) -> Table:
    """One row a mix, best first, then the proposed one."""
    columns, cells, title, captions = mixes_columns(document)
    count = len(document["mixes"])
    styles = ["dim"] * count + ["bold green"] * (len(cells) - count)
    return fitted_table(console, columns, cells, title=title, captions=captions, styles=styles)


def mixes_columns(document: Mapping[str, Any]) -> tuple[list[Column], list[list[str]], str, list[tuple[str, str]]]:
    """What that table shows: columns, cells, title, captions."""
    rows = document["mixes"]
    sources = list(dict.fromkeys(name for row in rows for name in row["mix"]))
    cells = [
        [
            row["contestant"],
            *(f"{100 * row['mix'].get(name, 0.0):.1f}" for name in sources),
            f"{row['loss']:.4f}",
            f"{row['predicted_by_others']:.4f}" if "predicted_by_others" in row else "–",
        ]
        for row in rows
    ]
    proposal = document.get("proposal")
    if proposal:
        shares = [f"{100 * proposal['mix'].get(name, 0.0):.1f}" for name in sources]
        cells.append(["proposed", *shares, "", f"{proposal['loss']:.4f} ± {proposal['interval']:.4f}"])
    columns = [
        Column("mix", justify="left", may_wrap=True),
        *(Column(f"{name} %", place) for place, name in enumerate(sources, start=2)),
        Column("loss"),
        Column("predicted", 1),
    ]
    captions = [
        (
            "predicted",
            "predicted: by a log-linear fit over the other mixes; ± : 95 % interval of one run of the proposed",
        )
    ]
    if document["rank_correlation"] is not None:
        captions.append(
            (
                "predicted",
                f"rank correlation of both: {document['rank_correlation']:.2f} (below 0.8: add mixes or steps)",
            )
        )
    goal = ", ".join(f"{name} {share:.0%}" for name, share in document["target"].items())
    title = f"mixes: {document['tokens']:,} tokens each, held-out loss of the target {goal}"
    return columns, cells, title, captions
