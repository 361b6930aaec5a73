"""The versions of tests/constraints.txt lie in the ranges of pyproject.toml, and name all that it asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from write_constraints import FILE, HEAD, constraints, normal

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("test", "export", "serve")  # what the quick tests need
PINNED = {
    normal(requirement.name): Version(next(iter(requirement.specifier)).version)
    for line in FILE.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for requirement in [Requirement(line)]
}
WANTED = [
    Requirement(line)
    for line in (
        *PROJECT["dependencies"],
        *(line for name in EXTRAS for line in PROJECT["optional-dependencies"][name]),
    )
]


@pytest.mark.parametrize("requirement", WANTED, ids=lambda requirement: requirement.name)
def test_the_tested_version_is_one_that_the_project_takes(requirement):
    assert PINNED[normal(requirement.name)] in requirement.specifier


def test_the_page_of_dependencies_has_every_package_once_and_in_its_groups():
    page = Path(__file__).resolve().parents[1] / "docs" / "dependencies.md"
    rows = re.findall(r"^\| ([\w-]+)(?: \(([\w, ]+)\))? \|", page.read_text(encoding="utf-8"), flags=re.M)
    listed = {(normal(name), group) for name, groups in rows for group in groups.split(", ")} - {("package", "")}
    asked = {(normal(Requirement(line).name), "") for line in PROJECT["dependencies"]}
    asked |= {
        (normal(Requirement(line).name), group)
        for group, lines in PROJECT["optional-dependencies"].items()
        for line in lines
    } - {("ray", "ray_serve")}  # the same package again
    assert listed == asked and len(rows) == len({name for name, _ in rows}) + 1


def test_every_line_is_one_exact_public_version():
    text = FILE.read_text(encoding="utf-8")
    assert text.startswith(HEAD) and len(PINNED) > 100
    lines = text.removeprefix(HEAD).splitlines()
    assert lines == sorted(lines) and len(lines) == len(PINNED)
    assert all(line.count("==") == 1 and "+" not in line and " " not in line for line in lines)


def test_the_command_writes_lines_of_this_form():
    text = constraints()
    assert text.startswith(HEAD) and "\ntorch==2." in text and "+cpu" not in text and "\nhamner==" not in text


def test_an_audit_that_could_ask_about_nothing_fails():
    """Without --strict pip-audit leaves out what its index does not know, and finds no fault in the rest: nothing."""
    makefile = Path(__file__).resolve().parents[1] / "Makefile"
    assert re.search(r"pip-audit --strict .*--requirement tests/constraints\.txt", makefile.read_text(encoding="utf-8"))
