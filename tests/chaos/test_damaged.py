"""Damaged files: a resume falls back aloud or stops with the way on, and trains on to the numbers that it had."""

import io
import json
import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from damaged import DAMAGED, DAMAGES, NAME, READERS, copy_of, flip_a_bit, present_run
from faults import cut_short, flip_bit
from outcomes import WAYS_ON
from resumed import trained

from curriculum import run as curriculum_run
from curriculum.run_logger import FIELDS
from hamner import chat, sft
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import append_json_line, drop_json_lines_after, file_sha256, read_json
from hamner.runs.folders import step_folders
from hamner.runs.metrics import DAMAGED as KEPT_ASIDE
from hamner.runs.metrics import Metrics, read_metrics
from hamner.runs.resume_log import StepFile
from hamner.training import checkpoint
from tournament import run as tournament
from tournament.budget import budgets
from tournament.entrants import entrants, flops_per_token
from tournament.training import Training

KINDS = ("tournament", "curriculum", "sft")
FLIPS = 2  # of each file and each kind of flip; twenty in the slow form
CONTESTANT = "v01_dense_small"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """kind -> a run in the middle of its training, as the present version writes it; not to be changed."""
    return {kind: present_run(tmp_path_factory.mktemp(kind) / "results", kind) for kind in KINDS}


def _read_files(folder: Path):
    """Files by which a resume is decided, beside checkpoints: of a fine-tuning also the text of its base."""
    patterns = ("config.json", "bracket.json", "*/documents_*.json", "data/*", "conversations/*", "stages.json")
    for pattern in (*patterns, "standings.json"):
        yield from (path for path in sorted(folder.glob(pattern)) if path.name != "tokenizer_config.json")
    if folder.parent.name == "sft":
        yield from sorted((folder.parents[1] / "curriculum" / folder.name / "data").glob("*.bin"))


def _what_came(kind: str, folder: Path, path: Path, expected) -> str:
    """What came of a damaged file: "" for the same numbers or a refusal with the way on, else what is wrong."""
    lines: list[str] = []
    try:
        numbers = READERS[kind](folder, lines.append)
    except BadInput as error:
        if len(error.problems) == 1 and "\n" not in str(error) and WAYS_ON.search(str(error)):
            return ""
        return f"refused without the way on: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    text = json.dumps(numbers).replace(str(folder.parents[1]), "RESULTS")
    return "" if text == expected else f"other numbers, said: {lines}"


