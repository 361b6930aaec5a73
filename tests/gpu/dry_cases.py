"""Cases of the dry run: model × precision × checkpointing × accumulation × document mask × loss, by twos or threes.

Pairwise: any two values of two settings stand together in at least one case, but for a model and a loss: in its two
cases each model meets two of the three. Triples: each model meets any two values of two other settings together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hamner.config.presets import CONTESTANTS, PRESETS

MODELS = CONTESTANTS | PRESETS
BATCH, TOKENS = 16, 488  # rows of a batch; T, which is no size of any model and a multiple of 8, as kernels want it
PROMPT, REPLY = 16, 4  # tokens that generation reads and draws
FLAGS = ("precision", "checkpointing", "accumulation", "document_mask")
VALUES: dict[str, tuple[Any, ...]] = {
    "precision": ("bf16", "fp16"),
    "checkpointing": (False, True),
    "accumulation": (1, 2),
    "document_mask": (False, True),
    "loss": ("fused", "unfused", "replies"),  # head_loss; whole logits; that of a fine-tuning
}


@dataclass(frozen=True)
class Case:
    model: str
    precision: str = "bf16"
    checkpointing: bool = False
    accumulation: int = 1
    document_mask: bool = False
    loss: str = "fused"
    kind: str = "train"  # or "evaluate", "generate"
    planted: str = ""  # a fault, see planted.py

    def __str__(self) -> str:
        words = [self.kind, self.model, self.precision]
        words += [f"{self.accumulation} parts"] if self.accumulation > 1 else []
        words += ["checkpointing"] if self.checkpointing else []
        words += ["document mask"] if self.document_mask else []
        return " ".join([*words, self.loss if self.kind == "train" else "", self.planted]).strip()

    @property
    def is_sparse(self) -> bool:
        """Whether the model is a mixture of experts."""
        return MODELS[self.model].num_experts > 1


def pairwise() -> list[Case]:
    """Training cases: each model twice, the four flags as bits, the second time with those the first had not."""
    cases = []
    for index, name in enumerate(MODELS):
        for turn, bits in enumerate((index, 15 - index)):
            cases.append(Case(name, **_flags(bits), loss=VALUES["loss"][(index + turn) % 3]))
    return cases


def triples() -> list[Case]:
    """Training cases: each model six times, one of three bit patterns and its opposite with each loss: 72 in all.

    Of the three patterns any two flags are equal in one or two; so with the opposites they meet in all four ways.
    """
    cases = []
    for index, name in enumerate(MODELS):
        for turn, loss in enumerate(VALUES["loss"]):
            half = (0b0011, 0b0101, 0b0110)[(index + turn) % 3] ^ index
            for bits in (half, half ^ 0b1111):
                cases.append(Case(name, **_flags(bits), loss=loss))
    return cases


def _flags(bits: int) -> dict[str, Any]:
    """Value of each flag, the lowest bit the first's."""
    return {flag: VALUES[flag][bits >> place & 1] for place, flag in enumerate(FLAGS)}


def inference() -> list[Case]:
    """Evaluation and generation of each model, the settings in turns."""
    cases = []
    for index, name in enumerate(MODELS):
        mask, precision = bool(index // 2 % 2), VALUES["precision"][index % 2]
        cases += [Case(name, precision, document_mask=mask, kind=kind) for kind in ("evaluate", "generate")]
    return cases
