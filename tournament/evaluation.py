"""Validation (held-out) loss of a tournament: the league's mix, on the same rows for every contestant.

Data in: the league's held-out text. Data out: an Evaluation, nats per token with the losses of each document; the
quick loss of a learning curve; the losses of further sources, which are reported and never ranked.
"""

from __future__ import annotations

import math

from hamner.config.schema import Config
from hamner.data.corpus import Corpus
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.heldout import HeldoutText, document_losses, heldout_text
from hamner.evaluation.statistics import mix_loss, row_counts
from hamner.model.transformer import Hamner
from hamner.training.trainer import Diverged
from tournament.round_progress import Evaluation

QUICK_SHARE = 8  # the curve's evaluations read an eighth of the rows ...
QUICK_ROWS = 16  # ... and at least this many: enough to see the curve


class Evaluator:
    """Measures models on held-out rows that are chosen once."""

    def __init__(self, config: Config, corpus: Corpus, tokenizer: Tokenizer, batch_size: int) -> None:
        """batch_size: rows that are computed at a time."""
        self._config, self._corpus, self._tokenizer, self._batch_size = config, corpus, tokenizer, batch_size
        self._texts: dict[tuple[str, int], HeldoutText] = {}

    def evaluate(self, hamner: Hamner, step: int, factor: int = 1) -> Evaluation:
        """Return the held-out loss on `factor` times the config's rows. Raises Diverged when it is not finite."""
        settings = self._config.tournament
        documents, losses, rows, bits = {}, {}, 0, 0.0
        for source, count in row_counts(settings.mix, settings.eval_sequences * factor).items():
            text = self.text(source, count)
            nats, tokens = self._losses(hamner, text)
            losses[source], rows = sum(nats) / sum(tokens), rows + len(text.rows)
            documents[source] = {"share": settings.mix[source], "nats": nats, "tokens": tokens}
            bits += settings.mix[source] * losses[source] / text.bytes_per_token / math.log(2)
        return Evaluation(self._mix_loss(losses, step), documents, rows, factor, bits)

    def quick_loss(self, hamner: Hamner, step: int) -> float:
        """Return the held-out loss on a few of the rows. Raises Diverged when it is not finite."""
        settings = self._config.tournament
        losses = {}
        for source, count in row_counts(settings.mix, settings.eval_sequences).items():
            part = self.text(source, count).part(max(min(count, QUICK_ROWS), count // QUICK_SHARE))
            nats, tokens = self._losses(hamner, part)
            losses[source] = sum(nats) / sum(tokens)
        return self._mix_loss(losses, step)

    def other_sources(self, hamner: Hamner) -> dict[str, float | None]:
        """Return the held-out loss of each source in `report` that is not in the mix; None where not finite."""
        settings = self._config.tournament
        losses: dict[str, float | None] = {}
        for source in settings.report:
            if source not in settings.mix:
                nats, tokens = self._losses(hamner, self.text(source, max(1, settings.eval_sequences // QUICK_SHARE)))
                losses[source] = sum(nats) / sum(tokens) if math.isfinite(sum(nats)) else None
        return losses

    def text(self, source: str, count: int) -> HeldoutText:
        """Return `count` held-out rows of a source."""
        if (source, count) not in self._texts:
            seq_len = self._config.tournament.seq_len
            self._texts[source, count] = heldout_text(self._corpus, self._tokenizer, source, seq_len, count)
        return self._texts[source, count]

    def _losses(self, hamner: Hamner, text: HeldoutText) -> tuple[list[float], list[int]]:
        return document_losses(hamner, text, self._config.compute, batch_size=self._batch_size)

    def _mix_loss(self, losses: dict[str, float], step: int) -> float:
        loss = mix_loss(losses, self._config.tournament.mix)
        if not math.isfinite(loss):
            raise Diverged(f"the held-out loss of step {step} is {loss}")
        return loss
