"""How a process is set up for a card, and that the pages promise no more than that."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
STATE = """
import json, os, sys, torch
from hamner.config.schema import Compute
from hamner.training.determinism import prepare_device
torch.set_float32_matmul_precision("high")  # which a machine may be set to
prepare_device(Compute.model_validate_json(sys.argv[1]))
import torch._inductor.config as inductor
print(json.dumps([
    torch.are_deterministic_algorithms_enabled(),
    torch.is_deterministic_algorithms_warn_only_enabled(),
    inductor.deterministic,
    torch.utils.deterministic.fill_uninitialized_memory,
    torch.get_float32_matmul_precision(),
    os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    os.environ.get("PYTORCH_ALLOC_CONF"),
]))
"""


@pytest.mark.parametrize(
    ("compute", "state"),
    [
        ({"device": "cuda"}, [True, False, True, False, "highest", ":4096:8", "expandable_segments:True"]),
        (
            {"device": "cuda", "deterministic": False},
            [False, False, False, False, "highest", None, "expandable_segments:True"],
        ),
        ({"device": "cpu"}, [False, False, False, True, "high", None, None]),
    ],
    ids=["card", "card, any order", "cpu"],
)
def test_a_process_is_set_up_for_its_device(compute, state):
    """Strict, not with warnings alone: PyTorch's memory-efficient backward is deterministic only then."""
    done = subprocess.run(
        [sys.executable, "-c", STATE, json.dumps(compute)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPO), "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == state


PROMISES = ("README.md", "docs/finetuning.md", "docs/friend.md", "docs/decisions/02_one_checkpoint_format.md")


@pytest.mark.parametrize("page", PROMISES)
def test_a_page_that_promises_the_same_bits_says_of_a_card_where_that_is_explained(page):
    text = (REPO / page).read_text(encoding="utf-8")
    assert re.search(r"bit\s+for\s+bit", text) and "card.md" in text
