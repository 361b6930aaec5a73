"""Tokenizer training: a BPE on the training side of every source that is read, about equally much of each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import closing

from hamner.config.errors import BadInput
from hamner.data import split
from hamner.data.preparation.dispositions import TRAIN, Dispositions
from hamner.data.preparation.part import generator
from hamner.data.preparation.plan import Plan
from hamner.data.preparation.survey import unchanged_documents
from hamner.data.sources import Document, Tally
from hamner.data.synthetic_tasks import LEVELS, generate
from hamner.data.tokenizer import Tokenizer


def train_tokenizer(plan: Plan, dispositions: Mapping[str, Dispositions]) -> Tokenizer:
    """A tokenizer of the config's vocabulary. Raises BadInput when the text is too poor for it.

    dispositions: of every document, by source; these are read, in their order.
    """
    vocab_size = plan.config.size.vocab_size
    tokenizer = Tokenizer.train(_texts(plan, dispositions), vocab_size)
    if tokenizer.vocab_size != vocab_size:
        raise BadInput(
            f"the text has only enough variety for {tokenizer.vocab_size} tokenizer entries, not "
            f"{vocab_size}: give more text or lower size.vocab_size"
        )
    return tokenizer


def documents_of(plan: Plan, name: str, dispositions: Dispositions, disposition: int) -> Iterator[Document]:
    """A source's documents of one disposition, read again."""
    index = 0
    for part in plan.parts_of(name):
        with closing(generator(unchanged_documents(plan.store, part, Tally()))) as stream:
            for document in stream:
                if dispositions[index] == disposition:
                    yield document
                index += 1


def _texts(plan: Plan, dispositions: Mapping[str, Dispositions]) -> Iterator[str]:
    """Training text of each source, and synthetic items of each level that training may draw."""
    data = plan.config.data
    for name in dispositions:
        left = data.bpe_characters
        with closing(generator(documents_of(plan, name, dispositions[name], TRAIN))) as stream:
            for document in stream:
                yield document.text
                left -= len(document.text)
                if left <= 0:
                    break
    for level in LEVELS:
        rng, left = random.Random(f"tokenizer/{plan.config.seed}/{level}"), data.bpe_characters // len(LEVELS)
        while left > 0:
            item = generate(rng, level).text
            if split.unit_hash(item) >= data.heldout_fraction:
                yield item
                left -= len(item)
