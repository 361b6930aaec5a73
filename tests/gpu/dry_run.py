"""Dry run on a fake card: real training steps, evaluation and generation of full-size models, without memory or values.

    dry_run.py CASES FINDINGS      in a child process that card_shim.py starts

Data in: cases (dry_cases.py) as JSON. Data out: JSON, a dictionary a case: its counts (card_record.py), or `error`.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from card_kernels import CardMode, card_kernels
from card_record import Record
from dry_cases import BATCH, MODELS, PROMPT, REPLY, TOKENS, Case
from planted import planted
from torch import Tensor, nn

from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.evaluation.heldout import HeldoutText, evaluate_rows, evaluate_text
from hamner.inference import generate as generation
from hamner.model.kernels.dispatch import DTYPES
from hamner.model.loss import next_token_loss
from hamner.model.transformer import Hamner
from hamner.training.reply_loss import ReplyObjective, evaluate_replies
from hamner.training.trainer import Objective, Trainer


class UnfusedObjective(Objective):
    """Cross-entropy of logits that exist whole."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits, balance = self.hamner(tokens)
        return next_token_loss(logits, tokens), balance


LOSSES: dict[str, Callable[[Hamner], nn.Module]] = {
    "fused": Objective,
    "unfused": UnfusedObjective,
    "replies": ReplyObjective,
}


class Rows:
    """Batches of zeros: a mixer, as far as the trainer asks."""

    def __init__(self, batch: int, tokens: int) -> None:
        self.rows = torch.zeros(batch, tokens, dtype=torch.long)

    def next(self) -> Tensor:
        return self.rows

    def state(self) -> dict[str, Any]:
        return {}


@contextmanager
def fake_card(tokens: int) -> Iterator[Record]:
    """The fake card; what is done within is recorded."""
    with card_kernels(), CardMode(allow_non_fake_inputs=True), Record(tokens) as record:
        yield record


def fake_model(model: ModelConfig, *, checkpointing: bool = False) -> Hamner:
    """A model of full size whose weights lie on the fake card."""
    with torch.device("meta"):
        hamner = Hamner(model, activation_checkpointing=checkpointing)
    for module in hamner.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(weight.shape, device="cuda")))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, device="cuda"))
    # modules swap the tensors of their parameters, which fake ones do not allow; it is there already
    hamner.to = lambda device: hamner  # type: ignore[method-assign, assignment]
    return hamner


def fake_trainer(case: Case, batch: int = BATCH, tokens: int = TOKENS) -> Trainer:
    model = MODELS[case.model].model_copy(update={"document_mask": case.document_mask})
    trainer = Trainer(
        fake_model(model, checkpointing=case.checkpointing),
        Rows(batch, tokens),  # type: ignore[arg-type]
        Optimizer(),
        Compute(device="cuda", precision=case.precision),  # type: ignore[arg-type]
        gradient_accumulation_steps=case.accumulation,
        objective=LOSSES[case.loss],
    )
    trainer.begin(3e-4, 10)
    return trainer


def train(case: Case, record: Record) -> None:
    trainer = fake_trainer(case)
    record.reset()
    trainer.step()
    if trainer.skipped_total:
        raise RuntimeError("the step changed no weight")


def evaluate(case: Case, record: Record) -> None:
    """Held-out loss by row and by document, and of replies; one batch each."""
    model, compute = _model_at_rest(case), Compute(device="cuda", precision=case.precision)  # type: ignore[arg-type]
    rows = torch.zeros(BATCH, TOKENS, dtype=torch.long)
    record.reset()
    evaluate_rows(model, rows, compute, batch_size=BATCH)
    evaluate_text(model, HeldoutText(rows, rows, 4.0), compute, batch_size=BATCH)
    evaluate_replies(model, rows, compute, batch_size=BATCH)


def generate(case: Case, record: Record) -> None:
    model = _model_at_rest(case)
    record.reset()
    drawn = torch.Generator().manual_seed(0)
    with mock.patch.object(generation, "REPLY_ENDS", ()):  # all logits are 0: any token may be drawn
        tokens = list(generation.stream(model, list(range(20, 20 + PROMPT)), REPLY, generation.Sampling(), drawn))
    if len(tokens) != REPLY:
        raise RuntimeError(f"{len(tokens)} tokens were drawn instead of {REPLY}")


def _model_at_rest(case: Case) -> Hamner:
    model = fake_model(MODELS[case.model].model_copy(update={"document_mask": case.document_mask}))
    model.dtype = DTYPES[case.precision]
    return model


KINDS: dict[str, Callable[[Case, Record], None]] = {"train": train, "evaluate": evaluate, "generate": generate}


def findings(case: Case) -> dict[str, Any]:
    """The counts of a case, with the processor's seconds that it took; or the error that ended it."""
    began = time.process_time()
    with fake_card(TOKENS) as record, planted(case.planted):
        try:
            KINDS[case.kind](case, record)
            found = record.findings()
        except Exception as error:
            message = str(error).split("\n")[0][:300]
            frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            found = {"error": f"{type(error).__name__}: {message}", "frames": frames[-12:]}
    return found | {"seconds": round(time.process_time() - began, 2)}


def main(cases: Path, out: Path) -> None:
    out.write_text(json.dumps([findings(Case(**case)) for case in json.loads(cases.read_text())]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
