"""On a card all contestants of a league compile, or none; on a CPU each as its length says."""

import pytest

from hamner.config.load import load_config
from hamner.runs.compile_check import CAN_COMPILE
from hamner.runs.folders import write_config
from hamner.training.compilation import should_compile
from tournament.compilation import league_compute
from tournament.entrants import entrants
from tournament.trial import Trial


def test_the_ten_on_a_card_compile_alike_where_some_alone_would_not():
    config = load_config("rtx3090")
    league, models = config.tournament, [contestant.model for contestant in entrants(config).values()]
    tokens = league.steps[0] * league.batch_size * league.seq_len
    alone = {should_compile(config.compute, model, league.seq_len, tokens, 8) for model in models}
    together = {should_compile(league_compute(config), model, league.seq_len, tokens, 8) for model in models}
    assert alone == {True, False} and together == {True}
    assert league_compute(load_config("rtx3090", ["steps=[5,1000,2000]"])).compile == "never"


def test_what_the_config_decides_stays_and_a_cpu_is_left_alone():
    for words in (["compile=never"], ["compile=always"]):
        config = load_config("rtx3090", words)
        assert league_compute(config) is config.compute
    laptop = load_config("laptop")
    assert league_compute(laptop) is laptop.compute and laptop.compute.compile == "auto"


@pytest.mark.parametrize(("fact", "choice"), [(False, "never"), (True, "always")])
def test_each_trial_does_as_the_start_of_the_league_found(fact, choice, tmp_path):
    config = load_config("rtx3090")
    write_config(tmp_path, config, {"kind": "tournament", CAN_COMPILE: fact})
    row = {"run": str(tmp_path), "contestant": "v08_hybrid_medium", "seed": 0, "round": 0, "waiting": False}
    trial = Trial({"row": row})
    try:
        assert league_compute(trial._config).compile == choice
    finally:
        trial.cleanup()
