"""Places in a cluster (resources, placement): whether the nodes that are alive still hold what a run needs.

After a node is lost Ray waits for another one, for ever and without a word. Data in: the nodes, as Ray lists them. Data
out: a line when a run waits for a place, and one when it no longer does. Ray itself is an argument, as in cluster.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hamner.runs.background import first_line
from hamner.runs.output import print_error
from hamner.runs.ray_session import session_folder

LOOK_SECONDS = 3.0  # between two looks at the nodes
ROUNDING = 1e-6  # of cards: 1 card holds three shares of 0.333333


@dataclass(frozen=True)
class Need:
    """What a run cannot do without: so many processes, each with its cores and cards on one node."""

    processes: int
    cpus: float  # cores of each
    gpus: float = 0.0  # cards of each, or the share of one
    noun: str = "worker"


def count_places(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> int:
    """How many processes of `cpus` and `gpus` each the living of `nodes` hold, as ray.nodes() lists them."""
    sizes = [(name, size) for name, size in (("CPU", cpus), ("GPU", gpus)) if size > 0]
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(min(int(node.get(name, 0) / size + ROUNDING) for name, size in sizes) for node in alive) if sizes else 0


def waiting_line(nodes: Sequence[Mapping[str, Any]], need: Need, address: str) -> str:
    """What a run waits for, and how it continues; "" where the living nodes hold all it needs. address: of the head."""
    count = count_places(nodes, need.cpus, need.gpus)
    if count >= need.processes:
        return ""
    size = f"{need.cpus:g} CPU" + (f" and {need.gpus:g} GPU" if need.gpus else "")
    plural = "s" if need.processes > 1 else ""
    return (
        f"waiting for a node: {need.processes} {need.noun}{plural} of {size} each are needed, and the nodes that are "
        f"alive hold {count}; continue with `ray start --address={address}` on the machine that was lost, or on another"
    )


class Places:
    """Whether a run waits for a place, as far as it has been looked."""

    def __init__(self) -> None:
        self.line = ""  # what it waits for; "" where it waits for nothing

    def look(self, nodes: Sequence[Mapping[str, Any]], need: Need, address: str, say: Callable[[str], object]) -> None:
        """Look at the nodes, and say when the run begins to wait or no longer does."""
        line = waiting_line(nodes, need, address)
        if bool(line) != bool(self.line):
            say(line or "the nodes that are needed are alive again: the run continues")
        self.line = line


@contextmanager
def watched_places(ray: Any, need: Need, say: Callable[[str], object]) -> Iterator[Places]:
    """Watch the nodes of a joined cluster, by a thread, while the block lasts. A Ray of our own has one node: nothing.

    Nothing either where none is joined: a question to Ray would start one.

    ray: the module. say: called, from that thread, with each line.
    """
    places, is_over = Places(), threading.Event()
    if session_folder(ray) is not None or not ray.is_initialized():
        yield places
        return

    def work() -> None:
        try:
            address = ray.get_runtime_context().gcs_address
            while not is_over.wait(LOOK_SECONDS):
                places.look(ray.nodes(), need, address, say)
        except Exception as error:  # of Ray, where it is left or lost meanwhile
            if not is_over.is_set():
                print_error(f"nodes are no longer watched, the run continues: {first_line(error)}")

    thread = threading.Thread(target=work, name="places", daemon=True)
    thread.start()
    try:
        yield places
    finally:
        is_over.set()
        thread.join(LOOK_SECONDS)  # it may wait for a head that does not answer
