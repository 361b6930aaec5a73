"""The loop of a worker, without Ray: what ends a stage, what a border does, what is kept."""

import json
import math

import pytest
import torch
from run_files import log as _log
from run_files import records as _told
from run_files import rows as _rows

from curriculum.stages import Stage
from hamner.config.errors import BadInput
from hamner.runs.resume_log import StepFile
from hamner.runs.stopping import STOP
from hamner.training import checkpoint
from hamner.training.trainer import Objective

MIX = {"synthetic": 0.3, "tinystories": 0.4, "sft": 0.3}


def stage(name, **more):
    return Stage(**({"name": name, "mix": MIX, "learning_rate": 3e-4} | more))


LONG = ("curriculum.plateau.strikes=1000", "after_rising_loss=last")  # nothing but the cap ends a stage
RISES = ("max_steps=42", "min_steps=42", "warmup_steps=4", "strikes=1")  # ... or a loss that rises
WILD = stage("wild", learning_rate=1.0)


def _run(course):
    course.run()
    return course


def _weights(place):
    return checkpoint.load(place).tensors("model")


def test_scarce_text_lasts_to_the_end_of_every_stage_in_the_shares_that_were_planned(course):
    words = (*LONG, "max_steps=30", "max_epochs=0.02")  # 53 rows of tinystories, of 96 that are asked for
    run, planned = (
        _run(course(stage("a"), stage("b"), words=words)),
        course(stage("a"), stage("b"), words=words, name="b"),
    )
    told = _told(run)
    assert all(record["left_out"] == [] and record["reason"] == "cap" for record in told)
    for record, budget in zip(told, planned.budget(), strict=True):
        assert {name: rows / 120 for name, rows in record["rows"].items()} == pytest.approx(
            dict(budget.mix),
            abs=4 / 120,  # the rows kept in reserve at the first border are the second stage's
        )
    assert [record["rows"]["tinystories"] for record in told] == [48, 3]
    assert told[1]["epochs"]["tinystories"] <= 0.02


NEVER = ("window_steps=4", "windows=2", "strikes=1", "min_steps=4", "done_gain=1e-9", "go_on_gain=1e-8", "error=0.001")


def test_a_source_with_a_small_share_is_left_out_when_a_stage_is_longer_than_planned(course):
    mix = {"synthetic": 0.9, "tinystories": 0.1}
    run = _run(
        course(stage("a", mix=mix), words=(*NEVER, "max_steps=60", "max_epochs=0.005", "after_rising_loss=last"))
    )
    (told,) = _told(run)
    (left,) = told["left_out"]
    assert left["source"] == "tinystories" and left["mix"] == {"synthetic": 1.0} and 0 < left["stage_step"] < 60
    assert f"and leaves the mix at stage step {left['stage_step']}" in _log(run)
    assert told["epochs"]["tinystories"] <= 0.005


def test_a_stage_ends_with_a_source_that_held_more_than_a_fifth_of_it(course):
    run = _run(course(stage("a"), stage("b"), words=(*NEVER, "max_steps=200", "max_epochs=0.02")))
    first, second = _told(run)
    assert {"reason": "data", "source": first["left_out"][-1]["source"]} == {
        "reason": first["reason"],
        "source": "tinystories",
    }
    assert second["rows"]["tinystories"] > 0  # what the second stage was granted was kept for it
    assert "tinystories has ended, and stage a with it" in _log(run)


def test_a_stage_with_nothing_left_to_read_ends_by_data(course):
    only = stage("a", mix={"tinystories": 1.0})
    run = _run(course(only, words=(*LONG, "max_steps=30", "max_epochs=0.01")))
    (told,) = _told(run)
    assert told["reason"] == "data" and 0 < told["steps"] < 30 and (run.folder / "final").is_dir()


def test_a_decay_comes_though_the_loss_rose_and_begins_with_the_best_weights(course):
    """A rate of 10 ruins the model; the decay of the run's end takes it back and goes on from there."""
    words = (*RISES, "keep_stages=full", "decay=run", "decay_steps=6")
    run = _run(course(stage("calm"), WILD, words=words))
    wild = _told(run)[1]
    rates = [float(row["learning_rate"]) for row in _rows(run)][-6:]
    assert wild["reason"] == "worse" and rates == pytest.approx([10 * (1 - step / 6) for step in range(6)])
    log = _log(run)
    assert log.index("wild: the rate falls") < log.index("back to the weights of its step") < log.index("wild ended")


def test_a_decay_comes_though_a_source_has_ended(course):
    words = (*NEVER, "max_steps=200", "max_epochs=0.02", "decay=run", "decay_steps=6")
    run = _run(course(stage("a"), words=words))
    (told,) = _told(run)
    assert told["reason"] == "data" and told["left_out"][-1]["source"] == "tinystories" and told["steps"] < 200
    rates = [float(row["learning_rate"]) for row in _rows(run)]
    assert rates[-7:] == pytest.approx([3e-3 * (1 - step / 6) for step in (0, *range(6))])


