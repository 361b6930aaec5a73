"""docs/configuration.md: every key, generated from the schema's comments, and not stale."""

import re

import pytest

from hamner.config.documentation import COMMAND, PAGE, TABLES, configuration_page, meanings, sections, type_name
from hamner.config.load import leaves
from hamner.config.schema import Config, Optimizer, Strict, Tournament

SECTIONS = [section for _, section in sections(Config)] + [kind for _, kind, _ in TABLES]
NUMBERS = ("integer", "number", "list of integer", "list of number")


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), f"{PAGE} is stale; run `{COMMAND}`"


def test_every_key_is_on_the_page():
    page = configuration_page()
    for name in leaves(Config):
        section, _, key = name.rpartition(".")
        assert f"\n| `{key}` |" in page.split(f"## {section or 'Top level'}\n")[1].split("\n## ")[0], name


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_has_a_short_meaning_and_every_number_a_unit(section):
    for key, meaning in meanings(section).items():
        kind = type_name(section.model_fields[key])
        is_number = re.sub(r" [><≥≤].*", "", kind) in NUMBERS
        assert bool(meaning.unit) == (is_number or (kind == "table" and key == "mix")), (key, meaning)
        assert len(meaning.text) + len(meaning.unit) <= 90, key


def test_a_key_without_a_comment_is_named():
    class Section(Strict):
        """A section."""

        first: int = 1  # [steps] the comment of the first
        second: int = 2

    with pytest.raises(ValueError, match="Section needs a comment with unit and meaning for second"):
        meanings(Section)


def test_a_comment_may_stand_above_its_key():
    assert meanings(Tournament)["budget"].text.startswith("what is equal")
    assert meanings(Tournament)["keep"] == ("contestants", "survivors of each round")
    assert type_name(Optimizer.model_fields["beta1"]) == "number ≥ 0, < 1"
