"""Attention kinds: what follows from each for parameter count, FLOPs, KV cache and memory. Needs no torch.

One row a kind, of one layer; its class is in model/attention.py. A kind of your own is a row here and a class there,
or a class anywhere that holds its row as `kind`: docs/how_to/add_an_architecture.md.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hamner.config.errors import BadInput, did_you_mean

HOW_TO = "docs/how_to/add_an_architecture.md"
OWN_MODULES = "HAMNER_MODULES"  # environment variable: modules of your own, separated by commas


class ModelSizes(Protocol):
    """The fields of a ModelConfig that a row may read."""

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def num_kv_heads(self) -> int: ...
    @property
    def head_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def max_seq_len(self) -> int: ...


class CacheShape(NamedTuple):
    """Keys and values that one layer's KV cache holds of a token: heads × entries of a head."""

    key_heads: int
    key_size: int
    value_heads: int
    value_size: int


@dataclass(frozen=True, kw_only=True)
class AttentionKind:
    """One layer of attention, in numbers. None has a default: a row without one of them cannot be written."""

    parameters: Callable[[ModelSizes], int]
    # forward, of one token among seq_len: scores and their products with the values, over the full T × T square
    score_flops: Callable[[ModelSizes, int], int]
    # ... and over the keys a token may attend to alone, which is what MFU counts
    useful_score_flops: Callable[[ModelSizes, int], int]
    cache: Callable[[ModelSizes], CacheShape]
    # entries of a token that are saved for the backward pass, from the normed input up to the output product
    activations: Callable[[ModelSizes], int]


def _kv_size(model: ModelSizes) -> int:
    return model.num_kv_heads * model.head_size


ATTENTION_KINDS: dict[str, AttentionKind] = {
    "grouped": AttentionKind(
        parameters=lambda m: 2 * m.hidden_size**2 + 2 * m.hidden_size * _kv_size(m),
        score_flops=lambda m, seq_len: 2 * 2 * m.hidden_size * seq_len,
        useful_score_flops=lambda m, seq_len: 2 * m.hidden_size * seq_len,
        cache=lambda m: CacheShape(m.num_kv_heads, m.head_size, m.num_kv_heads, m.head_size),
        activations=lambda m: 6 * m.hidden_size,
    ),
    # q and k twice; four λ vectors and the head norm. Two maps that are applied once: 3 products for 2
    "differential": AttentionKind(
        parameters=lambda m: 3 * m.hidden_size**2 + 3 * m.hidden_size * _kv_size(m) + 5 * m.head_size,
        score_flops=lambda m, seq_len: 3 * 2 * m.hidden_size * seq_len,
        useful_score_flops=lambda m, seq_len: 3 * m.hidden_size * seq_len,
        cache=lambda m: CacheShape(2 * m.num_kv_heads, m.head_size, m.num_kv_heads, m.head_size),
        activations=lambda m: 12 * m.hidden_size,
    ),
}


def attention_kind(name: str) -> AttentionKind:
    """The row of a kind by its name, or of a class of your own by its import path. Raises BadInput for neither."""
    if name in ATTENTION_KINDS:
        return ATTENTION_KINDS[name]
    kind = getattr(own_attention(name), "kind", None)
    if not isinstance(kind, AttentionKind):
        raise BadInput(f"attention '{name}' has no `kind`: give the class its row, kind = AttentionKind(...); {HOW_TO}")
    return kind


def own_attention(path: str) -> Any:
    """The class that an import path `module.Class` names. Raises BadInput where there is none.

    A name that came with a checkpoint or a config runs no code: only modules that are loaded already, or that the
    user lists in HAMNER_MODULES, are used.
    """
    module, _, name = path.rpartition(".")
    if not module:
        hint = did_you_mean(path, list(ATTENTION_KINDS))
        raise BadInput(f"unknown attention kind '{path}' (module.Class is one of your own, see {HOW_TO}); {hint}")
    allowed = [word for word in os.environ.get(OWN_MODULES, "").split(",") if word]
    if module not in sys.modules and module not in allowed:
        raise BadInput(
            f"attention '{path}' is code that is not part of hamner: allow it with "
            f"{OWN_MODULES}={','.join([*allowed, module])}"
        )
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # whatever a module of the user's raises
        is_absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        way_out = f"put the folder of {module}.py on PYTHONPATH" if is_absent else f"mend {module}.py, see {HOW_TO}"
        raise BadInput(f"attention '{path}' cannot be imported ({type(error).__name__}: {error}); {way_out}") from error
    if not hasattr(loaded, name):
        classes = [word for word, value in vars(loaded).items() if isinstance(value, type) and hasattr(value, "kind")]
        raise BadInput(
            f"attention '{path}': {module} has no {name}" + (f"; {did_you_mean(name, classes)}" if classes else "")
        )
    return getattr(loaded, name)
