"""SFT loss: cross-entropy of the assistant's replies and their turn ends, to train on and held out.

Data in: batches of labelled tokens (B, T), see data/conversation_tokens.py; of plain text among them every token is
trained on. Data out: the training loss of a batch; a ReplyLoss of held-out rows, words and turn ends apart, since turn
ends are soon learnt and would flatter the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hamner.config.schema import Compute
from hamner.config.special_tokens import MESSAGE_END
from hamner.data.conversation_tokens import labels
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.loss import head_loss, head_losses
from hamner.model.transformer import Hamner
from hamner.training.trainer import Objective


class ReplyObjective(Objective):
    """Labelled tokens (B, T) -> mean cross-entropy of those that are trained on, and balance loss, both scalars."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        ids, weight = labels(tokens)
        hidden, balance = self.hamner.hidden_states(ids)
        head, region = self.hamner.embedding.weight, self.hamner.loss_region
        return head_loss(hidden, head, ids, weight, region=region), balance

    @staticmethod
    def trained_tokens(tokens: Tensor) -> Tensor:
        """How many tokens of a batch are predicted and trained on, (): a row's first is predicted by nothing."""
        return (tokens[:, 1:] >= 0).sum()


@dataclass(frozen=True)
class ReplyLoss:
    """What a model makes of held-out replies."""

    word_nats: float  # cross-entropy of all words' tokens, summed
    words: int
    end_nats: float  # of all turn ends
    ends: int

    @property
    def loss(self) -> float:
        """Nats per token, turn ends among them."""
        return (self.word_nats + self.end_nats) / (self.words + self.ends)

    @property
    def word_loss(self) -> float:
        """Nats per token of the replies' words, turn ends excluded."""
        return self.word_nats / self.words

    @property
    def end_loss(self) -> float:
        """Nats per turn end."""
        return self.end_nats / self.ends

    def numbers(self) -> dict[str, float]:
        """The three losses, for records; infinite ones as none."""
        values = {"loss": self.loss, "word_loss": self.word_loss, "end_loss": self.end_loss}
        return {name: value for name, value in values.items() if math.isfinite(value)}


@torch.no_grad()
def evaluate_replies(hamner: Hamner, rows: Tensor, compute: Compute, *, batch_size: int) -> ReplyLoss:
    """The loss of the replies in labelled held-out rows (n, T), `batch_size` of them at a time."""
    totals = torch.zeros(4, dtype=torch.float64)
    with evaluation_mode(hamner):
        for part in rows.split(batch_size):
            ids, weight = labels(part.to(compute.device))
            hidden, _ = hamner.hidden_states(ids)
            losses = head_losses(hidden, hamner.embedding.weight, ids).double() * weight[:, 1:]
            is_end = (ids[:, 1:] == MESSAGE_END) & (weight[:, 1:] > 0)
            ends, trained = losses[is_end].sum(), weight[:, 1:].sum()
            counts = (losses.sum() - ends, trained - is_end.sum(), ends, is_end.sum())
            totals += torch.stack([count.double().cpu() for count in counts])
    word_nats, words, end_nats, ends = totals.tolist()
    return ReplyLoss(word_nats, int(words), end_nats, int(ends))


def mean_loss(results: Mapping[str, ReplyLoss], shares: Mapping[str, float]) -> float:
    """The loss over several sources, by their shares of the training; nats per token."""
    total = sum(shares[name] for name in results)
    return sum(shares[name] / total * result.loss for name, result in results.items())
