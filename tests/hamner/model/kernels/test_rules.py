"""Dispatch rules as numbers: what is chosen on machines that are not at hand, and that today's choices stay."""

import pytest
import torch

from hamner.model.kernels import dispatch, rules
from hamner.model.kernels.rules import Hardware

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
RTX_3090, H100 = Hardware("cuda", (8, 6)), Hardware("cuda", (9, 0))
MILAN = Hardware("cpu", instructions="AVX2", is_bf16_native=False)
SAPPHIRE_RAPIDS = Hardware("cpu", instructions="AVX512")
ARM = Hardware("cpu", instructions="DEFAULT", is_bf16_native=False)


@pytest.mark.parametrize(
    ("machine", "dtype", "grouped"),
    [
        (RTX_3090, BF16, False),
        (Hardware("cuda", (8, 9)), BF16, False),
        (H100, BF16, True),
        (Hardware("cuda", (10, 0)), BF16, True),
        (H100, FP16, False),
        (H100, FP32, False),
        (SAPPHIRE_RAPIDS, BF16, True),
        (SAPPHIRE_RAPIDS, FP32, False),
        (MILAN, FP32, False),
    ],
)
def test_experts_are_grouped_where_there_is_a_grouped_product_that_does_not_wait(machine, dtype, grouped):
    assert rules.grouped_experts(machine, dtype) == grouped


@pytest.mark.parametrize(
    ("machine", "dtype", "blocks", "differential"),
    [
        (SAPPHIRE_RAPIDS, BF16, True, True),
        (SAPPHIRE_RAPIDS, FP32, False, False),
        (MILAN, FP32, True, False),
        (ARM, FP32, False, False),
        (RTX_3090, BF16, False, False),
        (RTX_3090, FP32, False, False),
    ],
)
def test_attention_goes_by_blocks_on_a_processor_in_its_fast_precision(machine, dtype, blocks, differential):
    assert rules.block_attention(machine, dtype, 256, 256) == blocks
    assert rules.differential_blocks(machine, dtype, 256, 256) == differential
    assert not rules.block_attention(machine, dtype, 1, 256)
    assert rules.differential_blocks(machine, dtype, 1024, 1024) == (machine.device == "cpu")


@pytest.mark.parametrize(
    ("machine", "dtype", "power"),
    [
        (RTX_3090, BF16, 27),
        (H100, FP16, 27),
        (RTX_3090, FP32, 27),
        (SAPPHIRE_RAPIDS, BF16, 27),
        (SAPPHIRE_RAPIDS, FP32, 24),
        (MILAN, FP32, 26),
        (ARM, FP32, 24),
    ],
)
def test_parts_of_the_head_are_larger_where_a_pass_over_its_gradient_costs_more(machine, dtype, power):
    transposed = rules.transposed_head(machine, dtype)
    assert transposed == (machine.device == "cpu" and dtype == BF16)
    assert rules.logits_at_a_time(machine, dtype, transposed=transposed) == 2**power


@pytest.mark.parametrize(
    ("machine", "fused"), [(RTX_3090, True), (H100, True), (SAPPHIRE_RAPIDS, False), (MILAN, False)]
)
def test_the_losss_softmax_is_one_compiled_region_on_a_card_alone(machine, fused):
    x = type("There", (), {"device": torch.device(machine.device)})
    with dispatch.pretend(machine):
        assert dispatch.use_fused_softmax(x, is_compiled=True) == fused
        assert not dispatch.use_fused_softmax(x, is_compiled=False)


@pytest.mark.parametrize(
    ("machine", "dtype", "padded"),
    [
        (MILAN, FP32, True),
        (MILAN, BF16, False),
        (SAPPHIRE_RAPIDS, FP32, False),
        (SAPPHIRE_RAPIDS, BF16, False),
        (RTX_3090, BF16, True),
        (H100, FP16, True),
        (RTX_3090, FP32, False),
        (ARM, FP32, False),
    ],
)
def test_products_are_padded_with_avx2_alone_and_for_tensor_cores(machine, dtype, padded):
    assert rules.padded_products(machine, dtype) == padded


@pytest.mark.parametrize(
    ("device", "rows", "width", "zeros"),
    [("cpu", 64, 1365, 11), ("cpu", 64, 1376, 0), ("cpu", 63, 1365, 0), ("cuda", 64, 1365, 43), ("cuda", 64, 1536, 0)],
)
def test_a_width_is_padded_to_64_bytes_of_a_processor_and_128_of_a_card(device, rows, width, zeros):
    dtype = FP32 if device == "cpu" else BF16
    x = torch.empty(1, rows, 8, dtype=dtype, device="meta")
    x_there = type("There", (), {"device": torch.device(device), "dtype": dtype, "shape": x.shape, "numel": x.numel})
    with dispatch.pretend(MILAN), dispatch.pretend(RTX_3090):
        assert dispatch.padding(width, x_there) == zeros


def test_what_this_machine_is_read_as():
    machine = dispatch.hardware("cpu")
    assert machine.instructions == torch.backends.cpu.get_cpu_capability()
    assert machine.is_bf16_native == (torch.ops.mkldnn._is_mkldnn_bf16_supported() and machine.instructions != "AVX2")
    if not torch.cuda.is_available():  # a dry run's card
        assert rules.read_hardware("cuda") == RTX_3090


def test_another_machine_is_pretended_within_its_block_alone():
    before, q = dispatch.hardware("cpu"), torch.empty(1, 2, 8, 4)
    with dispatch.pretend(MILAN):
        assert dispatch.use_block_attention(q, q)
        assert not dispatch.use_block_attention(q[:, :, :1], q)
    assert dispatch.hardware("cpu") == before
    with dispatch.pretend(SAPPHIRE_RAPIDS):
        assert not dispatch.use_block_attention(q, q)
