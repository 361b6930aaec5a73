"""The friendly pairs: kinds, lengths, nothing given away by words or length, or from training text; their marks."""

import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from hamner.config.schema import Compute, ModelConfig
from hamner.config.special_tokens import MESSAGE_END
from hamner.data.builtin_text import dialogues, everyday, facts, habits, stories, voice
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friendly_pairs import (
    KINDS,
    OWN_CHAT,
    PairMark,
    friendly_pairs,
    mark_pairs,
    pair_figures,
    preference,
)
from hamner.model.loss import token_losses
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")
PAIRS = friendly_pairs()
OF_KIND = {kind: [pair for pair in PAIRS if pair.kind == kind] for kind in KINDS}
FOLDS = 5


def _words(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _exchanged():
    return {replies for replies, count in Counter(pair.replies for pair in PAIRS).items() if count == 2}


def _not_exchanged(kind):
    return [pair for pair in OF_KIND[kind] if pair.replies not in _exchanged()]


def test_there_are_1786_pairs_298_of_each_kind_but_one():
    assert {kind: len(pairs) for kind, pairs in OF_KIND.items()} == dict.fromkeys(KINDS, 298) | {"stays_kind": 296}
    assert sum(map(len, OF_KIND.values())) == len(PAIRS) == 1786


def test_a_chat_begins_and_ends_with_the_user_who_takes_turns_with_the_assistant():
    for pair in PAIRS:
        assert [role for role, _ in pair.context] == ["user", "assistant"] * (len(pair.context) // 2) + ["user"]
        texts = [text for _, text in pair.context] + [pair.good, pair.bad]
        assert all(text == text.strip() and text and "\n" not in text for text in texts)
        assert pair.good[-1] in ".?!" and pair.bad[-1] in ".?!"


def test_replies_are_of_one_length_within_two_words():
    assert {abs(len(pair.good.split()) - len(pair.bad.split())) for pair in PAIRS} <= {0, 1, 2}


def test_no_chat_and_no_pair_comes_twice_and_no_reply_is_in_two_places():
    assert len({pair.context for pair in PAIRS}) == len({(p.context, p.good, p.bad) for p in PAIRS}) == len(PAIRS)
    good, bad = Counter(pair.good for pair in PAIRS), Counter(pair.bad for pair in PAIRS)
    assert max(good.values()) == max(bad.values()) == 1
    both = set(good) & set(bad)  # of exchanged pairs: good after one chat, bad after the other
    assert {reply for replies in _exchanged() for reply in replies} == both and len(both) == 1692


def _length_rule(pairs, measure):
    """Share of pairs in which the shorter reply is the good one; a tie is half."""
    return sum(preference(measure(pair.good), measure(pair.bad)) for pair in pairs) / len(pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", [len, lambda text: len(text.split())], ids=["characters", "words"])
def test_length_does_not_tell_the_good_reply(kind, measure):
    pairs = _not_exchanged(kind)  # of exchanged pairs the shorter reply is the good one in one half
    assert not pairs or 0.3 <= _length_rule(pairs, measure) <= 0.7


def _guessed_by_words(pairs, seed=0):
    """Cross-validated accuracy of logistic regression on the words of both replies; exchanged pairs are in one fold."""
    index = {word: i for i, word in enumerate(sorted({w for p in pairs for w in _words(p.good + " " + p.bad)}))}
    gaps = np.zeros((len(pairs), len(index)))
    for row, pair in zip(gaps, pairs, strict=True):
        for word in _words(pair.good):
            row[index[word]] += 1
        for word in _words(pair.bad):
            row[index[word]] -= 1
    groups = sorted({pair.replies for pair in pairs}, key=sorted)
    random.Random(seed).shuffle(groups)
    fold_of = {replies: number % FOLDS for number, replies in enumerate(groups)}
    fold, right = np.array([fold_of[pair.replies] for pair in pairs]), 0.0
    for number in range(FOLDS):
        weights = _logistic(gaps[fold != number])
        right += sum(preference(-score, 0.0) for score in gaps[fold == number] @ weights)
    return right / len(pairs)


def _logistic(gaps):
    """Weights under which the good reply of each row has the higher score; ridge 1."""

    def loss(weights):
        margin = gaps @ weights
        gradient = -gaps.T @ (1 / (1 + np.exp(margin))) + weights
        return np.logaddexp(0, -margin).sum() + weights @ weights / 2, gradient

    return minimize(loss, np.zeros(gaps.shape[1]), jac=True, method="L-BFGS-B").x


@pytest.mark.parametrize("kind", KINDS)
def test_the_words_alone_do_not_tell_the_good_reply(kind):
    share = _guessed_by_words(OF_KIND[kind])
    print(f"{kind}: {share:.3f}")
    assert share <= 0.53  # exchanged pairs give one half; the 36, 12 and 46 others move it by 0.006 to 0.012


@pytest.mark.parametrize("kind", KINDS)
def test_nor_do_the_words_of_those_pairs_whose_replies_are_not_exchanged(kind):
    pairs = _not_exchanged(kind)
    if not pairs:
        return  # exchanged: what is good in one is bad in the other, so words alone are right once
    shares = [_guessed_by_words(pairs, seed) for seed in range(5)]
    print(f"{kind}: {np.mean(shares):.3f} of {len(pairs)}")
    assert np.mean(shares) <= 0.65 + 0.05 * (len(pairs) < 20)  # of twelve pairs chance is 0.50 ± 0.14


def _guessed_by_question_marks(pairs):
    """Share of pairs in which the good reply asks where the user has not asked, and the other way round."""
    asked = [pair.context[-1][1].endswith("?") for pair in pairs]
    asks = [[int("?" in reply) for reply in (pair.good, pair.bad)] for pair in pairs]
    fits = [[int(asking != was_asked) for asking in replies] for replies, was_asked in zip(asks, asked, strict=True)]
    return sum(preference(-good, -bad) for good, bad in fits) / len(pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_question_marks_do_not_tell_the_good_reply(kind):
    share = _guessed_by_question_marks(OF_KIND[kind])
    print(f"{kind}: {share:.3f}")
    assert 0.42 <= share <= 0.58


def test_a_classifier_of_words_finds_what_words_give_away():
    pairs = [pair for pair in OF_KIND["warm"]]
    marked = [type(p)(p.kind, p.context, f"{p.good} Dear.", f"{p.bad} Thing {i}.") for i, p in enumerate(pairs)]
    assert _guessed_by_words(marked) > 0.95


def _sentences(text):
    return {s.strip().lower() for s in re.split(r"(?<=[.?!])\s+|\n", text) if len(s.split()) >= 4}


def test_no_sentence_of_a_pair_is_in_the_builtin_text():
    rng, seen = random.Random(0), set()
    for document in (stories.document, facts.document, voice.document):
        for _ in range(80):
            seen |= _sentences(document(rng))
    for _ in range(800):
        for message in dialogues.conversation(rng):
            seen |= _sentences(message["content"])
    for _ in range(12_000):
        for message in habits.conversation(rng):
            seen |= _sentences(message["content"])
    seen |= {s for messages in everyday.conversations() for _, text in messages for s in _sentences(text)}
    ours = {s for p in PAIRS for text in (p.good, p.bad, *(c for _, c in p.context)) for s in _sentences(text)}
    assert len(seen) > 3000 and len(ours) > 3000
    assert ours & seen == set()


def _runs(text, length=8):
    words = re.findall(r"[a-z']+", text.lower())
    return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_no_eight_words_of_a_pair_are_in_the_conversations_that_show_the_same_habits():
    rng = random.Random(1)
    seen = {run for _ in range(8_000) for message in habits.conversation(rng) for run in _runs(message["content"])}
    seen |= {run for messages in everyday.conversations() for _, text in messages for run in _runs(text)}
    ours = {run for p in PAIRS for text in (p.good, p.bad, *(c for _, c in p.context)) for run in _runs(text)}
    assert len(seen) > 40_000 and len(ours) > 6_000
    assert ours & seen == set()


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([f"{p.good} {p.bad} user assistant" for p in PAIRS], 600)


@pytest.fixture(scope="module")
def hamner(tokenizer):
    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 48}
    return build(ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=160, **shape), seed=0)


def _nats(hamner, tokenizer, context, reply):
    """Nats of a reply and its turn end, read whole."""
    prompt = tokenizer.encode_chat(context, reply=True)
    whole = tokenizer.encode_chat([*context, ("assistant", reply)])
    end = len(whole) - 1 - len(tokenizer.encode("\n"))  # without what follows the turn's end
    assert whole[: len(prompt)] == prompt and whole[end - 1] == MESSAGE_END
    tokens = torch.tensor([whole[:end]])
    with torch.no_grad():
        return token_losses(hamner.eval()(tokens).logits, tokens)[0, len(prompt) - 1 :].double().sum().item()


def test_marks_are_those_of_whole_chats_read_one_by_one(hamner, tokenizer):
    pairs = PAIRS[::41]
    marks = mark_pairs(hamner, tokenizer, pairs, CPU)
    assert [mark.pair for mark in marks] == pairs
    for mark in marks:
        for context, value in ((mark.pair.context, mark.after_chat), ((), mark.alone)):
            good, bad = (_nats(hamner, tokenizer, context, reply) for reply in (mark.pair.good, mark.pair.bad))
            assert value == preference(good, bad)
    assert 0.2 < sum(mark.after_chat for mark in marks) / len(marks) < 0.8


def test_a_model_that_sees_no_chat_gets_one_of_two_exchanged_pairs_right(hamner, tokenizer):
    pairs = [pair for pair in PAIRS if pair.replies in _exchanged()][:80]
    marks = mark_pairs(hamner, tokenizer, pairs, CPU)
    assert sum(mark.alone for mark in marks) == len(marks) / 2 == 40
    everything, alone, *_ = pair_figures(marks)
    assert alone.value == 0.5 and alone.errors_above is None and everything.guess == 0.5


def test_a_pair_that_exceeds_the_context_is_left_out(tokenizer):
    shape = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 16}
    small = build(ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=60, **shape), seed=0)
    assert 0 < len(mark_pairs(small, tokenizer, PAIRS[-72:], CPU)) < 72


