"""A friend that learns to ask back: 40 corrections move held-out ones of their kind, and no other kind of reply."""

import shutil

import pytest
from ask_back import ask_back_corrections

from hamner import sft
from hamner.data.feedback import add_feedback
from hamner.evaluation.corrections import ALL_KINDS, HELD_OUT, TRAINED_ON
from hamner.inference.conversation import Conversation
from hamner.inference.find_model import load
from hamner.reports.finetuning_tables import text_losses
from hamner.runs.files import read_json

pytestmark = pytest.mark.slow


def test_forty_corrections_change_held_out_ones_and_nothing_else(base_results, tmp_path, capsys):
    """What was rejected is what the friend itself has said to each message. Two minutes of one core."""
    results, place = tmp_path / "results", ["--results", str(tmp_path / "results")]
    shutil.copytree(base_results / "curriculum", results / "curriculum")
    words = ["mini", "--data", "builtin", "--name", "friend", "max_steps=600", "batch_size=8", "evaluations=8"]
    assert sft.main([*words, "eval_sequences=24", "data.builtin_characters=400_000", *place]) == 0
    friend = load("friend", results=results)

    def reply(number, tale):
        return Conversation(friend, temperature=0.7, seed=number).reply(tale).strip()

    for each in ask_back_corrections(51, reply):
        add_feedback(tmp_path / "feedback", each)
    words = ["friend", "--feedback", "--data", str(tmp_path), "--name", "kinder", "evaluations=20"]
    assert sft.main([*words, *place]) == 0
    print(out := capsys.readouterr().out)
    assert "learnt, beyond chance" in out and "elsewhere, of the friendly pairs, beyond chance: nothing moved" in out
    rows = {row["group"]: row for row in read_json(results / "sft" / "kinder" / "feedback.json")["changes"]}
    assert (rows[TRAINED_ON]["count"], rows[HELD_OUT]["count"]) == (40, 11)
    assert rows[HELD_OUT]["errors"] > 3 and rows[HELD_OUT]["right_now"] > rows[HELD_OUT]["right_before"]
    assert abs(rows[ALL_KINDS]["errors"]) < 1
    assert all(abs(row["errors"]) < 3 for row in rows.values() if row["group"] not in (HELD_OUT, TRAINED_ON))
    document = read_json(results / "sft" / "kinder" / "finetuning.json")
    assert {name: len(losses) for name, losses in text_losses(document).items()} == {"tinystories": 3, "synthetic": 3}
    replies = [side["sources"]["builtin"]["word_loss"] for side in (document["before"], document["after"])]
    assert replies[1] < replies[0] * 1.1  # what it cost of the other conversations
