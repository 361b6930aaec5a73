"""The list of ways in (docs/security.md) names tests that exist, and every test of this folder."""

import ast
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))
LISTS = ("Files", "Sockets", "Environment and secrets", "Text", "Dependencies", "Not guarded")


def _tests(path):
    """The names of the tests in a file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_page_names_is_there():
    assert len(NAMED) > 50
    assert sorted((file, name) for file, name in NAMED if name not in _tests(REPO / file)) == []


def test_every_row_of_the_page_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" not in line]
    assert all(re.search(r"\| test \|$", row) for row in rows), rows  # the heads


def test_every_kind_of_way_in_has_a_list():
    headings = re.findall(r"^## (.+)$", PAGE, flags=re.M)
    assert headings == list(LISTS)


def test_every_guard_of_this_folder_is_on_the_page():
    here = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert here - {file for file, _ in NAMED} == {"tests/security/test_ways_in.py"}
