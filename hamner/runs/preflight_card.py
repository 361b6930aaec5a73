"""Preflight checks of a CUDA card: driver, PyTorch's build, memory of the card, and the compiler that it needs.

Data in: facts of the card, as arguments; `card_facts` reads them, and loads torch where there is a card's file. Data
out: findings.
"""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hamner.config.cost import GIB
from hamner.config.schema import Compute
from hamner.runs.cluster import CARD_FILES, compiler
from hamner.runs.preflight import FAIL, OK, WARN, Finding

DRIVER_FILE = Path("/proc/driver/nvidia/version")
AMPERE = 8  # compute capability from which on bf16 is fast
ON_CPU = "or train on the processor, in miniature: --config laptop"


@dataclass(frozen=True)
class CardFacts:
    """What is known of the first card."""

    has_file: bool = False  # of a driver: one of CARD_FILES
    driver: str = ""  # its version
    build: str = ""  # CUDA or ROCm version that PyTorch was built with; "": for processors alone
    is_usable: bool = False  # by PyTorch
    name: str = ""
    memory_gib: float = 0.0
    free_gib: float = 0.0
    capability: int = 0  # major number


def card_facts(files: Sequence[str] = CARD_FILES) -> CardFacts:
    """What this machine says of its card. It loads PyTorch, for 2 seconds, only where a driver's file exists."""
    if not any(Path(file).exists() for file in files):
        return CardFacts()
    import torch

    driver = _driver()
    build = str(torch.version.cuda or getattr(torch.version, "hip", None) or "")
    if not torch.cuda.is_available():
        return CardFacts(True, driver, build)
    facts = torch.cuda.get_device_properties(0)
    free, _ = torch.cuda.mem_get_info(0)
    return CardFacts(True, driver, build, True, facts.name, facts.total_memory / GIB, free / GIB, facts.major)


def _driver() -> str:
    """The version of NVIDIA's driver."""
    try:
        text = DRIVER_FILE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    version = re.search(r"\b\d{3}\.[\d.]+", text)
    return version.group() if version else ""


def card(facts: CardFacts, compute: Compute) -> Finding:
    """Whether the config's device is there: driver, PyTorch's build, memory, precision."""
    if compute.device == "cpu":
        unused = facts.is_usable or facts.has_file
        text = "not needed: compute.device = cpu"
        return Finding("card", OK, f"{text}; there is one, which --config rtx3090 uses" if unused else text)
    if not facts.has_file:
        fix = f"install the driver (`nvidia-smi` must list the card; in Docker --gpus all), {ON_CPU}"
        return Finding("card", FAIL, f"compute.device = cuda, and no driver's file ({CARD_FILES[0]}) is here", fix)
    if not facts.build:
        fix = f"`pip install --force-reinstall torch` from an index with CUDA: pytorch.org/get-started, {ON_CPU}"
        return Finding("card", FAIL, "this PyTorch was built for processors alone", fix)
    if not facts.is_usable:
        text = f"PyTorch (CUDA {facts.build}) cannot use the card; driver {facts.driver or 'unknown'}"
        return Finding("card", FAIL, text, f"update the driver and restart, see `nvidia-smi`, {ON_CPU}")
    text = f"{facts.name}, {facts.memory_gib:.1f} GiB, driver {facts.driver or 'unknown'}, CUDA {facts.build}"
    return _usable_card(facts, compute, text)


def _usable_card(facts: CardFacts, compute: Compute, text: str) -> Finding:
    """What a card that works has too little of."""
    if compute.gpu_memory_gib > 1.1 * facts.memory_gib:  # a card "of 24 GiB" says 23.6
        fix = f"use compute.gpu_memory_gib={facts.memory_gib:.0f}"
        return Finding("card", FAIL, f"{text}: compute.gpu_memory_gib = {compute.gpu_memory_gib:g} is more", fix)
    if facts.free_gib < 0.8 * facts.memory_gib:
        text = f"{text}, of which other programs use {facts.memory_gib - facts.free_gib:.1f}"
        return Finding("card", WARN, text, "end them (`nvidia-smi` lists them), or lower compute.gpu_memory_gib")
    if compute.precision == "bf16" and 0 < facts.capability < AMPERE:
        return Finding("card", WARN, f"{text}: slow in bf16", "use compute.precision=fp16")
    return Finding("card", OK, text)


def c_compiler(compute: Compute, environment: Mapping[str, str] = os.environ, include: str | None = None) -> Finding:
    """The compiler that torch.compile needs: C with Python's headers for a card (Triton), C++ for a processor.

    include: the folder of Python's headers.
    """
    if compute.compile == "never":
        return Finding("compiler", OK, "not needed: compute.compile = never")
    if compute.device == "cpu":
        name = compiler()
        if name:
            return Finding("compiler", OK, name)
        fix = "`sudo apt install g++`, or use compute.compile=never"
        return Finding("compiler", FAIL if compute.compile == "always" else WARN, "neither g++ nor clang++", fix)
    path = environment.get("PATH")
    name = next((n for c in (environment.get("CC"), "gcc", "clang") if c and (n := shutil.which(c, path=path))), None)
    fix = "`sudo apt install gcc python3-dev`: without it steps are not compiled and take about a quarter longer"
    state = FAIL if compute.compile == "always" else WARN
    if not name:
        return Finding("compiler", state, "compiled steps on a card need gcc or clang, and neither is installed", fix)
    if not Path(include or sysconfig.get_paths()["include"], "Python.h").is_file():
        return Finding("compiler", state, f"{name}, but Python's headers (Python.h) are missing", fix)
    return Finding("compiler", OK, f"{name}, with Python's headers")
