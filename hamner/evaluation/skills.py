"""Benchmark of the synthetic tasks: exact match of held-out items, in one forward pass.

In: a tokenizer, then a model. Out: for each of the 45 cells ("arithmetic 1" ... "comparison 5") one character per
held-out item, "1" where the whole answer and the end after it are the arg-max given the true text before. Greedy
decoding would write the same answers, and takes many passes. The items are a function of (seed, held-out fraction,
count): all stages and processes have the same ones, so two models can be compared item by item.

N items, T tokens of the longest.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.synthetic_tasks import LEVELS, TASKS, Example, generate
from hamner.data.tokenizer import Tokenizer
from hamner.model.distributed import sum_over_workers, worker_share
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.loss import next_token_hits
from hamner.model.transformer import Hamner
from hamner.runs import watchdog

CELLS = tuple(f"{task} {level}" for task in TASKS for level in LEVELS)
# Most draws for an item, times the 1 / heldout_fraction that a large space needs. A small space ends after them:
# arithmetic 1 holds out ten items, however many are requested.
DRAWS_PER_ITEM = 10


@dataclass(frozen=True)
class SkillItems:
    """Held-out items, cell after cell."""

    tokens: Tensor  # (N, T) int64: END_OF_TEXT, the item, END_OF_TEXT, which is the padding too
    answer: Tensor  # (N, T) bool: the tokens to be predicted, the first END_OF_TEXT after them included
    cells: tuple[str, ...]
    cell: Tensor  # (N,) int64: the index in `cells` of each row
    examples: tuple[Example, ...]

    def of(self, cell: int) -> list[Example]:
        """The examples of a cell, by its index in `cells`."""
        return [self.examples[row] for row in (self.cell == cell).nonzero().flatten().tolist()]


def skill_items(tokenizer: Tokenizer, *, seed: int, heldout_fraction: float, count: int) -> SkillItems:
    """`count` different held-out items of each cell; fewer where its space is small.

    Raises BadInput where a cell has none.
    """
    drawn = [_draw(task, level, seed, heldout_fraction, count) for task in TASKS for level in LEVELS]
    empty = [cell for cell, examples in zip(CELLS, drawn, strict=True) if not examples]
    if empty:
        raise BadInput(f"no item is held out of {', '.join(empty)}: use a larger data.heldout_fraction")
    examples = [example for cell in drawn for example in cell]
    encoded = tokenizer.encode_batch([example.text for example in examples])
    tokens = torch.full((len(examples), max(map(len, encoded)) + 2), END_OF_TEXT)
    answer = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, (ids, example) in enumerate(zip(encoded, examples, strict=True)):
        end = 1 + len(ids)  # a document begins after END_OF_TEXT
        tokens[row, 1:end] = torch.tensor(ids)
        answer[row, end - _answer_length(tokenizer, ids, example) : end + 1] = True
    cell = torch.tensor([index for index, of_cell in enumerate(drawn) for _ in of_cell])
    return SkillItems(tokens, answer, CELLS, cell, tuple(examples))


def _draw(task: str, level: int, seed: int, heldout_fraction: float, count: int) -> list[Example]:
    """Up to `count` different items that the split holds out; training rows (SyntheticRows) hold the others."""
    rng = random.Random(f"skills/{seed}/{task}/{level}")
    by_text: dict[str, Example] = {}
    for _ in range(math.ceil(DRAWS_PER_ITEM * count / heldout_fraction)):
        example = generate(rng, level, task)
        if split.unit_hash(example.text) < heldout_fraction:
            by_text.setdefault(example.text, example)
            if len(by_text) == count:
                break
    return list(by_text.values())


def _answer_length(tokenizer: Tokenizer, ids: Sequence[int], example: Example) -> int:
    """The number of an item's last tokens that hold all that follows the prompt's last word.

    The space before the answer counts as the answer's: it is part of a word's token, and before a number it says "not
    negative". A token that holds the end of the prompt as well counts as the answer's too.
    """
    follows = example.text[len(example.prompt.rstrip()) :]
    return next(n for n in range(1, len(ids) + 1) if tokenizer.decode(ids[-n:]).endswith(follows))


@torch.no_grad()
def exact_match(hamner: Hamner, items: SkillItems, compute: Compute, *, batch_size: int) -> dict[str, str]:
    """Of each cell one character per item, in the items' order: "1" where the model would write its answer.

    Within a torch.distributed group each worker takes its share of the items and all get the same result.
    """
    places = torch.arange(items.tokens.shape[1])
    lengths = (items.answer * (places + 1)).amax(dim=1)
    order = worker_share(lengths.argsort(stable=True))  # by length, so that little padding is computed
    hits = torch.zeros(len(lengths), dtype=torch.int64, device=compute.device)
    with evaluation_mode(hamner):
        for rows in order.split(batch_size) if len(order) else ():  # a worker may be left without an item
            watchdog.feed()
            longest = int(lengths[rows].max())
            tokens = items.tokens[rows, :longest].to(compute.device)
            answer = items.answer[rows, :longest].to(compute.device)
            logits = hamner.forward(tokens).logits
            hits[rows.to(compute.device)] = (next_token_hits(logits, tokens) | ~answer[:, 1:]).all(dim=1).long()
    marks = sum_over_workers(hits).cpu()
    return {name: "".join(map(str, marks[items.cell == index].tolist())) for index, name in enumerate(items.cells)}