def test_figures_name_every_kind_and_cluster_what_is_exchanged():
    marks = [PairMark(pair, 1.0, 0.5) for pair in PAIRS]
    figures = list(pair_figures(marks))
    assert [figure.name for figure in figures[3:]] == list(KINDS.values()) and figures[0].count == len(PAIRS)
    assert figures[2].name == OWN_CHAT and figures[2].count == 846 and figures[2].value == 1.0
    assert figures[0].value == 1.0 and 0 < figures[0].error < 0.002 and figures[0].errors_above > 50


def test_what_a_chat_tells_shows_through_replies_of_which_one_is_likelier_everywhere():
    pairs = [pair for pair in PAIRS if pair.replies in _exchanged()]
    first = {
        pair.replies: pair for pair in reversed(pairs)
    }  # the reply that this one calls good is likelier by 10 nats
    told = [PairMark(pair, 0.1 + (10 if first[pair.replies] is pair else -10), 0.5) for pair in pairs]
    everything, _, own_chat, *_ = pair_figures(told)
    assert everything.value == 0.5 and own_chat.value == 1.0 and own_chat.errors_above > 10
    untold = [PairMark(mark.pair, mark.margin - 0.1, 0.5) for mark in told]
    assert list(pair_figures(untold))[2].value == 0.5  # ties: the chats told nothing
    half = [PairMark(pair, 1.0 if pair.kind == "warm" else -1.0, 0.5) for pair in pairs]
    assert list(pair_figures(half))[2].value == pytest.approx(131 / 846)


@pytest.mark.parametrize(("good", "bad", "mark"), [(1, 2, 1), (2, 1, 0), (1, 1, 0.5), (float("nan"), 1, 0)])
def test_the_reply_that_costs_fewer_nats_is_preferred(good, bad, mark):
    assert preference(good, bad) == mark
