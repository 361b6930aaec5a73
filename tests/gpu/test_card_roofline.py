"""Roofline: what an operation costs by its operations and its bytes, and what stands between products as one kernel."""

from __future__ import annotations

import card_shim
import pytest
import roofline
import torch
from card_cost import SHORTEST, CostRecord, Kernel, kernels, seconds_by_part
from torch._subclasses.fake_tensor import FakeTensorMode

from hamner.model.kernels.dispatch import force
from hamner.model.loss import head_loss
from hamner.training.roofline import MEMORY, PRODUCTS, RTX_3090

BANDWIDTH, RATE = RTX_3090.bytes * MEMORY, RTX_3090.flops * PRODUCTS
MOST = 185.0  # ms of a V3 step as it is configured


def test_a_kernel_takes_as_long_as_its_slower_side_and_no_less_than_the_shortest():
    assert Kernel("layers", "products", 1e12, 1e6).seconds == pytest.approx(1e12 / RATE)
    assert Kernel("layers", "products", 1e9, 1e9).seconds == pytest.approx(1e9 / BANDWIDTH)
    assert Kernel("layers", "rest", 0.0, 8.0).seconds == SHORTEST


def test_what_stands_between_two_products_is_one_kernel():
    size = 4096
    with FakeTensorMode():
        x, weight = (torch.empty(size, size, dtype=torch.bfloat16) for _ in range(2))
        with CostRecord(tokens=7) as record:
            y = x @ weight
            z = torch.relu(y * 2) + y
            z @ weight
    product, tensor = 2 * size**3 / RATE, 2 * size**2
    eager = seconds_by_part(record.kept)
    assert eager["layers products"] == pytest.approx(2 * product)
    assert eager["layers rest"] == pytest.approx((2 + 2 + 3) * tensor / BANDWIDTH)
    # reads y, writes z
    assert seconds_by_part(record.kept, fused=("layers",))["layers rest"] == pytest.approx(2 * tensor / BANDWIDTH)


def test_a_question_about_a_tensor_moves_none_of_its_bytes():
    """Autograd asks each for its device some times a step."""
    with FakeTensorMode():
        x = torch.empty(64, 64)
        with CostRecord(tokens=7) as record:
            assert torch.ops.prim.device(x) == torch.device("cpu")
    assert record.operations == 0 and record.kept == []


@pytest.mark.parametrize(("width", "passes"), [(4096, 2), (2**16, 3)])
def test_a_row_that_stays_in_no_cache_is_read_again_once_it_is_summed(width, passes):
    with FakeTensorMode():
        x, weight = torch.empty(512, 64), torch.empty(64, width)
        with CostRecord(tokens=7) as record:
            y = x @ weight
            z = y / y.sum(-1, keepdim=True)
            z @ weight.t()
    (rest,) = (kernel for kernel in kernels(record.kept, fused=("layers",)) if kernel.kind == "rest")
    assert rest.bytes == passes * 4 * 512 * width


def passes(precision: torch.dtype, *, is_fused: bool) -> float:
    """How often the loss reads or writes a logit beside its products."""
    tokens, entries = 4096, 2**16
    with FakeTensorMode(allow_non_fake_inputs=True):
        hidden = torch.empty(1, tokens, 8, dtype=precision).requires_grad_()
        head, targets = torch.empty(entries, 8).requires_grad_(), torch.zeros(1, tokens, dtype=torch.long)
        choices = force(rows_of_logits=1024, transposed_head=False, padded_products=False, fused_softmax=is_fused)
        with choices, CostRecord(tokens=7) as record:
            head_loss(hidden, head, targets)
    rest = (kernel for kernel in kernels(record.kept, fused=("softmax",)) if kernel.kind == "rest")
    return sum(kernel.bytes for kernel in rest) / (tokens * entries * precision.itemsize)


@pytest.mark.parametrize(
    ("precision", "is_fused", "most"),
    [(torch.bfloat16, False, 5), (torch.bfloat16, True, 3), (torch.float16, True, 3), (torch.float32, False, 4)],
)
def test_beside_the_products_a_logit_is_read_and_written_so_often_and_no_more(precision, is_fused, most):
    """In steps: three times by the softmax, which writes it, and once to sum the others; in one kernel, two and one."""
    assert passes(precision, is_fused=is_fused) == pytest.approx(most, rel=0.03)


def test_a_planted_copy_of_the_logits_is_seen(monkeypatch):
    monkeypatch.setattr("hamner.model.kernels.head_loss._without_padding", lambda logits, entries: logits.clone())
    assert passes(torch.bfloat16, is_fused=True) == pytest.approx(5, rel=0.03)


def test_a_column_leaves_checkpointing_out_and_then_compiles():
    ways = list(roofline.COLUMNS.values())
    assert ways[0].checkpointing and not ways[0].compiled
    assert ways[-1] == roofline.Way(compiled=("layers", "softmax"))


def columns_of(*words: str) -> tuple[str, dict[str, list[float]]]:
    """What the command computes, and the rows of V3's table."""
    if reason := card_shim.unavailable():
        pytest.skip(reason)
    child = card_shim.run_on_fake_card(roofline.__file__, "--child", *words, shim=card_shim.build_shim(), timeout=1800)
    assert child.returncode == 0, child.stderr
    lines = [line.split("|")[1:-1] for line in child.stdout.split("\n\n")[0].splitlines()[2:-2]]
    return child.stdout, {label.strip(" *"): [float(cell.strip(" *")) for cell in cells] for label, *cells in lines}


def test_a_v3_step_takes_no_longer_than_it_did_and_the_page_says_so():
    text, rows = columns_of("--v3")
    assert len(rows["sum"]) == len(roofline.COLUMNS) and rows["sum"] == sorted(rows["sum"], reverse=True)
    assert rows["sum"][-1] <= MOST
    page = roofline.PAGE.read_text(encoding="utf-8")
    assert text.strip() in page, "stale: run python tests/gpu/roofline.py --write"


@pytest.mark.slow
def test_with_norms_and_silus_gradient_taken_apart_it_is_the_first_count():
    """Whose eager blocks moved bytes for 83 ms, 105 with checkpointing, and compiled ones for 18."""
    _, rows = columns_of("--pieces")
    rest = rows["layers: rest"]
    assert [*rest[:2], rest[-1]] == pytest.approx([105, 83, 18], rel=0.05)
    assert rows["sum"][-1] <= MOST


@pytest.mark.slow
def test_the_league_s_table_has_all_ten_and_the_page_shows_it():
    text, _ = columns_of()
    assert text.count("| v") == 10
    assert text.strip() in roofline.PAGE.read_text(encoding="utf-8"), "stale: run python tests/gpu/roofline.py --write"
