"""Paired comparison of curricula over seeds: does the order of the data matter?

Runs are grouped by their curriculum; each group needs the same seeds, three at least. Two runs of one seed are
compared when they read equally many tokens with the same model and tokenizer, as --like makes them. For each source:

    difference = mean over seeds of (loss of the one - loss of the other)     standard error = sd / √seeds

and the 95 % interval of Student's t. Seeds move a run far more than held-out documents do, so they are the error.
Data in: folders of finished runs. Data out: a table.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from curriculum.controls import TAKEN_OVER, config_differences, finished_folder, rate_scales
from hamner.config.errors import BadInput
from hamner.runs.files import read_json, read_json_as
from hamner.runs.tables import Column, fitted_table

CONFIDENCE = 0.95
SKILLS = {"exact match": "exact_match", "choice": "choice"}  # keys of skills.json; here alone, more is better


@dataclass(frozen=True)
class ComparedRun:
    """A finished run, as far as it is compared."""

    name: str
    curriculum: str
    seed: int
    tokens: int
    conditions: dict[str, Any]  # what must be equal in all runs
    measurements: dict[str, float]  # source -> nats per token, and those of SKILLS


@dataclass(frozen=True)
class Difference:
    """Mean of `one` less `other` over seeds. interval: half the width of the 95 % interval; infinite for one seed."""

    mean: float
    standard_error: float
    interval: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return abs(self.mean) > self.interval


def read_run(results: Path, name: str) -> ComparedRun:
    """A finished run by name. Raises BadInput for one that is missing or not finished."""
    folder = finished_folder(results, name)
    document = read_json_as(folder / "config.json", dict)
    records, losses = read_json_as(
        folder / "stages.json",
        lambda stages: (stages["stages"], dict((stages.get("final") or stages["stages"][-1])["heldout_loss"])),
    )
    measurements = dict(losses)
    if (folder / "skills.json").is_file():
        last = read_json(folder / "skills.json")["stages"][-1]
        measurements |= {name: statistics.mean(last[key].values()) for name, key in SKILLS.items() if key in last}
    manifest = read_json(folder / "data" / "manifest.json")
    config = document["config"]
    return ComparedRun(
        name,
        document["curriculum"]["name"],
        config["seed"],
        sum(r["tokens"] for r in records),
        {
            **{key: document[key] for key in TAKEN_OVER if key in document and key not in ("who", "name", "tokenizer")},
            "config": {key: value for key, value in config.items() if key != "seed"},
            "learning_rate_scale": rate_scales(document),
            "sources": sorted(measurements),
            "tokenizer": manifest["tokenizer_sha256"],
        },
        measurements,
    )


def group_by_curriculum(runs: Sequence[ComparedRun]) -> dict[str, dict[int, ComparedRun]]:
    """Curriculum -> seed -> run. Raises BadInput with everything that makes the runs incomparable."""
    groups: dict[str, dict[int, ComparedRun]] = {}
    problems = []
    for run in runs:
        first_run = groups.setdefault(run.curriculum, {}).setdefault(run.seed, run)
        if first_run is not run:
            problems.append(
                f"{first_run.name} and {run.name} are both {run.curriculum} with random seed {run.seed}: leave out one"
            )
    if len(groups) < 2:
        problems.append(f"all runs follow the curriculum {runs[0].curriculum}: give runs of another one as well")
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
                f"{run.name} and {first[seed].name} differ in more than their stages: {line}"
                for line in condition_differences(first[seed].conditions, run.conditions)
            ]
    if problems:
        raise BadInput(problems)
    return groups


def condition_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """One line for each condition in which two runs differ, with both values."""
    for key in dict.fromkeys([*one, *other]):
        a, b = one.get(key, {}), other.get(key, {})
        if key == "config":
            yield from (
                line.replace("the run has ", "").replace(", now ", " and ") for line in config_differences(a, b)
            )
        elif a != b:
            yield f"{key}" if isinstance(a, dict) else f"{key}: {a!r} and {b!r}"


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """The mean difference of values paired by seed, with its standard error and interval."""
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    if len(gaps) < 2:
        return Difference(gaps[0], float("inf"), float("inf"))
    from scipy.stats import t

    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    return Difference(statistics.mean(gaps), error, float(t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1)) * error)


def comparison_table(console: Console, one: str, other: str, groups: dict[str, dict[int, ComparedRun]]) -> Table:
    """Two curricula, one row a source: means, difference, interval, and which is better."""
    seeds = sorted(groups[one])
    tokens = ", ".join(f"{groups[one][seed].tokens:,}" for seed in seeds)
    rows = []
    for key in groups[one][seeds[0]].measurements:
        a, b = ([groups[name][seed].measurements[key] for seed in seeds] for name in (one, other))
        gap = difference(a, b)
        lower = one if gap.mean < 0 else other
        better = lower if key not in SKILLS else {one: other, other: one}[lower]
        rows.append(
            [
                key,
                f"{statistics.mean(a):.4f}",
                f"{statistics.mean(b):.4f}",
                f"{gap.mean:+.4f} ± {gap.standard_error:.4f}",
                f"{gap.mean - gap.interval:+.4f} … {gap.mean + gap.interval:+.4f}",
                better if gap.is_significant else "cannot tell",
            ]
        )
    return fitted_table(
        console,
        (
            Column("", justify="left", may_wrap=True),
            Column(one, 2),
            Column(other, 1),
            Column("difference ± standard error"),
            Column("95 % interval", 3),
            Column("better", justify="left", may_wrap=True),
        ),
        rows,
        title=f"{one} and {other}, {len(seeds)} seed(s), {tokens} tokens: held-out loss, nats per token",
        frame=box.SIMPLE_HEAD,
    )
