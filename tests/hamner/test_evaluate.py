"""The command `hamner evaluate`: its files and its table, and bad input that is refused in one line."""

import json

import pytest

from hamner import evaluate
from hamner.evaluation.friendly_pairs import friendly_pairs
from hamner.evaluation.lm_eval_tasks import GROUP


@pytest.fixture(scope="module")
def evaluated(model_results, tmp_path_factory):
    """The card of the run `mine`, which has no text beside it; and what was printed."""
    folder = tmp_path_factory.mktemp("card")
    pairs = folder / "own.jsonl"
    pairs.write_text(json.dumps({"sentence_good": "the fox and the owl", "sentence_bad": "the fox owl and the"}))
    words = ["mine", "--results", str(model_results), "--out", str(folder / "out"), "--pairs", str(pairs)]
    assert evaluate.main([*words, "--replies", "3"]) == 0
    return folder / "out"


def test_the_card_is_written_as_json_and_as_a_page(evaluated):
    card = json.loads((evaluated / "friend_card.json").read_text())
    by_name = {(row["section"], row["name"]): row for row in card["figures"]}
    assert card["model"]["run"] == "mine" and card["model"]["text"] == "none" and card["settings"]["replies"] == 3
    assert by_name["minimal pairs", "own"]["count"] == 1
    assert 0 < by_name["friendly pairs", "all six kinds"]["count"] <= len(friendly_pairs())
    assert any("no prepared text" in line for line in card["left_out"])
    assert "all six kinds" in (evaluated / "friend_card.html").read_text()


def test_the_pairs_are_written_for_lm_eval_without_a_model(tmp_path, capsys):
    assert evaluate.main(["--lm-eval", str(tmp_path / "pairs"), "--results", str(tmp_path / "none")]) == 0
    assert (tmp_path / "pairs" / f"{GROUP}.yaml").is_file() and f"--tasks {GROUP}" in capsys.readouterr().out


REFUSED = {
    "run": (["mime"], "did you mean 'mine'"),
    "pairs": (["mine", "--pairs", "nowhere.jsonl"], "no such file"),
    "data": (["mine", "--data", "."], "manifest.json is missing"),
    "replies": (["mine", "--replies", "1"], "must be a whole number from 2 to 430"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(model_results, monkeypatch, tmp_path, capsys, case):
    monkeypatch.chdir(tmp_path)
    words, problem = REFUSED[case]
    assert evaluate.main([*words, "--results", str(model_results)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and problem in error and error.count("\n") == 1
