"""The estimate of memory beside PyTorch's own tracker of it: a whole step of a full-size contestant, without its bytes.

Tensors are fakes that know their sizes; as on a card, attention keeps no T × T matrix.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from hamner.config.load import load_config
from hamner.model import attention, loss
from hamner.model.kernels.dispatch import DTYPES
from hamner.model.loss import head_loss
from hamner.model.transformer import Hamner
from hamner.training.optimizer import adamw
from tournament.entrants import entrants
from tournament.gpu_memory import CONTEXT, memory_bytes

TEN = {name: contestant.model for name, contestant in entrants(load_config("rtx3090")).items()}
PLAIN, PARTS, FULL = (
    "compute.activation_checkpointing=false",
    "tournament.gradient_accumulation_steps=2",
    "compute.precision=fp32",
)
CASES = [("v01_dense_small", ()), ("v10_wide_shallow", (FULL,)), ("v05_moe_small", ())]
SLOW = [
    (name, words)
    for name, model in TEN.items()
    for words in ((), (PLAIN,), (PARTS,), (FULL,), (PLAIN, PARTS))
    if (name, words) not in CASES and (model.num_experts == 1 or FULL not in words)
]  # one expert after the other: sizes depend on the text


def _peak(model, config):
    """Bytes of the second step's peak, by the tracker."""
    league = config.tournament
    with FakeTensorMode():
        hamner = Hamner(model, activation_checkpointing=config.compute.activation_checkpointing)
        hamner.dtype = DTYPES[config.compute.precision]
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
        (found,) = tracker.get_tracker_snapshot("peak").values()
    return found["Total"]


def _head_of_a_card(monkeypatch):
    """A CPU's way looks which tokens are likely, which fakes do not know, and is not what the estimate is for."""
    monkeypatch.setattr(loss, "use_transposed_head", lambda hidden: False)


@pytest.mark.parametrize(("name", "words"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_the_plan_is_within_a_tenth_of_the_tracker_for_every_contestant(name, words, monkeypatch):
    monkeypatch.setattr(attention, "use_block_attention", lambda q, k: False)
    monkeypatch.setattr(attention, "use_differential_blocks", lambda q, k: False)
    _head_of_a_card(monkeypatch)
    config = load_config("rtx3090", list(words))
    assert memory_bytes(TEN[name], config) - CONTEXT == pytest.approx(_peak(TEN[name], config), rel=0.1)


@pytest.mark.parametrize(("name", "words"), [("v01_dense_small", ()), ("v03_diffattn_small", (PLAIN, FULL))])
def test_a_document_mask_is_there_once_for_all_layers(name, words, monkeypatch):
    monkeypatch.setattr(attention, "use_block_attention", lambda q, k: False)
    monkeypatch.setattr(attention, "use_differential_blocks", lambda q, k: False)
    _head_of_a_card(monkeypatch)
    peaks, plans = [], []
    for on in ("false", "true"):
        config = load_config("rtx3090", ["divide=4", "tournament.seq_len=1024", f"document_mask={on}", *words])
        model = entrants(config)[name].model
        peaks.append(_peak(model, config))
        plans.append(memory_bytes(model, config))
    assert plans[1] - plans[0] == 16 * 1024**2 * (4 if FULL in words else 2)
    assert peaks[1] - peaks[0] == pytest.approx(plans[1] - plans[0], rel=0.05)
