"""Old runs stay readable: folders of every generation that is still read are reported, talked to, exported and resumed.

The folders lie in tests/old_runs/, each in the middle of its training. `0` is the oldest of them without its formats,
as runs were before there were any. What is resumed here in one process, the slow tests resume by the real commands,
to the end.
"""

import csv
import io
import json
import re
import shutil

import pytest
import torch
from stored_runs import GENERATIONS, NAME, as_before_formats, generations, raise_format, stored_run

from curriculum import run as curriculum_run
from curriculum.train_loop import CurriculumRun
from hamner import chat, export, report, sft
from hamner.config.errors import BadInput
from hamner.config.formats import FORMATS, FORMATS_BACK, KEY, OtherFormat
from hamner.data.corpus import Corpus
from hamner.inference.find_model import find_checkpoint, open_model
from hamner.runs.folders import step_folders
from hamner.training import checkpoint
from hamner.training.finetuning import FinetuningRun
from tournament import run as tournament
from tournament import status
from tournament.league_files import read_league_files

KINDS = ("tournament", "curriculum", "sft")
CONTESTANT = "v01_dense_small"


EVERY_RUN = pytest.mark.parametrize(
    ("kind", "generation"), [(kind, name) for kind in KINDS for name in ("0", *generations(kind))]
)


@pytest.fixture
def stored(tmp_path):
    """stored(kind, generation) -> a run of it in tmp_path/results."""

    def copied(kind, generation):
        folder = stored_run(tmp_path / "results", kind, GENERATIONS[0] if generation == "0" else generation)
        if generation == "0":
            as_before_formats(tmp_path / "results")
        return folder

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield copied
    torch.set_num_threads(before)


def _model(folder):
    """The folder of a model in a run's: of a league its contestant's."""
    return folder / CONTESTANT if folder.parent.name == "tournament" else folder


def _documents(folder):
    """Every JSON object of a kind that has formats."""
    for path in (path for path in folder.rglob("*.json") if path.name in FORMATS):
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            yield path, value


def test_of_every_file_a_run_of_the_present_format_is_kept(tmp_path):
    """Whoever raises a format adds a generation."""
    for kind in KINDS:
        *before, newest = [stored_run(tmp_path / name / kind, kind, name) for name in generations(kind)]
        numbers = {path.name: value[KEY] for path, value in _documents(newest)}
        present = {name: FORMATS[name] for name in numbers}
        assert len(numbers) > 3 and numbers == present, f"python tests/old_runs/make.py {kind}"
        for folder in before:
            assert all(0 < value[KEY] <= FORMATS[path.name] for path, value in _documents(folder))
    assert {value[KEY] for path, value in _documents(tmp_path) if path.name == "bracket.json"} == {1, 2}
    log = tmp_path / GENERATIONS[-1] / "tournament" / "tournament" / NAME / "bracket.jsonl"
    assert [json.loads(line)[KEY] for line in log.read_text().splitlines()] == [FORMATS[log.name]]


def test_the_stored_runs_are_small(tmp_path):
    for name in GENERATIONS:
        for kind in KINDS:
            if name in generations(kind):
                stored_run(tmp_path / name / kind, kind, name)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) / len(GENERATIONS) < 1.5e6  # the base of the fine-tuning twice


@EVERY_RUN
def test_it_is_reported(kind, generation, stored, capsys):
    folder = stored(kind, generation)
    assert report.main([str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    words = {
        "tournament": ("v01_dense_small", "v03_diffattn_small"),
        "curriculum": ("structure", "reasoning"),
        "sft": (NAME,),
    }
    assert all(word in page for word in words[kind]) and len(page) > 20_000


@EVERY_RUN
def test_it_is_talked_to(kind, generation, stored, capsys, monkeypatch):
    folder, replies = _model(stored(kind, generation)), []
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.StringIO("hello"))
        assert chat.main([str(folder), "--temperature", "0"]) == 0
        replies.append(capsys.readouterr().out)
    assert replies[0] == replies[1] and len(replies[0]) > 1


@EVERY_RUN
def test_it_is_exported(kind, generation, stored, tmp_path, capsys):
    folder = _model(stored(kind, generation))
    assert export.main([str(folder), "--out", str(tmp_path / "out")]) == 0
    before, after = find_checkpoint(folder).tensors("model"), open_model(tmp_path / "out").model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def _losses(folder):
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}


def _without_newest(folder):
    """Remove the newest checkpoint of a run; returns its step, and that of the one before."""
    before, newest = step_folders(folder / "checkpoints")[-2:]
    shutil.rmtree(newest)
    return int(newest.name[5:]), int(before.name[5:])


@pytest.mark.parametrize(
    ("kind", "generation"), [(kind, name) for kind in ("curriculum", "sft") for name in ("0", *generations(kind))]
)
def test_its_training_goes_on_with_the_losses_that_it_had(kind, generation, stored):
    """From the last checkpoint but one, the steps that were recorded come again."""
    folder = stored(kind, generation)
    expected = _losses(folder)
    newest, before = _without_newest(folder)
    steps = iter([False] * (newest - before - 1) + [True] * 1000)
    run = {"curriculum": CurriculumRun, "sft": FinetuningRun}[kind](folder, stop_requested=lambda: next(steps))
    run.run()
    again = {step: loss for step, loss in _losses(folder).items() if step > before}
    assert again and again == pytest.approx({step: expected[step] for step in again}, rel=1e-4)
    assert json.loads((folder / "checkpoints" / checkpoint.step_name(newest) / "state.json").read_text())[KEY] == 1


