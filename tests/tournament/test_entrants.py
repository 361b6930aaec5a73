"""Contestants of a league: by name, rows of a league file, settings of a sweep."""

import pytest

from hamner.config.cost import training_flops_per_token
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.presets import CONTESTANTS, model_named
from hamner.config.schema import ParameterGroup
from tournament.bracket import Run
from tournament.entrants import alike, entrants, flops_per_token, read_league, run_name, sweep

FILE = """
[[contestant]]
name = "slow-middle"
base = "v02_dense_medium"
learning_rate = 1e-4
seeds = [3, 5]
parameter_groups = [{learning_rate_scale = 0.2, middle_layers = 2}, {learning_rate_scale = 0, parameters = "emb*"}]

[[contestant]]
name = "shallow"
base = "v3"
overrides = {num_layers = 16, attention = "differential", rope_theta = 5e4}

[[contestant]]
name = "plain"
base = "v05_moe_small"
"""


def _config(rows=None, *words):
    return load_config("smoke", words, extra={"league": rows} if rows else None)


def _problems(*rows):
    """The problems of a league of these rows."""
    with pytest.raises(BadInput) as error:
        entrants(_config(list(rows)))
    return error.value.problems


def _league(tmp_path, text):
    path = tmp_path / "league.toml"
    path.write_text(text, encoding="utf-8")
    return read_league(str(path))


def test_the_ten_enter_in_their_order_at_the_size_of_the_config():
    config = _config()
    contestants = entrants(config)
    assert list(contestants) == list(CONTESTANTS)
    assert all(c.model == model_named(name, config.size) for name, c in contestants.items())
    assert {(c.seeds, c.learning_rate, c.groups) for c in contestants.values()} == {((0, 1), None, ())}


def test_those_named_enter_with_the_leagues_seeds_and_presets_too():
    contestants = entrants(_config(None, 'contestants=["v3", "v09_deep_narrow"]', "keep=[1]", "steps=[9]", "seeds=3"))
    assert {name: c.seeds for name, c in contestants.items()} == {"v3": (0, 1, 2), "v09_deep_narrow": (0, 1, 2)}


def test_rows_of_a_file_say_how_an_entrant_differs_from_its_base(tmp_path):
    config = _config(_league(tmp_path, FILE), "seeds=2")
    contestants = entrants(config)
    assert list(contestants) == ["slow-middle", "shallow", "plain"]
    assert contestants["slow-middle"].model == model_named("v02_dense_medium", config.size)
    assert (contestants["slow-middle"].seeds, contestants["slow-middle"].learning_rate) == ((3, 5), 1e-4)
    assert contestants["slow-middle"].groups == (
        ParameterGroup(learning_rate_scale=0.2, middle_layers=2),
        ParameterGroup(learning_rate_scale=0.0, parameters="emb*"),
    )
    changed = {"num_layers": 2, "attention": "differential", "rope_theta": 5e4}
    assert contestants["shallow"].model == model_named("v3", config.size).model_copy(update=changed)  # 16 ÷ 8 layers
    assert (contestants["plain"].seeds, contestants["plain"].learning_rate) == ((0, 1), None)


@pytest.mark.mended("overrides were laid over the shrunk model")
@pytest.mark.parametrize(("config", "layers"), [("rtx3090", 12), ("laptop", 3), ("smoke", 2)])
def test_overrides_are_of_full_size_and_shrink_with_the_rest(config, layers):
    rows = [
        {"name": "deep", "base": "v01_dense_small", "overrides": {"num_layers": 12, "intermediate_size": 3072}},
        {"name": "wide", "base": "v01_dense_small", "overrides": {"hidden_size": 1024}, "learning_rate": 6e-4},
    ]
    loaded = load_config(config, [], extra={"league": rows})
    contestants, plain = entrants(loaded), model_named("v01_dense_small", loaded.size)
    deep, wide = contestants["deep"].model, contestants["wide"].model
    assert (deep.num_layers, deep.intermediate_size) == (layers, 2 * plain.intermediate_size)
    assert (wide.hidden_size, wide.num_layers) == (2 * plain.hidden_size, plain.num_layers)
    assert deep.num_layers < plain.num_layers or config == "smoke"  # 16 and 12 layers, an eighth: 2 and 1.5
    assert contestants["wide"].learning_rate == 6e-4  # as in the config: lr_scale multiplies it like every other


def test_entrants_that_differ_at_full_size_alone_are_said_to_be_alike():
    rows = [
        {"name": f"{layers}-{rate}", "base": "v3", "overrides": {"num_layers": layers}, "learning_rate": rate}
        for layers, rate in ((8, 1e-3), (9, 1e-3), (8, 2e-3), (24, 1e-3))
    ]
    assert alike(entrants(_config(rows))) == [["8-0.001", "9-0.001"]]
    assert alike(entrants(load_config("rtx3090", [], extra={"league": rows}))) == []


