"""Checkpoint format: save, load, verify, prune and export weights; safetensors and JSON, committed by a rename.

FOLDER/model.safetensors       weights (and any further group: optimizer, average)
FOLDER/state.json              numbers, model config, checksums of the other files and of itself
FOLDER/tokenizer.json          the tokenizer of the weights: a checkpoint is all that chat needs
FOLDER/tokenizer_config.json   the chat template, as transformers reads it

Loading never runs code. A torn or altered folder is noticed by its checksums; the one before it is used then, and the
user is told.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat, stamped, unstamped
from hamner.config.json_text import parse_json
from hamner.config.load import parse
from hamner.config.schema import ModelConfig
from hamner.data.tokenizer import CONFIG_FILE, Tokenizer
from hamner.model.transformer import Hamner
from hamner.runs.files import file_sha256, read_json, write_json
from hamner.runs.folders import step_folders
from hamner.runs.safe_paths import path_below
from hamner.runs.trouble import machine_trouble

STATE, TOKENIZER = "state.json", "tokenizer.json"
WEIGHTS_ONLY = ("model.safetensors", TOKENIZER)  # the files of weights alone, beside the state
WITH_TEMPLATE = {*WEIGHTS_ONLY, CONFIG_FILE}  # the latter is for transformers, and not in older checkpoints


class Corrupt(BadInput):
    """A checkpoint folder is torn or altered."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk whose checksums agree."""

    path: Path
    state: dict[str, Any]

    @property
    def model(self) -> ModelConfig:
        return parse(ModelConfig, self.state["model"], str(self.path / STATE))

    def tensors(self, group: str, device: str = "cpu") -> dict[str, Tensor]:
        """The tensors of a group. Raises Corrupt for a file that holds anything else, OSError for one out of reach."""
        try:
            return safetensors.torch.load_file(self.path / f"{group}.safetensors", device=device)
        except safetensors.SafetensorError as error:
            if machine_trouble(error):
                raise OSError(str(error)) from None
            raise Corrupt(f"checkpoint {self.path}: {group}.safetensors holds no tensors ({error})") from None

    @property
    def is_complete(self) -> bool:
        """Whether training can continue from it; of an old one only the weights may be kept."""
        return "optimizer.safetensors" in self.state["sha256"]

    def tokenizer(self) -> Tokenizer:
        return Tokenizer.load(self.path)

    def build(self) -> Hamner:
        """Return the model with its weights, on the CPU."""
        model, size = self.model, (self.path / WEIGHTS_ONLY[0]).stat().st_size
        if next(model.problems(), "") or count_parameters(model).total > size:  # before memory for it is asked for
            raise Corrupt(f"checkpoint {self.path}: {WEIGHTS_ONLY[0]} cannot hold the model that {STATE} names")
        hamner = Hamner(model)
        try:
            hamner.load_state_dict(self.tensors("model"))
        except RuntimeError as error:  # PyTorch's word for tensors of another model
            raise Corrupt(f"checkpoint {self.path}: its weights are not of the model in {STATE}: {error}") from None
        return hamner


def save(
    folder: Path,
    groups: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    model: ModelConfig,
    tokenizer: Tokenizer,
) -> Path:
    """Write a checkpoint atomically: it is there whole or not at all. An older one of that name is replaced."""
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a killed writer
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        _write_files(temporary, groups, state, model, tokenizer)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # on a full disk it is in the way of what comes next
        raise
    # the same step again: a kill between the two renames leaves .old in its place, see `put_back`
    if folder.exists():
        folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.old"))
    temporary.rename(folder)
    for old in folder.parent.glob(f".{folder.name}.*.old"):
        shutil.rmtree(old)
    _flush(folder.parent)
    return folder


def _write_files(
    temporary: Path,
    groups: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    model: ModelConfig,
    tokenizer: Tokenizer,
) -> None:
    """Write and flush all files of a checkpoint, readable to whom the umask lets."""
    for group, tensors in groups.items():
        plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(plain, temporary / f"{group}.safetensors")
    tokenizer.save(temporary)
    sums = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
    facts = {"model": model.model_dump(), "tokenizer_sha256": tokenizer.sha256, "sha256": sums}
    document = sealed(stamped(STATE, {**state, **facts}))
    (temporary / STATE).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    mode = (temporary / STATE).stat().st_mode & 0o777
    for path in temporary.iterdir():
        path.chmod(mode)  # safetensors' own are 0600
        _flush(path)
    _flush(temporary)


