"""Loading a model: by run, by folder, the newest; and what is said where there is none."""

import shutil
import subprocess
import sys

import pytest
import torch

from hamner.config.errors import BadInput
from hamner.inference.find_model import MODEL_PARTS, load, model_folder
from hamner.training import checkpoint


def test_a_run_its_folder_and_its_checkpoint_are_the_same_model(model_results):
    run = model_results / "curriculum" / "mine"
    tokens = torch.arange(20, 30)[None]
    names = (None, "mine", run, str(run), run / "final")
    outputs = [load(name, results=model_results).model(tokens).logits for name in names]
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    assert load("mine", results=model_results).folder == run / "final"


def test_an_unfinished_run_gives_its_newest_checkpoint(model_results, tmp_path, capsys):
    run, source = tmp_path / "curriculum" / "young", model_results / "curriculum" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    shutil.copy(source / "config.json", run)
    with pytest.raises(BadInput, match="no model yet"):
        load("young", results=tmp_path)
    shutil.copytree(source / "final", run / "checkpoints" / "step_000000007")
    assert load("young", results=tmp_path).folder.name == "step_000000007"
    assert "young is unfinished: using its step 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("mime", "no run or folder 'mime'; did you mean 'mine'"), ("zzz", "no run or folder 'zzz'; known: mine")],
)
def test_an_unknown_name_gets_the_nearest(model_results, name, words):
    with pytest.raises(BadInput, match=words):
        load(name, results=model_results)


def test_without_any_run_the_way_to_one_is_said(tmp_path):
    for name in (None, "mine"):
        with pytest.raises(BadInput, match=r"no curriculum run in .*use `curriculum run winner`"):
            load(name, results=tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no model"):
        model_folder(str(tmp_path), tmp_path)
    assert checkpoint.STATE in MODEL_PARTS


def test_finding_the_folder_imports_no_torch():
    script = "import sys, hamner.inference.find_model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
