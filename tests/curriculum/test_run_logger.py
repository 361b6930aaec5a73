"""What a run leaves on record: every held-out loss, every look, one TensorBoard run, and the words for them."""

import json

import pytest
from event_files import Events, rises
from run_files import rows_of as _rows

from curriculum.endings import ending_words, look_columns, look_line, look_words, short_ending
from curriculum.plateau import Look
from curriculum.stages import Stage
from hamner.config.load import load_config
from hamner.config.schema import Plateau

MIX = {"synthetic": 0.3, "tinystories": 0.4, "sft": 0.3}
A, B = (Stage(name=name, mix=MIX, learning_rate=3e-4) for name in "ab")
# as in the config laptop: an evaluation every 3 steps, a window of 12, a row every 10, stages that end out of phase
OUT_OF_PHASE = (
    *("evaluate_every=3", "window_steps=12", "windows=2", "log_every=10", "max_steps=29"),
    *("curriculum.plateau.strikes=1000", "after_rising_loss=last"),
)


BORDERS = [0, 29, 58]


@pytest.fixture(scope="module")
def folders():
    return []


@pytest.fixture
def run(course, folders):
    """The folder of a run that all tests here read."""
    if not folders:
        run = course(A, B, words=OUT_OF_PHASE)
        run.run()
        folders.append(run.folder)
    return folders[0]


def test_every_held_out_loss_has_a_row_in_phase_with_log_every_or_not(run):
    """Rows at multiples of log_every alone had one of these 18: of step 50, which is step 21 of stage b."""
    rows = _rows(run)
    first, second = {1, 29, *range(3, 29, 3), 10, 20}, {30, 58, *range(32, 58, 3), 40, 50}
    assert [int(row["step"]) for row in rows] == [*sorted(first), *sorted(second)]
    measured = [(row["phase"], int(row["stage_step"])) for row in rows if row["heldout_loss"]]
    assert measured == [(name, step) for name in "ab" for step in range(3, 29, 3)]


def test_every_look_is_in_its_row_as_it_is_in_the_log(run):
    looks = [row for row in _rows(run) if row["verdict"]]
    assert [(row["phase"], row["stage_step"]) for row in looks] == [("a", "24"), ("b", "24")]
    for row in looks:
        line = look_line(
            Look(24, float(row["gain"]), float(row["gain_error"]), row["verdict"], float(row["strikes"])),
            row["phase"],
            load_config("smoke", OUT_OF_PHASE, "curriculum").curriculum.plateau,
            counts=True,
        )
        assert f"  {line}\n" in (run / "run.log").read_text()


def test_one_tensorboard_run_holds_the_curve_the_sources_and_the_borders(run):
    events, rows = Events(run / "tensorboard"), _rows(run)
    assert [path.name[:6] for path in (run / "tensorboard").iterdir()] == ["events"] and events.runs() == ["."]
    assert events.steps("train/loss") == [int(row["step"]) for row in rows]
    measured = [int(row["step"]) for row in rows if row["heldout_loss"]]
    for source in MIX:
        assert events.steps(f"heldout/of_sources/{source}") == measured
        assert events.steps(f"heldout/of_sources_at_borders/{source}") == BORDERS
    weighted = sum(share * events.points(f"heldout/of_sources/{source}")[0][1] for source, share in MIX.items())
    assert weighted == pytest.approx(float(rows[1]["heldout_loss"]), rel=1e-5)
    at_borders = [dict(events.points(f"heldout/of_sources_at_borders/{source}")) for source in MIX]
    for step, mean in events.points("heldout/all_sources"):
        assert mean == pytest.approx(sum(losses[step] for losses in at_borders) / len(MIX), rel=1e-5)
    stage = events.points("stage/number")
    assert [step for step, number in stage if number == 1][-1] == 29 and [n for step, n in stage if step == 30] == [2]
    assert events.steps("stage/begins") == [1, 30] and events.steps("stage/ends") == [29, 58]
    assert "custom_scalars__config__" in events.tags() and events.steps("skills/matrix") == [29, 58]
    prompts = [tag for tag in events.tags() if tag.startswith("samples/")]
    assert len(prompts) == 7 and all(events.steps(tag)[-1] == 58 for tag in prompts)


