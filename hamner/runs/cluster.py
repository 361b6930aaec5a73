"""Ray cluster: its address, settings and environment, and whether a run fits it or this machine."""

from __future__ import annotations

import functools
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Config


def worker_environment(threads_per_process: int) -> dict[str, str]:
    """Environment of the processes that compute: thread counts must be known before torch starts."""
    threads = str(threads_per_process)
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": threads,  # of MinHash
        # large tensors are kept by the allocator instead of being returned and faulted in again every step
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**34),
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    }


def ray_address() -> str:
    """Where Ray is: "local" for one of our own, else what RAY_ADDRESS says (in a submitted job Ray sets it).

    Raises BadInput for an address a driver cannot use: jobs are submitted to http://, and Ray's client (ray://)
    would run the driver's decisions elsewhere.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    url = urlsplit(address)
    if url.scheme == "ray" or (url.scheme in ("http", "https") and not _is_here(url.hostname or "")):
        raise BadInput(
            f"RAY_ADDRESS = {address} cannot be used directly: `ray job submit` the command there, or "
            "unset RAY_ADDRESS to run on this machine"
        )
    if url.scheme in ("http", "https"):
        return "auto"  # the cluster on this machine, whose jobs are submitted to that address
    return address or "local"


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname())


def ray_settings(threads_per_process: int) -> dict[str, Any]:
    """Arguments for ray.init: the cluster RAY_ADDRESS names (a submitted job has it set), else one of our own.

    Here, as plain data, because both Ray parts need it and neither may import the other.
    """
    address = ray_address()
    if address == "auto":
        os.environ.pop("RAY_ADDRESS", None)  # Ray would read the http:// address there
    settings: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": "ERROR",
        "runtime_env": {"env_vars": worker_environment(threads_per_process)},
    }
    if address == "local":
        settings |= {"include_dashboard": False, "object_store_memory": 200 * 2**20}
    return settings


def check_cluster(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float, processes: int = 1) -> None:
    """Refuse to wait in vain: `nodes` as ray.nodes() gives them, cpus and gpus of each of `processes`."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    problems = []
    for kind, wanted in (("CPU", cpus), ("GPU", gpus)):
        largest = max((node.get(kind, 0) for node in alive), default=0)
        total = sum(node.get(kind, 0) for node in alive)
        if wanted > largest or wanted * processes > total:
            problems.append(
                f"{processes} process(es) need {wanted:g} {kind} each, the cluster's largest node has "
                f"{largest:g}, all together {total:g}: change section compute, or the cluster"
            )
    if problems:
        raise BadInput(problems)


def check_machine(config: Config, cores: int) -> None:
    """Refuse what Ray would wait for in vain: more cores or cards than this machine has.

    cores: what one process of the run asks for. A cluster that RAY_ADDRESS names is asked by Ray itself.
    """
    if ray_address() != "local":
        return
    problems = Problems()
    here = os.cpu_count() or 1
    if cores > here:
        problems.found.append(
            f"the config asks for {cores} cores at a time, this machine has {here}: "
            f"lower compute.threads, compute.worker_threads or compute.workers"
        )
    if config.compute.device == "cpu" and config.compute.compile == "always" and not compiler():
        problems.found.append(
            "compute.compile = always needs a C++ compiler, and there is no g++ or clang++ here: "
            "install one, or let it be auto or never"
        )
    if config.compute.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            problems.found.append(
                "compute.device = cuda, but there is no CUDA card here: use --config laptop, or "
                "name a cluster that has one in RAY_ADDRESS"
            )
    problems.raise_all()


@functools.cache
def compiler() -> str | None:
    """The C++ compiler that torch.compile needs on a CPU; None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
