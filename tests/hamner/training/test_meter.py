"""What a run says it costs."""

import time

import pytest
import torch

from hamner.config.cost import training_flops_per_token, useful_flops_per_token
from hamner.config.schema import Compute, ModelConfig
from hamner.training import throughput
from hamner.training.throughput import Meter, matrix_peak, peak_gib

MODEL = ModelConfig(vocab_size=1000, hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=96)
CPU = Compute(device="cpu", precision="fp32")


def test_speed_is_of_training_steps_alone_and_counts_the_wait_for_data(monkeypatch):
    monkeypatch.setattr(throughput, "matrix_peak", lambda device, precision: 1e9)
    speed = Meter(CPU, MODEL, 128)
    time.sleep(0.05)  # spent on something else
    for _ in range(2):
        speed.ran(4.5)
    told = speed.now(900, waited=0.9)
    assert told["tokens_per_second"] == pytest.approx(100) and told["data_wait"] == pytest.approx(0.1)
    assert told["mfu"] == pytest.approx(told["tokens_per_second"] * useful_flops_per_token(MODEL, 128) / 1e9)
    speed.ran(4.5)
    told = speed.now(1350, waited=0.9)
    assert told["tokens_per_second"] == pytest.approx(100) and told["data_wait"] == 0


def test_useful_operations_are_six_a_weight_and_half_the_square_of_attention():
    weights = 1000 * 64 + 2 * (2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 96)
    norms = 5 * 64  # counted among the parameters
    assert useful_flops_per_token(MODEL, 128) == 6 * (weights + norms) + 6 * 2 * 64 * 128
    whole = training_flops_per_token(MODEL, 128)
    assert whole - useful_flops_per_token(MODEL, 128) == 6 * 2 * 64 * 128


def test_the_peak_of_matrix_products_is_not_below_what_one_reaches():
    torch.set_num_threads(1)
    assert 1e9 < matrix_peak("cpu", "fp32") < 1e13


def test_peak_memory_rises_with_what_is_held():
    before = peak_gib("cpu")
    held = torch.ones(3 * 2**26)  # 0.75 GiB
    assert peak_gib("cpu") >= min(before, 0.5) + 0.2 and held.sum() > 0
