"""Validation (held-out) loss of a tournament: the league's mix, on the same rows for every contestant.

Data in: the league's held-out text. Data out: an Evaluation, nats per token with the losses of each document; the
quick loss of a learning curve; the losses of further sources, which are reported and never ranked.
"""

from __future__ import annotations

from collections.abc import Mapping

from hamner.config.errors import Problems
from hamner.config.schema import Config
from hamner.data.corpus import Corpus
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.heldout import (
    WHOLE,
    HeldoutResult,
    HeldoutText,
    MixResult,
    Stretch,
    evaluate_text,
    heldout_text,
    stretch_rows,
)
from hamner.evaluation.statistics import row_counts
from hamner.model.transformer import Hamner
from hamner.training.trainer import Diverged
from tournament.round_progress import Evaluation

PROBE_SHARE = 0.2  # of the held-out text, its end: on it learning rates are chosen
QUICK_SHARE = 8  # the curve's evaluations read an eighth of the rows ...
QUICK_ROWS = 16  # ... and at least this many: enough to see the curve


def ranking_stretch(config: Config) -> Stretch:
    """The part of the held-out text that contestants are ranked on."""
    return (0.0, 1.0 - PROBE_SHARE) if config.tournament.lr == "probe" else WHOLE


def probe_stretch(config: Config) -> Stretch:
    """The part of the held-out text that learning rates are chosen on, which the ranking does not read."""
    return (1.0 - PROBE_SHARE, 1.0)


def check_stretches(config: Config, corpus: Corpus) -> None:
    """Raise BadInput for each source whose held-out text is too short, or of too few documents, for both parts."""
    problems = Problems()
    for source in config.tournament.mix:
        with problems.collect():
            if source != "synthetic":
                for stretch in (ranking_stretch(config), probe_stretch(config)):
                    stretch_rows(corpus, source, config.tournament.seq_len, stretch)
    problems.raise_all()


class Evaluator:
    """Measures models on held-out rows that are chosen once."""

    def __init__(
        self, config: Config, corpus: Corpus, tokenizer: Tokenizer, batch_size: int, stretch: Stretch = WHOLE
    ) -> None:
        """batch_size: rows that are computed at a time. stretch: of the held-out text of the mix that is read."""
        self._config, self._corpus, self._tokenizer, self._batch_size = config, corpus, tokenizer, batch_size
        self._stretch = stretch
        self._texts: dict[tuple[str, int], HeldoutText] = {}

    def evaluate(self, hamner: Hamner, step: int, factor: int = 1) -> Evaluation:
        """Return the held-out loss on `factor` times the config's rows. Raises Diverged when it is not finite."""
        settings = self._config.tournament
        texts = self._texts_of_mix(settings.eval_sequences * factor)
        result = self._evaluate_mix(hamner, texts, step)
        documents = {
            source: {"share": settings.mix[source], **source_result.documents}
            for source, source_result in result.results.items()
        }
        rows = sum(len(text.rows) for text in texts.values())
        return Evaluation(result.loss, documents, rows, factor, result.bits_per_byte)

    def quick_loss(self, hamner: Hamner, step: int) -> float:
        """Return the held-out loss on a few of the rows. Raises Diverged when it is not finite."""
        count = self._config.tournament.eval_sequences
        counts = row_counts(self._config.tournament.mix, count)
        texts = {
            source: text.part(max(min(counts[source], QUICK_ROWS), counts[source] // QUICK_SHARE))
            for source, text in self._texts_of_mix(count).items()
        }
        return self._evaluate_mix(hamner, texts, step).loss

    def other_sources(self, hamner: Hamner) -> dict[str, float | None]:
        """Return the held-out loss of each source in `report` that is not in the mix; None where not finite."""
        settings = self._config.tournament
        count = max(1, settings.eval_sequences // QUICK_SHARE)
        results = {
            source: self._evaluate(hamner, self.text(source, count))
            for source in settings.report
            if source not in settings.mix
        }
        return {source: result.loss if result.is_finite else None for source, result in results.items()}

    def _texts_of_mix(self, count: int) -> dict[str, HeldoutText]:
        """Return `count` held-out rows in the mix's ratios."""
        return {
            source: self.text(source, rows) for source, rows in row_counts(self._config.tournament.mix, count).items()
        }

    def text(self, source: str, count: int) -> HeldoutText:
        """Return `count` held-out rows of a source."""
        if (source, count) not in self._texts:
            settings = self._config.tournament
            stretch = self._stretch if source in settings.mix else WHOLE  # others are reported, and choose nothing
            self._texts[source, count] = heldout_text(
                self._corpus, self._tokenizer, source, settings.seq_len, count, stretch=stretch
            )
        return self._texts[source, count]

    def _evaluate_mix(self, hamner: Hamner, texts: Mapping[str, HeldoutText], step: int) -> MixResult:
        results = {source: self._evaluate(hamner, text) for source, text in texts.items()}
        result = MixResult(results, self._config.tournament.mix)
        if not result.is_finite:
            raise Diverged(f"the held-out loss of step {step} is {result.loss}")
        return result

    def _evaluate(self, hamner: Hamner, text: HeldoutText) -> HeldoutResult:
        return evaluate_text(hamner, text, self._config.compute, batch_size=self._batch_size)
