"""Keys that are the machine's: those of the section compute that a calibration may choose where a config says auto.

Data in: a Config, values by key (`compile`, `kernels.block_attention`). Data out: a Config with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hamner.config.schema import Compute, Config

AUTO = ("auto", 0)  # values that leave a key to the rule


def auto_keys(config: Config) -> list[str]:
    """Keys that the config leaves to the rule, and that a measurement may choose.

    fp16_accumulation is not among them: it is less exact, which no measurement of time can weigh.
    """
    compute = config.compute
    kernels = [name for name, value in compute.kernels if value in AUTO and name != "fp16_accumulation"]
    return [*(["compile"] if compute.compile in AUTO else []), *(f"kernels.{name}" for name in kernels)]


def with_keys_of(config: Config, earlier: Config) -> Config:
    """The config, its `auto` keys as an earlier one has them: what they were when that was started."""
    return with_keys(config, {key: _value(earlier, key) for key in auto_keys(config)})


def _value(config: Config, key: str) -> Any:
    section, _, name = key.rpartition(".")
    return getattr(getattr(config.compute, section) if section else config.compute, name)


def with_keys(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with keys of the section compute set."""
    document = config.compute.model_dump()
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (document[section] if section else document)[name] = value
    return config.model_copy(update={"compute": Compute.model_validate(document)})


def keys_words(values: Mapping[str, Any]) -> str:
    """Values by key as a person types them: `block_attention=always, compile=never`."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
