"""One step at a time: resuming equals not stopping, parts equal the whole, nothing infinite gets in."""

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.mixer import Mixer
from hamner.data.synthetic_rows import SyntheticRows
from hamner.data.text_rows import TextRows
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.learning_rate import warmup_constant
from hamner.training.trainer import Diverged, Trainer

CPU = Compute(device="cpu", precision="fp32")
STAGES = {1: {"synthetic": 1.0}, 2: {"synthetic": 0.5, "sft": 0.5}}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["sort count which is bigger 0123456789 yes no = + - * ->"], 280)


def _trainer(
    tokenizer, *, compute=CPU, gradient_accumulation_steps=1, batch_size=4, clip=1.0, max_skipped=0, seq_len=24, **model
):
    config = ModelConfig(
        **(
            {
                "vocab_size": tokenizer.vocab_size,
                "hidden_size": 16,
                "num_layers": 2,
                "num_heads": 2,
                "num_kv_heads": 1,
                "intermediate_size": 24,
            }
            | model
        )
    )
    rows = {
        "synthetic": SyntheticRows(tokenizer, seq_len, 0, 0.05),
        "sft": TextRows(torch.arange(seq_len * 9).remainder(280).numpy(), seq_len, "sft", 0),
    }
    mixer = Mixer(rows, batch_size)
    mixer.start_stage(STAGES[1])
    trainer = Trainer(
        build(config, 0),
        mixer,
        Optimizer(clip=clip),
        compute,
        gradient_accumulation_steps=gradient_accumulation_steps,
        max_skipped=max_skipped,
    )
    trainer.begin(1e-2, 3)
    return trainer


def _stage_two(trainer):
    trainer.mixer.start_stage(STAGES[2], levels=(0.3, 0.7))
    trainer.begin(4e-3, 5)


def _weights(trainer):
    return {name: value.clone() for group in trainer.tensors().values() for name, value in group.items()}


def _same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


