"""The judge of short answers: no prefix passes, no end is no answer, and a constant answer scores the baseline."""

from collections import Counter

import pytest
import torch

from hamner.config.schema import Compute, ModelConfig
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.concept_rows import ConceptRows
from hamner.data.concepts import test_items as items_of_cell
from hamner.data.concepts import training_items
from hamner.data.conversation_tokens import labels
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.short_answers import baselines, greedy_replies, is_right, mark_items, ranked_marks, written_marks
from hamner.evaluation.statistics import accuracy, seed_interval, wilson_interval
from hamner.model.loss import head_loss
from hamner.model.transformer import build
from tournament.concept_arms import arms_of

CPU = Compute(device="cpu", precision="fp32")
CELLS = arms_of(("all",))[0].cells


def test_the_whole_answer_counts_and_nothing_beside_it():
    assert is_right(" Seven", "seven") and is_right("good  to see\nyou", "Good to see you")
    wrong = ["seventeen", "seven of them", "the seven", "sev", "", None, "7"]
    assert not any(is_right(reply, "seven") for reply in wrong)
    assert not is_right("123", "12") and not is_right("1 2", "12")


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_that_always_gives_the_commonest_answer_scores_the_baseline(cell):
    items = items_of_cell(cell)
    (commonest, _), *_ = Counter(item.answer for item in items).most_common(1)
    if items[0].candidates:
        liked = [[float(candidate != commonest) for candidate in item.candidates] for item in items]
        marks = ranked_marks(liked, items)
        assert accuracy(ranked_marks([[1.0] * len(item.candidates) for item in items], items)) == 0  # no opinion
    else:
        marks = written_marks([commonest] * len(items), items)
    guess = baselines(items)
    assert accuracy(marks) == pytest.approx(guess.majority) and 0 < guess.chance <= guess.majority + 1e-9 < 0.75


@pytest.mark.parametrize("cell", CELLS)
def test_a_judge_that_accepts_prefixes_is_caught(cell):
    items = [item for item in items_of_cell(cell) if not item.candidates]
    assert "1" not in written_marks([f"{item.answer} and more" for item in items], items)
    assert "1" not in written_marks([f"{item.answer}0" for item in items], items)
    assert "1" not in written_marks([item.answer[:-1] or None for item in items], items)


def test_intervals():
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert wilson_interval(0.5, 400) == pytest.approx((0.4512, 0.5488), abs=1e-3)  # 5 points
    assert seed_interval([0.4]) is None and seed_interval([0.3, 0.3, 0.3]) == pytest.approx((0.3, 0.3))
    low, high = seed_interval([0.4, 0.5, 0.6])
    assert (low, high) == pytest.approx((0.5 - 4.3027 * 0.1 / 3**0.5, 0.5 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)


@pytest.fixture(scope="module")
def taught():
    """A tokenizer and a tiny model that has learnt 12 facts and their ends, and not the others."""
    items = training_items("facts30")
    tokenizer = Tokenizer.train([item.text for item in items], 400)
    size = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 96}
    model = ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=96, document_mask=True, **size)
    hamner, rows = build(model, 0), ConceptRows(tokenizer, items[:24], 64, "few", 0, is_masked=True)
    adam = torch.optim.AdamW(hamner.parameters(), lr=5e-3)
    for step in range(60):
        ids, weight = labels(torch.stack([torch.from_numpy(rows.row(step * 8 + i)).long() for i in range(8)]))
        hidden, _ = hamner.hidden_states(ids)
        adam.zero_grad()
        head_loss(hidden, hamner.embedding.weight, ids, weight).backward()
        adam.step()
    return tokenizer, hamner, items


def test_a_model_is_marked_right_on_what_it_learnt_alone(taught):
    tokenizer, hamner, items = taught
    marks = mark_items(hamner, tokenizer, items, CPU)
    assert len(marks) == len(items) == 60 and accuracy(marks[:24]) >= 0.9 and accuracy(marks[24:]) <= 0.5
    chat = items_of_cell("chat/heldout")
    assert len(mark_items(hamner, tokenizer, chat, CPU)) == len(chat)


def test_greedy_replies_are_those_of_one_prompt_at_a_time_without_a_cache(taught):
    tokenizer, hamner, items = taught
    prompts = [tokenizer.encode(item.prompt) for item in (*items[:6], *items[40:46])]
    replies = greedy_replies(hamner, prompts, CPU, 6)
    for prompt, reply in zip(prompts, replies, strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 6 and END_OF_TEXT not in ids[len(prompt) :]:
            ids.append(int(hamner.forward(torch.tensor([ids])).logits[0, -1].argmax()))
        written = ids[len(prompt) :]
        assert reply == (written[:-1] if written[-1] == END_OF_TEXT else None)
    assert greedy_replies(hamner, prompts[:2], CPU, 1) == [None, None]  # no room for an end
