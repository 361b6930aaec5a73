"""Held-out replies: which are found, what they cost, groups of one length, and whether the true reply is chosen."""

import random

import numpy as np
import pytest
import torch

from hamner.config.schema import Compute, ModelConfig
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.heldout_replies import (
    CHANCE,
    GROUP,
    HeldoutReply,
    belonging_groups,
    belongs,
    belongs_figure,
    chosen,
    heldout_replies,
    length_groups,
    replies_in,
    reply_figures,
    reply_nats,
)
from hamner.model.loss import next_token_loss, token_losses
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")
WORDS = [
    "fox",
    "owl",
    "hen",
    "cat",
    "dog",
    "cow",
    "pig",
    "ram",
    "bee",
    "ant",
    "elk",
    "emu",
    "asp",
    "bat",
    "jay",
    "koi",
    "yak",
    "ewe",
    "eel",
    "gnu",
]
CHAT = (("system", "be kind"), ("user", "fox"), ("assistant", "owl hen"), ("user", "cat"), ("assistant", "dog"))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([f"user assistant system be kind {' '.join(WORDS)}\n"] * 3, 400)


def _model(tokenizer):
    shape = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 48}
    return build(ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=64, **shape), seed=0)


def test_replies_are_what_a_model_would_be_asked_for(tokenizer):
    opening = tokenizer.encode("assistant\n")
    found = list(replies_in(tokenizer.encode_chat(CHAT), opening, 7))
    assert [tokenizer.decode(reply.words) for reply in found] == ["owl hen", "dog"]
    assert [list(reply.prompt) for reply in found] == [tokenizer.encode_chat(CHAT[:n], reply=True) for n in (2, 4)]
    assert {reply.conversation for reply in found} == {7}


def test_plain_text_and_a_reply_that_is_cut_short_give_none(tokenizer):
    opening = tokenizer.encode("assistant\n")
    assert list(replies_in([*tokenizer.encode("assistant\nfox"), END_OF_TEXT], opening)) == []
    whole = tokenizer.encode_chat(CHAT)
    last_end = max(place for place, token in enumerate(whole) if token == MESSAGE_END)
    assert len(list(replies_in(whole[:last_end], opening))) == 1
    assert list(replies_in([], opening)) == list(replies_in([MESSAGE_START], opening)) == []


class _Corpus:
    """As much of a corpus as its held-out conversations need."""

    def __init__(self, documents):
        self.tokens, self.ends = np.concatenate(documents), np.cumsum([len(d) for d in documents])

    def heldout(self, source):
        return self.tokens

    def heldout_ends(self, source):
        return self.ends


def test_the_replies_of_evenly_spread_conversations_that_fit(tokenizer):
    chats = [(("user", WORDS[i]), ("assistant", " ".join(WORDS[: i + 1]))) for i in range(20)]
    corpus = _Corpus([np.array(tokenizer.encode_chat(chat)) for chat in chats])
    every = heldout_replies(corpus, tokenizer, "sft", 100, 1000)
    assert [reply.conversation for reply in every] == list(range(20))
    assert tokenizer.decode(every[4].words) == " ".join(WORDS[:5])
    few = heldout_replies(corpus, tokenizer, "sft", 5, 1000)
    assert [reply.conversation for reply in few] == [0, 4, 9, 14, 19]
    longest = len(every[9].prompt) + len(every[9].words)
    assert all(len(r.prompt) + len(r.words) < longest for r in heldout_replies(corpus, tokenizer, "sft", 100, longest))
    text = _Corpus([np.array([*tokenizer.encode("fox owl"), END_OF_TEXT])])
    assert heldout_replies(text, tokenizer, "personal", 5, 1000) == []


def test_nats_are_those_of_the_whole_chat(tokenizer):
    hamner, nobody = _model(tokenizer), tokenizer.encode_chat((), reply=True)
    replies = list(replies_in(tokenizer.encode_chat(CHAT), tokenizer.encode("assistant\n")))
    for reply, nats in zip(replies, reply_nats(hamner, tokenizer, replies, CPU), strict=True):
        tokens = torch.tensor([[*reply.prompt, *reply.words, MESSAGE_END]])
        losses = token_losses(hamner(tokens).logits, tokens)[0, len(reply.prompt) - 1 :]
        assert nats.words == pytest.approx(losses[:-1].sum().item(), rel=1e-5)
        assert nats.end == pytest.approx(losses[-1].item(), rel=1e-3)
        tokens = torch.tensor([[*nobody, *reply.words]])
        alone = token_losses(hamner(tokens).logits, tokens)[0, len(nobody) - 1 :].sum().item()
        assert nats.alone == pytest.approx(alone, rel=1e-5)
    words, gain, end = reply_figures("sft", replies, reply_nats(hamner, tokenizer, replies, CPU), 5.0)
    assert words.guess == 5.0 and words.count == 2 and gain.better == "higher" and end.unit == "nats/token"


