"""Roofline: what an operation costs by its operations and its bytes, and what stands between products as one kernel."""

from __future__ import annotations

import card_shim
import pytest
import roofline
import torch
from card_cost import BANDWIDTH, OF_BANDWIDTH, OF_PEAK, PEAK, SHORTEST, CostRecord, seconds_by_part
from card_cost import roofline as seconds_of
from torch._subclasses.fake_tensor import FakeTensorMode

MEMORY = BANDWIDTH * OF_BANDWIDTH


def test_a_kernel_takes_as_long_as_its_slower_side_and_no_less_than_the_shortest():
    assert seconds_of(1e12, 1e6, "products") == pytest.approx(1e12 / (PEAK * OF_PEAK))
    assert seconds_of(1e9, 1e9, "products") == pytest.approx(1e9 / MEMORY)
    assert seconds_of(0.0, 8.0, "rest") == SHORTEST


def test_what_stands_between_two_products_is_one_kernel():
    size = 4096
    with FakeTensorMode():
        x, weight = (torch.empty(size, size, dtype=torch.bfloat16) for _ in range(2))
        with CostRecord(tokens=7) as record:
            y = x @ weight
            z = torch.relu(y * 2) + y
            z @ weight
    product, tensor = 2 * size**3 / (PEAK * OF_PEAK), 2 * size**2
    eager = seconds_by_part(record.kept)
    assert eager["layers products"] == pytest.approx(2 * product)
    assert eager["layers rest"] == pytest.approx((2 + 2 + 3) * tensor / MEMORY)
    # reads y, writes z
    assert seconds_by_part(record.kept, fused=("layers",))["layers rest"] == pytest.approx(2 * tensor / MEMORY)


def test_a_column_leaves_checkpointing_out_and_then_compiles():
    flags = [(checkpointing, fused) for checkpointing, _, fused in roofline.COLUMNS.values()]
    assert flags[0] == (True, ()) and flags[-1] == (False, ("layers", "head"))


@pytest.mark.slow
def test_the_table_is_computed_and_each_column_is_no_slower_than_the_one_before():
    if reason := card_shim.unavailable():
        pytest.skip(reason)
    child = card_shim.run_on_fake_card(roofline.__file__, "--child", shim=card_shim.build_shim(), timeout=1800)
    assert child.returncode == 0, child.stderr
    (sums,) = (line for line in child.stdout.splitlines() if line.startswith("| **sum**"))
    columns = [int(cell.strip(" *")) for cell in sums.split("|")[2:-1]]
    assert len(columns) == len(roofline.COLUMNS) and columns == sorted(columns, reverse=True)
    assert child.stdout.count("| v") == 10