@pytest.mark.mended("contested = keep without a second seed")
def test_to_keep_who_is_contested_takes_a_second_seed():
    rows = [V2, V2 | {"name": "y"}]
    with pytest.raises(BadInput, match=r"contested = keep needs a second seed .* use seeds=2 or more"):
        _config(rows, "contested=keep", "seeds=1")
    assert len(entrants(_config(rows, "contested=keep", "seeds=2"))) == 2


def test_a_league_of_ones_own_may_be_smaller_than_what_round_one_keeps(tmp_path):
    config = _config(_league(tmp_path, FILE))
    assert len(entrants(config)) == 3 < config.tournament.keep[0]
    with pytest.raises(BadInput, match=r"round 1 keeps 5 of 2 contestants; it must cut at least one"):
        entrants(_config(None, 'contestants=["v2", "v3"]'))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'contestant' is missing"),
        ("[[contestant]]\nname = 'x'", "base' is missing"),
        ("[[contestant]]\nname = 'x'\nbase = 'v2'\noverride = {num_layers = 2}", "did you mean|unknown key"),
        ("[[contestant]]\nname = 'x'\nbase = 'v2'\nlearning_rate = 0", "greater than 0"),
        ("[[contestant]]\nname = x", "is not valid TOML"),
    ],
)
def test_a_file_that_is_not_a_league_is_refused(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        _league(tmp_path, text)


@pytest.mark.mended("a league file without a contestant")
def test_a_league_file_without_a_contestant_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"league\.toml: nobody enters. Give at least one \[\[contestant\]\]"):
        _league(tmp_path, "contestant = []")


def test_a_league_file_that_is_not_there_is_named():
    with pytest.raises(BadInput, match=r"'/nowhere/l\.toml' cannot be read"):
        read_league("/nowhere/l.toml")


V2 = {"name": "x", "base": "v2"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"base": "v02_dense"}, "unknown contestant 'v02_dense'; did you mean 'v02_dense_medium'?"),
        ({"overrides": {"num_layer": 2}}, "unknown key 'num_layer'; did you mean 'num_layers'?"),
        ({"overrides": {"num_layers": "two"}}, "'num_layers' = 'two'"),
        ({"overrides": {"num_layers": True}}, "'num_layers' = true"),
        ({"overrides": {"document_mask": 1}}, "'document_mask' = 1"),
        ({"overrides": {"num_heads": 3}}, "x: num_heads 3 is not a multiple of num_kv_heads 4"),
        ({"overrides": {"max_seq_len": 32}}, "sequences of 64 tokens exceed the model's max_seq_len 32"),
        ({"overrides": {"vocab_size": 100}}, "vocab_size"),  # the tokenizer has more ids than that
        ({"seeds": [1, 1]}, "seeds = [1, 1] must be different"),
        ({"seeds": [-1]}, "not negative"),
        ({"parameter_groups": [{"learning_rate_scale": 0.2}]}, "has either middle_layers or parameters"),
        (
            {"parameter_groups": [{"learning_rate_scale": 0.2, "middle_layers": 1, "parameters": "*"}]},
            "has either middle",
        ),
        ({"parameter_groups": [{"learning_rate_scale": 0.2, "middle_layers": 4}]}, "4 middle layers of 3"),
        ({"parameter_groups": [{"learning_rate_scale": 0.2, "parameters": "nothing.*"}]}, "nothing.*"),
    ],
)
def test_an_impossible_row_is_refused_before_anything_starts(row, message):
    problems = _problems(V2 | row)
    assert len(problems) == 1 and message in problems[0]


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "..", ".", "data", "ray"])  # two are the league's own
def test_a_name_that_cannot_be_a_folder_is_refused(name):
    assert len(_problems(V2 | {"name": name})) == 1


@pytest.mark.mended("a contestant may be called bracket.json")
@pytest.mark.parametrize(
    "name", ["bracket.json", "standings.json", "resume.jsonl", "proposed_mix.toml", "x.JSON", "Data"]
)
def test_a_name_of_the_leagues_own_files_is_refused(name):
    (problem,) = _problems(V2 | {"name": name})
    assert f"contestant '{name}': the" in problem and "Use " in problem


def test_a_name_with_dots_and_numbers_is_none_of_the_leagues_files():
    assert list(entrants(_config([V2 | {"name": name} for name in ("v1.5", "v3-lr=1.e-4", "json")]))) != []


