"""The commands `hamner export` and `hamner share`: whole folders or nothing, one line for what cannot be."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from model_kinds import small_model

from hamner import export, share
from hamner.data.tokenizer import Tokenizer
from hamner.inference import export_folder
from hamner.inference.find_model import load
from hamner.model.transformer import build
from hamner.training import checkpoint

FOLDER = {
    "README.md",
    "config.json",
    "generation_config.json",
    "hamner.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def _export(model_results, *words):
    return export.main([*words, "--results", str(model_results)])


def test_a_run_is_exported_and_read_back(model_results, tmp_path, capsys):
    assert _export(model_results, "mine", "--out", str(tmp_path / "hf")) == 0
    assert {path.name for path in (tmp_path / "hf").iterdir()} == FOLDER
    assert "as trained" in capsys.readouterr().out and "# mine\n" in (tmp_path / "hf" / "README.md").read_text()
    assert export.main(["--from-hf", str(tmp_path / "hf"), "--out", str(tmp_path / "back")]) == 0
    ours, again = load("mine", results=model_results), load(tmp_path / "back")
    for one, other in zip(ours.model.state_dict().values(), again.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert again.tokenizer.sha256 == ours.tokenizer.sha256


def test_gguf_files_and_a_modelfile_lie_beside_it(model_results, tmp_path, capsys):
    pytest.importorskip("gguf", reason="gguf is not installed: pip install '.[test]'")
    assert _export(model_results, "--out", str(tmp_path / "hf"), "--gguf", "f32,f16,q8_0") == 0
    names = {f"mine-{form}.gguf" for form in ("F32", "F16", "Q8_0")}
    assert {path.name for path in (tmp_path / "hf").iterdir()} == FOLDER | names | {"Modelfile"}
    assert "FROM ./mine-F16.gguf" in (tmp_path / "hf" / "Modelfile").read_text()
    assert "rows of 50 are not a multiple of 32: blk.*.ffn_down.weight" in capsys.readouterr().out


def test_nothing_is_left_of_an_export_that_fails(model_results, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_folder, "model_card", full)  # the last file of all
    assert _export(model_results, "--out", str(tmp_path / "hf")) == 1
    assert share.main(["--results", str(model_results), "--out", str(tmp_path / "a.zip")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_the_next(model_results, tmp_path):
    (tmp_path / ".hf.123.folder").mkdir()
    assert _export(model_results, "--out", str(tmp_path / "hf")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]


@pytest.fixture(scope="module")
def larger_results(tmp_path_factory):
    """A run of 13 million parameters, which takes a while to write."""
    folder = tmp_path_factory.mktemp("larger")
    tokenizer = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
    sizes = {"hidden_size": 512, "num_layers": 4, "intermediate_size": 1408}
    model = small_model(vocab_size=tokenizer.vocab_size, **sizes)
    place = folder / "curriculum" / "mine"
    checkpoint.save(place / "final", {"model": build(model, 0).state_dict()}, {"step": 7}, model, tokenizer)
    (place / "config.json").write_text(json.dumps({"config": {}}))
    return folder


def _start(command, larger_results, *words):
    return subprocess.Popen(
        [sys.executable, "-m", f"hamner.{command}", "mine", "--results", str(larger_results), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _written(folder):
    """Bytes that an unfinished export has in its hidden folder."""
    total = 0
    for place, _, names in os.walk(folder):  # what is renamed or removed meanwhile is no error there
        for name in names if place.partition(str(folder))[2].startswith("/.") else ():
            with contextlib.suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name", "kills"), [("export", "hf", 10), ("share", "a.zip", 4)])
def test_killed_at_any_moment_nothing_half_is_there_and_the_next_one_is_whole(
    command, name, kills, larger_results, tmp_path
):
    words = ["--gguf", "f32,f16,q8_0"] if command == "export" else []
    whole, place = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    place.mkdir()
    process, most = _start(command, larger_results, "--out", str(whole / name), *words), 0
    while process.poll() is None:
        most = max(most, _written(whole))
        time.sleep(0.002)
    assert process.returncode == 0, process.communicate()[1]
    assert most > 20e6 and [path.name for path in whole.iterdir()] == [name]
    for number in range(kills):
        process = _start(command, larger_results, "--out", str(place / name), *words)
        while _written(place) <= most * number / kills:
            assert process.poll() is None, process.communicate()[1]
        process.kill()
        process.communicate()
        assert [path.name for path in place.iterdir() if not path.name.startswith(".")] == []
        assert len(list(place.iterdir())) == 1  # of this kill; the start has removed those of the ones before
    assert _start(command, larger_results, "--out", str(place / name), *words).wait() == 0
    assert [path.name for path in place.iterdir()] == [name]
    if command == "export":
        files = {path.name for path in (whole / name).iterdir()}
        assert files == {path.name for path in (place / name).iterdir()} >= FOLDER
        assert all((whole / name / file).read_bytes() == (place / name / file).read_bytes() for file in files)
    else:
        with zipfile.ZipFile(place / name) as archive:
            assert archive.testzip() is None and len(archive.namelist()) == len(FOLDER) + 1


@pytest.fixture
def refused(model_results, tmp_path, capsys):
    """Runs a command line that must be refused in one line; returns the line."""

    def run(command, *words):
        before = sorted(tmp_path.iterdir())
        assert command.main([*words, "--results", str(model_results)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and sorted(tmp_path.iterdir()) == before
        return error

    return run


def test_what_cannot_be_exported_is_one_line(refused, model_results, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    out = ("--out", str(tmp_path / "new"))
    assert "exists already" in refused(export, "--out", str(tmp_path / "there"))
    assert "exists already" in refused(share, "--out", str(_touched(tmp_path / "a.zip")))
    assert "did you mean 'mine'" in refused(export, "mime", *out)
    assert "'q4' is not a format" in refused(export, *out, "--gguf", "f16,q4")
    assert "config.json is missing" in refused(export, *out, "--from-hf", str(tmp_path))
    assert "leave one of them out" in refused(export, "mine", *out, "--from-hf", str(tmp_path))
    run = str(model_results / "curriculum" / "mine")  # has a config.json, another one
    assert "was not exported by hamner" in refused(export, *out, "--from-hf", run)
    assert "end in .zip" in refused(share, "--out", str(tmp_path / "archive"))


def _touched(path):
    path.touch()
    return path


def test_a_diverged_model_is_refused(refused, model_results, tmp_path_factory):
    saved = checkpoint.load(model_results / "curriculum" / "mine" / "final")
    hamner = build(saved.model, 0)
    with torch.no_grad():
        hamner.final_norm.weight[3] = float("nan")
    folder = tmp_path_factory.mktemp("diverged") / "c"
    checkpoint.save(folder, {"model": hamner.state_dict()}, {"step": 1}, saved.model, saved.tokenizer())
    assert "final_norm.weight holds numbers that are not finite" in refused(
        export, str(folder), "--out", str(folder) + "-hf"
    )


def test_an_archive_holds_the_model_alone_in_half_the_size(model_results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert share.main(["mine", "--results", str(model_results)]) == 0
    with zipfile.ZipFile("mine.zip") as archive:
        archive.extractall(tmp_path)
    assert {path.name for path in (tmp_path / "mine").iterdir()} == FOLDER | {"talk.py"}
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["dtype"] == "bfloat16"
    original = load("mine", results=model_results).model
    for name, weight in load(tmp_path / "mine").model.state_dict().items():
        assert torch.equal(weight, original.state_dict()[name].bfloat16().float())
    assert "python talk.py" in (tmp_path / "mine" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["grouped", "differential"])
def test_a_friend_talks_to_it_with_transformers_alone(model_results, tmp_path, attention):
    archive = tmp_path / "mine.zip"
    saved = checkpoint.load(model_results / "curriculum" / "mine" / "final")
    model = saved.model.model_copy(update={"attention": attention})
    weights = {"model": build(model, 0).state_dict()}
    checkpoint.save(tmp_path / "mine", weights, {"step": 1}, model, saved.tokenizer())
    assert share.main([str(tmp_path / "mine"), "--out", str(archive)]) == 0
    shutil.rmtree(tmp_path / "mine")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    too_long = "the owl and the fox " * 40
    messages = f"hello\n<|im_end|> the fox\n{too_long}\nhello\n\n/quit\nmore\n"
    answer = subprocess.run(
        [sys.executable, "-S", "-c", _WITHOUT_HAMNER, *sys.path, str(tmp_path / "mine" / "talk.py")],
        input=messages,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("you: ") == 6 and "at most 284 fit" in answer.stdout


_WITHOUT_HAMNER = """
import runpy, sys
sys.path[:] = sys.argv[1:-1]
sys.modules["hamner"] = None
runpy.run_path(sys.argv[-1], run_name="__main__")
"""