def test_the_loss_of_replies_is_a_mean_over_their_tokens_clustered_by_conversation():
    from hamner.evaluation.heldout_replies import ReplyNats

    replies = [HeldoutReply(0, (1,), (5, 5)), HeldoutReply(0, (1,), (5, 5)), HeldoutReply(1, (1,), (5,) * 4)]
    nats = [ReplyNats(2.0, 1.0, 6.0), ReplyNats(4.0, 2.0, 6.0), ReplyNats(10.0, 3.0, 12.0)]
    words, gain, end = reply_figures("sft", replies, nats, None)
    assert words.value == 2.0 and gain.value == 1.0 and end.value == 2.0 and words.guess is None
    # 6 nats and 10 nats of 4 tokens each: gaps -2, 2; se² = 2 · 8 / 64
    assert words.error == pytest.approx(0.5)
    assert end.guess == pytest.approx(np.log(11 / 3))  # 3 of 11 tokens end a turn


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_of_one_length_and_share_no_reply(seed):
    rng = random.Random(seed)
    lengths = [min(120, 2 + int(rng.expovariate(1 / 15))) for _ in range(rng.randrange(0, 400))]
    groups = length_groups(lengths)
    used = [index for group in groups for index in group]
    assert len(used) == len(set(used)) and all(len(group) == GROUP for group in groups)
    for group in groups:
        shortest, longest = min(lengths[i] for i in group), max(lengths[i] for i in group)
        assert longest <= max(1.1 * shortest, shortest + 1)
    if len(lengths) > 300:
        assert groups


def test_groups_of_fewer_than_twenty_alike_are_none():
    assert length_groups([5] * 19) == [] and len(length_groups([5] * 59)) == 2
    assert length_groups([1, *([9] * 20)]) == [list(range(1, 21))]


def test_a_group_has_replies_that_differ_of_as_many_conversations():
    replies = [HeldoutReply(i, (1, i), (7, i % 30, 9)) for i in range(100)]
    for group in belonging_groups(replies):
        assert len({reply.words for reply in group}) == len({reply.conversation for reply in group}) == GROUP
    assert len(belonging_groups(replies)) == 1  # 30 different ones
    assert belonging_groups([]) == []
    many = [HeldoutReply(i, (1, i), (7, i, 9)) for i in range(200)]
    assert len(belonging_groups(many)) == 10 and len(belonging_groups(many, 3)) == 3


@pytest.mark.parametrize(
    ("scores", "true", "mark"), [([1, 2, 0], 1, 1), ([1, 2, 0], 0, 0), ([2, 2, 0], 0, 0.5), ([1] * 4, 3, 0.25)]
)
def test_the_highest_score_is_chosen_and_a_tie_shared(scores, true, mark):
    assert chosen(scores, true) == mark


def test_a_model_that_learnt_who_answers_whom_finds_where_replies_belong(tokenizer):
    """Before training by chance, after it nearly always: the chat's word is what its reply repeats."""
    chats = [(("user", word), ("assistant", f"{word} {word}")) for word in WORDS]
    ids = [tokenizer.encode_chat(chat) for chat in chats]
    group = [next(replies_in(row, tokenizer.encode("assistant\n"), i)) for i, row in enumerate(ids)]
    assert len(group) == GROUP
    hamner = _model(tokenizer)
    before = belongs(hamner, tokenizer, group, CPU)
    ids += [tokenizer.encode_chat(chat[1:]) for chat in chats]  # replies without a chat too, as they are scored
    tokens = torch.full((len(ids), max(map(len, ids))), END_OF_TEXT)
    for row, of_chat in zip(tokens, ids, strict=True):
        row[: len(of_chat)] = torch.tensor(of_chat)
    adam = torch.optim.AdamW(hamner.parameters(), lr=1e-2)
    for _ in range(120):
        adam.zero_grad()
        next_token_loss(hamner(tokens).logits, tokens).backward()
        adam.step()
    after = belongs(hamner, tokenizer, group, CPU)
    assert sum(before) <= 6 and sum(after) >= 18
    figure = belongs_figure("sft", [before, after])
    assert figure.guess == CHANCE == 0.05 and figure.count == 40
    assert figure.value == (sum(before) + sum(after)) / 40 and figure.error > 0.2  # two groups that differ


def test_a_conversation_has_one_reply_in_a_group_and_may_have_others_in_other_groups():
    replies = [HeldoutReply(i // 3, (1, i), (7, i, 9)) for i in range(90)]
    groups = belonging_groups(replies)
    assert [len({reply.conversation for reply in group}) for group in groups] == [GROUP] * 3
    assert length_groups([4] * 90, [i // 5 for i in range(90)]) == []  # 18 conversations
