"""Marks of the skills: exact match of each held-out item, and multiple choice by likelihood, in one pass.

In: the held-out items of skills.py, then a model. Out: of each cell one character per item, "1" where the model would
write the right answer (exact match, as skills.exact_match says), and "1" where the right answer is likelier than every
other of candidates.py (choice). Exact match needs the form of an answer before it can say anything, and chance assumes
the form; the choice gives it, and so tells a model that has learnt something of a skill from one that has not.

An answer's likelihood is that of all its tokens and the end after them: the probability of writing exactly this, which
is what exact match asks, and a wrong length is paid for at the end token. A mean per token would favour long answers,
whose later tokens are easy ("kettle kettle kettle").

The candidates of an item share its prompt, which is read once: a KV cache, repeated for each candidate. Items whose
shared parts are equally long make a batch; nothing is drawn.

n items of a batch, R their candidates, P tokens shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.candidates import candidates, choice_chance
from hamner.evaluation.skills import SkillItems
from hamner.model.distributed import sum_over_workers, worker_share
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.kv_cache import KVCache
from hamner.model.loss import answer_losses
from hamner.model.transformer import Hamner


@dataclass(frozen=True)
class Choice:
    """One item: the tokens that its candidates share but for the last of these, and what follows of each."""

    shared: tuple[int, ...]
    rest: tuple[tuple[int, ...], ...]  # of each candidate, the right one first: the last shared token up to the end


@dataclass(frozen=True)
class ChoiceItems:
    """The items of all cells as choices, and what a guesser scores in each cell."""

    choices: tuple[Choice, ...]  # in the order of the SkillItems
    cells: tuple[str, ...]
    cell: Tensor  # (N,) int64: the index in `cells` of each item
    chance: dict[str, float]


def choice_items(tokenizer: Tokenizer, items: SkillItems, chance: dict[str, float]) -> ChoiceItems:
    """The items as choices. chance: of exact match, of each cell."""
    answers = [candidates(example) for example in items.examples]
    texts = [e.prompt + answer for e, of_item in zip(items.examples, answers, strict=True) for answer in of_item]
    encoded = iter(tokenizer.encode_batch(texts))
    starts = items.answer.int().argmax(dim=1).tolist()  # of the answers' first tokens
    choices = [
        _choice([[END_OF_TEXT, *next(encoded), END_OF_TEXT] for _ in of_item], start)
        for of_item, start in zip(answers, starts, strict=True)
    ]
    baseline = {name: choice_chance(items.of(index), chance[name]) for index, name in enumerate(items.cells)}
    return ChoiceItems(tuple(choices), items.cells, items.cell, baseline)


def _choice(rows: Sequence[Sequence[int]], start: int) -> Choice:
    """start: place of the right answer's first token; of it all tokens are predicted, shared or not."""
    differs = (place for place, tokens in enumerate(zip(*rows, strict=False)) if len(set(tokens)) > 1)
    shared = min(next(differs, start), start) - 1  # the last token of the shared part predicts
    return Choice(tuple(rows[0][:shared]), tuple(tuple(row[shared:]) for row in rows))


@torch.no_grad()
def mark_skills(
    hamner: Hamner, items: ChoiceItems, compute: Compute, *, batch_size: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Exact match and choice: of each cell one character per item, in the items' order.

    batch_size: candidates computed together, about. Within a torch.distributed group each worker takes its share of the
    items and all get the same result.
    """
    lengths = torch.tensor([len(choice.shared) for choice in items.choices])
    hits = torch.zeros(2, len(lengths), dtype=torch.int64, device=compute.device)
    with evaluation_mode(hamner):
        for rows in _batches(items, worker_share(lengths.argsort(stable=True)).tolist(), batch_size):
            hits[:, rows] = _marks(hamner, [items.choices[row] for row in rows], compute)
    exact, choice = sum_over_workers(hits).cpu()
    return _by_cell(items, exact), _by_cell(items, choice)


def _by_cell(items: ChoiceItems, marks: Tensor) -> dict[str, str]:
    return {name: "".join(map(str, marks[items.cell == index].tolist())) for index, name in enumerate(items.cells)}


def _batches(items: ChoiceItems, order: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Items of one shared length each, with about batch_size candidates. order: by shared length."""
    for _, group in groupby(order, key=lambda row: len(items.choices[row].shared)):
        batch, size = list[int](), 0
        for row in sorted(group, key=lambda row: max(map(len, items.choices[row].rest))):  # little padding
            batch.append(row)
            size += len(items.choices[row].rest)
            if size >= batch_size:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


def _marks(hamner: Hamner, choices: Sequence[Choice], compute: Compute) -> Tensor:
    """(2, n) int64: whether the right answer would be written; whether it is the likeliest.

    choices: with equally long shared parts.
    """
    rest = [torch.tensor(row) for choice in choices for row in choice.rest]
    counts, lengths = torch.tensor([len(choice.rest) for choice in choices]), torch.tensor([len(row) for row in rest])
    tokens = pad_sequence(rest, batch_first=True, padding_value=END_OF_TEXT).to(compute.device)
    shared = torch.tensor([choice.shared for choice in choices], dtype=torch.long).to(compute.device)
    cache = None
    if shared.shape[1]:
        read = KVCache(hamner.config, shared.shape[1], batch=len(choices), device=compute.device, dtype=hamner.dtype)
        hamner.hidden_states(shared, read)
        cache = read.repeated(counts.to(compute.device), shared.shape[1] + tokens.shape[1])
    hidden, _ = hamner.hidden_states(tokens[:, :-1], cache)
    nats, is_written = answer_losses(hidden, hamner.embedding.weight, tokens, lengths.to(compute.device))
    right = counts.cumsum(dim=0) - counts  # the first candidate of each item
    likeliest = [(nats[i] < nats[i + 1 : i + n]).all() for i, n in zip(right.tolist(), counts.tolist(), strict=True)]
    return torch.stack((is_written[right.to(compute.device)], torch.stack(likeliest))).long()
