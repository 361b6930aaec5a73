"""What README says is there is there: files, commands, options, configs."""

import re
import shlex
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


def test_every_file_of_the_map_exists():
    the_map = README.split("## Where things are")[1].split("## ")[0]
    for row in re.findall(r"^\| (`[^|]+)\|", the_map, flags=re.M):
        first, *more = re.findall(r"`([^`]+)`", row)
        folder = first.rstrip("/").rpartition("/")[0]
        for name in (first, *more):
            assert list(REPO.glob(name.rstrip("/"))) or (REPO / folder / name).exists(), name


def test_every_module_is_on_the_map():
    modules = {
        p.relative_to(REPO).as_posix()
        for folder in ("hamner", "tournament", "curriculum")
        for p in (REPO / folder).glob("*.py")
        if not p.name.startswith("__")
    }
    unnamed = [m for m in sorted(modules) if Path(m).name not in README]
    assert unnamed == []


@pytest.mark.parametrize(
    "line",
    [
        line.strip().split("#")[0]
        for line in README.splitlines()
        if re.match(r"    (tournament|python -m (hamner|curriculum))", line)
    ],
)
def test_every_command_line_is_understood(line, monkeypatch, capsys):
    """Options and keys exist: whatever stops the command first is not a word it does not know."""
    words = shlex.split(line)
    if words[0] == "tournament":
        from tournament.run import main
    elif words[2] == "curriculum.run":
        from curriculum.run import main
    elif words[2] == "hamner.prepare_data":
        from hamner.prepare_data import main
    elif words[2] == "curriculum.prepare_data":
        from curriculum.prepare_data import main
    elif words[2] == "curriculum.compare":
        from curriculum.compare import main
    elif words[2] == "hamner.process_youtube":
        from hamner.process_youtube import main

        words[3] = "/nonexistent"  # no network in tests
    else:
        from hamner.chat import main
    arguments = words[1:] if words[0] == "tournament" else words[3:]
    monkeypatch.setenv("HAMNER_RESULTS", "/nonexistent/results")
    starts = (
        "--plan" not in arguments
        and "--resume" not in arguments
        and words[2:3] not in (["curriculum.compare"], ["hamner.process_youtube"])
    )
    nowhere = ["--data", "/nonexistent"] if starts else []
    assert main([*arguments, *nowhere]) in (0, 2)
    err = capsys.readouterr().err
    assert "unknown" not in err and "usage" not in err, err


def test_make_targets_exist():
    targets = set(re.findall(r"^(\w+):", (REPO / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"make (\w+)", README)) <= targets
