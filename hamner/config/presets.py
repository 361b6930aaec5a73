"""Model presets: the ten contestants of the tournament, v2 and v3; and the rule that shrinks any for a small machine.

A contestant is one row; which of them enter a league is tournament/entrants.py. The counts beside the rows are exact
and tested: total / active per token.
"""

from __future__ import annotations

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.schema import ModelConfig, Size

PRESETS: dict[str, ModelConfig] = {
    # 163,609,344 parameters: the tournament's recorded winner, v02_dense_medium, pretrained on web text
    "v2": ModelConfig(hidden_size=768, num_layers=20, num_heads=12, num_kv_heads=4, intermediate_size=2048),
    # 47,190,528 parameters: the curriculum's model; 53 % of them are the embedding
    "v3": ModelConfig(hidden_size=512, num_layers=8, num_heads=8, num_kv_heads=2, intermediate_size=1365),
}


def _row(
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
    *,
    experts: int = 1,
    attention: str = "grouped",
) -> ModelConfig:
    """A model with the top 2 of its experts active."""
    return ModelConfig(
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        intermediate_size=intermediate,
        num_experts=experts,
        num_active_experts=min(experts, 2),
        attention=attention,
    )


# fmt: off
CONTESTANTS: dict[str, ModelConfig] = {
    #                          hidden layers heads kv intermediate                       total / active parameters
    "v01_dense_small":     _row(512, 16,  8, 4, 1536),                                     # 75,514,368
    "v02_dense_medium":    _row(768, 20, 12, 4, 2048),                                     # 163,609,344
    "v03_diffattn_small":  _row(512, 16,  8, 4, 1536, attention="differential"),           # 81,810,944
    "v04_diffattn_medium": _row(768, 20, 12, 4, 2048, attention="differential"),           # 179,344,384
    "v05_moe_small":       _row(512, 12,  8, 4, 1024, experts=8),                          # 185,659,904 / 72,413,696
    "v06_moe_medium":      _row(768, 16, 12, 4, 1536, experts=8),                          # 516,023,040 / 176,284,416
    "v07_hybrid_small":    _row(512, 12,  8, 4, 1024, experts=8, attention="differential"),  # 190,382,336 / 77,136,128
    "v08_hybrid_medium":   _row(768, 16, 12, 4, 1536, experts=8, attention="differential"),  # 528,611,072 / 188,872,448
    "v09_deep_narrow":     _row(384, 32,  6, 3, 1024),                                     # 70,803,840
    "v10_wide_shallow":    _row(1024, 8, 16, 4, 2048),                                     # 121,652,224
}
# fmt: on


def model_named(name: str, size: Size) -> ModelConfig:
    """A contestant or preset by name, shrunk to `size`. Raises BadInput for an unknown name."""
    known = CONTESTANTS | PRESETS
    if name not in known:
        raise BadInput(f"unknown contestant '{name}'; {did_you_mean(name, list(known))}")
    return shrink(known[name], size)


def shrink(model: ModelConfig, size: Size) -> ModelConfig:
    """Divide width, depth and MLP width; keep the query-to-KV head ratio, experts and top-k.

    Heads stay as many as fit with `min_head_size` entries each, in multiples of the ratio, so the width may
    be rounded up (v09 at ÷ 8: 48 wide becomes 64, since its 2:1 heads need an even number of 16).
    Vocabulary and document mask are the size's.
    """
    of_the_size = {"vocab_size": size.vocab_size, "document_mask": size.document_mask}
    if size.divide == 1:
        return model.model_copy(update=of_the_size)
    ratio = model.num_heads // model.num_kv_heads
    hidden = max(1, round(model.hidden_size / size.divide))
    if hidden // model.num_heads >= size.min_head_size and hidden % model.num_heads == 0:
        heads = model.num_heads
    else:
        heads = -(-hidden // (size.min_head_size * ratio)) * ratio  # rounded up to whole groups
        hidden = heads * size.min_head_size
    return model.model_copy(
        update={
            **of_the_size,
            "hidden_size": hidden,
            "num_layers": _half_up(model.num_layers / size.divide),
            "num_heads": heads,
            "num_kv_heads": heads // ratio,
            "intermediate_size": _half_up(model.intermediate_size / size.divide),
        }
    )


def _half_up(value: float) -> int:
    """Rounded, halves up, at least 1."""
    return max(1, int(value + 0.5))