def test_two_runs_never_share_a_folder():
    assert any(
        "a-seed1" in problem
        for problem in _problems({"name": "a", "base": "v3", "seeds": [0, 1]}, {"name": "a-seed1", "base": "v2"})
    )


def test_all_problems_of_all_rows_come_at_once():
    problems = "\n".join(
        _problems(
            V2,
            V2 | {"base": "v33"},
            {"name": "y", "base": "v3", "overrides": {"num_layer": 2}},
            {"name": "z", "base": "v3", "seeds": [-1], "parameter_groups": [{"learning_rate_scale": 0.2}]},
        )
    )
    for part in ("'x' is entered twice", "unknown contestant 'v33'", "'num_layer'", "z: seeds", "z: a parameter group"):
        assert part in problems


def test_all_problems_of_one_row_come_at_once():
    problems = "\n".join(_problems({"name": "a b", "base": "v33", "seeds": [-1]}))
    assert "v33" in problems and "folder" in problems and "seeds" in problems


def test_flops_are_those_of_the_cost_formula():
    config = _config()
    contestants = entrants(config)
    costs = {name: training_flops_per_token(c.model, 64) for name, c in contestants.items()}
    assert flops_per_token(config, contestants) == costs


@pytest.mark.parametrize(
    ("seeds", "schedule"),
    [("2", {0: 0, 1: 0}), ("[2,3,4]", {0: 0, 1: 0, 2: 1, 3: 2}), ("[1,1,4]", {0: 0, 1: 2, 2: 2, 3: 2})],
)
def test_one_number_of_seeds_a_round_says_when_each_joins(seeds, schedule):
    contestants = entrants(_config(None, f"seeds={seeds}"))
    assert all(c.schedule == schedule and c.seeds == tuple(schedule) for c in contestants.values())


def test_a_row_with_seeds_of_its_own_plays_all_of_them_in_every_round():
    contestants = entrants(_config([V2 | {"seeds": [7, 3]}, {"name": "y", "base": "v3"}], "seeds=[2,3,4]"))
    assert contestants["x"].schedule == {7: 0, 3: 0} and contestants["y"].schedule == {0: 0, 1: 0, 2: 1, 3: 2}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["seeds=[2,3]"], "tournament.seeds = [2, 3] has 2 rounds but tournament.keep 3"),
        (["seeds=[3,2,4]"], "no round may have fewer than the one before"),
        (["seeds=[2,0,4]"], "it must be a whole number (integer) greater than 0 and at most 1000, or a list of them"),
        (["mode=async", "seeds=[2,3,4]"], "use seeds=4 or mode=sync"),
        (["contested=keep", "seeds=1"], "use seeds=2 or more in every round, or contested=cut"),
        (["contested=keep", "seeds=[1,2,4]"], "tournament.contested = keep needs a second seed"),
        (["contested=seeds"], "use one number a round, seeds=[2,3,4], with contested=cut or keep"),
        (["twins=4"], "every contestant is repeated itself now: use seeds=2"),
        (["max_seeds=3"], "use one number a round, seeds=[2,3,4]"),
    ],
)
def test_seeds_that_cannot_be_played_are_refused_with_the_way_out(words, problem):
    with pytest.raises(BadInput) as error:
        load_config("smoke", words)
    (line,) = error.value.problems
    assert problem in line


def test_a_run_is_named_after_its_contestant_and_its_further_seeds():
    contestants = entrants(_config([V2 | {"seeds": [3, 4]}, {"name": "y", "base": "v3"}]))
    runs = [Run("x", 3), Run("x", 4), Run("x", 5), Run("y", 0), Run("y", 1)]
    assert [run_name(run, contestants) for run in runs] == ["x", "x-seed4", "x-seed5", "y", "y-seed1"]


