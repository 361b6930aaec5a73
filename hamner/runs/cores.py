"""CPU cores that this process may use: of the machine, its affinity (taskset, Slurm) and its cgroup's quota (Docker).

Data in: what the kernel says, /proc and /sys/fs/cgroup. Data out: a number of cores, at least 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use. root: where proc/ and sys/ are, for tests."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS
        count = os.cpu_count() or 1
    quota = min(_quotas(root), default=float(count))
    return max(1, min(count, int(quota)))


def _quotas(root: Path) -> Iterator[float]:
    """CPU time a second of each control group that this process is in, from its own up to the root's."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _quotas_of(root / "sys/fs/cgroup", path, _version_2)
            yield from _quotas_of(root / "sys/fs/cgroup/unified", path, _version_2)
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                yield from _quotas_of(root / "sys/fs/cgroup" / name, path, _version_1)


def _quotas_of(mount: Path, path: str, read: Callable[[Path], float]) -> Iterator[float]:
    """Quotas of a group and of those above it; a container sees its own group as the mount itself."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        try:
            quota = read(mount.joinpath(*parts[:depth]))
        except (OSError, ValueError, ZeroDivisionError):
            continue
        if quota > 0:
            yield quota


def _version_2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    return 0.0 if quota == "max" else float(quota) / float(period)


def _version_1(folder: Path) -> float:
    quota = float((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
    return quota / float((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
