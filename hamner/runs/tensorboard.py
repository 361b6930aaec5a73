"""TensorBoard: curves, texts and images of a run, one tag and unit for one quantity, whichever kind of run writes it.

Data in: rows of metrics.csv and other values, by name, and the optimizer step. Data out: event files. The groups of
tags are `heldout/`, `plateau/`, `skills/`, `speed/`, `stage/` and `train/`, which TensorBoard shows in this order. On
resume it is told to forget what was written after the resumed step, so a killed run leaves no point twice.
docs/curves.md lists the tags.
"""

from __future__ import annotations

import html
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NATS = "nats per token"
TAGS = {  # column of metrics.csv: its tag, and what TensorBoard says of it
    "heldout_loss": ("heldout/loss", f"held-out loss, {NATS}"),
    "heldout_loss_of_grid": ("heldout/loss_of_grid", f"held-out loss on the few rows of the learning curve, {NATS}"),
    "heldout_word_loss": ("heldout/word_loss", f"of the words of held-out replies, {NATS}"),
    "heldout_end_loss": ("heldout/end_loss", f"of the turn ends of held-out replies, {NATS}"),
    "gain": ("plateau/gain", "relative fall of the held-out loss a window"),
    "gain_error": ("plateau/gain_error", "standard error of the gain"),
    "limit": ("plateau/limit", "gain a window that a plateau stays below"),
    "strikes": ("plateau/strikes", "evidence for ending the stage"),
    "tokens_per_second": ("speed/tokens_per_second", "tokens per second of training"),
    "mfu": ("speed/mfu", "model FLOPs utilisation: share of the machine's matrix-product peak"),
    "data_wait": ("speed/data_wait", "share of the time that waits for data"),
    "peak_gib": ("speed/peak_gib", "peak memory, GiB"),
    "loss": ("train/loss", f"training loss of the step, {NATS}"),
    "mean_loss": ("train/mean_loss", f"mean training loss of the last 100 steps of the stage, {NATS}"),
    "balance_loss": ("train/balance_loss", "what keeps a mixture of experts evenly used"),
    "gradient_norm": ("train/gradient_norm", "norm of the gradient before clipping"),
    "learning_rate": ("train/learning_rate", "learning rate of the step"),
    "skipped_steps": ("train/skipped_steps", "steps so far whose loss or gradient was not finite"),
    "loss_scale": ("train/loss_scale", "factor of the loss in fp16"),
}
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|])")  # signs that TensorBoard's text page would not show as they are
Layout = Mapping[str, Mapping[str, Sequence[Any]]]


class Curves:
    """The event files of one run in one folder; the x axis is the optimizer step."""

    def __init__(self, folder: Path, *, resume_step: int = 0, layout: Layout | None = None) -> None:
        """layout: charts of several scalars, as SummaryWriter.add_custom_scalars takes them."""
        from torch.utils.tensorboard import SummaryWriter  # a second to import: only where curves are drawn

        self._is_new = resume_step == 0  # what begins anew may have points at step 0
        self._described: set[str] = set()
        _wait_for_a_second_of_its_own(folder)
        _leave_errors_to_flush()
        self._writer: Any = SummaryWriter(str(folder), purge_step=resume_step + 1 if resume_step else 0)
        if layout and self._is_new:
            self._writer.add_custom_scalars(layout)

    def hparams(self, values: Mapping[str, bool | float | str], group: str) -> None:
        """Give the run one row in TensorBoard's HPARAMS; runs of one `group` share a row, by the mean of their metrics.

        Where no run names the columns, TensorBoard takes as metrics what the runs have as scalars, and as
        hyperparameters the keys of all of them: so give all runs the same.
        """
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # the package's `api` wants TensorFlow

        if self._is_new:
            self._write(hparams_pb(dict(values), trial_id=group), 0)

    def row(self, row: Mapping[str, Any], step: int) -> None:
        """Draw those columns of a row of metrics.csv that have a tag and a value."""
        for column, (tag, description) in TAGS.items():
            if row.get(column) is not None:
                self._scalar(tag, row[column], step, description)
        self._writer.flush()

    def scalars(self, values: Mapping[str, float], step: int, description: str) -> None:
        """Draw values by tag."""
        for tag, value in values.items():
            self._scalar(tag, value, step, description)
        self._writer.flush()

    def _scalar(self, tag: str, value: float, step: int, description: str) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb  # SummaryWriter.add_scalar takes no description

        summary = scalar_pb(tag, value, description)
        if tag in self._described:  # it is read from a file's first point alone
            summary.value[0].ClearField("metadata")
        self._described.add(tag)
        self._write(summary, step)

    def _write(self, summary: Any, step: int) -> None:
        self._writer.file_writer.add_summary(summary, step)

    def texts(self, values: Mapping[str, str], step: int) -> None:
        """Show texts by tag, letter for letter: TensorBoard reads them as Markdown."""
        from tensorboard.plugins.text.summary_v2 import text_pb  # SummaryWriter.add_text adds to the tag

        for tag, text in values.items():
            self._write(text_pb(tag, literal(text)), step)
        self._writer.flush()

    def image(self, tag: str, pixels: np.ndarray[Any, Any], step: int) -> None:
        """pixels (H, W, 3), 0 to 255."""
        self._writer.add_image(tag, pixels, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _leave_errors_to_flush() -> None:
    """Print no traceback of a writer's thread: what it raises, as on a full disk, the next flush raises again."""
    from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread

    before = threading.excepthook
    if getattr(before, "leaves_errors_to_flush", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.thread, _AsyncWriterThread):
            before(failure)

    hook.leaves_errors_to_flush = True  # type: ignore[attr-defined]
    threading.excepthook = hook


def _wait_for_a_second_of_its_own(folder: Path) -> None:
    """Wait where the newest event file is of this second: files are read in the order of their names.

    The names begin with the second; of two files of one second the older may come last, and undo what the other says.
    """
    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.05)


def literal(text: str) -> str:
    """Markdown that shows a text letter for letter, with its line breaks."""
    lines = []
    for line in text.expandtabs(4).split("\n"):
        words = line.lstrip(" ")
        escaped = MARKDOWN.sub(r"\\\1", html.escape(words, quote=False)).replace("~", "&#126;")
        lines.append("&nbsp;" * (len(line) - len(words)) + escaped)  # four spaces would begin a block of code
    return "  \n".join(lines)
