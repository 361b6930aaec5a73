"""Real text of all five kinds, from the folder in HAMNER_DATA; skipped without it."""

import json
import os
from pathlib import Path

import pytest

from hamner.contestants import CONTESTANTS
from hamner.load_config import load_config
from hamner.prepare_data import choose_tokenizer, prepare

DATA = os.environ.get("HAMNER_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="HAMNER_DATA is not set: no real text to read")
NAMES = ["tinystories", "fineweb_edu", "sft", "personal"]


def test_all_five_kinds_are_read_split_and_tokenised(tmp_path):
    config = load_config("smoke", [f"data.path={DATA}"])
    said = []
    corpus, tokenizer = prepare(config, tmp_path, NAMES, tokenizer=None, seq_len=64, hub_tokens=0, say=said.append)
    facts = corpus.manifest["sources"]
    assert said == []    # nothing malformed in the folder
    assert (facts["tinystories"]["documents"] + facts["tinystories"]["heldout_documents"]) == 821 + 537
    assert (facts["sft"]["documents"] + facts["sft"]["heldout_documents"]) == 5182 + 1295 + 20 + 611
    assert (facts["personal"]["documents"] + facts["personal"]["heldout_documents"]) == 79
    for name in NAMES:
        total = facts[name]["documents"] + facts[name]["heldout_documents"]
        assert 0.02 < facts[name]["heldout_documents"] / total <= 0.2
        assert 3 < facts[name]["heldout_unigram_nats"] < 7.6
        assert len(corpus.train(name)) == facts[name]["tokens"]
    assert tokenizer.vocab_size == 2048
    # the chat template, not role tags, stands in the sft tokens
    sft = tokenizer.decode(corpus.train("sft")[:4000].tolist())
    assert "<|user|>" not in sft and (corpus.train("sft")[:4000] == 1).sum() > 10


def test_the_real_tokenizer_is_used_at_full_size(tmp_path):
    config = load_config("rtx3090", [f"data.path={DATA}", "device=cpu"])
    tokenizer = choose_tokenizer(config)
    assert tokenizer is not None and tokenizer.vocab_size == 49_152
    corpus, _ = prepare(config, tmp_path, ["tinystories"], tokenizer=tokenizer, seq_len=64, hub_tokens=0)
    facts = corpus.manifest["sources"]["tinystories"]
    assert facts["tokens"] + facts["heldout_tokens"] == 195_401 + 132_542 + 821 + 537    # and an end each


@pytest.mark.slow
def test_all_ten_learn_in_round_one(commands):
    """The laptop league on real text: everybody ends round 1 at least 0.3 nats below the unigram entropy."""
    done = commands.run("tournament", "--config", "laptop", "--data", DATA, "--name", "real", timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = commands.results / "tournament" / "real"
    manifest = json.loads((folder / "data" / "manifest.json").read_text())
    unigram = manifest["sources"]["fineweb_edu"]["heldout_unigram_nats"]
    rows = json.loads((folder / "standings.json").read_text())["rounds"][0]["standings"]
    assert {row["contestant"] for row in rows} == set(CONTESTANTS)
    assert all(row["heldout_loss"] < unigram - 0.3 for row in rows)
    assert Path(json.loads((folder / "winner.json").read_text())["checkpoint"]).is_dir()
