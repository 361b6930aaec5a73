"""What a run says it costs."""

import pytest
import torch

from hamner import meter
from hamner.config import Compute, ModelConfig
from hamner.cost import training_flops_per_token, useful_flops_per_token
from hamner.meter import Meter, matrix_peak, peak_gib

MODEL = ModelConfig(vocab_size=1000, hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=96)
CPU = Compute(device="cpu", precision="fp32")


def test_speed_leaves_pauses_out_and_counts_the_wait_for_data(monkeypatch):
    monkeypatch.setattr(meter, "matrix_peak", lambda device, precision: 1e9)
    speed = Meter(CPU, MODEL, 128)
    speed.pause(-9.0)    # as if 9 seconds more had passed in training
    told = speed.now(900, waited=0.9)
    assert 99 < told["tokens_per_second"] <= 100
    assert 0.099 < told["data_wait"] <= 0.1
    assert told["share_of_peak"] == pytest.approx(told["tokens_per_second"] * useful_flops_per_token(MODEL, 128) / 1e9)
    speed.pause(-4.5)
    told = speed.now(1350, waited=0.9)
    assert 99 < told["tokens_per_second"] <= 100 and told["data_wait"] == 0


def test_useful_operations_are_six_a_weight_and_half_the_square_of_attention():
    weights = 1000 * 64 + 2 * (2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 96)
    norms = 5 * 64    # counted among the parameters
    assert useful_flops_per_token(MODEL, 128) == 6 * (weights + norms) + 6 * 2 * 64 * 128
    whole = training_flops_per_token(MODEL, 128)
    assert whole - useful_flops_per_token(MODEL, 128) == 6 * 2 * 64 * 128


def test_the_peak_of_matrix_products_is_not_below_what_one_reaches():
    torch.set_num_threads(1)
    assert 1e9 < matrix_peak("cpu", "fp32") < 1e13


def test_peak_memory_rises_with_what_is_held():
    before = peak_gib("cpu")
    held = torch.ones(3 * 2**26)    # 0.75 GiB
    assert peak_gib("cpu") >= min(before, 0.5) + 0.2 and held.sum() > 0
