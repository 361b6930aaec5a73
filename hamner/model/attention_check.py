"""Check an attention class against its row: numbers, shapes, precision; and that it is causal.

Data in: a model's config. Data out: problems, one line each. One layer of the model's width computes a few tokens on
the CPU, in some tenths of a second.

B batch, T time, C hidden, H query heads, D head size.
"""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hamner.config.attention_kinds import HOW_TO, CacheShape, attention_kind
from hamner.config.schema import ModelConfig
from hamner.model.attention import ATTENTIONS, Attention, attention_class, rotary_table
from hamner.model.kernels import dispatch

TOKENS = 24  # of a row, for what is compared number by number
MORE_TOKENS = 256  # for what is counted
TOLERANCE = 0.3  # of FLOPs and activations: a row states the least its kind needs, a class may do more
ATOL = 1e-4


@lru_cache(maxsize=64)
def own_attention_problems(model: ModelConfig) -> tuple[str, ...]:
    """attention_problems of a class of your own, once a process; those of the table are checked by tests."""
    return () if model.attention in ATTENTIONS else tuple(attention_problems(model))


def attention_problems(model: ModelConfig) -> list[str]:
    """What is wrong with a model's attention kind, with the row's numbers and the measured ones."""
    problems: list[str] = []
    with torch.random.fork_rng(devices=[]), dispatch.force(block_attention=False, differential_blocks=False):
        try:
            problems.extend(_problems(model))
        except Exception as error:  # whatever a class of the user's raises
            problems.append(f"{_line_of(error, model)}{type(error).__name__}: {error}; see {HOW_TO}")
    return [f"attention '{model.attention}': {problem}" for problem in problems]


def _problems(model: ModelConfig) -> Iterator[str]:
    """One group after another; what has the wrong shape is not measured."""
    layer = _layer(model)
    wrong_shapes = list(_shape_problems(model, layer))
    yield from _initialization_problems(layer)
    yield from wrong_shapes
    if not wrong_shapes:
        yield from _row_problems(model, layer)
        yield from _attend_problems(model, layer)
        yield from _path_problems(model, layer)
        yield from _precision_problems(model, layer)


def _layer(model: ModelConfig) -> Attention:
    """One layer, built as transformer.build does: without memory first, so a buffer that nobody fills holds NaN."""
    with torch.device("meta"):
        layer = attention_class(model.attention)(model, 0)
    layer.to_empty(device="cpu")
    for buffer in layer.buffers():
        if buffer.is_floating_point():
            buffer.fill_(math.nan)
    layer.fill_buffers()
    generator = torch.Generator().manual_seed(0)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1:].numel()), generator=generator)
    return layer


def _line_of(error: Exception, model: ModelConfig) -> str:
    """'mine.py, line 12: ' of the innermost line of the class's own file; empty where none took part."""
    file = inspect.getsourcefile(attention_class(model.attention))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{Path(file).name}, line {lines[-1]}: " if file and lines else ""


