"""The choice among candidates: what they are, by likelihood, on the same items every time, and its chance."""

import random

import pytest
import torch

from hamner.config.schema import Compute, ModelConfig
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.synthetic_tasks import LEVELS, TASKS, Example, generate
from hamner.evaluation.candidates import MOST, candidates, choice_chance
from hamner.evaluation.chance import chance
from hamner.evaluation.choice import choice_items, mark_skills
from hamner.evaluation.skills import exact_match
from hamner.evaluation.statistics import above_chance, accuracy, binomial_error, binomial_tail
from hamner.model.loss import token_losses
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def choices(tokenizer, few):
    return choice_items(tokenizer, few, chance(few))


def _model(tokenizer, **more):
    shape = {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 96}
    return build(ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=256, **shape, **more), seed=0)


def _one_by_one(hamner, tokenizer, example):
    """The likeliest candidate, each read whole and alone."""
    nats = {}
    for answer in candidates(example):
        tokens = torch.tensor([[END_OF_TEXT, *tokenizer.encode(example.prompt + answer), END_OF_TEXT]])
        with torch.no_grad():
            nats[answer] = token_losses(hamner.eval()(tokens).logits, tokens).double().sum().item()  # prompt: alike
    return min(nats, key=lambda answer: nats[answer])


@pytest.mark.parametrize("more", [{}, {"attention": "differential", "document_mask": True}])
def test_a_choice_is_the_likeliest_candidate_read_whole(tokenizer, few, choices, half_taught, more):
    hamner = _model(tokenizer, **more) if more else half_taught
    _, marks = mark_skills(hamner, choices, CPU, batch_size=16)
    expected = [_one_by_one(hamner, tokenizer, example) == example.answer for example in few.examples]
    differing = sum(a != "01"[b] for a, b in zip("".join(marks[name] for name in few.cells), expected, strict=True))
    assert 0.2 < sum(expected) / len(expected) < 0.9 and differing == 0


def test_exact_match_of_the_same_pass_is_that_of_whole_rows(few, choices, half_taught):
    exact, _ = mark_skills(half_taught, choices, CPU, batch_size=16)
    assert exact == exact_match(half_taught, few, CPU, batch_size=16)
    assert 0.15 < sum(map(accuracy, exact.values())) / len(exact) < 0.8


def test_neither_the_batch_nor_random_state_changes_a_mark(tokenizer, few, choices, half_taught):
    marks = mark_skills(half_taught, choices, CPU, batch_size=5)
    state = torch.get_rng_state(), random.getstate()
    again = choice_items(tokenizer, few, chance(few))
    assert again.choices == choices.choices and again.chance == choices.chance
    assert mark_skills(half_taught, again, CPU, batch_size=64) == marks
    assert torch.equal(torch.get_rng_state(), state[0]) and random.getstate() == state[1]


def test_workers_share_the_items_and_agree(few, choices, half_taught, monkeypatch):
    alone, parts = mark_skills(half_taught, choices, CPU, batch_size=16), []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda hits: parts.append(hits.clone()))
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        mark_skills(half_taught, choices, CPU, batch_size=16)
    assert (parts[0] * parts[1]).sum() == 0 and min(part.sum() for part in parts) > 0
    together = ["".join(map(str, marks)) for marks in (parts[0] + parts[1]).tolist()]
    assert together == ["".join(marks[name] for name in few.cells) for marks in alone]


def test_candidates_are_a_few_different_answers_with_the_right_one_first():
    rng = random.Random(0)
    for task in TASKS:
        for level in LEVELS:
            for _ in range(100):
                example = generate(rng, level, task)
                proposed = candidates(example)
                assert proposed[0] == example.answer and len(set(proposed)) == len(proposed) <= MOST
                equal = task == "sorting" and len(set(example.answer.split())) == 1
                assert len(proposed) >= 2 or equal or task == "listops", example
                assert proposed == candidates(example)


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("brackets|Brackets: ( ) Valid: ", "yes", {"yes", "no"}),
        ("comparison|Which is bigger: 70 or 46? ", "70", {"70", "46"}),
        ("listops|[MAX 3 [MIN 7 2] 5] = ", "5", {"5", "2", "10"}),
        ("copy_repeat|Repeat 3 times: kettle -> ", "kettle kettle kettle", {"kettle kettle kettle", "kettle kettle"}),
        ("counting|Count the items: kite, oven. Answer: ", "2", {"2", "3", "4"}),
        ("logic|If A then B. A. Therefore ", "B.", {"A.", "B."}),
        (
            "context_recall|Nora plays chess. Emil is shy. What is Emil like? ",
            "Emil is shy.",
            {"Nora plays chess.", "Emil is shy."},
        ),
    ],
)
def test_candidates_are_what_the_item_shows_or_its_form_allows(prompt, answer, expected):
    task, text = prompt.split("|")
    assert set(candidates(Example(task, 1, text, answer))) == expected


def test_chance_of_a_choice_is_what_a_guesser_scores():
    """The frequency of a result tells nothing: the shortest, the last by name and a random one are all at chance.

    Of orders the first by name begins with a small number, which is a part of the skill.
    """
    rng = random.Random(1)
    for cell, level in (("arithmetic", 1), ("arithmetic", 3), ("copy_repeat", 2), ("listops", 1)):
        examples = [generate(rng, level, cell) for _ in range(1500)]
        baseline = choice_chance(examples, 0.0)
        proposed = [candidates(example) for example in examples]
        for guess in (lambda of: min(of, key=lambda a: (len(a), a)), max, rng.choice):
            share = sum(guess(sorted(of)) == of[0] for of in proposed) / len(proposed)
            assert share < baseline + 0.05, (cell, guess)
    assert choice_chance(examples, 0.45) == 0.45  # a guesser who knows the commonest answer


def test_above_chance_is_more_than_guessing_explains_in_any_cell():
    cells = [f"{n}" for n in range(45)]
    few_items = dict.fromkeys(cells, "1" * 5 + "0" * 7)  # 5 of 12 at chance 0.25: one guesser in six
    assert binomial_tail(5, 12, 0.25) == pytest.approx(0.1576, abs=1e-4)
    assert above_chance(few_items, dict.fromkeys(cells, 0.25)) == []
    many = few_items | {"7": "1" * 25 + "0" * 25}
    assert above_chance(many, dict.fromkeys(cells, 0.25)) == ["7"]
    rng, marked = random.Random(2), 0
    for _ in range(200):
        guesser = {cell: "".join("01"[rng.random() < 0.25] for _ in range(50)) for cell in cells}
        marked += bool(above_chance(guesser, dict.fromkeys(cells, 0.25)))
    assert marked <= 15  # 5 % of 200, and three errors
    assert binomial_error("1" * 25 + "0" * 75) == pytest.approx(0.0433, abs=1e-4)
