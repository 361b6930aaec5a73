"""Ray cluster: its address, settings and environment; joining one; whether a run fits it, or this machine.

Data in: the config's `compute` section, RAY_ADDRESS. Data out: settings for ray.init, or a BadInput with every problem.
Ray itself is an argument here: this room is imported where Ray is not wanted.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any
from urllib.parse import urlsplit

from hamner.config.attention_kinds import OWN_MODULES
from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Compute, Config
from hamner.runs.background import first_line
from hamner.runs.card_environment import card_environment
from hamner.runs.cores import available_cores
from hamner.runs.machine import cpu_text, say_if_emulated
from hamner.runs.places import count_places
from hamner.runs.ray_session import (
    check_answers,
    hide_said,
    leave,
    mark_session,
    own_choice,
    own_signals,
    provide_token,
    temporary_folder,
    without_noise,
)

CARD_FILES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")  # NVIDIA, Jetson, WSL, AMD
LEAST_FILES = 512  # that each of Ray's processes must be able to open
OBJECT_STORE_BYTES = 200 * 2**20  # of shared memory, for a Ray of our own: no tensors go through it


def worker_environment(threads_per_process: int, compute: Compute | None = None) -> dict[str, str]:
    """Environment variables of the processes that train: PyTorch reads thread counts before its first operation.

    compute: None for processes that compute nothing on a card.
    """
    threads = str(threads_per_process)
    own_modules = {OWN_MODULES: os.environ[OWN_MODULES]} if OWN_MODULES in os.environ else {}
    on_card = card_environment(compute) if compute else {}
    variables = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": threads,  # of MinHash
        "TORCHINDUCTOR_COMPILE_THREADS": threads,  # else each trial has a process for each core to compile with
        # the allocator keeps large tensors, instead of returning them and faulting them in again every step
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**34),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    }
    return own_modules | on_card | variables


def ray_address() -> str:
    """Ray's address: "local" to start a cluster on this machine, else RAY_ADDRESS, which Ray sets in a submitted job.

    Raises BadInput for an address a driver cannot use: http:// takes submitted jobs only, and Ray's client (ray://)
    would run the driver's decisions on another machine.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    url = urlsplit(address)
    if url.scheme == "ray" or (url.scheme in ("http", "https") and not _is_this_machine(url.hostname or "")):
        raise BadInput(
            f"RAY_ADDRESS = {address} cannot be used directly: `ray job submit` the command there, or "
            "unset RAY_ADDRESS to run on this machine"
        )
    if url.scheme in ("http", "https"):
        return "auto"  # the cluster on this machine, whose jobs are submitted to that address
    return address or "local"


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname())


def ray_settings(
    threads_per_process: int, compute: Compute | None = None, *, is_verbose: bool = False
) -> dict[str, Any]:
    """Arguments for ray.init: the cluster that RAY_ADDRESS names, else one on this machine alone.

    compute: as worker_environment takes it. is_verbose: whether Ray logs more than errors, and shows what its
    processes print.
    """
    address = ray_address()
    if address == "auto":
        os.environ.pop("RAY_ADDRESS", None)  # Ray would read the http:// address there
    settings: dict[str, Any] = {
        "address": address,
        "log_to_driver": is_verbose,
        "logging_level": "INFO" if is_verbose else "ERROR",
        "runtime_env": {"env_vars": worker_environment(threads_per_process, compute)},
    }
    if address == "local":
        settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    return settings


def join(ray: Any, settings: Mapping[str, Any], *, cpus: float, gpus: float, processes: int = 1) -> None:
    """Start or join a Ray cluster for `processes` processes of `cpus` cores and `gpus` cards each.

    ray: the module. Raises BadInput when no cluster answers, or when the processes would never fit it.
    """
    is_own = settings["address"] == "local"
    if is_own:
        settings = _own_settings(settings)
    else:
        _check_answers(ray, settings["address"])
    try:
        with own_signals(ray), contextlib.nullcontext() if settings.get("log_to_driver") else without_noise():
            ray.init(**settings)
        if not settings.get("log_to_driver"):
            hide_said(ray)
    except ConnectionError as error:
        raise BadInput(f"RAY_ADDRESS = {os.environ.get('RAY_ADDRESS', '')}: no Ray cluster answers: {error}") from None
    except Exception as error:  # of a start that times out Ray raises no other class
        place = "Ray did not start on this machine" if is_own else f"RAY_ADDRESS = {settings['address']}: Ray failed"
        raise BadInput(
            f"{place}: {type(error).__name__}: {first_line(error).rstrip('.')}; {_way_out(error, settings)}"
        ) from error
    except KeyboardInterrupt:
        leave(ray)
        raise
    mark_session(ray)
    try:
        check_cluster(ray.nodes(), cpus, gpus, processes)
    except BaseException:
        leave(ray)
        raise


