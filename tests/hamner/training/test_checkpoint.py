"""A checkpoint is there whole or not at all, comes back bit for bit, and holds no code."""

import json
import os
import shutil

import pytest
import torch

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig, Optimizer
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.checkpoint import Corrupt, newest, prune, save, step_name
from hamner.training.optimizer import adamw, load_optimizer, optimizer_tensors

MODEL = ModelConfig(
    vocab_size=300,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    intermediate_size=8,
    num_experts=2,
    attention="differential",
)
FILES = ["model.safetensors", "optimizer.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["a small fox and an old owl"], 280)


def _trained(seed=0, steps=3):
    hamner = build(MODEL, seed)
    optimizer = adamw(hamner, Optimizer())
    for step in range(steps):
        out = hamner(torch.arange(20).view(2, 10) + step)
        (out.logits.square().mean() + out.balance_loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    return hamner, optimizer


def _save(folder, tokenizer, step=0, trained=None):
    hamner, optimizer = trained or _trained(seed=step, steps=1)
    groups = {"model": hamner.state_dict(), "optimizer": optimizer_tensors(hamner, optimizer)}
    return save(folder / step_name(step), groups, {"step": step, "rate": 1 / 3}, MODEL, tokenizer)


def _flip(path, place=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_weights_and_optimizer_come_back_bit_for_bit(tmp_path, tokenizer):
    hamner, optimizer = _trained()
    found = checkpoint.load(_save(tmp_path, tokenizer, 7, (hamner, optimizer)))
    assert (found.state["step"], found.state["rate"], found.model) == (7, 1 / 3, MODEL)
    assert found.tokenizer().sha256 == tokenizer.sha256 == found.state["tokenizer_sha256"]
    again = found.build()
    theirs = again.state_dict()
    assert theirs.keys() == hamner.state_dict().keys()
    assert all(torch.equal(theirs[name], value) for name, value in hamner.state_dict().items())
    fresh = adamw(again, Optimizer())
    load_optimizer(again, fresh, found.tensors("optimizer"))
    ours, theirs = optimizer_tensors(hamner, optimizer), optimizer_tensors(again, fresh)
    assert ours.keys() == theirs.keys() and len(ours) == 3 * len(list(hamner.parameters()))
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_flipped_bit_is_corrupt(tmp_path, tokenizer, name, place):
    path = _save(tmp_path, tokenizer)
    _flip(path / name, place)
    with pytest.raises(Corrupt, match=f"{name} is missing or was altered"):
        checkpoint.load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_or_missing_file_is_corrupt(tmp_path, tokenizer, name):
    path = _save(tmp_path, tokenizer)
    data = (path / name).read_bytes()
    for rest in (data[:-1], data[: len(data) // 2], b""):
        (path / name).write_bytes(rest)
        with pytest.raises(Corrupt, match=name):
            checkpoint.load(path)
    (path / name).unlink()
    with pytest.raises(Corrupt, match=name):
        checkpoint.load(path)


@pytest.mark.parametrize("text", ["", "{", '{"step": 1}', "[1, 2]", "3", '{"sha256": 4}', "\udcff"])
def test_broken_state_is_corrupt(tmp_path, tokenizer, text):
    path = _save(tmp_path, tokenizer)
    (path / "state.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(Corrupt, match=r"state\.json is broken"):
        checkpoint.load(path)


def test_newest_goes_back_over_torn_ones_and_says_so(tmp_path, tokenizer):
    for step in (2, 10, 100, 1000):
        _save(tmp_path, tokenizer, step)
    assert newest(tmp_path, pytest.fail).state["step"] == 1000
    _flip(tmp_path / step_name(1000) / "model.safetensors")
    (tmp_path / step_name(100) / "state.json").unlink()
    said = []
    assert newest(tmp_path, said.append).state["step"] == 10
    assert len(said) == 2
    assert step_name(1000) in said[0] and "altered" in said[0] and "using the one before" in said[0]
    assert step_name(100) in said[1] and "state.json is missing" in said[1]


def test_newest_of_nothing_is_none(tmp_path, tokenizer):
    assert newest(tmp_path / "nowhere", pytest.fail) is None
    _flip(_save(tmp_path, tokenizer) / "tokenizer.json")
    assert newest(tmp_path, lambda _: None) is None


def test_a_half_written_folder_is_ignored_and_pruned(tmp_path, tokenizer):
    whole = _save(tmp_path, tokenizer, 5)
    torn = tmp_path / f".{step_name(9)}.999999999.tmp"
    shutil.copytree(whole, torn)
    (torn / "state.json").unlink()
    ours = tmp_path / f".{step_name(10)}.{os.getpid()}.tmp"  # a writer of this very process is at work
    ours.mkdir()
    assert newest(tmp_path, pytest.fail).path == whole
    prune(tmp_path, 3)
    assert _names(tmp_path) == sorted([ours.name, whole.name])


def test_a_killed_write_leaves_the_old_checkpoint(tmp_path, tokenizer):
    path = _save(tmp_path, tokenizer, 3)
    hamner, _ = _trained(seed=1)
    with pytest.raises(ValueError, match="JSON"):
        save(path, {"model": hamner.state_dict()}, {"loss": float("nan")}, MODEL, tokenizer)
    assert checkpoint.load(path).state["rate"] == 1 / 3


def test_the_same_step_again_replaces_the_older(tmp_path, tokenizer):
    for seed in (1, 2):
        trained = _trained(seed)
        path = _save(tmp_path, tokenizer, 4, trained)
    assert _names(tmp_path) == [step_name(4)]
    weight = checkpoint.load(path).tensors("model")["embedding.weight"]
    assert torch.equal(weight, trained[0].embedding.weight)
    assert not torch.equal(weight, _trained(1)[0].embedding.weight)


def test_a_kill_between_the_renames_of_a_replacement_loses_nothing(tmp_path, tokenizer, monkeypatch):
    path, renames = _save(tmp_path, tokenizer, 4), []
    real = os.rename

    def dies_at_the_second(source, target):
        renames.append(source)
        if len(renames) == 2:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pathlib.Path.rename", dies_at_the_second)
        _save(tmp_path, tokenizer, 4, _trained(seed=2))
    assert not path.exists()
    found = newest(tmp_path, pytest.fail)
    assert found.state["step"] == 4 and found.tensors("optimizer")
    prune(tmp_path, 1)
    assert newest(tmp_path, pytest.fail).path == found.path  # it is one of those that are kept
    _save(tmp_path, tokenizer, 9)
    prune(tmp_path, 2)
    assert newest(tmp_path, pytest.fail).state["step"] == 9 and found.path.is_dir()
    _save(tmp_path, tokenizer, 4)
    assert _names(tmp_path) == [step_name(4), step_name(9)]


def test_a_smaller_set_of_groups_leaves_no_old_file(tmp_path, tokenizer):
    path = _save(tmp_path, tokenizer, 4)
    save(path, {"model": build(MODEL, 0).state_dict()}, {"step": 4}, MODEL, tokenizer)
    assert _names(path) == ["model.safetensors", "state.json", *FILES[2:]]
    assert checkpoint.load(path).state["step"] == 4


def test_prune_keeps_the_newest_and_the_spared(tmp_path):
    for step in (5, 20, 100, 3000, 40_000):
        (tmp_path / step_name(step)).mkdir()
    (tmp_path / "final").mkdir()
    prune(tmp_path, 2, spare=frozenset({step_name(20), step_name(3000)}))
    assert _names(tmp_path) == ["final", *map(step_name, (20, 3000, 40_000))]
    prune(tmp_path, 10)
    assert len(_names(tmp_path)) == 4


def test_prune_can_keep_the_weights_alone_and_a_resume_passes_them_over(tmp_path, tokenizer):
    for step in (3, 4, 5):
        path = _save(tmp_path, tokenizer, step)
    for _ in range(2):  # the second time there is nothing left to do
        checkpoint.prune(tmp_path, 1, weights_of=frozenset({step_name(3), step_name(5)}))
        assert _names(tmp_path) == [step_name(3), step_name(5)]
        assert _names(tmp_path / step_name(3)) == ["model.safetensors", "state.json", *FILES[2:]]
    assert checkpoint.newest(tmp_path, complete=True).path == path and path.name == step_name(5)
    (path / "model.safetensors").write_bytes(b"torn")
    said = []
    assert checkpoint.newest(tmp_path, said.append).path.name == step_name(3)
    assert checkpoint.newest(tmp_path, said.append, complete=True) is None
    assert len(said) == 2 and "model.safetensors is missing or was altered" in said[0]


def test_names_sort_in_the_order_of_steps():
    steps = [0, 9, 10, 99, 100, 123_456_789]
    assert sorted(map(step_name, steps)) == [step_name(step) for step in steps]


def test_no_file_is_a_pickle(tmp_path, tokenizer):
    path = _save(tmp_path, tokenizer)
    assert _names(path) == [*FILES[:2], "state.json", *FILES[2:]]
    for file in path.iterdir():
        data = file.read_bytes()
        assert not data.startswith((b"\x80", b"PK"))  # of a pickle, of torch.save
        header = data if file.suffix == ".json" else data[8 : 8 + int.from_bytes(data[:8], "little")]
        assert json.loads(header)


def test_checksums_are_those_of_the_files(tmp_path, tokenizer):
    state = json.loads((_save(tmp_path, tokenizer) / "state.json").read_text(encoding="utf-8"))
    assert sorted(state["sha256"]) == FILES


def test_a_wrong_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"no checkpoint .*nowhere"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"is not a checkpoint: state\.json is missing"):
        checkpoint.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"no checkpoint .*file"):
        checkpoint.load(tmp_path / "file")


@pytest.mark.mended("weights of mode 0600")
def test_all_files_of_a_checkpoint_have_the_mode_that_the_umask_gives(tmp_path, tokenizer):
    trained = _trained()
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(umask)
        try:
            folder = _save(tmp_path / str(umask), tokenizer, 1, trained)
        finally:
            os.umask(before)
        assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
            [*FILES, "state.json"], mode
        )


@pytest.mark.mended("a full disk keeps half a checkpoint")
def test_a_checkpoint_that_could_not_be_written_leaves_its_room(tmp_path, tokenizer, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tokenizer, "save", full)
    with pytest.raises(OSError, match="No space"):
        _save(tmp_path, tokenizer)
    assert not list(tmp_path.iterdir())