KINDS = {
    "dense": {},
    "experts": {"num_experts": 4, "num_active_experts": 2},
    "differential": {"attention": "differential"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kill", [1, 6, 7, 8, 11])  # the border lies after step 7
def test_resuming_equals_not_stopping(tmp_path, tokenizer, kind, kill):
    def run(trainer, until):
        told = []
        while trainer.step_count < until:
            if trainer.step_count == 7 and trainer.rate != 4e-3:
                _stage_two(trainer)
            told.append(trainer.step())
        return told

    whole = _trainer(tokenizer, **KINDS[kind])
    losses = run(whole, 14)
    assert len({told["loss"] for told in losses}) == 14
    killed = _trainer(tokenizer, **KINDS[kind])
    assert run(killed, kill) == losses[:kill]
    path = checkpoint.save(tmp_path / "step_1", killed.tensors(), killed.state(), killed.hamner.config, tokenizer)
    resumed = _trainer(tokenizer, **KINDS[kind])
    found = checkpoint.load(path)
    if found.state["rate"] == 4e-3:
        resumed.mixer.start_stage(STAGES[2], levels=(0.3, 0.7))
    resumed.load(found, found.state)
    assert run(resumed, 14) == losses[kill:]
    assert _same(_weights(resumed), _weights(whole))
    assert resumed.state() == whole.state()


def test_a_checkpoint_at_the_border_itself_resumes(tmp_path, tokenizer):
    whole = _trainer(tokenizer)
    for _ in range(3):
        whole.step()
    _stage_two(whole)  # fresh optimizer: no moments to save yet
    path = checkpoint.save(tmp_path / "step_3", whole.tensors(), whole.state(), whole.hamner.config, tokenizer)
    resumed, found = _trainer(tokenizer), checkpoint.load(path)
    resumed.mixer.start_stage(STAGES[2], levels=(0.3, 0.7))
    resumed.load(found, found.state)
    assert [resumed.step() for _ in range(4)] == [whole.step() for _ in range(4)]
    assert _same(_weights(resumed), _weights(whole))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_give_the_gradient_of_the_whole(tokenizer, parts, masked):
    gradients, losses = [], []
    for gradient_accumulation_steps in (1, parts):
        trainer = _trainer(
            tokenizer,
            gradient_accumulation_steps=gradient_accumulation_steps,
            batch_size=8,
            seq_len=96,
            document_mask=masked,
        )
        trainer.hamner.double().dtype = torch.float64  # so that what is compared is the arithmetic, not its rounding
        loss, _ = trainer._backward(trainer.mixer.batch(0))
        losses.append(loss.item())
        gradients.append([weight.grad for weight in trainer.hamner.parameters()])
    assert abs(losses[0] - losses[1]) < 1e-6
    assert max(gradient.abs().max().item() for gradient in gradients[0]) > 1e-3
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_with_documents_masked_a_step_learns_from_another_loss(tokenizer, kind):
    masked, plain = (
        _trainer(tokenizer, batch_size=8, seq_len=96, **KINDS[kind], document_mask=on) for on in (True, False)
    )
    assert (masked.mixer.batch(0) == END_OF_TEXT).sum() > 4
    assert _same(_weights(masked), _weights(plain))
    one, other = [masked.step() for _ in range(3)], [plain.step() for _ in range(3)]
    assert 1e-4 < abs(one[0]["loss"] - other[0]["loss"]) < 0.5
    assert one[2]["loss"] < one[0]["loss"] and one[0]["gradient_norm"] != other[0]["gradient_norm"]


def test_two_sequences_are_learnt_by_heart(tokenizer):
    rows = TextRows(torch.randint(17, 280, (48,), generator=torch.Generator().manual_seed(0)).numpy(), 24, "sft", 0)
    mixer = Mixer({"sft": rows}, 2)
    mixer.start_stage({"sft": 1.0})
    trainer = Trainer(_trainer(tokenizer, hidden_size=32).hamner, mixer, Optimizer(), CPU)
    trainer.begin(1e-2, 5)
    losses = [trainer.step()["loss"] for _ in range(60)]
    assert abs(losses[0] - math.log(280)) < 1.0
    assert losses[-1] < 0.1


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_raised_before_the_weights_change(tokenizer, poison):
    trainer = _trainer(tokenizer)
    trainer.step()
    with torch.no_grad():
        trainer.hamner.final_norm.weight[0] = poison
    before, state = _weights(trainer), trainer.state()
    with pytest.raises(Diverged, match=r"the loss of step 2 is (nan|inf|-inf)"):
        trainer.step()
    after = _weights(trainer)
    assert all(torch.equal(after[name].nan_to_num(), before[name].nan_to_num()) for name in before)
    assert all(weight.grad is None for weight in trainer.hamner.parameters())
    assert trainer.step_count == state["step"] == 1


def test_a_gradient_that_is_no_number_is_raised_before_the_weights_change(tokenizer):
    trainer = _trainer(tokenizer)
    trainer.step()
    trainer.hamner.final_norm.weight.register_hook(lambda gradient: gradient * math.inf)
    before = _weights(trainer)
    with pytest.raises(Diverged, match=r"the gradient of step 2 is (nan|inf)"):
        trainer.step()
    assert _same(_weights(trainer), before)


class Poisoned:
    """A hook that spoils the gradients of the steps in `steps` (1-based)."""

    def __init__(self, trainer, steps):
        self._trainer, self._steps = trainer, steps
        trainer.hamner.final_norm.weight.register_hook(self)

    def __call__(self, gradient):
        return gradient * (math.nan if self._trainer.step_count + 1 in self._steps else 1)


def test_steps_that_are_no_numbers_are_skipped_and_counted_until_too_many_come_in_a_row(tokenizer):
    trainer = _trainer(tokenizer, max_skipped=2)
    Poisoned(trainer, {2, 4, 5, 7, 8, 9})
    told, weights = [], []
    for _ in range(8):
        told.append(trainer.step())
        weights.append(_weights(trainer))
    assert [row["skipped_steps"] for row in told] == [0, 1, 1, 2, 3, 3, 4, 5]
    unchanged = [_same(a, b) for a, b in itertools.pairwise(weights)]
    assert unchanged == [True, False, True, True, False, True, True]  # steps 2, 4, 5, 7, 8: optimizer and all
    with pytest.raises(Diverged, match="the gradient of step 9 is nan; 2 steps before it were skipped"):
        trainer.step()
    assert _same(_weights(trainer), weights[-1]) and trainer.step_count == 8


def test_a_loss_that_is_no_number_is_skipped_too(tokenizer, monkeypatch):
    trainer = _trainer(tokenizer, max_skipped=1)
    before, backward = _weights(trainer), trainer._backward
    monkeypatch.setattr(trainer, "_backward", lambda tokens: (backward(tokens)[0] * math.nan, torch.zeros(())))
    told = trainer.step()
    assert math.isnan(told["loss"]) and told["gradient_norm"] == 0.0 and told["skipped_steps"] == 1
    assert _same(_weights(trainer), before) and all(w.grad is None for w in trainer.hamner.parameters())
    with pytest.raises(Diverged, match="the loss of step 2 is nan; 1 steps before it were skipped"):
        trainer.step()


def _as_on_a_card(trainer):
    """The trainer deciding as it would on a card, whose arithmetic is a CPU's here."""
    trainer._decides_on_card = True
    return trainer


@pytest.mark.parametrize("poisoned", [set(), {1}, {2, 4, 5}])
def test_a_card_that_decides_by_itself_comes_to_the_same_bits(tokenizer, poisoned):
    told, weights = [], []
    for trainer in (_trainer(tokenizer, max_skipped=2), _as_on_a_card(_trainer(tokenizer, max_skipped=2))):
        Poisoned(trainer, poisoned)
        told.append([trainer.step() for _ in range(6)])
        weights.append(_weights(trainer))
    assert told[0] == told[1] and _same(*weights)
    assert told[1][-1]["skipped_steps"] == len(poisoned)
    assert {int(value) for name, value in weights[1].items() if name.endswith("/step")} == {6 - len(poisoned)}


def test_on_a_card_a_step_that_is_no_number_changes_nothing_and_is_raised_in_the_same_words(tokenizer):
    trainer = _as_on_a_card(_trainer(tokenizer))
    trainer.step()
    trainer.hamner.final_norm.weight.register_hook(lambda gradient: gradient * math.inf)
    before = _weights(trainer)
    with pytest.raises(Diverged, match=r"the gradient of step 2 is (nan|inf)"):
        trainer.step()
    assert _same(_weights(trainer), before) and trainer.step_count == 1


class Reads(TorchDispatchMode):
    """Counts what the host reads of a tensor one by one, each a wait for a card."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func._overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["dense", "differential"])
def test_the_host_waits_for_a_card_once_a_step(tokenizer, kind, monkeypatch):
    trainer, lists, to_list = _as_on_a_card(_trainer(tokenizer, **KINDS[kind])), [], torch.Tensor.tolist
    tokens = trainer.mixer.next()
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(tensor) or to_list(tensor))
    with Reads() as reads:
        for _ in range(3):
            trainer._update(*trainer._backward(tokens))
        assert reads.count == 0 and len(lists) == 3
        torch.ones(()).item()
        assert reads.count == 1  # what they would look like


def test_a_card_gets_its_batches_from_memory_that_is_pinned(tokenizer, monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    trainer = _trainer(tokenizer)
    trainer.step()
    assert pinned == []
    trainer._pins_batches = True
    trainer.step()
    assert torch.equal(pinned[0], trainer.mixer.batch(1))


def test_fp16_halves_the_loss_scale_for_an_overflow_and_keeps_it_for_a_loss_that_is_no_number(tokenizer, monkeypatch):
    trainer = _as_on_a_card(
        _trainer(tokenizer, compute=CPU.model_copy(update={"precision": "fp16"}), max_skipped=2, clip=1e9)
    )
    plain = trainer.step()
    assert plain["loss_scale"] == 2.0**16 and trainer._scaler.get_scale() == 2.0**16
    assert plain["gradient_norm"] == pytest.approx(_trainer(tokenizer).step()["gradient_norm"], rel=0.05)
    Poisoned(trainer, {2})
    before, backward = _weights(trainer), trainer._backward
    assert trainer.step()["skipped_steps"] == 1 and trainer._scaler.get_scale() == 2.0**15
    monkeypatch.setattr(trainer, "_backward", lambda tokens: (backward(tokens)[0] * math.nan, torch.zeros(())))
    assert math.isnan(trainer.step()["loss"]) and trainer._scaler.get_scale() == 2.0**15
    assert _same(_weights(trainer), before)
    monkeypatch.setattr(trainer, "_backward", backward)
    assert trainer.step()["loss_scale"] == 2.0**15 and not _same(_weights(trainer), before)


def test_the_optimizer_can_be_kept_over_a_border(tokenizer):
    kept = _trainer(tokenizer)
    for _ in range(3):
        kept.step()
    moments = {name: value.clone() for name, value in kept.tensors()["optimizer"].items()}
    kept.begin(4e-3, 5, keep_optimizer=True)
    assert _same(moments, kept.tensors()["optimizer"]) and len(moments) > 10
    assert kept.step()["learning_rate"] == pytest.approx(4e-3 / 5)
    kept.begin(4e-3, 5)
    assert kept.tensors()["optimizer"] == {}


def test_warmup_then_constant():
    rates = [warmup_constant(step, 0.8, 4) for step in range(7)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8], abs=1e-15)
    assert [warmup_constant(step, 0.8, 0) for step in (0, 9)] == [0.8, 0.8]
    assert warmup_constant(0, 0.8, 1) == 0.8


def test_each_schedule_warms_up_anew(tokenizer):
    trainer = _trainer(tokenizer)
    rates = [trainer.step()["learning_rate"] for _ in range(4)]
    _stage_two(trainer)
    rates += [trainer.step()["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 1e-2, *(4e-3 * n / 5 for n in range(1, 6)), 4e-3])
    assert trainer.optimizer.param_groups[0]["lr"] == 4e-3
    assert {int(trainer.optimizer.state[w]["step"]) for w in trainer.hamner.parameters()} == {6}


def test_loss_is_cross_entropy_alone(tokenizer):
    told = {}
    for coefficient in (0.0, 0.5):
        trainer = _trainer(tokenizer, num_experts=4, num_active_experts=2, balance_coefficient=coefficient)
        told[coefficient] = trainer.step()
    assert told[0.0]["loss"] == told[0.5]["loss"]
    assert told[0.0]["balance_loss"] == 0.0 and told[0.5]["balance_loss"] > 0.5
    assert told[0.0]["gradient_norm"] != told[0.5]["gradient_norm"]  # yet it is trained on


def test_steps_and_tokens_are_counted(tokenizer):
    trainer = _trainer(tokenizer, gradient_accumulation_steps=2)
    counts = [(told["step"], told["tokens_total"]) for told in (trainer.step() for _ in range(3))]
    assert counts == [(1, 96), (2, 192), (3, 288)]


def test_the_gradient_is_clipped(tokenizer):
    free, clipped = (_trainer(tokenizer, clip=clip) for clip in (1e9, 1e-3))
    assert free.step()["gradient_norm"] == clipped.step()["gradient_norm"] > 0.1
    moments = [
        sum(t.square().sum().item() for name, t in trainer.tensors()["optimizer"].items() if name.endswith("exp_avg"))
        ** 0.5
        for trainer in (free, clipped)
    ]
    assert moments[1] == pytest.approx((1 - 0.9) * 1e-3, rel=1e-2) and moments[0] > 10 * moments[1]


def test_bf16_stays_near_fp32_and_keeps_weights_in_fp32(tokenizer):
    half = _trainer(tokenizer, compute=CPU.model_copy(update={"precision": "bf16"}))
    whole = _trainer(tokenizer)
    losses = [(half.step()["loss"], whole.step()["loss"]) for _ in range(5)]
    assert all(0 < abs(a - b) < 0.05 for a, b in losses)
    assert {weight.dtype for weight in half.hamner.parameters()} == {torch.float32}
