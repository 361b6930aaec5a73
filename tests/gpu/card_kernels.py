"""Kernels that a CUDA card chooses where a CPU build of PyTorch would choose others, for fake tensors of `cuda:0`.

The choice of attention's kernel follows PyTorch's own (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp), the norm
and SiLU's gradient are one kernel each, and what a card says of itself is what an RTX 3090 says. B batch, H heads,
T time, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from hamner.model.experts import MixtureOfExperts

HALF = (torch.bfloat16, torch.float16)
LARGEST_HEAD = 256  # entries, of the flash kernel
GIB = 2**30
# Operations with a kernel of a card's own, which a build of PyTorch without one composes of up to ten others
WHOLE = ("_fused_rms_norm", "silu_backward")
RTX_3090 = SimpleNamespace(
    name="NVIDIA GeForce RTX 3090", major=8, minor=6, total_memory=24 * GIB, multi_processor_count=82, warp_size=32
)

_attention, _norm = F.scaled_dot_product_attention, F.rms_norm


class CardMode(FakeTensorMode):
    """FakeTensorMode in a process without a card, whatever torch.cuda.is_available answers the model's code."""

    avoid_device_init = True  # type: ignore[assignment]


def attention_kernel(q: Tensor, k: Tensor, mask: Tensor | None, is_causal: bool) -> str:
    """Which kernel a card takes: "flash", "efficient", or "math", which computes all T × T scores."""
    is_square = q.shape[2] == k.shape[2] or not is_causal
    if mask is None and q.dtype in HALF and q.shape[-1] <= LARGEST_HEAD and is_square:
        return "flash"
    return "efficient" if q.shape[1] == k.shape[1] else "math"  # the efficient one knows no groups of heads


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """F.scaled_dot_product_attention by the kernel of a card. Raises what a card would for types that differ."""
    options: dict[str, Any] = {"scale": scale}
    if q.device.type != "cuda":
        return _attention(q, k, v, attn_mask, dropout_p, is_causal, enable_gqa=enable_gqa, **options)
    if q.shape[1] != k.shape[1] and not enable_gqa:
        raise RuntimeError(f"{q.shape[1]} query and {k.shape[1]} key heads without enable_gqa")
    if attn_mask is not None and attn_mask.dtype not in (torch.bool, q.dtype):
        raise RuntimeError(f"attention mask is {attn_mask.dtype}, queries are {q.dtype}")
    if len({q.dtype, k.dtype, v.dtype}) > 1:
        raise RuntimeError(f"queries, keys and values are {q.dtype}, {k.dtype}, {v.dtype}")
    kernel = attention_kernel(q, k, attn_mask, is_causal)
    if kernel == "flash":
        out = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal, False, **options)
        return out[0]
    if kernel == "math":
        return _attention(q, k, v, attn_mask, dropout_p, is_causal, enable_gqa=enable_gqa, **options)
    bias, save = _bias(q, k, attn_mask), torch.is_grad_enabled()
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, bias, save, dropout_p, is_causal, **options)[
        0
    ]


def _bias(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor | None:
    """What the efficient kernel adds to the scores: of booleans it is made anew, as large as they are."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, -math.inf)
    return mask.expand(*q.shape[:3], k.shape[2])


def rms_norm(x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """F.rms_norm, on a card the fused kernel."""
    if x.device.type != "cuda":
        return _norm(x, shape, weight, eps)
    return torch.ops.aten._fused_rms_norm(x, list(shape), weight, eps)[0]


def pin_memory(self: Tensor, *_: Any) -> Tensor:
    """Tensor.pin_memory, for which the fake backend has no memory."""
    return self


def to_list(self: Tensor) -> Any:
    """Tensor.tolist, which PyTorch refuses of fake tensors: one copy to the host, as on a card."""
    return self.cpu().tolist()


def even_counts(tokens: int, experts: int) -> Tensor:
    """Tokens of each expert (E,), which a fake tensor cannot tell, as even as can be."""
    counts = torch.full((experts,), tokens // experts)
    counts[0] += tokens - int(counts.sum())
    return counts


_sequential = MixtureOfExperts.sequential


def sequential(self: MixtureOfExperts, tokens: Tensor, counts: Tensor) -> Tensor:
    """MixtureOfExperts.sequential, with counts that say what the host reads of them; see card_record.py."""
    counts.host_values = even_counts(len(tokens), self.num_experts)  # type: ignore[attr-defined]
    return _sequential(self, tokens, counts)


def missing_kernel(*_: Any) -> Any:
    """A kernel of a card that is not there: fake tensors never come to it."""
    raise NotImplementedError("a kernel of a card was called in a process without one")


@contextmanager
def card_kernels(card: SimpleNamespace = RTX_3090, *, whole: Sequence[str] = WHOLE) -> Iterator[None]:
    """PyTorch as it is on `card`, in a process with the fake backend; whole: operations that are not taken apart."""
    answers = {
        "is_available": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
        "get_device_capability": lambda *_: (card.major, card.minor),
        "get_device_properties": lambda *_: card,
        "get_device_name": lambda *_: card.name,
        "mem_get_info": lambda *_: (card.total_memory, card.total_memory),
    }
    with ExitStack() as stack:
        library = stack.enter_context(torch.library._scoped_library("aten", "IMPL"))
        for name in whole:
            library.impl(name, missing_kernel, "CUDA")
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(F, "scaled_dot_product_attention", scaled_dot_product_attention))
        stack.enter_context(mock.patch.object(F, "rms_norm", rms_norm))
        stack.enter_context(mock.patch.object(FakeTensor, "tolist", to_list, create=True))
        stack.enter_context(mock.patch.object(Tensor, "pin_memory", pin_memory))
        stack.enter_context(mock.patch.object(MixtureOfExperts, "sequential", sequential))
        yield
