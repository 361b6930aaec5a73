"""The command that prints examples of the synthetic tasks."""

import pytest

from hamner.data.synthetic_tasks import LEVELS, TASKS
from hamner.show_tasks import main


def test_command_prints_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--show", "--type", "sorting", "--level", "2", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# sorting, level 2" and len(lines) == 4
    assert all(line.startswith("Sort: ") for line in lines[1:])


def test_command_shows_every_type_and_level_and_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*words: str) -> list[str]:
        assert main(["--show", "--count", "2", *words]) == 0
        return capsys.readouterr().out.splitlines()

    everything = shown()
    assert everything[::3] == [f"# {task}, level {level}" for task in TASKS for level in LEVELS]
    assert len(everything) == 3 * 45
    assert shown("--seed", "0") == everything != shown("--seed", "1")
    first = everything.index("# logic, level 4")
    assert shown("--type", "logic", "--level", "4") == everything[first : first + 3]


def test_command_names_everything_wrong_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--show", "--type", "sort", "--level", "6", "--seed", "x", "--count", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines() == [
        "error: --type: unknown synthetic task 'sort'; did you mean 'sorting'?",
        "error: --level must be a whole number from 1 to 5, not '6'",
        "error: --seed must be a whole number, not 'x'",
        "error: --count must be a whole number of 1 or more, not '0'",
    ]
    assert main(["--show", "--level", "two"]) == 2
    assert capsys.readouterr().err == "error: --level must be a whole number from 1 to 5, not 'two'\n"


def test_command_without_show_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "--show" in capsys.readouterr().out
