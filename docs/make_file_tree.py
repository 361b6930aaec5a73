"""Writes docs/files.md, the file tree: every module of the four packages with the first line of its docstring.

Data in: the source files. Data out: one page. `python docs/make_file_tree.py` writes it; a test says when it is stale.
"""

import ast
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("hamner", "tournament", "curriculum", "ray_configs")
PAGE = REPO / "docs" / "files.md"
COMMAND = "python docs/make_file_tree.py"
HEAD = f"""# Files

Every module of the four packages, with the first line of its docstring. This page is generated: change the docstrings
and run `{COMMAND}`.

`hamner/` is the library and its commands: each `.py` directly in it is a command, each folder a room with one role. Who
may import whom is a table in [tests/test_imports.py](../tests/test_imports.py), explained in
[CONTRIBUTING.md](../CONTRIBUTING.md#the-import-rule). `tournament/` and `curriculum/` are the programs that use Ray;
`ray_configs/` says where and how much, in TOML files, and has the server as an application of Ray Serve.
"""


def modules(root: Path = REPO) -> list[Path]:
    """All modules of the four packages, sorted by path."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def first_line(path: Path) -> str:
    """The first line of a module's docstring, "" where there is none."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def tree(folder: Path, depth: int = 0) -> list[str]:
    """Lines of one folder: its own, its files', its subfolders'. `__init__.py` speaks for the folder."""
    pad = "  " * depth
    lines = [f"{pad}{folder.name + '/':<{28 - len(pad)}}  {first_line(folder / '__init__.py')}".rstrip()]
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            lines.append(f"{pad}  {path.name:<{26 - len(pad)}}  {first_line(path)}".rstrip())
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += tree(inner, depth + 1)
    return lines


def page(root: Path = REPO) -> str:
    """The whole page."""
    blocks = ["\n".join(["```text", *tree(root / package), "```"]) for package in PACKAGES]
    return "\n".join([HEAD, "\n\n".join(blocks), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(REPO)}: {len(modules())} modules")
