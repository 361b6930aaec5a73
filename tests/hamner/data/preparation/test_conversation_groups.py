"""Conversations that are pieces of one talk are on one side of the split, however they were cut."""

import random

import numpy as np
import pytest
from sample_texts import documents, prepare_run, prose, write_lines

from hamner.data.preparation.deduplicate import WORD
from hamner.data.preparation.wholes import narrowed, wholes
from hamner.data.sources import Document

PASSAGE = 13  # words
NAMES = ("sft",)


def made_words(rng, count):
    return " ".join("".join(rng.choice("bdklmnprst") + rng.choice("aeiou") for _ in range(3)) for _ in range(count))


def talk(number, exchanges=4, opening=""):
    """The messages of one talk; `opening`: the first message and its answer, which all talks may share."""
    rng = random.Random(number)
    messages = [
        {"role": role, "content": made_words(rng, length)}
        for _ in range(exchanges)
        for role, length in (("user", 25), ("assistant", 50))
    ]
    for message, content in zip(messages, opening.split("|") if opening else [], strict=False):
        message["content"] = content
    return messages


def unrolled(messages):
    """A talk as it is shipped turn by turn: exchange 1; 1 and 2; 1 to 3; ..."""
    return [messages[:end] for end in range(2, len(messages) + 1, 2)]


def shares_of_passages(folder, out, *words, say=lambda line: None):
    """Share of the held-out passages that stand in training text, and the manifest's facts."""
    corpus, tokenizer = prepare_run(folder, out, *words, names=NAMES, say=say)

    def passages(tokens):
        of_documents = (WORD.findall(text) for text in documents(tokenizer, np.asarray(tokens)))
        return {tuple(w[i : i + PASSAGE]) for w in of_documents for i in range(len(w) - PASSAGE + 1)}

    train, heldout = passages(corpus.train("sft")), passages(corpus.heldout("sft"))
    assert len(heldout) > 100
    return len(heldout & train) / len(heldout), corpus.manifest["sources"]["sft"]


@pytest.mark.mended("cases/data/sft_unrolled")
@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_a_talk_shipped_turn_by_turn_is_on_one_side(tmp_path, duplicates):
    """h2o-llmstudio #422, DeepSpeedExamples #390: 70 % of the held-out passages stood in training."""
    lines = [{"messages": messages} for number in range(150) for messages in unrolled(talk(number))]
    random.Random(0).shuffle(lines)
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", lines)
    share, facts = shares_of_passages(tmp_path / "data", tmp_path / "out", f"duplicates={duplicates}")
    assert share == 0
    held_out = facts["heldout_documents"] / (facts["heldout_documents"] + facts["documents"])
    assert 0.02 < held_out <= 0.2 and facts["one_whole"] is False


def _recast(messages):
    """The same record with another system prompt, and its first message in other letters and spaces."""
    rng = random.Random(str(messages))
    first = rng.choice([str.upper, str.title, lambda text: "  " + text.replace(" ", " \n") + "!"])(
        messages[0]["content"]
    )
    system = {"role": "system", "content": f"be kind, {made_words(rng, 3)}"}
    return [system, {"role": "user", "content": first}, *messages[1:]]


@pytest.mark.mended("unrolled under many system prompts and spellings")
def test_system_prompts_and_spelling_do_not_part_a_talk(tmp_path):
    lines = [{"messages": _recast(messages)} for number in range(100) for messages in unrolled(talk(number))]
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", lines)
    assert shares_of_passages(tmp_path / "data", tmp_path / "out")[0] == 0


@pytest.mark.mended("unrolled talks that all begin with hello")
@pytest.mark.parametrize("opening", ["Hello!|Hello! How can I help you?", "[Start a new chat]"])
def test_talks_that_all_begin_with_the_same_words_are_held_out_by_what_follows(tmp_path, opening):
    """Else one group would be all of the source, nothing whole could be held out, and talks would be cut in two."""
    lines, said = [m for number in range(150) for m in unrolled(talk(number, opening=opening))], []
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", [{"messages": messages} for messages in lines])
    share, facts = shares_of_passages(tmp_path / "data", tmp_path / "out", say=said.append)
    assert share == 0 and 5 <= facts["heldout_documents"] <= facts["documents"] / 4
    assert len(said) == 1 and said[0].startswith("sft: more than a fifth of the conversations begin with the same")


def test_records_of_one_talk_alone_are_held_out_one_by_one_and_that_is_said(tmp_path):
    lines, said = [{"messages": m} for m in unrolled(talk(0, exchanges=30))], []
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", lines)
    corpus, _ = prepare_run(
        tmp_path / "data", tmp_path / "out", "duplicates=keep", "vocab_size=320", names=NAMES, say=said.append
    )
    assert corpus.manifest["sources"]["sft"]["one_whole"] is True
    assert len(said) == 1 and said[0].startswith("sft: all conversations begin with the same exchange")


def test_what_a_document_is_a_piece_of():
    turns = (("user", "Hi, THERE "), ("assistant", "yes " * 20), ("user", "and then?"))
    assert wholes(Document("x", turns)) == ("hi there", "yes " * 19 + "yes")
    assert wholes(Document("x", (("system", "s"), ("assistant", "hey"), *turns))) == wholes(Document("x", turns))
    assert wholes(Document("x", (("user", "?!"), ("assistant", "a"))))[0] == "?!"
    assert wholes(Document(prose("x", 1))) == ("", "")
    assert wholes(Document("x", cut_from="video")) == ("video", "video")


def test_a_video_is_never_narrowed_and_a_talk_with_few_pieces_is_not_either():
    kept = np.ones(12, dtype=bool)
    draws = np.array([0.5] * 6 + [0.1, 0.2, 0.3, 0.4, 0.6, 0.7])
    assert (narrowed(draws, draws, kept) == draws).all()
    narrow = np.arange(12) / 12
    assert (narrowed(draws, narrow, kept)[:6] == narrow[:6]).all()
    narrow[:6] = [0.01, 0.02, 0.02, 0.02, 0.02, 0.02]
    assert (narrowed(draws, narrow, kept) == draws).all()
    assert (narrowed(draws, np.arange(12) / 12, ~kept) == draws).all()
