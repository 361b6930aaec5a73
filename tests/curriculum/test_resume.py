"""Resume with changes: keys that may differ, going back to a stage, passing over batches, the text of an ancestor."""

import json
import math

import pytest
import torch
from run_files import log as _log
from run_files import records as _records
from run_files import rows as _rows

from curriculum.ancestor import TextPosition, position_line
from curriculum.comparison import read_run
from curriculum.controls import control_plan, finished_run
from curriculum.resume import Intervention, cap_problems, record_changes, records_after_going_back, stage_end_record
from curriculum.stage_schedule import StageSchedule
from curriculum.stages import Stage, dropped_sources
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import Curriculum
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.trainer import Objective

MIX = {"synthetic": 0.3, "tinystories": 0.4, "sft": 0.3}
FIXED = ("keep_stages=full", "checkpoint_every=3", "log_every=1")
ROWS = 4  # of a batch at smoke size
STEP_TOKENS = ROWS * 64


def stage(name, steps=6, **more):
    return Stage(**({"name": name, "mix": MIX, "learning_rate": 3e-4, "steps": steps} | more))


def stopper(steps):
    """Asks to stop after so many steps."""
    count = iter(range(steps))
    return lambda: next(count, steps) == steps - 1


def _document(run):
    return json.loads((run.folder / "config.json").read_text())


def _weights(path):
    return checkpoint.load(path).tensors("model")


def _equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def _copied(run):
    """The weights of now."""
    return {name: value.clone() for name, value in run.session.trainer.hamner.state_dict().items()}


def _ask(run, config=None, **intervention):
    """What the driver writes on --resume."""
    config = config or run.config
    return record_changes(run.folder, config, Intervention(**intervention), run.stages, 0)


def _stopped(course, *stages, after, words=FIXED, name="run"):
    run = course(*stages, words=words, name=name, stop_requested=stopper(after))
    run.run()
    return run


def _ended(course, name="run"):
    run = course(name=name)
    run.run()
    return run


THREE = stage("a"), stage("b"), stage("c")


# -- keys that may differ


@pytest.mark.slow
def test_a_key_that_changes_no_number_may_differ_and_is_recorded(course):
    run = _stopped(course, *THREE, after=4)
    changed = run.config.curriculum.model_copy(update={"max_steps": 99, "keep_every": 5})
    lines = _ask(run, run.config.model_copy(update={"curriculum": changed}))
    assert lines == [
        "curriculum.max_steps was 15 until step 4, now 99",
        "curriculum.keep_every was 0 until step 4, now 5",
    ]
    document = _document(run)
    assert [{key: change[key] for key in ("step", "key", "before", "now")} for change in document["changes"]] == [
        {"step": 4, "key": "curriculum.max_steps", "before": 15, "now": 99},
        {"step": 4, "key": "curriculum.keep_every", "before": 0, "now": 5},
    ]
    assert document["config"]["curriculum"]["keep_every"] == 5 and "interventions" not in document
    assert _ask(run, run.config.model_copy(update={"curriculum": changed})) == []  # once
    run = _ended(course)
    assert {"step_000000005", "step_000000010"} <= {path.name for path in (run.folder / "checkpoints").iterdir()}
    whole = course(*THREE, words=FIXED, name="whole")
    whole.run()
    assert [row["loss"] for row in _rows(run)] == [row["loss"] for row in _rows(whole)]


def test_a_cap_may_be_raised_not_lowered():
    config = load_config("smoke")
    raised, lowered = (
        config.model_copy(update={"curriculum": config.curriculum.model_copy(update={"max_steps": steps})})
        for steps in (16, 14)
    )
    assert not list(cap_problems(config, raised))
    (problem,) = cap_problems(config, lowered)
    assert "the run has 15, now 14" in problem and "not lowered" in problem


@pytest.mark.slow
def test_a_raised_cap_lets_a_stage_that_is_not_over_run_longer(course):
    words = ("min_steps=6", "strikes=99", "after_rising_loss=last", "max_steps=6")
    run = _stopped(course, stage("a", None), stage("b", None), after=9, words=words)
    changed = run.config.curriculum.model_copy(update={"max_steps": 10})
    _ask(run, run.config.model_copy(update={"curriculum": changed}))
    assert [(r["steps"], r["reason"]) for r in _records(_ended(course))] == [(6, "cap"), (10, "cap")]


def test_the_reason_of_a_fixed_length_is_its_steps_once_the_cap_is_above_it():
    long, low, high = stage("a", 20), Curriculum(max_steps=15), Curriculum(max_steps=30)
    schedule = StageSchedule(long, high, is_last=True)
    schedule.load_state(StageSchedule(long, low, is_last=True).state())
    assert schedule.after_step(19, None) is None and schedule.after_step(20, None) == "steps"


