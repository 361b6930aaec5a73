"""Preflight checks (doctor): what of this machine would stop or spoil a run, each a line with its fix.

Data in: facts of the machine, as arguments. Data out: findings, ok, warn or fail; nothing is changed, but for a
temporary file where a run would write. Cards are checked by preflight_card.py, Ray and the network by
preflight_network.py.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hamner.config.cost import GIB
from hamner.config.errors import BadInput
from hamner.runs.cluster import OBJECT_STORE_BYTES
from hamner.runs.files import free_gib
from hamner.runs.folders import reason
from hamner.runs.lock import LEASE_SECONDS, only_one
from hamner.runs.machine import features, instructions
from hamner.runs.tables import NARROW

OK, WARN, FAIL = "ok", "warn", "fail"
SPARE_DISK_GIB = 5.0  # beside what is needed: logs, tables, the system
SHOWN_LIBRARIES = ("torch", "ray", "transformers")
EARLIEST = 1_735_689_600.0  # 2025-01-01: a clock before it was never set


@dataclass(frozen=True)
class Finding:
    """What a check has found. fix: an imperative, "" where there is nothing to do."""

    name: str
    state: str  # OK, WARN or FAIL
    text: str
    fix: str = ""


def versions(package: str = "hamner", python: str | None = None) -> Finding:
    """Python and every library that a package demands, by what is installed."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    python = python or platform.python_version()
    try:
        about = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return Finding("versions", WARN, f"{package} is not installed as a package", "use `pip install -e .`")
    needed = about["Requires-Python"] or ""
    problems = [] if SpecifierSet(needed).contains(python) else [f"Python {python}, needed {needed}"]
    for line in metadata.requires(package) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            problems += _version_problem(requirement.name, str(requirement.specifier))
    if problems:
        return Finding("versions", FAIL, "; ".join(problems), "use `make install`, or `pip install -e .`")
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN_LIBRARIES)
    return Finding("versions", OK, f"{package} {about['Version']}, Python {python}, {libraries}")


def _version_problem(name: str, needed: str) -> list[str]:
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return [f"{name} is missing"]
    is_right = SpecifierSet(needed).contains(version, prereleases=True)
    return [] if is_right else [f"{name} {version}, needed {needed}"]


def processor(cpuinfo: str, cores: int, cores_needed: int, device: str, precision: str) -> Finding:
    """Cores, and the vector instructions that PyTorch is fast with.

    cpuinfo: the text of /proc/cpuinfo, "" where there is none. cores_needed: of one run.
    """
    present = features(cpuinfo)
    text = f"{cores} core{'s' * (cores > 1)} for this process"
    if cores_needed > cores:
        fix = "lower compute.threads, compute.worker_threads or compute.workers"
        return Finding("processor", FAIL, f"{text}, one run asks for {cores_needed}", fix)
    is_x86 = bool({"sse2", "fpu"} & present)
    if is_x86 and "avx2" not in present:
        return Finding("processor", WARN, f"{text}, without AVX2: several times slower", "use a newer machine")
    has_bf16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & present)
    if device == "cpu" and precision == "bf16" and present and not has_bf16:
        return Finding("processor", WARN, f"{text}, without bf16 instructions", "use compute.precision=fp32")
    return Finding("processor", OK, ", ".join([text, *instructions(cpuinfo)]))


def memory(total_gib: float, available_gib: float, needed_gib: float, least_gib: float, fewer: str) -> Finding:
    """Main memory.

    needed_gib: an estimate of what the run's processes take together at their fullest, least_gib: with one of them at
    a time. fewer: how to have fewer at a time.
    """
    text = f"{available_gib:.1f} of {total_gib:.1f} GiB available, the run takes about {needed_gib:.1f} GiB"
    if least_gib > total_gib:
        return Finding("memory", FAIL, text, "lower batch_size, choose a smaller model, or use a larger machine")
    if needed_gib > available_gib:
        return Finding("memory", WARN, text, f"close other programs, or {fewer}")
    return Finding("memory", OK, text)


def memory_gib(root: Path = Path("/")) -> tuple[float, float]:
    """Total and available main memory of this process, GiB: of the machine, or of its control group (Docker)."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, available = facts["MemTotal"], facts["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):  # macOS
        total = available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = int((root / "sys/fs/cgroup" / limit).read_text())
            rest = most - int((root / "sys/fs/cgroup" / used).read_text())
        except (OSError, ValueError):  # "max": no limit
            continue
        total, available = min(total, most), max(0, min(available, rest))
    return total / GIB, available / GIB


def shared_memory(folder: Path, needed: float = OBJECT_STORE_BYTES) -> Finding:
    """Shared memory, where Ray's processes exchange objects."""
    if sys.platform != "linux" and not folder.is_dir():
        return Finding("shared memory", OK, "not used on this system")
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    text = f"{folder} has {free / 2**20:,.0f} MiB free, Ray wants {needed / 2**20:,.0f} MiB"
    fix = "start the container with --shm-size=1g, or free space there; else Ray uses a disk, which is slower"
    return Finding("shared memory", WARN, text, fix) if free < needed else Finding("shared memory", OK, text)


