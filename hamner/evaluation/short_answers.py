"""Judge of short answers: exact match of a written answer and its end, or likelihood ranking among candidates.

In: items with one right answer each, a model. Out: one character per item, "1" where it is right. A written answer is
right when the whole of it, normalised, is the right one and the model ended it there: "seventeen" is not "seven", and
"yes" without an end is nothing. Greedy decoding, no penalty. An item with candidates is right when its answer, end
included, is likelier than every other candidate.

n items of a batch, T tokens of their questions, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.concept_rows import encode_items
from hamner.data.concepts import Item
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.likelihood import choice_after, option_nats
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import Hamner

MORE_TOKENS = 2  # beyond the longest right answer that a model may write: by then a wrong one is known to be wrong
BATCH = 256  # items that are computed together


@dataclass(frozen=True)
class Baselines:
    """What a model scores on a cell that has learnt nothing of its questions, from 0 to 1."""

    majority: float  # who always gives the commonest answer of the cell
    chance: float  # who gives any of its answers, or of the candidates


def baselines(items: Sequence[Item]) -> Baselines:
    """The baselines of a cell."""
    counts = Counter(item.answer for item in items)
    answers = [len(item.candidates) or len(counts) for item in items]
    return Baselines(max(counts.values()) / len(items), sum(1 / count for count in answers) / len(items))


def is_right(reply: str | None, answer: str) -> bool:
    """Whether a reply is the answer: all of it, but for case and spaces. reply: None where it did not end."""
    return reply is not None and reply.casefold().split() == answer.casefold().split()


def written_marks(replies: Sequence[str | None], items: Sequence[Item]) -> str:
    """The marks of replies to items."""
    return "".join(str(int(is_right(reply, item.answer))) for reply, item in zip(replies, items, strict=True))


def ranked_marks(nats: Sequence[Sequence[float]], items: Sequence[Item]) -> str:
    """The marks of rankings. nats: of each item's candidates, the least is the likeliest; a tie is no answer."""
    marks = []
    for values, item in zip(nats, items, strict=True):
        right = item.candidates.index(item.answer)
        marks.append(all(values[right] < value for place, value in enumerate(values) if place != right))
    return "".join(str(int(mark)) for mark in marks)


@torch.no_grad()
def mark_items(hamner: Hamner, tokenizer: Tokenizer, items: Sequence[Item], compute: Compute) -> str:
    """One character per item of a cell: "1" where the model answers it rightly."""
    if items[0].candidates:
        return ranked_marks(_rank(hamner, tokenizer, items, compute), items)
    encoded = encode_items(tokenizer, items)
    most = max(len(answer) for _, answer in encoded) + MORE_TOKENS
    replies = greedy_replies(hamner, [question for question, _ in encoded], compute, most)
    return written_marks([None if ids is None else tokenizer.decode(ids) for ids in replies], items)


def _rank(hamner: Hamner, tokenizer: Tokenizer, items: Sequence[Item], compute: Compute) -> list[list[float]]:
    answers = {answer for item in items for answer in item.candidates}
    ids = {answer: [*tokenizer.encode(f" {answer}"), END_OF_TEXT] for answer in sorted(answers)}
    prompts = tokenizer.encode_batch([item.prompt for item in items])
    choices = [
        choice_after(prompt, [ids[candidate] for candidate in item.candidates])
        for prompt, item in zip(prompts, items, strict=True)
    ]
    return option_nats(hamner, choices, compute, batch_size=BATCH)


@torch.no_grad()
def greedy_replies(
    hamner: Hamner, prompts: Sequence[Sequence[int]], compute: Compute, most_tokens: int
) -> list[list[int] | None]:
    """What a model writes after each prompt, up to its END_OF_TEXT; None where none comes within `most_tokens`."""
    replies: list[list[int] | None] = [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    with evaluation_mode(hamner):
        for _, group in groupby(order, key=lambda index: len(prompts[index])):
            alike = list(group)
            for start in range(0, len(alike), BATCH):
                batch = alike[start : start + BATCH]
                tokens = torch.tensor([prompts[index] for index in batch], device=compute.device)
                for index, ids in zip(batch, _decode(hamner, tokens, most_tokens).tolist(), strict=True):
                    replies[index] = ids[: ids.index(END_OF_TEXT)] if END_OF_TEXT in ids else None
    return replies


def _decode(hamner: Hamner, tokens: Tensor, count: int) -> Tensor:
    """(n, at most `count`) the tokens that follow (n, T); fewer where all have ended."""
    room = tokens.shape[1] + count
    cache = KVCache(hamner.config, room, batch=len(tokens), device=str(tokens.device), dtype=hamner.dtype)
    written = list[Tensor]()
    has_ended = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    while len(written) < count and not has_ended.all():
        hidden, _ = hamner.hidden_states(tokens, cache)
        tokens = hamner.logits(hidden[:, -1:]).argmax(dim=-1)
        written.append(tokens)
        has_ended |= tokens[:, 0] == END_OF_TEXT
    return torch.cat(written, dim=1)
