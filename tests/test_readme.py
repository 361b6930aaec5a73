"""What README says is there is there: commands, options, keys, make targets, folders."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from tournament.run import VERBS

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"    (?:echo \S+ \| )?((?:tournament|hamner|curriculum|python -m (?:hamner|curriculum))\b.*)")
TEXT_NEEDED = {"tournament.run", "curriculum.run", "hamner.prepare_data", "curriculum.prepare_data"}
LINES = [match[1].partition(" # ")[0].strip() for line in README.splitlines() if (match := COMMAND.match(line))]


def module_and_arguments(line: str) -> tuple[str, list[str]]:
    """`hamner chat mine` -> ("hamner.chat", ["mine"]); `python -m` and `tournament` likewise."""
    words = shlex.split(line)
    if words[0] == "tournament" and words[1:2] and words[1] in VERBS:
        return f"tournament.{words[1]}", words[2:]
    if words[0] == "tournament":
        return "tournament.run", words[1:]
    if words[0] == "python":
        return words[2], words[3:]
    return f"{words[0]}.{words[1]}", words[2:]


def test_readme_has_commands_of_all_three():
    assert {line.split()[0] for line in LINES} == {"tournament", "hamner", "curriculum"}
    assert len(LINES) > 15


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_is_understood(line, monkeypatch, capsys):
    """Options and keys exist: what stops the command first is the missing data, not an unknown word."""
    module, arguments = module_and_arguments(line)
    monkeypatch.setenv("HAMNER_RESULTS", "/nonexistent/results")
    if module == "hamner.process_youtube":
        arguments[0] = "/nonexistent"  # no network in tests
    if module in TEXT_NEEDED and not {"--plan", "--resume"} & {*arguments}:
        arguments += ["--data", "/nonexistent"]
    assert importlib.import_module(module).main(arguments) in (0, 2)
    err = capsys.readouterr().err
    assert "unknown" not in err and "usage" not in err, err
    assert not Path("/nonexistent").exists()  # what is refused has written nothing


def test_every_command_is_in_readme():
    commands = {f"hamner.{path.stem}" for path in (REPO / "hamner").glob("[a-z]*.py")}
    shown = {module_and_arguments(line)[0] for line in LINES} | {
        f"hamner.{v}" for v in re.findall(r"`hamner (\w+)", README)
    }
    assert commands - shown == set()


def test_make_targets_exist():
    targets = set(re.findall(r"^(\w+):", (REPO / "Makefile").read_text(), flags=re.M))
    for page in ("README.md", "CONTRIBUTING.md", "docs/speed.md", "results/reference/speed.md"):
        assert set(re.findall(r"(?:    |`)make (\w+)", (REPO / page).read_text())) <= targets, page


def test_every_folder_of_where_things_are_exists():
    section = README.split("## Where things are")[1].split("## ")[0]
    folders = re.findall(r"`([a-z_]+)/", section)
    assert len(folders) > 4 and all((REPO / folder).is_dir() for folder in folders)
    for room in re.findall(r"hamner/\{([^}]+)\}", section)[0].split(","):
        assert (REPO / "hamner" / room / "__init__.py").is_file()
