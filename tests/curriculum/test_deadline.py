"""Deadlines: what --hours and --until mean, and a run that keeps one, in a bare process with a clock of its own."""

import csv
import json
import time
from datetime import datetime

import pytest

from curriculum import forecast
from curriculum import run as command
from curriculum.budget import planned_steps
from curriculum.deadline import Deadline, clock_text, divided, find_deadline
from curriculum.plan import check_deadline, move_deadline
from curriculum.stage_schedule import StageSchedule
from curriculum.stages import FLAT, Stage
from curriculum.timekeeper import new_timekeeper
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import Curriculum

MIX = {"synthetic": 0.3, "tinystories": 0.4, "sft": 0.3}
# nothing but the clock ends a stage
LONG = ("curriculum.plateau.strikes=1000", "after_rising_loss=last", "max_steps=5", "optimizer_at_stage_start=keep")
STAGES = (
    Stage(name="a", mix=MIX, learning_rate=3e-4),
    Stage(name="b", mix=MIX, learning_rate=3e-4),
    Stage(name="anneal", mix=MIX, learning_rate=3e-4, schedule="linear", run_share=0.5),
)


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _at(text):
    return datetime.fromisoformat(text).astimezone()


FRIDAY = "2026-11-27T18:30"


@pytest.mark.parametrize(
    ("word", "ends"),
    [
        ("Mon 07:00", "2026-11-30T07:00"),
        ("monday 7:00", "2026-11-30T07:00"),
        ("Fri 18:31", "2026-11-27T18:31"),
        ("Fri 18:30", "2026-12-04T18:30"),
        ("07:00", "2026-11-28T07:00"),
        ("23:15", "2026-11-27T23:15"),
        ("2026-12-01T06:00", "2026-12-01T06:00"),
        ("2026-12-01 06:00+00:00", "2026-12-01T07:00"),
    ],
)
def test_until_is_the_next_such_moment(word, ends):
    deadline = find_deadline(None, word, _at(FRIDAY))
    assert deadline == Deadline(_at(FRIDAY).timestamp(), _at(ends).timestamp())


def test_a_change_to_winter_time_leaves_the_clock_at_what_was_asked_for():
    deadline = find_deadline(None, "Mon 07:00", _at("2026-10-23T19:00"))
    assert deadline.seconds == 3600 * (5 + 24 + 25 + 7)


def test_hours_become_an_absolute_end_that_config_json_keeps():
    deadline = find_deadline("60.5", None, _at(FRIDAY))
    assert deadline.facts() == {"began_at": "2026-11-27T18:30:00+01:00", "ends_at": "2026-11-30T07:00:00+01:00"}
    assert Deadline.from_facts(deadline.facts()) == deadline
    assert find_deadline(None, None, _at(FRIDAY)) is None and Deadline.from_facts(None) is None


@pytest.mark.parametrize(
    ("hours", "until", "problem"),
    [
        ("8", "Mon 07:00", "--hours 8 and --until Mon 07:00 both say when the run ends"),
        *((word, None, f"--hours {word}: give a number") for word in ("0", "-1", "nan", "inf", "1e9", "eight")),
        (None, "2026-11-27T18:30", "is past"),
        (None, "2020-01-01T07:00", "is past"),
        (None, "2126-01-01T07:00", "hours away"),
        *((None, word, f"--until {word} is not a time: use Mon 07:00") for word in ("tomorrow", "25:00", "07:60")),
        *((None, word, f"--until {word} is not a time") for word in ("Foo 07:00", "M 07:00", "2026-12-01", "nan")),
    ],
)
def test_what_is_not_a_deadline_is_refused_in_one_line(hours, until, problem):
    with pytest.raises(BadInput) as error:
        find_deadline(hours, until, _at(FRIDAY))
    (line,) = error.value.problems
    assert problem in line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--hours", "nan"), "--hours nan: give a number"),
        (("--hours", "1", "--until", "07:00"), "both say when the run ends"),
        (("--hours", "1", "--curriculum", "joint", "--like", "x"), "a control has the tokens of its run"),
        (("--plan", "--resume"), "--plan is of a new run: leave out --resume"),
        (("--hours", "1", "--choose", "--name", "x"), "--choose and --hours both say what is trained"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(words, problem, capsys):
    assert command.main(["v3", "--config", "smoke", *words]) == 2
    assert problem in capsys.readouterr().err


def test_texts_and_shares():
    moment = _at("2026-11-30T07:00").timestamp()
    assert [clock_text(moment, seconds) for seconds in (60, 9000)] == ["Mon 07:00:00", "Mon 07:00"]
    assert divided(10, [1, 1, 2]) == [2, 3, 5] and divided(0, [1, 5]) == [1, 1]
    assert sum(divided(99_999, planned_steps(FLAT, Curriculum()))) == 99_999


def test_the_text_is_planned_with_the_steps_of_the_deadline():
    assert planned_steps(FLAT[:2], Curriculum(max_steps=400), deadline_steps=[900, 800]) == [900, 800]
    document = {"first_stage": 7, "deadline": Deadline(0.0, 3600.0).facts(), "forecast": {"step": 1.0}}
    keeper = new_timekeeper(document, FLAT, load_config("rtx3090"), lambda: 0.0)
    assert keeper.plan(7, 0, 0) == [2880, 720]  # a share of the run is one of what the run begins with


class Clock:
    """A second a step, nothing for all else."""

    def __init__(self, seconds=1.0):
        self.now, self.seconds = 1_000_000.0, seconds

    def __call__(self):
        return self.now

    def tick(self, step):
        self.now += self.seconds


def _stages(run):
    return json.loads((run.folder / "stages.json").read_text())


def _rates(run):
    with (run.folder / "metrics.csv").open() as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file)]


