"""Whether a run compiles its steps; and that the trainer's step is plain autograd's."""

import copy

import pytest
import torch
from model_kinds import small_model
from torch import nn

from hamner.config.schema import Compute, Optimizer
from hamner.data.mixer import Mixer, TextRows
from hamner.model.loss import next_token_loss
from hamner.model.transformer import build
from hamner.training.compilation import should_compile
from hamner.training.trainer import Objective, Trainer


def test_a_run_compiles_when_it_is_long_enough():
    compute, model = Compute(device="cpu", precision="bf16"), small_model()

    def compiles(tokens, **changes):
        return should_compile(compute.model_copy(update=changes), model, 64, tokens, 2)

    lengths = [compiles(10.0**power) for power in range(3, 13)]
    assert lengths == sorted(lengths) and set(lengths) == {False, True}
    assert compiles(1, compile="always") and not compiles(1e15, compile="never")


class WholeLogits(nn.Module):
    """The training loss from logits in one piece."""

    def __init__(self, hamner):
        super().__init__()
        self.hamner = hamner

    def forward(self, tokens):
        out = self.hamner(tokens)
        return next_token_loss(out.logits, tokens), out.balance_loss


def test_the_trainer_s_step_is_plain_autograd_s():
    """The loss in chunks and products side by side against logits in one piece."""

    def trainer(hamner, objective):
        rows = TextRows(torch.arange(64 * 40).remainder(299).numpy(), 64, "sft", 0)
        mixer = Mixer({"sft": rows}, 4)
        mixer.start_stage({"sft": 1.0})
        trainer = Trainer(hamner, mixer, Optimizer(), Compute(device="cpu", precision="fp32"), objective=objective)
        trainer.begin(1e-3, 0)
        return trainer

    ours = trainer(build(small_model(), seed=0), Objective)
    theirs = trainer(copy.deepcopy(ours.hamner), WholeLogits)
    for _ in range(5):
        assert ours.step()["loss"] == pytest.approx(theirs.step()["loss"], abs=1e-5)
    for name, weight in ours.hamner.named_parameters():
        torch.testing.assert_close(weight, theirs.hamner.get_parameter(name), atol=1e-5, rtol=0)
