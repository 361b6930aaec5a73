"""What of a run travels (contents of an archive): its records, on request weights; for a bug report nothing private.

Data in: the folder of a run of any kind. Data out: its files by name, with the results folder in them written as
`$HAMNER_RESULTS`, so that they mean the same wherever they are unpacked. Text, prepared or not, and what Ray writes
never travel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hamner.runs.files import resealed
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
    for name in names:
        path = folder / name
        if not _is_rewritten(name):
            files[name] = path
            continue
        content, packed_name = path.read_bytes(), name
        if private:
            packed_name = "/".join(
                part if part in OWN_NAMES else private.without_names(part) for part in name.split("/")
            )
            changed = private.without_in(name, content)
        else:
            changed = re.sub(_whole(folder.parents[1]), RESULTS.encode(), content)
        files[packed_name] = resealed(path.name, content, changed)
    return files


def unpacked_content(name: str, content: bytes, results: Path, run: tuple[str, str, str]) -> bytes:
    """The content of a file as it is in a results folder. run: its kind, its name then, its name here."""
    if not _is_rewritten(name):
        return content
    kind, before, now = run
    changed = content
    if now != before:
        old = re.escape(f"{RESULTS}/{kind}/{before}".encode()) + END
        changed = re.sub(old, lambda _: f"{RESULTS}/{kind}/{now}".encode(), changed)
    changed = changed.replace(RESULTS.encode(), str(results).encode())
    return resealed(Path(name).name, content, changed)


def _is_rewritten(name: str) -> bool:
    path = Path(name)
    in_checkpoint = {"checkpoints", "final", "base"} & set(path.parts)  # whose state.json is sealed
    return path.suffix in AS_TEXT and path.name not in SEALED and not in_checkpoint


def _whole(path: Path) -> bytes:
    """A pattern of a path that is not the beginning of another name."""
    return re.escape(str(path).encode()) + END


def versions() -> dict[str, str]:
    """Versions of what a run was packed with, as far as they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
