"""The loop of a worker, without Ray: what ends a stage, what a border does, what is kept."""

import csv
import json

import pytest
import torch
from conftest import MIX, stage

from curriculum.train_loop import STOP
from hamner import checkpoint

LONG = ("min_steps=1000000", "after_worse=last")    # nothing but the cap ends a stage
RISES = ("min_steps=1000000", "warmup_steps=4", "strikes=1")    # ... or a loss that rises
WILD = stage("wild", learning_rate=1.0)


def _rows(course):
    with (course.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _told(course):
    return json.loads((course.folder / "stages.json").read_text())["stages"]


def _log(course):
    return (course.folder / "run.log").read_text()


def _run(course):
    course.run()
    return course


def _weights(place):
    return checkpoint.load(place).tensors("model")


def test_a_source_read_often_enough_is_left_out_and_said_so(course):
    words = (*LONG, "max_steps=30", "max_epochs=0.01")
    run = _run(course(stage("a"), stage("b"), words=words))
    first, second = _told(run)
    (left,) = [out for out in first["left_out"] if out["source"] == "tinystories"]
    assert left["mix"] == pytest.approx({"synthetic": 0.5, "sft": 0.5}, abs=1e-6) or len(first["left_out"]) == 2
    assert f"tinystories has been read 0.01 times and leaves the mix at stage step {left['stage_step']}" in _log(run)
    assert 0.005 < first["epochs"]["tinystories"] <= 0.01
    assert second["rows"]["tinystories"] == 0 and sum(second["rows"].values()) == 30 * 4
    assert 0 < left["stage_step"] < 30


def test_a_stage_with_nothing_left_to_read_ends_by_data(course):
    only = stage("a", mix={"tinystories": 1.0})
    run = _run(course(only, words=(*LONG, "max_steps=30", "max_epochs=0.01")))
    (told,) = _told(run)
    assert told["reason"] == "data" and 0 < told["steps"] < 30 and (run.folder / "final").is_dir()


def test_a_rising_loss_goes_back_to_the_best_weights(course):
    """A learning rate of 10 ruins the model: worse, with evidence, and then as if it had not been."""
    run = _run(course(stage("calm"), WILD, stage("after"), words=(*RISES, "max_steps=40", "keep_stages=full")))
    calm, wild, after = _told(run)
    assert (calm["reason"], wild["reason"]) == ("cap", "worse") and wild["steps"] < 40
    assert wild["steps"] >= 4 + 4 and wild["best"]["stage_step"] < wild["steps"]
    kept, ended = (_weights(run.folder / place) for place in (wild["best"]["checkpoint"], wild["checkpoint"]))
    assert all(torch.equal(kept[name], ended[name]) for name in kept)
    assert "the held-out loss of wild rises: back to the weights of its step" in _log(run)
    assert after["started_at"] == wild["heldout_loss"]


@pytest.mark.parametrize("choice", ["last", "stop"])
def test_what_comes_after_worse_is_the_configs_choice(course, choice):
    words = (*RISES, "max_steps=40", f"after_worse={choice}")
    run = _run(course(stage("calm"), WILD, stage("after"), words=words))
    assert [told["reason"] for told in _told(run)][1] == "worse"
    assert len(_told(run)) == {"last": 3, "stop": 2}[choice]
    assert (run.folder / "final").is_dir() == (choice == "last")
    assert "back to" not in _log(run)
    if choice == "stop":
        assert "after_worse = stop; --resume goes on from there" in _log(run)
        again = _run(course(name="run"))
        assert len(_told(again)) == 3 and (again.folder / "final").is_dir()


def test_the_rate_falls_to_nothing_at_the_end_of_the_run_alone(course):
    run = _run(course(stage("a"), stage("b"), words=(*LONG, "max_steps=12", "decay=run", "decay_steps=4")))
    rates = [float(row["learning_rate"]) for row in _rows(run)]
    assert rates == pytest.approx([.0015, *[.003] * 11, .0015, *[.003] * 7, .003, .00225, .0015, .00075])


@pytest.mark.parametrize("kept", ["reset", "keep"])
@pytest.mark.parametrize("words", [(), ("decay=stage", "decay_steps=4"), ("rule=recorded",)])
def test_asked_to_stop_at_any_step_it_goes_on_bit_for_bit(course, kept, words):
    """Twice asked to stop in each stage, whatever the optimizer, the schedule and the rule."""
    words = (f"optimizer_at_border={kept}", "max_steps=10", "max_epochs=0.004", *words)
    stages = stage("a"), stage("b", levels=(.3, .7))
    whole = _run(course(*stages, words=words, name="whole"))
    parts = course(*stages, words=words, name="parts")
    starts = 0
    while not (parts.folder / "final").exists():
        parts = course(name="parts") if starts else parts
        inner, count = parts._told_to_stop, iter(range(4))

        def told_to_stop(inner=inner, count=count, folder=parts.folder):
            if next(count, 4) == 3:
                (folder / STOP).touch()
            return inner()

        parts._told_to_stop = told_to_stop    # the file comes into being after the fourth step
        parts.run()
        (parts.folder / STOP).unlink(missing_ok=True)
        starts += 1
    assert starts == 5
    for column in ("step", "phase", "loss", "mean_loss", "heldout_loss", "gradient_norm", "learning_rate"):
        assert [row[column] for row in _rows(parts)] == [row[column] for row in _rows(whole)], column
    assert _told(parts) == _told(whole)
    one, other = (_weights(run.folder / "final") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (parts.folder / "resume.jsonl").exists()    # nothing was redone


def test_keeping_and_resetting_differ_only_after_the_border(course):
    losses = [[row["loss"] for row in _rows(_run(course(
        stage("a"), stage("b"), words=(*LONG, "max_steps=6", f"optimizer_at_border={kept}"), name=kept)))]
        for kept in ("keep", "reset")]
    assert losses[0][:7] == losses[1][:7] and losses[0][8:] != losses[1][8:]


def test_a_corrupt_checkpoint_is_named_and_the_one_before_is_used(course):
    run = _run(course(stage("a"), words=(*LONG, "max_steps=12", "keep_checkpoints=3")))
    before = [row["loss"] for row in _rows(run)]
    torn = sorted((run.folder / "checkpoints").glob("step_*"))[-1]
    (torn / "optimizer.safetensors").write_bytes((torn / "optimizer.safetensors").read_bytes()[:-9])
    again = _run(course(name="run"))
    assert f"checkpoint {torn}: optimizer.safetensors is missing or was altered; going back" in _log(again)
    assert "step 10, stage 1" in _log(again)
    assert [row["loss"] for row in _rows(again)] == before


def test_retention_keeps_the_newest_and_of_each_stage_its_end_and_best(course):
    run = _run(course(*(stage(name) for name in "abc"), words=(*LONG, "max_steps=10", "keep_every=7",
                                                               "checkpoint_every=1")))
    kept = {int(path.name[5:]): (path / "optimizer.safetensors").is_file()
            for path in (run.folder / "checkpoints").iterdir()}
    ends_and_bests = {int(told[key].split("_")[1]) for told in
                      [{"end": told["checkpoint"], "best": told["best"]["checkpoint"]} for told in _told(run)]
                      for key in ("end", "best")}
    assert kept.keys() == ends_and_bests | {7, 14, 21, 28} | {29, 30}
    assert {step for step, full in kept.items() if full} == {7, 14, 21, 28, 29, 30}


def test_skills_and_sources_are_measured_on_the_same_items_in_every_stage(course):
    run = _run(course(stage("a"), stage("b", mix=MIX | {"synthetic": 0.1, "personal": 0.2}),
                      words=(*LONG, "max_steps=4")))
    one, other = run.told
    assert one["skills"].keys() == other["skills"].keys() and len(one["skills"]) == 45
    for source, documents in one["documents"].items():
        assert documents["tokens"] == other["documents"][source]["tokens"]
        assert sum(documents["nats"]) / sum(documents["tokens"]) == one["heldout_loss"][source]
    assert set(one["heldout_loss"]) == {"synthetic", "tinystories", "sft", "personal"}
    assert set(one["train_loss"]) == {"tinystories", "sft"}    # personal had not been read yet
    skills = json.loads((run.folder / "skills.json").read_text())
    assert [told["stage"] for told in skills["stages"]] == ["a", "b"] and len(skills["chance"]) == 45
    assert (run.folder / "skills.png").stat().st_size > 10_000
