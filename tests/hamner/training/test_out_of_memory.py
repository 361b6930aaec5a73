"""All words of a card for a lack of memory are one error; other errors stay what they are."""

import pytest
import torch

from hamner.training.out_of_memory import OUT_OF_MEMORY, memory_errors

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    torch.AcceleratorError("CUDA error: out of memory"),
    MemoryError("numpy"),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_card_is_out_of_memory_in_all_its_words(error):
    with pytest.raises(OUT_OF_MEMORY) as raised, memory_errors():
        raise error
    assert str(raised.value) == str(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access was encountered"), ValueError("out of memory")]
)
def test_what_is_none_stays_what_it_is(error):
    with pytest.raises(type(error)) as raised, memory_errors():
        raise error
    assert raised.value is error and not isinstance(error, OUT_OF_MEMORY)
