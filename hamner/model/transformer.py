"""Decoder-only transformer: tokens -> logits. Ten contestants and two presets are values of one config, not classes.

B batch, T time, C hidden, V vocabulary, L layers.
Pre-norm blocks, RMSNorm, rotary positions (RoPE), no biases, output head tied to the embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig
from hamner.model.attention import attention_class, rotary_table
from hamner.model.attention_check import own_attention_problems
from hamner.model.document_mask import document_mask
from hamner.model.experts import MixtureOfExperts
from hamner.model.kernels.dispatch import hardware
from hamner.model.kernels.head_loss import Softmax, softmax_gradient
from hamner.model.kv_cache import KVCache, LayerCache
from hamner.model.layers import RMSNorm, SwiGLU, linear, unit_scale


class Output(NamedTuple):
    logits: Tensor  # (B, T, V)
    balance_loss: Tensor  # already weighted by balance_coefficient, summed over layers; 0 for dense models


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x). x (B, T, C).

    Attention's core lies between two regions; `regions` are these compiled, the same two for all blocks of a model.
    """

    regions: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def __init__(self, model: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(model.hidden_size, eps=model.norm_eps)
        self.attention = attention_class(model.attention)(model, layer)
        self.mlp_norm = RMSNorm(model.hidden_size, eps=model.norm_eps)
        self.mlp: nn.Module = MixtureOfExperts(model) if model.num_experts > 1 else SwiGLU(model)

    def enter(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first region: queries, keys and values of x."""
        return self.attention.project(self.attention_norm(x), cos, sin)

    def leave(self, x: Tensor, attended: Tensor) -> tuple[Tensor, Tensor]:
        """The second region, from attention's output to the block's end; returns the stream and the balance loss."""
        x = x + self.attention.merge(attended)
        update, balance = self.mlp(self.mlp_norm(x))
        return x + update, balance

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: LayerCache | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        enter, leave = self.regions if self.regions and self.training else (Block.enter, Block.leave)
        q, k, v = enter(self, x, cos, sin)
        if cache is not None:
            k, v = cache.append(k, v)
        return leave(self, x, self.attention.attend(q, k, v, mask))


class Hamner(nn.Module):
    """A decoder-only language model. Raises BadInput for a config that cannot be built."""

    loss_region: Softmax | None = None  # of a compiled model, for head_loss

    def __init__(self, model: ModelConfig, *, activation_checkpointing: bool = False) -> None:
        super().__init__()
        problems = list(model.problems())
        if problems:
            raise BadInput(problems)
        self.config = model
        self.activation_checkpointing = activation_checkpointing
        self.dtype = torch.float32  # of the stream and so of all products (layers.py); weights stay fp32
        self.embedding = nn.Embedding(model.vocab_size, model.hidden_size)
        self.blocks = nn.ModuleList(Block(model, layer) for layer in range(model.num_layers))
        self.final_norm = RMSNorm(model.hidden_size, eps=model.norm_eps)
        cos, sin = rotary_table(model)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def compile_regions(self) -> None:
        """Compile the blocks' regions for training, once, whatever the depth; and the loss's. Evaluation stays eager.

        Resets what this process has compiled for other models: after eight PyTorch would silently compile no more,
        and the sums of a contestant would depend on who was trained before it.
        """
        torch._dynamo.reset()
        hardware(self.embedding.weight.device.type)  # asked for before code is traced that reads it
        regions = torch.compile(Block.enter, dynamic=False), torch.compile(Block.leave, dynamic=False)
        self.loss_region = torch.compile(softmax_gradient)
        for block in cast("list[Block]", list(self.blocks)):
            block.regions = regions
            if isinstance(block.mlp, MixtureOfExperts):  # whose counts change with every batch
                block.mlp.sequential = torch.compiler.disable(block.mlp.sequential)  # type: ignore[method-assign]

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, C) of unit root mean square, in the model's dtype.

        The norm has no parameters and can be folded into an input embedding of its own on export. Without it
        the stream starts at the embedding's small scale and differential attention does not get going.
        """
        return unit_scale(self.embedding(tokens)).to(self.dtype)

    def hidden_states(self, tokens: Tensor, cache: KVCache | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) -> the last hidden states (B, T, C), normed, and the weighted balance loss.

        cache: of the tokens before these, which are added to it.
        """
        start = cache.length if cache else 0
        end = start + tokens.shape[-1]
        if end > self.config.max_seq_len:
            raise ValueError(f"{end} tokens exceed max_seq_len {self.config.max_seq_len}")
        x = self.embed(tokens)
        cos, sin = self.cos[start:end], self.sin[start:end]
        mask = self._mask(tokens, cache) if self.config.document_mask else None
        balance = x.new_zeros((), dtype=torch.float32)
        for index, block in enumerate(self.blocks):
            if self.activation_checkpointing and self.training:  # nothing is drawn in a block: no state to keep
                x, extra = checkpoint(block, x, cos, sin, None, mask, use_reentrant=False, preserve_rng_state=False)
            else:
                x, extra = block(x, cos, sin, cache.of_layer(index) if cache else None, mask)
            balance = balance + extra
        if cache:
            cache.length = end
        return self.final_norm(x), balance * self.config.balance_coefficient

    def _mask(self, tokens: Tensor, cache: KVCache | None) -> Tensor:
        """(B, 1, T, T and those of the cache): one for all layers."""
        return document_mask(cache.append(tokens) if cache else tokens, tokens.shape[1], self.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., C) -> (..., V)"""
        return linear(hidden, self.embedding.weight)

    def forward(self, tokens: Tensor) -> Output:
        hidden, balance = self.hidden_states(tokens)
        return Output(self.logits(hidden), balance)


def build(model: ModelConfig, seed: int, *, activation_checkpointing: bool = False) -> Hamner:
    """A model with seeded weights, the same on every machine: they are drawn on the CPU.

    Raises BadInput for a config that cannot be built, or an attention of your own that its row does not describe.
    """
    problems = own_attention_problems(model)
    if problems:
        raise BadInput(problems)
    with torch.device("meta"):
        hamner = Hamner(model, activation_checkpointing=activation_checkpointing)
    hamner.to_empty(device="cpu")
    hamner.cos, hamner.sin = rotary_table(model)
    for block in cast("list[Block]", list(hamner.blocks)):
        block.attention.fill_buffers()
    initialize(hamner, torch.Generator().manual_seed(seed))
    return hamner


@torch.no_grad()
def initialize(hamner: Hamner, generator: torch.Generator) -> None:
    """Draw all weights so that every kind of block starts from a residual stream of unit scale.

    Linear maps get 1/√fan-in, those that write into the stream (`o`, `down`) a further 1/√(2L) (GPT-2's rule), so
    that all blocks together add about as much as the embedding brings. Embedding: 4/C, which keeps the logit that the
    tied head gives a token for itself near 4 at any width (a fixed 0.02 would make it 16 at C = 1024).
    """
    depth = 1 / math.sqrt(2 * hamner.config.num_layers)
    for name, weight in hamner.named_parameters():
        part = name.split(".")[-2 if name.endswith("weight") else -1]
        if "norm" in part:
            weight.fill_(1.0)
        elif part == "embedding":
            weight.normal_(0.0, 4 / hamner.config.hidden_size, generator=generator)
        elif part.startswith("lambda"):
            weight.normal_(0.0, 0.1, generator=generator)
        else:
            scale = 1 / math.sqrt(weight.shape[-1])  # fan-in is the last axis, of stacked experts too
            weight.normal_(0.0, scale * (depth if part in ("o", "down") else 1.0), generator=generator)


def decayed_parameters(hamner: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Every parameter with whether weight decay applies: matrices yes; norms, embedding and λ no."""
    for name, weight in hamner.named_parameters():
        yield name, weight, weight.ndim >= 2 and "embedding" not in name