@torch.no_grad()
def _shape_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where project, attend or merge return another shape than a block and the KV cache take."""
    projected = _projected(model, layer, TOKENS)
    for name, part in zip(("queries", "keys", "values"), projected, strict=True):
        if part.ndim != 4 or part.shape[2] != TOKENS:
            shape = f"{tuple(part.shape)}, not (1, heads, {TOKENS}, size): (B, heads, T, size)"
            yield f"project() makes {name} of shape {shape}"
            return
    attended = layer.attend(*projected)
    if attended.ndim != 4 or attended.shape[2] != TOKENS:
        yield f"attend() returns {tuple(attended.shape)}, not (1, heads, {TOKENS}, size): (B, H, T, D)"
        return
    merged = layer.merge(attended)
    if merged.shape != (1, TOKENS, model.hidden_size):
        yield f"merge() returns {tuple(merged.shape)}, not (1, {TOKENS}, {model.hidden_size}): (B, T, C)"


def _initialization_problems(layer: Attention) -> Iterator[str]:
    """Vectors that no rule of transformer.initialize is meant for: it would draw them as if they were matrices."""
    for name, weight in layer.named_parameters():
        if weight.ndim < 2 and "norm" not in name and not name.startswith("lambda"):
            yield (
                f"the parameter {name} {tuple(weight.shape)} is a vector, and what __init__ puts into it is "
                "overwritten: put norm into its name to start it at 1, or begin the name with lambda to start it near 0"
            )


def _row_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where the row's numbers are not those of the class."""
    kind, tokens = attention_kind(model.attention), MORE_TOKENS
    parameters = sum(weight.numel() for weight in layer.parameters())
    if kind.parameters(model) != parameters:
        yield f"the row counts {kind.parameters(model):,} parameters, the class has {parameters:,}"
    _, k, v = _projected(model, layer, TOKENS)
    shape = CacheShape(k.shape[1], k.shape[3], v.shape[1], v.shape[3])
    if kind.cache(model) != shape:
        yield f"the row's cache is {tuple(kind.cache(model))}, project() makes {tuple(shape)} (CacheShape)"
    scores, useful, measured = (
        kind.score_flops(model, tokens),
        kind.useful_score_flops(model, tokens),
        _measured_score_flops(model, tokens),
    )
    if abs(scores - measured) > TOLERANCE * measured:
        yield f"the row's score_flops are {scores:,} for {tokens} tokens, attend() takes {measured:,.0f}"
    if not 0 < useful <= scores:
        yield f"the row's useful_score_flops are {useful:,}, which is not above 0 and at most score_flops, {scores:,}"
    tensors = _saved_tensors(model, layer, tokens)
    saved = (_entries(tensors) - _entries(_saved_tensors(model, layer, tokens // 2))) / (tokens // 2)
    if abs(kind.activations(model) - saved) > TOLERANCE * saved:
        largest = sorted(tensors, key=lambda tensor: -tensor.numel())[:3]
        yield (
            f"the row's activations are {kind.activations(model):,} entries a token, {saved:,.0f} are saved in a row "
            f"of {tokens} tokens, the largest of shape {', '.join(str(tuple(tensor.shape)) for tensor in largest)}"
        )


@torch.no_grad()
def _attend_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where a token attends to what it must not."""
    q, k, v = _projected(model, layer, TOKENS)
    half, last = TOKENS // 2, TOKENS - 1
    later = torch.arange(TOKENS)[:, None] >= half  # (T, 1): the second half
    documents = torch.full((1, 1, TOKENS, TOKENS), -math.inf).triu(1)  # two, of half the tokens each
    documents[:, :, half:, :half] = -math.inf
    expected, masked = layer.attend(q, k, v), layer.attend(q, k, v, documents)
    if not expected.isfinite().all():
        yield "attend() returns numbers that are not finite"
        return
    if _differ(layer.attend(q, k + later, v + later)[:, :, :half], expected[:, :, :half]):
        yield "tokens attend to later ones: attend() must be causal"
    if _differ(layer.attend(q[:, :, last:], k, v), expected[:, :, last:]):
        yield "the last token alone, with the keys of a KV cache, gets another result than in its row"
    if _differ(masked[:, :, :half], expected[:, :, :half]):
        yield "attend() with a mask gives another result to tokens whose mask is the causal one"
    if _differ(layer.attend(q, k + ~later, v + ~later, documents)[:, :, half:], masked[:, :, half:]):
        yield "attend() ignores the mask that separates documents"


@torch.no_grad()
def _path_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Where project() or merge() mix tokens, which a causal attend() cannot mend. x (1, T, C)."""
    cos, sin = rotary_table(model.model_copy(update={"max_seq_len": TOKENS}))
    x = torch.randn(1, TOKENS, model.hidden_size, generator=torch.Generator().manual_seed(1))
    half, last = TOKENS // 2, TOKENS - 1
    changed = torch.cat((x[:, :half], 3 - 2 * x[:, half:]), dim=1)  # the second half is another text
    whole, shorter = layer(x, cos, sin), layer(x[:, :half], cos[:half], sin[:half])
    if not whole.isfinite().all():
        yield "project() or merge() return numbers that are not finite"
        return
    if _differ(layer(changed, cos, sin)[:, :half], whole[:, :half]) or _differ(shorter, whole[:, :half]):
        yield "tokens see later ones through project() or merge(): each must treat a token by itself"
        return
    in_row, alone = layer.project(x, cos, sin), layer.project(x[:, last:], cos[last:], sin[last:])
    if any(_differ(one, row[:, :, last:]) for one, row in zip(alone, in_row, strict=True)):
        yield "project() gives the last token alone, as with a KV cache, other queries, keys or values than in its row"
    attended = layer.attend(*in_row)
    if _differ(layer.merge(attended[:, :, last:]), layer.merge(attended)[:, last:]):
        yield "merge() gives the last token alone, as with a KV cache, another result than in its row"


@torch.no_grad()
def _precision_problems(model: ModelConfig, layer: Attention) -> Iterator[str]:
    """Whether it computes in the precision of its input: a card trains in bf16, with weights in fp32."""
    cos, sin = rotary_table(model.model_copy(update={"max_seq_len": TOKENS}))
    x = torch.randn(1, TOKENS, model.hidden_size, generator=torch.Generator().manual_seed(2)).bfloat16()
    way_out = "take products with linear of hamner/model/layers.py, and other parameters and buffers with .to(x.dtype)"
    try:
        dtype = layer(x, cos, sin).dtype
    except RuntimeError as error:
        yield f"an input in bf16 ends in '{error}' ({_line_of(error, model)}{way_out})"
        return
    if dtype != x.dtype:
        yield f"an input in bf16 comes out in {dtype}: {way_out}"


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one, other, atol=ATOL, rtol=ATOL)


def _projected(model: ModelConfig, layer: Attention, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of random inputs (1, tokens, C), on the default device."""
    device = next(layer.parameters()).device
    x = torch.randn(1, tokens, model.hidden_size, generator=torch.Generator().manual_seed(0), device="cpu")
    cos, sin = rotary_table(model.model_copy(update={"max_seq_len": tokens}))
    return layer.project(x.to(device).requires_grad_(), cos.to(device), sin.to(device))


def _measured_score_flops(model: ModelConfig, tokens: int) -> float:
    """Forward FLOPs of a token beyond the weights' products, counted without memory."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        layer = attention_class(model.attention)(model, 0)
        layer.merge(layer.attend(*_projected(model, layer, tokens)))
    products = sum(weight.numel() for weight in layer.parameters() if weight.ndim > 1)
    return counter.get_total_flops() / tokens - 2 * products


def _saved_tensors(model: ModelConfig, layer: Attention, tokens: int) -> list[Tensor]:
    """What PyTorch saves for the backward pass of a row of tokens, weights included."""
    saved: dict[int, Tensor] = {}  # by memory, since several operations may save the same

    def save(tensor: Tensor) -> Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        layer.merge(layer.attend(*_projected(model, layer, tokens)))
    return list(saved.values())


def _entries(tensors: list[Tensor]) -> int:
    """Entries of the tensors' memory, of which one may show a part."""
    return sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in tensors)
