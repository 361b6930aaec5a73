"""Learning from corrections: what is trained on and held out, what is refused, what is said to have come of it."""

import json
import shutil
import stat

import numpy as np
import pytest
from ask_back import ask_back_corrections

from hamner import sft
from hamner.config.errors import BadInput
from hamner.data.conversation_rows import ConversationRows
from hamner.data.feedback import Feedback, add_feedback, read_feedback_file
from hamner.data.preparation.corrections import FEWEST_HELD_OUT, check_enough
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.corrections import HELD_OUT, TRAINED_ON, ReplyPair, changes
from hamner.runs.files import read_json
from hamner.training.finetuning_plan import feedback_mix, feedback_plan


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with 40 corrections to train on, and some held out."""
    folder = tmp_path_factory.mktemp("data")
    for each in ask_back_corrections(51):
        add_feedback(folder / "feedback", each)
    return folder


@pytest.fixture(scope="module")
def results(base_results, tmp_path_factory):
    """A results folder with a fine-tuned run, `first`."""
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copytree(base_results / "curriculum", folder / "curriculum")
    words = ["mini", "--data", "builtin", "--results", str(folder), "--name", "first"]
    assert sft.main([*words, "max_steps=8", "max_reply_tokens=100"]) == 0
    return folder


@pytest.fixture(scope="module")
def learnt(results, data):
    """The run `second`, which has learnt from the corrections."""
    words = ["first", "--feedback", "--data", str(data), "--results", str(results), "--name", "second"]
    assert sft.main([*words, "feedback_steps=6", "evaluations=3"]) == 0
    return results / "sft" / "second"


def test_the_better_reply_alone_is_trained_on_and_held_out_messages_never_are(results, learnt):
    tokenizer = Tokenizer.load(learnt / "data")
    rows, before = (
        ConversationRows(results / "sft" / name / "conversations", tokenizer.sha256) for name in ("second", "first")
    )
    assert set(rows.sources) == {*before.sources, "feedback"}
    facts = rows.sources["feedback"]
    kept = read_feedback_file(learnt / "corrections.jsonl")
    assert (
        (facts["conversations"], facts["heldout"])
        == (40, 11)
        == (sum(not each.is_held_out for each in kept), sum(each.is_held_out for each in kept))
    )
    train = rows.train("feedback")
    ids = np.concatenate([train.row(number, None) for number in range(train.count)])
    read, trained = (tokenizer.decode(part.tolist()) for part in (np.where(ids < 0, ~ids, ids), ids[ids >= 0]))
    for each in kept:
        assert (each.message in read) == (not each.is_held_out)
        assert each.reply not in read and each.message not in trained
    assert trained.count("How did it go?") == sum(
        each.better == "How did it go?" and not each.is_held_out for each in kept
    )
    assert stat.S_IMODE((learnt / "corrections.jsonl").stat().st_mode) == 0o600


def test_only_the_last_reply_of_a_chat_is_trained_on(results, tmp_path):
    chat = (("system", "be kind"), ("user", "Hello"), ("assistant", "Stones."), ("user", "What?"))
    long = tuple(("assistant" if n % 2 else "user", f"word {n} " * 6) for n in range(40))
    long = (*long, ("user", "And now?"))
    from hamner.data.preparation.corrections import prepare_corrections

    own = [
        *ask_back_corrections(51),
        Feedback("m", "fix", chat, "Sand.", "I am sorry."),
        Feedback("m", "fix", long, "x", "Yes."),
    ]
    own.append(Feedback("m", "fix", (("user", "Too long?"),), "No.", "word " * 200))
    tokenizer, lines = Tokenizer.load(results / "sft" / "first" / "data"), []
    prepare_corrections(own, results / "sft" / "first" / "conversations", tokenizer, tmp_path, 100, lines.append)
    rows = ConversationRows(tmp_path, tokenizer.sha256)
    assert rows.sources["feedback"]["too_long"] == 1 and "1 left out" in lines[-1]
    train = rows.train("feedback")
    ids = np.concatenate([train.row(number, None) for number in range(train.count)])
    trained = tokenizer.decode(ids[ids >= 0].tolist())
    assert "Stones." not in trained and "word 39" not in trained
    assert trained.count("I am sorry.") + trained.count("Yes.") == sum(not each.is_held_out for each in own[51:53])


def test_what_changed_and_what_it_cost_is_printed_and_kept(learnt, data, capsys):
    results = learnt.parents[1]
    assert sft.main(["--resume", "--name", "second", "--results", str(results)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "corrections held out" in out and "standard errors" in out and "what rose is forgotten" in out
    rows = read_json(learnt / "feedback.json")["changes"]
    assert [row["group"] for row in rows][:2] == [HELD_OUT, TRAINED_ON] and len(rows) == 9
    assert [row["count"] for row in rows][:2] == [11, 40]
    assert set(read_json(learnt / "finetuning.json")["mix"]) >= {"feedback", "builtin", "tinystories"}
    assert read_json(learnt / "config.json")["feedback"] == str(data / "feedback")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "no corrections in"), (3, "3 corrections in"), (15, "are too few to tell whether they help")],
)
def test_too_few_corrections_are_refused_before_anything_is_written(results, tmp_path, capsys, count, words):
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "empty.jsonl").write_text("")
    for each in ask_back_corrections(count):
        add_feedback(tmp_path / "feedback", each)
    assert sft.main(["first", "--feedback", "--data", str(tmp_path), "--results", str(results), "--name", "few"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "24" in error
    assert not (results / "sft" / "few").exists()


def test_six_held_out_messages_are_enough(tmp_path):
    held_out = [each for each in ask_back_corrections(80) if each.is_held_out][:FEWEST_HELD_OUT]
    trained = [each for each in ask_back_corrections(10) if not each.is_held_out]
    check_enough([*held_out, *trained], tmp_path)
    with pytest.raises(BadInput, match="too few"):
        check_enough([*held_out[1:], *held_out[1:], *trained], tmp_path)  # one message twice is one
    with pytest.raises(BadInput, match="too few"):
        check_enough(held_out, tmp_path)


def test_a_run_that_was_not_fine_tuned_and_other_rows_are_refused(base_results, results, data, capsys):
    final = base_results / "curriculum" / "mini" / "final"
    words = ["--feedback", "--data", str(data), "--results", str(results), "--name", "none"]
    assert sft.main([str(final), *words]) == 2 and "was not fine-tuned" in capsys.readouterr().err
    assert sft.main(["mini", *words]) == 2 and "did you mean 'first'?" not in capsys.readouterr().out
    assert sft.main(["first", *words, "seq_len=64"]) == 2 and "leave it out" in capsys.readouterr().err
    assert not (results / "sft" / "none").exists()


def test_a_broken_line_is_refused(results, tmp_path, capsys):
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "x.jsonl").write_text('{"format": 1}\nhello\n')
    assert sft.main(["first", "--feedback", "--data", str(tmp_path), "--results", str(results)]) == 2
    assert capsys.readouterr().err.count("is not feedback") == 2


def test_the_plan_gives_corrections_their_share_and_replays_text():
    mix = feedback_mix({"builtin": 0.9, "identity": 0.1}, "feedback", 0.5)
    assert mix == pytest.approx({"builtin": 0.45, "identity": 0.05, "feedback": 0.5})
    plan = feedback_plan(
        mix, dict.fromkeys(mix, 0.5), text={"stories": 1.0}, replay=0.3, steps=100, warmup=0.1, evaluations=20
    )
    assert (plan.steps, plan.warmup_steps, plan.evaluate_every, plan.limits) == (100, 10, 5, {})
    trained = {name: share * (1.0 if name == "stories" else 0.5) for name, share in plan.mix.items()}
    assert trained["stories"] / sum(trained.values()) == pytest.approx(0.3)


def test_a_change_has_the_error_of_its_clusters():
    pairs = [ReplyPair("g", (("user", str(n)),), "a", "b", n // 2) for n in range(8)] + [
        ReplyPair("h", (), "a", "b", 0)
    ]
    before, now = [0.0] * 9, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0]
    first, second = changes(pairs, before, now)
    assert (first.count, first.clusters, first.now) == (8, 4, 2.5)
    assert first.error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2) and first.errors == pytest.approx(
        2.5 / first.error
    )
    assert (second.error, second.errors) == (None, None) and json.dumps(second.row)
    assert changes(pairs[:1], [None], [1.0]) == []
