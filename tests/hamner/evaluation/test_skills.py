"""Exact match in one pass is what greedy decoding writes; the items are held out."""

import dataclasses
import re
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.synthetic_rows import SyntheticRows
from hamner.data.synthetic_tasks import LEVELS, TASKS
from hamner.evaluation.skills import CELLS, exact_match, skill_items
from hamner.evaluation.statistics import accuracy
from hamner.inference.generate import Sampling, stream
from hamner.model.loss import next_token_hits
from hamner.model.transformer import Output

CPU = Compute(device="cpu", precision="fp32")
FRACTION = 0.05


def _row(items, row):
    """An item alone, without padding: its tokens and where its answer begins."""
    answer = items.answer[row].nonzero().flatten()
    return items.tokens[row, : answer[-1] + 1], int(answer[0])


def _one_by_one(items, hits):
    """The characters of exact_match in the order of the rows."""
    return "".join(hits[name] for name in items.cells)


def test_exact_match_is_greedy_decoding(half_taught, few):
    hits = _one_by_one(few, exact_match(half_taught, few, CPU, batch_size=16))
    greedy = Sampling(temperature=0, repetition_penalty=1)
    decoded = ""
    for row in range(len(hits)):
        tokens, begin = _row(few, row)
        answer = tokens[begin:-1].tolist()  # the end token stops the stream and is not yielded
        written = stream(half_taught, tokens[:begin].tolist(), len(answer) + 4, greedy, torch.Generator())
        decoded += str(int(list(written) == answer))
    assert hits == decoded
    assert 0.1 < accuracy(hits) < 0.9


def test_batches_and_padding_change_nothing(half_taught, few):
    half_taught.train()
    batched = exact_match(half_taught, few, CPU, batch_size=50)
    assert half_taught.training
    assert batched == exact_match(half_taught, few, CPU, batch_size=7)
    alone = ""
    for row in range(len(few.tokens)):
        tokens, begin = _row(few, row)
        with torch.no_grad():
            alone += str(int(next_token_hits(half_taught(tokens[None]).logits, tokens[None])[0, begin - 1 :].all()))
    assert _one_by_one(few, batched) == alone


