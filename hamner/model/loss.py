"""Cross-entropy loss: next-token prediction. The only place in the project that shifts tokens against predictions.

Data hands out `tokens`; training, evaluation and every test call this. No other file writes `[:, 1:]` on
targets, so a target shifted twice cannot be written by accident.

B batch, T time, C hidden, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hamner.model.kernels.dispatch import rows_of_logits
from hamner.model.kernels.head_loss import HeadLoss, Softmax


def token_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy in nats of each next token: (B, T - 1), entry t for predicting tokens[:, t + 1].

    logits (B, T, V) of any float type, taken in fp32; tokens (B, T), the very tokens the model read.
    """
    if logits.shape[:2] != tokens.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not belong to tokens {tuple(tokens.shape)}")
    predictions = logits[:, :-1].float().flatten(0, 1)
    return F.cross_entropy(predictions, tokens[:, 1:].flatten(), reduction="none").view(len(tokens), -1)


def next_token_loss(logits: Tensor, tokens: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy, nats per token. weight (B, T), by predicted token: 0 where nothing is trained."""
    losses = token_losses(logits, tokens)
    if weight is None:
        return losses.mean()
    of_targets = weight[:, 1:].to(losses.dtype)
    return (losses * of_targets).sum() / of_targets.sum()


def head_loss(
    hidden: Tensor, head: Tensor, tokens: Tensor, weight: Tensor | None = None, *, region: Softmax | None = None
) -> Tensor:
    """next_token_loss of the logits hidden @ headᵀ, which never exist whole: kernels/head_loss.py.

    hidden (B, T, C); head (V, C) in fp32, computed with in hidden's precision; tokens and weight (B, T).
    region: Hamner.loss_region, the softmax of a compiled run, used where it is faster.
    """
    if hidden.shape[:2] != tokens.shape:
        raise ValueError(f"hidden states {tuple(hidden.shape)} do not belong to tokens {tuple(tokens.shape)}")
    targets = tokens.roll(-1, dims=1)
    share = torch.ones_like(tokens, dtype=torch.float32) if weight is None else weight.roll(-1, dims=1).float()
    share[:, -1] = 0  # the last token of a row has nothing to predict
    loss: Tensor = HeadLoss.apply(hidden.flatten(0, 1), head, targets.flatten(), share.flatten(), region)
    return loss


@torch.no_grad()
def head_losses(hidden: Tensor, head: Tensor, tokens: Tensor) -> Tensor:
    """token_losses of the logits hidden @ headᵀ, without gradients and a few rows at a time: (B, T - 1)."""
    head, rows = head.to(hidden.dtype), max(1, rows_of_logits(len(head)) // tokens.shape[1])
    return torch.cat(
        [
            token_losses(F.linear(hidden_part, head), token_part)
            for hidden_part, token_part in zip(hidden.split(rows), tokens.split(rows), strict=True)
        ]
    )


@torch.no_grad()
def answer_losses(hidden: Tensor, head: Tensor, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of rows of different lengths: summed cross-entropy in nats; whether all tokens are the arg-max. (B,)

    tokens (B, T) with padding; lengths (B,); hidden (B, T - 1, C) of all tokens but the last, which predicts nothing.
    The first token of a row is not predicted. Logits are computed where a token of its row is, a few at a time.
    """
    places = torch.arange(hidden.shape[1], device=hidden.device)
    predicts = places < lengths[:, None] - 1
    targets, states, head = tokens[:, 1:][predicts], hidden[predicts], head.to(hidden.dtype)
    losses, hits, rows = list[Tensor](), list[Tensor](), rows_of_logits(len(head))
    for state, target in zip(states.split(rows), targets.split(rows), strict=True):
        logits = F.linear(state, head).float()
        losses.append(F.cross_entropy(logits, target, reduction="none"))
        hits.append(logits.argmax(dim=-1) == target)
    zeros = torch.zeros(predicts.shape, device=hidden.device)
    return (
        zeros.masked_scatter(predicts, torch.cat(losses)).sum(dim=1),
        (~predicts).masked_scatter(predicts, torch.cat(hits)).all(dim=1),
    )


@torch.no_grad()
def next_token_hits(logits: Tensor, tokens: Tensor) -> Tensor:
    """Whether each next token is the arg-max: (B, T - 1) bool, entry t for tokens[:, t + 1]."""
    return logits[:, :-1].argmax(dim=-1) == tokens[:, 1:]


def next_token_accuracy(logits: Tensor, tokens: Tensor) -> float:
    """Share of next tokens that are the arg-max."""
    return next_token_hits(logits, tokens).float().mean().item()
