"""Command `curriculum prepare_data`: prepare text on a Ray cluster, `hamner prepare_data` with one task per part.

    curriculum prepare_data [the options of hamner prepare_data]

Surveying and writing a part are tasks of one core each; what concerns all of the text is decided here, between the
two. The files are those of the one-process command, byte for byte. Text and --out must be readable from every node: a
shared folder, or for --out any address that fsspec knows. A task that is lost with its node is repeated elsewhere; the
command that is started again continues where the killed one stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.data.preparation.command import STOPPED, prepare_command, prepare_parser, progress_bar
from hamner.data.preparation.part import Part, Runner, Work
from hamner.runs.cli import Parser, run_command
from hamner.runs.cluster import join, ray_settings
from hamner.runs.ray_session import leave

if TYPE_CHECKING:
    from rich.console import Console

MAX_RETRIES = 3  # of a task whose process or node died


def parser() -> Parser:
    """The options of the command, those of hamner prepare_data."""
    return prepare_parser("curriculum prepare_data")


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda words: prepare_command(words, parser(), on_ray), arguments, STOPPED)


@contextmanager
def on_ray(console: Console, config: Config) -> Iterator[Runner]:
    """Does the work on the cluster that RAY_ADDRESS names, or on one of its own. Raises BadInput without one."""
    import ray

    join(ray, ray_settings(1), cpus=1, gpus=0)
    try:
        yield tasks(console)
    finally:
        leave(ray)


def tasks(console: Console) -> Runner:
    """Makes every part a task of the cluster, with a progress bar that moves when one is finished."""
    import ray

    def runner(step: str, work: Work, parts: Sequence[Part]) -> None:
        task = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_work_on)
        shared = ray.put(work)  # with the list of all parts in it
        waiting = {task.remote(shared, part): part for part in parts}
        with progress_bar(console, step, sum(part.size for part in parts)) as advance:
            while waiting:
                (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
                problems = ray.get(ready)
                if problems:
                    raise BadInput(problems)
                advance(waiting.pop(ready).size)

    return runner


def _work_on(work: Work, part: Part) -> list[str]:
    """Do the work on one part; returns what is wrong with it (exceptions would come back wrapped)."""
    try:
        work(part, lambda _: None)
    except BadInput as error:
        return error.problems
    return []


if __name__ == "__main__":
    raise SystemExit(main())
