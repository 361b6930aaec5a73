"""Imports point one way: hamner knows no Ray, tournament and curriculum do not know each other."""

import ast
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "hamner": {"ray", "tournament", "curriculum", "tests"},
    "tournament": {"curriculum", "tests"},
    "curriculum": {"tournament", "tests"},
}


def upward_imports(path: Path, forbidden: set[str]) -> list[str]:
    """Walks the whole tree, so an import inside a function is seen too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found += [f"{path.name}:{node.lineno} imports {n}" for n in names if n.split(".")[0] in forbidden]
    return found


def test_imports_point_down():
    bad = []
    for package, forbidden in FORBIDDEN.items():
        files = list((REPO / package).rglob("*.py"))
        assert files
        for path in files:
            bad += upward_imports(path, forbidden)
    assert bad == []


def test_a_planted_violation_is_seen(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from ray import tune\n    return tune\n", encoding="utf-8")
    assert upward_imports(planted, FORBIDDEN["hamner"]) == ["planted.py:2 imports ray"]


def test_files_can_be_read_whole():
    long = {
        p.name: n
        for package in FORBIDDEN
        for p in (REPO / package).rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}
