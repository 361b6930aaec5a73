"""Files of a data source: a walk of DIR/<source>/ that tells the files it can read from those it passes over.

Data in: a folder. Data out: the paths to read, in order, and the paths of the others. A linked folder is followed once.
Names that begin with a dot are not data (macOS's `._a.jsonl`, `.git`), nor are the files that describe a data set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hamner.config.errors import BadInput

JSON_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines", ".json")
TABLE_SUFFIXES = (".csv", ".tsv")
TEXT_SUFFIXES = (".txt", ".md", ".markdown")
SUFFIXES = (".parquet", *JSON_SUFFIXES, *TABLE_SUFFIXES, *TEXT_SUFFIXES)
COMPRESSED_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4", ".br": "brotli", ".xz": "xz"}
READABLE = (
    f"{', '.join('*' + suffix for suffix in SUFFIXES)}, and all but parquet also with "
    f"{', '.join(COMPRESSED_SUFFIXES)}, such as *.jsonl.gz"
)
# What Hugging Face's libraries, process_youtube and people put beside data to describe it; in small letters.
DESCRIPTIONS = ("about.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
DESCRIPTION_STEMS = ("readme", "license", "licence", "changelog")
SAMPLES = "training_samples.jsonl"  # written by process_youtube, beside stats.json and its captions in youtube/


@dataclass(frozen=True)
class FoundFiles:
    """The files of a folder and below, each in the order of their paths."""

    paths: tuple[Path, ...]  # that are read
    passed_over: tuple[Path, ...]  # that are not, and that nothing explains


def file_format(path: Path) -> tuple[str, str]:
    """The suffix that says how a file is read, and that of its compression; "" for either that there is none of."""
    name, compressed = path.name.lower(), ""
    if (suffix := os.path.splitext(name)[1]) in COMPRESSED_SUFFIXES:  # noqa: PTH122 (a name, not a path)
        name, compressed = name.removesuffix(suffix), suffix
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    is_known = suffix and not (suffix == ".parquet" and compressed)
    return (suffix, compressed) if is_known else ("", "")


def find_files(folder: Path) -> FoundFiles:
    """The files of a source's folder and below; none where there is no such folder. Raises BadInput for a shut one."""
    paths: list[Path] = []
    passed_over: list[Path] = []
    has_samples = (folder / SAMPLES).is_file()
    for path in sorted(walk(folder)):
        if _describes_data(path, folder, has_samples):
            continue
        is_readable = path.is_file() and file_format(path)[0]
        (paths if is_readable else passed_over).append(path)
    return FoundFiles(tuple(paths), tuple(passed_over))


def path_text(path: Path | str) -> str:
    """A path for a message or a JSON file; a byte that is not UTF-8, or no sign, is written as `\\xff`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def list_names(paths: Sequence[Path], folder: Path, most: int = 5) -> str:
    """The first paths, as below `folder`, and how many more there are."""
    names = ", ".join(path_text(path.relative_to(folder)) for path in paths[:most])
    return names + (f" and {len(paths) - most} more" if len(paths) > most else "")


def _describes_data(path: Path, folder: Path, has_samples: bool) -> bool:
    """Whether a file is known to hold no text of the source, so that no line need say that it is passed over."""
    name = path.name.lower()
    if name in DESCRIPTIONS or (name.split(".")[0] in DESCRIPTION_STEMS and not name.endswith(".txt")):
        return True
    place = path.relative_to(folder)
    return has_samples and (place.name == "stats.json" or (place.parts[0] == "youtube" and not file_format(path)[0]))


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, those of linked folders after the others, so that a folder keeps its own path.

    Names that begin with a dot are passed over. Raises BadInput for a folder that may not be entered.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        linked: list[Path] = []
        for top in waiting:
            if top.is_dir():
                yield from _walk_unlinked(top, visited, linked)
        waiting = sorted(linked)


def _walk_unlinked(top: Path, visited: set[tuple[int, int]], linked: list[Path]) -> Iterator[Path]:
    """The files below a folder without following links; links to folders are added to `linked`."""

    def refuse(error: OSError) -> None:
        raise BadInput(f"{path_text(error.filename)} cannot be read: {error.strerror}; give read permission") from None

    for place, folders, files in os.walk(top, onerror=refuse):
        status = os.stat(place)  # noqa: PTH116 (a word of os.walk)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked += [Path(place, name) for name in folders if os.path.islink(os.path.join(place, name))]  # noqa: PTH114, PTH118
        yield from (Path(place, name) for name in files if not name.startswith("."))