def results_place(folder: Path) -> Finding:
    """Whether files can be written, renamed and locked where results go."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    fix = "choose another --results, or set HAMNER_RESULTS"
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".hamner-doctor.", dir=existing) as place,
            only_one(Path(place, "file.lock"), "locked"),
        ):
            Path(place, "old").write_bytes(b"x")
            Path(place, "old").rename(Path(place, "new"))
    except (OSError, BadInput) as error:
        return Finding("results", FAIL, f"{folder} cannot be written: {reason(error)}", fix)
    state = "" if existing == folder else ", which is made at the start"
    return Finding("results", OK, f"{folder}{state}: can be written and locked")


def disk(folder: Path, needs: Mapping[str, float]) -> Finding:
    """Free space where results go. needs: GiB of each thing that a run writes."""
    existing, free = free_gib(folder)
    needed = sum(needs.values())
    parts = " + ".join(f"{gib:.1f} of {what}" for what, gib in needs.items())
    text = f"{existing} has {free:.1f} GiB free, the config needs up to {needed:.1f} GiB ({parts})"
    fix = "make room (`hamner clean`), choose another --results, or lower keep_checkpoints"
    if needed + SPARE_DISK_GIB <= free:
        return Finding("disk", OK, text)
    return Finding("disk", FAIL if needed > free else WARN, text, fix)


def clock(now: float, others: Mapping[str, float], newest_run: float = 0.0) -> Finding:
    """The clock, beside other clocks: the newest run is found by it, certificates and leases are checked by it.

    others: whose clock, and what it said in the same moment. newest_run: when the newest run says it was started.
    """
    fix = "set the clock: `sudo timedatectl set-ntp true`"
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < EARLIEST:
        return Finding("clock", FAIL, f"{text}: it was never set", fix)
    gaps = {whose: now - theirs for whose, theirs in others.items() if abs(now - theirs) > LEASE_SECONDS}
    if gaps:
        words = ", ".join(f"{abs(gap):,.0f} s {'ahead of' if gap > 0 else 'behind'} {w}" for w, gap in gaps.items())
        return Finding("clock", WARN, f"{text}, {words}", fix)
    if newest_run > now + LEASE_SECONDS:
        return Finding("clock", WARN, f"{text}, and the newest run was started later", fix)
    return Finding("clock", OK, f"{text}{', as ' + ' and '.join(others) if others else ''}")


def storage_clock(folder: Path) -> dict[str, float]:
    """What the clock of the storage says where results go; nothing where that cannot be written."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(prefix=".hamner-doctor.", dir=existing) as file:
            return {"the disk's": os.fstat(file.fileno()).st_mtime}
    except OSError:
        return {}


def terminal(width: int, *, is_terminal: bool, is_unicode: bool) -> Finding:
    """Whether tables fit the terminal, in characters that it has."""
    if not is_terminal:
        return Finding("terminal", OK, "the output is no terminal: tables are as wide as they need")
    text = f"{width} columns"
    if width < NARROW:
        fix = f"make the window wider than {NARROW} columns: tables leave out columns that do not fit"
        return Finding("terminal", WARN, text, fix)
    if not is_unicode:
        return Finding("terminal", WARN, f"{text}, no UTF-8: signs are spelled out", "set LC_ALL=C.UTF-8")
    return Finding("terminal", OK, text)


def of_problem(name: str, state: str, problem: str) -> Finding:
    """A finding of a problem as BadInput words it: what is wrong, then the way out."""
    text, separator, fix = problem.partition("; ")
    if not separator:
        text, _, fix = problem.partition(": ")
    return Finding(name, state, text, fix or "mend it, or choose another")


def lines(finding: Finding) -> Iterable[str]:
    """A finding as it is printed: the line, and its fix below it."""
    yield f"{finding.state:<5} {finding.name + ':':<15} {finding.text}"
    if finding.fix:
        yield f"{'':<5} {'fix:':>15} {finding.fix}"


def closing_line(findings: Sequence[Finding], again: str, way_on: str) -> str:
    """How many are well, and the command to type next. again: this command; way_on: the one it was asked for."""
    counts = {state: sum(finding.state == state for finding in findings) for state in (OK, WARN, FAIL)}
    line = f"{counts[OK]} ok, {counts[WARN]} to look at, {counts[FAIL]} in the way"
    return f"{line}; mend those that fail, then `{again}`" if counts[FAIL] else f"{line}; go on with `{way_on}`"
