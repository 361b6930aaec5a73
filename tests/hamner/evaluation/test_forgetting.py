"""Drops worked out by hand, of exact match and of held-out loss."""

import math
from statistics import NormalDist

import pytest

from hamner.evaluation.forgetting import Drop, drops

STAGES = ("structure", "reasoning", "knowledge", "context")


def _record(number, skills=None, documents=None):
    """documents: source -> (nats, tokens)"""
    documents = {name: {"nats": nats, "tokens": tokens} for name, (nats, tokens) in (documents or {}).items()}
    return {"number": number, "stage": STAGES[number - 1], "skills": skills or {}, "documents": documents}


def _hits(right, count=100):
    return "1" * right + "0" * (count - right)


def test_exact_match_is_compared_item_by_item():
    before = "1" * 60 + "0" * 40
    after = "1" * 35 + "0" * 25 + "1" * 5 + "0" * 35  # 25 lost, 5 gained
    (drop,) = drops([_record(1, {"logic 1": before}), _record(2, {"logic 1": after})])
    assert drop == Drop("logic 1", "exact match", "structure", 0.6, 0.4, math.sqrt(30) / 100)  # 0.2 > 1.645 * 0.0548
    assert drop.line == "logic 1: exact match 0.60 after structure, 0.40 now (a drop of 0.20 ± 0.05)"


def test_a_change_within_its_error_is_none():
    # of 30 items that changed, 20 lost and 10 gained are a drop (0.10), 19 and 11 are not (0.08): z * se = 0.0901
    before = "1" * 50 + "0" * 50
    ten = "1" * 30 + "0" * 20 + "1" * 10 + "0" * 40
    assert len(drops([_record(1, {"a 1": before}), _record(2, {"a 1": ten})])) == 1
    eight = "1" * 31 + "0" * 19 + "1" * 11 + "0" * 39
    assert drops([_record(1, {"a 1": before}), _record(2, {"a 1": eight})]) == []
    assert drops([_record(1, {"a 1": before}), _record(2, {"a 1": before})]) == []
    assert drops([_record(1, {"a 1": "0" * 100}), _record(2, {"a 1": before})]) == []  # a gain


def test_the_best_earlier_stage_is_the_measure():
    records = [
        _record(1, {"a 1": _hits(50)}),
        _record(2, {"a 1": _hits(90)}),
        _record(3, {"a 1": _hits(60)}),
        _record(4, {"a 1": _hits(62)}),
    ]
    (drop,) = drops(records)
    assert (drop.best_stage, drop.best, drop.now) == ("reasoning", 0.9, 0.62)
    assert drops(records[:2]) == drops(records[:1]) == drops([]) == []
    assert drops(records[:3])[0].best == 0.9


def test_held_out_loss_by_documents():
    before, tokens = [300.0, 200.0, 100.0], [100, 100, 50]
    after = [340.0, 230.0, 120.0]
    # gaps 40, 30, 20 over 250 tokens: m = 0.36; g - m n = 4, -6, 2; se² = 3/2 * (16 + 36 + 4) / 250² = 0.001344
    (drop,) = drops([_record(1, documents={"sft": (before, tokens)}), _record(2, documents={"sft": (after, tokens)})])
    assert (drop.skill, drop.kind, drop.best_stage) == ("sft", "held-out loss", "structure")
    assert (drop.best, drop.now) == pytest.approx((2.4, 2.76))
    assert drop.standard_error == pytest.approx(math.sqrt(0.001344))
    assert drop.line == "sft: held-out loss 2.400 after structure, 2.760 now (a rise of 0.360 ± 0.037 nats per token)"
    better = [_record(1, documents={"sft": (after, tokens)}), _record(2, documents={"sft": (before, tokens)})]
    assert drops(better) == []


def test_loss_that_rose_in_one_document_only_is_within_error():
    # gaps 9, 0, 0: m = 0.03, g - m n = 6, -3, -3; se = sqrt(3/2 * 54) / 300 = 0.03; z = 1.645
    tokens = [100, 100, 100]
    assert (
        drops(
            [
                _record(1, documents={"s": ([200.0, 200.0, 200.0], tokens)}),
                _record(2, documents={"s": ([209.0, 200.0, 200.0], tokens)}),
            ]
        )
        == []
    )


@pytest.mark.filterwarnings("error")
def test_one_document_settles_nothing():
    one = [_record(1, documents={"s": ([200.0], [100])}), _record(2, documents={"s": ([900.0], [100])})]
    assert drops(one) == []


def test_the_more_is_compared_the_more_it_takes():
    def drop_count(others, lost):
        idle = {f"b {n}": "1" * 100 for n in range(others)}
        return len(drops([_record(1, {"a 1": "1" * 100, **idle}), _record(2, {"a 1": _hits(100 - lost), **idle})]))

    # nothing gained: drop / se = sqrt(lost). Two comparisons: z = 1.96, four items; fifty: z = 3.09, ten
    assert NormalDist().inv_cdf(1 - 0.05 / 2) == pytest.approx(1.96, abs=1e-3)
    assert [drop_count(1, 3), drop_count(1, 4)] == [0, 1]
    assert NormalDist().inv_cdf(1 - 0.05 / 50) == pytest.approx(3.09, abs=1e-3)
    assert [drop_count(49, 9), drop_count(49, 10)] == [0, 1]


def test_sources_count_as_comparisons():
    same = {"s": ([200.0, 200.0], [100, 100])}
    records = [_record(1, {"a 1": "1" * 100}, same), _record(2, {"a 1": _hits(97)}, same)]
    assert drops(records) == []  # sqrt(3) = 1.73 < 1.96
    assert len(drops([{**record, "documents": {}} for record in records])) == 1  # ... > 1.645
