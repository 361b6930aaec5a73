"""Hamner: find the small language model your GPU deserves (a tournament), raise it (a curriculum), talk to it.

    import hamner

    model = hamner.load("first")                                   # a run's name, or a folder
    print(hamner.generate(model, "Once upon a time", seed=1))
    print(hamner.Conversation(model).reply("Hello"))

    config = hamner.load_config("laptop", ["seed=3"])
    print(hamner.count_parameters(hamner.CONTESTANTS["v03_diffattn_small"]).total)

The names in `__all__` are the public API; everything else is internal and may change with any version. They are
imported when they are first used, so `import hamner` is cheap and loads no PyTorch. Wrong input is a `BadInput`.

Each .py file here is a command, and each folder a room with one role: docs/files.md lists them, `hamner` runs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamner.config.cost import count_parameters
    from hamner.config.errors import BadInput
    from hamner.config.load import load_config
    from hamner.config.presets import CONTESTANTS, PRESETS
    from hamner.config.schema import Config, ModelConfig
    from hamner.data.tokenizer import Tokenizer
    from hamner.inference.conversation import Conversation
    from hamner.inference.find_model import load
    from hamner.inference.generate import generate
    from hamner.model.loss import next_token_loss
    from hamner.model.transformer import Hamner

__version__ = "0.1.0"
__all__ = [
    "CONTESTANTS",
    "PRESETS",
    "BadInput",
    "Config",
    "Conversation",
    "Hamner",
    "ModelConfig",
    "Tokenizer",
    "count_parameters",
    "generate",
    "load",
    "load_config",
    "next_token_loss",
]

HOMES = {  # where each public name is defined
    "CONTESTANTS": "hamner.config.presets",
    "PRESETS": "hamner.config.presets",
    "BadInput": "hamner.config.errors",
    "Config": "hamner.config.schema",
    "Conversation": "hamner.inference.conversation",
    "Hamner": "hamner.model.transformer",
    "ModelConfig": "hamner.config.schema",
    "Tokenizer": "hamner.data.tokenizer",
    "count_parameters": "hamner.config.cost",
    "generate": "hamner.inference.generate",
    "load": "hamner.inference.find_model",
    "load_config": "hamner.config.load",
    "next_token_loss": "hamner.model.loss",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used."""
    if name not in HOMES:
        raise AttributeError(f"module 'hamner' has no public name '{name}'; public are {', '.join(__all__)}")
    value = globals()[name] = getattr(importlib.import_module(HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
