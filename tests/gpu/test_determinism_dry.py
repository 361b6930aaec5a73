"""Strict determinism without a card: what a run computes on one, beside PyTorch's list of operations that would raise.

torch.use_deterministic_algorithms raises in kernels of the card, which a CPU build has not. So everything a run does
with tensors of the card is recorded here, computed on the CPU the way a card would: training, evaluation, generation,
fine-tuning. Attention's own kernels are another matter: strict mode takes their deterministic backward.
"""

import re
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.evaluation.heldout import HeldoutText, evaluate_rows, evaluate_text
from hamner.evaluation.likelihood import choice_after, option_nats
from hamner.inference.generate import Sampling, stream
from hamner.model.kernels import dispatch
from hamner.model.transformer import build
from hamner.training.reply_loss import ReplyObjective, evaluate_replies
from hamner.training.trainer import Objective, Trainer

CPU = Compute(device="cpu", precision="bf16", activation_checkpointing=False)
SIZE = {"vocab_size": 320, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
KINDS = {
    "dense": {},
    "differential": {"attention": "differential"},
    "experts": {"num_experts": 4, "num_active_experts": 2},
    "masked": {"document_mask": True},
}
B, T = 4, 48


def is_floating(args, kwargs):
    return args[0].is_floating_point()


def always(args, kwargs):
    return True


def has_weights(args, kwargs):
    return (len(args) > 1 and args[1] is not None) or kwargs.get("weights") is not None


# Operations that raise on a card in strict mode: by the name in PyTorch's docs, its kernels and when.
RAISE = {
    "AvgPool3d": (r"avg_pool3d_backward", always),
    "AdaptiveAvgPool2d": (r"_adaptive_avg_pool2d_backward", always),
    "AdaptiveAvgPool3d": (r"_adaptive_avg_pool3d_backward", always),
    "AdaptiveMaxPool2d": (r"adaptive_max_pool2d_backward", always),
    "FractionalMaxPool2d": (r"fractional_max_pool2d_backward", always),
    "FractionalMaxPool3d": (r"fractional_max_pool3d_backward", always),
    "MaxUnpool1d": (r"max_unpool\dd", always),
    "MaxUnpool2d": (r"max_unpool\dd", always),
    "MaxUnpool3d": (r"max_unpool\dd", always),
    "interpolate": (r"upsample_.*_backward", always),
    "ReflectionPad1d": (r"reflection_pad1d_backward", always),
    "ReflectionPad2d": (r"reflection_pad2d_backward", always),
    "ReflectionPad3d": (r"reflection_pad3d_backward", always),
    "NLLLoss": (r"nll_loss2d.*", always),  # of images; that of tokens is deterministic
    "CTCLoss": (r"_ctc_loss_backward", always),
    "EmbeddingBag": (r"_embedding_bag.*", always),
    "put_": (r"put_?", always),
    "histc": (r"histc", always),
    "bincount": (r"bincount", has_weights),
    "median": (r"(nan)?median", always),
    "grid_sample": (r"grid_sampler.*", always),
    "cumsum": (r"cumsum_?", is_floating),
    "scatter_reduce": (r"scatter_reduce_?", always),
    "resize_": (r"resize_", lambda args, kwargs: args[0].is_quantized),
}


def raises(name, args, kwargs):
    """Whether an operation on a tensor of a card raises in strict mode."""
    return any(re.fullmatch(pattern, name) and when(args, kwargs) for pattern, when in RAISE.values())


def place(tensor):
    """Where a tensor's memory begins; 0 where it has none."""
    return tensor.untyped_storage().data_ptr()


class OnTheCard(TorchDispatchMode):
    """Follows tensors from the model's weights on; a copy to the host leaves the card. `names`: what it computes."""

    off = False

    def __init__(self, hamner):
        super().__init__()
        self.names, self.wrong = set(), set()
        self._kept = list(hamner.parameters()) + list(hamner.buffers())  # so that nothing else gets their place
        self._places = {place(tensor) for tensor in self._kept}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if not self.off and any(place(tensor) in self._places for tensor in tensors):
            name = func._overloadpacket.__name__
            self.names.add(name)
            if raises(name, args, kwargs):
                self.wrong.add(name)
            made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
            self._kept += made
            self._places |= {place(tensor) for tensor in made} - {0}
        return out


@contextmanager
def recorded(hamner, monkeypatch):
    """What is computed on the card within the block, computed as there, `.cpu()` being a way off it."""
    mode, to_host = OnTheCard(hamner), torch.Tensor.cpu

    def leave(tensor):
        mode.off = True
        try:
            return to_host(tensor).clone()
        finally:
            mode.off = False

    monkeypatch.setattr(torch.Tensor, "cpu", leave)
    as_there = dispatch.force(block_attention=False, differential_blocks=False, transposed_head=False)
    with as_there, mode:
        yield mode
    monkeypatch.setattr(torch.Tensor, "cpu", to_host)


class Batches:
    """Batches of labelled or plain tokens (B, T)."""

    def __init__(self, tokens):
        self.tokens = tokens

    def next(self):
        return self.tokens


def _tokens():
    tokens = torch.randint(20, 320, (B, T), generator=torch.Generator().manual_seed(0))
    tokens[:, ::11] = END_OF_TEXT
    return tokens


def _model(kind):
    return ModelConfig(**SIZE, intermediate_size=48, max_seq_len=128, **KINDS[kind])


def _trainer(kind, tokens, objective=Objective, **options):
    hamner = build(_model(kind), 0, activation_checkpointing=options.pop("is_checkpointed", False))
    trainer = Trainer(hamner, Batches(tokens), Optimizer(), CPU, objective=objective, **options)
    trainer._decides_on_card = True
    trainer.begin(1e-3, 1)
    return trainer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_grouped", [True, False])
def test_training_uses_no_operation_that_strict_mode_refuses(kind, is_grouped, monkeypatch):
    trainer = _trainer(kind, _tokens(), gradient_accumulation_steps=2, is_checkpointed=True)
    with dispatch.force(grouped_experts=is_grouped), recorded(trainer.hamner, monkeypatch) as card:
        for _ in range(2):
            trainer.step()
    assert card.wrong == set()
    assert {"_fused_adamw_", "embedding_dense_backward", "_foreach_norm"} <= card.names


def test_fine_tuning_uses_none_either(monkeypatch):
    trainer = _trainer("masked", labelled_rows(), ReplyObjective, gradient_accumulation_steps=2)
    with recorded(trainer.hamner, monkeypatch) as card:
        trainer.step()
        evaluate_replies(trainer.hamner, labelled_rows(), CPU, batch_size=2)
    assert card.wrong == set() and "embedding_dense_backward" in card.names


def labelled_rows():
    """Rows of one conversation each, of which the second half is trained on."""
    ids = _tokens()
    ids[:, -1] = MESSAGE_END
    return torch.where(torch.arange(T) >= T // 2, ids, ~ids)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_and_generation_use_none(kind, monkeypatch):
    hamner, tokens = build(_model(kind), 0), _tokens()
    hamner.dtype = torch.bfloat16
    documents = torch.arange(B * T).view(B, T) // 7
    with recorded(hamner, monkeypatch) as card:
        evaluate_text(hamner, HeldoutText(tokens, documents, 4.0), CPU, batch_size=2)
        evaluate_rows(hamner, tokens, CPU, batch_size=3)
        option_nats(hamner, [choice_after([20, 30, 40], [[50, 60], [70]]), choice_after([21], [[5], [6, 7]])], CPU)
        list(stream(hamner, [20, 21, 22], 6, Sampling(), torch.Generator().manual_seed(0)))
    assert card.wrong == set()
    assert "masked_scatter" in card.names and "index_add_" not in card.names  # whose order on a card is chance


class Cumulative(Objective):
    """A training loss with a cumulative sum of fractions, which a card takes in no fixed order."""

    seen: ClassVar[list] = []

    def forward(self, tokens):
        loss, balance = super().forward(tokens)
        return loss + self.hamner.embedding.weight.cumsum(0).mean(), balance


def test_one_that_strict_mode_refuses_is_seen(monkeypatch):
    trainer = _trainer("dense", _tokens(), Cumulative)
    with recorded(trainer.hamner, monkeypatch) as card:
        trainer.step()
    assert card.wrong == {"cumsum"}


def test_the_list_is_that_of_the_installed_pytorch():
    """A version that adds one is noticed."""
    text = torch.use_deterministic_algorithms.__doc__
    begin, end = "normally-nondeterministic operations will throw", "In addition, several operations"
    part = text[text.index(begin) : text.index(end)]
    names = {name.split(".")[-1] for name in re.findall(r"\* :(?:class|func):`([\w.]+)`", part)}
    assert len(names) > 15 and names == set(RAISE)
