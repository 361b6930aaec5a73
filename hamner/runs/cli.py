"""What every command shares: options, `key=value` words, and bad input that ends with exit code 2."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from hamner.config.errors import BadInput, Problems
from hamner.config.load import default_config_name, load_config
from hamner.config.schema import Config
from hamner.runs.folders import results_folder, run_folder, runs


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of a command that starts or resumes a run."""
    parser.add_argument("--config", metavar="NAME|PATH", help="a name in ray_configs/ or a TOML file "
                        "(default: rtx3090 where CUDA is, else laptop)")
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")
    parser.add_argument("--name", metavar="RUN", help="the run's name (default: date and time)")
    parser.add_argument("--resume", action="store_true", help="go on with a run where it stood")


def read_config(
    options: argparse.Namespace, overrides: Sequence[str], kind: str, extra: Mapping[str, Any] | None = None,
) -> Config | None:
    """The config of the command line; None when a resumed run should keep its own.

    kind: tournament or curriculum. A resumed run's own config is what options are laid over.
    """
    words = list(overrides)
    if options.data:
        place = options.data
        if place not in ("hub", "builtin") and "://" not in place:    # an address is refused by name (prepare_data.py)
            place = str(Path(place).expanduser().resolve())
        words.append(f"data.path={place}")
    base = options.config
    if options.resume and not base:
        if not words and not extra:
            return None
        results = results_folder(options.results)
        existing = [run_folder(results, kind, options.name)] if options.name else runs(results, kind)
        base = str(existing[0] / "config.json") if existing and (existing[0] / "config.json").is_file() else None
    return load_config(base or default_config_name(), words, kind, extra)


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough for a table in a file."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def run_command(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None,
    stopped: str = "--resume goes on from the last checkpoint",
) -> int:
    """Run a command; bad input is printed on stderr, one line a problem, without a traceback."""
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except BadInput as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130


def worker_environment(threads_per_process: int) -> dict[str, str]:
    """Environment of the processes that compute: thread counts must be known before torch starts."""
    threads = str(threads_per_process)
    return {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false",
        "RAYON_NUM_THREADS": threads,    # of MinHash
        # large tensors are kept by the allocator instead of being returned and faulted in again every step
        "MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**34),
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
        raise BadInput(f"RAY_ADDRESS = {address} cannot be used directly: `ray job submit` the command there, or "
                       "unset RAY_ADDRESS to run on this machine")
    if url.scheme in ("http", "https"):
        return "auto"    # the cluster on this machine, whose jobs are submitted to that address
    return address or "local"


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname())


def ray_settings(threads_per_process: int) -> dict[str, Any]:
    """Arguments for ray.init: the cluster RAY_ADDRESS names (a submitted job has it set), else one of our own.

    Here, as plain data, because both Ray parts need it and neither may import the other.
    """
    address = ray_address()
    if address == "auto":
        os.environ.pop("RAY_ADDRESS", None)    # Ray would read the http:// address there
    settings: dict[str, Any] = {
        "address": address, "log_to_driver": False, "logging_level": "ERROR",
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
            problems.append(f"{processes} process(es) need {wanted:g} {kind} each, the cluster's largest node has "
                            f"{largest:g}, all together {total:g}: change section compute, or the cluster")
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
        problems.found.append(f"the config asks for {cores} cores at a time, this machine has {here}: "
                              f"lower compute.threads, compute.worker_threads or compute.workers")
    if config.compute.device == "cpu" and config.compute.compile == "always":
        from hamner.model.kernels.dispatch import compiler

        if not compiler():
            problems.found.append("compute.compile = always needs a C++ compiler, and there is no g++ or clang++ here: "
                                  "install one, or let it be auto or never")
    if config.compute.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            problems.found.append("compute.device = cuda, but there is no CUDA card here: use --config laptop, or "
                                  "name a cluster that has one in RAY_ADDRESS")
    problems.raise_all()
