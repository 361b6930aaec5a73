"""What a chat with a model of a given size can be expected to be: one honest sentence, fine-tuned or not."""

from __future__ import annotations

MINIATURE = 10e6  # parameters: below it hardly a sentence holds together
PROMISES = {  # (is a miniature, is fine-tuned; None: not on record)
    (True, True): "a miniature of {}, fine-tuned to reply: expect short phrases from what it read, and little sense",
    (True, False): "a miniature of {}, not fine-tuned: it continues text of the kinds it read; do not expect answers",
    (True, None): "a miniature of {}: expect short phrases from what it read, and little sense",
    (False, True): "{}, fine-tuned to reply: expect short, friendly small talk; do not rely on facts, sums or advice",
    (False, False): "{}, not fine-tuned: it continues text; it may neither answer nor stop. `hamner sft` teaches both",
    (False, None): "{}: expect small talk at best; do not rely on facts, sums or advice",
}


def expectation(parameters: int, is_finetuned: bool | None) -> str:
    """What can be expected of a model; is_finetuned None where nobody wrote it down."""
    size = f"{parameters / 1e6:.1f} M" if parameters < 1e9 else f"{parameters / 1e9:.1f} B"
    return PROMISES[parameters < MINIATURE, is_finetuned].format(f"{size} parameters")
