"""The table of mended faults (docs/mended.md) and the tests marked `mended` name the same tests, both ways."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| .*\| `(tests/[\w/]+\.py)::(\w+)` \|$")


def _tests_in_table() -> set[tuple[str, str]]:
    rows = (line for line in (ROOT / "docs/mended.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| ")
    return {match.groups() if (match := ROW.match(row)) else (row, "") for row in rows if "report or case" not in row}


def _is_marked(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator).startswith("pytest.mark.mended(") for decorator in function.decorator_list)


def _marked_tests() -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(ROOT)), node.name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and _is_marked(node)
    }


def test_every_row_of_the_table_of_mended_faults_names_a_marked_test_and_every_marked_test_has_a_row() -> None:
    table, marked = _tests_in_table(), _marked_tests()
    assert table - marked == set()
    assert marked - table == set()
