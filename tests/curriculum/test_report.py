"""The report of a curriculum: its numbers are the run's, whatever state the run is in and whatever it is called."""

import json
import re
import shutil
import time

import pytest
from page_reader import Page
from recorded_runs import change, document, kill_in_stage, recorded_run

from curriculum import report
from curriculum.report_files import report_kept, write_run_report
from curriculum.report_lead import lead, summary
from curriculum.report_sections import curriculum_report
from curriculum.run_record import read_run
from hamner.reports.html import report_html

EVIL = "<script>alert(1)</script>\"'&amp;" + "x" * 170
ESCAPES = "\x1b[2J<b>bold</b>\r\u202e\x07 end"


def page_of(folder):
    return Page(report_html(curriculum_report(read_run(folder))))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return recorded_run(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def page(finished):
    return page_of(finished)


def test_the_sentence_says_what_was_trained_why_the_stages_ended_the_loss_and_what_was_forgotten(finished):
    words = lead(read_run(finished))
    reasons = [record["reason"] for record in document(finished, "stages.json")["stages"]]
    for text in (
        *("v3 was trained through 9 stages (flat)", f"{reasons.count('cap')} ended at the cap of steps"),
        *(f"{reasons.count('plateau')} at the limit of 3 % a window", f"{reasons.count('steps')} at a fixed length"),
        *("held-out loss 3.795", "forgotten: the skill counting 1"),
    ):
        assert text in words, text
    shown = page_of(finished).text
    caps = reasons.count("cap")
    for text in (
        *("How it came out 3.795", "How sure one run", "What it cost 7.7 min 942,080 tokens"),
        *(f"What went wrong {caps} of 9 stages ended before a plateau", "more steps (max_steps)", "hamner sft flat"),
    ):
        assert text in shown[: shown.index("The stages")], text
    assert summary(read_run(finished)).cost == "7.7 min, 942,080 tokens, 3.8e12 FLOPs"


def test_every_number_of_the_stages_is_that_of_the_runs_files(finished, page):
    records = document(finished, "stages.json")["stages"]
    rows = page.table("left the mix")[1:]
    assert [[row[0], row[1], row[2], row[8]] for row in rows] == [
        [f"{r['number']} {r['stage']}", f"{r['steps']:,}", f"{r['tokens']:,}", str(r["skills_above_chance"])]
        for r in records
    ]
    assert [row[4] for row in rows] == [r["ended"] for r in records]
    assert [row[7] for row in rows] == [", ".join(r["forgotten"]) or "—" for r in records]


def test_every_loss_and_every_epoch_is_that_of_the_runs_files(finished, page):
    records = document(finished, "stages.json")["stages"]
    losses = page.table("after stage")
    for row, record in zip(losses[1:], records, strict=False):
        shown = [float(re.match(r"[\d.]+", cell)[0]) for cell in row[1:]]
        assert shown == [round(record["heldout_loss"][name], 3) for name in losses[0][1:]]
    assert losses[-1][0] == "9 anneal, on text it read" and len(losses) == 11
    epochs = page.table("source")
    for row in epochs[1:]:
        assert int(row[1].replace(",", "")) == sum(r["rows"][row[0]] for r in records) * 128
        expected = [f"{r['epochs'][row[0]]:.2f}" if row[0] in r["epochs"] else "—" for r in records]
        assert row[2:] == expected


def test_every_look_is_that_of_metrics_csv_and_every_skill_that_of_skills_json(finished, page):
    run, skills = read_run(finished), document(finished, "skills.json")
    looks = [table for table in page.tables if table[0][0] == "step of the stage"]
    assert len(looks) == 9
    for table, stage in zip(looks, run.stages, strict=True):
        assert [row[:3] + row[4:] for row in table[1:]] == [
            [
                f"{row.step - stage.first:,}",
                f"{100 * row['gain']:.2f}",
                f"{100 * row['gain_error']:.2f}",
                f"{row['strikes']:.1f}",
            ]
            for row in stage.looks
        ]
    choice, exact = (table for table in page.tables if table[0][0] == "skill")
    for table, kind in ((choice, "choice"), (exact, "exact_match")):
        for row in table[1:-1]:
            cell = next(name for name in skills["stages"][0][kind] if row[0].startswith(name))
            assert row[2:] == [f"{100 * stage[kind][cell]:.0f}" for stage in skills["stages"]]
        assert table[-1][2:] == [str(len(stage[f"{kind}_above_chance"])) for stage in skills["stages"]]


def test_what_was_forgotten_is_what_skills_json_has(finished, page):
    drops = [drop for of_stage in document(finished, "skills.json")["drops"] for drop in of_stage]
    rows = page.table("best after")[1:]
    assert len(rows) == len(drops) > 2
    for row, drop in zip(rows, drops, strict=True):
        assert row[:4] == [drop["stage"], drop["skill"], drop["kind"], drop["best_stage"]]
        numbers = (drop["best"], drop["now"], drop["standard_error"])
        best, now, error = (f"{number:.3f}" for number in numbers)
        assert row[4:] == [best, now, f"{drop['now'] - drop['best']:+.3f}", error]


def test_the_report_is_small_written_alike_twice_and_in_the_index(tmp_path):
    folder = recorded_run(tmp_path)
    path = write_run_report(folder)
    names = [*folder.glob("report*"), tmp_path / "index.html"]
    before = {name: name.read_bytes() for name in names}
    assert len(names) == 11 and path.stat().st_size < 400_000
    began = time.process_time()
    write_run_report(folder)
    assert time.process_time() - began <= 5
    assert {name: name.read_bytes() for name in names} == before
    index = Page((tmp_path / "index.html").read_text())
    assert "held-out loss 3.795" in index.text and any(
        a.get("href") == "curriculum/flat/report.html" for _, a in index.tags
    )
    markdown = (folder / "report.md").read_text()
    assert {f"({name})" for name in re.findall(r"report_[\w-]+\.png", markdown)} == {
        f"({path.name})" for path in folder.glob("*.png")
    }


def test_a_run_killed_in_its_third_stage_says_where_it_stands_and_how_to_go_on(tmp_path):
    folder = recorded_run(tmp_path)
    kill_in_stage(folder, 3, 260)
    page = page_of(folder)
    assert "Not finished: v3 has 2 of 9 stages (flat) behind it, and stands at step 60 of 3 knowledge" in page.text
    assert f"curriculum run v3 --resume --name flat --results {tmp_path}" in page.text
    assert [row[4] for row in page.table("left the mix")[1:]][2:] == ["in training", *["to come"] * 6]


@pytest.mark.parametrize("name", ["joint", "shuffled"])
def test_a_control_says_whose_tokens_it_read_and_is_repeated_so(tmp_path, name):
    folder = recorded_run(tmp_path, name)
    change(folder, "config.json", lambda config: config["curriculum"].update(name=name, like="flat"))
    text = page_of(folder).text
    assert f"stages ({name}, the tokens of flat)" in text
    assert f"--curriculum {name} --like flat --name {name}-again" in text and "curriculum compare flat" in text


def test_a_run_with_a_deadline_says_how_well_it_was_kept(tmp_path):
    folder = recorded_run(tmp_path)
    times = {"began_at": "2026-11-29T07:00:00+01:00", "ends_at": "2026-11-29T19:30:00+01:00"}
    change(folder, "config.json", lambda config: config.update(deadline=times))
    change(folder, "stages.json", lambda stages: stages["final"].update(deadline=times | {"missed_by": -0.0123}))
    text = page_of(folder).text
    assert "Deadline 2026-11-29 19:30 finished 1.2% of the hours early" in text and "--hours 12.5" in text


def test_what_resumes_did_and_changed_is_said_and_repeated(tmp_path):
    folder = recorded_run(tmp_path)
    request = {"step": 284, "stage": 2, "keep_weights": True, "skip_batches": 0, "learning_rate_scale": 0.5}
    changed = {"step": 100, "key": "curriculum.max_steps", "before": 60, "now": 100}
    change(folder, "config.json", lambda config: config.update(interventions=[request], changes=[changed]))
    (folder / "resume.jsonl").write_text('{"time": 1795979045.9, "step_found": 250, "steps_redone": 7}\n{"time"')
    text = page_of(folder).text
    for words in (
        "resumed at step 250, 7 steps done again (2026-11-29 19:04 UTC)",
        "at step 284: back to stage 3 with the newest weights, the learning rate times 0.5",
        "curriculum.max_steps was 60 until step 100, then 100",
        "--resume --name flat-again",
        "--stage 3 --keep-weights --learning-rate-scale 0.5",
        "1 interruption",
    ):
        assert words in text, words


def test_names_and_samples_stay_text(tmp_path):
    folder = recorded_run(tmp_path)

    def rename(stages):
        record = stages["stages"][8]
        record["stage"] = EVIL
        record["heldout_loss"][EVIL] = 1.25
        record["left_out"] = [{"source": EVIL, "stage_step": 3}]

    change(folder, "stages.json", rename)
    change(folder, "config.json", lambda config: config.update(name=EVIL, who=EVIL))
    line = json.dumps({"step": 920, "stage": EVIL, "samples": {EVIL: ESCAPES, "prompt": "</td></table><img src=x>"}})
    (folder / "samples.jsonl").write_text(line + "\n")
    page = page_of(folder)
    page.check_self_contained()
    assert EVIL in page.text and "<b>bold</b>" in page.text and "</td></table><img src=x>" in page.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", page.text)


def test_a_page_that_nothing_was_trained_for_says_so(tmp_path):
    folder = recorded_run(tmp_path)
    for path in folder.iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(folder)
    assert "v3: no step is trained yet." in page.text and len(page.table("left the mix")) == 10


def test_the_command_writes_the_newest_run_or_the_one_it_is_given(tmp_path, capsys):
    folder = recorded_run(tmp_path)
    assert report.main(["--results", str(tmp_path)]) == 0
    assert f"report: {folder / 'report.html'}\n" in capsys.readouterr().out
    (folder / "report.html").unlink()
    assert report.main([str(folder)]) == 0 and (folder / "report.html").is_file()
    assert report.main(["flad", "--results", str(tmp_path)]) == 2
    assert "no curriculum run 'flad'" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_one_line_and_stops_nothing(tmp_path, capsys):
    folder = recorded_run(tmp_path)
    (folder / "report.json").mkdir()
    with report_kept(folder):
        done = True
    lines = capsys.readouterr().err.splitlines()
    assert done and len(lines) == 1 and lines[0].startswith("the report was not written: ")


@pytest.mark.slow
def test_beside_a_run_the_report_is_written_after_each_stage(tmp_path):
    folder = recorded_run(tmp_path)
    page = folder / "report.html"
    kill_in_stage(folder, 3, 260)
    with report_kept(folder):
        assert not page.exists()
        change(folder, "stages.json", lambda stages: None)
        end = time.monotonic() + 500  # a process that yields to all others may wait long
        while not page.is_file() and time.monotonic() < end:
            time.sleep(0.05)
        assert "2 of 9 stages" in page.read_text()
        (folder / "final").mkdir()
    assert "was trained through" in page.read_text()
