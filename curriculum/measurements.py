"""What is measured at a stage's end: held-out losses and skills.

Data in: the prepared corpus, its tokenizer, the model of now. Data out: the held-out loss of every source, exact match
and choice of every skill, on texts and items that are fixed for the run, so that stages can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from curriculum.stages import Stage
from hamner.config.schema import Config
from hamner.data.corpus import Corpus
from hamner.data.mixer import Mixer
from hamner.data.synthetic_tasks import LEVELS
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.chance import chance
from hamner.evaluation.choice import ChoiceItems, choice_items, mark_skills
from hamner.evaluation.heldout import HeldoutResult, evaluate_rows, evaluate_text, heldout_rows, heldout_text
from hamner.evaluation.skills import skill_items
from hamner.evaluation.statistics import Chance, above_chance, row_counts
from hamner.model.transformer import Hamner
from hamner.training.trainer import Diverged

EVERY_LEVEL = (1 / len(LEVELS),) * len(LEVELS)
SKILL_BATCH = 8  # items for each row of a training batch: an item is a fraction of a row long


class Measurements:
    """The held-out texts and skill items of a run, and what a model scores on them.

    Within a torch.distributed group all workers take part and get the same numbers.
    """

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, names: Sequence[str], config: Config) -> None:
        """names: of all sources of the curriculum."""
        self._corpus, self._tokenizer, self._config = corpus, tokenizer, config
        settings = config.curriculum
        self._count, self._length = settings.eval_sequences, settings.seq_len
        self._batch = settings.batch_size // settings.gradient_accumulation_steps
        self._texts = {
            name: heldout_text(corpus, tokenizer, name, self._length, max(1, self._count // 2), EVERY_LEVEL)
            for name in names
        }
        self._choices: ChoiceItems | None = None
        self.chance = Chance({}, {})
        if settings.skill_items:
            items = skill_items(
                tokenizer, seed=corpus.seed, heldout_fraction=corpus.heldout_fraction, count=settings.skill_items
            )
            exact_match = chance(items)
            self._choices = choice_items(tokenizer, items, exact_match)
            self.chance = Chance(exact_match, self._choices.chance)

    def plateau_rows(self, stage: Stage) -> dict[str, Tensor]:
        """Held-out rows (n, T) of each source, in the stage's ratios and at its levels, to judge its plateau on."""
        return {
            name: heldout_rows(self._corpus, self._tokenizer, name, self._length, count, stage.levels)
            for name, count in row_counts(stage.mix, self._count).items()
        }

    def heldout_losses(self, hamner: Hamner) -> dict[str, float]:
        """Held-out loss of every source of the curriculum, nats per token. Raises Diverged."""
        return {name: result.loss for name, result in self._heldout_results(hamner).items()}

    def stage_end_results(self, hamner: Hamner) -> dict[str, Any]:
        """Held-out losses, the losses of each document, and the items of each skill that are right: written, chosen.

        They are the values of a stage's record in stages.json and skills.json. Raises Diverged.
        """
        results = self._heldout_results(hamner)
        skills, choice = dict[str, str](), dict[str, str]()
        if self._choices:
            skills, choice = mark_skills(
                hamner, self._choices, self._config.compute, batch_size=SKILL_BATCH * self._batch
            )
        return {
            "heldout_loss": {name: result.loss for name, result in results.items()},
            "documents": {name: result.documents for name, result in results.items()},
            "skills": skills,
            "choice": choice,
            "skills_above_chance": len(above_chance(choice, self.chance.choice)),
        }

    def training_losses(self, hamner: Hamner, mixer: Mixer) -> dict[str, float]:
        """Loss of every source on text it was trained on, nats per token.

        How far it lies below the held-out loss says how much was learnt by heart.
        """
        rows_read = {name: mixer.already_read(name, max(1, self._count // 2)) for name in self._texts}
        return {
            name: evaluate_rows(hamner, rows, self._config.compute, batch_size=self._batch).loss
            for name, rows in rows_read.items()
            if rows is not None
        }

    def _heldout_results(self, hamner: Hamner) -> dict[str, HeldoutResult]:
        """What the model makes of each source's held-out text. Raises Diverged when a loss is not finite."""
        results = {
            name: evaluate_text(hamner, text, self._config.compute, batch_size=self._batch)
            for name, text in self._texts.items()
        }
        for name, result in results.items():
            if not result.is_finite:
                raise Diverged(f"the held-out loss of {name} is {result.loss}")
        return results
