"""Run folders: the newest run, names and places that cannot be, a start that failed."""

import json
import os

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.runs.files import read_json, write_text
from hamner.runs.folders import open_run, results_folder, resume_command, runs, step_folders, write_config

CONFIG = load_config("smoke")
FACTS = {"kind": "tournament"}


def _runs(results, *names):
    """Runs begun one after the other."""
    for name in names:
        write_config(results / "tournament" / name, CONFIG, FACTS)


@pytest.mark.mended("cases/commands/newest.py")
def test_the_newest_run_is_that_which_says_so_whatever_the_file_system_says(tmp_path):
    _runs(tmp_path, "b", "a", "c")
    for seconds, name in enumerate("cab"):  # as after cp -r
        os.utime(tmp_path / "tournament" / name / "config.json", (10**9 + seconds, 10**9 + seconds))
    assert [path.name for path in runs(tmp_path, "tournament")] == ["c", "a", "b"]


@pytest.mark.mended("cases/commands/newest.py, older runs")
def test_runs_of_an_older_version_are_ordered_by_their_names_date_and_else_by_the_file_system(tmp_path):
    names = ["2026-01-02_030405", "2026-03-01_000000", "mine"]
    _runs(tmp_path, *names)
    for seconds, name in enumerate(reversed(names)):
        path = tmp_path / "tournament" / name / "config.json"
        document = json.loads(path.read_text())
        del document["started"]
        path.write_text(json.dumps(document))
        os.utime(path, (10**9 + seconds, 10**9 + seconds))
    assert [path.name for path in runs(tmp_path, "tournament")] == [names[1], names[0], "mine"]
    _runs(tmp_path, "new")
    assert runs(tmp_path, "tournament")[0].name == "new"


def test_the_time_a_run_was_started_is_no_fact_that_a_resume_compares(tmp_path):
    _runs(tmp_path, "a")
    folder, config, facts = open_run(tmp_path, "tournament", "a", resume=True, config=None, facts=FACTS)
    assert (folder.name, config, facts) == ("a", CONFIG, FACTS)


def _open(results, name="a", config=CONFIG):
    return open_run(results, "tournament", name, resume=False, config=config, facts=FACTS)


@pytest.mark.mended("a start that fails blocks the same command")
def test_a_start_that_came_no_further_than_the_text_does_not_block_the_same_command(tmp_path):
    _runs(tmp_path, "a")
    folder = tmp_path / "tournament" / "a"
    (folder / "data").mkdir()
    (folder / ".driver.lock").touch()
    assert _open(tmp_path)[0] == folder
    with pytest.raises(BadInput, match="exists already"):
        _open(tmp_path, config=load_config("smoke", ["seed=1"]))
    (folder / "bracket.json").touch()
    with pytest.raises(BadInput, match="exists already"):
        _open(tmp_path)


def test_a_failed_start_with_another_deadline_is_the_same_command(tmp_path):
    facts = [FACTS | {"deadline": {"ends_at": f"2026-11-30T0{hour}:00"}} for hour in (7, 8)]
    folder = tmp_path / "curriculum" / "a"
    folder.mkdir(parents=True)
    write_config(folder, CONFIG, facts[0] | {"forecast": {"step": 1.0}})

    def opened(facts, of_each_start=("deadline", "forecast")):
        new = {"resume": False, "config": CONFIG, "facts": facts}
        return open_run(tmp_path, "curriculum", "a", **new, of_each_start=of_each_start)[0]

    assert opened(facts[1]) == folder
    for arguments in ((facts[1] | {"who": "another"},), (facts[1], ())):
        with pytest.raises(BadInput, match="exists already"):
            opened(*arguments)


@pytest.mark.mended("--name of 300 letters")
@pytest.mark.parametrize("letters", [256, 300, 5000])
def test_a_name_too_long_for_a_folder_is_refused(tmp_path, letters):
    with pytest.raises(BadInput, match=rf"{letters} letters.* use at most 255") as caught:
        _open(tmp_path, "x" * letters)
    assert len(caught.value.problems) == 1 and len(str(caught.value)) < 200


@pytest.mark.mended("--results that cannot be")
@pytest.mark.parametrize("place", ["loop/results", "~nosuchuser/x", "x" * 300, "y/" * 3000])
def test_a_results_folder_that_cannot_be_is_refused(tmp_path, monkeypatch, place):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    for give in (lambda: results_folder(place), lambda: _from_environment(monkeypatch, place)):
        with pytest.raises(BadInput, match=r"cannot be used: .*; name another path") as caught:
            give()
        assert len(caught.value.problems) == 1


@pytest.mark.parametrize("place", ["s3://bucket/results", "gs://bucket", "file:///tmp/results"])
def test_an_address_is_not_a_results_folder(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    for give in (lambda: results_folder(place), lambda: _from_environment(monkeypatch, place)):
        with pytest.raises(BadInput, match=r"is an address, not a folder: .* Name a folder") as caught:
            give()
        assert len(caught.value.problems) == 1 and place in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _from_environment(monkeypatch, place):
    monkeypatch.setenv("HAMNER_RESULTS", place)
    return results_folder()


@pytest.mark.mended("a folder one may not enter")
def test_a_folder_that_may_not_be_entered_is_refused(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.exists", refuse)  # root may enter all
    with pytest.raises(BadInput, match="cannot be created: Permission denied"):
        _open(tmp_path)
    with pytest.raises(BadInput, match="cannot be used: Permission denied"):
        results_folder(str(tmp_path / "closed"))


@pytest.mark.mended("no inodes")
def test_a_file_system_without_inodes_is_refused(tmp_path, monkeypatch):
    class Space:
        f_files, f_ffree = 1000, 0

    monkeypatch.setattr("os.statvfs", lambda path: Space)
    with pytest.raises(BadInput, match="has no inodes left"):
        _open(tmp_path)
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hamner.runs.folders.write_json", full)
    with pytest.raises(BadInput, match="cannot be written: No space left on device; make room"):
        write_config(tmp_path / "tournament" / "a", CONFIG, FACTS)


def test_the_command_that_continues_a_run_names_another_results_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HAMNER_RESULTS", str(tmp_path))
    assert resume_command("tournament", tmp_path / "tournament" / "a") == "tournament --resume --name a"
    monkeypatch.setenv("HAMNER_RESULTS", str(tmp_path / "other"))
    assert resume_command("tournament", tmp_path / "tournament" / "a").endswith(f" --results {tmp_path}")


@pytest.mark.mended("copies of checkpoints beside them")
def test_a_copy_beside_checkpoints_is_none(tmp_path):
    for name in ("step_000000010", "step_000000005", "step_000000010 (copy)", "step_000000010.bak", "step_"):
        (tmp_path / name).mkdir()
    assert [path.name for path in step_folders(tmp_path)] == ["step_000000005", "step_000000010"]


@pytest.mark.mended("a JSON file that Windows has marked")
def test_a_byte_order_mark_of_json_is_skipped_and_depth_without_end_is_said(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"license": "mine"}')
    assert read_json(tmp_path / "a.json") == {"license": "mine"}
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(BadInput, match=r"a\.json is broken: it is nested too deeply"):
        read_json(tmp_path / "a.json")


@pytest.mark.mended("a name that is just short enough")
def test_a_file_whose_name_is_as_long_as_it_may_be_is_written(tmp_path):
    for name in ("n" * 255, "ü" * 127):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
