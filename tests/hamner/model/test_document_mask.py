"""A packed row under the document mask against each of its documents alone, and against transformers' own packing."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hamner.config.presets import CONTESTANTS, model_named
from hamner.config.schema import Compute, ModelConfig, Size
from hamner.config.special_tokens import END_OF_TEXT
from hamner.evaluation.heldout import heldout_loss
from hamner.model import transformer
from hamner.model.document_mask import document_positions
from hamner.model.loss import token_losses
from hamner.model.transformer import build

KINDS = {
    "dense": {},
    "differential": {"attention": "differential"},
    "experts": {"num_experts": 4, "num_active_experts": 2},
}
LENGTHS = (31, 52, 77)  # of three documents, the borders of which lie on no block's edge


def _config(**changes):
    return ModelConfig(
        **(
            {
                "vocab_size": 300,
                "hidden_size": 64,
                "num_layers": 3,
                "num_heads": 4,
                "num_kv_heads": 2,
                "intermediate_size": 96,
            }
            | changes
        )
    )


def _documents(rows=2):
    """Three documents (rows, length) of random tokens, each closed."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(20, 300, (rows, length), generator=generator) for length in LENGTHS]
    for tokens in drawn:
        tokens[:, -1] = END_OF_TEXT
    return drawn


def _far(one, other):
    return ((one - other).norm() / other.norm().clamp_min(1e-12)).item()


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_each_document_of_a_row_gets_the_logits_it_gets_alone(kind):
    masked, plain = (build(_config(document_mask=on, **KINDS[kind]), seed=3) for on in (True, False))
    documents = _documents()
    packed, mixed = masked(torch.cat(documents, dim=1)).logits, plain(torch.cat(documents, dim=1)).logits
    for document, found in zip(documents, packed.split(LENGTHS, 1), strict=True):
        torch.testing.assert_close(found, plain(document).logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[:, :31], mixed[:, :31], atol=1e-5, rtol=0)
    assert (packed - mixed)[:, 31:].abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_each_document_gives_the_gradients_it_gives_alone(kind):
    documents = _documents()
    masked, plain = (build(_config(document_mask=on, **KINDS[kind]), seed=3).train() for on in (True, False))
    packed = torch.cat(documents, dim=1)
    losses = token_losses(masked(packed).logits, packed)
    within = torch.ones(packed.shape[1] - 1, dtype=torch.bool)
    within[[30, 82]] = False  # what an end predicts is the next document's beginning
    total = losses[:, within].sum()
    alone = sum(token_losses(plain(document).logits, document).sum() for document in documents)
    assert total.item() == pytest.approx(alone.item(), rel=1e-6)
    total.backward()
    alone.backward()
    far = {
        name: _far(weight.grad, dict(plain.named_parameters())[name].grad) for name, weight in masked.named_parameters()
    }
    assert max(far.values()) < 1e-4, far


@pytest.mark.parametrize("kind", KINDS)
def test_in_bf16_by_blocks_a_row_is_its_documents_too(kind, monkeypatch):
    """Experts are chosen by rounded numbers: a few tokens may go elsewhere, so norms are compared."""
    documents, calls = _documents(), []
    blocks = transformer.GroupedQueryAttention.attend.__globals__
    for name in ("block_attention", "differential_block_attention"):
        monkeypatch.setitem(blocks, name, lambda *a, kept=blocks[name]: calls.append(len(a)) or kept(*a))
    masked = build(_config(document_mask=True, **KINDS[kind]), seed=3)
    exact = masked(torch.cat(documents, dim=1)).logits
    assert calls == []  # short rows in fp32 go through PyTorch's kernel
    masked.dtype = torch.bfloat16
    found = masked(torch.cat(documents, dim=1)).logits.float()
    assert len(calls) == 3
    assert _far(found, exact) < 0.02
    other = torch.cat([torch.randint_like(documents[0], 20, 300), *documents[1:]], dim=1)
    other[:, 30] = END_OF_TEXT
    if kind != "experts":  # whose grouped sums depend on who else is there
        assert torch.equal(masked(other).logits[:, 31:].float(), found[:, 31:])


@torch.no_grad()
def test_logits_equal_those_of_llama_told_where_documents_begin():
    """transformers masks documents by itself where a row's positions begin anew."""
    ours = build(_config(document_mask=True), seed=3)
    c = ours.config
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            intermediate_size=c.intermediate_size,
            num_hidden_layers=c.num_layers,
            num_attention_heads=c.num_heads,
            num_key_value_heads=c.num_kv_heads,
            rms_norm_eps=c.norm_eps,
            max_position_embeddings=c.max_seq_len,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
        )
    ).eval()
    state = {
        "model.embed_tokens.weight": ours.embed(torch.arange(c.vocab_size)),
        "lm_head.weight": ours.embedding.weight,
        "model.norm.weight": ours.final_norm.weight,
    }
    for i, block in enumerate(ours.blocks):
        state |= {
            f"model.layers.{i}.input_layernorm.weight": block.attention_norm.weight,
            f"model.layers.{i}.post_attention_layernorm.weight": block.mlp_norm.weight,
        }
        state |= {f"model.layers.{i}.self_attn.{n}_proj.weight": getattr(block.attention, n).weight for n in "qkvo"}
        state |= {f"model.layers.{i}.mlp.{n}_proj.weight": getattr(block.mlp, n).weight for n in ("gate", "up", "down")}
    theirs.load_state_dict(state, strict=True)
    row = torch.cat(_documents(rows=1), dim=1)
    packed = theirs(row, position_ids=document_positions(row), use_cache=False).logits
    assert (packed - theirs(row).logits).abs().max() > 0.1
    torch.testing.assert_close(ours(row).logits, packed, atol=1e-4, rtol=0)


def test_without_it_documents_are_not_even_looked_for(monkeypatch):
    monkeypatch.setattr(transformer, "document_mask", lambda *_: pytest.fail("a mask was made"))
    row = torch.cat(_documents(), dim=1)
    with torch.no_grad():
        assert build(_config(), 3)(row).logits.isfinite().all()
    with pytest.raises(pytest.fail.Exception, match="a mask was made"):
        build(_config(document_mask=True), 3)(row)


def test_held_out_losses_are_taken_under_the_mask_a_model_was_trained_with():
    row, compute = torch.cat(_documents(rows=4), dim=1), Compute(device="cpu", precision="fp32")
    found = {}
    for on in (True, False):
        hamner = build(_config(document_mask=on), seed=3)
        found[on] = heldout_loss(hamner, row, compute, batch_size=3)
        with torch.no_grad():
            assert found[on] == pytest.approx(token_losses(hamner(row).logits, row).mean().item(), abs=1e-5)
    assert abs(found[True] - found[False]) > 1e-3


@pytest.mark.parametrize("divide", [1, 4])
def test_a_config_gives_it_to_every_contestant_or_to_none(divide):
    for on in (True, False):
        size = Size(divide=divide, document_mask=on)
        assert {model_named(name, size).document_mask for name in (*CONTESTANTS, "v2", "v3")} == {on}
    assert not Size().document_mask
