"""Does the order of the data matter? Runs set side by side at equal tokens, with the error over seeds.

    python -m curriculum.compare RUN RUN ... [--results DIR]

Runs are grouped by their curriculum; of each group every seed is wanted, three at least. Two runs of one seed are
compared when they read equally many tokens with the same model and tokenizer, as --like makes them. Per source:

    difference = mean over seeds of (loss of the one - loss of the other)     standard error = sd / √seeds

and the 95 % interval of Student's t. Seeds move a run far more than held-out documents do, so they are the error.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from curriculum.curricula import finished_folder
from hamner.config.errors import BadInput
from hamner.runs import cli
from hamner.runs.files import read_json, read_json_as
from hamner.runs.folders import results_folder

CONFIDENCE = 0.95
SKILLS = "exact match"  # of all synthetic tasks and levels; here alone, more is better


@dataclass(frozen=True)
class Run:
    """A finished run, as far as it is compared."""

    name: str
    curriculum: str
    seed: int
    tokens: int
    same: dict[str, Any]  # what must be equal in all
    measured: dict[str, float]  # source -> nats per token, and SKILLS


@dataclass(frozen=True)
class Difference:
    """`one` less `other`, over seeds. interval: half the width of the 95 % interval; infinite for one seed."""

    mean: float
    standard_error: float
    interval: float

    @property
    def told(self) -> bool:
        return abs(self.mean) > self.interval


def main(arguments: Sequence[str] | None = None) -> int:
    return cli.run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m curriculum.compare", description="Curricula at equal tokens.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="finished curriculum runs")
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")
    options = parser.parse_args(arguments)
    results = results_folder(options.results)
    groups = group([read(results, name) for name in dict.fromkeys(options.runs)])
    console = cli.console()
    for one, other in combinations(groups, 2):
        console.print(_table(one, other, groups))
    seeds = len(next(iter(groups.values())))
    if seeds < 3:
        console.print(f"{seeds} seed(s): a difference of two means little below three", soft_wrap=True)
    return 0


def read(results: Path, name: str) -> Run:
    """Raises BadInput for a run that is missing or not finished."""
    folder = finished_folder(results, name)
    document = read_json_as(folder / "config.json", dict)
    records = read_json_as(folder / "stages.json", lambda told: list(told["stages"]))
    measured = dict(records[-1]["heldout_loss"])
    if (folder / "skills.json").is_file():
        measured[SKILLS] = statistics.mean(read_json(folder / "skills.json")["stages"][-1]["exact_match"].values())
    manifest = read_json(folder / "data" / "manifest.json")
    config = document["config"]
    return Run(
        name,
        document["curriculum"]["name"],
        config["seed"],
        sum(r["tokens"] for r in records),
        {
            "model": document["model"],
            "data": config["data"],
            "sources": sorted(measured),
            "optimizer": config["optimizer"],
            "held-out text": config["curriculum"]["eval_sequences"],
            "tokenizer": manifest["tokenizer_sha256"],
        },
        measured,
    )


def group(found: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Curriculum -> seed -> run. Raises BadInput with everything that makes the runs incomparable."""
    groups: dict[str, dict[int, Run]] = {}
    problems = []
    for run in found:
        twin = groups.setdefault(run.curriculum, {}).setdefault(run.seed, run)
        if twin is not run:
            problems.append(f"{twin.name} and {run.name} are both {run.curriculum} with seed {run.seed}: leave out one")
    if len(groups) < 2:
        problems.append(f"all runs follow the curriculum {found[0].curriculum}: there is nothing to compare")
    first = next(iter(groups.values()))
    for name, seeds in groups.items():
        if seeds.keys() != first.keys():
            problems.append(
                f"{name} has the seeds {sorted(seeds)}, {next(iter(groups))} {sorted(first)}: each "
                "curriculum needs the same"
            )
            continue
        for seed, run in seeds.items():
            if run.tokens != first[seed].tokens:
                problems.append(
                    f"{run.name} read {run.tokens:,} tokens, {first[seed].name} {first[seed].tokens:,}: "
                    f"make it with --curriculum {name} --like {first[seed].name}"
                )
            problems += [
                f"{run.name} has another {key} than {first[seed].name}"
                for key, value in run.same.items()
                if value != first[seed].same[key]
            ]
    if problems:
        raise BadInput(problems)
    return groups


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Of values paired by seed."""
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    if len(gaps) < 2:
        return Difference(gaps[0], float("inf"), float("inf"))
    from scipy.stats import t

    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    return Difference(statistics.mean(gaps), error, float(t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1)) * error)


def _table(one: str, other: str, groups: dict[str, dict[int, Run]]) -> Table:
    seeds = sorted(groups[one])
    tokens = ", ".join(f"{groups[one][seed].tokens:,}" for seed in seeds)
    table = Table(
        title=f"{one} and {other}, {len(seeds)} seed(s), {tokens} tokens: held-out loss, nats per token",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("", one, other, "difference ± standard error", "95 % interval", "better"):
        table.add_column(heading, justify="left" if heading in ("", "better") else "right", no_wrap=True)
    for key in groups[one][seeds[0]].measured:
        a, b = ([groups[name][seed].measured[key] for seed in seeds] for name in (one, other))
        found = difference(a, b)
        lower = one if found.mean < 0 else other
        better = lower if key != SKILLS else {one: other, other: one}[lower]
        table.add_row(
            key,
            f"{statistics.mean(a):.4f}",
            f"{statistics.mean(b):.4f}",
            f"{found.mean:+.4f} ± {found.standard_error:.4f}",
            f"{found.mean - found.interval:+.4f} … {found.mean + found.interval:+.4f}",
            better if found.told else "cannot tell",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
