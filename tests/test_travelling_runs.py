"""Runs travel: packed here, unpacked at another path, and there they are what they were; nothing private in a report's.

The slow test is the newcomer's: another clone, another home folder, another results folder, the real commands.
"""

import csv
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import markupsafe
import pytest
import torch
from stored_runs import NAME, stored_run

from curriculum import pack as curriculum_pack
from curriculum import run as curriculum_run
from curriculum.train_loop import CurriculumRun
from hamner import pack, report, unpack
from hamner.config.errors import BadInput
from hamner.config.formats import CHECKSUM
from hamner.config.load import load_config
from hamner.data.preparation.for_run import prepare, prepare_again
from hamner.runs import find_run
from hamner.runs.folders import step_folders, write_config
from hamner.runs.inventory import LAST
from hamner.runs.private_words import PrivateWords
from hamner.runs.travelling import FACTS, RECORDS, RESULTS, WEIGHTS, packed_files, packing_list
from hamner.training.finetuning import FinetuningRun
from hamner.training.finetuning_launch import prepare as prepare_finetuning
from hamner.training.finetuning_launch import resumed_run
from tournament import pack as tournament_pack

REPO = Path(__file__).resolve().parents[1]
KINDS = ("tournament", "curriculum", "sft")
STAYS = (".bin", ".lock", ".lease")  # endings of files that never travel


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The results folder here and the one elsewhere; archives are written in the current folder."""
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "here", tmp_path / "elsewhere"
    torch.set_num_threads(before)


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _packed(folder, *words):
    assert pack.main([str(folder), *words]) == 0
    return Path(f"{folder.name}{'.report' if '--for-report' in words else ''}.run.zip").resolve()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_the_same_where_it_is_unpacked(kind, places, capsys):
    here, elsewhere = places
    folder = stored_run(here, kind)
    archive = _packed(folder, "--weights")
    assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0
    there = elsewhere / kind / NAME
    moved = {name: data.replace(str(here).encode(), str(elsewhere).encode()) for name, data in _files(folder).items()}
    moved = {name: data for name, data in moved.items() if not name.endswith(STAYS)}
    files = _files(there)
    listed = json.loads(files.pop("pack.json"))
    assert files == moved and set(listed["files"]) == set(moved) and listed["has_weights"]
    assert report.main([str(there)]) == 0 and (there / "report.html").is_file()


def test_without_weights_it_is_reported_and_says_what_is_missing(places, capsys):
    here, elsewhere = places
    archive = _packed(stored_run(here, "curriculum"))
    assert "no report is in it, for none was written yet: `hamner report old" in capsys.readouterr().out
    assert archive.stat().st_size < 100_000
    capsys.readouterr()
    assert unpack.main([str(archive), "--results", str(elsewhere), "--name", "other"]) == 0
    assert "have it packed with --weights" in capsys.readouterr().out
    assert not list((elsewhere / "curriculum" / "other").rglob("*.safetensors"))
    assert report.main([str(elsewhere / "curriculum" / "other")]) == 0


def test_the_same_run_gives_the_same_bytes_and_an_archive_is_not_written_over(places, capsys):
    folder = stored_run(places[0], "tournament")
    first = _packed(folder, "--weights").read_bytes()
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    assert pack.main([str(folder), "--weights"]) == 2
    assert "exists already: use --force" in capsys.readouterr().err
    assert _packed(folder, "--weights", "--force").read_bytes() == first
    assert _packed(folder, "--weights", "--out", "old.run.zip", "--force").read_bytes() == first


def test_leagues_and_curricula_are_packed_by_their_own_commands(places, capsys):
    here, _ = places
    league, run = stored_run(here, "tournament"), stored_run(here, "curriculum")
    for command, folder in ((tournament_pack, league), (curriculum_pack, run)):
        out = f"{folder.parent.name}.zip"
        assert command.main([NAME, "--results", str(here), "--out", out]) == 0
        assert Path(out).read_bytes() == (_packed(folder, "--force")).read_bytes()
    assert curriculum_run.main(["--pack", NAME, "--results", str(here), "--out", "same.zip", "--weights"]) == 0
    assert Path("same.zip").read_bytes() == _packed(run, "--force", "--weights").read_bytes()
    (_packed(league / "v01_dense_small", "--out", "contestant.zip", "--force"))
    assert Path("contestant.zip").read_bytes() == Path("tournament.zip").read_bytes()


def test_an_existing_run_is_never_touched(places, capsys):
    here, _ = places
    folder = stored_run(here, "tournament")
    archive, before = _packed(folder), _files(folder)
    assert unpack.main([str(archive), "--results", str(here)]) == 2
    assert "exists already: use --name" in capsys.readouterr().err
    assert _files(folder) == before
    (here / "tournament" / "link").symlink_to(here / "nowhere")
    assert unpack.main([str(archive), "--results", str(here), "--name", "link"]) == 2
    assert unpack.main([str(archive), "--results", str(here), "--name", "../evil"]) == 2


def test_every_file_of_a_run_is_on_the_packing_list_or_known_to_stay(places):
    here, _ = places
    for kind in KINDS:
        folder = stored_run(here / kind, kind)
        listed = set(packing_list(folder, weights=True))
        assert [name for name in _files(folder) if name not in listed and not name.endswith(STAYS)] == []
    for kind in find_run.KINDS:
        finished = LAST[kind] if LAST[kind].endswith(".json") else f"{LAST[kind]}/model.safetensors"
        assert {finished, "config.json"} <= set(packing_list(_with_file(here, kind, finished), weights=True))
    assert len({*FACTS, *RECORDS, *WEIGHTS}) == len(FACTS) + len(RECORDS) + len(WEIGHTS)


def _with_file(results, kind, name):
    """A run of which there is no more than that file."""
    folder = results / "finished" / kind / NAME
    (folder / name).parent.mkdir(parents=True)
    for each in ("config.json", name):
        (folder / each).write_text("{}")
    return folder


def test_links_locks_and_files_of_others_do_not_travel(places):
    folder = stored_run(places[0], "curriculum")
    (folder / ".driver.lock").touch()
    (folder / "secret.txt").write_text("x")
    (folder / "chat.jsonl").write_text("{}")
    (folder / "samples.jsonl").unlink(missing_ok=True)
    (folder / "samples.jsonl").symlink_to("/etc/passwd")
    (folder / "friend_card").symlink_to("/etc")
    names = packing_list(folder, weights=True)
    assert not {"secret.txt", "chat.jsonl", "samples.jsonl", ".driver.lock"} & set(names)
    assert not any(name.startswith("friend_card") for name in names)


def test_a_results_folder_with_a_quotation_mark_is_spelled_as_each_file_has_it(places, tmp_path):
    """Packed there, unpacked there, and packed again: the same archive, and JSON that is read."""
    here, _ = places
    strange = tmp_path / 'a "b" \\ <c>'
    folder = stored_run(here, "curriculum")
    for name in ("run.toml", "report.html"):
        (folder / name).write_text(f'path = "{here}/x"\n')
    (folder / "report.json").write_text(json.dumps({"path": f"{here}/x"}))
    archive = _packed(folder, "--weights")
    assert unpack.main([str(archive), "--results", str(strange)]) == 0
    there = strange / "curriculum" / NAME
    assert json.loads((there / "report.json").read_text()) == {"path": f"{strange}/x"}
    assert tomllib.loads((there / "run.toml").read_text()) == {"path": f"{strange}/x"}
    assert (there / "report.html").read_text() == f'path = "{markupsafe.escape(str(strange))}/x"\n'
    again = _packed(there, "--weights", "--out", "again.zip")
    files = [zipfile.ZipFile(path) for path in (archive, again)]
    first, second = ({name: file.read(name) for name in file.namelist()} for file in files)
    assert first == second


def test_a_league_that_compacts_its_log_while_it_is_packed_loses_nothing(places, monkeypatch):
    """The log is read before the ledger, and documents that came meanwhile travel with the ledger that names them."""
    folder = stored_run(places[0], "tournament")
    (folder / "bracket.jsonl").write_text("{}\n")
    names, order = packing_list(folder), []
    read = Path.read_bytes

    def read_bytes(path):
        order.append(path.name)
        data = read(path)
        if path.name == "bracket.jsonl":
            path.unlink()
            (folder / "bracket.json").write_text('{"compacted": 1}')
            (folder / "v01_dense_small" / "documents_round9_x1.json").write_text("{}")
        return data

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    files = packed_files(folder, names, None)
    assert order[:2] == ["bracket.jsonl", "bracket.json"]
    assert files["bracket.jsonl"] == b"{}\n" and files["bracket.json"] == b'{"compacted": 1}'
    assert "v01_dense_small/documents_round9_x1.json" in files
    assert "bracket.jsonl" not in packed_files(folder, names, None)  # compacted between list and reading


# -- going on elsewhere


def _losses(folder):
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}


def _unpacked(kind, places):
    here, elsewhere = places
    for each in dict.fromkeys(("curriculum", kind) if kind == "sft" else (kind,)):
        folder = here / each / NAME
        folder = folder if folder.is_dir() else stored_run(here, kind).parents[1] / each / NAME
        archive = _packed(folder, "--weights", "--force")
        assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0
    texts = {path.name: path.read_bytes() for path in (here / kind / NAME).rglob("*.bin")}
    shutil.rmtree(here)  # nothing of it is there any more
    return elsewhere / kind / NAME, texts


def test_an_unpacked_curriculum_makes_its_text_again_and_goes_on_with_the_same_losses(places, capsys):
    folder, texts = _unpacked("curriculum", places)
    assert "made again from its seed by the first --resume" in capsys.readouterr().out
    lines = []
    prepare_again(folder, "builtin", lines.append)
    assert {path.name: path.read_bytes() for path in (folder / "data").glob("*.bin")} == texts and len(texts) == 3
    assert lines[-1] == "the text is the one that the run has read: the same bytes"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("data")) == ["data"]
    expected, newest = _losses(folder), step_folders(folder / "checkpoints")[-1]
    before = int(step_folders(folder / "checkpoints")[-2].name[5:])
    shutil.rmtree(newest)
    steps = iter([False] * (int(newest.name[5:]) - before - 1) + [True] * 1000)
    CurriculumRun(folder, stop_requested=lambda: next(steps)).run()
    again = {step: loss for step, loss in _losses(folder).items() if step > before}
    assert again and again == pytest.approx({step: expected[step] for step in again}, rel=1e-4)


def test_an_unpacked_fine_tuning_finds_its_base_and_makes_text_and_conversations_again(places, capsys):
    folder, texts = _unpacked("sft", places)
    lines = []
    run = resumed_run(folder.parents[1], NAME, None, None)
    prepare_finetuning(run, lines.append)
    assert {path.name: path.read_bytes() for path in (folder / "conversations").glob("*.bin")} == texts
    assert "they are those that the run has read" in lines
    steps = iter([False, True, True, True])
    FinetuningRun(folder, stop_requested=lambda: next(steps)).run()


def test_what_a_fine_tuning_lacks_is_said_when_it_is_unpacked(places, capsys):
    here, elsewhere = places
    archive = _packed(stored_run(here, "sft"), "--weights")
    shutil.rmtree(here)
    capsys.readouterr()
    assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0
    out = capsys.readouterr().out
    assert f"it begins with {elsewhere}/curriculum/{NAME}/" in out and "unpack that run too" in out


@pytest.fixture
def read_run(tmp_path):
    """A run that has read a folder of text, as it is unpacked where that folder is not; and its shards."""
    words = ("size.vocab_size=320", "data.bpe_characters=20_000", f"data.path={tmp_path / 'text'}")
    (tmp_path / "text" / "tinystories").mkdir(parents=True)
    for number in range(40):
        text = " ".join(f"the fox {number} met the owl {number * n} by the river" for n in range(30))
        (tmp_path / "text" / "tinystories" / f"{number:02}.txt").write_text(text)
    config, run = load_config("smoke", words), tmp_path / "results" / "curriculum" / "mine"
    write_config(run, config, {"kind": "curriculum"})
    prepare(config, run / "data", ["tinystories"], tokenizer=None, seq_len=32, hub_tokens=0, say=lambda line: None)
    shards = {path.name: path.read_bytes() for path in (run / "data").glob("*.bin")}
    for name in shards:
        (run / "data" / name).unlink()
    (run / "pack.json").write_text("{}")
    (tmp_path / "text").rename(tmp_path / "copy")
    return run, shards


def test_the_text_of_a_folder_is_prepared_again_from_a_copy_at_another_place(read_run, tmp_path):
    run, shards = read_run
    with pytest.raises(BadInput, match=r"looked in .*nowhere"):
        prepare_again(run, str(tmp_path / "nowhere"), lambda line: None)
    prepare_again(run, str(tmp_path / "copy"), lambda line: None)
    assert {path.name: path.read_bytes() for path in (run / "data").glob("*.bin")} == shards
    prepare_again(run, str(tmp_path / "nowhere"), lambda line: None)  # it is there


def test_another_text_is_refused_with_its_source(read_run, tmp_path):
    run, _ = read_run
    (tmp_path / "copy" / "tinystories" / "00.txt").write_text("another story " * 60)
    with pytest.raises(BadInput, match=r"text here is not the run's|the text of tinystories is not") as refusal:
        prepare_again(run, str(tmp_path / "copy"), lambda line: None)
    assert "copy the very files" in refusal.value.problems[0]
    assert list((run / "data").glob("*.bin")) == [] and not (run / "data_again").exists()


# -- for a bug report


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_report_holds_no_path_host_or_user(kind, places, capsys, monkeypatch):
    """Greps every byte of the archive, its names too; `anna` is a user, `kea-7` a host, both as they may be called."""
    here, elsewhere = places
    monkeypatch.setenv("USER", "anna")
    monkeypatch.setattr(socket, "gethostname", lambda: "kea-7.example.org")
    home = here / "home" / "anna"
    monkeypatch.setenv("HOME", str(home))
    folder = stored_run(here, kind)
    document = json.loads((folder / "config.json").read_text())
    document["config"]["data"]["local_path"] = f"{home}/diary-of anna/text"
    (folder / "config.json").write_text(json.dumps({key: value for key, value in document.items() if key != CHECKSUM}))
    with (folder / "resume.jsonl").open("a") as file:
        file.write(json.dumps({"step_found": 1, "host": "kea-7", "note": f"{home}/diary-of anna/text/a.txt"}) + "\n")
    with (folder / "run.log").open("a") as file:
        file.write(f"anna@kea-7.example.org read {home}/diary-of anna/text and s3://annas-bucket/x from 10.1.2.3\n")
    (folder / "events.out.tfevents.1.kea-9.7.0").touch()
    archive = _packed(folder, "--for-report")
    words = {b"anna", b"kea-7", b"kea-9", b"diary", b"bucket", b"10.1.2.3", str(here).encode(), str(REPO).encode()}
    with zipfile.ZipFile(archive) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    left_out = (".safetensors", ".html", ".png", "samples.jsonl", "tokenizer.json")
    assert not any(name.endswith(left_out) for name in contents)
    leaks = [(name, word) for name, data in contents.items() for word in words if word in data or word in name.encode()]
    assert leaks == []
    assert json.loads(contents[f"{NAME}/config.json"])["config"]["data"]["local_path"] == "PATH"
    assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0  # and it can be looked at
    assert report.main([str(elsewhere / kind / NAME)]) == 0


def test_what_is_not_private_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "bo")
    folder = tmp_path / "results" / "curriculum" / "mine"
    folder.mkdir(parents=True)
    words = PrivateWords(folder)
    for text in ("2.5 nats/token", "bootstrap by 1/2", "a / b", "checkpoints/step_000000010", "0.1.2", "and/or"):
        assert words.without(text) == text
    assert words.without(f"see {folder}/run.log") == f"see {RESULTS}/curriculum/mine/run.log"
    assert words.without("/srv/x/y.txt: bad, ~/z, bo's") == "PATH: bad, PATH, USER's"


# -- the newcomer


@pytest.fixture
def newcomer(tmp_path):
    """Another user of this machine, as subprocess.run names one, and a folder of theirs; it is removed at the end.

    Where this is not root, or `nobody` cannot read this interpreter and its packages, the user is the same.
    """
    if os.getuid() != 0:
        yield {}, tmp_path
        return
    account = pwd.getpwnam("nobody")
    user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        probe = [sys.executable, "-c", "import ray, torch, transformers"]
        is_able = subprocess.run(probe, **user, cwd="/", capture_output=True).returncode == 0
    except OSError:
        is_able = False
    place = Path(tempfile.mkdtemp(prefix="new"))  # what pytest makes, root alone may enter; short, for Ray's sockets
    yield (user if is_able else {}), place
    shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_newcomer_on_a_second_machine_unpacks_reports_and_resumes(kind, newcomer, commands):
    """Another clone, another home, another path, another user as far as there is one: the losses are the same."""
    names = {"tournament": ("tournament", []), "curriculum": ("curriculum.run", ["v3"]), "sft": ("hamner.sft", [])}
    (module, words), (user, place) = names[kind], newcomer
    stayed = stored_run(commands.results, kind)
    clone, home = place / "another user" / "clone", place / "another user"
    for part in ("hamner", "tournament", "curriculum", "ray_configs"):
        shutil.copytree(REPO / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "pyproject.toml", clone)
    archives = []
    for each in ("curriculum", "sft") if kind == "sft" else (kind,):  # a fine-tuning's base too
        archives.append(place / f"{each}.run.zip")
        folder = commands.results / each / NAME
        done = commands.run("hamner.pack", str(folder), "--weights", "--out", str(archives[-1]))
        assert done.returncode == 0, done.stderr
    if user:
        for path in (place, *place.rglob("*")):
            os.chown(path, user["user"], user["group"])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HAMNER", "RAY_ADDRESS"))}
    environment |= {"HOME": str(home), "USER": "newcomer", "PYTHONPATH": str(clone), "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= {"RAY_TMPDIR": str(place)}  # the usual folder belongs to whoever started Ray first

    def run(module, *words):
        process = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=clone, env=environment, capture_output=True, text=True, **user
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    for archive in archives:
        unpacked = run("hamner.unpack", str(archive))
    command = {"tournament": "tournament", "curriculum": "curriculum run v3", "sft": "hamner sft"}[kind]
    assert f"continue it: `{command} --resume --name {NAME}`" in unpacked
    folder = clone / "results" / kind / NAME
    run("hamner.report", f"{kind}/{NAME}")
    assert (folder / "report.html").is_file()
    if user:
        assert (folder / "report.html").stat().st_uid == user["user"]
    out = run(module, *words, "--resume", "--name", NAME)
    assert "the text is the one that the run has read: the same bytes" in out
    assert kind != "sft" or "they are those that the run has read" in out
    assert commands.run(module, *words, "--resume", "--name", NAME).returncode == 0
    if kind == "tournament":
        standings = [json.loads((place / "standings.json").read_text())["rounds"] for place in (stayed, folder)]
        rows = [[(r["contestant"], r["heldout_loss"]) for r in one["standings"]] for each in standings for one in each]
        assert len(rows) == 4 and rows[:2] == rows[2:]
    else:
        assert _losses(folder) == _losses(stayed)


@pytest.mark.parametrize("name", ["base", "final", "checkpoints"])
def test_files_of_a_contestant_are_written_otherwise_whatever_its_name_and_those_of_weights_are_not(name, tmp_path):
    folder = tmp_path / "results" / "tournament" / "mine"
    documents, state = f"{name}/documents_round1_x1.json", f"{name}/checkpoints/step_000000006/state.json"
    for file in (documents, state):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text(json.dumps({"place": str(tmp_path / "results" / "x")}))
    packed = packed_files(folder, packing_list(folder, weights=True), None)
    assert packed[documents] == b'{"place": "$HAMNER_RESULTS/x"}'
    assert packed[state] == folder / state  # as it is, letter for letter
