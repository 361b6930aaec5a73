"""Limits that the dry run (fake card) and the GPU check (real card) hold: waits for the host, breaks, differences.

Waits of one training step, counted on a card below sm_90 (RTX 3090), where experts take turns and the host has to know
how many tokens each gets. Lower them as the code gets there; docs/gpu_check.md says what is counted.
"""

from __future__ import annotations

from hamner.config.schema import ModelConfig

WAITS_A_STEP = {"bf16": 1, "fp16": 1}  # all numbers of a step, read at once at its end
WAITS_OF_REPLIES = 0  # of a fine-tuning, beside them
# of each layer of experts and each part of a batch: forward, backward, and forward again with checkpointing
EXPERT_WAITS = {"bf16": (1, 0, 1), "fp16": (1, 0, 1)}
COPIES_A_STEP = 1  # to the card: the batch
WAITS_AN_EVALUATION = 1 + 1 + 5  # evaluate_rows, evaluate_text, evaluate_replies; one batch each
WAITS_A_TOKEN = 1  # of generation: the logits

# of one block; experts in turns are left out of compiled code, which counts in each of the frames around them
GRAPH_BREAKS = {"dense": 0, "grouped": 0, "sequential": 3}
GRAPHS_OF_A_MODEL = 2  # two regions, whatever the depth: more are recompiles
GRAPHS_ON_A_CARD = 3  # and the loss's


def waits_of_training(model: ModelConfig, precision: str, *, checkpointing: bool, parts: int) -> int:
    """The most waits of one training step."""
    waits = WAITS_A_STEP[precision]
    if model.num_experts > 1:
        forward, backward, again = EXPERT_WAITS[precision]
        waits += parts * model.num_layers * (forward + backward + (again if checkpointing else 0))
    return waits
