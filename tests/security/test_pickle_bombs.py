"""Loading a file never runs code: a real pickle bomb in each kind of file that is read stays cold."""

import hashlib
import json
import os
import pickle
import sys

import numpy as np
import pytest
import torch
from bomb import Bomb, bomb

from curriculum.starting_model import find_starting_model
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import ModelConfig
from hamner.data.conversation_rows import ConversationRows
from hamner.data.corpus import Corpus
from hamner.data.feedback import read_feedback_file
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey_blocks import blocks_of
from hamner.data.sources import SOURCES, Tally
from hamner.data.sources.local_files import folder_documents
from hamner.data.tokenizer import Tokenizer
from hamner.inference import huggingface
from hamner.inference.find_model import open_model
from hamner.inference.run_records import read_records
from hamner.inference.saved_conversation import read_conversation
from hamner.model.transformer import build
from hamner.reports.index import write_index
from hamner.runs.folders import next_attempt
from hamner.runs.friend_record import FriendRecord
from hamner.runs.votes import read_votes
from hamner.training import checkpoint
from tournament.entrants import entrants, read_league
from tournament.league_files import read_league_files

MODEL = ModelConfig(
    vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8, max_seq_len=64
)
SMOKE = load_config("smoke")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["a small fox and an old owl"] * 3, 300)


@pytest.fixture
def marker(tmp_path):
    """What exists once a bomb has gone off; a bomb that is loaded the wrong way does go off."""
    proof = tmp_path / "proof"
    pickle.loads(bomb(proof))
    assert proof.exists()
    path = tmp_path / "gone_off"
    yield path
    assert not path.exists()


@pytest.fixture
def saved(tmp_path, tokenizer):
    """A checkpoint of a small model."""
    weights = {"model": build(MODEL, 0).state_dict()}
    return checkpoint.save(tmp_path / "run" / "checkpoints" / "step_000000001", weights, {"step": 1}, MODEL, tokenizer)