def _facts(clock, seconds):
    return {"deadline": Deadline(clock.now, clock.now + seconds).facts()}


def test_a_run_divides_its_time_and_ends_with_it(course):
    clock = Clock()
    run = course(*STAGES, words=LONG, facts=_facts(clock, 60), clock=clock, on_batch=clock.tick)
    run.run()
    document = _stages(run)
    assert [(record["steps"], record["reason"]) for record in document["stages"]] == [
        (15, "time"),
        (15, "time"),
        (30, "time"),
    ]
    assert document["final"]["deadline"]["missed_by"] == 0
    assert _rates(run)[-30:] == pytest.approx([3e-3 * (1 - step / 30) for step in range(30)])
    log = (run.folder / "run.log").read_text()
    assert "  stage 2 gets 15 steps, 15 s, until" in log and "    3 anneal: 30 steps, 30 s, until" in log
    assert "finished 0.0 s early, kept within 0.0 % of the 60 s" in log


@pytest.mark.slow
def test_a_machine_that_becomes_slower_ends_no_later_and_its_rate_comes_to_nothing(course):
    clock = Clock()

    def tick(step):
        clock.seconds = 1.0 if step < 80 else 2.0
        clock.tick(step)

    run = course(*STAGES, words=LONG, facts=_facts(clock, 160), clock=clock, on_batch=tick)
    run.run()
    document = _stages(run)
    assert abs(document["final"]["deadline"]["missed_by"]) < 0.03
    rates = _rates(run)
    assert len(rates) == pytest.approx(120, abs=2) and rates[-1] < 0.1 * max(rates)
    assert all(one >= other for one, other in zip(rates[-20:], rates[-19:], strict=False))


@pytest.mark.slow
def test_a_stopped_run_keeps_its_end_and_says_what_the_stop_has_cost(course):
    clock, words = Clock(), LONG
    facts, steps = _facts(clock, 60), iter(range(1000))
    run = course(
        *STAGES, words=words, facts=facts, clock=clock, on_batch=clock.tick, stop_requested=lambda: next(steps) == 19
    )
    run.run()
    clock.now += 20
    run = course(words=words, clock=clock, on_batch=clock.tick)
    run.run()
    document = _stages(run)
    assert [record["steps"] for record in document["stages"]] == [15, 8, 17]  # 25 s for what 45 s were planned for
    assert document["final"]["deadline"]["missed_by"] == 0
    assert (
        "20 s have passed since the checkpoint and are lost; 20 s are left until"
        in (run.folder / "run.log").read_text()
    )


def test_stages_without_time_are_left_out_and_the_decay_is_trained(course):
    clock = Clock()
    parts = {"step": 1.0, "opening": 1.0, "ending": 4.0, "finish": 1.0}
    facts = _facts(clock, 12) | {"forecast": parts}  # less than three ends take
    run = course(*STAGES, words=LONG, facts=facts, clock=clock, on_batch=clock.tick)
    run.run()
    document = _stages(run)
    assert [record["number"] for record in document["stages"]] == [2, 3] and (run.folder / "final").is_dir()
    assert _rates(run)[-1] == pytest.approx(0.1 * max(_rates(run)))
    assert "stage 1 a is left out: no time" in (run.folder / "run.log").read_text()


@pytest.mark.slow
def test_a_decay_goes_on_without_a_source_that_has_ended(course):
    clock = Clock()
    run = course(STAGES[0], STAGES[2], words=LONG, facts=_facts(clock, 60), clock=clock, on_batch=clock.tick)
    begin = run.begin_stage

    def begin_with_less(stage):  # as when a stage becomes longer than its text was dealt out for
        begin(stage)
        if stage.name == "anneal":
            mixer = run.session.trainer.mixer
            mixer.start_stage(run.place.mix, stage.levels, {"tinystories": mixer.rows_read()["tinystories"] + 8.0})

    run.begin_stage = begin_with_less
    run.run()
    anneal = _stages(run)["stages"][-1]
    assert [left["source"] for left in anneal["left_out"]] == ["tinystories"]
    assert anneal["reason"] == "time" and _rates(run)[-1] < 0.1 * max(_rates(run))


