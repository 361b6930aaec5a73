"""Real text of all five kinds, from the folder in HAMNER_DATA; skipped without it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS
from hamner.data.preparation.deduplicate import WORD, shingles
from hamner.data.preparation.dispositions import HELD_OUT, TRAIN, read_dispositions
from hamner.data.preparation.for_run import choose_tokenizer, prepare
from hamner.data.preparation.part import part_documents
from hamner.data.preparation.pipeline import SURVEY, WRITE, run
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.sources import Tally

DATA = os.environ.get("HAMNER_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="HAMNER_DATA is not set: no real text to read")
NAMES = ["tinystories", "fineweb_edu", "sft", "personal"]


def test_all_five_kinds_are_read_split_and_tokenised(tmp_path):
    config = load_config("smoke", [f"data.path={DATA}"])
    said = []
    corpus, tokenizer = prepare(config, tmp_path, NAMES, tokenizer=None, seq_len=64, hub_tokens=0, say=said.append)
    facts = corpus.manifest["sources"]
    assert [line for line in said if "so far" not in line] == []  # nothing malformed in the folder
    assert {name: facts[name]["records"] for name in NAMES} == {
        "tinystories": 821 + 537,
        "fineweb_edu": 120 + 925,
        "sft": 5182 + 1295 + 20 + 611,
        "personal": 79,
    }
    for told in facts.values():
        kept = told["documents"] + told["heldout_documents"]
        assert kept == told["records"] - sum(told["dropped"].values()) and kept > 0.85 * told["records"]
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
    assert sum(facts["dropped"].values()) == 0
    assert facts["tokens"] + facts["heldout_tokens"] == 195_401 + 132_542 + 821 + 537  # and an end each


def _passages(documents):
    """All 13-word passages, as hashes."""
    hashes = ([hash(word) & (2**64 - 1) for word in WORD.findall(document.text.lower())] for document in documents)
    return shingles([h for h in hashes if len(h) >= 13], 13)[0]


def _share_in(sorted_hashes, hashes):
    """Share of `hashes` that are among the others. np.isin and np.unique take minutes for millions of hashes."""
    ordered = np.sort(hashes)
    places = np.searchsorted(sorted_hashes, ordered).clip(max=len(sorted_hashes) - 1)
    return float((sorted_hashes[places] == ordered).mean())


def test_what_is_held_out_was_hardly_ever_read_in_training(tmp_path):
    """At most 0.5 % of all held-out 13-word passages stand in training text (of no source more than 0.6 %); with
    duplicates kept, ten times as many of fineweb_edu."""
    shares = {}
    for duplicates in ("drop", "keep"):
        config = load_config("rtx3090", [f"data.path={DATA}", "device=cpu", f"duplicates={duplicates}"])
        tokenizer = choose_tokenizer(config)
        store, silent = Store(tmp_path / duplicates), lambda *_: None
        plan = make_plan(config, store, NAMES, tokenizer, seq_len=64, runner=silent, say=print)
        sides = {}

        def runner(step, work, parts, plan=plan, sides=sides, drops=duplicates == "drop"):
            for part in parts if step == SURVEY else []:
                work(part, lambda _: None)
            if step == WRITE:  # what each side would get, without the tokens
                for part in parts:
                    dispositions = read_dispositions(plan.store, part).tolist()
                    for document, side in zip(part_documents(part, Tally()), dispositions, strict=True):
                        strips = side == HELD_OUT and drops  # as write_shards.py does
                        text = document.without_system_prompt() if strips else document
                        sides.setdefault((part.source, side), []).append(text)

        with pytest.raises(BadInput, match="less than one row"):  # for nothing was written
            run(plan, tokenizer, runner, print)
        training = np.sort(np.concatenate([_passages(sides[name, TRAIN]) for name in NAMES]))
        passages = {name: _passages(sides[name, HELD_OUT]) for name in NAMES}
        passages["all"] = np.concatenate(list(passages.values()))
        shares[duplicates] = {name: _share_in(training, p) for name, p in passages.items()}
    print(shares)
    assert shares["drop"]["all"] <= 0.005 and max(shares["drop"].values()) <= 0.006
    assert shares["keep"]["fineweb_edu"] > 10 * shares["drop"]["fineweb_edu"] and shares["keep"]["all"] > 0.01


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
