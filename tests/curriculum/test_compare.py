"""Runs side by side: only what is comparable, and with an honest error."""

import dataclasses
import json
import math

import pytest
from scipy import stats

from curriculum.compare import main
from curriculum.comparison import ComparedRun, difference, group_by_curriculum
from hamner.config.errors import BadInput


def _run(curriculum, seed, **changes):
    run = ComparedRun(f"{curriculum}{seed}", curriculum, seed, 1000, {"model": "m", "tokenizer": "t"}, {"sft": 3.0})
    return dataclasses.replace(run, **changes)


def test_the_interval_is_that_of_the_paired_t_test():
    one, other = [2.0, 2.1, 1.9, 2.05], [2.1, 2.15, 2.05, 2.3]
    found, oracle = difference(one, other), stats.ttest_rel(one, other)
    low, high = oracle.confidence_interval(0.95)
    assert (found.mean - found.interval, found.mean + found.interval) == pytest.approx((low, high))
    assert found.mean / found.standard_error == pytest.approx(oracle.statistic)
    assert found.is_significant and oracle.pvalue < 0.05
    assert not difference([1.0, 1.2, 0.9], [1.1, 1.1, 1.0]).is_significant
    assert difference([1.0], [2.0]).interval == math.inf and not difference([1.0], [2.0]).is_significant


def test_groups_are_curricula_and_seeds():
    runs = [_run("seed", 1), _run("joint", 0), _run("seed", 0), _run("joint", 1)]
    found = group_by_curriculum(runs)
    assert {name: sorted(seeds) for name, seeds in found.items()} == {"seed": [0, 1], "joint": [0, 1]}


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([_run("seed", 0), _run("seed", 1)], "give runs of another one as well"),
        ([_run("seed", 0), _run("seed", 0, name="again"), _run("joint", 0)], "are both seed with random seed 0"),
        ([_run("seed", 0), _run("joint", 1)], "each curriculum needs the same"),
        ([_run("seed", 0), _run("joint", 0, tokens=900)], "make it with --curriculum joint --like seed0"),
        (
            [_run("seed", 0), _run("joint", 0, conditions={"model": "n", "tokenizer": "t"})],
            "differ in more than their stages: model: 'm' and 'n'",
        ),
    ],
)
def test_what_is_not_comparable_is_refused(runs, message):
    with pytest.raises(BadInput) as error:
        group_by_curriculum(runs)
    assert message in str(error.value)


def _finished(results, name, curriculum, seed, loss):
    folder = results / "curriculum" / name
    (folder / "final").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "manifest.json").write_text('{"tokenizer_sha256": "t"}')
    config = {"seed": seed, "data": {}, "optimizer": {}, "curriculum": {"eval_sequences": 1}}
    (folder / "config.json").write_text(json.dumps({"config": config, "model": {}, "curriculum": {"name": curriculum}}))
    (folder / "stages.json").write_text(
        json.dumps(
            {"stages": [{"tokens": 400, "heldout_loss": {"sft": 9.0}}, {"tokens": 600, "heldout_loss": {"sft": loss}}]}
        )
    )
    skills = {"exact_match": {"a": loss / 10, "b": 0.0}, "choice": {"a": loss / 5, "b": 0.25}}
    (folder / "skills.json").write_text(json.dumps({"stages": [skills]}))


def test_the_table(tmp_path, capsys):
    for seed in range(3):
        _finished(tmp_path, f"s{seed}", "seed", seed, 3.0 + seed / 100)
        _finished(tmp_path, f"j{seed}", "joint", seed, 2.5 + seed / 50)
    names = [f"{kind}{seed}" for kind in "sj" for seed in range(3)]
    assert main([*names, "--results", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    row = next(line for line in told.splitlines() if line.strip().startswith("sft")).split()
    assert row[1:3] == ["3.0100", "2.5200"] and row[3] == "+0.4900" and row[-1] == "joint"
    for skills in ("exact match", "choice"):
        assert next(line for line in told.splitlines() if line.strip().startswith(skills)).split()[-1] == "seed"
    assert main(["s0", "nowhere", "--results", str(tmp_path)]) == 2
    assert "no finished curriculum 'nowhere'" in capsys.readouterr().err
