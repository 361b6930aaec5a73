"""Beginning of a curriculum: fresh weights, or those of a checkpoint (--from) and its place in the text both read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curriculum.ancestor import position_line, text_position, text_state
from curriculum.run_logger import RunLogger
from hamner.config.errors import BadInput
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint
from hamner.training.session import Session


class Beginning:
    """What a run begins with. source: the folder of --from; None: fresh weights."""

    def __init__(self, session: Session, source: str | None, log: RunLogger) -> None:
        self._session, self._source, self._log = session, Path(source) if source else None, log

    def begin(self) -> None:
        """Begin at step 0: with the weights of --from, and where it stands in the text that both read."""
        if not self._source:
            return
        saved, setup = self._load(self._source), self._session.setup
        position = text_position(saved.state, self._session.corpus, setup.sources, setup.seq_len)
        self._session.trainer.mixer.continue_from(position.rows, position.passed_over)
        self._log.say(position_line(position, str(self._source)))

    def load_weights(self) -> None:
        """Take the weights that the run began with, and nothing else."""
        if self._source:
            self._load(self._source)
        else:
            fresh = build(self._session.setup.model, self._session.setup.seed)
            self._session.trainer.hamner.load_state_dict(fresh.state_dict())

    def text_state(self) -> dict[str, Any]:
        """How far each source has been read, for runs that begin with a checkpoint of this one."""
        setup = self._session.setup
        return text_state(self._session.corpus, setup.sources, setup.seq_len, self._session.trainer.mixer)

    def _load(self, path: Path) -> Checkpoint:
        """Raises BadInput for weights of another tokenizer."""
        saved = checkpoint.load(path)
        if saved.state["tokenizer_sha256"] != self._session.tokenizer.sha256:
            raise BadInput(
                f"{path} was trained with another tokenizer than the one in {self._session.folder / 'data'}: use a "
                "checkpoint of the same tokenizer"
            )
        self._session.trainer.load_weights(saved)
        return saved
