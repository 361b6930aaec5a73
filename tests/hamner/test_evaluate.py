"""The command `hamner evaluate`: its files and its table, and bad input that is refused in one line."""

import json
import shutil

import pytest

from hamner import evaluate, sft
from hamner.config.special_tokens import MESSAGE_END
from hamner.data.conversation_rows import ConversationRows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation import friend_card
from hamner.evaluation.friendly_pairs import friendly_pairs
from hamner.evaluation.lm_eval_tasks import GROUP
from hamner.inference.find_model import model_folder


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


def test_a_fine_tuned_run_is_asked_its_own_held_out_conversations(base_results, tmp_path, monkeypatch):
    """Without --data, though the base has read no conversation; every reply of the packed rows is counted."""
    monkeypatch.setattr(friend_card, "SECTIONS", {"held-out replies": friend_card.SECTIONS["held-out replies"]})
    assert sft.main(["mini", "--name", "tuned", "--results", str(base_results), "max_steps=2", "evaluations=1"]) == 0
    run = base_results / "sft" / "tuned"
    assert evaluate.main([str(run / "final"), "--out", str(tmp_path)]) == 0
    card = json.loads((tmp_path / "friend_card.json").read_text())
    rows = ConversationRows(run / "conversations", Tokenizer.load(run / "data").sha256)
    shown = [row for row in card["figures"] if row["section"] == "held-out replies"]
    names = ("builtin", "habits", "everyday")  # not who the friend is
    assert {row["name"].partition(":")[0] for row in shown} == set(names)
    for name in names:
        chats = rows.heldout_conversations(name)
        ends = sum((row == MESSAGE_END).sum().item() for row in rows.heldout(name, 10**6))  # labelled: of replies
        assert len(chats) == rows.sources[name]["heldout"] and ends >= len(chats) > 10
        assert {row["count"] for row in shown if row["name"].startswith(name)} == {ends}
    shutil.rmtree(run)


def test_the_pairs_are_written_for_lm_eval_without_a_model(tmp_path, capsys):
    assert evaluate.main(["--lm-eval", str(tmp_path / "pairs"), "--results", str(tmp_path / "none")]) == 0
    assert (tmp_path / "pairs" / f"{GROUP}.yaml").is_file() and f"--tasks {GROUP}" in capsys.readouterr().out


REFUSED = {
    "run": (["mime"], "did you mean 'mine'"),
    "pairs": (["mine", "--pairs", "nowhere.jsonl"], "no such file"),
    "data": (["mine", "--data", "."], "manifest.json is missing"),
    "replies": (["mine", "--replies", "1"], f"must be a whole number from 2 to {len(friendly_pairs())}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(model_results, monkeypatch, tmp_path, capsys, case):
    monkeypatch.chdir(tmp_path)
    words, problem = REFUSED[case]
    assert evaluate.main([*words, "--results", str(model_results)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and problem in error and error.count("\n") == 1


def test_a_card_is_not_written_through_a_link(model_results, tmp_path, capsys):
    shutil.copytree(model_results, tmp_path / "results")
    folder, elsewhere = model_folder("mine", tmp_path / "results"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "friend_card").symlink_to(elsewhere)
    assert evaluate.main(["mine", "--results", str(tmp_path / "results")]) == 2
    assert "friend_card leads out of the model's folder by a link: remove it" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []
