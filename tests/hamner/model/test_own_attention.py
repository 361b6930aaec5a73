"""The example of an attention kind of your own: it runs, trains in both precisions, and is what its row says."""

import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_kinds import small_model

from hamner.config.attention_kinds import ATTENTION_KINDS, own_attention
from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.model.attention import GroupedQueryAttention
from hamner.model.attention_check import attention_problems
from hamner.model.loss import head_loss
from hamner.model.transformer import build
from tournament.gpu_memory import memory_estimate

REPO = Path(__file__).resolve().parents[3]
NAME = "own_attention.GatedAttention"
GROUPED = ATTENTION_KINDS["grouped"]


@pytest.fixture(autouse=True)
def example_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(REPO / "docs" / "examples")
    monkeypatch.setenv("HAMNER_MODULES", "own_attention")


def test_the_example_plans_a_league_of_both():
    script = REPO / "docs" / "examples" / "own_attention.py"
    answer = subprocess.run([sys.executable, script], cwd=REPO, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "v01_dense_small" in answer.stdout and "v01_gated" in answer.stdout


@pytest.mark.parametrize("sizes", [(32, 4, 2), (64, 4, 4), (128, 8, 1)], ids=str)
def test_its_row_is_what_its_class_does(sizes):
    hidden, heads, kv_heads = sizes
    model = small_model(attention=NAME, hidden_size=hidden, num_heads=heads, num_kv_heads=kv_heads)
    assert attention_problems(model) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_learns_a_sequence_by_heart(dtype):
    hamner, tokens = build(small_model(attention=NAME), seed=0).train(), torch.arange(120).remainder(23).repeat(2, 1)
    hamner.dtype = dtype
    adam = torch.optim.AdamW(hamner.parameters(), lr=3e-3)
    for _ in range(60):
        adam.zero_grad()
        loss = head_loss(hamner.hidden_states(tokens)[0], hamner.embedding.weight, tokens)
        loss.backward()
        adam.step()
    assert loss.item() < 0.3


def test_memory_and_parameters_follow_from_the_row():
    config, plain, gated = load_config("rtx3090"), small_model(), small_model(attention=NAME)
    assert count_parameters(gated).total - count_parameters(plain).total == 3 * 32 * 32
    assert memory_estimate(gated, config).first_block > memory_estimate(plain, config).first_block


def _class_with(**methods):
    """A subclass of grouped-query attention, importable as own_kinds.Own, with these methods in place of its own."""
    own = type("Own", (GroupedQueryAttention,), {"kind": ATTENTION_KINDS["grouped"], **methods})
    sys.modules["own_kinds"] = types.SimpleNamespace(Own=own)  # type: ignore[assignment]
    return small_model(attention="own_kinds.Own")


def _changes_projection(change):
    def project(self, x, cos, sin):
        return change(x, *GroupedQueryAttention.project(self, x, cos, sin))

    return {"project": project}


def _merge_of_the_mean(self, attended):
    return GroupedQueryAttention.merge(self, attended + attended.mean(2, keepdim=True))


LEAKS = {
    "the next token's value": _changes_projection(lambda x, q, k, v: (q, k, v.roll(-1, dims=2))),
    "the mean value": _changes_projection(lambda x, q, k, v: (q, k, v + v.mean(2, keepdim=True))),
    "queries normed over the row": _changes_projection(lambda x, q, k, v: (q / q.norm(dim=2, keepdim=True), k, v)),
    "a scale of the whole row": _changes_projection(lambda x, q, k, v: (q * (1 + x.mean()), k, v)),
    "merge of the mean": {"merge": _merge_of_the_mean},
}


@pytest.mark.parametrize("methods", LEAKS.values(), ids=LEAKS)
def test_a_token_that_sees_later_ones_outside_attend_is_refused(methods):
    (problem,) = [line for line in attention_problems(_class_with(**methods)) if "later ones" in line]
    assert "through project() or merge()" in problem


def test_a_projection_of_earlier_tokens_is_refused_since_no_cache_keeps_them():
    shifted = _changes_projection(lambda x, q, k, v: (q, k, torch.cat((v[:, :, :1], v[:, :, :-1]), dim=2)))
    problems = attention_problems(_class_with(**shifted))
    assert [line for line in problems if "KV cache" in line] and not [line for line in problems if "later ones" in line]


@pytest.mark.parametrize(("name", "is_refused"), [("temperature", True), ("norm_temperature", False)])
def test_a_vector_that_would_be_drawn_like_a_matrix_is_refused(name, is_refused):
    def init(self, model, layer):
        GroupedQueryAttention.__init__(self, model, layer)
        setattr(self, name, torch.nn.Parameter(torch.ones(model.num_heads)))

    problems = attention_problems(_class_with(__init__=init))
    assert any(f"the parameter {name}" in line for line in problems) == is_refused


def _window_mask(size):
    back = torch.arange(size)[:, None] - torch.arange(size)
    return torch.zeros(size, size).masked_fill((back < 0) | (back >= 8), float("-inf"))


def _window_class(*, is_filled):
    """Sliding-window attention, its mask in a buffer that __init__ leaves empty, as fill_buffers allows."""

    def init(self, model, layer):
        GroupedQueryAttention.__init__(self, model, layer)
        self.register_buffer("window", torch.empty(model.max_seq_len, model.max_seq_len), persistent=False)

    def fill(self):
        if is_filled:
            self.window = _window_mask(len(self.window))

    def attend(self, q, k, v, mask=None):
        window = self.window[k.shape[2] - q.shape[2] : k.shape[2], : k.shape[2]].to(q.dtype)
        return GroupedQueryAttention.attend(self, q, k, v, window if mask is None else mask + window)

    row = replace(GROUPED, activations=lambda m: GROUPED.activations(m) + m.hidden_size)
    return _class_with(kind=row, __init__=init, fill_buffers=fill, attend=attend)


def test_a_window_in_a_buffer_passes_and_a_buffer_that_nobody_fills_is_refused():
    assert attention_problems(_window_class(is_filled=True)) == []
    assert any("not finite" in line for line in attention_problems(_window_class(is_filled=False)))


def _heads_last(self, q, k, v, mask=None):
    return GroupedQueryAttention.attend(self, q, k, v, mask).transpose(1, 2)


def _without_tokens(self, attended):
    return GroupedQueryAttention.merge(self, attended).mean(1)


SHAPES = {
    "project() makes queries of shape (1, 24, 4, 8)": _changes_projection(lambda x, q, k, v: (q.transpose(1, 2), k, v)),
    "attend() returns (1, 24, 4, 8), not (1, heads, 24, size)": {"attend": _heads_last},
    "merge() returns (1, 32), not (1, 24, 32)": {"merge": _without_tokens},
}


@pytest.mark.parametrize(("words", "methods"), SHAPES.items(), ids=["project", "attend", "merge"])
def test_a_wrong_shape_is_one_line_with_both_shapes(words, methods):
    (problem,) = attention_problems(_class_with(**methods))
    assert words in problem


def test_what_a_class_or_its_row_raises_is_one_line_that_says_where():
    row = replace(GROUPED, parameters=lambda m: m.hiden_size)
    (problem,) = attention_problems(_class_with(kind=row))
    assert "test_own_attention.py, line" not in problem  # the class's own file alone
    assert "AttributeError" in problem and "hiden_size" in problem


def test_a_product_that_is_not_in_the_precision_of_its_input_is_refused():
    """It computes in fp32, and raises in bf16."""

    def init(self, model, layer):
        GroupedQueryAttention.__init__(self, model, layer)
        self.more = torch.nn.Linear(model.hidden_size, model.hidden_size, bias=False)

    def project(self, x, cos, sin):
        return GroupedQueryAttention.project(self, self.more(x), cos, sin)

    row = replace(GROUPED, parameters=lambda m: GROUPED.parameters(m) + m.hidden_size**2)
    problems = attention_problems(_class_with(kind=row, __init__=init, project=project))
    assert len(problems) == 1 and "bf16" in problems[0] and "hamner/model/layers.py" in problems[0]


def test_a_mistyped_class_and_a_second_module_are_told_the_way_out():
    with pytest.raises(BadInput, match="did you mean 'GatedAttention'"):
        own_attention("own_attention.GatedAtention")
    with pytest.raises(BadInput, match="HAMNER_MODULES=own_attention,another"):
        own_attention("another.Kind")


def test_a_module_that_fails_on_import_is_not_sought_on_the_path(tmp_path, monkeypatch):
    (tmp_path / "fails_on_import.py").write_text("from dataclasses import no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HAMNER_MODULES", "fails_on_import")
    with pytest.raises(BadInput, match=r"no_such_name.*mend fails_on_import\.py"):
        own_attention("fails_on_import.Mine")
