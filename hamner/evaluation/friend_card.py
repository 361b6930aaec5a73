"""Friend card (report card, evaluation suite): how good a model is to talk to, every number with its standard error.

In: a model, its tokenizer, the prepared text and conversations it was trained on, and a writer, which samples from it.
Out: figures, replies and conversations, as one JSON document; the same document each time for the same model and
settings. What cannot be measured (no text at hand, a context too short) is named in `left_out`, never passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import Message
from hamner.data.conversation_rows import ConversationRows
from hamner.data.corpus import Corpus, unigram_entropy
from hamner.data.sources.conversations import IDENTITY
from hamner.data.synthetic_tasks import LEVELS
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.chance import chance
from hamner.evaluation.choice import choice_items, mark_skills
from hamner.evaluation.figures import Figure, share
from hamner.evaluation.friendly_pairs import friendly_pairs, mark_pairs, pair_figures
from hamner.evaluation.heldout import HeldoutText, evaluate_text, heldout_text
from hamner.evaluation.heldout_replies import (
    GROUP,
    HeldoutReply,
    belonging_groups,
    belongs,
    belongs_figure,
    heldout_replies,
    reply_figures,
    reply_nats,
    spread_replies,
)
from hamner.evaluation.memorisation import memorisation_figures
from hamner.evaluation.minimal_pairs import MinimalPair, mark_minimal_pairs, minimal_pair_figures
from hamner.evaluation.scripted import MOST_TOKENS, Script, scripted_conversations, scripted_figures
from hamner.evaluation.skills import skill_items
from hamner.evaluation.statistics import clustered_error
from hamner.evaluation.writing import Reply, Writer, reply_to, spread_contexts, writing_figures
from hamner.model.transformer import Hamner

FIRST_OF_MEMORISATION = "personal"  # somebody's own words: the first to be looked at
EVERY_LEVEL = tuple(1 / len(LEVELS) for _ in LEVELS)
Say = Callable[[str], None]


@dataclass(frozen=True)
class CardSettings:
    """How much is measured."""

    replies: int = 100  # sampled, to as many chats
    rows: int = 64  # held-out rows of each source
    conversations: int = 250  # held-out conversations of each source that has any
    skill_items: int = 20  # of each task and level
    seed: int = 0
    friend: str = "Hamner"  # the name that the model should say is its own


@dataclass
class Card:
    """What is measured of a model."""

    hamner: Hamner
    tokenizer: Tokenizer
    writer: Writer
    corpus: Corpus | None
    compute: Compute
    settings: CardSettings
    minimal_pairs: Mapping[str, Sequence[MinimalPair]] = field(default_factory=dict)  # by the file's name
    conversations: ConversationRows | None = None  # of a fine-tuning; None: those of the corpus
    figures: list[Figure] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    played: dict[str, list[tuple[Script, list[Message]]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def longest(self) -> int:
        """Tokens that the model reads at most."""
        return self.hamner.config.max_seq_len

    def document(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The card as JSON holds it. facts: what is known of the model."""
        return {
            "model": dict(facts),
            "settings": asdict(self.settings),
            "figures": [figure.row for figure in self.figures],
            "left_out": self.left_out,
            "replies": [
                {"chat": _messages(r.asked), "reply": r.text, "tokens": len(r.ids), "ended": r.has_ended}
                for r in self.replies
            ],
            "conversations": [_messages(talk) for each in self.played.values() for _, talk in each],
        }


def measure(card: Card, say: Say = lambda line: None) -> Card:
    """Fill a card, section after section. say: told which one is next."""
    for name, section in SECTIONS.items():
        say(name)
        try:
            card.figures += section(card)
        except BadInput as error:  # such as a source with less than a row of held-out text
            card.left_out += [f"{name}: {problem}" for problem in error.problems]
    return card


def _messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def _corpus(card: Card) -> Corpus:
    """The prepared text. Raises BadInput where there is none."""
    if card.corpus is None:
        raise BadInput("no prepared text is beside the model; name a folder with --data")
    return card.corpus


def _sources(corpus: Corpus) -> list[str]:
    """Sources with held-out text, `personal` first."""
    names = [name for name, facts in corpus.manifest["sources"].items() if facts["heldout_tokens"]]
    return sorted(names, key=lambda name: name != FIRST_OF_MEMORISATION)


def _writes(card: Card) -> Iterator[Figure]:
    """Replies to the chats of friendly pairs: the same prompts for every model."""
    pairs, settings = friendly_pairs(), card.settings
    contexts = spread_contexts(pairs, settings.replies)
    for number, context in enumerate(contexts):
        reply = reply_to(card.writer, card.tokenizer, context, seed=settings.seed + number, longest=card.longest)
        if reply is not None:
            card.replies.append(reply)
    if len(card.replies) < len(contexts):
        card.left_out.append(
            f"what it writes: {len(contexts) - len(card.replies)} of {len(contexts)} chats leave no room for a reply "
            f"in a context of {card.longest} tokens"
        )
    if not card.replies:
        return iter(())
    ours = [pair.good for pair in pairs]
    return writing_figures(card.replies, ours, lambda text: len(card.tokenizer.encode(text)))


def _friendly_pairs(card: Card) -> Iterator[Figure]:
    pairs = friendly_pairs()
    marks = mark_pairs(card.hamner, card.tokenizer, pairs, card.compute)
    if len(marks) < len(pairs):
        card.left_out.append(f"friendly pairs: {len(pairs) - len(marks)} of {len(pairs)} exceed the model's context")
    return pair_figures(marks) if marks else iter(())