def _damage_all(kind: str, stored: Path, place: Path, flips: int) -> int:
    """Damage every file that a resume reads in every way, each in a copy; returns how many. Fails for what is wrong."""
    expected = json.dumps(READERS[kind](stored, pytest.fail)).replace(str(stored.parents[1]), "RESULTS")
    problems, count = [], 0
    for path in _read_files(stored):
        turns = flips if path.suffix == ".json" else max(1, flips // 4)
        is_long = path.suffix == ".bin" and flips == FLIPS  # each time the text is prepared again
        for name, change in ((name, DAMAGES[name]) for name in (("emptied", "a bit flipped") if is_long else DAMAGES)):
            for turn in range(1 if name == "emptied" else turns):
                folder = copy_of(stored, place)
                damaged = place / path.relative_to(stored.parents[1])
                change(damaged, random.Random(f"{path.name}/{name}/{turn}"))
                if problem := _what_came(kind, folder, damaged, expected):
                    problems.append(f"{path.relative_to(stored.parents[1])} {name}, {turn}: {problem}")
                shutil.rmtree(place)
                count += 1
    assert not problems, "\n".join(problems)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_to_a_file_that_a_resume_reads_changes_a_number_or_ends_in_a_traceback(kind, stored, tmp_path):
    assert _damage_all(kind, stored[kind], tmp_path / "copy", FLIPS) > 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nor_do_hundreds(kind, stored, tmp_path):
    assert _damage_all(kind, stored[kind], tmp_path / "copy", 20) > 300


@pytest.mark.mended("a flipped bit in a shard")
def test_a_damaged_shard_of_a_run_is_prepared_again_aloud(stored, tmp_path):
    folder, lines = copy_of(stored["curriculum"], tmp_path / "copy"), []
    expected = READERS["curriculum"](stored["curriculum"], pytest.fail)
    shard = next((folder / "data").glob("*.train.bin"))
    before = file_sha256(shard)
    flip_bit(shard)
    assert READERS["curriculum"](folder, lines.append) == expected and file_sha256(shard) == before
    assert lines[0] == f"{shard}: damaged or missing; preparing the text again"
    assert lines[-1] == "the text is the one that the run has read: the same bytes"


def test_the_text_of_a_finetunings_base_is_prepared_again_too(stored, tmp_path):
    folder, lines = copy_of(stored["sft"], tmp_path / "copy"), []
    shard = next((tmp_path / "copy" / "curriculum" / NAME / "data").glob("*.heldout.bin"))
    before = file_sha256(shard)
    cut_short(shard, 0.9)
    READERS["sft"](folder, lines.append)
    assert file_sha256(shard) == before and lines[0] == f"{shard}: damaged or missing; preparing the text again"


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_to_a_checkpoint_is_noticed_and_the_one_before_is_used(kind, stored, tmp_path):
    folder = stored[kind] / CONTESTANT if kind == "tournament" else stored[kind]
    *_, before, newest = [None, *step_folders(folder / "checkpoints")]
    for path in sorted(newest.iterdir()):
        for name, change in DAMAGES.items():
            for turn in range(4):
                place = tmp_path / "checkpoints"
                shutil.copytree(folder / "checkpoints", place)
                change(place / newest.name / path.name, random.Random(f"{path.name}/{name}/{turn}"))
                lines: list[str] = []
                found = checkpoint.newest(place, lines.append, complete=True)
                whole = before if lines else newest
                assert (found and found.path.name) == (whole and whole.name), (path.name, name, turn, lines)
                assert all("using the one before" in line for line in lines)
                content = (place / newest.name / path.name).read_bytes()
                if not lines:  # a flipped space of the JSON
                    assert path.name == "state.json" and json.loads(content) == json.loads(path.read_bytes())
                shutil.rmtree(place)


@pytest.mark.parametrize("kind", ["curriculum", "sft"])
def test_a_run_whose_newest_checkpoint_is_damaged_comes_to_the_same_weights(kind, stored, tmp_path):
    here = copy_of(stored[kind], tmp_path / "here")
    for _ in range(2):  # both checkpoints are of this machine: on another processor numbers differ in their last digits
        trained(here, 2)
    (here / "resume.jsonl").unlink()  # of these two
    whole, damaged = (copy_of(here, tmp_path / name) for name in ("whole", "damaged"))
    before, newest = step_folders(damaged / "checkpoints")[-2:]
    flip_bit(newest / "optimizer.safetensors")
    redone = int(newest.name[5:]) - int(before.name[5:])
    rows, weights, _ = trained(whole, 4)
    other_rows, other_weights, lines = trained(damaged, 4 + redone)
    assert (other_rows, other_weights) == (rows, weights) and len(rows) >= 20
    assert sum("optimizer.safetensors is missing or was altered; using the one before" in line for line in lines) == 1
    (note,) = (json.loads(line) for line in (damaged / "resume.jsonl").read_text().splitlines())
    assert (note["step_found"], note["steps_redone"]) == (int(before.name[5:]), redone)


def _damage_only_checkpoint(league: Path) -> None:
    (only,) = step_folders(league / CONTESTANT / "checkpoints")
    cut_short(only / "model.safetensors")


def _play(league: Path, steps: int):
    """A contestant trained to so many steps: losses and rows, and what was said."""
    config, run = parse(Config, read_json(league / "config.json")["config"], "config.json"), league / CONTESTANT
    players = entrants(config)
    budget = budgets(config, flops_per_token(config, players))[CONTESTANT]
    training = Training(config, league, run, players[CONTESTANT], 0, budget, 3e-4 * config.lr_scale)
    while training.trainer.step_count < steps:
        training.advance(int(steps > budget.steps[0]))
    training.session.wait()
    grid = [(step, loss) for step, _, loss in training.progress.grid]
    rows = {int(row["step"]): (row["round"], row["loss"]) for row in read_metrics(run)}
    numbers, lines = (training.progress.start_loss, training.progress.losses, grid, rows), training.take_lines()
    training.close()
    return numbers, lines


@pytest.mark.mended("the only checkpoint of a contestant is damaged")
def test_a_contestant_whose_only_checkpoint_is_damaged_says_so_and_plays_its_rounds_again(stored, tmp_path):
    here = copy_of(stored["tournament"], tmp_path / "here")
    _damage_only_checkpoint(here)  # begun again, its numbers are those of this machine's processor
    _play(here, 6)
    whole, damaged = (copy_of(here, tmp_path / name) for name in ("whole", "damaged"))
    _damage_only_checkpoint(damaged)
    (expected, _), (found, lines) = _play(whole, 30), _play(damaged, 30)
    run = damaged / CONTESTANT
    assert found == expected and sorted(expected[3]) == list(range(1, 31))
    assert "model.safetensors is missing or was altered" in lines[0]
    assert lines[1] == f"no checkpoint in {run / 'checkpoints'} is whole: its run begins again at step 0"


@pytest.mark.mended("damaged rows of metrics.csv")
@pytest.mark.parametrize("change", DAMAGES)
def test_damaged_metrics_lose_rows_aloud_and_keep_no_other_number(change, stored, tmp_path):
    folder = copy_of(stored["curriculum"], tmp_path / "copy")
    Metrics(folder, FIELDS, resume_step=18, every=1, say=pytest.fail)  # the present version adds checksums
    before = {row["step"]: row for row in read_metrics(folder)}
    assert len(before) == 18
    for turn in range(12):
        content = (folder / "metrics.csv").read_bytes()
        DAMAGES[change](folder / "metrics.csv", random.Random(turn))
        lines: list[str] = []
        Metrics(folder, FIELDS, resume_step=18, every=1, say=lines.append)
        after = {row["step"]: row for row in read_metrics(folder)}
        assert all(row == before[step] for step, row in after.items()), lines
        if len(after) < 18:
            assert len(lines) == 1 and lines[0].startswith(f"{folder / 'metrics.csv'} is damaged: ")
            assert (folder / KEPT_ASIDE).is_file() == (change != "emptied" or turn > 0) or "empty" in lines[0]
        (folder / "metrics.csv").write_bytes(content)
        Metrics(folder, FIELDS, resume_step=18, say=lambda line: None)


@pytest.mark.parametrize("change", DAMAGES)
def test_small_notes_that_are_damaged_cost_themselves_and_nothing_else(change, tmp_path):
    steps, samples = StepFile(tmp_path, 3), tmp_path / "samples.jsonl"
    for turn in range(12):
        rng = random.Random(turn)
        steps.mark(20)
        DAMAGES[change](tmp_path / ".step", rng)
        StepFile(tmp_path, 3).log_resume(tmp_path / "resume.jsonl", 18)
        for step in (5, 10, 15):
            append_json_line(samples, {"step": step, "text": "\u2028 ümlaut"})
        DAMAGES[change](samples, rng)
        drop_json_lines_after(samples, 12)
        append_json_line(samples, {"step": 13})
        assert json.loads(samples.read_text(encoding="utf-8", errors="replace").splitlines()[-1]) == {"step": 13}
        samples.unlink()
        steps.close()
        steps = StepFile(tmp_path, 3)


@pytest.mark.mended("half a line at the end of a file of lines")
def test_a_line_that_was_cut_short_does_not_take_the_next_one_with_it(tmp_path):
    path = tmp_path / "resume.jsonl"
    append_json_line(path, {"a": 1})
    cut_short(path, 0.7)
    append_json_line(path, {"b": 2})
    assert path.read_text().splitlines()[1:] == ['{"b": 2}']


REFUSED = {  # what is damaged: its kind, the command that meets it
    "config.json": ("sft", sft, ()),
    "bracket.json": ("tournament", tournament, ()),
    "data/manifest.json": ("curriculum", curriculum_run, ("v3",)),
}


@pytest.mark.mended("a flipped digit in config, ledger or manifest")
@pytest.mark.parametrize("name", REFUSED)
def test_the_commands_refuse_it_in_one_line_before_anything_is_started(name, stored, tmp_path, capsys):
    kind, command, words = REFUSED[name]
    folder = copy_of(stored[kind], tmp_path / "copy")
    text = (folder / name).read_text()
    key = {"config.json": "batch_size", "bracket.json": "heldout_loss", "data/manifest.json": "tokens"}[name]
    digit = re.search(rf'"{key}": \D*(\d)', text).start(1)
    (folder / name).write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert command.main([*words, "--resume", "--name", NAME, "--results", str(tmp_path / "copy")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line.startswith(f"error: {folder / name} was altered since it was written") and "restore it from a copy" in line
    )
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.mended("a league without its ledger")
def test_a_league_that_lost_its_ledger_does_not_begin_anew(stored, tmp_path, capsys):
    folder = copy_of(stored["tournament"], tmp_path / "copy")
    (folder / "bracket.json").unlink()
    assert tournament.main(["--resume", "--name", NAME, "--results", str(tmp_path / "copy")]) == 2
    assert "its bracket.json is gone, without which it would begin anew: restore it" in capsys.readouterr().err


def test_a_damaged_model_is_not_replaced_by_another_one_without_being_asked(stored, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello"))
    folder = copy_of(stored["curriculum"], tmp_path / "copy")
    newest = step_folders(folder / "checkpoints")[-1]
    shutil.copytree(newest, folder / "final")
    flip_a_bit(folder / "final" / "model.safetensors", random.Random(0))
    assert chat.main([str(folder)]) == 2
    line = capsys.readouterr().err
    assert f"model.safetensors is missing or was altered; restore it from a copy, or use {newest}" in line


def test_every_fault_of_the_table_has_its_own_name():
    names = [(fault.name, fault.pipelines) for fault in DAMAGED]
    assert len(names) == len(set(names)) > 80
