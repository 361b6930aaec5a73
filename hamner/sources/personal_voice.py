"""personal: one person talking, from transcripts of their own; builtin, an invented tinkerer."""

from __future__ import annotations

import random

from hamner.sources.source import Document, Source


def _builtin(rng: random.Random) -> Document:
    from hamner.builtin_text import voice

    return Document(voice.document(rng))


PERSONAL = Source(name="personal", builtin=_builtin)
