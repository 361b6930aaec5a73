"""The docs say what is so: links lead somewhere, identifiers of the glossary exist, examples and how-tos run.

Every ```sh block of a how-to runs in a folder of its own that holds the clone's folders and, as files, the blocks whose
first line is a comment with their name (`# mine.toml`). Blocks of a page run in order. ```sh end_to_end blocks train
something: the quick tests leave them out, and the end-to-end test of the page runs all of its blocks.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
DOCS = REPO / "docs"
EXAMPLES = DOCS / "examples"
CODE = ("hamner", "tournament", "curriculum")
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", flags=re.M | re.S)
FILE_NAME = re.compile(r"# ([\w/]+\.\w+)\b")


def pages(root: Path) -> list[Path]:
    """All markdown pages that belong to the project: runs and hidden folders hold others."""
    skipped = {"results"} if root == REPO else set()
    below = [
        path for path in root.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    mine = [path for path in below if path.relative_to(root).parts[0] not in skipped]
    return sorted([*mine, *(root / "results").glob("README.md"), *(root / "results" / "reference").glob("*.md")])


def prose(path: Path) -> str:
    """A page without its fenced blocks, which hold code, not links."""
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> list[str]:
    """Relative links of all pages that lead to no file, or to no heading of a page."""
    problems = []
    for page in pages(root):
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists():
                problems.append(f"{page.relative_to(root)}: {target} leads to no file")
            elif anchor and anchor not in anchors(path):
                problems.append(f"{page.relative_to(root)}: {target} leads to no heading of {path.name}")
    return problems


def test_every_relative_link_leads_somewhere():
    assert len(pages(REPO)) > 10
    assert broken_links(REPO) == []


def test_broken_links_are_seen(tmp_path):
    (tmp_path / "a.md").write_text("# One home\n[x](b.md) [y](a.md#two) [z](#one-home) [w](https://example.org/n)\n")
    assert broken_links(tmp_path) == ["a.md: b.md leads to no file", "a.md: a.md#two leads to no heading of a.md"]


def test_every_path_that_pages_and_modules_name_exists():
    path = re.compile(r"(?<![\w/.])((?:hamner|tournament|curriculum|tests|docs|ray_configs)/[\w/]+\.(?:py|toml|md))\b")
    sources = [source for folder in (*CODE, "ray_configs") for source in (REPO / folder).rglob("*.[pt]*[yl]")]
    named = {
        (source.relative_to(REPO).as_posix(), name)
        for source in (*pages(REPO), *sources)
        for name in path.findall(source.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert sorted((source, name) for source, name in named if not (REPO / name).exists()) == []


def test_every_identifier_of_the_glossary_is_in_the_code():
    text = "\n".join(path.read_text(encoding="utf-8") for folder in CODE for path in (REPO / folder).rglob("*.py"))
    rows = [line.split("|") for line in (DOCS / "glossary.md").read_text().splitlines() if line.startswith("| ")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row[4])]
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_no_word_of_the_glossary_has_two_rows():
    rows = [line.split("|") for line in (DOCS / "glossary.md").read_text().splitlines() if line.startswith("| ")]
    words = [word.strip() for row in rows for word in row[1].split(",") if word.strip() != "word"]
    assert len(words) > 30 and sorted(set(words)) == sorted(words)


def test_every_page_of_docs_is_in_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    named = [
        *DOCS.glob("*.md"),
        *(DOCS / "how_to").glob("*.md"),
        *(DOCS / "decisions").glob("*.md"),
        *EXAMPLES.glob("*.*"),
    ]
    missing = [path.relative_to(DOCS).as_posix() for path in named if path.name != "README.md"]
    assert [name for name in missing if f"({name})" not in index] == []


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """(words behind the language, text) of the fenced blocks in one language."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(words.strip(), text) for name, words, text in found if name == language]


@pytest.fixture
def sandbox(tmp_path) -> Path:
    """A folder that looks like the clone: its folders by link, so that what a command writes stays here."""
    for name in (*CODE, "ray_configs", "docs", "tests"):
        (tmp_path / name).symlink_to(REPO / name)
    return tmp_path


# The console scripts, whether or not the clone was installed again since one was added.
SCRIPTS = "".join(f'{name}() {{ python -m {name} "$@"; }}\n' for name in CODE)


