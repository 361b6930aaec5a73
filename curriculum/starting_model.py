"""Starting model: winner, contestant, preset or checkpoint.

Data in: WHO of the command line, --tournament, --from, the config. Data out: a StartingModel, its architecture and the
tokenizer it is tied to; or a BadInput with every problem found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.load import parse
from hamner.config.presets import CONTESTANTS, PRESETS, model_named
from hamner.config.schema import Config, ModelConfig, ParameterGroup
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json, read_json_as
from hamner.runs.folders import FINISHED, absolute, newest_first, run_folder, runs
from hamner.runs.safe_paths import path_below, path_within


@dataclass(frozen=True)
class StartingModel:
    """The model that a curriculum raises."""

    name: str
    model: ModelConfig
    tokenizer: Path | None = None  # the folder of the one it is tied to, if any
    description: str = ""  # a line for the screen
    groups: tuple[ParameterGroup, ...] = ()  # parameters that learn at their own share of the rate
    learning_rate_factor: float = 1.0  # of the stages' rates: a winner's own rate, less the league's shared one

    def facts(self) -> dict[str, Any]:
        """Its part of the run's config.json, so that a resume is the same run."""
        tokenizer = None
        if self.tokenizer:
            tokenizer = {"path": str(self.tokenizer), "sha256": Tokenizer.load(self.tokenizer).sha256}
        return {
            "name": self.name,
            "model": self.model.model_dump(),
            "tokenizer": tokenizer,
            "groups": [group.model_dump() for group in self.groups],
            "learning_rate_factor": self.learning_rate_factor,
        }


def find_starting_model(who: str, config: Config, results: Path, tournament: str | None) -> StartingModel:
    """The model that WHO names: `winner`, a contestant, a preset, or the file of a model config or a winner."""
    if tournament and who != "winner":
        raise BadInput(
            f"--tournament {tournament} goes with WHO = winner, not '{who}': leave it out, or give winner as WHO"
        )
    if who == "winner":
        return _winner(_winner_file(results, tournament), config, results)
    if who in CONTESTANTS | PRESETS:
        return StartingModel(who, model_named(who, config.size))
    absolute(who, "WHO =")
    path = Path(who).expanduser()
    if path.is_file():
        document = read_json(path)
        is_winner = isinstance(document, dict) and "contestant" in document
        return _winner(path, config, results) if is_winner else _own_model(path, document, config)
    known = ["winner", *CONTESTANTS, *PRESETS]
    raise BadInput(f"WHO = '{who}' is neither a contestant, a preset, 'winner' nor a file; {did_you_mean(who, known)}")


def with_checkpoint(start: StartingModel, source: str | None) -> StartingModel:
    """The same model with the tokenizer of the checkpoint whose weights it begins with (--from).

    Raises BadInput when the checkpoint is of another model or another tokenizer.
    """
    if not source:
        return start
    from hamner.training import checkpoint  # loads PyTorch, which a model without weights does not need

    absolute(source, "--from")
    weights = checkpoint.load(Path(source).expanduser())
    problems = Problems()
    if weights.model != start.model:
        has, wants = _differing(weights.model, start.model)
        problems.lines.append(
            f"{source} holds another model than {start.name}: {has}, not {wants}; give "
            "a checkpoint of that model, or as WHO the model of the checkpoint"
        )
    theirs, ours = weights.tokenizer().sha256, start.tokenizer and Tokenizer.load(start.tokenizer).sha256
    if ours and theirs != ours:
        problems.lines.append(
            f"{source} was trained with another tokenizer ({theirs[:12]}) than the winner's ({ours[:12]}): "
            "leave out --from, or name the model instead of 'winner'"
        )
    problems.raise_all()
    return replace(start, tokenizer=weights.path)


def as_raised_before(
    facts: Mapping[str, Any], folder: Path, *, asked: StartingModel | None, source: str | None
) -> StartingModel:
    """The model that a finished run raised, for a control of it.

    facts: of that run's config.json; folder: that run's. asked, source: what the command line wants; None: whatever
    the run had. Raises BadInput where they differ from it.
    """
    run, weights = folder.name, facts["from"]
    start = StartingModel(
        facts["name"],
        parse(ModelConfig, facts["model"], run),
        folder / "data" if facts["tokenizer"] else None,
        f"{facts['name']}, as {run} raised it",
        tuple(parse(ParameterGroup, group, run) for group in facts.get("groups", ())),
        facts.get("learning_rate_factor", 1.0),
    )
    problems = Problems()
    if source and source != weights:
        problems.lines.append(
            f"--from {source}: {run} began with {weights or 'fresh weights'}, and so does a control of it: leave out "
            "--from"
        )
    if asked and (asked.model, asked.groups, asked.learning_rate_factor) != (
        start.model,
        start.groups,
        start.learning_rate_factor,
    ):
        problems.lines.append(
            f"WHO = {asked.name}: {run} raised {start.name}, another model or other learning rates: leave out WHO"
        )
    problems.raise_all()
    return start


