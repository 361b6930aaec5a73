"""Golden hashes of losses and gradients: what a processor of those recorded computes, it computes bit for bit.

    PYTHONPATH=.:tests/hamner python tests/hamner/model/kernels/test_golden.py   # prints this machine's row

Rows were recorded before there was any rule for cards or for processors with AVX2 alone. Sums differ between kinds of
processor and versions of PyTorch: on one without a row the test is skipped.
"""

import hashlib
import os

import pytest
import torch
from model_kinds import KINDS, small_model

from hamner.model.loss import head_loss, head_losses
from hamner.model.transformer import build

CASES = [(kind, precision) for kind in KINDS for precision in ("fp32", "bf16")]
SIZES = {"hidden_size": 64, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 85}
GOLDEN = {
    "2.13.0+cpu AVX512 AMX": {
        "dense fp32": "35fcd41461404549",
        "dense bf16": "cc43535f08711187",
        "differential fp32": "963ce36b3e39d777",
        "differential bf16": "7180161c4ce5f0fa",
        "experts fp32": "e581869d91608b7e",
        "experts bf16": "a9b2c3b67963d26d",
        "documents fp32": "1e45557c70bb3e3c",
        "documents bf16": "62db760b85d6cf2f",
    },
    "2.13.0+cpu AVX512 AMX, of which oneDNN uses AVX512_CORE_BF16": {
        "dense fp32": "35fcd41461404549",
        "dense bf16": "12fb01ae78502eb1",
        "differential fp32": "963ce36b3e39d777",
        "differential bf16": "67ff1f6f478f636b",
        "experts fp32": "e581869d91608b7e",
        "experts bf16": "9da56a3621eda2a5",
        "documents fp32": "1e45557c70bb3e3c",
        "documents bf16": "a68788b0fd7d2b88",
    },
}


def processor() -> str:
    units = "AMX" if torch.cpu._is_amx_tile_supported() else "no AMX"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    of_them = f", of which oneDNN uses {limit}" if limit else ""
    return f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()} {units}{of_them}"


def fingerprint(kind: str, precision: str) -> str:
    """Of a step's loss and gradients, and of the losses of an evaluation, computed with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        hamner = build(small_model(**SIZES, **KINDS[kind]), seed=0).train()
        hamner.dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        tokens = torch.randint(0, 300, (3, 170), generator=torch.Generator().manual_seed(0))
        hidden, balance = hamner.hidden_states(tokens)
        loss = head_loss(hidden, hamner.embedding.weight, tokens)
        (loss + balance).backward()
        with torch.no_grad():
            losses = head_losses(hamner.eval().hidden_states(tokens)[0], hamner.embedding.weight, tokens)
        digest = hashlib.sha256()
        for tensor in (loss.detach(), balance.detach(), losses, *(weight.grad for weight in hamner.parameters())):
            digest.update((tensor + 0.0).numpy().tobytes())  # -0.0 + 0.0 is 0.0
        return digest.hexdigest()[:16]
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("kind", "precision"), CASES)
def test_a_processor_computes_the_bits_that_it_always_has(kind, precision):
    row = GOLDEN.get(processor())
    if row is None:
        pytest.skip(f"no hashes of {processor()}")
    assert fingerprint(kind, precision) == row[f"{kind} {precision}"]


if __name__ == "__main__":
    print(repr(processor()), {f"{kind} {precision}": fingerprint(kind, precision) for kind, precision in CASES})
