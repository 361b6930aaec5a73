"""The five sources of text, by name. A source is a value; adding one is a file here and a row in SOURCES.

Each can be had in three ways: from the hub, from a folder (DIR/<source>/*), or builtin (ours, seeded,
offline). `synthetic` needs no text at all: its items are drawn while training (see hamner/mixer.py).
A source that cannot be had is an error that names it; nothing else is ever read in its place.
"""

from hamner.data.sources.fineweb_edu import FINEWEB_EDU
from hamner.data.sources.personal_voice import PERSONAL
from hamner.data.sources.sft_conversations import SFT
from hamner.data.sources.source import Document, HubDataset, Source, Tally
from hamner.data.sources.synthetic import SYNTHETIC
from hamner.data.sources.tinystories import TINYSTORIES

SOURCES: dict[str, Source] = {source.name: source for source in (TINYSTORIES, FINEWEB_EDU, SYNTHETIC, SFT, PERSONAL)}

__all__ = ["SOURCES", "Document", "HubDataset", "Source", "Tally"]
