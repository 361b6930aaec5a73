"""Out of memory (OOM) in all the words that a card has for it, as the one error that fallbacks catch.

The allocator raises torch.OutOfMemoryError. What takes memory beside it, cuBLAS and CUDA itself, raises a plain
RuntimeError, though there is the same way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
OTHER_WORDS = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Within the block, raise what cuBLAS and CUDA say of a full card as torch.OutOfMemoryError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not any(words in str(error) for words in OTHER_WORDS):
            raise
        raise torch.OutOfMemoryError(str(error)) from error
