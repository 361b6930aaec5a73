"""What is measured of a run: held-out loss of every source and every skill, on texts and items fixed for the run."""

from __future__ import annotations

import math
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
from hamner.evaluation.heldout import document_losses, heldout_loss, heldout_rows, heldout_text
from hamner.evaluation.skills import exact_match, skill_items
from hamner.evaluation.statistics import row_counts
from hamner.model.transformer import Hamner
from hamner.training.trainer import Diverged

EVERY_LEVEL = (1 / len(LEVELS),) * len(LEVELS)


class Measure:
    """Within a torch.distributed group all workers take part and get the same numbers."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, names: Sequence[str], config: Config) -> None:
        self._corpus, self._tokenizer, self._config = corpus, tokenizer, config
        settings = config.curriculum
        self._count, self._length = settings.eval_sequences, settings.seq_len
        self._batch = settings.batch_size // settings.gradient_accumulation_steps
        self._texts = {
            name: heldout_text(corpus, tokenizer, name, self._length, max(1, self._count // 2), EVERY_LEVEL)
            for name in names
        }
        self._items = (
            skill_items(
                tokenizer, seed=corpus.seed, heldout_fraction=corpus.heldout_fraction, count=settings.skill_items
            )
            if settings.skill_items
            else None
        )
        self.chance: dict[str, float] = chance(self._items) if self._items else {}

    def judged(self, stage: Stage) -> dict[str, Tensor]:
        """Held-out rows in the stage's ratios and at its levels: what its plateau is judged on."""
        return {
            name: heldout_rows(self._corpus, self._tokenizer, name, self._length, count, stage.levels)
            for name, count in row_counts(stage.mix, self._count).items()
        }

    def losses(self, hamner: Hamner) -> dict[str, float]:
        """Held-out loss of every source of the curriculum, nats per token. Raises Diverged."""
        return {name: sum(nats) / sum(tokens) for name, (nats, tokens) in self._documents(hamner).items()}

    def at_the_end(self, hamner: Hamner) -> dict[str, Any]:
        """The same, with the losses of each document, and which items of each task and level are right."""
        documents = self._documents(hamner)
        skills = (
            exact_match(hamner, self._items, self._config.compute, batch_size=8 * self._batch) if self._items else {}
        )
        return {
            "heldout_loss": {name: sum(nats) / sum(tokens) for name, (nats, tokens) in documents.items()},
            "documents": {name: {"nats": nats, "tokens": tokens} for name, (nats, tokens) in documents.items()},
            "skills": skills,
        }

    def training_losses(self, hamner: Hamner, mixer: Mixer) -> dict[str, float]:
        """Loss on text that has been trained on; how far it lies below the held-out loss says how much is memory."""
        read = {name: mixer.already_read(name, max(1, self._count // 2)) for name in self._texts}
        return {
            name: heldout_loss(hamner, rows, self._config.compute, batch_size=self._batch)
            for name, rows in read.items()
            if rows is not None
        }

    def _documents(self, hamner: Hamner) -> dict[str, tuple[list[float], list[int]]]:
        """Raises Diverged for a loss that is no number."""
        found = {
            name: document_losses(hamner, text, self._config.compute, batch_size=self._batch)
            for name, text in self._texts.items()
        }
        for name, (nats, _) in found.items():
            if not math.isfinite(sum(nats)):
                raise Diverged(f"the held-out loss of {name} is {sum(nats)}")
        return found
