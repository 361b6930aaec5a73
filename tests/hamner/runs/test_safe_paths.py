"""Names and paths that stand in files stay in their folder: `..`, absolute, links, reserved, control characters."""

import pytest

from hamner.config.errors import BadInput
from hamner.runs.safe_paths import name_problem, path_below, path_within

LEADING_OUT = (
    "..", "../x", "a/../../x", "a/..", "/etc/passwd", "~/x", "~root", "C:/x", "c:x", "\\\\host\\share", "a\\..\\b",
)  # fmt: skip
NO_NAMES = ("", ".", "a//b", "./a", "a/.", "a/", " ", "a.", "x/ ", None, 3, ["a"], {"a": 1}, True)
RESERVED = ("con", "CON", "nul.txt", "a/Aux", "prn.tar.gz", "COM1", "lpt9.json")
CONTROLS = ("a\0b", "a\nb", "\x1b[2J", "a\x9bb", "a\u202eb", "a\udcffb", "a\x7f")
GOOD = ("v10", "a/b.json", "x=1,y=2", ".hidden", "conway", "com", "aux1", "x~", "…", "checkpoints/step_000000010")


@pytest.mark.parametrize("name", [*LEADING_OUT, *NO_NAMES, *RESERVED, *CONTROLS, "x" * 256], ids=ascii)
def test_a_name_that_is_not_below_its_folder_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(BadInput) as error:
        path_below(tmp_path, name, "bracket.json")
    (line,) = error.value.problems
    assert line.startswith("bracket.json names ") and "restore that file" in line and len(line) < 300
    assert line.isprintable()


@pytest.mark.parametrize("name", GOOD)
def test_a_name_below_its_folder_is_its_path(tmp_path, name):
    assert name_problem(name) == ""
    assert path_below(tmp_path, name, "bracket.json") == tmp_path / name


def test_a_link_may_lead_anywhere_in_the_folder_and_nowhere_else(tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    for place in (folder / "a", outside):
        place.mkdir(parents=True)
    (outside / "secret").write_text("s")
    for name, target in (("in", folder / "a"), ("out", outside), ("file", outside / "secret"), ("loop", "loop")):
        (folder / name).symlink_to(target)
    assert path_below(folder, "in/x", "f") == folder / "in/x"
    for name in ("out", "out/secret", "file", "loop", "loop/x"):
        with pytest.raises(BadInput, match="by a link"):
            path_below(folder, name, "f")
    (tmp_path / "link").symlink_to(folder)  # the folder itself may be one: it is the user's
    assert path_below(tmp_path / "link", "a", "f") == tmp_path / "link" / "a"


def test_a_whole_path_lies_in_the_results_folder(tmp_path):
    results, outside = tmp_path / "results", tmp_path / "outside"
    for place in (results / "tournament" / "night", outside):
        place.mkdir(parents=True)
    (results / "out").symlink_to(outside)
    good = results / "tournament" / "night"
    assert path_within(results, str(good), "winner.json") == path_within(results, "tournament/night", "w") == good
    for path in ("/etc", str(outside), f"{good}/../../../outside", str(results / "out"), "out", "..", "", None, "a\0"):
        with pytest.raises(BadInput, match=r"^winner.json names "):
            path_within(results, path, "winner.json")
