"""--choose: the rule, the small runs and the full one, what is refused, what a second start does not train again."""

import json

import pytest

from curriculum.choose import KINDS, choose, choose_and_run, curriculum_text, longer, small_config, small_plan
from curriculum.controls import FinishedRun, control_plan
from curriculum.curricula import read_curriculum
from curriculum.launch import Request
from curriculum.run import main
from curriculum.stages import CURRICULA, lengths
from hamner.config.load import load_config

JOINT = [4.0, 4.1, 4.2]


@pytest.mark.parametrize(
    ("flat", "seed", "kind"),
    [
        ([3.8, 3.91, 4.0], [4.3, 4.4, 4.5], "flat"),
        ([3.8, 3.91, 4.0], [3.7, 3.81, 3.9], "seed"),
        ([3.8, 4.2, 4.1], [4.3, 4.4, 4.5], "joint"),  # better on average, and chance explains it
        ([4.2, 4.31, 4.4], [4.3, 4.4, 4.5], "joint"),
    ],
)
def test_stages_have_to_beat_joint_beyond_the_interval(flat, seed, kind):
    assert choose({"flat": flat, "joint": JOINT, "seed": seed}).kind == kind


def test_that_it_cannot_tell_is_said():
    assert choose({"flat": [3.8, 4.2, 4.1], "joint": JOINT, "seed": JOINT}).reason.startswith("cannot tell")
    worse = [loss + 0.2 + 0.01 * n for n, loss in enumerate(JOINT)]
    assert "cannot tell" not in choose({"flat": worse, "joint": JOINT, "seed": worse}).reason


def test_the_small_run_is_a_tenth_and_the_full_joint_as_long_as_the_full_stages():
    full = [600, 500, 400, 700, 600, 600, 500, 600, 1125]
    small = small_plan(full)
    steps = lengths(small.stages, lambda stage: stage.length(10**9))
    assert steps == [60, 50, 40, 70, 60, 60, 50, 60, 112] and small.name == "flat"
    records = [
        {"number": n, "steps": count, "rows": {name: round(share * 8 * count) for name, share in stage.mix.items()}}
        for n, (stage, count) in enumerate(zip(small.stages, steps, strict=True), start=1)
    ]
    joint = longer(control_plan("joint", FinishedRun("x-flat0", small, tuple(records))))
    assert [stage.steps for stage in joint.stages] == [4500, 1120] and joint.like is None


@pytest.mark.parametrize("plan", [*CURRICULA.values(), small_plan([100] * 9)], ids=lambda plan: plan.name)
def test_a_written_curriculum_is_read_back(plan, tmp_path):
    (tmp_path / "a.toml").write_text(curriculum_text(plan), encoding="utf-8")
    assert read_curriculum(tmp_path / "a.toml") == plan


def test_warmups_shrink_with_the_stages():
    assert small_config(load_config("laptop", ["curriculum.warmup_steps=25"])).curriculum.warmup_steps == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --name RUN"),
        (["--name", "a", "--resume"], "leave out --resume"),
        (["--name", "a", "--curriculum", "seed"], "--choose and --curriculum both say"),
        (["--name", "a", "--like", "b"], "--choose and --like both say"),
    ],
)
def test_what_does_not_go_with_choose_is_refused(words, message, capsys):
    assert main(["v3", "--config", "smoke", "--choose", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Requests that would be trained, in order; each leaves a finished run, until one named in `failing`."""
    requests, failing = [], set()

    def run(request, config, results):
        requests.append(request)
        folder = results / "curriculum" / request.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
        if request.name in failing:
            return 1
        (folder / "final").mkdir()
        return 0

    monkeypatch.setattr("curriculum.choose.run_curriculum", run)
    monkeypatch.setattr("curriculum.choose._check_full_budget", lambda *_: None)  # there is no text
    monkeypatch.setattr(
        "curriculum.choose._compare", lambda *_: choose({"flat": [3.0] * 3, "joint": JOINT, "seed": JOINT})
    )
    return requests, failing


def test_a_second_start_trains_what_is_left(trained, tmp_path):
    requests, failing = trained
    failing.add("a-joint1")
    request = Request("v3", "a", False, None, None, None, "flat", None)
    config = load_config("smoke")
    assert choose_and_run(request, config, tmp_path) == 1
    assert [r.name for r in requests] == ["a-flat0", "a-joint0", "a-seed0", "a-flat1", "a-joint1"]
    requests.clear()
    failing.clear()
    assert choose_and_run(request, config, tmp_path) == 0
    assert [(r.name, r.is_resumed) for r in requests[:2]] == [("a-joint1", True), ("a-seed1", False)]
    assert [r.name for r in requests[2:]] == [f"a-{kind}2" for kind in KINDS] + ["a"]
    assert (requests[1].who, requests[1].like, requests[1].curriculum) == (None, "a-flat1", "seed")
    assert requests[-1].curriculum == "flat"


def test_another_config_is_refused(trained, tmp_path):
    request = Request("v3", "a", False, None, None, None, "flat", None)
    assert choose_and_run(request, load_config("smoke"), tmp_path) == 0
    with pytest.raises(ValueError, match="was begun with another config"):
        choose_and_run(request, load_config("smoke", ["lr_scale=5"]), tmp_path)


@pytest.mark.slow
def test_nine_small_runs_then_the_best_in_full(commands):
    words = ["v3", "--config", "smoke", "--choose", "--name", "chosen", "curriculum.max_steps=30"]
    first = commands.run("curriculum.run", *words, timeout=1200)
    assert first.returncode == 0, first.stdout + first.stderr
    choice = json.loads((commands.results / "choice" / "chosen" / "choice.json").read_text())["choice"]
    assert choice["kind"] in KINDS and set(choice["less_joint"]) == {"flat", "seed"}
    assert "9 runs" in first.stdout and f"chosen: {choice['reason']}" in first.stdout
    folder = commands.results / "curriculum"
    assert {path.name for path in folder.iterdir()} == {"chosen", *(f"chosen-{k}{n}" for k in KINDS for n in range(3))}
    assert (folder / "chosen" / "final").is_dir()
    assert "begins" not in commands.run("curriculum.run", *words).stdout  # nothing is trained again
