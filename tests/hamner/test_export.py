"""The commands `hamner export` and `hamner share`: whole folders or nothing, one line for what cannot be."""

import json
import subprocess
import sys
import zipfile

import pytest
import torch

from hamner import export, share
from hamner.inference import export_folder
from hamner.inference.find_model import load
from hamner.model.transformer import build
from hamner.training import checkpoint

FOLDER = {
    "README.md",
    "config.json",
    "generation_config.json",
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
def test_a_friend_talks_to_it_with_transformers_alone(model_results, tmp_path):
    archive = tmp_path / "mine.zip"
    assert share.main(["mine", "--results", str(model_results), "--out", str(archive)]) == 0
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    messages = "hello\n<|im_end|> the fox\n" + "the owl and the fox " * 40 + "\nhello\n\n"  # the third is too long
    answer = subprocess.run(
        [sys.executable, "-S", "-c", _WITHOUT_HAMNER, *sys.path, str(tmp_path / "mine" / "talk.py")],
        input=messages,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("you: ") == 5 and "at most 284 fit" in answer.stdout


_WITHOUT_HAMNER = """
import runpy, sys
sys.path[:] = sys.argv[1:-1]
sys.modules["hamner"] = None
runpy.run_path(sys.argv[-1], run_name="__main__")
"""
