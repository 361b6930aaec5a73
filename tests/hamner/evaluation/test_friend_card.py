"""The whole friend card of a tiny model: every section, the same each time, and what cannot be measured is named."""

import json

import pytest
import torch

from hamner.config.load import load_config
from hamner.config.schema import Compute, ModelConfig
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import prepare
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friend_card import SECTIONS, Card, CardSettings, measure
from hamner.evaluation.minimal_pairs import MinimalPair
from hamner.inference.generate import Sampling, stream
from hamner.model.transformer import build

CPU = Compute(device="cpu", precision="fp32")
SETTINGS = CardSettings(replies=6, rows=4, conversations=30, skill_items=1)
SHAPE = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 16}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    config = load_config("smoke", ["builtin_characters=60_000", "bpe_characters=30_000", "report=[]"])
    sources = ["tinystories", "sft", "personal"]
    prepare(config, folder, sources, tokenizer=None, seq_len=64, hub_tokens=0, say=lambda line: None)
    return folder, Tokenizer.load(folder)


def _card(text, *, corpus=True, max_seq_len=400, pairs=True):
    folder, tokenizer = text
    hamner = build(ModelConfig(vocab_size=tokenizer.vocab_size, max_seq_len=max_seq_len, **SHAPE), seed=0)

    def writer(ids, most, *, seed, greedy=False):
        sampling = Sampling(temperature=0 if greedy else 0.7)
        return list(stream(hamner, ids, min(most, 8), sampling, torch.Generator().manual_seed(seed)))

    mine = {"mine": [MinimalPair("The dog is big.", "The dog are big.", "")]} if pairs else {}
    read = Corpus(folder, tokenizer.sha256) if corpus else None
    return measure(Card(hamner, tokenizer, writer, read, CPU, SETTINGS, mine))


@pytest.fixture(scope="module")
def card(text):
    return _card(text)


def test_every_section_has_figures_with_an_error_and_most_with_a_guess(card):
    sections = {figure.section for figure in card.figures}
    assert sections == set(SECTIONS) and card.left_out == ["belongs: no 20 held-out replies of sft are of one length"]
    assert all(f.error is not None for f in card.figures if not f.name.endswith(", longest"))
    assert len([f for f in card.figures if f.guess is not None]) > len(card.figures) / 2
    assert len({(f.section, f.name, f.unit) for f in card.figures}) == len(card.figures)
    losses = {f.name for f in card.figures if f.section == "held-out loss" and f.unit == "bits/byte"}
    assert losses == {"tinystories", "sft", "personal", "synthetic"}
    memorised = [f.name for f in card.figures if f.section == "memorisation"]
    assert memorised[0] == "personal: replies, mean"


def test_an_untrained_model_is_no_better_than_guessing(card):
    pairs = next(f for f in card.figures if f.section == "friendly pairs")
    assert abs(pairs.errors_above) < 4
    assert all(f.errors_above < 4 for f in card.figures if f.section == "synthetic skills" and f.errors_above)


def test_bits_per_byte_are_nats_per_token_of_the_same_text(card):
    by_unit = {f.unit: f for f in card.figures if f.section == "held-out loss" and f.name == "personal"}
    nats, bits = by_unit["nats/token"], by_unit["bits/byte"]
    assert bits.error / nats.error == pytest.approx(bits.value / nats.value) == pytest.approx(bits.guess / nats.guess)


def test_the_document_is_json_and_the_same_each_time(text, card):
    document = card.document({"run": "mine"})
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(
        json.dumps(_card(text).document({"run": "mine"}))
    )
    assert len(document["replies"]) == SETTINGS.replies and len(document["conversations"]) == 30
    assert document["figures"][0].keys() >= {"section", "name", "value", "error", "guess", "count", "errors_above"}


def test_what_cannot_be_measured_is_named(text):
    small = _card(text, corpus=False, max_seq_len=60, pairs=False)
    named = [line.partition(":")[0] for line in small.left_out]
    assert {"held-out replies", "held-out loss", "memorisation", "synthetic skills", "friendly pairs"} <= set(named)
    assert {f.section for f in small.figures} <= {"friendly pairs", "what it writes", "scripted conversations"}
    assert any("no prepared text" in line and "--data" in line for line in small.left_out)
