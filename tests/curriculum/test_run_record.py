"""What a run's folder says of it, whole, killed, gone back or of an older version."""

from collections import Counter

import pytest
from recorded_runs import change, document, kill_in_stage, recorded_run

from curriculum.run_record import read_run
from hamner.config.errors import BadInput


def test_a_finished_run_has_its_stages_in_their_order_and_all_of_its_tokens(tmp_path):
    folder = recorded_run(tmp_path)
    run, records = read_run(folder), document(folder, "stages.json")["stages"]
    assert [(s.number, s.name, s.steps, s.tokens) for s in run.stages] == [
        (r["number"], r["stage"], r["steps"], r["tokens"]) for r in records
    ]
    assert {stage.state for stage in run.stages} == {"over"} and run.is_finished
    assert run.step == 920 and run.tokens == sum(r["tokens"] for r in records) == 942_080
    assert sum(stage.hours for stage in run.stages) == pytest.approx(run.hours) and run.hours == pytest.approx(
        0.12827, 1e-3
    )
    assert run.final_loss == (document(folder, "stages.json")["final"]["mixed"]["raw"], "on the last stage's mix")
    assert run.flops == pytest.approx(3.799e12, rel=1e-3)


def test_a_run_killed_in_its_third_stage_stands_there_and_a_torn_row_counts_for_nothing(tmp_path):
    folder = recorded_run(tmp_path)
    kill_in_stage(folder, 3, 260)
    run = read_run(folder)
    states = Counter(stage.state for stage in run.stages)
    present = next(stage for stage in run.stages if stage.state == "present")
    assert states == {"over": 2, "present": 1, "to come": 6} and present.label == "3 knowledge"
    assert run.step <= 260 and present.steps == run.step - 200 and len(run.samples) == 2
    assert not run.is_finished and run.final_loss[1] == "on the mix of knowledge"
    assert run.tokens == run.step * 1024


def test_stages_that_a_resume_gave_up_are_told_from_those_that_count(tmp_path):
    folder = recorded_run(tmp_path)

    def go_back(stages):
        again = {**stages["stages"][2], "checkpoint": "checkpoints/step_000000452", "steps": 84}
        stages["stages"][2]["abandoned"] = True
        left = {**stages["stages"][3], "abandoned": True, "reason": "left", "ended": "unfinished"}
        stages["stages"] = [*stages["stages"][:3], left, again]

    change(folder, "stages.json", go_back)
    run = read_run(folder)
    assert [(s.number, s.state) for s in run.stages][:5] == [
        *[(1, "over"), (2, "over"), (3, "abandoned"), (4, "abandoned"), (3, "over")]
    ]
    assert run.stages[4].steps == 84


def test_a_stage_that_a_deadline_left_no_time_for_stands_in_its_place(tmp_path):
    folder = recorded_run(tmp_path)
    change(folder, "stages.json", lambda stages: stages["stages"].pop(3))
    states = [(stage.number, stage.state) for stage in read_run(folder).stages]
    assert states[3] == (4, "no time") and Counter(state for _, state in states) == {"over": 8, "no time": 1}


@pytest.mark.parametrize("file", ["stages.json", "metrics.csv", "samples.jsonl", "skills.json", "run.log"])
def test_a_file_that_is_missing_or_broken_costs_its_own_part_alone(tmp_path, file):
    folder = recorded_run(tmp_path)
    whole = read_run(folder)
    (folder / file).write_bytes(b"\xff{")
    broken = read_run(folder)
    assert broken.is_finished and len(broken.stages) >= 9 and broken.model_name == "v3"
    assert (broken.tokens > 0) and (broken.rows == whole.rows or file == "metrics.csv")
    (folder / file).unlink()
    assert read_run(folder).step == broken.step


def test_a_run_of_an_older_version_has_what_it_recorded(tmp_path):
    folder = recorded_run(tmp_path)

    def older(stages):
        del stages["final"]
        for record in stages["stages"]:
            for key in ("ended", "started_at", "epochs", "left_out", "passed_over", "best", "forgotten", "checkpoint"):
                del record[key]

    change(folder, "stages.json", older)
    change(
        folder, "config.json", lambda config: [config.pop(key) for key in ("curriculum", "deadline", "who", "model")]
    )
    run = read_run(folder)
    assert [stage.last for stage in run.stages][-1] == 920 and run.stages[2].ended.startswith("at the limit of 3 %")
    assert run.flops is None and run.rows[5]["tokens_per_second"] > 0  # its column was called tokens_per_sec


def test_a_folder_without_a_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("[]")
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match=r"config\.json"):
            read_run(folder)