@pytest.mark.mended("evaluation/skills")
@pytest.mark.parametrize("is_training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_found_in_even_after_an_error(half_taught, few, monkeypatch, is_training):
    half_taught.train(is_training)
    exact_match(half_taught, few, CPU, batch_size=50)
    assert half_taught.training is is_training
    modes = []

    def fail(tokens):
        modes.append(half_taught.training)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(half_taught, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        exact_match(half_taught, few, CPU, batch_size=50)
    assert modes == [False] and half_taught.training is is_training


def test_workers_share_the_items_and_agree(half_taught, few, monkeypatch):
    alone, parts = exact_match(half_taught, few, CPU, batch_size=16), []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda hits: parts.append(hits.clone()))
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        exact_match(half_taught, few, CPU, batch_size=16)
    assert (parts[0] * parts[1]).sum() == 0 and min(part.sum() for part in parts) > 0
    assert "".join(map(str, (parts[0] + parts[1]).tolist())) == _one_by_one(few, alone)


class FakeModel:
    """Predicts the given next tokens, whatever it reads."""

    def __init__(self, next_tokens, vocab_size):
        self.training, self._next_tokens, self._vocab_size = True, next_tokens, vocab_size

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def forward(self, tokens):
        logits = F.one_hot(self._next_tokens[: len(tokens), : tokens.shape[1]], self._vocab_size).float()
        return Output(logits, torch.zeros(()))


def test_an_answer_that_goes_on_or_stops_early_is_wrong(tokenizer, items):
    row = next(r for r, e in enumerate(items.examples) if e.task == "arithmetic" and re.fullmatch(r"\d\d", e.answer))
    only = dataclasses.replace(
        items, **{name: getattr(items, name)[row : row + 1] for name in ("tokens", "answer", "cell", "examples")}
    )
    name = only.cells[int(only.cell)]
    truth = only.tokens.roll(-1, dims=1)
    last = only.answer[0].nonzero().flatten()[-1]  # the end token, predicted one place before
    (digit,) = tokenizer.encode("3")

    def hits(change, place):
        next_tokens = truth.clone()
        next_tokens[0, place] = change
        return exact_match(FakeModel(next_tokens, tokenizer.vocab_size), only, CPU, batch_size=4)[name]

    assert hits(END_OF_TEXT, last - 1) == "1"
    assert hits(digit, last - 1) == "0"  # 12 -> 123
    assert hits(END_OF_TEXT, last - 2) == "0"  # 12 -> 1
    assert hits(digit, 1) == "1"  # what it would make of the prompt does not matter
    assert hits(digit, last) == "1"  # nor what it would write after the end


def test_items_are_held_out_distinct_and_the_same_for_all(tokenizer, items):
    assert items.cells == CELLS and len(CELLS) == 45 and CELLS[0] == "arithmetic 1" and CELLS[-1] == "comparison 5"
    again = skill_items(tokenizer, seed=1, heldout_fraction=FRACTION, count=64)
    assert again.examples == items.examples and torch.equal(again.tokens, items.tokens)
    other = skill_items(tokenizer, seed=2, heldout_fraction=FRACTION, count=64)
    assert other.examples != items.examples
    assert all(split.unit_hash(e.text) < FRACTION for e in items.examples)
    counts = torch.bincount(items.cell, minlength=45).tolist()
    every = {f"Calculate: {a} {s} {b} = {eval(f'{a}{s}{b}')}" for a in range(1, 11) for b in range(1, 11) for s in "+-"}
    assert counts[0] == sum(split.unit_hash(text) < FRACTION for text in every) < 20  # all that there are
    assert counts[2:] == [64] * 43
    for index, (task, level) in enumerate((t, n) for t in TASKS for n in LEVELS):
        of_cell = items.of(index)
        assert {(e.task, e.level) for e in of_cell} == {(task, level)}
        assert len({e.text for e in of_cell}) == counts[index]


def test_no_item_is_in_the_training_rows(tokenizer, items):
    rows = SyntheticRows(tokenizer, 4000, 1, FRACTION)
    trained = {line for index in range(4) for line in _documents(tokenizer, rows.row(index, (0.2,) * 5).tolist())}
    assert len(trained) > 300 and not trained & {e.text for e in items.examples}
    drawn = SyntheticRows(tokenizer, 4000, 1, FRACTION, held_out=True).row(0, (1.0,)).tolist()
    assert {*_documents(tokenizer, drawn)} & {e.text for e in items.examples}  # the comparison can find something


def _documents(tokenizer, ids):
    ends = [-1, *(place for place, token in enumerate(ids) if token == END_OF_TEXT)]
    return [tokenizer.decode(ids[a + 1 : b]) for a, b in pairwise(ends)]


def test_answer_tokens_spell_the_answer_and_the_end(tokenizer, items):
    for row, example in enumerate(items.examples):
        tokens, begin = _row(items, row)
        assert tokens[0] == tokens[-1] == END_OF_TEXT and (items.tokens[row, len(tokens) :] == END_OF_TEXT).all()
        assert tokens[1:-1].tolist() == tokenizer.encode(example.text)  # as it is trained on
        assert tokenizer.decode(tokens[begin:].tolist()).removeprefix(" ") == example.answer
        assert tokenizer.decode(tokens[:begin].tolist()) == example.prompt.rstrip()
        assert items.answer[row].sum() == len(tokens) - begin


def test_a_cell_without_an_item_is_refused(tokenizer):
    with pytest.raises(BadInput, match=r"no item is held out of .*arithmetic 1"):
        skill_items(tokenizer, seed=1, heldout_fraction=2e-3, count=1)
