"""Numbers that a change of structure must leave alone: shards, batches and items to the byte, losses to rounding.

recorded_numbers.json was written before the files moved to their rooms. What is drawn and tokenised is the same on
every machine; losses depend on the order of a processor's sums, hence the tolerance. A change that means to alter
them says so in its commit, and prints the new ones with

    python tests/test_recorded_numbers.py > tests/recorded_numbers.json
"""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
import torch

from hamner.config.load import load_config
from hamner.data.corpus import Corpus
from hamner.data.mixer import Mixer
from hamner.data.preparation.for_run import prepare
from hamner.data.text_rows import training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.skills import skill_items
from tournament.budget import Budget
from tournament.entrants import entrants
from tournament.training import Training

RECORDED = Path(__file__).with_name("recorded_numbers.json")
SOURCES = ["tinystories", "fineweb_edu", "synthetic", "sft", "personal"]
CONTESTANTS = ("v01_dense_small", "v03_diffattn_small", "v05_moe_small")
STEPS = 10


def numbers(league: Path) -> dict:
    """Prepare builtin text at smoke size in an empty folder, draw from it and train three contestants a little."""
    torch.set_num_threads(1)
    config = load_config("smoke", ["builtin_characters=150_000", "bpe_characters=40_000", "report=[]"])
    data = league / "data"
    prepare(config, data, SOURCES, tokenizer=None, seq_len=64, hub_tokens=0, say=lambda line: None)
    tokenizer = Tokenizer.load(data)
    corpus = Corpus(data, tokenizer.sha256)
    shards = {path.name: _sha256(path.read_bytes()) for path in sorted(data.glob("*.bin"))}
    items = skill_items(tokenizer, seed=corpus.seed, heldout_fraction=corpus.heldout_fraction, count=4)
    return {
        "shards": shards | {"tokenizer": _sha256((data / "tokenizer.json").read_bytes())},
        "batches": _sha256(_batches(corpus, tokenizer)),
        "skill_items": _sha256(items.tokens.numpy().tobytes()),
        "losses": {name: _losses(config, league, name) for name in CONTESTANTS},
    }


def _batches(corpus: Corpus, tokenizer: Tokenizer) -> bytes:
    mixer = Mixer(training_rows(corpus, tokenizer, SOURCES, 64), 8)
    mixer.start_stage(dict.fromkeys(SOURCES, 0.2), (0.4, 0.3, 0.3))
    return b"".join(mixer.next().numpy().tobytes() for _ in range(150))


def _losses(config, league: Path, name: str) -> dict[str, float]:
    run = Training(config, league, league / name, entrants(config)[name], 0, Budget((STEPS,)), 3e-3)
    while not run.advance(0):
        pass
    result = run.result()
    run.close()
    return {"heldout": result["heldout_loss"], "train": result["facts"]["train_loss"]}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return numbers(tmp_path_factory.mktemp("numbers"))


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text())


@pytest.mark.parametrize("key", ["shards", "batches", "skill_items"])
def test_text_batches_and_items_are_the_same_to_the_byte(measured, recorded, key):
    assert measured[key] == recorded[key]


@pytest.mark.parametrize("name", CONTESTANTS)
def test_losses_are_the_same_but_for_rounding(measured, recorded, name):
    assert measured["losses"][name] == pytest.approx(recorded["losses"][name], abs=1e-4)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(numbers(Path(folder)), indent=1))
