"""Every command: listed, quick to answer --help and to refuse bad input, and its examples are command lines it knows.

A command is read before PyTorch or Ray is imported. Seconds here are of CPU, so they hold on a busy machine too; only
the imports of one fresh process are measured, a process for each command.
"""

import contextlib
import importlib
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from curriculum.__main__ import COMMANDS as CURRICULUM
from curriculum.__main__ import EXAMPLES as CURRICULUM_EXAMPLES
from hamner.__main__ import COMMANDS, EXAMPLES
from hamner.__main__ import main as hamner_main
from hamner.config.errors import BadInput
from hamner.runs.cli import PAGE
from tournament.run import VERBS as TOURNAMENT

REPO = Path(__file__).resolve().parents[1]
GROUPS = {"hamner": "hamner.__main__", "curriculum": "curriculum.__main__"}
LEAVES = {f"hamner {verb}": module for verb, (module, _) in COMMANDS.items() if module not in GROUPS.values()}
LEAVES |= {f"curriculum {verb}": module for verb, (module, _) in CURRICULUM.items()}
# ... but compare, where each of two missing words is a line
LEAVES |= {f"tournament {verb}": module for verb, module in TOURNAMENT.items() if verb != "compare"}
HELP_SECONDS, REFUSAL_SECONDS = 1.0, 1.5
NEVER_FOR_HELP = ("torch", "ray", "pandas", "pyarrow", "transformers", "scipy", "datasets", "numpy")
NEVER_FOR_REFUSAL = ("torch", "ray")
NOWHERE = "/nonexistent"
BAD_INPUT = {  # module: command lines that need neither PyTorch nor Ray to be refused
    "tournament.run": (["stepz=3"], ["--config", "smoke", "--only", "v0"], ["--config", "smoke", "--data", NOWHERE]),
    "tournament.status": (["nobody", "--results", NOWHERE],),
    "tournament.report": (["nobody", "--results", NOWHERE],),
    "tournament.pack": (["nobody", "--results", NOWHERE], ["--results", NOWHERE, "--weights", "--for-report"]),
    "tournament.arena": (["--results", NOWHERE], ["nobody", "--results", NOWHERE]),
    "tournament.history": (["--csv", "--parquet", "x"], ["--parquet", "/"]),
    "tournament.concepts": (
        ["--suite", "retian", "--model", "v3"],
        ["--config", "smoke", "--model", "v99", "--results", NOWHERE],
        ["--resume", "--plan"],
        ["divide_stepz=3"],
    ),
    "tournament.doctor": (["--config", "smoke", "stepz=3"], ["--config", "smoke", "keep=[5,5,1]"]),
    "curriculum.doctor": (["v99", "--config", "smoke"], ["winner", "--config", "smoke"]),
    "curriculum.run": (
        ["v3", "window_stpes=3"],
        ["v99", "--config", "smoke"],
        ["v3", "--config", "smoke", "--curriculum", "sede"],
        ["v3", "--config", "smoke", "--data", NOWHERE],
    ),
    "curriculum.report": (["nobody", "--results", NOWHERE],),
    "curriculum.pack": (["nobody", "--results", NOWHERE],),
    "curriculum.compare": (["nobody", "--results", NOWHERE],),
    "curriculum.status": (["nobody", "--results", NOWHERE],),
    "curriculum.prepare_data": (["--data", NOWHERE],),
    "hamner.friend": (
        ["--config", "smoke", "--model", "v99"],
        ["--config", "smoke", "--data", NOWHERE],
        ["--hours", "0"],
    ),
    "hamner.chat": (["nobody", "--results", NOWHERE],),
    "hamner.sft": (["nobody", "--results", NOWHERE], ["--resume", "--name", "none", "--results", NOWHERE]),
    "hamner.list_runs": (["--results", "~no-such-user"],),
    "hamner.clean": (["nobody", "--results", NOWHERE], ["../x", "--yes", "--results", NOWHERE]),
    "hamner.export": (["nobody", "--results", NOWHERE, "--out", "x"], ["--out", "x", "--gguf", "q4"]),
    "hamner.serve": (["nobody", "--results", NOWHERE], ["--host", "0.0.0.0"], ["--data", NOWHERE]),
    "hamner.feedback": (["forget"], ["list", "x"], ["forget", "x", "--data", NOWHERE]),
    "hamner.share": (["nobody", "--results", NOWHERE],),
    "hamner.evaluate": (["nobody", "--results", NOWHERE], ["--replies", "1"]),
    "hamner.pack": (["nobody", "--results", NOWHERE], ["--results", NOWHERE, "--weights", "--for-report"]),
    "hamner.unpack": ([], [NOWHERE], [__file__]),
    "hamner.report": (["nobody", "--results", NOWHERE], ["--results", NOWHERE]),
    "hamner.prepare_data": (["--data", NOWHERE], ["--data", "builtin", "builtin_charcters=1"]),
    "hamner.process_youtube": ([NOWHERE],),
    "hamner.plot_training": (["nobody", "--results", NOWHERE], ["--save", "--live"], ["--every", "0"]),
    "hamner.show_tasks": (["--show", "--type", "logik"],),
}
RUN = """
import contextlib, importlib, io, json, sys, time
module, *lines = json.loads(sys.argv[1])
answers = []
for words in lines:
    begin, out, err = time.process_time(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = importlib.import_module(module).main(words)
        except SystemExit as exit:
            code = exit.code
    answers.append([code, out.getvalue(), err.getvalue(), time.process_time() - begin, sorted(sys.modules)])
print(json.dumps(answers))
"""