def test_the_loss_of_each_stage_is_a_quantity_of_its_own_and_the_gain_is_beside_its_limit(run):
    """The held-out loss is of the stage's mix: as one curve it would jump at borders as if something were forgotten."""
    events, rows = Events(run / "tensorboard"), _rows(run)
    assert "heldout/loss" not in events.tags()
    for number, name in enumerate("ab", start=1):
        recorded = [
            (int(r["step"]), float(r["heldout_loss"])) for r in rows if r["heldout_loss"] and r["phase"] == name
        ]
        drawn = events.points(f"heldout/loss/{number}_{name}")
        assert [step for step, _ in drawn] == [step for step, _ in recorded]
        assert [loss for _, loss in drawn] == pytest.approx([loss for _, loss in recorded], rel=1e-5)
    for tag in ("gain", "gain_error", "strikes", "limit", "verdict"):
        assert events.steps(f"plateau/{tag}") == [24, 53]
    limit = load_config("smoke", OUT_OF_PHASE, "curriculum").curriculum.plateau.go_on_gain
    assert [value for _, value in events.points("plateau/limit")] == pytest.approx([limit, limit])


def test_after_a_kill_no_row_and_no_point_is_there_twice(course, run):
    whole, columns = _rows(run), ("step", "phase", "heldout_loss", "gain", "gain_error", "verdict", "strikes")

    class Killed(BaseException):
        pass

    def kill(step):
        if step == 44:
            raise Killed

    parts = course(A, B, words=(*OUT_OF_PHASE, "checkpoint_every=20"), name="parts", on_batch=kill)
    with pytest.raises(Killed):
        parts.run()
    assert int(_rows(parts.folder)[-1]["step"]) == 44
    course(name="parts").run()
    assert [[row[key] for key in columns] for row in _rows(parts.folder)] == [
        [row[key] for key in columns] for row in whole
    ]
    events = Events(parts.folder / "tensorboard")
    assert events.tags() == Events(run / "tensorboard").tags()
    for tag in events.tags():
        assert rises(events.steps(tag)), tag


@pytest.mark.slow
def test_after_five_kills_the_points_are_those_of_a_run_that_nothing_stopped(course, run):
    """Among them kills before the first checkpoint, and right after a border's."""

    class Killed(BaseException):
        pass

    for at in (5, 27, 31, 44, 57):

        def kill(step, at=at):
            if step == at:
                raise Killed

        parts = course(A, B, words=(*OUT_OF_PHASE, "checkpoint_every=10"), name="parts", on_batch=kill)
        with pytest.raises(Killed):
            parts.run()
        parts.close()
    course(name="parts").run()
    whole, events = Events(run / "tensorboard"), Events(parts.folder / "tensorboard")
    assert events.tags() == whole.tags()
    for tag in events.tags():
        assert events.steps(tag) == whole.steps(tag) and rises(events.steps(tag)), tag


FINE, COARSE = Plateau(), load_config("laptop").curriculum.plateau


def test_a_stage_ends_on_a_plateau_only_where_the_limit_is_fine():
    assert ending_words("plateau", FINE) == "on a plateau, under 0.5 % a window of 1000 steps"
    assert ending_words("plateau", COARSE) == "at the limit of 3 % a window of 12 steps"
    assert (short_ending("plateau", FINE), short_ending("plateau", COARSE)) == ("plateau", "limit 3 %")
    recorded = COARSE.model_copy(update={"rule": "recorded"})  # which compares with done_gain
    assert ending_words("plateau", recorded) == "at the limit of 1 % a window of 12 steps"


def test_looks_and_endings_share_their_words():
    look = Look(24, 0.0123, 0.004, "done", 2)
    assert look_columns(look) == {"gain": 0.0123, "gain_error": 0.004, "verdict": "plateau", "strikes": 2}
    assert look_columns(None) == {}
    line = "talk step 24: gain 1.23 ± 0.40 % a window: under 3 % a window"
    assert look_line(look, "talk", COARSE, counts=False) == line
    assert look_line(look, "talk", COARSE, counts=True) == f"{line}, strikes 2.0 of {COARSE.strikes}"
    assert look_words("a new one", FINE) == "a new one" and ending_words("other", FINE) == "by other"


def test_a_record_says_how_its_stage_ended(run):
    first, _ = json.loads((run / "stages.json").read_text())["stages"]
    assert (first["reason"], first["ended"]) == ("cap", "at the cap of steps, without a plateau")
    assert first["forgotten"] == {}
