"""Groups of parameters that learn at their own share of the rate: which, how fast, and across a resume."""

import pytest
import torch

from hamner.config.errors import BadInput
from hamner.config.schema import Compute, ModelConfig, Optimizer, ParameterGroup
from hamner.data.mixer import Mixer
from hamner.data.text_rows import TextRows
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.optimizer import middle_layers, rate_scales
from hamner.training.trainer import Trainer

MODEL = ModelConfig(vocab_size=280, hidden_size=16, num_layers=4, num_heads=2, num_kv_heads=1, intermediate_size=24)


def _middle(scale, count=2):
    return ParameterGroup(learning_rate_scale=scale, middle_layers=count)


def _named(scale, pattern):
    return ParameterGroup(learning_rate_scale=scale, parameters=pattern)


def _trainer(*groups, decay=0.1):
    rows = TextRows(torch.arange(24 * 9).remainder(280).numpy(), 24, "sft", 0)
    mixer = Mixer({"sft": rows}, 2)
    mixer.start_stage({"sft": 1.0})
    trainer = Trainer(
        build(MODEL, 0), mixer, Optimizer(weight_decay=decay), Compute(device="cpu", precision="fp32"), groups=groups
    )
    trainer.begin(1e-2, 3)
    return trainer


def _weights(trainer):
    return {name: weight.detach().clone() for name, weight in trainer.hamner.named_parameters()}


def _is_middle(name, layers=("1", "2")):
    return name.startswith("blocks.") and name.split(".")[1] in layers


def _rates(trainer):
    """The learning rate of the latest step, of each parameter."""
    names = {id(weight): name for name, weight in trainer.hamner.named_parameters()}
    return {names[id(w)]: group["lr"] for group in trainer.optimizer.param_groups for w in group["params"]}


@pytest.mark.parametrize(
    ("layers", "count", "first", "last"),
    [
        (20, 6, 7, 12),
        (24, 7, 8, 14),  # the recorded ones: (L - n) // 2, n in a row
        (24, 24, 0, 23),
        (3, 1, 1, 1),
        (4, 1, 1, 1),
        (4, 3, 0, 2),
        (5, 2, 1, 2),
    ],
)
def test_the_middle_layers_are_the_recorded_ones(layers, count, first, last):
    assert list(middle_layers(layers, count)) == list(range(first, last + 1))


@pytest.mark.parametrize(("layers", "count"), [(n, k) for n in range(1, 13) for k in range(1, n + 1)])
def test_as_many_layers_lie_before_the_middle_as_behind_it(layers, count):
    found = middle_layers(layers, count)
    behind = layers - 1 - found[-1]
    assert len(found) == count and 0 <= behind - found[0] <= 1


def test_a_group_holds_whole_blocks_or_what_a_glob_matches_and_the_last_one_counts():
    hamner = build(MODEL, 0)
    scales = rate_scales(hamner, [_middle(0.2), _named(0.5, "*.mlp.down*"), _named(0.0, "embedding.weight")])
    assert set(scales) == {name for name, _ in hamner.named_parameters()}
    for name, scale in scales.items():
        expected = 0.0 if name == "embedding.weight" else 0.5 if ".mlp.down" in name else 0.2 if _is_middle(name) else 1
        assert scale == expected, name
    assert list(scales.values()).count(0.5) == 4


def test_blocks_above_ten_are_not_mistaken_for_others():
    hamner = build(MODEL.model_copy(update={"num_layers": 13}), 0)
    slow = {name.split(".")[1] for name, scale in rate_scales(hamner, [_middle(0.2, 11)]).items() if scale != 1}
    assert slow == {str(layer) for layer in range(1, 12)}