def test_a_sweep_enters_each_setting_of_each_contestant():
    assert sweep(["learning_rate=1e-4,3e-4"], ["v2", "v3"]) == [
        {"name": f"{name}-learning_rate={text}", "base": name, "learning_rate": rate}
        for name in ("v2", "v3")
        for text, rate in (("1e-4", 1e-4), ("3e-4", 3e-4))
    ]
    rows = sweep(["num_layers=16,32", "learning_rate=1e-3", "num_heads=2"], ["v3"])
    assert rows == [
        {
            "name": f"v3-num_layers={n}-learning_rate=1e-3-num_heads=2",
            "base": "v3",
            "learning_rate": 1e-3,
            "overrides": {"num_layers": n, "num_heads": 2},
        }
        for n in (16, 32)
    ]
    contestants = entrants(_config(rows))
    assert [(c.model.num_layers, c.model.num_heads, c.learning_rate) for c in contestants.values()] == [
        (2, 2, 1e-3),
        (4, 2, 1e-3),
    ]
    contestants = entrants(_config(sweep(["document_mask=true,false"], ["v3"]), "document_mask=true"))
    assert {name: c.model.document_mask for name, c in contestants.items()} == {
        "v3-document_mask=true": True,
        "v3-document_mask=false": False,
    }


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("num_layer=2", "did you mean 'num_layers'"),
        ("learning_rate", "write KEY=VALUE"),
        ("learning_rate=", "write KEY=VALUE"),
        ("lr=1e-4", "--sweep learning_rate=1e-4"),
        ("learning_rate=1e-4,", "must be a number"),
        ("learning_rate=fast", "must be a number"),
        ('learning_rate="a"', "must be a number"),
        ("learning_rate=[1]", "must be a number"),
        ("learning_rate=true", "must be a number"),
        ("num_layers=true", "must be a number"),
        ("document_mask=1", "must be true or false"),
    ],
)
def test_a_sweep_of_an_unknown_key_or_value_is_refused(word, message):
    with pytest.raises(BadInput, match=message):
        sweep([word], ["v2"])


@pytest.mark.mended("a key that is swept twice")
def test_a_key_that_is_swept_twice_is_refused_with_its_values_in_one():
    with pytest.raises(BadInput, match=r"given twice\. Give all values at once: --sweep learning_rate=1e-4,3e-4,1e-3"):
        sweep(["learning_rate=1e-4,3e-4", "num_layers=8", "learning_rate=1e-3"], ["v3"])


@pytest.mark.mended("newcomer: unknown keys inside lists of tables")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[[contestant]]\nname = 'a'\nbase = 'v2'\n[[contestant]]\nname = 'b'\nbase = 'v2'\nlearning_rat = 1\n",
            "contestant 2 'b': unknown key 'learning_rat'; did you mean 'learning_rate'?",
        ),
        (
            "[[contestant]]\nname = 'a'\nbase = 'v2'\nparameter_groups = [{learning_rate_scal = 0.5}]\n",
            "contestant 1 'a', parameter_groups 1: unknown key 'learning_rate_scal'; "
            "did you mean 'learning_rate_scale'?",
        ),
        (
            "[[contestant]]\nname = 'a'\nbase = 'v2'\nseeds = [1, 'x']\n",
            "contestant 1 'a': 'seeds 2' = 'x': it must be a whole number (integer)",
        ),
        (
            "[[contestant]]\nname = 'a'\nbase = 'v2'\nlearning_rate = inf\n",
            "contestant 1 'a': 'learning_rate' = inf: it must be a number greater than 0, and finite",
        ),
        ("[[contestant]]\nbase = 'v2'\n", "contestant 1: 'name' is missing: it must be text"),
        ("[[contestants]]\nname = 'a'\n", ": unknown key 'contestants'; did you mean 'contestant'?"),
        ("contestant = 'v2'\n", "'contestant' = 'v2': it must be one table [[contestant]] for each"),
    ],
)
def test_a_slip_in_a_row_is_one_line_with_the_row(tmp_path, text, problem):
    with pytest.raises(BadInput) as error:
        _league(tmp_path, text)
    (line,) = error.value.problems
    assert line.endswith(problem)


@pytest.mark.mended("lr means two things")
def test_the_learning_rate_has_one_name(tmp_path):
    rows = sweep(["learning_rate=1e-3"], ["v3"])
    assert rows == [{"name": "v3-learning_rate=1e-3", "base": "v3", "learning_rate": 1e-3}]
    with pytest.raises(BadInput, match=r"Use --sweep learning_rate=1e-3,3e-3"):
        sweep(["lr=1e-3,3e-3"], ["v3"])
    with pytest.raises(BadInput, match=r"Use learning_rate=0.001"):
        load_config("smoke", ["lr=1e-3"])


@pytest.mark.mended("NaN passes range checks: --sweep")
@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "nan"])
def test_a_sweep_takes_finite_numbers(value):
    with pytest.raises(BadInput, match="must be a number"):
        sweep([f"learning_rate=1e-3,{value}"], ["v3"])


@pytest.mark.mended("numbers and brackets without end in a sweep")
@pytest.mark.parametrize("value", ["9" * 5000, "9" * 400, "[" * 3000])
def test_a_sweep_of_what_no_number_can_be_is_refused(value):
    with pytest.raises(BadInput) as error:
        config = load_config("smoke", extra={"league": sweep([f"num_layers={value}"], ["v01_dense_small"])})
        entrants(config)
    assert len(str(error.value)) < 400