def _seal(folder):
    """Write the checksums of what is there now, as somebody would who hides something."""
    state = json.loads((folder / "state.json").read_text())
    state["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in state["sha256"]}
    del state["state_sha256"]
    state["state_sha256"] = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    (folder / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize("kind", ["pickle", "torch", "zip"])
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_bomb_in_a_checkpoint_stays_cold(saved, marker, name, kind):
    size = (saved / name).stat().st_size
    if kind == "torch":
        torch.save({"model": Bomb(marker)}, saved / name)
    elif kind == "zip":
        torch.save(Bomb(marker), saved / name, _use_new_zipfile_serialization=False)
    else:
        (saved / name).write_bytes(bomb(marker))
    # as long as what was there: weights that are too short for the model are refused before they are read
    os.truncate(saved / name, max(size, (saved / name).stat().st_size))
    with pytest.raises(BadInput):
        open_model(saved)  # its checksum has changed
    _seal(saved)
    with pytest.raises(BadInput, match=name):
        open_model(saved)
    for beside in ("pytorch_model.bin", "model.pt", "model.pkl", "optimizer.pt"):
        (saved / beside).write_bytes(bomb(marker))
    with pytest.raises(BadInput):
        open_model(saved.parents[1])


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("group", ["optimizer", "average"])
def test_a_bomb_in_what_training_continues_from_stays_cold(tmp_path, tokenizer, marker, group, kind):
    weights = build(MODEL, 0).state_dict()
    folder = tmp_path / "run" / "checkpoints" / "step_000000001"
    saved = checkpoint.save(folder, dict.fromkeys(("model", "optimizer", "average"), weights), {}, MODEL, tokenizer)
    file = saved / f"{group}.safetensors"
    assert checkpoint.load(saved).tensors(group).keys() == weights.keys()
    if kind == "torch":
        torch.save({"model": Bomb(marker)}, file)
    else:
        file.write_bytes(bomb(marker))
    with pytest.raises(BadInput, match=f"{group}.safetensors is missing or was altered"):
        checkpoint.load(saved)
    _seal(saved)
    with pytest.raises(checkpoint.Corrupt, match=f"{group}.safetensors holds no tensors"):
        checkpoint.load(saved).tensors(group)


def test_a_bomb_beside_good_weights_is_not_looked_at(saved, marker):
    for beside in ("pytorch_model.bin", "model.pt", "model.pkl", "training_args.bin", "optimizer.pt"):
        (saved / beside).write_bytes(bomb(marker))
    assert open_model(saved.parents[1]).model.config == MODEL


def test_a_bomb_in_an_exported_folder_stays_cold(tmp_path, tokenizer, marker):
    folder = tmp_path / "exported"
    folder.mkdir()
    huggingface.write_folder(folder, build(MODEL, 0), tokenizer)
    (folder / "pytorch_model.bin").write_bytes(bomb(marker))
    (folder / "modeling_hamner.py").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()")
    document = json.loads((folder / "config.json").read_text())
    document["auto_map"] = {"AutoModelForCausalLM": "modeling_hamner.HamnerForCausalLM"}
    (folder / "config.json").write_text(json.dumps(document))
    assert open_model(folder).model.config == MODEL
    (folder / "model.safetensors").write_bytes(bomb(marker))
    with pytest.raises(BadInput, match=r"model\.safetensors"):
        open_model(folder)


def _manifest(folder, tokenizer, size, dtype="uint16"):
    shard = {"file": "a.train.bin", "side": "train", "bytes": size, "tokens": size // np.dtype(dtype).itemsize}
    shard |= {"documents": 1}
    document = {"tokenizer_sha256": tokenizer.sha256, "dtype": dtype, "seed": 0, "heldout_fraction": 0.1}
    (folder / "manifest.json").write_text(json.dumps(document | {"sources": {"a": {"shards": [shard]}}}))


def test_a_bomb_in_a_shard_is_read_as_numbers(tmp_path, tokenizer, marker):
    (tmp_path / "a.train.bin").write_bytes(bomb(marker, 512))
    _manifest(tmp_path, tokenizer, 512)
    tokens = Corpus(tmp_path, tokenizer.sha256).train("a")
    assert len(tokens) == 256 and tokens[:].tobytes() == bomb(marker, 512)


@pytest.mark.parametrize("dtype", ["O", "object", "|O8", "V8", "float64", "<U8", "M8[s]"])
def test_a_manifest_cannot_make_objects_of_a_shard(tmp_path, tokenizer, marker, dtype):
    (tmp_path / "a.train.bin").write_bytes(bomb(marker, 512))
    _manifest(tmp_path, tokenizer, 512, dtype)
    with pytest.raises(BadInput, match="is not one of uint16, uint32"):
        Corpus(tmp_path, tokenizer.sha256)


@pytest.mark.parametrize("kind", ["pickle", "npy", "npz"])
def test_a_bomb_in_a_survey_stays_cold(tmp_path, marker, kind):
    path = tmp_path / "unfinished" / "a.000.000.survey.npz"
    path.parent.mkdir()
    objects = np.array([Bomb(marker)], dtype=object)
    if kind == "pickle":
        path.write_bytes(bomb(marker))
    else:
        with path.open("wb") as file:
            np.savez(file, counts=objects, texts=objects) if kind == "npz" else np.save(file, objects)
    with pytest.raises(BadInput, match=r"survey\.npz is broken"):
        list(blocks_of(Store(tmp_path), "a.000"))


def test_a_bomb_in_prepared_conversations_is_read_as_numbers(tmp_path, tokenizer, marker):
    document = {"seq_len": 64, "max_reply_tokens": 9, "seed": 0, "tokenizer_sha256": tokenizer.sha256}
    sources = {"a": {"rows": 1, "heldout_rows": 1, "trained_tokens": 4}}
    (tmp_path / "conversations.json").write_text(json.dumps(document | {"sources": sources}))
    for side in ("train", "heldout"):
        (tmp_path / f"a.{side}.bin").write_bytes(bomb(marker, 256))
    assert ConversationRows(tmp_path, tokenizer.sha256).heldout("a", 1).shape == (1, 64)


PLAIN = ("a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.parquet")
NAMES = (*PLAIN, "a.jsonl.gz", "a.json.zst", "a.txt.xz", "a.jsonl.bz2")


@pytest.mark.parametrize("source", ["sft", "tinystories", "personal"])
@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_in_a_file_of_text_stays_cold(tmp_path, marker, name, source):
    path = tmp_path / name
    path.write_bytes(bomb(marker))
    tally = Tally()
    try:
        documents = list(folder_documents(SOURCES[source], [path], tally, tmp_path))
    except BadInput:
        return
    assert documents == [] and tally.malformed == tally.records


READERS = {  # file in the results folder: what reads it
    "tournament/l/winner.json": lambda results: find_starting_model("winner", SMOKE, results, "l"),
    "tournament/l/config.json": lambda results: read_league_files(results / "tournament" / "l"),
    "curriculum/c/config.json": lambda results: read_records(results / "curriculum" / "c"),
    "friend/f/friend.json": lambda results: FriendRecord.open(results, "f", {}, None),
    "league.toml": lambda results: load_config(str(results / "league.toml")),
    "saved.jsonl": lambda results: read_conversation(results / "saved.jsonl"),
    "feedback.jsonl": lambda results: read_feedback_file(results / "feedback.jsonl"),
    "votes.jsonl": lambda results: read_votes(results / "votes.jsonl"),
    "own.json": lambda results: find_starting_model(str(results / "own.json"), SMOKE, results, None),
}
LENIENT = ("bracket.json", "standings.json", "winner.json", "timing.json", "mixes.json", "resume.jsonl")


@pytest.mark.parametrize("name", READERS)
def test_a_bomb_in_a_file_of_a_run_stays_cold(tmp_path, marker, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in ("config.json", "winner.json"):
        (path.parent / other).write_text("{}")
    path.write_bytes(bomb(marker))
    if name == "curriculum/c/config.json":  # what is broken is not on record
        assert READERS[name](tmp_path).facts == {}
        return
    with pytest.raises(BadInput) as error:
        READERS[name](tmp_path)
    assert path.name in str(error.value)


@pytest.mark.parametrize("name", LENIENT)
def test_a_bomb_in_a_file_of_a_league_is_only_left_out_of_its_report(tmp_path, marker, name):
    (tmp_path / "config.json").write_text(json.dumps({"config": SMOKE.model_dump(mode="json")}))
    (tmp_path / name).write_bytes(bomb(marker))
    assert read_league_files(tmp_path).rounds == []


def test_a_bomb_in_the_summary_of_a_report_is_only_left_out_of_the_index(tmp_path, marker):
    run = tmp_path / "curriculum" / "c"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    for name in ("report.json", "report.html"):
        (run / name).write_bytes(bomb(marker))
    assert "curriculum/c/report.html" in write_index(tmp_path).read_text()


def test_what_ray_left_of_an_earlier_start_is_not_read_again(tmp_path):
    """Ray's own files of a start are pickles: each start has a folder of its own, and none is restored."""
    for attempt in ("1", "2"):
        (tmp_path / "ray" / attempt).mkdir(parents=True)
    assert next_attempt(tmp_path) == 3
    (tmp_path / "ray" / "²").mkdir()  # a digit, and no number
    assert next_attempt(tmp_path) == 3


def test_a_friends_words_start_no_command_of_theirs(tmp_path, marker):
    """--notify runs what stands behind it: no word of friend.json may be an option."""
    asked = {"model": "v3", "config": "smoke", "data": "", "settings": []}
    record = {"hours": None, "began": "2026-01-01T00:00:00+00:00", "league_hours": None, "finished": {}}
    path = tmp_path / "friend" / "f" / "friend.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record | {"asked": asked}))
    assert FriendRecord.open(tmp_path, "f", {}, None).asked.model == "v3"
    evil = f"--notify=touch {marker}"
    for changes in ({"model": evil}, {"config": evil}, {"data": "-x"}, {"settings": ["--notify", f"touch {marker}"]}):
        path.write_text(json.dumps(record | {"asked": asked | changes}))
        with pytest.raises(BadInput, match="would be an option"):
            FriendRecord.open(tmp_path, "f", {}, None)


def test_a_module_of_a_config_is_loaded_only_where_the_user_has_named_it(tmp_path, marker, monkeypatch):
    """A league names its attention as module.Class: HAMNER_MODULES says which modules may run."""
    (tmp_path / "evil_module.py").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("HAMNER_MODULES", raising=False)
    file = tmp_path / "league.toml"
    row = '[[contestant]]\nname = "{}"\nbase = "v3"\noverrides = {{ attention = "evil_module.Evil" }}\n'
    file.write_text(row.format("a") + row.format("b"))
    config = load_config("smoke", ["keep=[1]", "steps=[9]"], extra={"league": read_league(str(file))})
    with pytest.raises(BadInput, match="HAMNER_MODULES=evil_module"):
        entrants(config)
    assert "evil_module" not in sys.modules
