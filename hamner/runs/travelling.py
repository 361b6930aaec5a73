"""What of a run travels (contents of an archive): its records, on request weights; for a bug report nothing private.

Data in: the folder of a run of any kind. Data out: its files by name, with the results folder in them written as
`$HAMNER_RESULTS`, so that they mean the same wherever they are unpacked. Text, prepared or not, and what Ray writes
never travel.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hamner.runs.archive import check_text
from hamner.runs.files import json_line, resealed
from hamner.runs.folders import PACKING_LIST
from hamner.runs.private_words import RESULTS, PrivateWords

FACTS = (  # patterns of files that a run is known by; none holds text of a data set or of a model
    *("config.json", "bracket.json", "standings.json", "winner.json", "timing.json", "mixes.json", "*.toml"),
    *("stages.json", "skills.json", "choice.json", "friend.json", "finetuning.json", "report.json", "metrics.csv"),
    *("bracket.jsonl", "resume.jsonl", "run.log", "data/manifest.json", "conversations/conversations.json"),
    *("concepts.json", "feedback.json"),
    *("*/metrics.csv", "*/documents_*.json", "*/learning_rate.json", "*/memory_fallbacks.json"),
)
RECORDS = (  # ... and what is shown of it, where a model may repeat what it has read
    *("samples.jsonl", "report.html", "report.md", "report_*.png", "skills.png", "training_curves.*", "dashboard.html"),
    *("friend_card/friend_card.*", "data/tokenizer*.json", "tensorboard/events.*", "*/events.*"),
)
WEIGHTS = ("final/*", "base/*", "checkpoints/*/*", "*/checkpoints/*/*")  # of a league those of its contestants
OWN_NAMES = {part for pattern in (*FACTS, *RECORDS) for part in pattern.split("/") if "*" not in part}
CORRECTIONS = "corrections.jsonl"  # of a fine-tuning by --feedback: somebody's chats, which nothing packs
SEALED = ("tokenizer.json", "tokenizer_config.json")  # others know them by their checksum
AS_TEXT = (".json", ".jsonl", ".csv", ".md", ".html", ".log", ".toml", ".svg")  # endings of files that may name a path
LEDGER, DOCUMENTS = ("bracket.jsonl", "bracket.json"), "*/documents_*.json"  # of a league, in the order of reading
END = rb"(?![\w.-])"  # of the name of a folder
LIBRARIES = ("hamner", "torch", "ray", "transformers", "tokenizers", "numpy", "pyarrow")


def packing_list(folder: Path, *, weights: bool = False, for_report: bool = False) -> list[str]:
    """The names, in the run's folder, of the files that travel."""
    patterns = [*FACTS, *(() if for_report else RECORDS), *(WEIGHTS if weights else ())]
    names = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    return sorted(name for name in names if _is_plain(folder, name))


def _is_plain(folder: Path, name: str) -> bool:
    """Whether a name is of a file, not hidden and not reached by a link."""
    path, parts = folder / name, name.split("/")
    links = (folder.joinpath(*parts[: end + 1]).is_symlink() for end in range(len(parts)))
    return (
        path.is_file() and not any(part.startswith(".") for part in parts) and name != PACKING_LIST and not any(links)
    )


def packed_files(folder: Path, names: Iterable[str], private: PrivateWords | None) -> dict[str, bytes | Path]:
    """The content of each file as it travels, or the file whose content it is.

    private: what is removed from all of them, names included; None: only the results folder is written otherwise.
    """
    files: dict[str, bytes | Path] = {}
    for name in _ledger_first(folder, names):
        path = folder / name
        if not is_rewritten(name):
            files[name] = path
            continue
        try:
            content, packed_name = _text(path, folder), name
        except FileNotFoundError:
            if name != LEDGER[0]:
                raise
            continue  # the log was compacted: all of it is in the ledger
        if private:
            packed_name = "/".join(
                part if part in OWN_NAMES else private.without_names(part) for part in name.split("/")
            )
            changed = private.without_in(name, content)
        else:
            changed = re.sub(_whole(folder.parents[1], path.suffix), RESULTS.encode(), content)
        files[packed_name] = resealed(path.name, content, changed)
    return files


def _ledger_first(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """The names in the order in which files may be read while a league is played.

    The log before the ledger, so that what is compacted meanwhile is in the ledger by then; and after both whichever
    documents there are by then, since the ledger may name some that are younger than the list of names.
    """
    rest = list(names)
    for name in (name for name in LEDGER if name in rest):
        rest.remove(name)
        yield name
    younger = {path.relative_to(folder).as_posix() for path in folder.glob(DOCUMENTS)} - set(rest)
    yield from rest + sorted(name for name in younger if _is_plain(folder, name))


def _text(path: Path, folder: Path) -> bytes:
    """The content of a file that is read whole. Raises BadInput for one that is too large for it."""
    check_text(path.name, path.stat().st_size, folder)
    return path.read_bytes()


def unpacked_content(name: str, content: bytes, results: Path, run: tuple[str, str, str]) -> bytes:
    """The content of a file as it is in a results folder. run: its kind, its name then, its name here."""
    if not is_rewritten(name):
        return content
    kind, before, now = run
    changed = content
    if now != before:
        old = re.escape(f"{RESULTS}/{kind}/{before}".encode()) + END
        changed = re.sub(old, lambda _: f"{RESULTS}/{kind}/{now}".encode(), changed)
    changed = changed.replace(RESULTS.encode(), _spelled(results, Path(name).suffix))
    return resealed(Path(name).name, content, changed)


def is_rewritten(name: str) -> bool:
    """Whether the results folder is written otherwise in a file of that name while it travels."""
    path = Path(name)
    in_checkpoint = _is_one_of(path, WEIGHTS) and not _is_one_of(path, FACTS + RECORDS)  # whose state.json is sealed
    return path.suffix in AS_TEXT and path.name not in SEALED and not in_checkpoint


def _is_one_of(path: Path, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is of this file: a contestant may be named as a folder of weights is."""
    return any(path.match(pattern) and len(path.parts) == 1 + pattern.count("/") for pattern in patterns)


def _spelled(path: Path, suffix: str) -> bytes:
    """A path as a file of that ending has it: in JSON a quotation mark or a backslash of it is escaped, in HTML a <."""
    if suffix in (".json", ".jsonl", ".toml"):
        return json_line(str(path))[1:-1]
    text = str(path)
    if suffix in (".html", ".svg"):
        text = html.escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;")  # as Jinja2 does
    return text.encode("utf-8", "surrogateescape")


def _whole(path: Path, suffix: str) -> bytes:
    """A pattern of a path, as a file of that ending has it, that is not the beginning of another name."""
    return re.escape(_spelled(path, suffix)) + END


def versions() -> dict[str, str]:
    """Versions of what a run was packed with, as far as they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
