"""What is decided about all of the text: which source is too broken or too small, what is held out, where to stop."""

import json

import numpy as np
import pytest
from sample_texts import config_of, conversation, documents, in_order, prepare_run, prose, write_lines

from hamner.config.errors import BadInput
from hamner.data.preparation import pipeline
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer


def test_more_than_one_malformed_record_in_a_hundred_stops(folder, tmp_path):
    """60 good ones and the 40 there are, with one broken line are 1 in 101; with two it is too much."""
    write_lines(folder / "sft" / "more.jsonl", [*({"messages": conversation(n)} for n in range(100, 160)), "{"])
    corpus, _ = prepare_run(folder, tmp_path / "out")
    assert corpus.manifest["sources"]["sft"]["skipped"] == [
        "more.jsonl:61: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)"
    ]
    write_lines(folder / "sft" / "worse.jsonl", ["[]"])
    with pytest.raises(BadInput) as caught:
        prepare_run(folder, tmp_path / "again")
    (problem,) = caught.value.problems
    assert "source 'sft': 2 of 102 records" in problem and "1%" in problem
    assert "more.jsonl:61: " in problem and "worse.jsonl:1: no 'messages'" in problem


def test_a_source_of_four_documents_is_too_small(folder, tmp_path):
    for path in sorted((folder / "personal").iterdir())[4:]:
        path.unlink()
    with pytest.raises(BadInput, match=r"source 'personal' has 4 documents in .*; at least 5 are needed"):
        prepare_run(folder, tmp_path / "out")


def test_text_of_too_little_variety_for_the_vocabulary_is_bad_input(folder, tmp_path):
    with pytest.raises(BadInput, match=r"variety for [0-9]+ tokenizer entries, not 40000"):
        prepare_run(folder, tmp_path / "out", "vocab_size=40000")


def test_one_of_two_videos_is_held_out_and_that_is_said(folder, tmp_path):
    (folder / "personal").rename(tmp_path / "aside")
    write_lines(
        folder / "personal" / "a.jsonl", [{"text": prose("voice", n), "video": f"video {n % 2}"} for n in range(40)]
    )
    lines = []
    corpus, tokenizer = prepare_run(folder, tmp_path / "out", say=lines.append)
    assert len(lines) == 1 and lines[0].startswith("personal: 50% of the documents are held out")
    heldout = documents(tokenizer, corpus.heldout("personal"))
    assert len(heldout) == 20 and len({int(text.split(":")[0].split()[-1]) % 2 for text in heldout}) == 1


def test_a_held_out_conversation_goes_without_its_system_prompt(folder, tmp_path):
    """Thousands share it, so it stands in training too."""
    counts = {}
    for duplicates in ("drop", "keep"):
        corpus, tokenizer = prepare_run(folder, tmp_path / duplicates, f"duplicates={duplicates}")
        prompt = tokenizer.encode("be kind")
        for side, tokens in (("train", corpus.train("sft")), ("heldout", corpus.heldout("sft"))):
            ids = np.asarray(tokens).tolist()
            counts[duplicates, side] = sum(ids[i : i + len(prompt)] == prompt for i in range(len(ids)))
    heldout = len(corpus.heldout_ends("sft"))
    assert heldout > 0 and counts == {
        ("drop", "train"): 40 - heldout,
        ("drop", "heldout"): 0,
        ("keep", "train"): 40 - heldout,
        ("keep", "heldout"): heldout,
    }


class CountingTokenizer(Tokenizer):
    """Notes how many characters it is given at a time."""

    def __init__(self, inner):
        super().__init__(inner)
        self.sizes = []

    def encode_documents(self, documents):
        self.sizes.append(sum(map(len, documents)))
        return super().encode_documents(documents)


def test_the_length_of_a_token_is_learnt_from_a_few_megabytes(tmp_path):
    """Of 120 books of 60,000 characters, no thousand documents are read."""
    words = prose("book", 0, 13_000)
    write_lines(tmp_path / "data" / "fineweb_edu" / "a.jsonl", [{"text": f"({n}) {words}"} for n in range(120)])
    config = config_of(tmp_path / "data", "duplicates=keep")
    tokenizer = CountingTokenizer.from_json(Tokenizer.train(["a few words"], 301).to_json())
    plan = make_plan(
        config,
        Store(tmp_path / "out"),
        ["fineweb_edu"],
        tokenizer,
        seq_len=16,
        tokens=10**6,
        runner=in_order,
        say=print,
    )
    pipeline.run(plan, tokenizer, in_order, print)
    books = sum(path.stat().st_size for path in (tmp_path / "data" / "fineweb_edu").iterdir())
    assert max(tokenizer.sizes) < 2.2e6 and sum(tokenizer.sizes) < 6.3e6 < books
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["fineweb_edu"]
    assert facts["dropped"]["beyond_tokens"] > 0
