"""Cores this process may use: of an affinity, and of quotas of control groups of both versions."""

import os

import pytest

from hamner.config.load import load_config
from hamner.runs import cluster
from hamner.runs.cores import available_cores

QUOTAS = {
    "version 2": ("0::/docker/x", {"docker/x/cpu.max": "200000 100000"}, 2),
    "version 2 in a container": ("0::/", {"cpu.max": "350000 100000"}, 3),
    "version 2, of a group above": ("0::/a/b", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
    "version 2, less than one": ("0::/", {"cpu.max": "50000 100000"}, 1),
    "version 2, none": ("0::/", {"cpu.max": "max 100000"}, 16),
    "version 1": (
        "4:cpu,cpuacct:/docker/x",
        {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        4,
    ),
    "version 1, none": ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
    "broken": ("nonsense", {"cpu.max": "x"}, 16),
}


@pytest.mark.mended("CPU limits of a container")
@pytest.mark.parametrize("case", QUOTAS)
def test_a_quota_of_a_container_is_honoured(case, tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)))
    groups, files, expected = QUOTAS[case]
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{n}": t for n, t in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert available_cores(tmp_path) == expected


@pytest.mark.mended("CPU affinity")
def test_an_affinity_is_honoured(tmp_path, monkeypatch):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert available_cores(tmp_path) == 7


@pytest.mark.mended("rtx3090 on fewer than 8 cores")
def test_with_a_card_a_machine_of_few_cores_gives_those_it_has(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "available_cores", lambda: 4)
    monkeypatch.setattr(cluster, "has_cuda_card", lambda: True)
    config = load_config("rtx3090")
    assert cluster.cores_per_worker(config) == 4 and cluster.threads_here(8, "cuda") == 4
    cluster.check_machine(config, config.compute.workers * cluster.cores_per_worker(config))
    assert cluster.cores_per_worker(load_config("rtx3090", ["workers=2"], "compute")) == 2
    # on the CPU threads are what trains, and decide the last bits: nothing is lowered without a word
    assert cluster.threads_here(8, "cpu") == 8
    with pytest.raises(ValueError, match="this machine has 4"):
        cluster.check_machine(load_config("smoke"), 8)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.cores_per_worker(config) == 8
