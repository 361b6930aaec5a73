"""Loading a model: by run, by folder, the newest; and what is said where there is none."""

import json
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


@pytest.fixture
def league(model_results, tmp_path):
    """A results folder with a finished league, `first`, of two contestants."""
    folder = tmp_path / "tournament" / "first"
    for name in ("v02", "v10"):
        checkpoints = folder / name / "checkpoints"
        checkpoints.mkdir(parents=True)
        shutil.copytree(model_results / "curriculum" / "mine" / "final", checkpoints / "step_000000007")
    (folder / "config.json").write_text("{}")
    (folder / "bracket.json").write_text("{}")
    (folder / "winner.json").write_text('{"contestant": "v10"}')
    return folder


@pytest.mark.mended("newcomer: chat LEAGUE")
def test_a_league_is_answered_with_the_way_to_its_winner(league, tmp_path, capsys):
    for name in ("first", str(league), str(league.parent), None):
        with pytest.raises(BadInput) as error:
            model_folder(name, tmp_path)
        assert f"`hamner chat {league / 'v10'}`" in str(error.value)
    (league / "winner.json").unlink()
    with pytest.raises(BadInput, match="there are v02, v10"):
        model_folder("first", tmp_path)
    assert load(league / "v02", results=tmp_path).folder.parent.parent == league / "v02"
    assert "v02 is a contestant of the league first: using its step 7" in capsys.readouterr().err


def test_a_contestant_of_a_league_can_be_named_with_it(league, tmp_path):
    assert model_folder("first/v02", tmp_path) == league / "v02"
    with pytest.raises(BadInput, match=r"the league first has no contestant 'v03'; talk to its winner"):
        model_folder("first/v03", tmp_path)
    with pytest.raises(BadInput, match="no run or folder"):
        model_folder("first/../../secret", tmp_path)
    with pytest.raises(BadInput, match="did you mean 'first'"):
        model_folder("firsts", tmp_path)


def test_a_league_without_checkpoints_says_so(league, tmp_path):
    for name in ("v02", "v10"):
        shutil.rmtree(league / name)
    with pytest.raises(BadInput, match="none of its contestants has a checkpoint yet"):
        model_folder("first", tmp_path)


def test_a_folder_that_holds_runs_names_one(model_results, tmp_path):
    with pytest.raises(BadInput, match=r"give a folder in it that holds one, such as .*/mine"):
        model_folder(str(model_results / "curriculum"), tmp_path)


def test_a_fine_tuned_run_is_found_by_name_and_is_the_newest_if_it_is(model_results, tmp_path):
    source = model_results / "curriculum" / "mine"
    runs = (("curriculum", "mine"), ("sft", "mine"), ("sft", "friend"), ("curriculum", "young"))
    for started, (kind, name) in enumerate(runs, 1):
        shutil.copytree(source, tmp_path / kind / name)
        text = json.dumps({"config": {}, "started": f"2026-01-0{started}T00:00:00+00:00"})
        (tmp_path / kind / name / "config.json").write_text(text)
    found = {name: model_folder(name, tmp_path).relative_to(tmp_path).as_posix() for name in (None, "mine", "friend")}
    assert found == {None: "curriculum/young", "mine": "sft/mine", "friend": "sft/friend"}
    assert model_folder("mine", tmp_path, kinds=("curriculum",)) == tmp_path / "curriculum" / "mine"
    shutil.rmtree(tmp_path / "curriculum" / "young")
    assert model_folder(None, tmp_path) == tmp_path / "sft" / "friend"


def test_a_league_and_a_run_of_one_name_are_offered_once(tmp_path):
    for kind in ("tournament", "curriculum"):
        folder = tmp_path / kind / "first"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    with pytest.raises(BadInput) as caught:
        model_folder("nobody", tmp_path)
    assert caught.value.problems == ["no run or folder 'nobody'; known: first"]
