"""What the suite calls wrong, how a long run is planned, resumed and shown."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from chaos_page import SCREENS, page, summary
from fault_table import FAULTS, plan
from long import HERE, command_of, parser
from outcomes import DIFFERENT, LOST, SAME, STOPPED, Outcome, problems, read_outcomes

GOOD = Outcome(
    pipeline="tournament",
    fault="kill -9 of the driver while it trains",
    kind="killed",
    what="kill -9 of the driver while it trained",
    outcome=SAME,
    steps_redone=6,
    interval=6,
    code=-9,
    next_code=0,
    seconds_to_go_on=9.0,
    seconds_to_end=12.5,
    seconds_anew=14.0,
    steps_anew=36,
    seconds_to_work_anew=5.0,
    said=("results: results",),
    next_said=("resuming in round 1", "winner: v01_dense_small"),
)
STOP = replace(GOOD, outcome=STOPPED, code=2, next_code=2)
WRONG = {
    "other numbers": replace(GOOD, outcome=DIFFERENT),
    "never finished": replace(GOOD, outcome=LOST, next_code=1),
    "too many steps": replace(GOOD, steps_redone=7),
    "it hangs": replace(GOOD, code=None),
    "the next command hangs": replace(GOOD, next_code=None),
    "a driver that should go on by itself": replace(GOOD, must_end=True),
    "another exit code": replace(GOOD, codes=(143, 0)),
    "a stop that looks well": replace(STOP, code=0, next_code=0),
    "a traceback": replace(GOOD, bad_words=("Traceback (most recent call last)",)),
    "a stop that names no way on": replace(GOOD, code=1, is_silent=True),
    "a first command after it that fails": replace(GOOD, next_code=1),
    "a damaged checkpoint that nobody mentions": replace(GOOD, unsaid="using the one before"),
}


@pytest.mark.parametrize("outcome", [GOOD, STOP, replace(GOOD, code=0, next_code=None, must_end=True)])
def test_nothing_is_wrong_with_what_is_as_it_has_to_be(outcome):
    assert problems(outcome) == []


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_seen(case):
    assert problems(WRONG[case]) != []


def test_a_plan_injects_every_fault_first_and_is_the_same_each_time():
    planned = list(plan(0, 900))
    pairs = {(fault.name, pipeline) for fault in FAULTS for pipeline in fault.pipelines}
    assert len(pairs) > 100 and {(p.fault.name, p.pipeline) for p in planned[: len(pairs)]} == pairs
    assert [(p.seed, p.fault.name) for p in plan(0, 900)] == [(p.seed, p.fault.name) for p in planned]
    screens = [sum(p.fault.name in names for p in planned[: len(SCREENS)]) for names in SCREENS.values()]
    assert screens == [1] * len(SCREENS) and len(SCREENS) >= 10
    assert len({p.pipeline for p in planned[: len(SCREENS)]}) == 4
    assert len({p.seed for p in planned}) and [p.number for p in planned] == list(range(1, 901))


def test_the_page_shows_terminals_and_a_row_for_each_scenario():
    missed = replace(GOOD, fault="kill -9 before winner.json", what="nothing: no process came to it")
    outcomes = [GOOD, replace(GOOD, steps_redone=2, seconds_to_end=8.5, number=2), missed, WRONG["other numbers"]]
    assert summary(outcomes).startswith(
        "3 faults: 2 with the same numbers, 0 clear stops, 0 lost, 1 different; 1 with a"
    )
    text = page(outcomes[:3], "make chaos", [{"code": 0, "seconds": 140.4}, {"code": 1, "seconds": 150.0}])
    assert "green 1 times of 2, each in 140 to 150 s, median 145." in text
    row = "| tournament | kill -9 of the driver while it trains | 2 | same numbers | -9 "
    assert (
        f"{row}| 6 / 36 | 9.0 / 5.0 | 10.5 / 14.0 |" in text
        and "$ tournament --resume --name run\nresuming in round 1" in text
    )
    assert "| kill -9 before winner.json" not in text and "came to it" in text.splitlines()[-1]
    assert text.endswith("tournament: kill -9 before winner.json.\n")


def test_the_page_names_the_command_that_draws_the_same_faults():
    assert command_of(parser().parse_args([])) == "make chaos"
    words = ["--faults", "14", "--only", "two drivers", "SIGINT", "--out", "x"]
    assert command_of(parser().parse_args(words)) == """make chaos OPTIONS="--faults 14 --only 'two drivers' SIGINT\""""


@pytest.mark.slow
def test_a_long_run_continues_where_it_stood_and_writes_its_page(tmp_path):
    words = ["--only", "after unfinished/decided.json", "--out", str(tmp_path), "--page", str(tmp_path / "page.md")]
    counts = []
    for faults in (1, 2):
        done = subprocess.run(
            [sys.executable, str(HERE / "long.py"), "--faults", str(faults), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        counts.append(done.stdout.count("same numbers, 0"))
        with (tmp_path / "outcomes.jsonl").open("a") as file:
            file.write('{"pipeline": "ha')  # as a kill leaves a line
    assert counts == [1, 1] and [outcome.number for outcome in read_outcomes_of(tmp_path)] == [1, 2]
    assert "| prepare_data | kill -9 after unfinished/decided.json | 2 |" in (tmp_path / "page.md").read_text()


def read_outcomes_of(folder):
    lines = (folder / "outcomes.jsonl").read_text().splitlines()[:-1]
    assert all(json.loads(line)["outcome"] == SAME for line in lines)
    (folder / "whole.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return read_outcomes(folder / "whole.jsonl")
