"""Dry run on a fake card, in CI: no model at full size meets a wrong device or type, waits, T × T scores or fp32.

All cases run in one child process, since only a process of its own can have the fake backend; see docs/gpu_check.md.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import combinations

import card_shim
import limits
import pytest
from dry_cases import BATCH, FLAGS, MODELS, REPLY, TOKENS, VALUES, Case, inference, pairwise, triples

from hamner.config.schema import ModelConfig

PLANTED = [Case("v01_dense_small", planted=fault) for fault in ("item", "cpu_tensor", "fp32_product", "square_mask")]


def run(cases: list[Case], folder, timeout: float) -> dict[Case, dict]:
    """The findings of each case."""
    if reason := card_shim.unavailable():
        pytest.skip(reason)
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    script, words = card_shim.HERE / "dry_run.py", (str(folder / "cases.json"), str(folder / "findings.json"))
    child = card_shim.run_on_fake_card(str(script), *words, shim=card_shim.build_shim(), timeout=timeout)
    assert child.returncode == 0, child.stdout + child.stderr
    return dict(zip(cases, json.loads((folder / "findings.json").read_text()), strict=True))


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> dict[Case, dict]:
    return run([*pairwise(), *inference(), *PLANTED], tmp_path_factory.mktemp("dry"), timeout=900)


def problems(case: Case, found: dict) -> list[str]:
    """What of the findings must not be."""
    if "error" in found:
        return [f"error: {found['error']} at {found['frames'][-1]}"]
    lines = [f"fp32 product: {line}" for line in found["wide_products"]]
    lines += [f"T × T: {line}" for line in found["scores"] if not is_document_mask(case, line)]
    waits, most = sum(found["waits"].values()), most_waits(case)
    lines += [f"waits: {waits}, {most} are allowed: {found['waits']}"] if waits > most else []
    if case.kind == "train" and sum(found["copies"].values()) > limits.COPIES_A_STEP:
        lines.append(f"copies: {found['copies']}, {limits.COPIES_A_STEP} is allowed")
    return lines


def is_document_mask(case: Case, line: str) -> bool:
    """Whether it is the mask of documents, one for all heads and layers: on a card the kernels take no other form."""
    return case.document_mask and "model/document_mask.py" in line


def most_waits(case: Case) -> int:
    model = MODELS[case.model]
    if case.kind == "train":
        parts = {"checkpointing": case.checkpointing, "parts": case.accumulation}
        replies = limits.WAITS_OF_REPLIES if case.loss == "replies" else 0
        return limits.waits_of_training(model, case.precision, **parts) + replies
    passes = 3 if case.kind == "evaluate" else REPLY  # through the model: of each evaluation, of each token
    experts = passes * model.num_layers * limits.EXPERT_WAITS[case.precision][0] if case.is_sparse else 0
    own = limits.WAITS_AN_EVALUATION if case.kind == "evaluate" else passes * limits.WAITS_A_TOKEN
    return own + experts


@pytest.mark.parametrize("case", [*pairwise(), *inference()], ids=str)
def test_a_card_runs(case, findings):
    assert problems(case, findings[case]) == []


@pytest.mark.parametrize(
    ("fault", "word"),
    [("item", "waits: "), ("cpu_tensor", "error: "), ("fp32_product", "fp32 product: "), ("square_mask", "T × T: ")],
)
def test_a_planted_fault_is_caught(fault, word, findings):
    case = next(case for case in PLANTED if case.planted == fault)
    lines = problems(case, findings[case])
    assert lines and all(line.startswith(word) for line in lines), lines


def test_attention_takes_the_flash_kernel_and_with_a_mask_the_efficient_one(findings):
    for case in pairwise():
        kernels = findings[case]["attention"]
        kind = "efficient" if case.document_mask else "flash"
        assert kernels and all(kind in name for name in kernels), (case, kernels)


def test_any_two_values_stand_together_in_a_case():
    cases = pairwise()
    settings = {"model": tuple(MODELS), **VALUES}
    seen = Counter(
        (first, getattr(case, first), second, getattr(case, second))
        for case in cases
        for first, second in combinations(settings, 2)
    )
    wanted = [
        (first, one, second, two)
        for first, second in combinations(settings, 2)
        if (first, second) != ("model", "loss")  # in two cases, two of three
        for one in settings[first]
        for two in settings[second]
    ]
    assert [pair for pair in wanted if not seen[pair]] == []
    assert len(cases) == 2 * len(MODELS) and set(FLAGS) < set(settings)


def test_each_model_meets_any_two_values_together():
    cases = triples()
    seen = {
        (case.model, first, getattr(case, first), second, getattr(case, second))
        for case in cases
        for first, second in combinations(VALUES, 2)
    }
    wanted = [
        (model, first, one, second, two)
        for model in MODELS
        for first, second in combinations(VALUES, 2)
        for one in VALUES[first]
        for two in VALUES[second]
    ]
    assert [row for row in wanted if row not in seen] == [] and len(cases) == 6 * len(MODELS)


def test_no_size_of_a_model_is_the_length_of_a_row():
    """Else a weight would pass for scores."""
    for model in MODELS.values():
        sizes = [value for value in model.model_dump().values() if isinstance(value, int)]
        sizes += [model.hidden_size // 2, 2 * model.intermediate_size, BATCH * TOKENS]
        assert TOKENS not in sizes and isinstance(model, ModelConfig)


@pytest.mark.slow
def test_a_card_runs_each_model_with_any_two_settings(tmp_path):
    findings = run(triples(), tmp_path, timeout=3600)
    assert {str(case): lines for case, found in findings.items() if (lines := problems(case, found))} == {}
