"""Rank, world size and what workers tell each other: in no group, and in a group of one."""

import pytest
import torch

from hamner.model.distributed import (
    broadcast_object,
    broadcast_tensor,
    is_distributed,
    rank,
    sum_over_workers,
    worker_share,
    world_size,
)


@pytest.fixture(params=["no group", "group of one"])
def group(request, tmp_path):
    grouped = request.param == "group of one"
    if grouped:
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield grouped
    if grouped:
        torch.distributed.destroy_process_group()


def test_a_process_alone_is_rank_0_of_1_and_keeps_its_values(group):
    assert is_distributed() is group
    assert (rank(), world_size()) == (0, 1)
    rows = torch.arange(6).view(3, 2)
    assert torch.equal(worker_share(rows), rows)
    assert sum_over_workers(rows) is rows and broadcast_tensor(rows) is rows and rows.sum() == 15
    assert broadcast_object({"name": "step_3"}) == {"name": "step_3"}


@pytest.mark.parametrize("world", [1, 2, 5])
def test_shares_of_all_workers_are_the_rows_once_each(world, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: world)
    shares = []
    for number in range(world):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda number=number: number)
        shares.append(worker_share(torch.arange(4)))  # the fifth worker is left without
    assert torch.cat(shares).sort().values.tolist() == [0, 1, 2, 3]
