"""The import rule: which room may import which, Ray in the roof alone, no import circle, no private name across files.

Data in: the source of a tree of packages, read as syntax trees, so imports inside functions and under TYPE_CHECKING are
seen. Data out: one line for every import that breaks a rule. Each rule has a planted violation that it must catch.
`pytest -s tests/test_imports.py` prints the table of rooms.
"""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("hamner", "tournament", "curriculum", "ray_configs")
FILE_LINES, FUNCTION_LINES = 450, 50

# A room is a prefix of dotted module names. Each may import itself and what stands to its right.
LIBRARY = tuple(
    f"hamner.{room}" for room in ("inference", "reports", "training", "evaluation", "data", "model", "runs", "config")
)
PUBLIC_NAMES = "hamner.__init__"  # lazy, so a command that reads `hamner.__version__` loads nothing else
COMMANDS = "commands"  # every hamner/*.py
MAY_IMPORT = {
    "hamner.config": (),
    "hamner.runs": ("hamner.config",),
    "hamner.model.kernels": ("hamner.config",),
    "hamner.model": ("hamner.config",),
    "hamner.data": ("hamner.runs", "hamner.config"),
    "hamner.training": ("hamner.data", "hamner.model", "hamner.runs", "hamner.config"),
    "hamner.evaluation": ("hamner.data", "hamner.model", "hamner.runs", "hamner.config"),
    "hamner.reports": ("hamner.evaluation.forgetting", "hamner.evaluation.statistics", "hamner.runs", "hamner.config"),
    "hamner.inference": ("hamner.training.checkpoint", "hamner.data", "hamner.model", "hamner.runs", "hamner.config"),
    PUBLIC_NAMES: LIBRARY,
    "hamner.__main__": (COMMANDS, PUBLIC_NAMES, *LIBRARY),
    COMMANDS: (PUBLIC_NAMES, *LIBRARY),
    "tournament": (PUBLIC_NAMES, *LIBRARY),
    "curriculum": (PUBLIC_NAMES, *LIBRARY),
    "ray_configs": ("hamner.inference", "hamner.runs"),  # the server as replicas
}
MAY_IMPORT_RAY = ("tournament", "curriculum", "ray_configs")
COMMANDS_ELSEWHERE = (
    "tournament.run",
    "curriculum.run",
    "curriculum.report",
    "curriculum.compare",
    "curriculum.prepare_data",
)


def modules(root: Path) -> dict[str, Path]:
    """Dotted names of all modules, `__init__` included, and their files."""
    files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}


def is_below(module: str, prefix: str) -> bool:
    return f"{module}.".startswith(f"{prefix}.")


def room_of(module: str) -> str:
    """The room of a module: the longest prefix in the table; what else lies in hamner/ is a command."""
    rooms = [room for room in MAY_IMPORT if is_below(module, room)]
    return max(rooms, key=len, default=COMMANDS if is_below(module, "hamner") else "")


def is_in(module: str, room: str) -> bool:
    """Whether a module belongs to a room or a part of one, such as hamner.training.checkpoint."""
    return room_of(module) == COMMANDS if room == COMMANDS else is_below(module, room)


def names_imported(node: ast.AST, module: str) -> Iterator[tuple[str, str]]:
    """(module, name or ""), of an import statement, or of `import_module("...")` with a constant."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = module.split(".")[: -node.level] if node.level else []
        source = ".".join([*package, *([node.module] if node.module else [])])
        yield from ((source, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")) and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value, ""


def imports(root: Path) -> Iterator[tuple[str, int, str, str]]:
    """(importing module, line, imported module, imported name) of every import statement below `root`."""
    known = modules(root)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for source, name in names_imported(node, module):
                if f"{source}.{name}" in known:
                    source, name = f"{source}.{name}", ""
                elif f"{source}.__init__" in known:
                    source = f"{source}.__init__"
                yield module, getattr(node, "lineno", 0), source, name


def is_ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def rule_problems(root: Path) -> list[str]:
    """Imports that the table does not allow; tests are imported by tests alone."""
    problems = []
    for module, line, source, _ in imports(root):
        room = room_of(module)
        allowed = MAY_IMPORT[room] if room == COMMANDS else (room, *MAY_IMPORT[room])
        if source.split(".")[0] == "tests" or (is_ours(source) and not any(is_in(source, r) for r in allowed)):
            right = ", ".join(MAY_IMPORT[room]) or "nothing"
            problems.append(f"{module}:{line} imports {source}; {room} may import {right}")
    return list(dict.fromkeys(problems))  # one statement may import several names


def ray_problems(root: Path) -> list[str]:
    """Imports of Ray outside the roof."""
    return [
        f"{module}:{line} imports {source}; Ray belongs to {' and '.join(MAY_IMPORT_RAY)}"
        for module, line, source, _ in imports(root)
        if source.split(".")[0] == "ray" and room_of(module) not in MAY_IMPORT_RAY
    ]


def private_problems(root: Path) -> list[str]:
    """Names with a leading underscore that another file imports or reads from an imported module."""
    problems = [
        f"{module}:{line} imports {source}.{name}; give it a public name"
        for module, line, source, name in imports(root)
        if is_ours(source) and any(p.startswith("_") and not p.startswith("__") for p in (name, *source.split(".")))
    ]
    known = modules(root)
    for module, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        bound = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and is_ours(node.module or "")
            for alias in node.names
            if f"{node.module}.{alias.name}" in known
        }
        problems += [
            f"{module}:{node.lineno} reads {ast.unparse(node)}; give it a public name"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in bound
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
        ]
    return problems


def command_problems(root: Path) -> list[str]:
    """Commands without a main(), and commands that something imports as if they were a library."""
    problems = []
    for module, path in modules(root).items():
        if room_of(module) != COMMANDS and module not in COMMANDS_ELSEWHERE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            problems.append(f"{module} has no main(); every file there is a command")
    for module, line, source, _ in imports(root):
        is_command = is_ours(source) and (room_of(source) == COMMANDS or source in COMMANDS_ELSEWHERE)
        if is_command and not module.endswith(".__main__"):
            problems.append(f"{module}:{line} imports the command {source}; move what both need into a room")
    return list(dict.fromkeys(problems))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == order[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return groups


def folder_of(module: str) -> str:
    """The folder of a module as a room of the printed table; hamner's own files are the commands."""
    folder = module.rpartition(".")[0]
    return room_of(module) if folder == "hamner" else folder


