"""Long texts are encoded in pieces: the same ids as whole, in a twentieth of the memory."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import text_pieces
from hamner.data.tokenizer import Tokenizer

DATA = os.environ.get("HAMNER_DATA", "")
SPACES = " \n\t\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2003\u2028\u2029\u202f\u3000\u200b\ufeff"
WORDS = (
    "don't",
    "we'll",
    "x",
    "'",
    "12",
    "3.5",
    "水车",
    "很老。",
    "のこと",
    "、",
    "и",
    "e\u0301",
    "한국",
    "...",
    "a,b;c",
)


def _text(rng, length):
    """Words, white space of every kind, and any characters at all, in runs of one kind as real text has them."""
    parts = []
    while sum(map(len, parts)) < length:
        kind = rng.randrange(4)
        if kind == 0:
            parts += rng.choices(WORDS, k=rng.randrange(1, 8))
        elif kind == 1:
            parts.append(" ".join(rng.choices(WORDS, k=rng.randrange(1, 8))))
        elif kind == 2:
            parts += rng.choices(SPACES, k=rng.randrange(1, 5))
        else:
            points = (rng.randrange(0x300) if rng.random() < 0.5 else rng.randrange(0x30000) for _ in range(5))
            parts += [chr(point) for point in points if not 0xD800 <= point < 0xE000]
    return "".join(parts)


@pytest.fixture(scope="module")
def trained():
    return Tokenizer.train(["the old mill turns 12 times, don't it? 水车很老。 и мы ждём"] * 3, 330)


def _assert_ids_are_those_of_the_whole(tokenizer, texts):
    assert tokenizer.splits_at_spaces
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        pieces = list(text_pieces.text_pieces(text, size=1))  # at every place where one may be
        assert "".join(pieces) == text
        assert [i for piece in tokenizer.encode_batch(pieces) for i in piece] == ids, text


@pytest.mark.mended("memory of one large document")
def test_ids_of_the_pieces_are_those_of_the_whole(trained):
    rng = random.Random(0)
    _assert_ids_are_those_of_the_whole(trained, [_text(rng, 200) for _ in range(100)])
    points = rng.sample([c for c in range(0x110000) if not 0xD800 <= c < 0xE000], 1000)
    _assert_ids_are_those_of_the_whole(
        trained, [f"ab{c} cd{c}\ne{c}{c} {c}水{c}。'{c}s 1{c}2x{c},y" for c in map(chr, points)]
    )


@pytest.mark.skipif(not DATA, reason="HAMNER_DATA is not set: no real tokenizer to read")
def test_ids_of_the_pieces_are_those_of_the_whole_with_the_real_tokenizer():
    tokenizer, rng = Tokenizer.load(Path(DATA) / "tokenizer"), random.Random(1)
    _assert_ids_are_those_of_the_whole(tokenizer, [_text(rng, 300) for _ in range(300)])
    _assert_ids_are_those_of_the_whole(
        tokenizer, [(Path(DATA) / "extra/personal/voice_sample.txt").read_text(encoding="utf-8")]
    )


def test_documents_longer_than_a_batch_and_chats_among_them_are_encoded_as_ever(trained, monkeypatch):
    monkeypatch.setattr(text_pieces, "BATCH_CHARACTERS", 100)
    monkeypatch.setattr(text_pieces.text_pieces, "__defaults__", (20,))
    rng = random.Random(2)
    texts = [_text(rng, length) for length in (0, 5, 90, 700, 0, 300)]
    chat = (("user", _text(rng, 150)), ("assistant", _text(rng, 150)))
    ids = trained.encode_documents([*texts, chat, "x"])
    assert [list(i) for i in ids] == [
        *([*trained.encode(text), END_OF_TEXT] for text in texts),
        trained.encode_chat(chat),
        [*trained.encode("x"), END_OF_TEXT],
    ]
    assert all(i.dtype == np.uint32 for i in ids) and trained.encode_documents([]) == []


def test_a_word_without_an_end_stays_whole_and_another_kind_of_tokenizer_gets_whole_texts():
    assert list(text_pieces.text_pieces("ж" * 50_000)) == ["ж" * 50_000]
    assert len(list(text_pieces.text_pieces("word " * 5000))) == 4
    text = "word " * 5000
    assert list(text_pieces.piece_batches([text, "x"], is_cut=False)) == [[(0, text), (1, "x")]]


@pytest.mark.mended("peak of one large document")
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be reset on Linux alone")
def test_a_large_document_does_not_peak_while_it_is_encoded():
    """2 MB took 115 bytes a character above what the process had; 8 MB took 878 MiB."""
    program = """
import re, sys
from pathlib import Path
from hamner.data.tokenizer import Tokenizer
def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
tokenizer = Tokenizer.train(["the old mill turns"], 300)
text = "the old mill turns and turns " * 70_000
tokenizer.encode_documents([text[:600_000]])
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
tokenizer.encode_documents([text])
print((status("VmHWM") - before) * 1024 / len(text))
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    assert float(done.stdout) < 20
