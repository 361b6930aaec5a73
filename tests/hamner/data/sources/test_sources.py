"""The names of sources: one order for all of them, and a folder of one's own for any that is not known."""

from sample_texts import conversation

from hamner.config.schema import SOURCE_NAMES
from hamner.data.sources import SOURCES, find_source, in_order


def test_the_config_knows_the_sources_in_their_order():
    assert tuple(SOURCES) == SOURCE_NAMES and all(name == source.name for name, source in SOURCES.items())


def test_known_names_come_first_in_their_order_then_the_others_by_alphabet():
    assert in_order(["wiki", "sft", "books", "tinystories", "wiki"]) == ("tinystories", "sft", "books", "wiki")


def test_a_source_of_ones_own_holds_text_and_conversations():
    wiki = find_source("wiki")
    assert wiki.name == "wiki" and wiki.is_text and wiki.builtin is wiki.hub is None
    assert wiki.parse({"text": "<|user|> is only text here"}).messages == ()
    assert [role for role, _ in wiki.parse({"messages": conversation(1)}).messages] == ["system", "user", "assistant"]
    assert [name for name in SOURCES if not find_source(name).is_text] == ["synthetic"]
