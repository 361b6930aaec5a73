"""Personal voice: one person talking, from transcripts of their videos; builtin, an invented tinkerer.

A record may name the `video` it was cut from, as those of process_youtube do.
"""

from __future__ import annotations

import random
from typing import Any

from hamner.data.sources.source import Document, Source, plain_document


def parse(record: Any) -> Document:
    """The document of a record {"text", "video"}. Raises ValueError for a record without text."""
    document, video = plain_document(record), record.get("video")
    return Document(document.text, cut_from="" if video is None else str(video))


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import voice

    return Document(voice.document(rng))


PERSONAL = Source(name="personal", builtin=_builtin, parse=parse, keys=("text", "video"))
