"""Text sources (data sources) by name: the five that the project knows, and any folder of one's own.

A known source can be had in three ways: from the Hugging Face Hub, from a folder (DIR/<source>/*), or builtin (the
project's own text: seeded, offline). Any other name is a folder DIR/<name>/ of text or conversations. `synthetic`
needs no text: its items are drawn while training (hamner/data/synthetic_rows.py).

A source that cannot be had is an error that names it; nothing else is ever read in its place.
"""

from __future__ import annotations

from collections.abc import Iterable

from hamner.data.sources.fineweb_edu import FINEWEB_EDU
from hamner.data.sources.personal_voice import PERSONAL
from hamner.data.sources.sft_conversations import SFT, parse_any
from hamner.data.sources.source import Document, Source, Tally
from hamner.data.sources.synthetic import SYNTHETIC
from hamner.data.sources.tinystories import TINYSTORIES

# the order of config.schema.SOURCE_NAMES, in which the tokenizer reads them
SOURCES: dict[str, Source] = {source.name: source for source in (TINYSTORIES, FINEWEB_EDU, SYNTHETIC, SFT, PERSONAL)}


def find_source(name: str) -> Source:
    """A known source, or the folder DIR/<name>/ of one's own."""
    return SOURCES.get(name) or Source(name, parse=parse_any, keys=SFT.keys)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of sources, each once: the known ones in their order, then the others by alphabet."""
    unique = set(names)
    return (*(name for name in SOURCES if name in unique), *sorted(unique - SOURCES.keys()))


__all__ = ["SOURCES", "Document", "Source", "Tally", "find_source", "in_order"]
