"""TinyStories: short stories for small children (Eldan & Li 2023); builtin, a story grammar."""

from __future__ import annotations

import random

from hamner.data.sources.source import Document, HubDataset, Source


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import stories

    return Document(stories.document(rng))


TINYSTORIES = Source(
    name="tinystories",
    builtin=_builtin,
    min_characters=30,
    hub=HubDataset("roneneldan/TinyStories", config=None, split="train", field="text", license="CDLA-Sharing-1.0"),
)