@pytest.mark.parametrize("generation", ["0", *generations("tournament")])
def test_where_a_league_stands_is_read(generation, stored, capsys):
    folder = stored("tournament", generation)
    files = read_league_files(folder)
    assert (
        files.problems == []
        and len(files.decided) == 1
        and sorted(files.contestants) == [CONTESTANT, "v03_diffattn_small"]
    )
    assert status.main([str(folder)]) == 0
    assert "round 2" in capsys.readouterr().out


REFUSED = {  # a file, whose next format these commands refuse
    ("tournament", "config.json"): (report, status),
    ("tournament", "bracket.json"): (report, status),
    ("tournament", "standings.json"): (report,),
    ("curriculum", "config.json"): (report,),
    ("curriculum", "stages.json"): (report,),
    ("curriculum", "skills.json"): (report,),
    ("sft", "config.json"): (report,),
}


@pytest.mark.parametrize(("kind", "name"), REFUSED)
def test_a_file_of_the_next_format_is_refused_by_commands_in_one_line(kind, name, tmp_path, capsys):
    folder = stored_run(tmp_path, kind)
    raise_format(folder / name)
    for command in REFUSED[kind, name]:
        assert command.main([str(folder)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        assert f"{name} has format {FORMATS[name] + 1}, written by a newer Hamner" in line, line


COMMANDS = {"tournament": tournament, "curriculum": curriculum_run, "sft": sft}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("tournament", name) for name in ("config.json", "bracket.json", "standings.json", "data/manifest.json")),
        *(("curriculum", name) for name in ("config.json", "stages.json", "skills.json", "data/manifest.json")),
        *(("sft", name) for name in ("config.json", "conversations/conversations.json", "data/manifest.json")),
        *((kind, "state.json") for kind in KINDS),
    ],
)
def test_a_resume_refuses_every_file_of_the_next_format_before_anything_is_started(kind, name, tmp_path, capsys):
    folder = stored_run(tmp_path, kind)
    path = next(folder.rglob("state.json")) if name == "state.json" else folder / name
    raise_format(path)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    words = ["v3"] if kind == "curriculum" else []
    assert COMMANDS[kind].main([*words, "--resume", "--name", NAME, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    newer = FORMATS[path.name] + 1
    assert error.startswith(f"error: {path} has format {newer}, written by a newer Hamner") and error.count("\n") == 1
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def test_a_checkpoint_of_the_next_format_is_refused_and_not_passed_over(tmp_path, capsys):
    folder = stored_run(tmp_path, "curriculum")
    newest = step_folders(folder / "checkpoints")[-1]
    raise_format(newest / "state.json")
    with pytest.raises(OtherFormat, match=r"state\.json has format 2, written by a newer Hamner"):
        checkpoint.newest(folder / "checkpoints")
    text = (newest / "state.json").read_text()
    (newest / "state.json").write_text(text.replace('"format": 2', '"format": 3'))  # a flipped bit is no newer format
    lines = []
    assert checkpoint.newest(folder / "checkpoints", lines.append).path == step_folders(folder / "checkpoints")[-2]
    assert "its own checksum does not agree" in lines[0]


def test_text_of_the_next_format_is_refused(tmp_path):
    folder = stored_run(tmp_path, "sft")
    raise_format(folder / "conversations" / "conversations.json")
    with pytest.raises(BadInput, match=r"conversations\.json has format 2"):
        FinetuningRun(folder)
    raise_format(folder / "data" / "manifest.json")
    with pytest.raises(BadInput, match=r"manifest\.json has format 2"):
        Corpus(folder / "data", "")


RESUMES = {"tournament": ("tournament",), "curriculum": ("curriculum.run", "v3"), "sft": ("hamner.sft",)}
LAST = {"tournament": "winner.json", "curriculum": "final", "sft": "finetuning.json"}


@pytest.mark.slow
@EVERY_RUN
def test_the_real_command_resumes_it_to_the_end(kind, generation, stored, commands, tmp_path):
    folder = stored(kind, generation)
    older = {path.name for path, value in _documents(folder) if value.get(KEY, 0) < FORMATS[path.name]}
    module, *words = RESUMES[kind]
    done = commands.run(module, *words, "--resume", "--name", NAME, "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / LAST[kind]).exists()
    said = ", ".join(re.findall(r"was begun by an older Hamner: (.*) read in", done.stdout))
    assert set(filter(None, said.split(", "))) == older and ("bracket.json" in older) == (
        kind == "tournament" and generation != GENERATIONS[-1]
    )
    for path, value in _documents(folder):
        assert FORMATS[path.name] - FORMATS_BACK.get(path.name, 1) <= value.get(KEY, 0) <= FORMATS[path.name], path