@pytest.mark.parametrize("words", [("max_steps=8",), RISES])
@pytest.mark.slow
def test_a_share_of_the_run_follows_whatever_ended_the_stage_before(course, words):
    share = stage("anneal", schedule="linear", run_share=0.2)
    last = WILD if "strikes=1" in words else stage("b")
    run = _run(course(stage("a"), last, share, words=(*words, "optimizer_at_stage_start=keep")))
    a, b, anneal = _told(run)
    assert anneal["reason"] == "steps" and anneal["steps"] == round((a["steps"] + b["steps"]) / 4)
    rates = [float(row["learning_rate"]) for row in _rows(run)][-anneal["steps"] :]
    assert rates == pytest.approx([3e-3 * (1 - step / anneal["steps"]) for step in range(anneal["steps"])])


@pytest.mark.slow
def test_final_holds_the_better_of_raw_and_averaged_weights(course):
    """A rate that is much too high scatters the weights about their mean, which a decay does not leave behind."""
    for label, extra, better in (("high", {"learning_rate": 3e-2}, "averaged"), ("low", {}, "raw")):
        run = _run(course(stage("a", **extra), words=("max_steps=40", *LONG, "average_steps=4"), name=label))
        final = json.loads((run.folder / "stages.json").read_text())["final"]
        raw = _told(run)[-1]["heldout_loss"]
        assert final["weights"] == better == min(final["mixed"], key=final["mixed"].get)
        assert (final["heldout_loss"] == raw) == (better == "raw")
        newest = checkpoint.newest(run.folder / "checkpoints", complete=True)
        of = newest.tensors("model" if better == "raw" else "average")
        kept = _weights(run.folder / "final")
        assert all(torch.equal(kept[name], of[name]) for name in kept)


@pytest.mark.mended("final/ holds the optimizer")
def test_final_holds_what_talking_needs_and_the_newest_checkpoint_the_rest(course):
    run = _run(course(stage("a"), words=("max_steps=2", "min_steps=0")))
    files = {path.name: path for path in (run.folder / "final").iterdir()}
    assert set(files) == {"model.safetensors", "state.json", "tokenizer.json", "tokenizer_config.json"}
    newest = checkpoint.newest(run.folder / "checkpoints", complete=True)
    assert (newest.path / "model.safetensors").read_bytes() == files["model.safetensors"].read_bytes()


@pytest.mark.slow
def test_a_rising_loss_goes_back_to_the_best_weights(course):
    """A learning rate of 10 ruins the model: worse, with evidence, and then as if it had not been."""
    run = _run(course(stage("calm"), WILD, stage("after"), words=(*RISES, "keep_stages=full")))
    calm, wild, after = _told(run)
    assert (calm["reason"], wild["reason"]) == ("cap", "worse") and wild["steps"] < 42
    assert wild["steps"] >= 4 + 4 and wild["best"]["stage_step"] < wild["steps"]
    kept, ended = (_weights(run.folder / place) for place in (wild["best"]["checkpoint"], wild["checkpoint"]))
    assert all(torch.equal(kept[name], ended[name]) for name in kept)
    assert "the held-out loss of wild rises: back to the weights of its step" in _log(run)
    assert after["started_at"] == wild["heldout_loss"]


@pytest.mark.parametrize("choice", ["last", "stop"])
def test_what_comes_after_worse_is_the_configs_choice(course, choice):
    words = (*RISES, f"after_rising_loss={choice}")
    run = _run(course(stage("calm"), WILD, stage("after"), words=words))
    assert [told["reason"] for told in _told(run)][1] == "worse"
    assert len(_told(run)) == {"last": 3, "stop": 2}[choice]
    assert (run.folder / "final").is_dir() == (choice == "last")
    assert "back to" not in _log(run)
    if choice == "stop":
        assert "after_rising_loss = stop; use --resume to continue" in _log(run)
        again = _run(course(name="run"))  # as Ray restarts a worker: still stopped
        assert len(_told(again)) == 2
        again = _run(course(name="run", attempt=2))
        assert len(_told(again)) == 3 and (again.folder / "final").is_dir()


def test_a_run_that_was_killed_before_its_first_checkpoint_says_why_it_begins_again(course):
    words = (*LONG, "max_steps=12", "decay=none")
    first = _run(course(stage("a"), words=words))
    assert _log(first).startswith("starting at step 0 with stage 1\n")
    killed = course(stage("a"), words=words, name="killed")
    StepFile(killed.folder, 1).mark(3)
    assert _log(_run(killed)).startswith("there was no checkpoint yet; starting at step 0 with stage 1\n")


