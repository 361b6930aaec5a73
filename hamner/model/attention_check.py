"""Check an attention class against its row: parameter count, FLOPs, KV cache, saved activations; and that it is causal.

Data in: a model's config. Data out: problems, one line each. One layer of the model's width computes a few tokens on
the CPU, in some tenths of a second.

B batch, T time, C hidden, H query heads, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hamner.config.attention_kinds import CacheShape, attention_kind
from hamner.config.schema import ModelConfig
from hamner.model.attention import ATTENTIONS, Attention, attention_class, rotary_table
from hamner.model.kernels import dispatch

TOKENS = 24  # of a row, for what is compared number by number
MORE_TOKENS = 256  # for what is counted
TOLERANCE = 0.3  # of FLOPs and activations: a row states the least its kind needs, a class may do more
ATOL = 1e-4


@lru_cache(maxsize=64)
def own_attention_problems(model: ModelConfig) -> tuple[str, ...]:
    """As attention_problems, once a process, of a class of your own; those of the table are checked by tests."""
    return () if model.attention in ATTENTIONS else tuple(attention_problems(model))


def attention_problems(model: ModelConfig) -> Iterator[str]:
    """What is wrong with a model's attention kind, each with the row's number and the measured one."""
    with torch.random.fork_rng(devices=[]), dispatch.force(block_attention=False, differential_blocks=False):
        torch.manual_seed(0)
        layer = _layer(model)
        for problem in (*_count_problems(model, layer), *_sight_problems(model, layer)):
            yield f"attention '{model.attention}': {problem}"


def _layer(model: ModelConfig) -> Attention:
    layer = attention_class(model.attention)(model, 0)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1]))
    return layer.requires_grad_()


def _count_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where the row's numbers are not those of the class."""
    kind, tokens = attention_kind(model.attention), min(MORE_TOKENS, model.max_seq_len)
    parameters = sum(weight.numel() for weight in layer.parameters())
    if kind.parameters(model) != parameters:
        yield f"the row counts {kind.parameters(model):,} parameters, the class has {parameters:,}"
    _, k, v = _projected(model, layer, TOKENS)
    shape = CacheShape(k.shape[1], k.shape[3], v.shape[1], v.shape[3])
    if kind.cache(model) != shape:
        yield f"the row's cache is {tuple(kind.cache(model))}, project() makes {tuple(shape)} (CacheShape)"
    scores = kind.score_flops(model, tokens)
    measured = _score_flops(model, tokens)
    if abs(scores - measured) > TOLERANCE * measured:
        yield f"the row's score_flops are {scores:,} for {tokens} tokens, attend() takes {measured:,.0f}"
    if not 0 < kind.useful_score_flops(model, tokens) <= scores:
        yield f"useful_score_flops {kind.useful_score_flops(model, tokens):,} are not within score_flops {scores:,}"
    saved = (_saved(model, layer, tokens) - _saved(model, layer, tokens // 2)) / (tokens - tokens // 2)
    if abs(kind.activations(model) - saved) > TOLERANCE * saved:
        yield f"the row's activations are {kind.activations(model):,} entries a token, {saved:,.0f} are saved"


@torch.no_grad()
def _sight_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where a token sees what it must not, or not what it must."""
    q, k, v = _projected(model, layer, TOKENS)
    half, last = TOKENS // 2, TOKENS - 1
    expected = layer.attend(q, k, v)
    if expected.shape[2] != TOKENS or not expected.isfinite().all():
        yield f"attend() returns {tuple(expected.shape)}, or numbers that are not finite"
    else:
        other_k, other_v = k.clone(), v.clone()
        other_k[:, :, half:] += 1
        other_v[:, :, half:] += 1
        if _differ(layer.attend(q, other_k, other_v)[:, :, :half], expected[:, :, :half]):
            yield "tokens see later ones: attend() must be causal"
        if _differ(layer.attend(q[:, :, last:], k, v), expected[:, :, last:]):
            yield "the last token alone, with the keys of a KV cache, gets another result than in its row"
        mask = torch.full((1, 1, TOKENS, TOKENS), -math.inf).triu(1)
        mask[:, :, half:, :half] = -math.inf
        if _differ(layer.attend(q, other_k, other_v, mask)[:, :, :half], expected[:, :, :half]):
            yield "attend() with a mask gives another result for tokens whose mask is the causal one"
        other_k[:, :, half:], other_v[:, :, half:] = k[:, :, half:], v[:, :, half:]
        other_k[:, :, :half] += 1
        other_v[:, :, :half] += 1
        masked = layer.attend(q, k, v, mask)[:, :, half:]
        if _differ(layer.attend(q, other_k, other_v, mask)[:, :, half:], masked):
            yield "attend() ignores the mask that separates documents"


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one, other, atol=ATOL, rtol=ATOL)


def _projected(model: ModelConfig, layer: Attention, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of random inputs (1, tokens, C), on the layer's device."""
    x = torch.randn(1, tokens, model.hidden_size, requires_grad=True)
    cos, sin = (table[:tokens].to(x.device) for table in rotary_table(model))
    return layer.project(x, cos, sin)


def _score_flops(model: ModelConfig, tokens: int) -> float:
    """Forward FLOPs of a token beyond the weights' products, counted without memory."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        layer = attention_class(model.attention)(model, 0)
        layer.merge(layer.attend(*_projected(model, layer, tokens)))
    products = sum(weight.numel() for weight in layer.parameters() if weight.ndim > 1)
    return counter.get_total_flops() / tokens - 2 * products


def _saved(model: ModelConfig, layer: Attention, tokens: int) -> int:
    """Entries that PyTorch saves for the backward pass of a row of tokens, weights included."""
    saved: dict[int, Tensor] = {}  # by memory, since several operations may save the same

    def save(tensor: Tensor) -> Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        layer.merge(layer.attend(*_projected(model, layer, tokens)))
    return sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in saved.values())