def _own_model(path: Path, document: Any, config: Config) -> StartingModel:
    """The model of a JSON file of ModelConfig's fields. Raises BadInput with everything wrong in it."""
    problems, values, model = Problems(), document if isinstance(document, dict) else {}, None
    with problems.collect():
        model = parse(ModelConfig, values, str(path))
        problems.lines += [f"{path}: {problem}" for problem in model.problems()]
    fields = model.model_dump() if model else values
    problems.lines += [f"{path}: {problem}" for problem in _differences_to_config(fields, config)]
    problems.raise_all()
    assert model is not None
    return StartingModel(path.stem, model)


def _differences_to_config(fields: Mapping[str, Any], config: Config) -> Iterator[str]:
    """Fields of a model, parsed or not, that must equal the config's."""
    vocabulary = fields.get("vocab_size", ModelConfig.model_fields["vocab_size"].default)
    if isinstance(vocabulary, int) and vocabulary != config.size.vocab_size:
        yield (
            f"vocab_size {vocabulary} is not the config's {config.size.vocab_size}: change the model, or "
            "size.vocab_size and with it data.tokenizer"
        )
    if config.size.document_mask and not fields.get("document_mask", False):
        yield "document_mask is false, the config's size.document_mask true: write it into the model"


def _winner_file(results: Path, tournament: str | None) -> Path:
    """The winner.json of a tournament; of the newest finished one when none is named."""
    if tournament:
        folder = run_folder(results, "tournament", tournament)
        if not (folder / "config.json").is_file():
            known = [path.name for path in runs(results, "tournament")]
            raise BadInput(
                f"no tournament '{tournament}' in {results}; "
                + (did_you_mean(tournament, known) if known else "run `tournament` first")
            )
        if not (folder / "winner.json").is_file():
            raise BadInput(
                f"tournament '{tournament}' has no winner yet: finish it with `tournament --resume --name {tournament}`"
            )
        return folder / "winner.json"
    finished = newest_first((results / "tournament").glob("*/winner.json"), FINISHED)
    if not finished:
        raise BadInput(f"no winner yet in {results / 'tournament'}: run `tournament` first, or name a contestant")
    return finished[0]


def _winner(path: Path, config: Config, results: Path) -> StartingModel:
    """The winner a file names, with its tokenizer. Raises BadInput when this config makes it another size."""
    name, run, model, tokenizer_path, sha256, groups, factor = read_json_as(
        path,
        lambda document: (
            str(document["contestant"]),
            document.get("run", path.parent.name),
            parse(ModelConfig, document["model"], str(path)),
            str(document["tokenizer"]["path"]),
            str(document["tokenizer"]["sha256"]),
            tuple(parse(ParameterGroup, group, str(path)) for group in document.get("groups", ())),
            float(document.get("learning_rate_factor", 1.0)),
        ),
    )
    problems = Problems()
    expected = model_named(name, config.size) if name in CONTESTANTS else model
    expected = expected.model_copy(update={"vocab_size": config.size.vocab_size})
    if expected != model:
        has, wants = _differing(model, expected)
        problems.lines.append(
            f"winner {name} of {path} has {has}; this config makes {wants}: use the config the tournament ran with "
            "(--config), or run `tournament` again with this one"
        )
    with problems.collect():
        tokenizer_folder = _tokenizer_folder(path, tokenizer_path, results)
        tokenizer = Tokenizer.load(tokenizer_folder)
        if tokenizer.sha256 != sha256:
            problems.lines.append(
                f"the tokenizer in {tokenizer_folder} is not the one {path} names: {tokenizer.sha256[:12]} instead of "
                f"{sha256[:12]}; put the tournament's own back, or run `tournament` again"
            )
    problems.raise_all()
    description = f"winner of tournament {run}: {name}"
    if factor != 1:
        description += f"; its own learning rate: {factor:.3g} times the stages'"
    if groups:
        description += f"; {len(groups)} group(s) of parameters with a rate of their own"
    return StartingModel(name, model, tokenizer_folder, description, groups, factor)


def _tokenizer_folder(path: Path, stored: str, results: Path) -> Path:
    """The folder of a winner's tokenizer: in its league's, wherever that was moved to, or where its file says.

    Raises BadInput for a place outside `results`.
    """
    own = path_below(path.parent, Path(stored).name, path)
    return own if (own / "tokenizer.json").is_file() else path_within(results, stored, path)


def _differing(one: ModelConfig, other: ModelConfig) -> tuple[str, str]:
    """The fields in which two models differ, with the values of each."""
    names = [name for name in ModelConfig.model_fields if getattr(one, name) != getattr(other, name)]
    theirs, ours = (", ".join(f"{name} {getattr(model, name)}" for name in names) for model in (one, other))
    return theirs, ours