def _answers(module, *lines):
    """(exit code, stdout, stderr, CPU seconds, modules loaded by then) of each command line, in one fresh process."""
    process = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([module, *lines])],
        env=os.environ | {"PYTHONPATH": str(REPO), "COLUMNS": "120", "HAMNER_RESULTS": NOWHERE},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def _examples(text):
    """The command lines of a --help."""
    return [line.split("#")[0].strip() for line in text.split("examples:\n")[1].split("\n\n")[0].splitlines()]


def test_every_command_is_in_a_table():
    files = {f"hamner.{path.stem}" for path in (REPO / "hamner").glob("*.py") if not path.stem.startswith("__")}
    assert files == {module for module, _ in COMMANDS.values() if module.startswith("hamner.")}
    assert set(BAD_INPUT) == set(LEAVES.values())


@pytest.mark.parametrize("module", LEAVES.values())
def test_a_command_answers_help_and_refuses_bad_input_before_anything_large_is_loaded(module):
    lines = [["--help"], ["--resmue"], *BAD_INPUT[module]]
    answers = _answers(module, *lines)
    code, text, _, seconds, loaded = answers[0]
    assert code == 0 and len(_examples(text)) == 3 and PAGE in text
    assert set(NEVER_FOR_HELP) & set(loaded) == set()
    assert seconds <= HELP_SECONDS, f"{module} --help took {seconds:.2f} s of CPU"
    for words, (code, _, error, seconds, loaded) in zip(lines[1:], answers[1:], strict=True):
        assert code == 2, (words, error)
        assert error.startswith("error: ") and "Traceback" not in error and error.count("\n") == 1, (words, error)
        assert set(NEVER_FOR_REFUSAL) & set(loaded) == set(), words
        assert seconds <= REFUSAL_SECONDS, f"{module} {words} took {seconds:.2f} s of CPU"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands_and_loads_none_of_them(group):
    (code, text, _, seconds, loaded), unknown = _answers(GROUPS[group], [], ["tournmant"])
    assert code == 0 and len(_examples(text)) == 3 and PAGE in text and seconds <= HELP_SECONDS
    table = COMMANDS if group == "hamner" else CURRICULUM
    assert all(f"\n  {verb} " in text and summary in text for verb, (_, summary) in table.items())
    assert not {module for module, _ in table.values()} & set(loaded)
    assert unknown[0] == 2 and unknown[2].startswith("error: unknown command 'tournmant'; ")


@pytest.mark.parametrize("verb", sorted({*TOURNAMENT, *CURRICULUM} - set(COMMANDS)))
def test_a_command_of_another_program_is_named_with_it(verb, capsys):
    programs = [name for name, verbs in (("tournament", TOURNAMENT), ("curriculum", CURRICULUM)) if verb in verbs]
    assert hamner_main([verb, "demo"]) == 2
    known = " or ".join(f"`{program} {verb}`" for program in programs)
    assert capsys.readouterr().err == f"error: unknown command '{verb}'; did you mean {known}?\n"


def test_a_command_is_run_with_its_words(capsys):
    assert hamner_main(["show-tasks", "--show", "--type", "logik"]) == 2  # a hyphen is as good as an underscore
    assert "did you mean 'logic'?" in capsys.readouterr().err
    assert hamner_main(["curriculum", "run", "v3", "--resume", "--like", "x"]) == 2
    assert "leave out" in capsys.readouterr().err


def _help(module):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        importlib.import_module(module).main(["--help"])
    return out.getvalue()


def _read(line):
    """Read the words of a command line as its command does."""
    words = shlex.split(line.split("#")[0].rpartition("| ")[2])
    if words[0] == "hamner" and words[1] == "curriculum":
        words = words[1:]
    if words[0] == "tournament" and words[1] not in TOURNAMENT:
        words = ["hamner", *words]
    return importlib.import_module(LEAVES[" ".join(words[:2])]).parser().read(words[2:])


@pytest.mark.parametrize("module", LEAVES.values())
def test_the_examples_of_a_command_are_command_lines_it_understands(module):
    for line in _examples(_help(module)):
        _read(line)


def test_the_examples_of_the_groups_are_command_lines_that_are_understood():
    for line in (*EXAMPLES, *CURRICULUM_EXAMPLES):
        _read(line)
    with pytest.raises(BadInput, match="unknown option '--plann'"):
        _read("tournament --config laptop --plann")