def arrows(root: Path) -> Counter[tuple[str, str]]:
    """How many import statements lead from one folder into another."""
    return Counter(
        (folder_of(module), folder_of(source))
        for module, _, source, _ in imports(root)
        if is_ours(source) and folder_of(module) != folder_of(source)
    )


def circle_problems(root: Path) -> list[str]:
    """Import circles among modules, and among folders."""
    among_modules, among_folders = defaultdict(set), defaultdict(set)
    for module, _, source, _ in imports(root):
        if is_ours(source) and module != source:
            among_modules[module].add(source)
    for start, end in arrows(root):
        among_folders[start].add(end)
    return ["circle: " + " <-> ".join(g) for g in circles(among_modules) + circles(among_folders)]


def length_problems(root: Path) -> list[str]:
    """Files and functions too long to be read at once."""
    problems = []
    for module, path in modules(root).items():
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > FILE_LINES:
            problems.append(f"{module} has {lines} lines; split it, {FILE_LINES} is the most")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    problems.append(f"{module}.{node.name} has {lines} lines; {FUNCTION_LINES} is the most")
    return problems


def loaded(root: Path, *packages: str) -> set[str]:
    """Top-level modules that are loaded once every module of `packages` has been imported."""
    names = [m.removesuffix(".__init__") for m in modules(root) if any(is_below(m, p) for p in packages)]
    assert names, packages
    code = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in out.stdout.split()}


RULES = (rule_problems, ray_problems, private_problems, command_problems, circle_problems, length_problems)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removesuffix("_problems"))
def test_the_house_keeps_the_rule(rule):
    assert rule(REPO) == []


@pytest.mark.parametrize("package", ["hamner.config", "hamner.runs", "hamner.reports.html", "tournament.league_report"])
def test_importing_a_light_room_loads_neither_torch_nor_ray(package):
    if not any(is_below(module, package) for module in modules(REPO)):
        pytest.skip(f"{package} is not written yet")
    assert loaded(REPO, package) & {"torch", "ray"} == set()


def test_the_table_is_about_rooms_that_exist():
    known = modules(REPO)
    rooms = {prefix for row in MAY_IMPORT.items() for prefix in (row[0], *row[1])} - {COMMANDS, "hamner.__main__"}
    assert [room for room in sorted(rooms) if not any(is_below(module, room) for module in known)] == []
    assert [module for module in known if not room_of(module)] == []


def test_no_row_of_the_table_leads_back_to_itself():
    graph = {room: {room_of(f"{r}.x") if r != COMMANDS else r for r in right} for room, right in MAY_IMPORT.items()}
    assert circles(graph) == []


