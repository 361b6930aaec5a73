"""What TensorBoard's HPARAMS page is told of a contestant: the same keys for all, values it can show."""

from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS
from tournament.entrants import entrants
from tournament.hparams import contestant_of, hparams


def test_all_contestants_of_all_leagues_have_the_same_keys_and_none_is_empty():
    rows = [{"name": "own", "base": "v3", "mix": {"tinystories": 1.0}, "learning_rate": 1e-3}]
    rows[0]["parameter_groups"] = [{"middle_layers": 1, "learning_rate_scale": 0.5}]
    keys = set()
    for words, extra in (((), None), ((), {"league": rows})):
        config = load_config("smoke", words, extra=extra)
        for contestant in entrants(config).values():
            values = hparams(config, contestant, 1e-3)
            assert all(isinstance(value, bool | int | float | str) and value != "" for value in values.values())
            keys.add(tuple(values))
    assert len(keys) == 1
    assert values["mix"] == "tinystories 1" and '"learning_rate_scale":0.5' in values["parameter_groups"]


def test_contestants_differ_in_what_sets_them_apart():
    config = load_config("smoke")
    values = {name: hparams(config, contestant, 1e-3) for name, contestant in entrants(config).items()}
    assert list(values) == list(CONTESTANTS)
    assert len({repr(of_one) for of_one in values.values()}) == len(CONTESTANTS)
    assert {of_one["attention"] for of_one in values.values()} > {"grouped"}


def test_seeds_of_a_contestant_share_a_row():
    assert contestant_of("v01_dense_small-seed12") == contestant_of("v01_dense_small") == "v01_dense_small"
