"""Marks of the skills: exact match of each held-out item, and multiple choice by likelihood, in one pass.

In: the held-out items of skills.py, then a model. Out: of each cell one character per item, "1" where the model would
write the right answer (exact match, as skills.exact_match says), and "1" where the right answer is likelier than every
other of candidates.py (choice). Exact match needs the form of an answer before it can say anything, and chance assumes
the form; the choice gives it, and so tells a model that has learnt something of a skill from one that has not.

An answer's likelihood is that of all its tokens and the end after them: the probability of writing exactly this, which
is what exact match asks, and a wrong length is paid for at the end token. A mean per token would favour long answers,
whose later tokens are easy ("kettle kettle kettle").

The candidates of an item share its prompt, which is read once: likelihood.py.

n items of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.candidates import candidates, choice_chance
from hamner.evaluation.likelihood import Choice, batches, read_options
from hamner.evaluation.skills import SkillItems
from hamner.model.distributed import sum_over_workers, worker_share
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.transformer import Hamner


@dataclass(frozen=True)
class ChoiceItems:
    """The items of all cells as choices, and what a guesser scores in each cell."""

    choices: tuple[Choice, ...]  # in the order of the SkillItems; of each the right answer first
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
        for rows in batches(items.choices, worker_share(lengths.argsort(stable=True)).tolist(), batch_size):
            hits[:, rows] = _marks(hamner, [items.choices[row] for row in rows], compute)
    exact, choice = sum_over_workers(hits).cpu()
    return _by_cell(items, exact), _by_cell(items, choice)


def _by_cell(items: ChoiceItems, marks: Tensor) -> dict[str, str]:
    return {name: "".join(map(str, marks[items.cell == index].tolist())) for index, name in enumerate(items.cells)}


def _marks(hamner: Hamner, choices: Sequence[Choice], compute: Compute) -> Tensor:
    """(2, n) int64: whether the right answer would be written; whether it is the likeliest.

    choices: with equally long shared parts.
    """
    nats, is_written = read_options(hamner, choices, compute)
    counts = torch.tensor([len(choice.rest) for choice in choices])
    right = counts.cumsum(dim=0) - counts  # the first candidate of each item
    likeliest = [(nats[i] < nats[i + 1 : i + n]).all() for i, n in zip(right.tolist(), counts.tolist(), strict=True)]
    return torch.stack((is_written[right.to(compute.device)], torch.stack(likeliest))).long()