# -- another stage


@pytest.mark.parametrize("kept", ["full", pytest.param("weights", marks=pytest.mark.slow)])
def test_going_back_takes_the_end_of_the_stage_before_and_keeps_the_books(course, kept):
    words = (f"keep_stages={kept}", "optimizer_at_stage_start=keep", "checkpoint_every=3", "keep_checkpoints=2")
    run = _stopped(course, *THREE, after=15, words=words)
    rows_before = run.session.trainer.mixer.rows_read()
    _ask(run, stage=1)
    begun = {}

    def look(step):
        if step == 15:
            begun["weights"] = {
                name: value.clone() for name, value in again.session.trainer.hamner.state_dict().items()
            }
            begun["rows"] = again.session.trainer.mixer.rows_read()
            begun["moments"] = bool(again.session.trainer.optimizer.state)

    again = course(on_batch=look)
    again.run()
    records = _records(again)
    assert [(r["stage"], r["steps"], r["reason"], r.get("abandoned", False)) for r in records] == [
        ("a", 6, "steps", False),
        ("b", 6, "steps", True),
        ("c", 3, "left", True),
        ("b", 6, "steps", False),
        ("c", 6, "steps", False),
    ]
    assert _equal(_weights(again.folder / records[0]["checkpoint"]), begun["weights"])
    assert begun["rows"] == rows_before and begun["moments"] == (kept == "full")
    final = checkpoint.load(again.folder / "final").state
    assert sum(r["tokens"] for r in records) == final["trainer"]["tokens_total"] == 27 * STEP_TOKENS
    assert sum(sum(r["rows"].values()) for r in records) == 27 * ROWS
    assert records[3]["started_at"] == records[0]["heldout_loss"]
    assert [int(row["step"]) for row in _rows(again)] == list(range(1, 28))
    assert "stage 3 c is left after 3 steps" in _log(again)
    assert ("AdamW nothing was kept" in _log(again)) == (kept == "weights")
    rates = [float(row["learning_rate"]) for row in _rows(again)[15:]]
    assert rates == pytest.approx([3e-3 if kept == "full" else 1.5e-3, *[3e-3] * 11])  # a warmup at this border alone


@pytest.mark.slow
def test_keeping_the_weights_begins_the_stage_with_the_newest_and_abandons_nothing(course):
    run = _stopped(course, *THREE, after=15)
    _ask(run, stage=1, keep_weights=True)
    begun = {}

    def look(step):
        if step == 15:
            begun.update(_copied(again))

    again = course(on_batch=look)
    newest = _weights(run.folder / "checkpoints" / checkpoint.step_name(15))
    again.run()
    assert _equal(newest, begun)
    records = _records(again)
    assert [(r["stage"], r["steps"], r["reason"]) for r in records] == [
        ("a", 6, "steps"),
        ("b", 6, "steps"),
        ("c", 3, "left"),
        ("b", 6, "steps"),
        ("c", 6, "steps"),
    ]
    assert not any("abandoned" in record for record in records)


@pytest.mark.slow
def test_stage_one_begins_with_the_weights_of_the_beginning(course):
    run = _stopped(course, *THREE, after=9)
    _ask(run, stage=0)
    begun = {}

    def look(step):
        if step == 9:
            begun.update(_copied(again))

    again = course(on_batch=look)
    again.run()
    assert _equal(build(again.session.setup.model, again.config.seed).state_dict(), begun)
    assert [r.get("abandoned", False) for r in _records(again)] == [True, True, False, False, False]


@pytest.mark.slow
def test_a_finished_run_can_go_back_and_its_control_reads_as_many_tokens(course, tmp_path):
    words = (*FIXED, "max_steps=20")
    run = course(*THREE, words=words)
    run.run()
    _ask(run, stage=2)
    assert not (run.folder / "final").exists()
    run = _ended(course)
    records = _records(run)
    assert [(r["stage"], r.get("abandoned", False)) for r in records] == [
        ("a", False),
        ("b", False),
        ("c", True),
        ("c", False),
    ]
    results = tmp_path / "results"
    (results / "curriculum").mkdir(parents=True)
    (results / "curriculum" / "run").symlink_to(run.folder)
    assert read_run(results, "run").tokens == 24 * STEP_TOKENS
    joint = control_plan("joint", finished_run("run", run.config, results))
    assert joint.stages[0].steps == 24