def load(folder: Path) -> Checkpoint:
    """Open a checkpoint and verify it.

    Raises BadInput when there is none, Corrupt when it is not whole, OtherFormat when it is of a newer version.
    """
    if not folder.is_dir():
        raise BadInput(f"there is no checkpoint {folder}")
    try:
        document = parse_json((folder / STATE).read_text(encoding="utf-8"))
        if sealed(document) != document:
            raise ValueError("its own checksum does not agree")
        state = unstamped(STATE, document, folder / STATE)
        sums = dict(state["sha256"])
        missing = {*WEIGHTS_ONLY} - set(sums)
        if missing or "model" not in state:
            raise ValueError(f"no entry for {', '.join(missing) or 'the model'}")
    except FileNotFoundError:
        raise BadInput(f"{folder} is not a checkpoint: {STATE} is missing") from None
    except OtherFormat:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"checkpoint {folder}: {STATE} is broken ({error})") from None
    for name, checksum in sums.items():
        path = path_below(folder, name, folder / STATE)
        if not path.is_file() or file_sha256(path) != checksum:
            raise Corrupt(f"checkpoint {folder}: {name} is missing or was altered")
    return Checkpoint(folder, state)


def newest(folder: Path, say: Callable[[str], None] = print, *, complete: bool = False) -> Checkpoint | None:
    """Return the newest whole checkpoint among the step_* folders of `folder`; say which torn ones are skipped.

    complete: only one that training can continue from.
    """
    for path in _newest_first(folder):
        try:
            checkpoint = load(path)
        except OtherFormat:  # it is no worse than the one before, which would cost the steps between
            raise
        except BadInput as error:
            say(f"{error}; using the one before")
            continue
        if checkpoint.is_complete or not complete:
            return checkpoint
    return None


def _newest_first(folder: Path) -> list[Path]:
    """Return one folder for each step: the older one where the replacement of a step was interrupted."""
    paths = {path.name[1:].split(".")[0]: path for path in folder.glob(".step_*.old")}
    paths |= {path.name: path for path in step_folders(folder)}
    return [path for _, path in sorted(paths.items(), reverse=True)]


def put_back(folder: Path) -> None:
    """Give a checkpoint its name again whose replacement a kill interrupted between the two renames of `save`."""
    for old in folder.glob(".step_*.old"):
        path = folder / old.name[1:].split(".")[0]
        if not path.exists():
            old.rename(path)


def step_name(step: int) -> str:
    """Return the folder name of a step; names sort in the order of steps."""
    return f"step_{step:09d}"


def prune(
    folder: Path, keep: int, *, spare: frozenset[str] = frozenset(), weights_of: frozenset[str] = frozenset()
) -> None:
    """Remove all but the newest `keep` of the step_* folders, and leftovers of killed writers.

    spare: further ones that stay whole. weights_of: further ones of which the weights stay.
    """
    steps = _newest_first(folder)
    for path in steps[keep:]:
        name = path.name.strip(".").split(".")[0]
        if name in spare:
            continue
        if name not in weights_of:
            shutil.rmtree(path, ignore_errors=True)
        elif {file.name for file in path.iterdir()} - {STATE, *WITH_TEMPLATE}:
            keep_weights(path)
    for path in folder.glob(".step_*"):
        if f".{os.getpid()}." not in path.name and path not in steps:
            shutil.rmtree(path, ignore_errors=True)


def keep_weights(folder: Path) -> None:
    """Reduce a checkpoint to weights and tokenizer, which is all that chat needs; training cannot continue from it."""
    if not (folder / STATE).is_file():  # left by a killed prune
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        state = read_json(folder / STATE)
    except OtherFormat:
        raise
    except BadInput:  # damaged: it stays for whoever looks at it, and no run ends by it
        return
    sums = {name: value for name, value in state["sha256"].items() if name in WITH_TEMPLATE}
    write_json(
        folder / STATE, sealed(stamped(STATE, {**state, "sha256": sums}))
    )  # first: the folder is whole at any moment
    for path in folder.iterdir():
        if path.name not in (STATE, *sums):
            path.unlink()


def sealed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with a checksum of itself."""
    rest = {key: value for key, value in state.items() if key != "state_sha256"}
    text = json.dumps(rest, sort_keys=True, allow_nan=False)
    return rest | {"state_sha256": hashlib.sha256(text.encode()).hexdigest()}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
