"""Log-likelihood of texts that could follow the same beginning: of answers, replies and whole sentences.

In: options, each a row of token ids behind a shared beginning; a model. Out: of each option the cross-entropy in nats,
summed over its tokens, which is minus its log-probability; and whether every one of its tokens is the arg-max.

The shared beginning is read once: a KV cache, repeated for each option. Options whose shared parts are equally long
make a batch; nothing is drawn.

n choices of a batch, R their options, P tokens shared.
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
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.kv_cache import KVCache
from hamner.model.loss import answer_losses
from hamner.model.transformer import Hamner


@dataclass(frozen=True)
class Choice:
    """Options that begin alike."""

    shared: tuple[int, ...]  # tokens that all options begin with, but for the last of these
    rest: tuple[tuple[int, ...], ...]  # of each option: the last shared token, which predicts, and what follows


def choice_after(beginning: Sequence[int], options: Sequence[Sequence[int]]) -> Choice:
    """The options as what follows a beginning of at least one token."""
    *shared, last = beginning
    return Choice(tuple(shared), tuple((last, *option) for option in options))


def longest_option(choice: Choice) -> int:
    """Tokens that a model must read at once for the choice."""
    return len(choice.shared) + max(map(len, choice.rest))


@torch.no_grad()
def option_nats(
    hamner: Hamner, choices: Sequence[Choice], compute: Compute, *, batch_size: int = 64
) -> list[list[float]]:
    """Of each choice the nats of its options, in their order. batch_size: options computed together, about."""
    nats: list[list[float]] = [[] for _ in choices]
    order = sorted(range(len(choices)), key=lambda index: len(choices[index].shared))
    with evaluation_mode(hamner):
        for rows in batches(choices, order, batch_size):
            batch = [choices[row] for row in rows]
            values = iter(read_options(hamner, batch, compute)[0].tolist())
            for row in rows:
                nats[row] = [next(values) for _ in choices[row].rest]
    return nats


def batches(choices: Sequence[Choice], order: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Choices of one shared length each, with about batch_size options. order: by shared length."""
    for _, group in groupby(order, key=lambda row: len(choices[row].shared)):
        batch, size = list[int](), 0
        for row in sorted(group, key=lambda row: max(map(len, choices[row].rest))):  # little padding
            batch.append(row)
            size += len(choices[row].rest)
            if size >= batch_size:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


def read_options(hamner: Hamner, choices: Sequence[Choice], compute: Compute) -> tuple[Tensor, Tensor]:
    """Nats of all options one after the other, and whether all tokens of each are the arg-max: (R,) and (R,) bool.

    choices: with equally long shared parts.
    """
    rest = [torch.tensor(row) for choice in choices for row in choice.rest]
    counts = torch.tensor([len(choice.rest) for choice in choices])
    lengths = torch.tensor([len(row) for row in rest])
    tokens = pad_sequence(rest, batch_first=True, padding_value=END_OF_TEXT).to(compute.device)
    shared = torch.tensor([choice.shared for choice in choices], dtype=torch.long).to(compute.device)
    cache = None
    if shared.shape[1]:
        read = KVCache(hamner.config, shared.shape[1], batch=len(choices), device=compute.device, dtype=hamner.dtype)
        hamner.hidden_states(shared, read)
        cache = read.repeated(counts.to(compute.device), shared.shape[1] + tokens.shape[1])
    hidden, _ = hamner.hidden_states(tokens[:, :-1], cache)
    return answer_losses(hidden, hamner.embedding.weight, tokens, lengths.to(compute.device))
