"""Minimal pairs (BLiMP's format): is the good sentence likelier than the bad one, by full-sentence log-probability?

In: a JSONL file, a line {"sentence_good": ..., "sentence_bad": ...} of each pair, with "UID" the set it belongs to if
there is one; a model. Out: of each pair 1, 0, or 0.5 for a tie. A sentence is read after END_OF_TEXT, and its own end
is not predicted, as lm-evaluation-harness does it (Warstadt et al. 2020, "simple LM method").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.figures import Figure, share
from hamner.evaluation.friendly_pairs import preference
from hamner.evaluation.likelihood import choice_after, longest_option, option_nats
from hamner.model.transformer import Hamner

KEYS = ("sentence_good", "sentence_bad")
MOST_SETS = 100  # that get a row of their own; BLiMP has 67


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in one thing."""

    good: str
    bad: str
    set: str  # UID of the record, or ""


def read_pairs(path: Path) -> list[MinimalPair]:
    """The pairs of a file. Raises BadInput for one that cannot be read, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--pairs {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    pairs = [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise BadInput(f"--pairs {path} holds no pair: give JSON lines with {' and '.join(KEYS)}")
    return pairs


def _pair(line: str, where: str) -> MinimalPair:
    try:
        record: Any = json.loads(line)
    except ValueError:
        record = None
    sentences: list[Any] = [record.get(key) for key in KEYS] if isinstance(record, dict) else []
    if not sentences or not all(isinstance(sentence, str) and sentence.strip() for sentence in sentences):
        raise BadInput(f"{where} is not a minimal pair: give a JSON object with the texts {' and '.join(KEYS)}")
    return MinimalPair(sentences[0], sentences[1], str(record.get("UID", "")))


def mark_minimal_pairs(
    hamner: Hamner, tokenizer: Tokenizer, pairs: Sequence[MinimalPair], compute: Compute
) -> list[float | None]:
    """The mark of each pair; None for one that is longer than the model's context."""
    choices = [choice_after([END_OF_TEXT], [tokenizer.encode(text) for text in (p.good, p.bad)]) for p in pairs]
    fit = [index for index, choice in enumerate(choices) if longest_option(choice) <= hamner.config.max_seq_len]
    marks: list[float | None] = [None] * len(pairs)
    for index, nats in zip(fit, option_nats(hamner, [choices[i] for i in fit], compute), strict=True):
        marks[index] = preference(*nats)
    return marks


def minimal_pair_figures(name: str, pairs: Sequence[MinimalPair], marks: Sequence[float | None]) -> Iterator[Figure]:
    """All pairs of a file, and each set in it where there are several. name: of the file."""
    by_set: dict[str, list[float]] = {}
    for pair, mark in zip(pairs, marks, strict=True):
        if mark is not None:
            by_set.setdefault(pair.set, []).append(mark)
    whole = [mark for of_set in by_set.values() for mark in of_set]
    if whole:
        yield share("minimal pairs", name, whole, "pairs", guess=0.5)
    if 1 < len(by_set) <= MOST_SETS:
        for key, of_set in by_set.items():
            yield share("minimal pairs", f"{name}: {key or 'no UID'}", of_set, "pairs", guess=0.5)
