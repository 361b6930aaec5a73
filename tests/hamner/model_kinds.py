"""Kinds of model that tests run through: every attention of the table, experts, the document mask."""

from hamner.config.schema import ModelConfig
from hamner.model.attention import ATTENTIONS

ATTENTION = {("dense" if name == "grouped" else name): {"attention": name} for name in ATTENTIONS}
KINDS = ATTENTION | {"experts": {"num_experts": 4, "num_active_experts": 2}, "documents": {"document_mask": True}}


def small_model(**changes) -> ModelConfig:
    """A model of three layers that computes in milliseconds."""
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_layers": 3,
        "num_heads": 4,
        "num_kv_heads": 2,
        "intermediate_size": 50,
    }
    return ModelConfig(**(sizes | changes))


def relative_error(one, other) -> float:
    """Norm of the difference over the norm of the second."""
    return ((one - other).norm() / other.norm().clamp_min(1e-12)).item()