def test_a_group_learns_at_its_share_of_the_rate_at_every_step():
    trainer = _trainer(_middle(0.2), _named(3.0, "final_norm.weight"))
    for step in range(7):  # three of warmup, then constant
        told = trainer.step()["learning_rate"]
        assert told == pytest.approx(1e-2 * min(1, (step + 1) / 3), rel=1e-12)
        for name, rate in _rates(trainer).items():
            share = 0.2 if _is_middle(name) else 3.0 if name == "final_norm.weight" else 1.0
            assert rate == pytest.approx(share * told, rel=1e-12), name
    trainer.begin(4e-3, 2)  # another stage
    assert trainer.step()["learning_rate"] == 2e-3
    assert _rates(trainer)["blocks.1.attention_norm.weight"] == pytest.approx(0.2 * 2e-3, rel=1e-12)


def test_a_cooldown_slows_all_groups_alike():
    trainer = _trainer(_middle(0.2))
    trainer.step(0.5)
    assert sorted(set(_rates(trainer).values())) == pytest.approx([0.2 * 0.5e-2 / 3, 0.5e-2 / 3], rel=1e-12)


def test_every_parameter_is_in_one_group_and_weight_decay_is_as_without_groups():
    def decays(trainer):
        names = {id(weight): name for name, weight in trainer.hamner.named_parameters()}
        return sorted((names[id(w)], g["weight_decay"]) for g in trainer.optimizer.param_groups for w in g["params"])

    plain, grouped = _trainer(), _trainer(_middle(0.2), _named(0.5, "*norm*"))
    assert decays(grouped) == decays(plain)
    assert {decay for _, decay in decays(plain)} == {0.0, 0.1}
    assert (len(plain.optimizer.param_groups), len(grouped.optimizer.param_groups)) == (2, 4)


def test_a_frozen_group_does_not_move_at_all_and_everything_else_does():
    trainer = _trainer(_middle(0.0))
    before = _weights(trainer)
    for _ in range(6):
        trainer.step()
    for name, weight in _weights(trainer).items():
        assert torch.equal(weight, before[name]) == _is_middle(name), name


def test_the_first_step_of_a_slow_group_is_its_share_of_the_plain_one():
    plain, slow = _trainer(), _trainer(_middle(0.2))
    start = {name: weight.double() for name, weight in _weights(plain).items()}
    assert plain.step()["loss"] == slow.step()["loss"]
    for name, weight in _weights(slow).items():
        full = _weights(plain)[name].double() - start[name]
        share = 0.2 if _is_middle(name) else 1.0
        assert full.abs().max() > 1e-4
        torch.testing.assert_close(weight.double() - start[name], share * full, atol=2e-7, rtol=1e-4)


def test_a_group_without_scale_changes_nothing():
    plain, grouped = _trainer(), _trainer(_middle(1.0), _named(1.0, "*"))
    assert [plain.step() for _ in range(4)] == [grouped.step() for _ in range(4)]
    assert all(torch.equal(weight, _weights(grouped)[name]) for name, weight in _weights(plain).items())


@pytest.mark.parametrize("kill", [2, 4])
def test_a_resume_goes_on_identically(tmp_path, kill):
    tokenizer = Tokenizer.train(["sort count which is bigger 0123456789 yes no = + - * ->"], 280)
    groups = _middle(0.2), _named(0.0, "*.mlp_norm.weight")
    whole, killed, resumed = (_trainer(*groups) for _ in range(3))
    told = [whole.step() for _ in range(7)]
    assert [killed.step() for _ in range(kill)] == told[:kill]
    found = checkpoint.load(checkpoint.save(tmp_path / "step_1", killed.tensors(), killed.state(), MODEL, tokenizer))
    resumed.load(found, found.state)
    assert [resumed.step() for _ in range(7 - kill)] == told[kill:]
    for part, tensors in whole.tensors().items():
        assert all(torch.equal(tensor, resumed.tensors()[part][name]) for name, tensor in tensors.items())


@pytest.mark.parametrize("pattern", ["nothing.*", "blocks.9.*", "Embedding.weight"])
def test_an_empty_group_is_refused(pattern):
    with pytest.raises(BadInput, match=r"matches no parameter: use names like embedding\.weight"):
        _trainer(_middle(0.2), _named(0.2, pattern))
