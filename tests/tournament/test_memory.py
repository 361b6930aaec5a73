"""The memory estimate beside PyTorch's own tracker: a whole step of a full-size contestant, without its bytes.

Tensors are fakes that know their sizes; as on a card, attention keeps no T × T matrix.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from hamner.config.attention_kinds import ATTENTION_KINDS
from hamner.config.cost import LOGITS_OF_A_CARD
from hamner.config.load import load_config
from hamner.model.kernels import dispatch
from hamner.model.loss import head_loss
from hamner.model.transformer import Hamner
from hamner.training.optimizer import adamw
from tournament.entrants import entrants
from tournament.gpu_memory import first_memory_plan, memory_estimate

TEN = {name: contestant.model for name, contestant in entrants(load_config("rtx3090")).items()}
CHECKPOINTED, PARTS, FULL = (
    "compute.activation_checkpointing=true",
    "tournament.gradient_accumulation_steps=2",
    "compute.precision=fp32",
)
CASES = [("v10_wide_shallow", (CHECKPOINTED, FULL)), ("v05_moe_small", (CHECKPOINTED,))]
SLOW = [
    (name, words)
    for name, model in TEN.items()
    for words in ((CHECKPOINTED,), (), (CHECKPOINTED, PARTS), (CHECKPOINTED, FULL), (PARTS,))
    if (name, words) not in CASES and (model.num_experts == 1 or FULL not in words)
]  # one expert after the other: sizes depend on the text


def _tracked_peak(model, config):
    """Bytes of the second step's peak, by the tracker, computed as on a card.

    A CPU's transposed head looks which tokens are likely, which fakes do not know.
    """
    league = config.tournament
    as_on_a_card = dispatch.force(
        block_attention=False, differential_blocks=False, transposed_head=False, logits_at_a_time=LOGITS_OF_A_CARD
    )
    with FakeTensorMode(), as_on_a_card:
        hamner = Hamner(model, activation_checkpointing=first_memory_plan(model, config).activation_checkpointing)
        hamner.dtype = dispatch.DTYPES[config.compute.precision]
        optimizer = adamw(hamner.train(), config.optimizer, ())
        tokens = torch.zeros(league.batch_size // league.gradient_accumulation_steps, league.seq_len, dtype=torch.long)
        tracker = MemTracker()
        tracker.track_external(hamner, optimizer, tokens)
        with tracker:
            for _ in range(2):
                for _ in range(league.gradient_accumulation_steps):
                    tracker.reset_mod_stats()
                    hidden, balance = hamner.hidden_states(tokens)
                    (head_loss(hidden, hamner.embedding.weight, tokens) + balance).backward()
                torch.nn.utils.clip_grad_norm_(hamner.parameters(), 1.0, foreach=True)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return snapshot["Total"]


@pytest.mark.parametrize(("name", "words"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_the_plan_is_within_a_tenth_of_the_tracker_for_every_contestant(name, words):
    config = load_config("rtx3090", list(words))
    estimate = memory_estimate(TEN[name], config)
    assert estimate.peak - estimate.context == pytest.approx(_tracked_peak(TEN[name], config), rel=0.1)


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
def test_the_plan_is_within_a_tenth_of_the_tracker_for_every_attention_kind(kind):
    """Without activation checkpointing, four of v01's blocks, a small vocabulary: activations are most of it."""
    config = load_config("rtx3090")
    changes = {"attention": kind, "num_layers": 4, "vocab_size": 4096}
    model = TEN["v01_dense_small"].model_copy(update=changes)
    estimate = memory_estimate(model, config)
    assert estimate.activations > 0.5 * estimate.peak
    assert estimate.peak - estimate.context == pytest.approx(_tracked_peak(model, config), rel=0.1)


@pytest.mark.parametrize(("name", "words"), [("v01_dense_small", (CHECKPOINTED,)), ("v03_diffattn_small", (FULL,))])
def test_a_document_mask_is_there_once_for_all_layers(name, words):
    peaks, estimates = [], []
    for on in ("false", "true"):
        sizes = ["divide=4", "vocab_size=2048", "tournament.seq_len=1024"]
        config = load_config("rtx3090", [*sizes, f"document_mask={on}", *words])
        model = entrants(config)[name].model
        peaks.append(_tracked_peak(model, config))
        estimates.append(memory_estimate(model, config))
    assert estimates[0].document_mask == 0
    assert estimates[1].document_mask == 16 * 1024**2 * (4 if FULL in words else 2)
    assert estimates[1].peak - estimates[0].peak == pytest.approx(estimates[1].document_mask)
    assert peaks[1] - peaks[0] == pytest.approx(estimates[1].document_mask, rel=0.05)