def run(sandbox: Path, script: str, timeout: float) -> str:
    """Run lines of a shell in the sandbox, offline, results inside it; returns what they print."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPO),
        "HAMNER_RESULTS": str(sandbox / "results"),
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", SCRIPTS + script],
        cwd=sandbox,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # a command that started Ray ends it
        out, err = process.communicate(timeout=60)
        pytest.fail(f"longer than {timeout:g} s: {script}\n{out}\n{err}")
    assert process.returncode == 0, f"{script}\n{out}\n{err}"
    return out


def play(page: Path, sandbox: Path, timeout: float, *, end_to_end: bool) -> int:
    """Write the named files of a page and run its sh blocks; returns how many ran."""
    for language in ("toml", "python", "json"):
        for _, text in blocks(page, language):
            if name := FILE_NAME.match(text):
                (sandbox / name[1]).parent.mkdir(parents=True, exist_ok=True)
                (sandbox / name[1]).write_text(text, encoding="utf-8")
    count = 0
    for words, text in blocks(page, "sh"):
        if end_to_end or words != "end_to_end":
            run(sandbox, text, timeout)
            count += 1
    return count


HOW_TOS = sorted((DOCS / "how_to").glob("*.md"))
QUICK = [page for page in HOW_TOS if any(not words for words, _ in blocks(page, "sh"))]
LONG = [page for page in HOW_TOS if any(words == "end_to_end" for words, _ in blocks(page, "sh"))]


def test_every_how_to_has_commands():
    assert sorted({*QUICK, *LONG}) == HOW_TOS


@pytest.mark.parametrize(
    "page",
    # that page takes half a minute
    [pytest.param(page, marks=[pytest.mark.slow] if page.stem == "your_3090" else []) for page in QUICK],
    ids=lambda page: page.stem,
)
def test_the_commands_of_a_how_to_run(page, sandbox):
    assert play(page, sandbox, timeout=120, end_to_end=False)


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("page", LONG, ids=lambda page: page.stem)
def test_a_how_to_runs_from_end_to_end(page, sandbox):
    assert play(page, sandbox, timeout=600, end_to_end=True)


def test_a_command_of_a_how_to_that_fails_is_seen(sandbox):
    page = sandbox / "page.md"
    page.write_text("```toml\n# mine.toml\nx = 1\n```\n```sh\ngrep x mine.toml\n```\n```sh end_to_end\nfalse\n```\n")
    assert play(page, sandbox, timeout=10, end_to_end=False) == 1
    with pytest.raises(AssertionError, match="false"):
        play(page, sandbox, timeout=10, end_to_end=True)


def test_a_command_of_a_how_to_that_does_not_end_is_ended(sandbox):
    with pytest.raises(pytest.fail.Exception, match="longer than 1 s"):
        run(sandbox, "sleep 100 & sleep 100", timeout=1)


# How each example is run; a how-to runs own_attention.toml. What trains or needs a trained model is an end-to-end test.
QUICK_EXAMPLES = {
    "own_source.py": "python docs/examples/own_source.py text && "
    "hamner prepare_data --config smoke --data text --out shards 'mix={wiki=0.3,fineweb_edu=0.7}'",
    "own_contestant.toml": "tournament --config smoke --league docs/examples/own_contestant.toml --plan",
    "own_attention.py": "python docs/examples/own_attention.py",
    "own_stages.toml": "python -c 'from pathlib import Path; from curriculum.curricula import read_curriculum; "
    'print(read_curriculum(Path("docs/examples/own_stages.toml")))\'',
}


@pytest.mark.parametrize("name", QUICK_EXAMPLES)
def test_an_example_runs(name, sandbox):
    assert (EXAMPLES / name).is_file()
    run(sandbox, QUICK_EXAMPLES[name], timeout=120)


@pytest.mark.end_to_end
def test_load_and_talk_runs(raised, sandbox):
    assert run(sandbox, f"python docs/examples/load_and_talk.py {raised / 'final'}", timeout=120).strip()


def test_examples_are_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.*")}
    assert {*QUICK_EXAMPLES, "load_and_talk.py"} <= set(lengths)
    assert {name: lines for name, lines in lengths.items() if name.endswith(".py") and lines > 45} == {}
