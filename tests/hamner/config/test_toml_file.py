"""TOML files: values, or one line that says what keeps the file from being read."""

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.toml_file import read_toml

TEXT = 'name = "Müller"\n'


def test_plain_utf8_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert read_toml(path) == {"name": "Müller"}


@pytest.mark.mended("cases/commands/bom.toml")
def test_a_byte_order_mark_of_utf8_is_skipped(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert read_toml(path) == {"name": "Müller"}


@pytest.mark.mended("cases/commands/latin1.toml, utf16.toml")
@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("latin-1", "0xfc"),
        ("cp1252", "line 1"),
    ],
)
def test_another_encoding_is_named_in_one_line_with_the_way_out(tmp_path, encoding, word):
    path = tmp_path / "a.toml"
    path.write_bytes(TEXT.encode(encoding))
    with pytest.raises(BadInput) as error:
        read_toml(path)
    (problem,) = error.value.problems
    assert str(path) in problem and word in problem and "save it as" in problem and "\n" not in problem


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("a = \n")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "a.toml"
    make(path)
    with pytest.raises(BadInput) as error:
        read_toml(path)
    (problem,) = error.value.problems
    assert str(path) in problem


@pytest.mark.mended("numbers and brackets without end in a config")
@pytest.mark.parametrize(
    ("value", "problem"),
    [("9" * 5000, "a number in it has thousands of digits"), ("[" * 3000, "its brackets are nested too deeply")],
)
def test_what_python_cannot_hold_is_said_in_one_line(tmp_path, value, problem):
    (tmp_path / "a.toml").write_text(f"seed = {value}")
    (tmp_path / "a.json").write_text(f'{{"config": {{"seed": {value}')
    with pytest.raises(BadInput, match=problem):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(BadInput, match=f"'seed' in 'seed=.*letters.*{problem}"):
        load_config("smoke", [f"seed={value}"])
    with pytest.raises(BadInput, match=r"a\.json is not the config\.json of a run"):
        load_config(str(tmp_path / "a.json"))


@pytest.mark.mended("a value in a config where a section belongs")
def test_a_value_in_place_of_the_section_that_options_go_into_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text("tournament = 3")
    with pytest.raises(BadInput, match="'tournament' = 3: it must be a section"):
        load_config(str(tmp_path / "a.toml"), extra={"lr": "shared"})


@pytest.mark.mended("numbers so large that the plan ends in MemoryError, or never")
@pytest.mark.parametrize("word", ["seeds=99999999999", "seeds=[2,3,99999999]", "more_rows=1001"])
def test_no_league_has_a_million_runs_of_one_contestant(word):
    with pytest.raises(BadInput, match="at most 1000"):
        load_config("smoke", [word])
