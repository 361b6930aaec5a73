"""Preflight checks of a run's text: whether its sources are there, how much disk its text takes, who needs the hub.

Data in: a config, the sources of a run. Data out: findings for `doctor`, GiB, and whether the model hub is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hamner.config.cost import GIB
from hamner.config.errors import BadInput
from hamner.config.schema import SOURCE_NAMES, Config
from hamner.data.preparation.conversation_sources import find_conversations
from hamner.data.preparation.for_run import absent_sources, check_sources
from hamner.data.preparation.inputs import find_inputs, text_names
from hamner.data.preparation.manifest import is_prepared
from hamner.data.preparation.plan import SPARE
from hamner.data.sources import find_source
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.runs.preflight import FAIL, OK, WARN, Finding, of_problem

TOKEN_BYTES = 2


def data_findings(config: Config, names: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with the text of a run, and what the later steps would miss of it.

    names: of the sources that are demanded.
    """
    names, path = tuple(names), config.data.path
    try:
        check_sources(config, names)
    except BadInput as error:
        yield from (of_problem("data", FAIL, problem) for problem in error.problems)
        return
    yield Finding("data", OK, f"{path} has {', '.join(text_names(names)) or 'nothing that is read'}")
    absent = absent_sources(config, SOURCE_NAMES)
    if absent:
        words = " ".join(f"--without {name}" for name in absent)
        fix = f"put its files there, or leave it out: `curriculum run winner {words}`"
        yield Finding("data", WARN, f"{path} has no {', '.join(absent)}, which the stages read", fix)
    try:
        find_conversations(config)
    except BadInput as error:
        yield from (of_problem("conversations", WARN, problem) for problem in error.problems)


def text_gib(config: Config, names: Iterable[str], tokens: float) -> float:
    """About what the prepared text of a run takes, GiB. tokens: how far each source of the hub is streamed."""
    names, path = text_names(names), config.data.path
    if is_prepared(path):
        return 0.0
    if path == "builtin":
        return len(names) * config.data.builtin_characters / GIB
    try:
        inputs = find_inputs(config, names)
    except BadInput:
        return 0.0  # which is said of the data
    size = sum(file.stat().st_size for files in inputs.values() for file in files.paths)
    if path == "hub":
        streamed = [name for name in names if name not in inputs]
        size += int(len(streamed) * tokens * SPARE * (CHARACTERS_PER_TOKEN + TOKEN_BYTES))
    return size / GIB


def reads_hub(config: Config, names: Iterable[str]) -> tuple[bool, bool]:
    """Whether a run reads text of the model hub, and whether its tokenizer."""
    path, tokenizer = config.data.path, config.data.tokenizer
    text = path == "hub" and any(find_source(name).hub for name in names)
    places = [Path(tokenizer).expanduser(), Path(path).expanduser() / "tokenizer"]
    is_here = tokenizer == "train" or is_prepared(path) or any(place.is_dir() for place in places)
    return text, not is_here
