"""The cleaning rule, case by case, and that it is done once and for all."""

import random
import unicodedata

import pytest

from hamner.data.sources import SOURCES
from hamner.data.sources.local_files import builtin_documents, normalise


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one\r\ntwo\rthree\n\r\n", "one\ntwo\nthree\n\n"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufeffa\x00b\x07c\x9f\td\x7f", "abc\td"),
        ("ﬁne “quotes” … 🙂 \u200d x\u00a0y ", "ﬁne “quotes” … 🙂 \u200d x\u00a0y "),  # NFC alone: nothing is folded
        ("\x00e\x00\u0301", "\u00e9"),
        ("", ""),
    ],
)
def test_what_the_rule_changes_and_what_it_leaves(text, wanted):
    assert normalise(text) == wanted


def test_applying_it_twice_changes_nothing():
    rng = random.Random(0)
    letters = [chr(n) for n in [*range(0x180), *range(0x300, 0x340), 0x1100, 0x1161, 0x11A8, 0x212B, 0xFEFF, 0x2028]]
    changed = 0
    for _ in range(20_000):
        text = "".join(rng.choices(letters, k=8))
        once = normalise(text)
        changed += once != text
        assert normalise(once) == once and unicodedata.is_normalized("NFC", once)
        assert not any(unicodedata.category(c) == "Cc" and c not in "\t\n" for c in once)
    assert changed > 10_000


@pytest.mark.parametrize("name", ["tinystories", "fineweb_edu", "sft", "personal"])
def test_builtin_text_is_normal_already(name):
    assert all(normalise(d.text) == d.text for d in builtin_documents(SOURCES[name], 3, 50_000))