@pytest.mark.slow
def test_a_kill_after_going_back_does_it_again_to_the_same_bits_and_once(course):
    """It is done again from the same checkpoint until a later one knows of it, and the rate is scaled once."""

    class Killed(BaseException):
        pass

    def kill_at(limit):
        def on_batch(step):
            if step == limit:
                raise Killed

        return on_batch

    for name in ("whole", "killed"):
        _ask(_stopped(course, *THREE, after=15, name=name), stage=1, learning_rate_scale=0.5)
    whole = _ended(course, "whole")
    for limit in (16, 20):  # before and after the first checkpoint that knows of it
        with pytest.raises(Killed):
            course(name="killed", on_batch=kill_at(limit)).run()
    killed = _ended(course, "killed")
    for column in ("step", "phase", "loss", "learning_rate", "heldout_loss"):
        assert [row[column] for row in _rows(killed)] == [row[column] for row in _rows(whole)], column
    assert _records(killed) == _records(whole)
    assert [float(row["learning_rate"]) for row in _rows(whole)][17:] == pytest.approx(
        [1.5e-3] * 4 + [0.75e-3] + [1.5e-3] * 5
    )
    assert len(_document(killed)["interventions"]) == 1 and killed.place.interventions == 1


def test_what_cannot_be_gone_back_to_is_refused_and_nothing_written(course):
    run = _stopped(course, *THREE, after=9)
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(BadInput, match=r"stage 2 has not been trained to its end.*--keep-weights"):
        _ask(run, stage=2)
    (run.folder / _records(run)[0]["checkpoint"] / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match=r"model.safetensors is missing or was altered"):
        _ask(run, stage=1)
    assert (run.folder / "config.json").read_bytes() == before
    new = course(*THREE, words=FIXED, name="new")
    with pytest.raises(BadInput, match="has no checkpoint"):
        _ask(new, skip_batches=3)


def test_only_weights_that_were_not_given_up_count():
    records = [
        {"number": 1, "reason": "steps"},
        {"number": 2, "reason": "steps", "abandoned": True},
        {"number": 2, "reason": "left"},
    ]
    assert stage_end_record(records, 1, 0) is records[0] and stage_end_record(records, 0, 0) is None
    with pytest.raises(BadInput):
        stage_end_record(records, 2, 0)
    assert [r.get("abandoned", False) for r in records_after_going_back(records, records[0])] == [False, True, True]
    assert all(r["abandoned"] for r in records_after_going_back(records, None))


# -- a run that diverged


def test_a_diverged_run_says_the_way_out_and_takes_it(course):
    """A batch that spoils the loss wherever it is met; what the message offers passes over it."""
    words = (*FIXED, "max_skipped=0", "checkpoint_every=4")
    clean = course(stage("a", 12), words=words, name="clean")
    batches = []

    class Seen(Objective):
        def forward(self, tokens):
            batches.append(tokens.clone())
            return super().forward(tokens)

    course(stage("a", 12), words=words, name="seen", objective=Seen).run()
    clean.run()

    class Spoilt(Objective):
        def forward(self, tokens):
            loss, balance = super().forward(tokens)
            return loss * (math.nan if torch.equal(tokens, batches[5]) else 1), balance

    run = course(stage("a", 12), words=words, objective=Spoilt)
    run.run()
    assert not (run.folder / "final").exists()
    assert "step_000000004" in _log(run)
    assert "--resume --name run" in _log(run) and "--skip-batches 2 --learning-rate-scale 0.5" in _log(run)
    course(objective=Spoilt).run()
    assert _log(run).count("diverged:") == 2  # as it is, it diverges again
    _ask(run, skip_batches=2, learning_rate_scale=0.5)
    again = course(objective=Spoilt)
    again.run()
    (record,) = _records(again)
    assert record["steps"] == 12 and record["tokens"] == 12 * STEP_TOKENS
    assert sum(record["rows"].values()) == 12 * ROWS and sum(record["passed_over"].values()) == 2 * ROWS
    mixer = again.session.trainer.mixer
    assert sum(mixer.rows_read().values()) == 14 * ROWS and sum(mixer.rows_trained().values()) == 12 * ROWS
    assert record["epochs"]["sft"] == mixer.rows_trained()["sft"] / mixer._rows["sft"].count
    rates = [float(row["learning_rate"]) for row in _rows(again)]
    assert rates[4:] == pytest.approx([1.5e-3] * 8) and rates[2:4] == pytest.approx([3e-3] * 2)
    (entry,) = _document(again)["interventions"]
    assert (entry["step"], entry["skip_batches"], entry["learning_rate_scale"]) == (4, 2, 0.5)


@pytest.mark.slow
def test_batches_are_passed_over_at_a_border_in_the_text_of_the_next_stage(course):
    run = _stopped(course, stage("a"), stage("b", mix={"tinystories": 1.0}), after=6)
    _ask(run, skip_batches=3)
    first, second = _records(_ended(course))
    assert first["passed_over"] == {} and second["passed_over"] == {"tinystories": 3 * ROWS}
    assert second["rows"]["tinystories"] == 6 * ROWS


# -- a kill between two renames


