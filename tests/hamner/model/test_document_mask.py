"""The document mask: against a count by hand, each document alone, and transformers' own packing."""

import math

import model_kinds
import pytest
import torch
from hugging_face import hugging_face
from model_kinds import relative_error
from transformers import LlamaConfig, LlamaForCausalLM

from hamner.config.presets import CONTESTANTS, model_named
from hamner.config.schema import Compute, Size
from hamner.config.special_tokens import END_OF_TEXT
from hamner.evaluation.heldout import evaluate_rows
from hamner.model.document_mask import document_ids, document_mask, document_positions, same_document
from hamner.model.kernels import dispatch
from hamner.model.kernels.rules import Hardware
from hamner.model.loss import token_losses
from hamner.model.transformer import build

KINDS = {kind: changes for kind, changes in model_kinds.KINDS.items() if kind != "documents"}
LENGTHS = (31, 52, 77)  # of three documents, the borders of which lie on no block's edge


def _config(**changes):
    return model_kinds.small_model(hidden_size=64, intermediate_size=96, **changes)


def _documents(rows=2):
    """Three documents (rows, length) of random tokens, each closed."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(20, 300, (rows, length), generator=generator) for length in LENGTHS]
    for tokens in drawn:
        tokens[:, -1] = END_OF_TEXT
    return drawn


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
    errors = {
        name: relative_error(weight.grad, dict(plain.named_parameters())[name].grad)
        for name, weight in masked.named_parameters()
    }
    assert max(errors.values()) < 1e-4, errors


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@dispatch.pretend(Hardware("cpu", instructions="AVX512"))  # with AVX2 alone fp32 goes by blocks as well
def test_in_bf16_by_blocks_a_row_is_its_documents_too(kind):
    """Experts are chosen by rounded numbers: a few tokens may go elsewhere, so norms are compared."""
    documents = _documents()
    masked, row = build(_config(document_mask=True, **KINDS[kind]), seed=3), torch.cat(documents, dim=1)

    def without_blocks():
        with dispatch.force(block_attention=False, differential_blocks=False):
            return masked(row).logits

    exact = masked(row).logits
    assert torch.equal(exact, without_blocks())  # short rows in fp32 go through PyTorch's kernel
    masked.dtype = torch.bfloat16
    rounded = masked(row).logits
    assert not torch.equal(rounded, without_blocks())
    assert relative_error(rounded.float(), exact) < 0.02
    other = torch.cat([torch.randint_like(documents[0], 20, 300), *documents[1:]], dim=1)
    other[:, 30] = END_OF_TEXT
    if kind != "experts":  # whose grouped sums depend on who else is there
        assert torch.equal(masked(other).logits[:, 31:], rounded[:, 31:])


@torch.no_grad()
def test_logits_equal_those_of_llama_told_where_documents_begin():
    """transformers masks documents by itself where a row's positions begin anew."""
    ours = build(_config(document_mask=True), seed=3)
    theirs = hugging_face(ours, LlamaConfig, LlamaForCausalLM)
    row = torch.cat(_documents(rows=1), dim=1)
    packed = theirs(row, position_ids=document_positions(row), use_cache=False).logits
    assert (packed - theirs(row).logits).abs().max() > 0.1
    torch.testing.assert_close(ours(row).logits, packed, atol=1e-4, rtol=0)


@torch.no_grad()
def test_without_it_no_end_of_text_separates_anything():
    row = torch.cat(_documents(), dim=1)
    later = row.clone()
    later[:, 0] = (row[:, 0] + 1) % 280 + 20
    reach = {}
    for on in (True, False):
        hamner = build(_config(document_mask=on), 3)
        reach[on] = (hamner(later).logits - hamner(row).logits).abs().amax(dim=(0, 2)).nonzero().max().item()
    assert reach == {True: 30, False: row.shape[1] - 1}  # the first document's last token, the row's


def test_held_out_losses_are_taken_under_the_mask_a_model_was_trained_with():
    row, compute = torch.cat(_documents(rows=4), dim=1), Compute(device="cpu", precision="fp32")
    found = {}
    for on in (True, False):
        hamner = build(_config(document_mask=on), seed=3)
        found[on] = evaluate_rows(hamner, row, compute, batch_size=3).loss
        with torch.no_grad():
            assert found[on] == pytest.approx(token_losses(hamner(row).logits, row).mean().item(), abs=1e-5)
    assert abs(found[True] - found[False]) > 1e-3


@pytest.mark.parametrize("divide", [1, 4])
def test_a_config_gives_it_to_every_contestant_or_to_none(divide):
    for on in (True, False):
        size = Size(divide=divide, document_mask=on)
        assert {model_named(name, size).document_mask for name in (*CONTESTANTS, "v2", "v3")} == {on}
    assert not Size().document_mask


# --- the mask itself

E = END_OF_TEXT
ROWS = torch.tensor([[5, 6, E, 7, E, E, 8, 9], [E, 5, 6, 7, 8, 9, 5, E], [5, 6, 7, 8, 9, 5, 6, 7]])


def test_an_end_belongs_to_the_document_it_closes():
    assert document_ids(ROWS).tolist() == [[0, 0, 0, 1, 1, 2, 3, 3], [0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
    assert document_ids(ROWS).dtype == torch.int64


def test_positions_count_from_each_document_s_beginning():
    assert document_positions(ROWS).tolist() == [
        [0, 1, 2, 0, 1, 0, 0, 1],
        [0, 0, 1, 2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5, 6, 7],
    ]


def test_only_tokens_of_one_document_see_each_other():
    seen = same_document(ROWS)
    assert seen.shape == (3, 1, 8, 8) and seen.dtype == torch.bool
    assert seen[0, 0].sum().item() == 9 + 4 + 1 + 4
    assert seen[0, 0, 4].nonzero().flatten().tolist() == [3, 4]
    assert seen[2].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_takes_away_the_future_and_other_documents(dtype):
    mask = document_mask(ROWS, 8, dtype)
    assert mask.shape == (3, 1, 8, 8) and mask.dtype == dtype
    assert set(mask.unique().tolist()) == {0, -math.inf}
    seen = [row.nonzero().flatten().tolist() for row in mask[0, 0] == 0]
    assert seen == [[0], [0, 1], [0, 1, 2], [3], [3, 4], [5], [6], [6, 7]]
    assert torch.equal(mask[2, 0] == 0, torch.ones(8, 8).tril() > 0)
    assert torch.equal(document_mask(ROWS, 3, dtype), mask[:, :, 5:])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_loop_over_random_rows_says_the_same(dtype):
    tokens = torch.randint(0, 6, (64, 97), generator=torch.Generator().manual_seed(0)).to(dtype)
    ids, positions = document_ids(tokens), document_positions(tokens)
    for row, of_row, place_in in zip(tokens.tolist(), ids.tolist(), positions.tolist(), strict=True):
        document = place = 0
        for token, said, said_place in zip(row, of_row, place_in, strict=True):
            assert (said, said_place) == (document, place)
            document, place = (document + 1, 0) if token == E else (document, place + 1)


@pytest.mark.parametrize("tokens", [torch.zeros(4, dtype=torch.long), torch.zeros(2, 4), torch.zeros(1, 4) > 0])
def test_what_is_no_batch_of_tokens_is_refused(tokens):
    for function in (document_ids, document_positions, same_document):
        with pytest.raises(ValueError, match=r"tokens must be integers \(B, T\), not"):
            function(tokens)
