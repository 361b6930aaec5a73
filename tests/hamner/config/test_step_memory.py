"""Memory of a step: when activations are recomputed, and what an allocator may fill."""

import pytest

from hamner.config.cost import GIB
from hamner.config.load import load_config
from hamner.config.memory import CONTEXT, OTHERS, allocator_fraction, should_checkpoint, step_memory
from hamner.config.presets import CONTESTANTS, PRESETS
from hamner.config.schema import Compute, Config

CARD = load_config("rtx3090").compute
BATCHES = {"rows": 24, "seq_len": 1024}


def test_a_card_of_24_gib_recomputes_v2s_activations_and_no_others():
    assert CARD.activation_checkpointing == "auto"
    assert [name for name, model in PRESETS.items() if should_checkpoint(model, CARD, **BATCHES)] == ["v2"]
    assert not any(should_checkpoint(model, CARD, rows=16, seq_len=512) for model in CONTESTANTS.values())


def test_auto_is_where_the_plain_step_would_not_fit():
    """On either side of the line between cards it fits and cards it does not, a tenth to spare."""
    plain = step_memory(PRESETS["v3"], CARD, **BATCHES, is_checkpointed=False).peak / GIB

    def on_a_card_of(gib, **more):
        return should_checkpoint(PRESETS["v3"], CARD.model_copy(update={"gpu_memory_gib": gib}), **BATCHES, **more)

    assert not on_a_card_of(1.11 * plain) and on_a_card_of(1.09 * plain)
    assert on_a_card_of(1.11 * plain, beside=GIB)  # the averaged weights need their room
    assert not on_a_card_of(1.09 * plain, parts=2)
    assert step_memory(PRESETS["v3"], CARD, **BATCHES, is_checkpointed=True).peak / GIB < 0.7 * plain


@pytest.mark.parametrize("choice", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_yes_and_no_mean_what_they_meant(choice, device):
    compute = Compute(device=device, activation_checkpointing=choice, gpu_memory_gib=1.0)
    assert should_checkpoint(PRESETS["v2"], compute, **BATCHES) is choice


def test_a_cpu_does_so_only_when_told():
    assert not should_checkpoint(PRESETS["v2"], Compute(device="cpu", gpu_memory_gib=1.0), **BATCHES)


def test_old_configs_are_read_and_keep_their_choice():
    for choice in (True, False):
        stored = {"compute": {"device": "cuda", "activation_checkpointing": choice, "gpu_memory_gib": 24.0}}
        compute = Config.model_validate(stored).compute
        assert compute.activation_checkpointing is choice and compute.deterministic and compute.runs_per_card == 0


@pytest.mark.parametrize("runs", [1, 2, 3, 8])
def test_runs_at_their_limits_and_their_contexts_fit_a_card_with_a_desktop(runs):
    card = 23.7 * GIB  # what a 3090 shows
    for configured in (20.0, 24.0):  # the second is more than there is
        limit = allocator_fraction(1 / runs, configured, card) * card
        assert runs * (limit + CONTEXT) == pytest.approx(min(configured * GIB, card - OTHERS))


def test_a_share_below_the_context_leaves_nothing_and_no_share_more_than_the_card():
    assert allocator_fraction(0.01, 24.0, 24 * GIB) == 0.0
    assert allocator_fraction(1.0, 80.0, 24 * GIB) < 1.0
    assert allocator_fraction(1.0, 24.0, 80 * GIB) == pytest.approx(23.4 / 80)  # of a larger card what the config says