def test_a_kill_between_two_renames_leaves_no_healthy_checkpoint_as_corrupt(course):
    """`.step_…` is less than any `step_…`, so all that were whole went aside."""
    run = _stopped(course, stage("a", 12), after=8)
    folder = run.folder / "checkpoints"
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[-1]).rename(folder / f".{names[-1]}.99.old")
    again = course(stop_requested=stopper(1))
    again.run()
    assert not list(folder.glob("corrupt_*")) and not list(folder.glob(".step_*"))
    assert "step 8, stage 1" in _log(again) and checkpoint.newest(folder).state["step"] == 9


# -- the text of an ancestor


@pytest.mark.slow
def test_a_run_from_a_checkpoint_goes_on_in_the_same_text(course):
    first = course(stage("a"), words=FIXED, name="first")
    first.run()
    read = first.session.trainer.mixer.rows_read()
    second = course(stage("b"), words=FIXED, name="second")
    document = _document(second)
    source = str(first.folder / "final")
    (second.folder / "config.json").write_text(json.dumps(document | {"from": source}))
    second = _ended(course, "second")
    (record,) = _records(second)
    both = course(stage("a"), stage("b"), words=FIXED, name="both")
    both.run()
    assert record["epochs"] == _records(both)[1]["epochs"] and record["rows"] == _records(both)[1]["rows"]
    assert second.session.trainer.mixer.rows_read() == both.session.trainer.mixer.rows_read()
    assert f"the text goes on where {source} stopped" in _log(second)
    assert f"tinystories from row {read['tinystories']}" in _log(second)


def test_other_rows_begin_at_row_0_and_it_is_said(course):
    first = course(stage("a"), words=FIXED, name="first")
    first.run()
    other = course(stage("b"), words=(*FIXED, "seq_len=32"), name="other")
    source = str(first.folder / "final")
    (other.folder / "config.json").write_text(json.dumps(_document(other) | {"from": source}))
    other = _ended(course, "other")
    assert "has read other text: begins at row 0" in _log(other) and "goes on where" not in _log(other)
    assert sum(other.session.trainer.mixer.rows_read().values()) == 6 * ROWS


def test_what_is_said_of_an_ancestors_text():
    assert position_line(TextPosition({"a": 1234}, {}, ("b",)), "X") == (
        "the text goes on where X stopped: a from row 1,234; of b X has read other text: begins at row 0"
    )
    assert "does not say" in position_line(TextPosition({}, {}, (), is_known=False), "X")
    assert "has read none" in position_line(TextPosition({}, {}, ()), "X")


# -- a stage that leaves a source out


def test_pretraining_then_conversations_alone_is_trained_and_said(course):
    stages = stage("pretrain", 3, mix={"tinystories": 1.0}), stage("talk", 3, mix={"sft": 1.0})
    assert list(dropped_sources(stages)) == [
        "stage 'talk' reads no tinystories any more, and may forget it: a small ratio keeps it"
    ]
    run = course(*stages, words=FIXED)
    run.run()
    assert _records(run)[1]["rows"]["sft"] == 3 * ROWS and _records(run)[1]["rows"]["tinystories"] == 0


# -- the whole command

TWO = """
[[stages]]
name = "a"
mix = {tinystories = 0.5, synthetic = 0.5}
learning_rate = 3e-4
steps = 8

[[stages]]
name = "b"
mix = {sft = 1.0}
learning_rate = 3e-4
steps = 8
"""


@pytest.mark.slow  # three starts of Ray
def test_resume_and_change_by_command(commands, tmp_path):
    (tmp_path / "two.toml").write_text(TWO)
    words = "--config", "smoke", "--curriculum", str(tmp_path / "two.toml")
    done = commands.run("curriculum.run", "v3", *words, "--name", "two_stages")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stage 'b' reads no synthetic and no tinystories any more" in done.stdout
    folder = commands.results / "curriculum" / "two_stages"
    resume = "curriculum.run", "v3", "--resume", "--name", "two_stages"
    done = commands.run(*resume, "max_steps=14")
    assert done.returncode == 2 and "may be raised, not lowered" in done.stderr
    done = commands.run(*resume, "--skip-batches", "2")
    assert done.returncode == 2 and "all stages of" in done.stderr and (folder / "final").is_dir()
    done = commands.run(*resume, "--stage", "b", "--learning-rate-scale", "0.5", "keep_every=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "curriculum.keep_every was 0 until step 16, now 3" in done.stdout and "abandoned" in done.stdout
    assert [
        record.get("abandoned", False) for record in json.loads((folder / "stages.json").read_text())["stages"]
    ] == [False, True, False]
    done = commands.run("curriculum.run", "v3", *words, "--name", "next", "--from", str(folder / "final"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the text goes on where {folder / 'final'} stopped" in done.stdout
