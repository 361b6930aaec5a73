"""The report of a fine-tuning: its numbers are the run's, its conversations the first ten of the card's list."""

import json
import shutil
from pathlib import Path

import pytest
from page_reader import Page

from hamner import report
from hamner.evaluation.figures import share
from hamner.reports.friend_report import friend_report, lead, read_friend, write_friend_report
from hamner.reports.html import report_html

RECORDED = Path(__file__).with_name("recorded") / "friend"
FIGURES = [share("friendly pairs", "is warm", [1] * 30 + [0] * 2, "pairs", guess=0.5)]
FIGURES += [share("friendly pairs", "stays kind", [1, 0] * 16, "pairs", guess=0.5)]
EVIL = "<script>alert(1)</script>\x1b[2J\"' " + "x" * 200


def _talk(number):
    return [{"role": "user", "content": f"line {number}"}, {"role": "assistant", "content": f"reply {number}; {EVIL}"}]


def _card(**more):
    talks = [_talk(number) for number in range(1, 13)]
    card = {"model": {"run": "friend"}, "figures": [figure.row for figure in FIGURES], "left_out": ["skills: no text"]}
    return card | {"conversations": talks, "replies": []} | more


@pytest.fixture
def friend(tmp_path):
    folder = tmp_path / "sft" / "friend"
    shutil.copytree(RECORDED, folder)
    return folder


def _measured(folder):
    (folder / "friend_card").mkdir()
    (folder / "friend_card" / "friend_card.json").write_text(json.dumps(_card()))
    return folder


def _page(folder):
    return Page(report_html(friend_report(read_friend(folder))))


def test_the_sentence_and_the_tables_have_the_numbers_of_the_run(friend):
    result, page = json.loads((friend / "finetuning.json").read_text()), _page(friend)
    words = [result[side]["word_loss"] for side in ("before", "after")]
    change = f"{words[0]:.3f} to {words[1]:.3f} nats a token"
    assert lead(read_friend(friend)).startswith(
        f"demo learnt to reply in 60 steps; its held-out replies went from {change}"
    )
    for row in page.table("turn ends, base")[1:]:
        before, after = (result[side]["sources"][row[0]] for side in ("before", "after"))
        losses = [side[key] for key in ("word_loss", "end_loss") for side in (before, after)]
        assert [row[1], row[2], row[4], row[5]] == [f"{loss:.3f}" for loss in losses]
    looks = page.table("turn ends")[1:]
    assert [row[0] for row in looks] == ["0", *(str(look["step"]) for look in result["looks"])]
    losses = [[f"{look[key]:.3f}" for key in ("word_loss", "end_loss")] for look in result["looks"]]
    assert [row[1:] for row in looks[1:]] == losses
    mix = {row[0]: row[1] for row in page.table("share of the rows")[1:]}
    assert mix == {name: f"{value:.1%}" for name, value in result["mix"].items()}
    assert f"{result['tokens']:,}" in page.text and "24 s" in page.text


def test_without_a_card_it_says_how_to_measure_one(friend):
    text = _page(friend).text
    assert "no friend card yet" in text and f"hamner evaluate friend --results {friend.parents[1]}" in text
    assert "Ten conversations" not in text


def test_the_card_and_the_first_ten_of_its_conversations_are_shown_and_stay_text(friend):
    page = _page(_measured(friend))
    page.check_self_contained()
    assert "1 of 2 figures of its card are beyond guessing" in page.text and "skills: no text" in page.text
    assert [row[1] for row in page.table("errors better")[1:]] == ["93.8%", "50.0%"]
    opened, _, folded = page.text.partition("the other 2")
    assert [f"reply {number};" in opened for number in range(1, 13)] == [True] * 10 + [False] * 2
    assert "reply 11;" in folded and "reply 12;" in folded and "<script>alert(1)</script>" in page.text
    assert "\x1b" not in page.text


def test_an_unfinished_run_and_one_of_an_older_version_have_a_report(friend):
    (friend / "finetuning.json").unlink()
    assert "Not finished: demo is learning to reply, and stands at step 60." in _page(friend).text
    assert f"hamner sft --resume --name friend --results {friend.parents[1]}" in _page(friend).text
    (friend / "finetuning.json").write_text('{"steps": 60, "before": {"loss": 1}}')
    (friend / "metrics.csv").unlink()
    assert "demo learnt to reply in 60 steps" in _page(friend).text


def test_the_command_finds_a_run_of_any_kind_and_the_files_are_alike_when_written_twice(friend, capsys):
    results = friend.parents[1]
    _measured(friend)
    assert report.main(["--results", str(results)]) == 0
    assert f"report: {friend / 'report.html'}\n" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in friend.glob("report*")}
    write_friend_report(friend)
    assert {path.name: path.read_bytes() for path in friend.glob("report*")} == before
    assert len(before["report.html"]) < 200_000 and "sft/friend/report.html" in (results / "index.html").read_text()
    curriculum = results / "curriculum" / "mine"
    curriculum.mkdir(parents=True)
    (curriculum / "config.json").write_text('{"run": "mine", "name": "v3", "started": "2031-01-01T00:00:00+00:00"}')
    assert report.main(["--results", str(results)]) == 0  # the newest of all kinds
    assert f"report: {curriculum / 'report.html'}\n" in capsys.readouterr().out
    assert report.main(["fried", "--results", str(results)]) == 2
    assert "did you mean 'friend'?" in capsys.readouterr().err
