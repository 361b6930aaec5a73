"""What README and docs/doctor.md say is there is there: commands, options, keys, make targets, folders."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from curriculum.__main__ import COMMANDS as CURRICULUM
from hamner.__main__ import COMMANDS
from tournament.run import VERBS

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"    (?:echo \S+ \| )?((?:tournament|hamner|curriculum|python -m (?:hamner|curriculum))\b.*)")
TEXT_NEEDED = {"tournament.run", "curriculum.run", "hamner.prepare_data", "curriculum.prepare_data"}
PAGES = README + (REPO / "docs" / "doctor.md").read_text(encoding="utf-8")
LINES = [match[1].partition(" # ")[0].strip() for line in PAGES.splitlines() if (match := COMMAND.match(line))]
LINES = list(dict.fromkeys(LINES))


def module_and_arguments(line: str) -> tuple[str, list[str]]:
    """`hamner chat mine` -> ("hamner.chat", ["mine"]); `python -m` and `tournament` likewise."""
    words = shlex.split(line)
    if words[0] == "tournament":
        is_verb = words[1:2] and words[1] in VERBS
        return (VERBS[words[1]], words[2:]) if is_verb else ("tournament.run", words[1:])
    if words[0] == "python":
        return words[2], words[3:]
    table = COMMANDS if words[0] == "hamner" else CURRICULUM
    return table[words[1]][0], words[2:]


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
    if "--calibrate" in arguments:
        arguments += ["threads=999"]  # no machine has them: nothing is timed
    codes = (0, 1, 2) if module.endswith(".doctor") else (0, 2)  # 1: this machine lacks something
    assert importlib.import_module(module).main(arguments) in codes
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
    targets = set(re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(), flags=re.M))
    for page in ("README.md", "CONTRIBUTING.md", "docs/speed.md", "results/reference/speed.md"):
        assert set(re.findall(r"(?:    |`)make ([\w-]+)", (REPO / page).read_text())) <= targets, page


def test_every_folder_of_where_things_are_exists():
    section = README.split("## Where things are")[1].split("## ")[0]
    folders = re.findall(r"`([a-z_]+)/", section)
    assert len(folders) > 4 and all((REPO / folder).is_dir() for folder in folders)
    for room in re.findall(r"hamner/\{([^}]+)\}", section)[0].split(","):
        assert (REPO / "hamner" / room / "__init__.py").is_file()


def test_make_shows_what_pip_downloads():
    installs = re.findall(r"pip install .*", (REPO / "Makefile").read_text())
    assert len(installs) >= 3 and not any("quiet" in line or "-q" in line.split() for line in installs)
