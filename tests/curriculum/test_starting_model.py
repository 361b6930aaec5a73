"""The model that a curriculum raises: found by name, file or tournament, and refused with every problem."""

import dataclasses
import json
import os
import shutil

import pytest

from curriculum.starting_model import StartingModel, as_raised_before, find_starting_model, with_checkpoint
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS, PRESETS, model_named
from hamner.config.schema import ParameterGroup
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint

SMOKE = load_config("smoke")
SIZES = {"hidden_size": 64, "num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 64}


def _problems(call, *arguments):
    with pytest.raises(BadInput) as error:
        call(*arguments)
    return error.value.problems


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Two folders of small tokenizers that differ."""
    folders = []
    for name, text in (("one", "a fox and an owl"), ("other", "fir trees, all alike")):
        folder = tmp_path_factory.mktemp(name) / "tokenizer"
        folder.mkdir()
        Tokenizer.train([text] * 3, 300).save(folder)
        folders.append(folder)
    return folders


def _winner(folder, tokenizer_folder, *, config=SMOKE, **changes):
    """A tournament's folder with the winner v03, written as the tournament does."""
    shutil.copytree(tokenizer_folder, folder / "data")
    (folder / "config.json").write_text("{}")
    name = "v03_diffattn_small"
    document = {
        "contestant": name,
        "run": folder.name,
        "model": model_named(name, config.size).model_dump(),
        "tokenizer": {"path": str(folder / "data"), "sha256": Tokenizer.load(tokenizer_folder).sha256},
    }
    (folder / "winner.json").write_text(json.dumps(document | changes))
    return folder / "winner.json"


@pytest.mark.parametrize("name", [*CONTESTANTS, *PRESETS])
def test_contestants_and_presets_go_by_name_at_the_configs_size(tmp_path, name):
    start = find_starting_model(name, SMOKE, tmp_path, None)
    assert start == StartingModel(name, model_named(name, SMOKE.size))
    assert start.facts() == {
        "name": name,
        "model": start.model.model_dump(),
        "tokenizer": None,
        "groups": [],
        "learning_rate_factor": 1.0,
    }


def test_a_starting_model_is_read_only(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_starting_model("v3", SMOKE, tmp_path, None).name = "v2"


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    (problem,) = _problems(find_starting_model, "v01_dense_smal", SMOKE, tmp_path, None)
    assert "'v01_dense_small'" in problem


def test_the_newest_winner_is_taken_or_that_of_the_named_tournament(tmp_path, tokenizers):
    folders = [tmp_path / "tournament" / name for name in ("early", "late")]
    for number, folder in enumerate(folders):
        os.utime(_winner(folder, tokenizers[number]), (1000 + number, 1000 + number))
    late = find_starting_model("winner", SMOKE, tmp_path, None)
    early = find_starting_model("winner", SMOKE, tmp_path, "early")
    assert (late.tokenizer, early.tokenizer) == (folders[1] / "data", folders[0] / "data")
    assert late.name == early.name == "v03_diffattn_small" and "early" in early.description
    assert early == find_starting_model(str(tmp_path / "tournament" / "early" / "winner.json"), SMOKE, tmp_path, None)
    assert early.facts()["tokenizer"] == {"path": str(early.tokenizer), "sha256": Tokenizer.load(tokenizers[0]).sha256}


def test_a_winner_keeps_its_groups_and_its_own_rate(tmp_path, tokenizers):
    group = {"learning_rate_scale": 0.5, "middle_layers": 2, "parameters": ""}
    _winner(tmp_path / "tournament" / "league", tokenizers[0], groups=[group], learning_rate_factor=2.0)
    start = find_starting_model("winner", SMOKE, tmp_path, None)
    assert (start.groups, start.learning_rate_factor) == ((ParameterGroup(**group),), 2.0)
    assert "2 times the stages'" in start.description and "1 group(s)" in start.description
    facts = start.facts()
    assert (facts["groups"], facts["learning_rate_factor"]) == ([group], 2.0)


def test_a_control_raises_whom_its_run_raised(tmp_path, tokenizers):
    _winner(tmp_path / "tournament" / "league", tokenizers[0], learning_rate_factor=2.0)
    winner = find_starting_model("winner", SMOKE, tmp_path, None)
    facts, run = winner.facts() | {"who": "winner", "from": "/weights"}, tmp_path / "curriculum" / "first"
    run.mkdir(parents=True)
    (run / "data").symlink_to(tokenizers[0])
    again = as_raised_before(facts, run, asked=None, source=None)
    assert (again.model, again.learning_rate_factor, again.tokenizer) == (winner.model, 2.0, run / "data")
    assert as_raised_before(facts, run, asked=winner, source="/weights") == again
    other = find_starting_model("v03_diffattn_small", SMOKE, tmp_path, None)  # the same model at the stages' rates
    problems = _problems(lambda: as_raised_before(facts, run, asked=other, source="/other"))
    assert len(problems) == 2 and "--from /other: first began with /weights" in problems[0]
    assert "other learning rates: leave out WHO" in problems[1]


def test_the_tokenizer_moves_with_its_tournament(tmp_path, tokenizers):
    path = _winner(tmp_path / "tournament" / "moved", tokenizers[0])
    document = json.loads(path.read_text())
    document["tokenizer"]["path"] = str(tmp_path / "elsewhere" / "data")
    path.write_text(json.dumps(document))
    assert find_starting_model("winner", SMOKE, tmp_path, "moved").tokenizer == path.parent / "data"


@pytest.mark.parametrize("place", ["OUTSIDE", "OUTSIDE/../tokenizer", "/etc", "link", ".."])
def test_the_tokenizer_of_a_winner_lies_in_the_results_folder(tmp_path, tokenizers, place):
    path = _winner(tmp_path / "tournament" / "league", tokenizers[0])
    (path.parent / "link").symlink_to(tokenizers[0])
    document = json.loads(path.read_text())
    document["tokenizer"]["path"] = place.replace("OUTSIDE", str(tokenizers[0]))
    path.write_text(json.dumps(document))
    (problem,) = _problems(find_starting_model, "winner", SMOKE, tmp_path, "league")
    assert problem.startswith(f"{path} names ")


def test_no_winner_says_how_to_get_one(tmp_path, tokenizers):
    (problem,) = _problems(find_starting_model, "winner", SMOKE, tmp_path, None)
    assert "`tournament`" in problem
    _winner(tmp_path / "tournament" / "league", tokenizers[0]).unlink()
    (problem,) = _problems(find_starting_model, "winner", SMOKE, tmp_path, "league")
    assert "--resume --name league" in problem
    (problem,) = _problems(find_starting_model, "winner", SMOKE, tmp_path, "leage")
    assert "'league'" in problem
    (problem,) = _problems(find_starting_model, "v3", SMOKE, tmp_path, "league")
    assert "--tournament league" in problem


def test_another_size_and_another_tokenizer_of_a_winner_are_said_at_once(tmp_path, tokenizers):
    folder = tmp_path / "tournament" / "forged"
    forged = {"path": str(folder / "data"), "sha256": "0" * 64}
    _winner(folder, tokenizers[0], config=load_config("laptop"), tokenizer=forged)
    size, tokenizer = _problems(find_starting_model, "winner", SMOKE, tmp_path, "forged")
    assert "--config" in size and "0" * 12 in tokenizer
    assert "has hidden_size 128, " in size and "; this config makes hidden_size 64, " in size
    assert "norm_eps" not in size  # what does not differ


def test_a_model_of_ones_own_is_read_from_its_fields(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(SIZES | {"vocab_size": 2048}))
    start = find_starting_model(str(path), SMOKE, tmp_path, None)
    assert (start.name, start.model.hidden_size, start.tokenizer) == ("mine", 64, None)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        (SIZES | {"num_heads": 5, "vocab_size": 300}, ["num_heads 5", "num_kv_heads 2", "vocab_size 300"]),
        (SIZES | {"hiden_size": 64, "vocab_size": 300}, ["'hiden_size'", "vocab_size 300"]),
        (SIZES | {"vocab_size": 0, "num_layers": "two"}, ["'vocab_size' = 0", "'num_layers'", "vocab_size 0 is"]),
    ],
)
def test_every_problem_of_a_model_of_ones_own_is_said(tmp_path, fields, parts):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields))
    problems = _problems(find_starting_model, str(path), SMOKE, tmp_path, None)
    assert len(problems) == len(parts) and all(line.startswith(str(path)) for line in problems)
    for part in parts:
        assert any(part in line for line in problems)


