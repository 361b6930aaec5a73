"""One run without Ray: budgets, cooldown, more held-out rows, parameter groups, and running out of memory."""

import csv
import json

import pytest
import torch
from event_files import Events, rises
from fake_card import OnFakeCard

from hamner.config.load import load_config
from hamner.training import checkpoint
from tournament.budget import Budget, budgets
from tournament.entrants import entrants, flops_per_token
from tournament.gpu_memory import MemoryPlan, memory_estimate
from tournament.memory_fallbacks import NeedsMoreOfTheCard
from tournament.training import Training, seed_of

NAME = "v05_moe_small"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def start(league, tmp_path):
    """Opens a run of NAME in a folder of its own, on the league's text."""
    (tmp_path / "data").symlink_to(league / "data")

    def opened(*words, kind=Training, folder="run", budget=None, seed=0, rate=3e-3, **changes):
        config = load_config("smoke", ["report=[]", *words])
        if changes:
            config = config.model_copy(update={"compute": config.compute.model_copy(update=changes)})
        contestants = entrants(config)
        budget = budget or budgets(config, flops_per_token(config, contestants))[NAME]
        return kind(config, tmp_path, tmp_path / folder, contestants[NAME], seed, budget, rate)

    return opened


def _to_the_end(run, round_index=0):
    while not run.advance(round_index):
        pass
    return run.result()


def test_seconds_end_a_round_by_the_clock(start):
    run = start(budget=Budget((1, 2), (0.3, 0.5)))
    first = _to_the_end(run)
    assert 0.3 <= first["facts"]["seconds"] < 0.6 and first["facts"]["steps"] > 1
    second = _to_the_end(run, 1)
    assert 0.5 <= first["facts"]["seconds"] + second["facts"]["seconds"] < 0.9


def test_a_cooldown_ranks_an_annealed_copy_and_leaves_the_run_as_it_was(start):
    plain, cooled, first = start(), start("cooldown=0.25", folder="cooled"), None
    for round_index in (0, 1):
        before, after = _to_the_end(plain, round_index), _to_the_end(cooled, round_index)
        first = after if round_index == 0 else first
        assert after["facts"]["heldout_loss_before_cooldown"] == before["heldout_loss"]
        assert abs(after["heldout_loss"] - before["heldout_loss"]) > 1e-3
    league = cooled.folder.parent
    by_hand = Training(cooled.config, league, league / "by_hand", cooled.contestant, 0, Budget((15,)), 3e-3)
    _to_the_end(by_hand)
    for scale in (1.0, 0.8, 0.6, 0.4, 0.2):
        row = by_hand.trainer.step(scale)
        assert row["learning_rate"] == pytest.approx(scale * 3e-3)
    assert by_hand.evaluate().loss == first["heldout_loss"]
    kept, same = plain.trainer.hamner.state_dict(), cooled.trainer.hamner.state_dict()
    assert all(torch.equal(kept[name], same[name]) for name in kept)


def test_a_killed_cooldown_is_done_again(start, monkeypatch):
    whole = _to_the_end(start("cooldown=0.25"))
    torn = start("cooldown=0.25", folder="torn")
    monkeypatch.setattr(torn, "evaluate", lambda: 1 / 0)  # dies after the copy has been annealed
    with pytest.raises(ZeroDivisionError):
        _to_the_end(torn)
    assert checkpoint.newest(torn.folder / "checkpoints").state["step"] == 15
    again = _to_the_end(start("cooldown=0.25", folder="torn"))
    assert again["heldout_loss"] == whole["heldout_loss"]


def test_more_heldout_rows_change_the_measure_and_not_the_run(start):
    run = start()
    first = _to_the_end(run)
    weights = {k: v.clone() for k, v in run.trainer.hamner.state_dict().items()}
    run.evaluate_on_more_rows(2)
    more = run.result()
    assert (first["rows"], more["rows"]) == (32, 64) and more["factor"] == 2
    assert 0 < abs(more["heldout_loss"] - first["heldout_loss"]) < 0.3
    assert all(torch.equal(weights[k], v) for k, v in run.trainer.hamner.state_dict().items())
    assert start().result()["rows"] == 64  # and it is remembered


def test_documents_add_up_to_the_loss(start):
    result = _to_the_end(start())
    text = result["documents"]["fineweb_edu"]
    assert sum(text["nats"]) / sum(text["tokens"]) == result["heldout_loss"]
    assert sum(text["tokens"]) == 32 * 63 and len(text["tokens"]) > 5


def test_another_seed_has_other_weights_and_another_order(start):
    config = load_config("smoke")
    assert seed_of(config, 0) == config.seed and len({seed_of(config, index) for index in range(100)}) == 100
    first, second = start(), start(seed=1, folder="second")
    assert not torch.equal(first.trainer.hamner.embedding.weight, second.trainer.hamner.embedding.weight)
    assert not torch.equal(first.trainer.mixer.batch(0), second.trainer.mixer.batch(0))
    rows, others = (
        {tuple(r.tolist()) for step in range(5) for r in run.trainer.mixer.batch(step)} for run in (first, second)
    )
    assert rows != others
    text = first.evaluator.text("fineweb_edu", 32)
    assert torch.equal(text.rows, second.evaluator.text("fineweb_edu", 32).rows)  # but the same held-out text


