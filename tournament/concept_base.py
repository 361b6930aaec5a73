"""Base model of the concept experiments: a run, an export or a preset, as a checkpoint in the experiments' folder.

In: what the command line names. Out: weights and tokenizer, checked to belong together; RUN/base/, from which every arm
begins, whatever becomes of the original; RUN/data/, which holds the tokenizer and no text.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.presets import CONTESTANTS, PRESETS, model_named
from hamner.config.schema import Config, ModelConfig
from hamner.data.concepts import CONCEPTS, training_items
from hamner.inference.find_model import model_folder, open_model

if TYPE_CHECKING:  # PyTorch is loaded once the command line is known to be right
    from hamner.data.tokenizer import Tokenizer
    from hamner.model.transformer import Hamner

FOLDER, DATA = "base", "data"
FRESH = CONTESTANTS | PRESETS
STORIES = 300  # documents of each kind that a preset's tokenizer is trained on


@dataclass(frozen=True)
class Base:
    """A model to begin with."""

    who: str  # as it was named
    place: str  # its folder; empty for a preset, whose weights are fresh
    hamner: Hamner
    tokenizer: Tokenizer

    @property
    def model(self) -> ModelConfig:
        return self.hamner.config

    def facts(self) -> dict[str, Any]:
        """What config.json keeps."""
        return {
            "who": self.who,
            "place": self.place,
            "parameters": count_parameters(self.model).total,
            "tokenizer_sha256": self.tokenizer.sha256,
        }


def open_base(who: str | None, config: Config, results: Path) -> Base:
    """The base that `who` names: a preset, a run or a folder (None: the newest run). Raises BadInput.

    A model that was trained with another tokenizer than the one beside it is refused, as far as it can be told: where
    their vocabularies differ in size.
    """
    folder = base_folder(who, results)
    if folder is None:
        from hamner.model.transformer import build

        assert who is not None
        tokenizer = _tokenizer(config)
        model = model_named(who, config.size).model_copy(update={"vocab_size": tokenizer.vocab_size})
        base = Base(who, "", build(model, config.seed), tokenizer)
    else:
        loaded = open_model(folder)
        base = Base(who or loaded.folder.name, str(loaded.folder.resolve()), loaded.model, loaded.tokenizer)
    problems = list(base.model.problems(config.concepts.seq_len))
    if base.tokenizer.vocab_size != base.model.vocab_size:
        problems.append(
            f"{base.place} was trained with another tokenizer than the one beside it: the model has "
            f"{base.model.vocab_size} entries, the tokenizer {base.tokenizer.vocab_size}. Put its own tokenizer.json "
            "there"
        )
    if problems:
        raise BadInput(problems)
    return base


def base_folder(who: str | None, results: Path) -> Path | None:
    """The folder of the base that `who` names; None for a preset. Raises BadInput for an unknown one."""
    if who in FRESH:
        return None
    try:
        return model_folder(who, results)
    except BadInput as error:
        hint = did_you_mean(who, list(FRESH)) if who else f"give one, such as --model {next(iter(PRESETS))}"
        raise BadInput(f"{'; '.join(error.problems)}; a preset is a base too: {hint}") from None


def _tokenizer(config: Config) -> Tokenizer:
    """The config's tokenizer; where it is trained, on the built-in text and the items."""
    from hamner.data.tokenizer import Tokenizer

    if config.data.tokenizer != "train":
        return Tokenizer.load(config.data.tokenizer, config.data.hub_deadline)
    from hamner.data.builtin_text import facts, stories

    rng = random.Random(f"concepts/tokenizer/{config.seed}")
    texts = [kind.document(rng) for kind in (stories, facts) for _ in range(STORIES)]
    items = [item.text for name in CONCEPTS for item in training_items(name)]
    return Tokenizer.train([*texts, *items], config.size.vocab_size)


def has_base(folder: Path) -> bool:
    """Whether the folder of experiments holds its base."""
    return (folder / FOLDER / "state.json").is_file()


def keep_base(base: Base | None, folder: Path) -> None:
    """Write the base into the folder of the experiments, where it is not there yet. None: it is there."""
    from hamner.training import checkpoint
    from hamner.training.finetuning_base import MANIFEST, BaseRun, point_at_text

    if base and not has_base(folder):
        weights = base.hamner.state_dict()
        checkpoint.save(folder / FOLDER, {"model": weights}, {"run": base.who, "step": 0}, base.model, base.tokenizer)
    if not (folder / DATA / MANIFEST).is_file():
        saved = checkpoint.load(folder / FOLDER)
        point_at_text(BaseRun(saved, None, 0.0, {}, ()), folder / DATA, saved.tokenizer())