def test_a_model_must_have_the_document_mask_of_the_config(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(SIZES | {"vocab_size": 2048}))
    (problem,) = _problems(find_starting_model, str(path), load_config("smoke", ["document_mask=true"]), tmp_path, None)
    assert "size.document_mask" in problem


def test_a_checkpoint_brings_its_tokenizer_and_must_be_of_the_same_model(tmp_path, tokenizers):
    small = model_named("v01_dense_small", SMOKE.size)
    state = {"step": 1}
    groups = {"model": build(small, 0).state_dict()}
    weights = checkpoint.save(tmp_path / "step_1", groups, state, small, Tokenizer.load(tokenizers[0]))
    start = StartingModel("v01_dense_small", small, description="a line")
    assert with_checkpoint(start, None) is start
    assert with_checkpoint(start, str(weights)) == StartingModel("v01_dense_small", small, weights, "a line")
    same = dataclasses.replace(start, tokenizer=tokenizers[0])
    assert with_checkpoint(same, str(weights)).tokenizer == weights
    other = StartingModel("v09", model_named("v09_deep_narrow", SMOKE.size), tokenizers[1])
    model, tokenizer = _problems(with_checkpoint, other, str(weights))
    assert (
        "num_layers 2, intermediate_size 192, not num_layers 4, intermediate_size 128;" in model
        and "tokenizer" in tokenizer
    )
    (problem,) = _problems(with_checkpoint, start, str(tmp_path / "nowhere"))
    assert "nowhere" in problem


@pytest.mark.mended("cases/commands/newest.py, the winner")
def test_the_newest_winner_is_that_which_says_so_whatever_the_file_system_says(tmp_path, tokenizers):
    times = {"b": "2026-03-01T00:00:00+00:00", "a": "2026-05-01T12:00:00+02:00", "c": "2026-05-01T10:30:00+00:00"}
    for seconds, name in enumerate("cba"):
        folder = tmp_path / "tournament" / name
        _winner(folder, tokenizers[0], finished=times[name])
        os.utime(folder / "winner.json", (10**9 + seconds, 10**9 + seconds))  # as after cp -r
    assert find_starting_model("winner", SMOKE, tmp_path, None).description.startswith("winner of tournament c")


@pytest.mark.mended("WHO and --from that cannot be")
@pytest.mark.parametrize("place", ["~nosuchuser/x", "x" * 300])
def test_a_path_that_cannot_be_is_one_problem(tmp_path, place):
    model = StartingModel("v1", model_named("v01_dense_small", SMOKE.size))
    for problems in (
        _problems(find_starting_model, place, SMOKE, tmp_path, None),
        _problems(with_checkpoint, model, place),
    ):
        assert len(problems) == 1 and "cannot be used" in problems[0]
