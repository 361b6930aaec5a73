"""A run that learns from corrections travels without them: said when it is packed, refused or continued elsewhere."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from ask_back import ask_back_corrections

from hamner import pack, sft, unpack
from hamner.config.errors import BadInput
from hamner.data.feedback import add_feedback, read_feedback_file
from hamner.runs.files import write_json
from hamner.training.finetuning_launch import prepare, resumed_run


@pytest.fixture(scope="module")
def unpacked(base_results, tmp_path_factory):
    """The results folder that `mini`, `first` and its pupil `second` were unpacked into, and the pupil's own files.

    The folder of before, and that of the corrections, are there no more.
    """
    place = tmp_path_factory.mktemp("travels")
    here, elsewhere = place / "here", place / "elsewhere"
    shutil.copytree(base_results / "curriculum", here / "curriculum")
    words = ["--results", str(here), "max_reply_tokens=100"]
    assert sft.main(["mini", "--data", "builtin", "--name", "first", *words, "max_steps=8"]) == 0
    for each in ask_back_corrections(51):
        add_feedback(place / "data" / "feedback", each)
    words = ["--results", str(here), "feedback_steps=6", "evaluations=3"]
    assert sft.main(["first", "--feedback", "--data", str(place / "data"), "--name", "second", *words]) == 0
    for run in ("curriculum/mini", "sft/first", "sft/second"):
        archive = place / f"{run.replace('/', '.')}.zip"
        assert pack.main([str(here / run), "--weights", "--out", str(archive)]) == 0
        assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0
    here.rename(place / "left")
    (place / "data").rename(place / "left_data")
    return elsewhere, place / "left" / "sft" / "second"


def _rows(folder):
    return {path.name: path.read_bytes() for path in (folder / "conversations").iterdir()}


def test_it_says_what_stays_and_packs_no_chat(unpacked, tmp_path, capsys):
    elsewhere, left = unpacked
    archive = tmp_path / "second.zip"
    assert pack.main([str(left), "--weights", "--out", str(archive)]) == 0
    assert "corrections.jsonl stays, for it holds somebody's chats" in capsys.readouterr().out
    with zipfile.ZipFile(archive) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    assert {"second/feedback.json", "second/conversations/conversations.json"} <= contents.keys()
    said = [each.message.encode() for each in read_feedback_file(left / "corrections.jsonl")]
    assert len(said) == 51 and not any(words in content for words in said for content in contents.values())
    assert unpack.main([str(archive), "--results", str(elsewhere), "--name", "third"]) == 0
    assert f"copy corrections.jsonl of the run that was packed into {elsewhere}" in capsys.readouterr().out


def test_elsewhere_it_is_refused_in_one_line_and_with_the_copied_file_it_has_the_same_rows(unpacked):
    elsewhere, left = unpacked
    run, lines = resumed_run(elsewhere, "second", None, None), []
    packed = _rows(run.folder)
    with pytest.raises(BadInput, match=r"never packed: copy corrections\.jsonl of the run .* --resume") as refusal:
        prepare(run, lines.append)
    assert len(refusal.value.problems) == 1 and _rows(run.folder) == packed
    changed = (left / "corrections.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run.folder / "corrections.jsonl").write_text("".join(changed[:-1]), encoding="utf-8")
    with pytest.raises(BadInput, match=r"conversations of feedback are not those .*: copy corrections\.jsonl of"):
        prepare(run, lines.append)
    assert _rows(run.folder) == packed and not run.folder.joinpath("conversations_again").exists()
    shutil.copy(left / "corrections.jsonl", run.folder)
    prepare(run, lines.append)  # the rows of its base are made again for it
    assert _rows(run.folder) == _rows(left)
    assert lines.count("they are those that the run has read") == 2
    prepare(run, lines.append)


def test_a_result_that_was_packed_is_shown_without_the_corrections(unpacked, capsys):
    elsewhere, _ = unpacked
    (elsewhere / "sft" / "second" / "corrections.jsonl").unlink(missing_ok=True)
    assert sft.main(["--resume", "--name", "second", "--results", str(elsewhere)]) == 0
    assert "corrections held out" in " ".join(capsys.readouterr().out.split())


def test_what_corrections_have_changed_has_a_format(unpacked, capsys):
    elsewhere, _ = unpacked
    path = elsewhere / "sft" / "second" / "feedback.json"
    before = path.read_bytes()
    assert json.loads(before)["format"] == 1
    write_json(Path(path), {"changes": []})
    path.write_bytes(before.replace(b'"format": 1', b'"format": 2', 1))
    assert sft.main(["--resume", "--name", "second", "--results", str(elsewhere)]) == 2
    assert "feedback.json has format 2, written by a newer Hamner" in capsys.readouterr().err
    path.write_bytes(before)
