"""Roofline model of a training step: seconds from FLOPs and bytes, by two numbers of a card and assumed efficiencies.

Data in: a model, the tokens of a step. Data out: seconds of each part, *computed*, not measured. Needs no torch.
The card and its efficiencies stand here alone. tests/gpu/roofline.py prices every operation of a dry run by them, on a
faked card; what is moved beside products is fitted to its table, results/reference/card.md, to which
tests/hamner/training/test_step_seconds.py holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hamner.config.attention_kinds import attention_kind
from hamner.config.cost import count_parameters
from hamner.config.schema import Compute, ModelConfig


@dataclass(frozen=True)
class Card:
    """What a data sheet says of a card."""

    name: str
    flops: float  # of dense 16-bit products summed in fp32, a second
    bytes: float  # of memory, a second


# NVIDIA's data sheet: 142 TFLOP/s with sums in fp16, half of it with sums in fp32; 384 bits of 19.5 Gbit/s
RTX_3090 = Card("RTX 3090", 71e12, 936e9)

PRODUCTS, ATTENTION, MEMORY = 0.75, 0.45, 0.85  # share of the peak that products, flash attention and copies reach
FLASH = 3.5 / 3  # its backward pass computes the scores again
CHECKPOINTING = 1.25  # a block's time where its activations are computed twice, but for its last product
# How often each number that a block saves for the backward pass is read or written beside its products.
TRAFFIC, TRAFFIC_COMPILED = 5.2, 1.75
CAST_BYTES = 12  # of each parameter: its 16-bit copy for the products, and its gradient back in fp32
# Read and written of each logit beside the products, in 16 bit: by softmax and sum; by the compiled region of the loss
LOGIT_BYTES, COMPILED_LOGIT_BYTES = 10, 6
HEAD_BYTES = 14  # ... of each entry of the head: its 16-bit copy, and its gradient scaled
STATE_BYTES = 34  # ... of each entry of the last hidden states: theirs
UPDATE_BYTES = 32  # of each parameter: AdamW and the norm of the gradient


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of a step, part by part."""

    products: float  # of the blocks
    rest: float  # norms, rotations, activations, casts: what moves bytes and multiplies little
    attention: float
    head_products: float
    head_rest: float
    update: float  # clipping and AdamW

    @property
    def total(self) -> float:
        return sum(vars(self).values())


def product_flops(model: ModelConfig, tokens: float) -> tuple[float, float]:
    """FLOPs of a step's matrix products, forward and backward: of the blocks and of the output head."""
    head = model.vocab_size * model.hidden_size
    return 6 * tokens * (count_parameters(model).active - head), 6 * tokens * head


def attention_flops(model: ModelConfig, seq_len: int, tokens: float) -> float:
    """FLOPs of a step's attention scores and their products with the values, over the keys a token may attend to."""
    return 3 * tokens * model.num_layers * attention_kind(model.attention).useful_score_flops(model, seq_len)


def saved_numbers(model: ModelConfig) -> float:
    """Numbers of a token that one block saves for the backward pass."""
    mlp = 5 * model.num_active_experts * model.intermediate_size
    copies = 4 * model.num_active_experts * model.hidden_size if model.num_experts > 1 else 0  # put in order and back
    return 8 * model.hidden_size + attention_kind(model.attention).activations(model) + mlp + copies


def step_seconds(
    model: ModelConfig, tokens: float, seq_len: int, card: Card, *, checkpointing: bool, compiled: bool
) -> StepSeconds:
    """Seconds of a step of `tokens` in 16 bits on a card that they fill: waiting for the host is not in it."""
    flops, bytes_ = card.flops * PRODUCTS, card.bytes * MEMORY
    layers, head = product_flops(model, tokens)
    again = CHECKPOINTING if checkpointing else 1.0
    traffic = 2 * tokens * model.num_layers * saved_numbers(model) * (TRAFFIC_COMPILED if compiled else TRAFFIC)
    parameters, entries = count_parameters(model).total, model.vocab_size * model.hidden_size
    of_logits = tokens * model.vocab_size * (COMPILED_LOGIT_BYTES if compiled else LOGIT_BYTES)
    of_states = tokens * model.hidden_size * STATE_BYTES
    return StepSeconds(
        products=again * layers / flops,
        rest=again * (traffic + CAST_BYTES * parameters) / bytes_,
        attention=again * FLASH * attention_flops(model, seq_len, tokens) / (card.flops * ATTENTION),
        head_products=head / flops,
        head_rest=(of_logits + of_states + HEAD_BYTES * entries) / bytes_,
        update=UPDATE_BYTES * parameters / bytes_,
    )


def computed_step_seconds(
    model: ModelConfig, tokens: float, seq_len: int, compute: Compute, *, checkpointing: bool
) -> float | None:
    """Seconds of a step on an RTX 3090 as a config computes it; None on a processor and in fp32, which it knows not.

    compute.compile = "auto" counts as compiled: full-size runs are long enough.
    """
    if compute.device != "cuda" or compute.precision == "fp32":
        return None
    is_compiled = compute.compile != "never"
    return step_seconds(model, tokens, seq_len, RTX_3090, checkpointing=checkpointing, compiled=is_compiled).total


def kind_of(model: ModelConfig) -> str:
    """Which parts a block has, on which its speed depends more than on its size."""
    words = [model.attention] if model.attention != "grouped" else []
    return ", ".join([*words, "experts"] if model.num_experts > 1 else words) or "dense"


def calibrated_step_seconds(
    model: ModelConfig, tokens: float, seq_len: int, speed: Mapping[str, float]
) -> float | None:
    """Seconds of a step at the speed that a calibration measured; None for a kind of model that it did not time.

    speed: FLOP/s of the blocks of each kind of model and of the head, bytes/s of the update.
    """
    if kind_of(model) not in speed:
        return None
    layers, head = product_flops(model, tokens)
    blocks = (layers + attention_flops(model, seq_len, tokens)) / speed[kind_of(model)]
    return blocks + head / speed["head"] + UPDATE_BYTES * count_parameters(model).total / speed["update"]
