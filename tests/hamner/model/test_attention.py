"""Attention kinds: differential against plain float64 arithmetic, and every kind of the table against its row."""

import math
from dataclasses import replace

import pytest
import torch
from model_kinds import small_model

from hamner.config import attention_kinds
from hamner.config.attention_kinds import ATTENTION_KINDS, AttentionKind, CacheShape
from hamner.config.cost import count_parameters, training_flops_per_token, useful_flops_per_token
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import ModelConfig
from hamner.model.attention import (
    ATTENTIONS,
    Attention,
    DifferentialAttention,
    GroupedQueryAttention,
    causal_attention,
    rotary_table,
)
from hamner.model.attention_check import attention_problems
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import build

SMALL = ModelConfig(vocab_size=320, hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, intermediate_size=96)


def _plain_differential(layer: DifferentialAttention, x, model):
    """The paper's formula with T × T matrices, one head at a time, in float64."""
    cos, sin = (t.double()[: x.shape[1]] for t in rotary_table(model))
    weight = {name: p.double() for name, p in layer.named_parameters()}
    size, heads, kv = model.head_size, model.num_heads, model.num_kv_heads
    x = x.double()
    q, k, v = (x @ weight[f"{name}.weight"].T for name in "qkv")

    def rope(z):
        half = size // 2
        return z * cos + torch.cat((-z[..., half:], z[..., :half]), -1) * sin

    future = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)

    def attention_map(qs, ks):
        return ((rope(qs) @ rope(ks).transpose(1, 2)) / math.sqrt(size)).masked_fill(future, -math.inf).softmax(-1)

    lam = (
        torch.exp(weight["lambda_q1"] @ weight["lambda_k1"])
        - torch.exp(weight["lambda_q2"] @ weight["lambda_k2"])
        + layer.lambda_init
    )
    out = []
    for h in range(heads):
        g = h // (heads // kv)
        cut = lambda z, i: z[..., i * size : (i + 1) * size]  # noqa: E731
        first = attention_map(cut(q, h), cut(k, g))
        second = attention_map(cut(q, heads + h), cut(k, kv + g))
        z = (first - lam * second) @ cut(v, g)
        z = z / torch.sqrt((z**2).mean(-1, keepdim=True) + model.norm_eps) * weight["head_norm.weight"]
        out.append(z * (1 - layer.lambda_init))
    return torch.cat(out, -1) @ weight["o.weight"].T


@torch.no_grad()
def test_differential_attention_equals_the_formula_in_float64():
    model = SMALL.model_copy(update={"attention": "differential"})
    layer = build(model, seed=5).blocks[2].attention
    assert layer.lambda_init == pytest.approx(0.8 - 0.6 * math.exp(-0.6))
    layer.head_norm.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 33, 64, generator=torch.Generator().manual_seed(2))
    cos, sin = (t[:33] for t in rotary_table(model))
    torch.testing.assert_close(layer(x, cos, sin).double(), _plain_differential(layer, x, model), atol=2e-5, rtol=0)


@torch.no_grad()
def test_without_lambda_and_norm_it_is_standard_attention():
    model = SMALL.model_copy(update={"attention": "differential"})
    layer = build(model, seed=5).blocks[0].attention
    layer.lambda_value = lambda: torch.tensor(0.0)
    layer.head_norm = torch.nn.Identity()
    standard = GroupedQueryAttention(SMALL, 0)
    half = {"q": model.hidden_size, "k": model.num_kv_heads * model.head_size}
    for name in "qkvo":
        weight = getattr(layer, name).weight
        getattr(standard, name).weight.copy_(weight[: half.get(name, len(weight))])
    x = torch.randn(2, 33, 64, generator=torch.Generator().manual_seed(2))
    cos, sin = (t[:33] for t in rotary_table(model))
    torch.testing.assert_close(layer(x, cos, sin) / (1 - layer.lambda_init), standard(x, cos, sin), atol=1e-5, rtol=0)


# --- every kind of the table: its row says what its class does


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("sizes", [(32, 4, 2), (48, 6, 6), (64, 4, 1), (256, 8, 2)], ids=str)
def test_the_row_of_a_kind_is_what_its_class_does(kind, sizes):
    hidden, heads, kv_heads = sizes
    model = small_model(attention=kind, hidden_size=hidden, num_heads=heads, num_kv_heads=kv_heads)
    assert attention_problems(model) == []


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("experts", [1, 4])
def test_a_built_model_has_the_parameters_that_are_counted(kind, experts):
    model = small_model(attention=kind, num_experts=experts, num_active_experts=min(experts, 2))
    assert sum(weight.numel() for weight in build(model, 0).parameters()) == count_parameters(model).total


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_the_kv_cache_has_the_shape_of_what_is_added(kind):
    model = small_model(attention=kind)
    hamner, cache, tokens = build(model, 0).eval(), KVCache(model, 8), torch.arange(5)[None]
    with torch.no_grad():
        hamner.hidden_states(tokens, cache)
        x = hamner.blocks[0].attention_norm(hamner.embed(tokens))
        _, k, v = hamner.blocks[0].attention.project(x, hamner.cos[:5], hamner.sin[:5])
    filled = cache.of_layer(0)
    before_k, before_v = filled.append(k[:, :, :0], v[:, :, :0])
    assert torch.equal(before_k, k) and torch.equal(before_v, v)


WRONG_ROWS = {
    "parameters": {"parameters": lambda m: 1},
    "CacheShape": {"cache": lambda m: CacheShape(1, m.head_size, 1, m.head_size)},
    "score_flops": {"score_flops": lambda m, seq_len: 16 * m.hidden_size * seq_len},
    "useful_score_flops": {"useful_score_flops": lambda m, seq_len: 9 * m.hidden_size * seq_len},
    "activations": {"activations": lambda m: 4 * m.hidden_size},
}


