"""Compile check (torch.compile): whether steps can be compiled for this machine's card, by compiling a toy.

A card's compiler (Triton) needs gcc or clang and Python's headers; without them every compiled run would end at its
first step. A child process compiles a toy once, when a run is started, and config.json keeps what came of it: so all
contestants of a league and every resume decide alike.

Data in: the `compute` section. Data out: why not, in one line; a fact for config.json; a config as its start settled
it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from hamner.config.errors import BadInput, shortened
from hamner.config.schema import Compute, Config
from hamner.runs.cluster import ray_address
from hamner.runs.preflight import OK
from hamner.runs.preflight_card import c_compiler

CAN_COMPILE = "can_compile"  # in config.json; absent: nobody looked, on a CPU or on a cluster
TOY_SECONDS = 300.0  # 15 on an idle machine
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
TOY = """
import sys
import torch
import torch.nn.functional as F

def region(x, weight):
    return F.silu(F.rms_norm(x, (64,)) @ weight).float().square().mean()

device, dtype, is_deterministic = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3] == "True"
torch.use_deterministic_algorithms(is_deterministic)
x, weight = (torch.ones(64, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(2))
torch.compile(region, dynamic=False)(x, weight).backward()
if not bool(torch.isfinite(x.grad).all()):
    sys.exit("a compiled toy came to no number")
"""


def compile_problem(compute: Compute) -> str:
    """Why compiled steps would not run on this machine's device, in one line; "" where a toy does."""
    finding = c_compiler(compute)
    return finding.text if finding.state != OK else toy_problem(compute)


def toy_problem(compute: Compute, environment: Mapping[str, str] = os.environ, seconds: float = TOY_SECONDS) -> str:
    """What goes wrong when a child process compiles a toy, with none of the kernels that earlier ones have kept."""
    arguments = [compute.device, DTYPES[compute.precision], str(compute.deterministic and compute.device == "cuda")]
    with tempfile.TemporaryDirectory() as folder:
        caches = dict.fromkeys(("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), folder)
        own = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        try:
            child = subprocess.run(
                [sys.executable, "-c", TOY, *arguments],
                env={**environment, **caches, **own},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"a toy was not compiled within {seconds:g} s"
    lines = [line.strip() for line in child.stderr.splitlines() if line.strip()]
    return "" if child.returncode == 0 else shortened(_cause(lines) or f"exit code {child.returncode}")


def _cause(lines: list[str]) -> str:
    """The line of a traceback that names the error; below it PyTorch explains how to see more."""
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception", "Failed"))]
    return (errors or lines or [""])[-1]


def compile_facts(config: Config, say: Callable[[str], None]) -> dict[str, bool]:
    """What config.json keeps of a new run's check, which takes some seconds; says so where steps are not compiled.

    Empty where there is nothing to look at: on a CPU, with compile = never, on a cluster. Raises BadInput with
    compile = always where a toy does not compile.
    """
    compute = config.compute
    if compute.device == "cpu" or compute.compile == "never" or ray_address() != "local":
        return {}
    problem = compile_problem(compute)
    way_out = "`sudo apt install gcc python3-dev` is what it needs, see `tournament doctor`"
    if problem and compute.compile == "always":
        raise BadInput(f"compute.compile = always, and a toy does not compile: {problem}; {way_out}, or use auto")
    if problem:
        say(f"steps are not compiled, for which each takes about a quarter longer: {problem}; {way_out}")
    return {CAN_COMPILE: not problem}


def as_started(config: Config, document: Mapping[str, Any]) -> Config:
    """A run's config as its start has settled it. document: the run's config.json."""
    if document.get(CAN_COMPILE, True):
        return config
    return config.model_copy(update={"compute": config.compute.model_copy(update={"compile": "never"})})