def test_its_curves_begin_with_the_untrained_model_and_have_no_step_twice_after_a_kill(start):
    killed = start()
    killed.advance(0)
    killed._step()
    killed._write({"step": 6, "round": 1, "loss": 9.0})  # beyond the checkpoint of step 5
    run = start()
    _to_the_end(run)
    run.close()
    events = Events(run.folder)
    assert events.steps("heldout/loss") == [0, 20] and events.points("heldout/loss")[1][1] < 7
    assert events.steps("train/loss") == list(range(1, 21)) and max(x for _, x in events.points("train/loss")) < 8
    assert all(rises(events.steps(tag)) for tag in events.tags())
    ((name, (values, metrics, sessions)),) = events.session_groups().items()
    assert name == f"run ({run.folder.parent.name})" and sessions == ["."]
    assert values["num_experts"] == 8 and values["learning_rate"] == 3e-3 and set(metrics) < set(events.tags())


def test_what_a_kill_cost_is_noted_when_the_run_is_opened_again(start):
    run = start()
    run.advance(0)
    assert not (run.folder.parent / "resume.jsonl").exists()
    run.session.step()
    run.session.step()
    again = start()
    notes = [json.loads(line) for line in (run.folder.parent / "resume.jsonl").read_text().splitlines()]
    assert [(n["contestant"], n["step_found"], n["steps_redone"]) for n in notes] == [("run", 5, 2)]
    assert again.trainer.step_count == 5
    start()
    assert len((run.folder.parent / "resume.jsonl").read_text().splitlines()) == 1  # nothing lost, nothing noted


CARD = {"device": "cuda", "gpu_memory_gib": 3.0, "runs_per_card": 100}  # memory alone decides the share


def _rows(run):
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _bytes(*plans):
    """Planned bytes of a step, as fallback follows fallback."""
    config = load_config("smoke", ["device=cuda", "gpu_memory_gib=3.0"])
    return [memory_estimate(entrants(config)[NAME].model, config, MemoryPlan(*plan, 0.5)).peak for plan in plans]


PLANNED, HALVED, CHECKPOINTED = _bytes((1, False), (2, False), (2, True))


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        (PLANNED, []),
        (HALVED, ["gradient accumulation steps 1 -> 2"]),
        (CHECKPOINTED, ["gradient accumulation steps 1 -> 2", "activation checkpointing"]),
    ],
)
def test_out_of_memory_has_a_way_back_that_changes_no_token(start, monkeypatch, limit, taken):
    assert CHECKPOINTED < HALVED < PLANNED
    plain = _to_the_end(start(folder="plain"))
    monkeypatch.setitem(OnFakeCard.limits, "run", limit)
    run = start(kind=OnFakeCard, **CARD)
    result = _to_the_end(run)
    assert result["facts"]["memory_fallbacks"] == taken
    # equal but for the balance loss of the experts, which is taken over what is computed at a time
    assert result["heldout_loss"] == pytest.approx(plain["heldout_loss"], abs=1e-3)
    assert result["facts"]["tokens"] == plain["facts"]["tokens"] == 20 * 4 * 64
    assert [int(row["step"]) for row in _rows(run)] == list(range(1, 21))


@pytest.mark.parametrize(
    "words", ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "CUDA error: out of memory"]
)
def test_a_full_card_in_other_words_takes_the_same_fallback(start, monkeypatch, words):
    class InOtherWords(OnFakeCard):
        def allocate(self):
            try:
                super().allocate()
            except torch.OutOfMemoryError:
                raise RuntimeError(words) from None

    monkeypatch.setitem(OnFakeCard.limits, "run", HALVED)
    run = start(kind=InOtherWords, **CARD)
    assert _to_the_end(run)["facts"]["memory_fallbacks"] == ["gradient accumulation steps 1 -> 2"]


def test_then_it_asks_for_more_of_the_card_and_only_then_gives_up(start, monkeypatch):
    monkeypatch.setitem(OnFakeCard.limits, "run", 0.6 * CHECKPOINTED)
    run = start(kind=OnFakeCard, **CARD)
    share = run.memory.plan.share
    with pytest.raises(NeedsMoreOfTheCard):
        run.advance(0)
    again = start(kind=OnFakeCard, **CARD)  # in a new process, with what memory_fallbacks.json says
    assert again.memory.plan.share == pytest.approx(2 * share)
    assert _to_the_end(again)["facts"]["memory_fallbacks"] == [
        "gradient accumulation steps 1 -> 2",
        "activation checkpointing",
        f"share of the card {share:g} -> {2 * share:g}",
    ]


def test_a_run_that_does_not_fit_the_whole_card_is_out_of_memory(start, monkeypatch):
    monkeypatch.setitem(OnFakeCard.limits, "run", 0.1 * CHECKPOINTED)
    asked = 0
    while start(kind=OnFakeCard, **CARD).memory.plan.share < 1:
        with pytest.raises(NeedsMoreOfTheCard):
            start(kind=OnFakeCard, **CARD).advance(0)
        asked += 1
    assert asked >= 2
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        start(kind=OnFakeCard, **CARD).advance(0)
