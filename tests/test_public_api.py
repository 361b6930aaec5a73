"""`import hamner`: a few public names, imported when they are used; the package works from the folder above a clone."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hamner

REPO = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
LIGHT = ("hamner", "hamner.config", "hamner.runs")  # rooms that load no PyTorch and no Ray
HEAVY = ("torch", "ray", "pandas", "pyarrow", "transformers", "scipy", "datasets")


def _python(code, folder=REPO):
    """What a fresh interpreter prints, started in `folder`."""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": str(REPO)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", hamner.__all__)
def test_a_public_name_is_where_it_is_said_to_be(name):
    assert getattr(hamner, name) is vars(sys.modules[hamner.HOMES[name]])[name]
    assert name in dir(hamner)


def test_the_table_is_the_public_api():
    assert sorted(hamner.HOMES) == sorted(hamner.__all__)
    with pytest.raises(AttributeError, match="no public name 'Trainer'; public are CONTESTANTS"):
        _ = hamner.Trainer


def test_the_version_is_that_of_the_project():
    assert PROJECT["project"]["version"] == hamner.__version__


def test_the_package_says_that_it_is_typed():
    assert (REPO / "hamner" / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["hamner"]


def test_importing_the_light_rooms_loads_nothing_heavy():
    modules = [
        path.relative_to(REPO).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for folder in LIGHT
        for path in (REPO / folder.replace(".", "/")).glob("*.py")
        if folder != "hamner" or path.stem == "__init__"
    ]
    code = f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\nprint(*sys.modules)"
    assert set(HEAVY) & set(_python(code).split()) == set()


def test_importing_the_package_loads_no_other_module_of_it():
    loaded = _python("import sys, hamner; print(*sys.modules)").split()
    assert [name for name in loaded if name.startswith("hamner")] == ["hamner"]


def test_the_package_works_from_the_folder_that_holds_the_clone(tmp_path):
    """A clone named hamner lies in the current folder, which Python searches first: it must not hide the package."""
    clone = tmp_path / "hamner"
    clone.mkdir()
    for name in ("hamner", "tournament", "curriculum", "ray_configs"):
        shutil.copytree(REPO / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "pyproject.toml", clone)
    for words in (["hamner", "--help"], ["hamner.chat", "--help"], ["hamner", "tournament", "stepz=1"]):
        run = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env={"PYTHONPATH": str(clone)}, capture_output=True, text=True
        )
        is_refused = "stepz=1" in words
        assert run.returncode == (2 if is_refused else 0), run.stderr
        assert ("did you mean 'steps'?" in run.stderr) if is_refused else ("usage: " in run.stdout)


def test_an_editable_install_is_a_plain_path():
    """An import hook, as editable installs may be, comes too late where a folder `hamner` lies in the current one."""
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {"": "."}
