"""Dispatch rules: which way a step is computed, by the hardware's capability, the precision and the length.

Data in: what a processor or a card can do (compute capability, vector instructions), a precision, lengths. Data out:
yes or no, or a number. Pure functions, so each is tested with the numbers of machines that are not at hand. What was
measured and what is arithmetic is in docs/speed.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hamner.config import cost

RTX_3090 = (8, 6)  # compute capability of the card that the project is built for
HOPPER = (9, 0)  # from here on PyTorch has a grouped product; below it waits for the host and computes one by one
LONG = 512  # tokens from which differential blocks win in fp32 too
PADDING = {"cpu": 16, "cuda": 64}  # widths that are products of this are multiplied fastest: 64 and 128 bytes
HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Hardware:
    """What the rules know of the device that computes."""

    device: str  # cpu, cuda
    capability: tuple[int, int] = (0, 0)  # compute capability of a card
    instructions: str = ""  # vector instructions that PyTorch uses on a processor: AVX2, AVX512, …
    is_bf16_native: bool = True  # whether a processor multiplies bf16; else it takes 35 to 40 times fp32's time

    @property
    def is_avx2_alone(self) -> bool:
        """Whether it is a processor with AVX2 and nothing newer: the fast precision there is fp32."""
        return self.device == "cpu" and self.instructions == "AVX2" and not self.is_bf16_native


def read_hardware(device: str) -> Hardware:
    """What this process computes on. A card that is not there (a dry run) is an RTX 3090."""
    if device == "cuda":
        return Hardware(device, torch.cuda.get_device_capability() if torch.cuda.is_available() else RTX_3090)
    if device != "cpu":
        return Hardware(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    # the second asks the processor, whatever ATEN_CPU_CAPABILITY allows PyTorch to use of it
    is_native = instructions != "AVX2" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return Hardware(device, instructions=instructions, is_bf16_native=is_native)


def block_attention(hardware: Hardware, dtype: torch.dtype, queries: int, keys: int) -> bool:
    """Whether attention by blocks beats PyTorch's kernel.

    On a CPU in bf16 it is twice as fast; in fp32 the two are equal with AVX-512, and with AVX2 alone blocks win up to a
    tenth.
    """
    is_faster = dtype == torch.bfloat16 or (dtype == torch.float32 and hardware.is_avx2_alone)
    return hardware.device == "cpu" and is_faster and queries == keys


def differential_blocks(hardware: Hardware, dtype: torch.dtype, queries: int, keys: int) -> bool:
    """The same for differential attention, whose blocks meet the values once on the way back: long ones in fp32 too."""
    is_faster = dtype == torch.bfloat16 or (dtype == torch.float32 and queries >= LONG)
    return hardware.device == "cpu" and is_faster and queries == keys


def grouped_experts(hardware: Hardware, dtype: torch.dtype) -> bool:
    """Whether all experts go through one grouped product instead of one after the other.

    In bf16: on a CPU it saves a fifth. A card has one from sm_90 on; below, PyTorch's waits for the host at each
    product, eight times a layer and step with the backward pass, where one after the other waits once.
    """
    return dtype == torch.bfloat16 and (hardware.device != "cuda" or hardware.capability >= HOPPER)


def transposed_head(hardware: Hardware, dtype: torch.dtype) -> bool:
    """Whether the head's products take it as (C, V).

    Two of the three need half the time so on a CPU with AMX, and the same time on one without.
    """
    return hardware.device == "cpu" and dtype == torch.bfloat16


def logits_at_a_time(hardware: Hardware, dtype: torch.dtype, *, transposed: bool) -> int:
    """Entries of the logits that exist at a time while training. Each part costs a pass over the head's gradient.

    transposed: whether the head is. A card needs as long for that pass as for the products of 320 tokens, which have
    2**24 logits at 49,152 entries.
    """
    is_slow = hardware.is_avx2_alone and dtype == torch.float32
    return cost.logits_at_a_time(hardware.device, is_transposed=transposed, is_slow=is_slow)


def fused_softmax(hardware: Hardware) -> bool:
    """Whether a run that compiles has softmax, loss and gradient of a chunk of logits in one kernel of its own.

    On a card, where a row of logits stays in no cache: it is read twice and written once, by PyTorch's own kernels read
    four times and written once. A processor goes on with those, to the bits it always had.
    """
    return hardware.device == "cuda"


def padded_products(hardware: Hardware, dtype: torch.dtype) -> bool:
    """Whether widths are rounded up to a multiple of PADDING inside a product, with zeros.

    With AVX2 alone 2,736 columns are multiplied 1.4 times as fast as 2,730; tensor cores read rows of 16-bit numbers
    that begin at 16 bytes, and others several times slower. With AVX-512 it is the same.
    """
    return (hardware.is_avx2_alone and dtype == torch.float32) or (hardware.device == "cuda" and dtype in HALVES)


def sums_in_fp32(hardware: Hardware, dtype: torch.dtype) -> bool:
    """Whether a product of 16-bit matrices can be added to one in fp32 as it is computed: torch.addmm on a card."""
    return hardware.device == "cuda" and dtype in HALVES
