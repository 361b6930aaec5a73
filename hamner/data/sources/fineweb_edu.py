"""FineWeb-Edu: educational web pages (Penedo et al. 2024); builtin, prose about an invented world."""

from __future__ import annotations

import random

from hamner.data.sources.source import Document, HubDataset, Source


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import facts

    return Document(facts.document(rng))


FINEWEB_EDU = Source(
    name="fineweb_edu",
    builtin=_builtin,
    min_characters=50,
    hub=HubDataset(
        "HuggingFaceFW/fineweb-edu", config="sample-10BT", split="train", field="text", license="ODC-By 1.0"
    ),
)