def test_other_workers_take_the_length_that_rank_0_found(course, monkeypatch):
    clock = Clock()
    run = course(*STAGES, words=LONG, facts=_facts(clock, 60), clock=clock)
    schedule = StageSchedule(STAGES[0], run.settings, is_last=False, length=50)
    monkeypatch.setattr("curriculum.pacer.rank", lambda: 1)
    monkeypatch.setattr("curriculum.pacer.is_distributed", lambda: True)
    monkeypatch.setattr("curriculum.pacer.broadcast_tensor", lambda length: length + 33)
    run.pacer.correct(run.place, 0, schedule)
    assert schedule.length == 33


@pytest.mark.slow
def test_without_a_deadline_the_speed_is_said_after_the_first_minute(course):
    clock = Clock(10.0)
    run = course(*STAGES[:2], words=LONG, clock=clock, on_batch=clock.tick)
    run.run()
    assert (
        "measured: 10 s a step, evaluations and samples included; the stages, as short as the plateau rule may end "
        "them, take 40 s more"
    ) in (run.folder / "run.log").read_text()
    assert "deadline" not in _stages(run)["final"]


@pytest.mark.slow
def test_the_whole_command_keeps_a_minute(commands, tmp_path):
    """Where Ray takes most of the minute to start, there is nothing to be kept."""
    file = tmp_path / "mine.toml"
    shares = "= {synthetic = 0.3, tinystories = 0.4, sft = 0.3}\nlearning_rate = 3e-4\n"
    tables = [f'[[stages]]\nname = "{name}"\nmix {shares}' for name in ("a", "b", "anneal")]
    file.write_text("\n".join(tables) + 'schedule = "linear"\nrun_share = 0.3\n')
    words = ("v3", "--config", "smoke", "--curriculum", str(file), "--hours", str(60 / 3600), "--name", "minute", *LONG)
    done = commands.run("curriculum.run", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = commands.results / "curriculum" / "minute"
    deadline = json.loads((folder / "stages.json").read_text())["final"]["deadline"]
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    ends = datetime.fromisoformat(deadline["ends_at"]).timestamp()
    first = datetime.fromisoformat(rows[0]["timestamp"]).timestamp()
    if ends - first < 25:
        pytest.skip(f"training began {ends - first:.0f} s before the end of the minute")
    assert abs(deadline["missed_by"]) < 0.03
    assert (folder / "final" / "state.json").stat().st_mtime == pytest.approx(ends, abs=2)
    assert float(rows[-1]["learning_rate"]) < 0.1 * max(float(row["learning_rate"]) for row in rows)
    assert "kept within" in done.stdout and "b: " in done.stdout


def test_a_deadline_that_is_past_needs_a_new_one_to_resume(tmp_path):
    past = Deadline(1000.0, 2000.0)
    (tmp_path / "config.json").write_text(json.dumps({"deadline": past.facts(), "other": 1}))
    with pytest.raises(BadInput, match="is past: give it a new one with --hours or --until"):
        check_deadline(tmp_path, None)
    later = Deadline(3000.0, time.time() + 1e6)
    check_deadline(tmp_path, later)
    move_deadline(tmp_path, later)
    move_deadline(tmp_path, None)
    check_deadline(tmp_path, None)
    document = json.loads((tmp_path / "config.json").read_text())
    (change,) = document["changes"]
    assert (change["key"], change["before"], change["now"]) == ("deadline", past.facts(), document["deadline"])
    assert Deadline.from_facts(document["deadline"]).ends_at == pytest.approx(later.ends_at) and document["other"] == 1


def test_the_plan_prints_time_and_text_and_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    """The speed is given: a process that measures it takes ten seconds."""
    parts = {"step": 2.0, "evaluation": 0.0, "sample": 0.0, "opening": 1.0, "ending": 2.0, "finish": 1.0}
    monkeypatch.setattr("curriculum.plan.forecast", lambda folder: parts)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    words = ["v3", "--config", "smoke", "--results", str(tmp_path / "results"), "--plan", "--curriculum", "seed"]
    assert command.main(words) == 0
    out = capsys.readouterr().out
    (row,) = [line.split() for line in out.splitlines() if line.split()[:2] == ["8", "voice"]]
    assert row[2:5] == ["12", "27", "s"]  # 12 steps of 2 s, and 3 s until it is in final/
    assert "3.6 min in all" in out and "nothing was trained" in out
    assert command.main([*words, "--until", "Mon 07:00"]) == 0
    out = capsys.readouterr().out
    assert "until" in out and "Mon 06:5" in out and "neither max_steps nor a stage's own steps bind" in out
    assert list(tmp_path.iterdir()) == []


def test_the_speed_is_measured_where_the_text_is_scarce(course):
    run = course(*STAGES, words=(*LONG, "max_epochs=0.0001"))
    run.close()
    parts = forecast.measure(run.folder)
    assert parts["step"] > 0 and parts["ending"] > 0 and not (run.folder / "checkpoints").exists()


def test_time_before_a_new_deadline_was_given_is_not_called_lost():
    document = {"deadline": Deadline(9000.0, 9900.0).facts(), "first_stage": 0}
    keeper = new_timekeeper(document, FLAT, load_config("smoke"), lambda: 9010.0)
    assert keeper.load_state({"means": {}, "at": 1000.0}) == 10.0