@pytest.mark.parametrize("word", WRONG_ROWS)
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_wrong_row_fails_loudly(kind, word, monkeypatch):
    monkeypatch.setitem(ATTENTION_KINDS, kind, replace(ATTENTION_KINDS[kind], **WRONG_ROWS[word]))
    (problem,) = attention_problems(small_model(attention=kind))
    assert problem.startswith(f"attention '{kind}'") and word in problem


# --- a class of your own, by its import path


class Own(GroupedQueryAttention):
    kind = ATTENTION_KINDS["grouped"]


class NoRow(GroupedQueryAttention):
    pass


class CountsSeven(Own):
    kind = replace(Own.kind, parameters=lambda m: 7)


class SeesTheFuture(Own):
    def attend(self, q, k, v, mask=None):
        every = torch.zeros(q.shape[2], k.shape[2], dtype=q.dtype, device=q.device)
        return causal_attention(q, k, v, every if mask is None else mask)


class IgnoresTheMask(Own):
    def attend(self, q, k, v, mask=None):
        return causal_attention(q, k, v)


class CountsFromTheFirst(Own):
    """A window of 4 tokens that takes the first query for the first token, whatever the cache holds."""

    def attend(self, q, k, v, mask=None):
        near = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril().triu(-3)
        near = torch.zeros(near.shape).masked_fill(~near, -math.inf)
        return causal_attention(q, k, v, near if mask is None else near + mask)


class HasABuffer(Own):
    def __init__(self, model, layer):
        super().__init__(model, layer)
        self.register_buffer("slope", torch.ones(3), persistent=False)


class Unfinished(Attention):
    kind = ATTENTION_KINDS["grouped"]

    def project(self, x, cos, sin):
        return x, x, x


def _own(kind):
    return small_model(attention=f"{__name__}.{kind.__name__}")


def test_a_class_of_your_own_is_counted_built_and_cached_as_its_row_says():
    own, plain = _own(Own), small_model()
    assert count_parameters(own) == count_parameters(plain)
    assert training_flops_per_token(own, 64) == training_flops_per_token(plain, 64)
    assert useful_flops_per_token(own, 64) == useful_flops_per_token(plain, 64)
    tokens = torch.arange(7)[None]
    assert torch.equal(build(own, 3)(tokens).logits, build(plain, 3)(tokens).logits)
    cache = KVCache(own, 7)
    torch.testing.assert_close(build(own, 3).hidden_states(tokens, cache)[0], build(plain, 3).hidden_states(tokens)[0])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (SeesTheFuture, "must be causal"),
        (IgnoresTheMask, "ignores the mask"),
        (CountsFromTheFirst, "with the keys of a KV cache"),
    ],
)
def test_a_class_that_sees_the_wrong_tokens_is_not_built(kind, words):
    with pytest.raises(BadInput, match=words):
        build(_own(kind), 0)


def test_a_row_of_your_own_that_is_wrong_is_not_built():
    with pytest.raises(BadInput, match="the row counts 7 parameters, the class has"):
        build(_own(CountsSeven), 0)


def test_what_a_class_lacks_is_named():
    with pytest.raises(BadInput, match=r"NotImplementedError: HasABuffer has buffers: define fill_buffers\(\)"):
        build(_own(HasABuffer), 0)
    with pytest.raises(BadInput, match=r"TypeError.*Unfinished.*attend.*merge"):
        build(_own(Unfinished), 0)
    with pytest.raises(TypeError, match="cache"):
        AttentionKind(parameters=len, score_flops=len, useful_score_flops=len, activations=len)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("groupd", "did you mean 'grouped'"),
        ("mamba", "known: grouped, differential"),
        (f"{__name__}.NoRow", "has no `kind`"),
        (f"{__name__}.Absent", "test_attention has no Absent"),
        ("no_such_module.Mine", "cannot be imported.*put the folder of no_such_module.py on PYTHONPATH"),
        ("other_module.Mine", "allow it with HAMNER_MODULES=no_such_module,other_module"),
    ],
)
def test_an_attention_that_is_none_is_bad_input(name, words, monkeypatch):
    monkeypatch.setenv("HAMNER_MODULES", "no_such_module")
    sizes = small_model().model_dump() | {"attention": name}
    with pytest.raises(BadInput, match=f"'attention' = '{name}'.*{words}"):
        parse(ModelConfig, sizes, "here")


def test_a_checkpoint_that_names_a_module_runs_no_code_of_it(tmp_path, monkeypatch):
    """Whoever sends a checkpoint may send a file beside it; it is imported only where the user has allowed it."""
    (tmp_path / "sent_along.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    sizes = small_model().model_dump() | {"attention": "sent_along.Mine"}
    with pytest.raises(BadInput, match="HAMNER_MODULES=sent_along"):
        parse(ModelConfig, sizes, "state.json")
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("HAMNER_MODULES", "sent_along")
    with pytest.raises(BadInput, match="sent_along has no Mine"):
        parse(ModelConfig, sizes, "state.json")
    assert (tmp_path / "ran").exists()


def test_both_tables_have_the_same_kinds_and_a_row_without_its_class_is_noticed(monkeypatch):
    import importlib

    from hamner.model import attention

    assert list(ATTENTIONS) == list(ATTENTION_KINDS)
    monkeypatch.setitem(attention_kinds.ATTENTION_KINDS, "half", ATTENTION_KINDS["grouped"])
    spec = importlib.util.find_spec("hamner.model.attention")
    with pytest.raises(TypeError, match=r"\['half'\] need both a class"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert attention.ATTENTIONS is ATTENTIONS