def _way_out(error: Exception, settings: Mapping[str, Any]) -> str:
    """What to do about a Ray that did not start, or did not let itself be joined."""
    if settings["address"] != "local":
        return "look into the logs of that cluster"
    if "timed out" in str(error):  # an overloaded machine
        return "run the same command again once the machine has less to do"
    logs = f"{settings.get('_temp_dir') or own_choice()}/session_latest/logs"
    return f"mend what its logs say ({logs}), then run the same command again"


def _own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a Ray on this machine alone: the cores it may use, a folder for its sockets, a token.

    Raises BadInput where it could not start.
    """
    _, most = getrlimit(RLIMIT_NOFILE)
    if 0 <= most < LEAST_FILES:  # -1: as many as there are
        raise BadInput(
            f"a process may open {most} files here, and Ray's open {LEAST_FILES}: raise the limit (`ulimit -n 65536`)"
        )
    provide_token()
    folder = temporary_folder()
    return {"num_cpus": available_cores()} | dict(settings) | ({"_temp_dir": folder} if folder else {})


def _check_answers(ray: Any, address: str) -> None:
    """Raise BadInput when no cluster answers at an address; of "auto" at the one that Ray finds on this machine."""
    if address == "auto":
        try:
            address = ray._private.services.canonicalize_bootstrap_address("auto") or ""
        except (ConnectionError, ValueError) as error:
            raise BadInput(
                f"RAY_ADDRESS: no Ray cluster runs on this machine ({first_line(error)}): `ray start --head` one, or "
                "unset RAY_ADDRESS"
            ) from None
    if address:
        check_answers(address)


def check_cluster(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float, processes: int = 1) -> None:
    """Raise BadInput when `processes` of `cpus` and `gpus` each never fit `nodes`, as ray.nodes() lists them."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    problems = []
    for resource, needed in (("CPU", cpus), ("GPU", gpus)):
        largest = max((node.get(resource, 0) for node in alive), default=0)
        total = sum(node.get(resource, 0) for node in alive)
        if needed > largest or needed * processes > total:
            problems.append(
                f"{processes} process(es) need {needed:g} {resource} each, the cluster's largest node has "
                f"{largest:g}, all nodes together {total:g}: change section compute, or use a larger cluster"
            )
    count = count_places(nodes, cpus, gpus)
    if not problems and count < processes:  # all nodes together have enough, but in pieces that are too small
        problems.append(
            f"{processes} process(es) of {cpus:g} CPU and {gpus:g} GPU each do not fit the cluster's nodes, which hold "
            f"{count} of them: change section compute, or use a larger cluster"
        )
    if problems:
        raise BadInput(problems)


def check_machine(config: Config, cores: int) -> None:
    """Raise BadInput when the run would never fit this machine, whose cores or cards Ray would wait for.

    cores: those of one process of the run. Of a cluster in RAY_ADDRESS it is checked that it answers; join() does the
    rest. A line on stderr says when the processor only emulates the run's precision.
    """
    address = ray_address()
    if address != "local":
        if address != "auto":
            check_answers(address)
        return
    problems = Problems()
    if cores > (available := available_cores()):
        problems.lines.append(
            f"the config asks for {cores} cores at a time, this machine has {available}: "
            f"lower compute.threads, compute.worker_threads or compute.workers"
        )
    if config.compute.device == "cpu" and config.compute.compile == "always" and not compiler():
        problems.lines.append(
            "compute.compile = always needs a C++ compiler, and neither g++ nor clang++ is installed: "
            "install one, or use auto or never"
        )
    if config.compute.device == "cuda" and not has_cuda_card():
        problems.lines.append(
            "compute.device = cuda, but this machine has no CUDA card: use --config laptop, or "
            "name a cluster that has one in RAY_ADDRESS"
        )
    problems.raise_all()
    say_if_emulated(config.compute, cpu_text())


def threads_here(threads: int, device: str) -> int:
    """Threads of a process that trains: as configured; of one with a card, which they feed, the cores there are."""
    return min(threads, available_cores()) if device == "cuda" else threads


def cores_per_worker(config: Config) -> int:
    """Cores that each worker of a curriculum is given: one a thread; on one machine with cards at most its share."""
    compute = config.compute
    if compute.device != "cuda" or ray_address() != "local":
        return compute.worker_threads
    return min(compute.worker_threads, max(1, available_cores() // compute.workers))


@functools.cache
def has_cuda_card() -> bool:
    """Whether PyTorch can use a card here. It is loaded, for 2 seconds, only where a driver's device file exists."""
    if sys.platform == "darwin" or (sys.platform == "linux" and not any(Path(file).exists() for file in CARD_FILES)):
        return False
    import torch

    return torch.cuda.is_available()


@functools.cache
def compiler() -> str | None:
    """The path of the C++ compiler that torch.compile needs on a CPU; None where none is installed."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
