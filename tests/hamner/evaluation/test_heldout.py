"""Held-out loss by document, by rows and by mix: the same sums, and one word for what is no number."""

import math
import random

import numpy as np
import pytest
import torch

from hamner.config.errors import BadInput
from hamner.config.schema import Compute, ModelConfig
from hamner.evaluation.heldout import HeldoutResult, HeldoutText, MixResult, evaluate_rows, evaluate_text, stretch_rows
from hamner.evaluation.statistics import mix_loss
from hamner.model.loss import token_losses
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def hamner():
    return build(
        ModelConfig(
            vocab_size=64,
            hidden_size=32,
            num_layers=1,
            num_heads=2,
            num_kv_heads=1,
            intermediate_size=32,
            max_seq_len=16,
        ),
        seed=0,
    )


@pytest.fixture(scope="module")
def text():
    rows = torch.randint(64, (9, 16), generator=torch.Generator().manual_seed(0))
    borders = torch.randint(2, (9, 16), generator=torch.Generator().manual_seed(1))
    return HeldoutText(rows, borders.flatten().cumsum(0).view(9, 16) - borders[0, 0], bytes_per_token=3.5)


def test_documents_add_up_to_the_loss_of_the_rows(hamner, text):
    by_document = evaluate_text(hamner, text, CPU, batch_size=4)
    by_rows = evaluate_rows(hamner, text.rows, CPU, batch_size=9)
    assert by_rows.loss == pytest.approx(by_document.loss, rel=1e-12)
    assert sum(by_document.tokens) == by_rows.tokens[0] == 9 * 15 and len(by_document.tokens) > 20
    assert by_document.documents == {"nats": by_document.nats, "tokens": by_document.tokens}
    losses = token_losses(hamner(text.rows).logits, text.rows).double()
    second = text.documents[:, 1:] == 1  # a token counts for the document it is of, not for the one before
    assert by_document.nats[1] == pytest.approx(losses[second].sum().item(), rel=1e-6)
    assert by_document.tokens[1] == second.sum()


def test_evaluation_leaves_the_mode_as_it_was_even_when_it_fails(hamner, text):
    for is_training in (True, False):
        hamner.train(is_training)
        evaluate_text(hamner, text, CPU, batch_size=4)
        with pytest.raises(IndexError):
            evaluate_rows(hamner, text.rows + 64, CPU, batch_size=4)
        assert hamner.training is is_training


def test_a_mix_weighs_its_sources():
    results = {"sft": HeldoutResult([30.0, 10.0], [8, 12], 4.0), "personal": HeldoutResult([9.0], [3], 2.0)}
    mixed = MixResult(results, {"sft": 0.75, "personal": 0.25})
    assert mixed.loss == mix_loss({"sft": 2.0, "personal": 3.0}, mixed.mix) == 2.25
    assert mixed.bits_per_byte == pytest.approx((0.75 * 2 / 4 + 0.25 * 3 / 2) / math.log(2))
    assert MixResult({"sft": HeldoutResult([30.0], [8])}, {"sft": 1.0}).loss == 3.75  # bytes are not needed for it


@pytest.mark.parametrize("nats", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_says_so(nats):
    bad, good = HeldoutResult([1.0, nats], [5, 5], 4.0), HeldoutResult([2.0], [5], 4.0)
    assert good.is_finite and not bad.is_finite
    assert not MixResult({"a": good, "b": bad}, {"a": 0.5, "b": 0.5}).is_finite


class _HeldOut:
    """As much of a corpus as a stretch of its held-out text needs: documents of these lengths."""

    def __init__(self, lengths):
        self.ends = np.cumsum(lengths)

    def heldout(self, source):
        return np.zeros(self.ends[-1], dtype=np.uint16)

    def heldout_ends(self, source):
        return self.ends


def _documents(corpus, rows, seq_len):
    places = [row * seq_len + place for row in rows for place in range(seq_len)]
    return set(np.searchsorted(corpus.ends, places, side="right").tolist())


@pytest.mark.parametrize("seed", range(30))
def test_stretches_of_the_held_out_text_that_meet_share_no_document(seed):
    rng = random.Random(seed)
    corpus = _HeldOut([rng.randrange(1, 200) for _ in range(rng.randrange(40, 90))])
    ranking, probe = (stretch_rows(corpus, "s", 16, stretch) for stretch in ((0.0, 0.8), (0.8, 1.0)))
    whole = len(stretch_rows(corpus, "s", 16, (0.0, 1.0)))
    assert whole == corpus.ends[-1] // 16 and len(ranking) == round(0.8 * whole)
    assert probe.stop == whole and 0.2 * whole - 200 / 16 - 2 <= len(probe) <= 0.2 * whole + 1
    assert not _documents(corpus, ranking, 16) & _documents(corpus, probe, 16)


@pytest.mark.parametrize("lengths", [[3200], [2400, 800], [20]])
def test_a_stretch_without_a_document_of_its_own_is_refused_with_the_way_out(lengths):
    with pytest.raises(BadInput, match=r"source 's' .*(Prepare more text|prepare more text)"):
        stretch_rows(_HeldOut(lengths), "s", 16, (0.8, 1.0))