def _scripted(card: Card) -> Iterator[Figure]:
    def answer(messages: Sequence[Message]) -> str | None:
        reply = reply_to(
            card.writer,
            card.tokenizer,
            messages,
            seed=card.settings.seed + len(messages),
            longest=card.longest,
            most=MOST_TOKENS,
        )
        return None if reply is None else reply.text

    card.played = scripted_conversations(answer)
    return scripted_figures(card.played, [reply.text for reply in card.replies], card.settings.friend)


def _minimal_pairs(card: Card) -> Iterator[Figure]:
    for name, pairs in card.minimal_pairs.items():
        marks = mark_minimal_pairs(card.hamner, card.tokenizer, pairs, card.compute)
        too_long = marks.count(None)
        if too_long:
            card.left_out.append(f"minimal pairs: {too_long} of {len(pairs)} of {name} exceed the model's context")
        yield from minimal_pair_figures(name, pairs, marks)


def _heldout_loss(card: Card) -> Iterator[Figure]:
    corpus = _corpus(card)
    lengths = corpus.manifest.get("settings", {}).get("seq_len", [card.longest])
    seq_len = min(card.longest, *lengths) if isinstance(lengths, list) else min(card.longest, lengths)
    for source in [*_sources(corpus), "synthetic"]:
        try:
            text = heldout_text(corpus, card.tokenizer, source, seq_len, card.settings.rows, EVERY_LEVEL)
        except BadInput as refusal:
            card.left_out += [f"held-out loss: {problem}" for problem in refusal.problems]
            continue
        entropy = corpus.manifest["sources"].get(source, {}).get("heldout_unigram_nats") or _entropy(text)
        result = evaluate_text(card.hamner, text, card.compute, batch_size=16)
        error = clustered_error(result.nats, result.tokens)
        per_byte = 1 / result.bytes_per_token / math.log(2)
        for unit, scale in (("nats/token", 1.0), ("bits/byte", per_byte)):
            yield Figure(
                "held-out loss",
                source,
                result.loss * scale,
                error * scale,
                entropy * scale,
                unit,
                len(result.nats),
                "documents",
                "lower",
                "guess: frequency of tokens",
            )


def _entropy(text: HeldoutText) -> float:
    return unigram_entropy(np.bincount(text.rows.numpy().ravel()))


def _heldout_replies(card: Card) -> Iterator[Figure]:
    """Likelihood of the replies of each source with conversations, then whether they belong."""
    has_any = False
    for source, replies, entropy in _conversations(card):
        if not replies:
            continue
        has_any = True
        nats = reply_nats(card.hamner, card.tokenizer, replies, card.compute)
        yield from reply_figures(source, replies, nats, entropy)
        groups = belonging_groups(replies)
        if groups:
            marks = [belongs(card.hamner, card.tokenizer, group, card.compute) for group in groups]
            yield belongs_figure(source, marks)
        else:
            card.left_out.append(f"belongs: no {GROUP} held-out replies of {source} are of one length")
    if not has_any:
        card.left_out.append("held-out replies, belongs: no source holds conversations")


def _conversations(card: Card) -> Iterator[tuple[str, Sequence[HeldoutReply], float | None]]:
    """Name, held-out replies and entropy of the tokens of each source: of the fine-tuning's own, else of the corpus's.

    Who the friend is (identity) is left out: any of its replies belongs to any of its chats.
    """
    count, rows = card.settings.conversations, card.conversations
    if rows is None:
        corpus = _corpus(card)
        for source in _sources(corpus):
            entropy = corpus.manifest["sources"][source].get("heldout_unigram_nats")
            yield source, heldout_replies(corpus, card.tokenizer, source, count, card.longest), entropy
        return
    for source in rows.sources:
        if source != IDENTITY:
            chats = rows.heldout_conversations(source)
            entropy = unigram_entropy(np.bincount([token for chat in chats for token in chat]))
            yield source, spread_replies(chats.__getitem__, len(chats), card.tokenizer, count, card.longest), entropy


def _memorisation(card: Card) -> Iterator[Figure]:
    corpus = _corpus(card)
    replies = [reply.ids for reply in card.replies if reply.ids]
    for source in _sources(corpus):
        yield from memorisation_figures(corpus, source, replies, card.writer, card.longest)


def _skills(card: Card) -> Iterator[Figure]:
    """Exact match and choice of each synthetic task, its levels together."""
    corpus = _corpus(card)
    items = skill_items(
        card.tokenizer, seed=corpus.seed, heldout_fraction=corpus.heldout_fraction, count=card.settings.skill_items
    )
    if items.tokens.shape[1] > card.longest:
        raise BadInput(f"the longest item has {items.tokens.shape[1]} tokens, the model reads {card.longest}")
    exact_chance = chance(items)
    choices = choice_items(card.tokenizer, items, exact_chance)
    marks = mark_skills(card.hamner, choices, card.compute, batch_size=64)
    for kind, by_cell, baseline in zip(("exact", "choice"), marks, (exact_chance, choices.chance), strict=True):
        for task in dict.fromkeys(cell.split()[0] for cell in by_cell):
            cells = [cell for cell in by_cell if cell.split()[0] == task]
            hits = [float(mark) for cell in cells for mark in by_cell[cell]]
            guess = sum(baseline[cell] * len(by_cell[cell]) for cell in cells) / len(hits)
            yield share("synthetic skills", f"{task}, {kind}", hits, "items", guess=guess)


SECTIONS: dict[str, Callable[[Card], Iterator[Figure]]] = {
    "what it writes": _writes,
    "scripted conversations": _scripted,
    "friendly pairs": _friendly_pairs,
    "held-out replies": _heldout_replies,
    "held-out loss": _heldout_loss,
    "memorisation": _memorisation,
    "minimal pairs": _minimal_pairs,
    "synthetic skills": _skills,
}
