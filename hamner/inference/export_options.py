"""Options of an export: what can be asked for, and what is refused before a model is loaded. Needs no torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hamner.config.errors import BadInput, did_you_mean

GGUF_FORMATS = ("f32", "f16", "q8_0")


def gguf_formats(word: str) -> tuple[str, ...]:
    """The formats of a list such as "f16,q8_0", each once. Raises BadInput for others."""
    formats = tuple(dict.fromkeys(part.strip().lower() for part in word.split(",")))
    unknown = [part for part in formats if part not in GGUF_FORMATS]
    if unknown:
        raise BadInput(f"--gguf {word}: '{unknown[0]}' is not a format; {did_you_mean(unknown[0], GGUF_FORMATS)}")
    check_gguf_package()
    return formats


def check_gguf_package() -> None:
    """Raise BadInput where the package gguf is not installed."""
    if importlib.util.find_spec("gguf") is None:
        raise BadInput("--gguf needs the package gguf: use `pip install gguf`, or leave out --gguf")


def check_new(path: Path, option: str) -> None:
    """Raise BadInput where something would be overwritten: a file, or a folder with something in it."""
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise BadInput(f"{option} {path} exists already: choose another, or remove it")
