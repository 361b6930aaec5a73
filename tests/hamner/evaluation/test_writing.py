"""What a model writes: shares of replies, exhaustively on short texts."""

from itertools import product

import pytest

from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friendly_pairs import KINDS, friendly_pairs
from hamner.evaluation.writing import (
    Reply,
    has_role_words,
    identical_share,
    repeated_4grams,
    reply_to,
    spread_contexts,
    writing_figures,
)


def test_identical_replies_are_those_that_an_earlier_one_says():
    assert identical_share(["Hi.", "hi. ", "Hi,", "HI."]) == 0.5
    assert identical_share(["a"]) == 0 and identical_share(["", ""]) == 0.5


def test_repeated_4grams_of_all_texts_of_six_words_out_of_two():
    for words in product("ab", repeat=6):
        runs = ["".join(words[i : i + 4]) for i in range(3)]
        expected = sum(run in runs[:i] for i, run in enumerate(runs)) / 3
        assert repeated_4grams(" ".join(words)) == pytest.approx(expected)
    assert repeated_4grams("a a a a a") == 0.5 and repeated_4grams("a a a a") == repeated_4grams("") == 0


@pytest.mark.parametrize("text", ["user: hi", "Fine.\nassistant", "ok <|im_start|>", " System :", "a\n USER:b"])
def test_role_words_are_seen_where_a_turn_begins(text):
    assert has_role_words(text)


@pytest.mark.parametrize("text", ["", "The user is happy.", "Ask the assistant: he knows.", "users: many"])
def test_role_words_within_a_sentence_are_none(text):
    assert not has_role_words(text)


def _reply(text, length, has_ended=True):
    return Reply((("user", "hi"),), (5,) * length, text, has_ended)


def test_figures_of_replies():
    replies = [
        _reply("Good day to you.", 4),
        _reply("good day to you.", 6),
        _reply("", 0),
        _reply("a a a a a", 9, False),
    ]
    figures = {f.name: f for f in writing_figures(replies, ["one two", "three four five"], lambda t: len(t.split()))}
    values = {name: figure.value for name, figure in figures.items()}
    assert values == {
        "ends by itself": 0.75,
        "length, median": 5.0,
        "empty": 0.25,
        "identical to an earlier one": 0.25,
        "repeated 4-grams": 0.125,
        "role words": 0.0,
    }
    assert all(figure.error > 0 and figure.count == 4 for figure in figures.values())
    alike = [_reply("", 0)] * 3
    assert all(figure.error > 0 for figure in writing_figures(alike, ["a"], len) if figure.unit == "share")
    assert "2.5" in figures["length, median"].note


def test_chats_are_spread_over_all_kinds():
    pairs = friendly_pairs()
    contexts = spread_contexts(pairs, 100)
    kind_of = {pair.context: pair.kind for pair in pairs}
    kinds = [kind_of[context] for context in contexts]
    assert len(set(contexts)) == 100 and {kind: 15 < kinds.count(kind) < 19 for kind in KINDS} == dict.fromkeys(
        KINDS, True
    )
    assert spread_contexts(pairs, 10_000) == [pair.context for pair in pairs]


def test_a_reply_ends_by_itself_when_the_writer_stops_before_the_limit():
    tokenizer = Tokenizer.train(["user assistant hello"], 300)
    prompts = []

    def writer(ids, most, *, seed, greedy=False):
        prompts.append((list(ids), most, seed))
        return tokenizer.encode("hello") * (1 if seed else most)

    chat = (("user", "hello"),)
    ended = reply_to(writer, tokenizer, chat, seed=1, longest=100, most=20)
    assert ended.text == "hello" and ended.has_ended
    assert prompts == [(tokenizer.encode_chat(chat, reply=True), 20, 1)]
    assert not reply_to(writer, tokenizer, chat, seed=0, longest=100, most=20).has_ended
    assert reply_to(writer, tokenizer, chat, seed=0, longest=len(prompts[0][0]) + 19, most=20) is None
