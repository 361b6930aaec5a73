"""What is measured at a stage's end: the same texts and items every time, and no number that is not finite."""

import pytest
import torch

from curriculum.measurements import Measurements
from curriculum.stages import Stage
from hamner.config.load import load_config
from hamner.config.presets import model_named
from hamner.data.corpus import Corpus
from hamner.data.mixer import Mixer
from hamner.data.text_rows import training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.skills import CELLS
from hamner.model.transformer import build
from hamner.training.trainer import Diverged

NAMES = ["synthetic", "tinystories", "sft"]
CONFIG = load_config("smoke", ["skill_items=2"], "curriculum")
STAGE = Stage(name="a", mix={"synthetic": 0.5, "tinystories": 0.25, "sft": 0.25}, learning_rate=1e-3)


@pytest.fixture(scope="module")
def tokenizer(smoke_data):
    return Tokenizer.load(smoke_data)


@pytest.fixture(scope="module")
def corpus(smoke_data, tokenizer):
    return Corpus(smoke_data, tokenizer.sha256)


@pytest.fixture
def hamner():
    return build(model_named("v3", CONFIG.size), 0)


@pytest.fixture(scope="module")
def measurements(corpus, tokenizer):
    return Measurements(corpus, tokenizer, NAMES, CONFIG)


def test_a_stage_ends_with_a_loss_of_every_source_and_a_mark_of_every_skill(measurements, hamner):
    results = measurements.stage_end_results(hamner)
    assert set(results["heldout_loss"]) == set(results["documents"]) == set(NAMES)
    assert all(7 < loss < 8.5 for loss in results["heldout_loss"].values())  # ln 2048 = 7.6, untrained
    for name, documents in results["documents"].items():
        mean = sum(documents["nats"]) / sum(documents["tokens"])
        assert mean == results["heldout_loss"][name]
    assert set(results["skills"]) == set(results["choice"]) == set(CELLS) == set(measurements.chance.choice)
    for marks in (*results["skills"].values(), *results["choice"].values()):
        assert set(marks) <= {"0", "1"} and len(marks) <= 2


def test_all_measurements_are_of_the_same_texts(measurements, corpus, tokenizer, hamner):
    losses = measurements.heldout_losses(hamner)
    assert losses == measurements.stage_end_results(hamner)["heldout_loss"]
    assert losses == Measurements(corpus, tokenizer, NAMES, CONFIG).heldout_losses(hamner)


def test_a_plateau_is_judged_on_rows_in_the_ratios_of_the_stage(measurements):
    rows = measurements.plateau_rows(STAGE)
    assert {name: tuple(part.shape) for name, part in rows.items()} == {
        "synthetic": (8, 64),
        "tinystories": (4, 64),
        "sft": (4, 64),
    }


def test_training_losses_are_of_sources_that_were_read(measurements, corpus, tokenizer, hamner):
    mixer = Mixer(training_rows(corpus, tokenizer, NAMES, 64), CONFIG.curriculum.batch_size)
    mixer.start_stage({"tinystories": 1.0}, STAGE.levels)
    assert measurements.training_losses(hamner, mixer) == {}
    for _ in range(3):
        mixer.next()
    assert set(measurements.training_losses(hamner, mixer)) == {"tinystories"}


def test_without_skill_items_no_skill_is_measured(corpus, tokenizer, hamner):
    config = load_config("smoke", ["skill_items=0"], "curriculum")
    measurements = Measurements(corpus, tokenizer, ["tinystories"], config)
    assert measurements.stage_end_results(hamner)["skills"] == {} == measurements.chance.exact_match


def test_a_loss_that_is_not_finite_is_divergence_and_names_its_source(measurements, hamner):
    with torch.no_grad():
        hamner.embedding.weight.fill_(torch.nan)
    with pytest.raises(Diverged, match="synthetic"):
        measurements.heldout_losses(hamner)
