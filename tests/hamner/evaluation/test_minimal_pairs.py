"""Minimal pairs: full-sentence log-probabilities are those of transformers; files are read or refused by line."""

import json

import pytest
import torch
from hugging_face import hugging_face
from model_kinds import small_model

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friendly_pairs import preference
from hamner.evaluation.likelihood import choice_after, option_nats
from hamner.evaluation.minimal_pairs import mark_minimal_pairs, minimal_pair_figures, read_pairs
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")
SETS = {
    "agreement": [("The dogs bark.", "The dogs barks."), ("A girl sings well.", "A girl sing well.")],
    "order": [
        ("She gave him a red book.", "She gave him a book red."),
        ("I have never been here.", "I have been never."),
    ],
}


@pytest.fixture
def file(tmp_path):
    lines = [
        json.dumps({"sentence_good": good, "sentence_bad": bad, "UID": uid, "field": "syntax"})
        for uid, of_set in SETS.items()
        for good, bad in of_set
    ]
    path = tmp_path / "blimp.jsonl"
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([f"{good} {bad}" for of_set in SETS.values() for good, bad in of_set], 300)


def _by_transformers(theirs, ids):
    """Nats of ids after END_OF_TEXT, from transformers' own loss."""
    tokens = torch.tensor([[END_OF_TEXT, *ids]])
    with torch.no_grad():
        return theirs(input_ids=tokens, labels=tokens).loss.item() * len(ids)


def test_sentences_cost_what_they_cost_in_transformers(file, tokenizer):
    from transformers import LlamaConfig, LlamaForCausalLM

    ours = build(small_model(vocab_size=tokenizer.vocab_size), seed=3)
    theirs = hugging_face(ours, LlamaConfig, LlamaForCausalLM)
    pairs = read_pairs(file)
    sentences = [tokenizer.encode(text) for pair in pairs for text in (pair.good, pair.bad)]
    expected = [_by_transformers(theirs, ids) for ids in sentences]
    together = option_nats(ours, [choice_after([END_OF_TEXT], sentences)], CPU)[0]
    assert together == pytest.approx(expected, rel=1e-5)
    marks = mark_minimal_pairs(ours, tokenizer, pairs, CPU)
    assert marks == [preference(good, bad) for good, bad in zip(expected[::2], expected[1::2], strict=True)]


def test_a_file_has_a_row_and_each_set_in_it_too(file):
    pairs = read_pairs(file)
    whole, *sets = minimal_pair_figures("blimp", pairs, [1.0, 0.0, 1.0, None])
    assert (whole.name, whole.value, whole.count, whole.guess) == ("blimp", 2 / 3, 3, 0.5)
    assert [(figure.name, figure.value) for figure in sets] == [("blimp: agreement", 0.5), ("blimp: order", 1.0)]
    assert list(minimal_pair_figures("blimp", pairs, [None] * 4)) == []


def test_a_pair_longer_than_the_context_has_no_mark(tokenizer, file):
    pairs = read_pairs(file)
    length = 1 + max(len(tokenizer.encode(text)) for pair in pairs[:2] for text in (pair.good, pair.bad))
    marks = mark_minimal_pairs(
        build(small_model(vocab_size=tokenizer.vocab_size, max_seq_len=length), seed=0), tokenizer, pairs, CPU
    )
    assert None not in marks[:2] and None in marks[2:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no pair"),
        ("{", ":1 is not a minimal pair"),
        ("[1]", ":1 is not a minimal pair"),
        ('{"sentence_good": "a", "sentence_bad": "b"}\n{"sentence_good": "a"}', ":2 is not a minimal pair"),
        ('{"sentence_good": "a", "sentence_bad": " "}', ":1 is not a minimal pair"),
        ('{"sentence_good": 1, "sentence_bad": 2}', ":1 is not a minimal pair"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line(tmp_path, text, words):
    path = tmp_path / "pairs.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=words):
        read_pairs(path)


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    (tmp_path / "pairs.jsonl").write_bytes(b'{"sentence_good": "\xff"}')
    with pytest.raises(BadInput, match="cannot be read"):
        read_pairs(tmp_path / "pairs.jsonl")
