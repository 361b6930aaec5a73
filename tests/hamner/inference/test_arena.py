"""The arena: blind, in random order, the pairs equally often; a vote is one line; what is wrong is refused in words."""

import asyncio
import json
import random
import shutil
import stat
from collections import Counter

import pytest
from served import TOKENIZER, endless_model, fetch, running

from hamner.config.errors import BadInput
from hamner.inference.arena import Arena
from hamner.inference.server_app import Extras, Served
from hamner.inference.server_options import check_arena
from hamner.inference.server_requests import ApiError
from hamner.runs.votes import Vote, labels, read_votes


class Parrot:
    """A contender that says its own name."""

    def __init__(self, name, weights="1"):
        self.name, self.weights = name, weights

    async def reply(self, message, seed):
        return f" {self.name}: {message}"

    def close(self):
        pass


def play(arena, rounds, choose=lambda left, right: "left"):
    """Play rounds; the pairs as they were shown."""

    async def rounds_of():
        shown = []
        for number in range(rounds):
            played = await arena.play(f"hello {number}")
            shown.append((played.left.split(":")[0], played.right.split(":")[0]))
            await arena.vote(played.id, choose(*shown[-1]))
        return shown

    return asyncio.run(rounds_of())


def test_pairs_meet_equally_often_in_both_orders_and_each_vote_is_a_private_line(tmp_path):
    path = tmp_path / "arena" / "votes.jsonl"
    shown = play(Arena([Parrot("a"), Parrot("b"), Parrot("c")], path, random.Random(3)), 120)
    assert Counter(frozenset(pair) for pair in shown) == {frozenset(pair): 40 for pair in ("ab", "bc", "ac")}
    assert all(10 <= count <= 30 for count in Counter(shown).values())  # of 40, 20 ± 3.2 each
    votes = read_votes(path)
    assert [(vote.left, vote.right) for vote in votes] == shown and {vote.choice for vote in votes} == {"left"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and "hello" not in path.read_text()


def test_earlier_votes_count_for_who_meets_whom(tmp_path):
    path = tmp_path / "votes.jsonl"
    play(Arena([Parrot("a"), Parrot("b")], path), 4)
    arena = Arena([Parrot("a"), Parrot("b"), Parrot("c")], path)
    assert arena.votes == 4 and not any("c" not in pair for pair in play(arena, 8))
    assert Arena([Parrot("a", "other"), Parrot("b")], path).votes == 0  # another training under that name


def test_a_round_has_one_vote_and_a_known_choice(tmp_path):
    async def story():
        arena = Arena([Parrot("a"), Parrot("b")], tmp_path / "votes.jsonl")
        played = await arena.play("hello")
        with pytest.raises(ApiError, match="is none of left, right, tie"):
            await arena.vote(played.id, "both")
        assert await arena.vote(played.id, "tie") == 1
        with pytest.raises(ApiError, match="has had its vote"):
            await arena.vote(played.id, "tie")

    asyncio.run(story())


def test_a_vote_file_with_broken_lines_is_refused_before_anything_is_loaded(tmp_path, model_results):
    path = tmp_path / "arena" / "votes.jsonl"
    path.parent.mkdir()
    good = {
        "format": 1,
        "time": "t",
        "left": "a",
        "right": "b",
        "left_weights": "",
        "right_weights": "",
        "choice": "tie",
    }
    lines = [good, good | {"choice": "maybe"}, good | {"right": "a"}, good | {"left": 3}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"format": 1, "le')
    with pytest.raises(BadInput) as error:
        check_arena(["nobody"], tmp_path)
    assert [line.partition(": ")[0] for line in error.value.problems[1:]] == [
        f"{path}:{number} is not a vote" for number in (2, 3, 4, 5)
    ]
    assert "no run or folder 'nobody'" in error.value.problems[0]


def test_a_gguf_file_without_llama_cpp_is_refused_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="use `pip install xllamacpp`, or give the folder"):
        check_arena([str(tmp_path / "x.gguf")], tmp_path)


def test_friends_are_told_apart_by_weights_where_their_names_are_alike():
    votes = [Vote("a", "b", "11111111", "2", "left"), Vote("b", "a", "2", "99999999", "tie")]
    assert labels(votes) == {("a", "11111111"): "a@111111", ("b", "2"): "b", ("a", "99999999"): "a@999999"}


def test_an_export_of_the_served_run_is_called_as_its_folder(tmp_path, model_results):
    from hamner.inference.server_model import open_rivals, open_served

    run = model_results / "curriculum" / "mine"
    copy = tmp_path / "exported"
    shutil.copytree(run / "final", copy)
    (copy / "hamner.json").write_text('{"name": "mine"}')
    served = open_served(run, is_weighed=True)
    (rival,) = open_rivals(served, [copy])
    assert (rival.name, rival.weights) == ("exported", served.weights) and len(served.weights) == 12
    with pytest.raises(BadInput, match="another friend in it is called 'exported'"):
        open_rivals(served, [copy, copy])


def test_over_http_two_models_reply_and_no_answer_says_who_it_was(tmp_path):
    rival, votes = Served(endless_model(num_layers=2), "rival", "", 0, "ab"), tmp_path / "votes.jsonl"
    with running(endless_model(), extras=Extras(rivals=[rival], votes=votes)) as (address, _):

        def post(path, **body):
            status, _, answer = fetch(address, path, body)
            return status, json.loads(answer)

        assert json.loads(fetch(address, "/v1/arena")[2]) == {"votes": 0}
        status, played = post("/v1/arena/rounds", message="hello there")
        assert status == 200 and set(played) == {"round", "left", "right"} and played["left"] != played["right"]
        assert "rival" not in json.dumps(played) and "mine" not in json.dumps(played)
        assert len(TOKENIZER.encode(played["left"])) > 50
        assert post("/v1/arena/votes", round=played["round"], choice="right") == (200, {"votes": 1})
        assert post("/v1/arena/votes", round=played["round"], choice="right")[0] == 404
        for path, body in {"rounds": {"message": " "}, "votes": {"round": 3}, "rounds?": {"messages": []}}.items():
            assert post(f"/v1/arena/{path.strip('?')}", **body)[0] == 400
        assert fetch(address, "/arena")[0] == fetch(address, "/arena.js")[0] == 200
    assert {read_votes(votes)[0].left, read_votes(votes)[0].right} == {"mine", "rival"}
    with running(endless_model()) as (address, _):
        assert fetch(address, "/arena")[0] == 404 and fetch(address, "/v1/arena")[0] == 404


def test_feedback_over_http_is_kept_only_where_it_was_asked_for(tmp_path):
    from hamner.data.feedback import read_feedback

    body = {"kind": "fix", "messages": [{"role": "user", "content": "Hello"}], "reply": "Stones.", "better": "Hi!"}
    with running(endless_model(), extras=Extras(feedback=tmp_path)) as (address, _):
        assert json.loads(fetch(address, "/v1/models")[2])["data"][0]["feedback"] == str(tmp_path)
        status, _, answer = fetch(address, "/v1/feedback", body)
        (kept,) = read_feedback(tmp_path)
        assert status == 200 and json.loads(answer) == {"id": kept.id} and (kept.model, kept.better) == ("mine", "Hi!")
        for wrong in ({"kind": "praise"}, {"messages": []}, {"messages": [{"role": "x"}]}, {"better": ""}, {"more": 1}):
            assert fetch(address, "/v1/feedback", body | wrong)[0] == 400
        assert fetch(address, f"/v1/feedback/{kept.id}", method="DELETE")[2] == b'{"forgotten":1}'
        assert read_feedback(tmp_path) == []
    with running(endless_model()) as (address, _):
        assert fetch(address, "/v1/feedback", body)[0] == 404


@pytest.mark.slow
def test_a_gguf_file_replies_through_llama_cpp_and_a_broken_one_is_refused(tmp_path):
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install '.[oracle]'")
    pytest.importorskip("gguf", reason="gguf is not installed: pip install '.[test]'")
    from exported_models import lively, tokenizer

    from hamner.inference.contenders import GgufContender
    from hamner.inference.gguf import write_gguf

    words, path = tokenizer(), tmp_path / "friend.gguf"
    write_gguf(path, lively(vocab_size=words.vocab_size), words, "f32", "friend")
    contender = GgufContender(path, "friend")

    async def replies():
        return [await contender.reply("Hello Anna", seed) for seed in (1, 1, 2)]

    first, same, other = asyncio.run(replies())
    contender.close()
    assert first and first == same != other
    assert (contender.name, len(contender.weights)) == ("friend", 12)
    path.write_bytes(b"GGUF and no more")
    with pytest.raises(BadInput, match="cannot read"):
        GgufContender(path, "friend")
