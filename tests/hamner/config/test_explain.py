"""Messages about keys of a config: in the user's words, with what to type instead, and never about another place."""

import pytest

from hamner.config.errors import BadInput
from hamner.config.explain import as_typed
from hamner.config.load import load_config


def _problems(*words, name="smoke"):
    with pytest.raises(BadInput) as error:
        load_config(name, words)
    return error.value.problems


@pytest.mark.mended("newcomer: `steps=100`, `mix=tinystories`, `lr=1e-3`")
@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("steps=100", "'tournament.steps' = 100: it must be a list of whole numbers. Use steps=[100,100,100]"),
        ("steps=50,50,100", "Use steps=[50,50,100]"),
        ("steps=[1,2,x]", "Use steps=[500,1000,2000]"),
        ("seconds=1.5", "it must be a list of numbers. Use seconds=[1.5]"),
        ("mix=tinystories", "it must be a table, such as {fineweb_edu=1.0}. Use mix={tinystories=1.0}"),
        ("mix=tinystories,sft", "Use mix={tinystories=0.5,sft=0.5}"),
        ("mix={tinystories:0.5,sft:0.5}", "Use mix={tinystories=0.5,sft=0.5}"),
        ("mix=[tinystories]", "Use mix={tinystories=1.0}"),
        ("mix=synthetic=0.2", "a shell takes {a=0.5,b=0.5} apart: put the whole word between single quotes"),
        ("mix={My Notes=1.0}", "names of letters, digits, '_' and '-'"),
        ("contestants=v2,v3", """it must be a list of names in quotes. Use 'contestants=["v2","v3"]'"""),
        ("contestants=[v2,v3]", """Use 'contestants=["v2","v3"]'"""),  # a shell has eaten the quotes
        ("lr=1e-3", "the rate itself is learning_rate. Use learning_rate=0.001"),
        ("lr=fast", "'tournament.lr' = 'fast': it must be 'probe' or 'shared'"),
        ("contested=cuts", "it must be 'cut' or 'keep'; did you mean 'cut'?"),
        ("contested=seeds", "use one number a round, seeds=[2,3,4]"),
        ("seeds=two", "'tournament.seeds' = 'two': it must be a whole number (integer) greater than 0"),
        ("seeds=2.0", "Use seeds=2"),
        ('seeds="2"', "Use seeds=2"),
        ("builtin_characters=1,000,000", "Use builtin_characters=1000000"),
        ("seed=-1", "it must be a whole number (integer) at least 0 and less than 2^63"),
        ("activation_checkpointing=True", "it must be true or false or 'auto'. Use activation_checkpointing=true"),
        ("activation_checkpointing=no", "Use activation_checkpointing=false"),
        ("activation_checkpointing=automatic", "it must be true or false or 'auto'"),
        ("deterministic=yes", "it must be true or false. Use deterministic=true"),
        ("tokenizer=3", "it must be text. Use 'tokenizer=\"3\"'"),
        ("lr_scale=nan", "it must be a number greater than 0, and finite"),
        ("clip=inf", "and finite"),
    ],
)
def test_a_wrong_value_is_told_what_to_type(word, says):
    (problem,) = _problems(word)
    assert says in problem and problem.startswith("command line: '")


@pytest.mark.mended("newcomer: a key of the command line blamed on a file")
def test_each_place_is_blamed_for_its_own_keys(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[tournament]\nmix = "tinystories"\nseeds = 0\n')
    words, file = _problems("seeds=-1", name=str(path))
    assert words.startswith("command line: 'tournament.seeds' = -1")
    assert file.startswith(f"{path}: 'tournament.mix' = 'tinystories'") and file.endswith("Use mix = {tinystories=1.0}")


def test_what_stands_in_for_a_wrong_key_is_blamed_on_nobody():
    (problem,) = _problems("steps=[50,100", "keep=[2,1]")
    assert "tournament.steps" in problem
    assert len(_problems("seed=-1", "keep=[5,5,1]")) == 2  # `tournament.seeds` is another key than `seed`


def test_a_section_is_not_a_list(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[[curriculum]]\nx = 1\n")
    (problem,) = _problems(name=str(path))
    assert problem.endswith("it must be a section with keys of its own, [curriculum]")


@pytest.mark.parametrize(
    ("value", "typed"), [(True, "true"), ([1, "a"], "[1,'a']"), ({"a": [0.5]}, "{a=[0.5]}"), (3, "3"), ("x", "'x'")]
)
def test_values_are_shown_as_they_are_typed(value, typed):
    assert as_typed(value) == typed
