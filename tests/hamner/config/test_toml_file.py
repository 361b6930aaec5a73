"""TOML files: values, or one line that says what keeps the file from being read."""

import pytest

from hamner.config.errors import BadInput
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
