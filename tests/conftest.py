"""Helpers for tests that run the real commands.

A test that uses one of the fixtures below is marked `end_to_end`: it starts processes of its own, most of them Ray's.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A shell starts what it puts in the background (`pytest &`) with Ctrl-C ignored, nohup with SIGHUP ignored, and every
# process below inherits that. Tests send the signals to commands of their own, which must hear them as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Ray starts its workers at niceness 15: beside another test process they would hardly get a core
os.environ.setdefault("RAY_worker_niceness", "0")

SHARED = {"league", "raised", "cluster"}  # fixtures that take up to a minute to make
END_TO_END = {"commands"} | SHARED


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[browser]'")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in this hook as well
def pytest_collection_modifyitems(items) -> None:
    """Mark the tests of whole commands, and keep together in one process what shares a file or a long fixture."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if END_TO_END & fixtures:
            item.add_marker("end_to_end")
        item.add_marker(pytest.mark.xdist_group("shared" if SHARED & fixtures else item.path.stem))


class Commands:
    """Runs the project's commands as a user would, in processes of their own, with their own results folder."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.environment = os.environ | {"HAMNER_RESULTS": str(results), "RAY_USAGE_STATS_ENABLED": "0"}
        self.environment.pop("RAY_ADDRESS", None)

    def start(self, module: str, *arguments: str, **options) -> subprocess.Popen:
        """Start `python -m MODULE ARGUMENTS`."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=self.environment,
            text=True,
            cwd=self.results.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def run(self, module: str, *arguments: str, stdin: str = "", timeout: float = 300) -> subprocess.CompletedProcess:
        """Run it to its end, with text on its stdin. Past its time it is killed, and Ray's processes end with it."""
        process = self.start(module, *arguments)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Commands:
    return Commands(tmp_path_factory.mktemp("hamner") / "results")


@pytest.fixture(scope="session")
def league(commands) -> Path:
    """The folder of a finished smoke tournament."""
    process = commands.run("tournament", "--config", "smoke", "--name", "league")
    assert process.returncode == 0, process.stdout + process.stderr
    return commands.results / "tournament" / "league"


@pytest.fixture(scope="session")
def raised(commands, league) -> Path:
    """The folder of a finished smoke curriculum of that tournament's winner."""
    process = commands.run("curriculum.run", "winner", "--config", "smoke", "--name", "raised")
    assert process.returncode == 0, process.stdout + process.stderr
    return commands.results / "curriculum" / "raised"
