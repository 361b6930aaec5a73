"""Throughput, MFU and peak memory."""

import time

import pytest
import torch

from hamner.config.cost import training_flops_per_token, useful_flops_per_token
from hamner.config.schema import Compute, ModelConfig
from hamner.training.throughput import ThroughputMeter, matrix_peak, peak_gib

MODEL = ModelConfig(vocab_size=1000, hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=96)
CPU = Compute(device="cpu", precision="fp32")


def test_speed_is_of_training_steps_alone_and_counts_the_wait_for_data():
    meter = ThroughputMeter(CPU, MODEL, 128, peak_flops=1e9)
    time.sleep(0.05)  # spent on something else
    for _ in range(2):
        meter.add(4.5)
    row = meter.read(900, 0.9)
    assert row["tokens_per_second"] == pytest.approx(100) and row["data_wait"] == pytest.approx(0.1)
    assert row["mfu"] == pytest.approx(row["tokens_per_second"] * useful_flops_per_token(MODEL, 128) / 1e9)
    meter.add(4.5)
    row = meter.read(1350, 0.9)
    assert row["tokens_per_second"] == pytest.approx(100) and row["data_wait"] == 0


def test_useful_operations_are_six_a_weight_and_half_the_square_of_attention():
    weights = 1000 * 64 + 2 * (2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 96)
    norms = 5 * 64  # counted among the parameters
    assert useful_flops_per_token(MODEL, 128) == 6 * (weights + norms) + 6 * 2 * 64 * 128
    whole = training_flops_per_token(MODEL, 128)
    assert whole - useful_flops_per_token(MODEL, 128) == 6 * 2 * 64 * 128


def test_the_peak_of_matrix_products_is_not_below_what_one_reaches():
    torch.set_num_threads(1)
    assert 1e9 < matrix_peak("cpu", "fp32") < 1e13


def test_the_peak_is_measured_on_random_numbers_that_nobody_else_draws(monkeypatch):
    spreads, product, state = [], torch.mm, torch.get_rng_state()
    monkeypatch.setattr(torch, "mm", lambda a, b, out: spreads.append(a.float().std().item()) or product(a, b, out=out))
    matrix_peak.__wrapped__("cpu", "fp32")
    assert len(spreads) > 1 and all(0.9 < spread < 1.1 for spread in spreads)
    assert torch.equal(torch.get_rng_state(), state)


def test_peak_memory_rises_with_what_is_allocated():
    before = peak_gib("cpu")
    tensor = torch.ones(3 * 2**26)  # 0.75 GiB
    assert peak_gib("cpu") >= min(before, 0.5) + 0.2 and tensor.sum() > 0
