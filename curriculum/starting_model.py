"""Who is raised: a tournament's winner, a contestant, a preset, or a model of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import parse
from hamner.config.presets import CONTESTANTS, PRESETS, model_named
from hamner.config.schema import Config, ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json, read_json_as
from hamner.runs.folders import run_folder, runs


@dataclass(frozen=True)
class StartingModel:
    """Who is raised: its model, and the tokenizer it is tied to, if any."""

    name: str
    model: ModelConfig
    tokenizer: Path | None = None  # its folder
    told: str = ""

    def facts(self) -> dict[str, Any]:
        """What config.json keeps of it, so that a resume is the same run."""
        told = None
        if self.tokenizer:
            told = {"path": str(self.tokenizer), "sha256": Tokenizer.load(self.tokenizer).sha256}
        return {"name": self.name, "model": self.model.model_dump(), "tokenizer": told}


def find_starting_model(who: str, config: Config, results: Path, tournament: str | None) -> StartingModel:
    """Resolve WHO. Raises BadInput with the ways out."""
    if tournament and who != "winner":
        raise BadInput(f"--tournament {tournament} chooses whose winner; it goes with WHO = winner, not '{who}'")
    if who == "winner":
        return _winner(_winner_file(results, tournament), config)
    if who in CONTESTANTS | PRESETS:
        return StartingModel(who, model_named(who, config.size))
    path = Path(who).expanduser()
    if path.is_file():
        document = read_json(path)
        if isinstance(document, dict) and "contestant" in document:
            return _winner(path, config)
        model = parse(ModelConfig, document if isinstance(document, dict) else {}, str(path))
        problems = list(model.problems())
        if model.vocab_size != config.size.vocab_size:
            problems.append(
                f"vocab_size {model.vocab_size} is not the config's {config.size.vocab_size}: change "
                "the model, or size.vocab_size and with it data.tokenizer"
            )
        if config.size.document_mask and not model.document_mask:
            problems.append("document_mask is false, the config's size.document_mask true: write it into the model")
        if problems:
            raise BadInput([f"{path}: {problem}" for problem in problems])
        return StartingModel(path.stem, model)
    known = ["winner", *CONTESTANTS, *PRESETS]
    raise BadInput(f"WHO = '{who}' is neither a contestant, a preset, 'winner' nor a file; {did_you_mean(who, known)}")


def _winner_file(results: Path, tournament: str | None) -> Path:
    if tournament:
        folder = run_folder(results, "tournament", tournament)
        if not (folder / "config.json").is_file():
            known = [p.name for p in runs(results, "tournament")]
            raise BadInput(
                f"no tournament '{tournament}' in {results}; "
                + (did_you_mean(tournament, known) if known else "run `tournament` first")
            )
        if not (folder / "winner.json").is_file():
            raise BadInput(
                f"tournament '{tournament}' has no winner yet: finish it with `tournament --resume --name {tournament}`"
            )
        return folder / "winner.json"
    finished = sorted((results / "tournament").glob("*/winner.json"), key=lambda p: p.stat().st_mtime)
    if not finished:
        raise BadInput(f"no winner yet in {results / 'tournament'}: run `tournament` first, or name a contestant")
    return finished[-1]


def _winner(path: Path, config: Config) -> StartingModel:
    """The winner a file names, with its tokenizer. Refused when the config would make it another size."""
    name, run, model, stored, sha256 = read_json_as(
        path,
        lambda document: (
            str(document["contestant"]),
            document.get("run", path.parent.name),
            parse(ModelConfig, document["model"], str(path)),
            Path(document["tokenizer"]["path"]),
            document["tokenizer"]["sha256"],
        ),
    )
    expected = model_named(name, config.size) if name in CONTESTANTS else model
    if expected != model or model.vocab_size != config.size.vocab_size:
        raise BadInput(
            f"winner {name} of {path} has hidden size {model.hidden_size}, {model.num_layers} layers and "
            f"{model.vocab_size} tokens, document_mask {model.document_mask}; this config makes "
            f"{expected.hidden_size}, {expected.num_layers}, {config.size.vocab_size} and {expected.document_mask}: "
            "use the config the tournament ran with (--config), or run `tournament` again with this one"
        )
    if not (stored / "tokenizer.json").is_file():
        stored = path.parent / stored.name  # the whole run folder was moved
    tokenizer = Tokenizer.load(stored)
    if tokenizer.sha256 != sha256:
        raise BadInput(
            f"the tokenizer in {stored} is not the one {path} names: {tokenizer.sha256[:12]} instead of {sha256[:12]}"
        )
    return StartingModel(name, model, stored, f"winner of tournament {run}: {name}")


def with_weights_of(pupil: StartingModel, source: str | None) -> StartingModel:
    """Take the tokenizer of the checkpoint's weights; refused when it is another model or another tokenizer."""
    if not source:
        return pupil
    from hamner.training import checkpoint  # loads PyTorch, which a model without weights does not need

    found = checkpoint.load(Path(source).expanduser())
    if found.model != pupil.model:
        raise BadInput(
            f"{source} holds another model than {pupil.name}: hidden size {found.model.hidden_size} and "
            f"{found.model.num_layers} layers, document_mask {found.model.document_mask}, not "
            f"{pupil.model.hidden_size}, {pupil.model.num_layers} and {pupil.model.document_mask}"
        )
    ours, theirs = found.tokenizer().sha256, pupil.tokenizer and Tokenizer.load(pupil.tokenizer).sha256
    if theirs and ours != theirs:
        raise BadInput(
            f"{source} was trained with another tokenizer ({ours[:12]}) than the winner's "
            f"({theirs[:12]}): leave out --from, or name the model instead of 'winner'"
        )
    return StartingModel(pupil.name, pupil.model, found.path, pupil.told)
