"""What a run leaves on record: every held-out loss, every look, one TensorBoard run, and the words for them."""

import json
from collections import Counter

import pytest
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


def _events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def _steps(events, tag):
    return [event.step for event in events.Scalars(tag)]


@pytest.fixture
def run(course):
    run = course(A, B, words=OUT_OF_PHASE)
    run.run()
    return run.folder


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
    events, rows = _events(run), _rows(run)
    assert [path.name[:6] for path in (run / "tensorboard").iterdir()] == ["events"]
    assert _steps(events, "loss") == [int(row["step"]) for row in rows]
    measured = [int(row["step"]) for row in rows if row["heldout_loss"]]
    assert _steps(events, "heldout_loss") == measured
    for source in MIX:
        assert _steps(events, f"heldout_average/{source}") == measured
        assert _steps(events, f"heldout_loss/{source}") == [0, 29, 58]
    weighted = sum(share * events.Scalars(f"heldout_average/{source}")[0].value for source, share in MIX.items())
    assert weighted == pytest.approx(float(rows[1]["heldout_loss"]), rel=1e-5)
    assert _steps(events, "gain") == _steps(events, "gain_error") == _steps(events, "strikes") == [24, 53]
    stage = [(event.step, event.value) for event in events.Scalars("stage")]
    assert (0, 1.0) in stage and (29, 1.0) in stage and (29, 2.0) in stage and stage[-1] == (58, 2.0)
    tags = set(events.Tags()["tensors"])
    assert {"verdict/text_summary", "stage_begins/text_summary", "stage_ends/text_summary"} <= tags
    assert "custom_scalars__config__" in tags


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
    events = _events(parts.folder)
    for tag in ("loss", "heldout_loss", "gain", "heldout_loss/sft", "heldout_average/sft"):
        assert Counter(_steps(events, tag)).most_common(1)[0][1] == 1, tag


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
