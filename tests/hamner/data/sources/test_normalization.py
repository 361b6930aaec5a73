"""What normalizing changes, so that no two words become one, and what it leaves alone."""

import random
import unicodedata

import pytest

from hamner.data.sources import SOURCES
from hamner.data.sources.local_files import builtin_documents
from hamner.data.sources.normalization import normalize


@pytest.mark.mended("cases/data/cp1252_controls")
@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (
            "don\x92t say \x93mill\x94 here\x85we wait \x96 5 \x80",
            "don\u2019t say \u201cmill\u201d here\u2026we wait \u2013 5 \u20ac",
        ),
        ("one.\x0cChapter", "one.\nChapter"),
        ("wait\x85what\x0bnow", "wait\nwhat\nnow"),
        ("a\u2028b\u2029c\x1cd\x1ee\x1ff", "a\nb\nc\nd\ne\nf"),
        ("one\r\ntwo\rthree\n\r\n", "one\ntwo\nthree\n\n"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufeffa\x00b\x07c\x9d\td\x7f", "abc\td"),
        ("ﬁne “quotes” … 🙂 \u200d x\u00a0y ", "ﬁne “quotes” … 🙂 \u200d x\u00a0y "),  # NFC alone: nothing is folded
        ("\x00e\x00\u0301", "\u00e9"),
        ("", ""),
    ],
)
def test_what_normalizing_changes_and_what_it_leaves(text, normal):
    assert normalize(text) == normal


def test_normalizing_twice_changes_nothing():
    rng = random.Random(0)
    letters = [
        chr(n) for n in [*range(0x180), *range(0x300, 0x340), 0x1100, 0x1161, 0x11A8, 0x212B, 0xFEFF, 0x2028, 0x2029]
    ]
    changed = 0
    for _ in range(20_000):
        text = "".join(rng.choices(letters, k=8))
        once = normalize(text)
        changed += once != text
        assert normalize(once) == once and unicodedata.is_normalized("NFC", once)
        assert not any(unicodedata.category(c) == "Cc" and c not in "\t\n" for c in once)
    assert changed > 10_000


@pytest.mark.parametrize("name", ["tinystories", "fineweb_edu", "sft", "personal"])
def test_builtin_text_is_normal_already(name):
    assert all(normalize(d.text) == d.text for d in builtin_documents(SOURCES[name], 3, 50_000))
