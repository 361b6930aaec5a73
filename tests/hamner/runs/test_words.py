"""Words of a command line that a newcomer mistypes: one line each, with what to type."""

from importlib import import_module

import pytest

from hamner.config.errors import BadInput
from hamner.runs.cli import Parser, number, whole_number

PROGRAM = "hamner x"


def _parser():
    parser = Parser(PROGRAM, "For tests.", ["hamner x winner --config laptop   # an example"])
    parser.add_argument("who", metavar="WHO", help="winner or v3")
    for option in ("--config", "--data", "--name", "--only"):
        parser.add_argument(option)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--temperature", type=number(0))
    parser.add_argument("--seed", type=whole_number(0, 9))
    parser.add_settings()
    return parser


def _problems(*words):
    with pytest.raises(BadInput) as error:
        _parser().read(words)
    return error.value.problems


@pytest.mark.mended("newcomer: `lr = 1e-4`, `tournament laptop`")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seed", "=", "3"], "no spaces around = or in the value. Use seed=3"),
        (["lr", "=", "1e-4"], "Use learning_rate=1e-4"),
        (["steps=", "[50,50,100]"], "Use 'steps=[50,50,100]'"),
        (["steps", "=[50,50,100]"], "Use 'steps=[50,50,100]'"),
        (["steps=[50,", "50,", "100]"], "Use 'steps=[50,50,100]'"),
        (["mix={sft=0.5,", "wiki=0.5}"], "Use 'mix={sft=0.5,wiki=0.5}'"),
        (["laptop"], "did you mean `--config laptop`?"),
        (["mine.toml"], "did you mean `--config mine.toml`?"),
        (["labtop"], "did you mean `--config laptop`?"),
        (["builtin"], "did you mean `--data builtin`?"),
        (["resume"], "did you mean `--resume`?"),
        (["resmue"], "did you mean `--resume`?"),
        (["v02_dense_medium"], "did you mean `--only v02_dense_medium`?"),
        (["seeds"], "give it a value, as in `seeds=VALUE`"),
        (["seeds:3"], "did you mean `seeds=3`?"),
        (["qqq"], "write the key of the config, '=' and the value"),
        (["=3"], "'=3' is not key=value"),
        (["--seeds", "3"], "seeds is a key of the config: use seeds=VALUE"),
        (["--seeds=3"], "seeds is a key of the config: use seeds=3"),
        (["-config", "smoke"], "unknown option '-config'; did you mean '--config'?"),
    ],
)
def test_a_slip_is_one_line_with_the_way_out(words, says):
    (problem,) = _problems("winner", *words)
    assert says in problem


def test_slips_are_said_at_once_and_right_words_are_read():
    assert len(_problems("winner", "laptop", "seed", "=", "3", "--nmae", "x", "batch_size=2")) == 3
    options = _parser().read(["winner", "steps=[1,2]", "mix={a=1.0}", 'path="a [b"'.replace("[", ""), "--name", "x"])
    assert options.settings == ["steps=[1,2]", "mix={a=1.0}", 'path="a b"'] and options.name == "x"


@pytest.mark.mended("newcomer: --name ''")
@pytest.mark.parametrize("words", [["winner", "--name", ""], ["winner", "--only="], ["winner", "--config", " "]])
def test_an_empty_value_is_refused(words):
    (problem,) = _problems(*words)
    assert "is empty: give a value, or leave it out" in problem


@pytest.mark.mended("newcomer: a missing WHO")
@pytest.mark.parametrize("words", [[], ["--config", "smoke"]])
def test_a_missing_word_is_named_with_an_example(words):
    (problem,) = _problems(*words)
    assert problem == "WHO is missing: give winner or v3, as in `hamner x winner --config laptop`"


@pytest.mark.mended("NaN passes range checks: options")
@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "-0.1", "1e999", "hot", " "])
def test_a_number_that_is_none_is_refused(word):
    (problem,) = _problems("winner", f"--temperature={word}")
    assert f"--temperature: '{word}' must be a number of 0 or more" in problem


@pytest.mark.parametrize("word", ["-1", "10", "1.5", "nan", "x"])
def test_a_whole_number_out_of_its_range_is_refused(word):
    (problem,) = _problems("winner", f"--seed={word}")
    assert f"--seed: '{word}' must be a whole number from 0 to 9" in problem
    assert (_parser().read(["winner", "--seed=9"]).seed, _parser().read(["winner", "--temperature=0"]).temperature) == (
        9,
        0,
    )


def test_an_option_without_its_value_is_named():
    (problem,) = _problems("winner", "--name")
    assert problem == f"--name: needs a value; use `{PROGRAM} --help`"


@pytest.mark.mended("paths that cannot be, whatever the option: ~nouser, too long, a loop")
@pytest.mark.parametrize("word", ["~nosuchuser/x", "x" * 600, "loop", "loop/x"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("tournament.run", ["--plan", "--config", "{}"]),
        ("tournament.run", ["--plan", "--config", "smoke", "--league", "{}"]),
        ("tournament.run", ["--config", "smoke", "--data", "{}"]),
        ("tournament.run", ["--config", "smoke", "data.path={}"]),
        ("curriculum.run", ["v3", "--plan", "--config", "smoke", "--curriculum", "{}"]),
        ("curriculum.run", ["v3", "--plan", "--config", "smoke", "--from", "{}"]),
        ("hamner.chat", ["{}"]),
        ("hamner.process_youtube", ["{}"]),
        ("hamner.process_youtube", [".", "--out", "{}"]),
        ("hamner.prepare_data", ["--config", "smoke", "--data", "{}"]),
        ("hamner.prepare_data", ["--config", "smoke", "--out", "{}"]),
    ],
)
def test_a_path_that_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, module, arguments, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("HAMNER_RESULTS", str(tmp_path / "results"))
    assert import_module(module).main([argument.format(word) for argument in arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ") and len(errors.splitlines()) == 1 and not (tmp_path / "results").exists()