def test_the_rate_falls_to_nothing_at_the_end_of_the_run_alone(course):
    run = _run(course(stage("a"), stage("b"), words=(*LONG, "max_steps=12", "decay=run", "decay_steps=4")))
    rates = [float(row["learning_rate"]) for row in _rows(run)]
    assert rates == pytest.approx([0.0015, *[0.003] * 11, 0.0015, *[0.003] * 7, 0.003, 0.00225, 0.0015, 0.00075])


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("keep", ("decay=stage", "decay_steps=4")),
        ("reset", ("rule=recorded",)),
        *(
            pytest.param(kept, words, marks=pytest.mark.slow)
            for kept, words in (
                ("reset", ()),
                ("keep", ()),
                ("reset", ("decay=stage", "decay_steps=4")),
                ("keep", ("rule=recorded",)),
            )
        ),
    ],
)
def test_asked_to_stop_at_any_step_it_goes_on_bit_for_bit(course, kept, words):
    """Twice asked to stop in each stage, whatever the optimizer, the schedule and the rule."""
    words = (f"optimizer_at_stage_start={kept}", "max_steps=10", "max_epochs=0.004", *words)
    stages = stage("a"), stage("b", levels=(0.3, 0.7))
    whole = _run(course(*stages, words=words, name="whole"))
    starts, parts = 0, whole

    def after_four_steps():
        steps = iter(range(4))
        return lambda: next(steps, 4) == 3

    while starts == 0 or not (parts.folder / "final").exists():
        new = (*stages,) if starts == 0 else ()
        parts = course(*new, words=words, name="parts", stop_requested=after_four_steps())
        parts.run()
        starts += 1
    assert starts == 5
    for column in ("step", "phase", "loss", "mean_loss", "heldout_loss", "gradient_norm", "learning_rate"):
        assert [row[column] for row in _rows(parts)] == [row[column] for row in _rows(whole)], column
    assert _told(parts) == _told(whole)
    one, other = (_weights(run.folder / "final") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    notes = [json.loads(line) for line in (parts.folder / "resume.jsonl").read_text().splitlines()]
    assert [note["steps_redone"] for note in notes] == [0] * 4


class Killed(BaseException):
    """Nothing in the loop catches it."""


@pytest.mark.parametrize(
    "words",
    [
        ("min_steps=4", "done_gain=0.4", "go_on_gain=0.9", "max_steps=40"),
        pytest.param((*LONG, "max_steps=12"), marks=pytest.mark.slow),
    ],
)
def test_killed_while_a_stages_end_is_measured_it_ends_there_all_the_same(course, words, monkeypatch):
    """The stage's last window is also its best: its checkpoint must not say that the stage goes on."""
    whole = _run(course(stage("a"), stage("b"), words=words, name="whole"))
    assert _told(whole)[0]["best"]["stage_step"] == _told(whole)[0]["steps"]
    killed = course(stage("a"), stage("b"), words=words, name="killed")

    def kill(*arguments):
        raise Killed

    monkeypatch.setattr(killed.measurements, "training_losses", kill)
    with pytest.raises(Killed):
        killed.run()
    again = _run(course(name="killed"))
    assert _told(again) == _told(whole)
    assert [row["loss"] for row in _rows(again)] == [row["loss"] for row in _rows(whole)]
    (note,) = [json.loads(line) for line in (again.folder / "resume.jsonl").read_text().splitlines()]
    assert 0 < note["steps_redone"] <= 5


@pytest.mark.parametrize("rule", ["confirmed", "recorded"])
def test_a_skipped_step_is_said_and_survives_a_resume(course, rule):
    spoilt, words = {0, 6}, (*LONG, "max_steps=12", f"rule={rule}")  # 0-based steps

    class Spoilt(Objective):
        def forward(self, tokens):
            loss, balance = super().forward(tokens)
            return loss * (math.nan if run.session.global_step in spoilt else 1), balance

    run = course(stage("a"), words=words, objective=Spoilt)
    run.run()
    rows = _rows(run)
    assert [row["step"] for row in rows if row["loss"] == "nan"] == ["1", "7"] and rows[0]["mean_loss"] == ""
    assert rows[-1]["skipped_steps"] == "2" and _told(run)[0]["skipped_steps"] == 2
    assert "step 7: the loss is nan; the step changes nothing" in _log(run)
    assert checkpoint.load(run.folder / "final").state["trainer"]["skipped_total"] == 2


def test_when_no_checkpoint_is_whole_nothing_starts_from_zero(course):
    run = _run(course(stage("a"), words=(*LONG, "max_steps=12")))
    before = (run.folder / "metrics.csv").read_bytes()
    for path in (run.folder / "checkpoints").iterdir():
        (path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match=r"no checkpoint in .* is whole"):
        course(name="run").run()
    assert (run.folder / "metrics.csv").read_bytes() == before


def test_torn_checkpoints_are_moved_out_of_the_way_of_those_to_come(course):
    run = _run(course(stage("a"), words=(*LONG, "max_steps=24", "keep_checkpoints=4")))
    kept = sorted((run.folder / "checkpoints").glob("step_*"))
    for path in kept[2:]:
        (path / "state.json").write_text((path / "state.json").read_text().replace('"rate": 0.', '"rate": 1.'))
    again = course(name="run")
    (again.folder / STOP).touch()
    again.run()  # stopped a step after the last whole one
    names = sorted(path.name for path in (again.folder / "checkpoints").iterdir())
    assert names[: len(kept) - 2] == [f"corrupt_{path.name}" for path in kept[2:]]
    step = int(kept[1].name[5:]) + 1
    assert names[-1] == checkpoint.step_name(step) and f"stopped at step {step};" in _log(again)
    assert "its own checksum does not agree" in _log(again)


def test_a_torn_best_does_not_keep_the_run_from_going_on(course):
    def tear(step):
        best = run.place.best if run.place.records else None
        path = run.folder / best["checkpoint"] / "model.safetensors" if best else None
        if path and path.exists():
            path.write_bytes(b"torn")

    run = course(stage("calm"), WILD, words=RISES, on_batch=tear)
    run.run()
    assert "its best weights are lost, so the run continues from the last" in _log(run)
    assert (run.folder / "final").is_dir() and [told["reason"] for told in _told(run)] == ["cap", "worse"]


@pytest.mark.slow
def test_keeping_and_resetting_differ_only_after_the_border(course):
    losses = [
        [
            row["loss"]
            for row in _rows(
                _run(
                    course(
                        stage("a"),
                        stage("b"),
                        words=(*LONG, "max_steps=6", f"optimizer_at_stage_start={kept}"),
                        name=kept,
                    )
                )
            )
        ]
        for kept in ("keep", "reset")
    ]
    assert losses[0][:7] == losses[1][:7] and losses[0][8:] != losses[1][8:]


def test_a_corrupt_checkpoint_is_named_and_the_one_before_is_used(course):
    run = _run(course(stage("a"), words=(*LONG, "max_steps=12", "keep_checkpoints=3")))
    before = [row["loss"] for row in _rows(run)]
    torn = sorted((run.folder / "checkpoints").glob("step_*"))[-1]
    (torn / "optimizer.safetensors").write_bytes((torn / "optimizer.safetensors").read_bytes()[:-9])
    again = _run(course(name="run"))
    assert f"checkpoint {torn}: optimizer.safetensors is missing or was altered; using the one before" in _log(again)
    assert "step 10, stage 1" in _log(again)
    assert [row["loss"] for row in _rows(again)] == before


@pytest.mark.slow
def test_retention_keeps_the_newest_and_of_each_stage_its_end_and_best(course):
    run = _run(course(*(stage(name) for name in "abc"), words=(*LONG, "max_steps=10", "keep_every=7")))
    kept = {
        int(path.name[5:]): (path / "optimizer.safetensors").is_file()
        for path in (run.folder / "checkpoints").iterdir()
    }
    ends_and_bests = {
        int(told[key].split("_")[1])
        for told in [{"end": told["checkpoint"], "best": told["best"]["checkpoint"]} for told in _told(run)]
        for key in ("end", "best")
    }
    assert kept.keys() == ends_and_bests | {7, 14, 21, 28, 30}
    assert {step for step, full in kept.items() if full} == {7, 14, 21, 28, 30}


def test_skills_and_sources_are_measured_on_the_same_items_in_every_stage(course):
    run = _run(
        course(stage("a"), stage("b", mix=MIX | {"synthetic": 0.1, "personal": 0.2}), words=(*LONG, "max_steps=4"))
    )
    one, other = run.place.records
    assert one["skills"].keys() == other["skills"].keys() and len(one["skills"]) == 45
    for source, documents in one["documents"].items():
        assert documents["tokens"] == other["documents"][source]["tokens"]
        assert sum(documents["nats"]) / sum(documents["tokens"]) == one["heldout_loss"][source]
    assert set(one["heldout_loss"]) == {"synthetic", "tinystories", "sft", "personal"}
    assert set(one["train_loss"]) == {"tinystories", "sft"}  # personal had not been read yet
    skills = json.loads((run.folder / "skills.json").read_text())
    assert [told["stage"] for told in skills["stages"]] == ["a", "b"] and len(skills["chance"]) == 45
    assert (run.folder / "skills.png").stat().st_size > 10_000