PLANTED = {
    "upward": (
        rule_problems,
        {"hamner/model/a.py": "from hamner.data import b", "hamner/data/b.py": ""},
        "hamner.model.a:1",
    ),
    "in a function": (rule_problems, {"hamner/runs/a.py": "def f():\n    import hamner.data.b\n"}, "hamner.runs.a:2"),
    "under TYPE_CHECKING": (
        rule_problems,
        {"hamner/config/a.py": "if TYPE_CHECKING:\n    from hamner.runs.b import C\n"},
        "hamner.config.a:2",
    ),
    "by its name": (
        rule_problems,
        {"hamner/data/a.py": "importlib.import_module('hamner.model.b')"},
        "hamner.data.a:1",
    ),
    "relative": (rule_problems, {"hamner/model/kernels/a.py": "from ..loss import b"}, "hamner.model.kernels.a:1"),
    "kernels see the model": (
        rule_problems,
        {"hamner/model/kernels/a.py": "from hamner.model.loss import b"},
        "hamner.model.kernels may import hamner.config",
    ),
    "half a room": (
        rule_problems,
        {"hamner/reports/a.py": "from hamner.evaluation.skills import b"},
        "imports hamner.evaluation.skills",
    ),
    "the two halves of the roof": (
        rule_problems,
        {"curriculum/a.py": "from tournament.b import c"},
        "curriculum.a:1 imports tournament.b",
    ),
    "tests": (rule_problems, {"tournament/a.py": "from tests.conftest import c"}, "tournament.a:1 imports tests"),
    "the package's own public names": (
        rule_problems,
        {"hamner/data/a.py": "from hamner import Hamner", "hamner/__init__.py": ""},
        "hamner.data.a:1 imports hamner.__init__",
    ),
    "Ray below the roof": (
        ray_problems,
        {"hamner/runs/a.py": "def f():\n    from ray import tune\n"},
        "hamner.runs.a:2",
    ),
    "a private name": (
        private_problems,
        {"curriculum/a.py": "from curriculum.b import _secret"},
        "curriculum.a:1 imports curriculum.b._secret",
    ),
    "a private name through its module": (
        private_problems,
        {"curriculum/a.py": "from curriculum import b\nb._secret()", "curriculum/b.py": ""},
        "curriculum.a:2 reads b._secret",
    ),
    "a library among the commands": (
        command_problems,
        {"hamner/helpers.py": "def f(): ..."},
        "hamner.helpers has no main()",
    ),
    "a command as a library": (
        command_problems,
        {"curriculum/a.py": "from hamner.chat import b", "hamner/chat.py": "def main(): ..."},
        "curriculum.a:1 imports the command hamner.chat",
    ),
    "a command that imports a command": (
        rule_problems,
        {"hamner/a.py": "from hamner.chat import b", "hamner/chat.py": "def main(): ..."},
        "hamner.a:1 imports hamner.chat",
    ),
    "a circle of modules": (
        circle_problems,
        {
            "hamner/runs/a.py": "from hamner.runs import b",
            "hamner/runs/b.py": "def f():\n    from hamner.runs.c import d",
            "hamner/runs/c.py": "from hamner.runs import a",
        },
        "circle: hamner.runs.a <-> hamner.runs.b <-> hamner.runs.c",
    ),
    "a circle of folders": (
        circle_problems,
        {
            "hamner/data/a.py": "from hamner.data.sources import b",
            "hamner/data/sources/b.py": "",
            "hamner/data/sources/c.py": "from hamner.data import d",
            "hamner/data/d.py": "",
        },
        "circle: hamner.data <-> hamner.data.sources",
    ),
    "a long file": (length_problems, {"hamner/a.py": "x = 1\n" * (FILE_LINES + 1)}, "hamner.a has 451 lines"),
    "a long function": (
        length_problems,
        {"hamner/a.py": "class C:\n    def f():\n" + "        x = 1\n" * FUNCTION_LINES},
        "hamner.a.f has 51 lines",
    ),
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("rule", "files", "problem"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_seen(rule, files, problem, tmp_path):
    plant(tmp_path, files)
    problems = rule(tmp_path)
    assert len(problems) == 1 and problem in problems[0], problems


def test_a_planted_heavy_import_is_seen(tmp_path):
    plant(
        tmp_path,
        {
            "torch.py": "",
            "hamner/config/a.py": "import torch",
            "hamner/__init__.py": "",
            "hamner/config/__init__.py": "",
        },
    )
    assert "torch" in loaded(tmp_path, "hamner.config")


def test_what_the_table_allows_is_no_problem(tmp_path):
    plant(
        tmp_path,
        {
            "hamner/__main__.py": "from hamner import chat",
            "hamner/chat.py": "from hamner import __version__\nfrom hamner.inference import a\ndef main(): ...",
            "hamner/__init__.py": "__version__ = '0'\ndef __getattr__(name):\n    from hamner.inference import a",
            "hamner/inference/a.py": "from hamner.training.checkpoint import load\nimport torch",
            "tournament/__main__.py": "from tournament.run import main",
            "tournament/run.py": "import ray\nfrom hamner.inference import a\ndef main(): ...",
        },
    )
    assert [problem for rule in RULES for problem in rule(tmp_path)] == []


def test_the_table_of_rooms():
    """Prints who imports whom, in statements; `-s` shows it."""
    counts = arrows(REPO)
    rooms = list(dict.fromkeys(folder_of(module) for module in modules(REPO)))
    print(f"\n{len(rooms)} rooms, {len(counts)} arrows; columns in the same order as rows")
    for row, start in enumerate(rooms, 1):
        cells = "".join(f"{counts[start, end] or '·':>4}" for end in rooms)
        print(f"{row:>2} {start:<30}{cells}")
    assert len(rooms) > 10
