"""Fake CUDA backend (shim): guard.cpp, compiled once, and a child process of Python that has it loaded (LD_PRELOAD).

Autograd asks a card's backend for streams and devices even where tensors are fake; a CPU build of PyTorch has none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
SOURCE = HERE / "guard.cpp"
CACHE = REPO / ".pytest_cache" / "d" / "card_shim"
COMPILE_SECONDS = 240  # 3 s on an idle core


def compiler() -> str | None:
    """The machine's C++ compiler: $CXX, or the first of the usual names."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)


def unavailable() -> str:
    """Why there can be no fake card here; "" where there can."""
    import torch

    if torch.version.cuda or getattr(torch.version, "hip", None):
        return "PyTorch has a CUDA backend of its own, which a fake one cannot replace: use a CPU build"
    return "" if compiler() else "no C++ compiler for the fake card: install g++ or set CXX"


def build_shim(folder: Path = CACHE) -> Path:
    """The compiled shim in `folder`, named by its source and PyTorch's version; compiled where it is missing.

    Raises CalledProcessError where the compiler refuses it.
    """
    import torch
    from torch.utils.cpp_extension import include_paths

    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    shim = folder / f"guard_{key}.so"
    if shim.exists():
        return shim
    folder.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{path}" for path in include_paths()]
    unfinished = folder / f"{shim.name}.{os.getpid()}"  # two processes may compile at a time
    libraries = [f"-L{_libraries()}", "-lc10", "-ltorch_cpu", "-ltorch"]
    command = [str(compiler()), "-O0", "-w", "-shared", "-fPIC", "-std=c++17", *includes, str(SOURCE)]
    subprocess.run([*command, "-o", str(unfinished), *libraries], check=True, timeout=COMPILE_SECONDS)
    unfinished.replace(shim)
    return shim


def _libraries() -> Path:
    import torch

    return Path(torch.__file__).parent / "lib"


def run_on_fake_card(*arguments: str, shim: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` with the fake backend, and with the project on its path."""
    environment = os.environ | {
        "LD_PRELOAD": str(shim),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, (str(_libraries()), os.environ.get("LD_LIBRARY_PATH")))),
        "PYTHONPATH": os.pathsep.join((str(REPO), str(HERE))),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=timeout
    )
