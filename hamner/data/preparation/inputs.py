"""Input files of each source of a config: the folder it is read from, and which sources are there.

Data in: a config's data.path (hub, builtin, or a folder with DIR/<source>/ in it). Data out: the names of the sources
to read, and the files of those that lie in a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.checks import SOURCE_NAME
from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.schema import Config
from hamner.data.sources import SOURCES, Source, find_source, in_order
from hamner.data.sources.find_files import FoundFiles, file_format, find_files, list_names, path_text
from hamner.data.sources.local_files import source_files
from hamner.runs.folders import home_folder

PUT_FILES = (
    "put its files there, give another folder with --data DIR, or leave it out of the mix and of --sources (built-in "
    "text cannot be mixed with a folder's: --data builtin reads no folder)"
)
COPY_FIRST = "copy it to a disk of the machine first, and give that folder to a run with --data"


@dataclass(frozen=True)
class InputFiles:
    """The files of one source, in order."""

    folder: Path  # DIR/<source>, above them
    paths: tuple[Path, ...]
    passed_over: tuple[Path, ...] = ()  # files beside them that are not read

    def listing(self) -> list[list[Any]]:
        """[path below the folder, size] of each, for the manifest: a copy elsewhere, of another time, is the same."""
        return [[path.relative_to(self.folder).as_posix(), path.stat().st_size] for path in self.paths]

    def state(self) -> list[list[Any]]:
        """[path, size, time of modification] of each: what must not change while a preparation is unfinished."""
        return [[str(path), (stat := path.stat()).st_size, stat.st_mtime_ns] for path in self.paths]


def check_data_path(path: str) -> None:
    """Raises BadInput when data.path is neither hub, builtin nor a folder."""
    if "://" in path:
        raise BadInput(f"--data {path} is an address, and text and shards are read from a folder: {COPY_FIRST}")
    if path in ("hub", "builtin"):
        return
    place = Path(path).expanduser()
    if place.is_file():
        raise BadInput(
            f"--data {path_text(path)} is a file: --data takes hub, builtin, or a folder with DIR/<source>/ in it; "
            + (_above(place.resolve().parent) or "put it into DIR/<source>/, such as DIR/personal/, and give DIR")
        )
    if not place.is_dir():
        raise BadInput(f"no data folder '{path}': --data takes hub, builtin, or a folder with DIR/<source>/ in it")


def _above(place: Path) -> str:
    """The way out where a source's own folder, or one in it, is given instead of the folder above; "" elsewhere."""
    if any((place / name).is_dir() for name in SOURCES):
        return ""
    for folder in (place, place.parent):
        if folder.name in SOURCES:
            return (
                f"{path_text(folder)} is the folder of source '{folder.name}' itself: give the one above, "
                f"--data {path_text(folder.parent)}"
            )
    return ""


def _nearby(folder: Path, name: str) -> str:
    """Where a source lies instead of in `folder`, with the way out; "" where it is not found."""
    folder = folder.resolve()
    if too_deep := _above(folder):
        return too_deep
    below = sorted(path.parent for path in folder.glob(f"*/{name}") if path.is_dir())
    if below:
        return f"there is a folder '{name}' in {path_text(below[0])}: give that, --data {path_text(below[0])}"
    loose = [path for path in sorted(folder.glob("[!.]*")) if path.is_file() and file_format(path)[0]]
    if loose and not any((folder / source).is_dir() for source in SOURCES):
        return (
            f"{path_text(folder)} holds {list_names(loose, folder, 3)} itself, of no source: put them into a folder of "
            f"it, such as {path_text(folder / name)}/, or give the folder above with a source named '{folder.name}'"
        )
    return ""


def _own_sources(folder: Path) -> str:
    """The way out where a folder holds sources of the user's own, and a known one was looked for; "" elsewhere."""
    places = (
        path for path in sorted(folder.glob("[!.]*")) if path.is_dir() and path.name not in (*SOURCES, "tokenizer")
    )
    names = [path.name for path in places if find_files(path).paths]
    if not names:
        return ""
    name = next((name for name in names if SOURCE_NAME.fullmatch(name)), "")
    listing = f"put its files there, or name in the mix what {path_text(folder)} has ({', '.join(names[:5])})"
    if name:
        return f"{listing}, such as 'mix={{{name}=1.0}}'"
    return f"{listing}, once it is called by letters, digits, '_' and '-', beginning with a letter or digit"


def source_folder(source: Source, config: Config) -> Path | None:
    """The folder that holds DIR/<source>/; None for a source that is read from no folder."""
    if config.data.path == "builtin" or not source.is_text:
        return None
    if config.data.path == "hub":
        return None if source.hub else (home_folder() / Path(config.data.local_path).expanduser()).resolve()
    return Path(config.data.path).expanduser()


def available_sources(config: Config) -> tuple[str, ...]:
    """The known sources of text that are there: those with files, and those that need none."""
    folders = {name: source_folder(source, config) for name, source in SOURCES.items() if source.is_text}
    return tuple(name for name, folder in folders.items() if folder is None or find_files(folder / name).paths)


def default_sources(config: Config) -> tuple[str, ...]:
    """The sources of text that are prepared when none are named: the available ones and those of tournament.mix.

    Of a mix that nobody has set, only those that are there; where there is none at all, the mix says what is missing.
    """
    available, mix = available_sources(config), text_names(config.tournament.mix)
    if available and "mix" not in config.tournament.model_fields_set:
        return available
    return in_order([*available, *mix])


def sources_to_read(config: Config, names: Iterable[str], *, trains_tokenizer: bool) -> tuple[str, ...]:
    """The sources of text of a preparation of `names`; to train a tokenizer the other available ones too."""
    return in_order([*text_names(names), *(available_sources(config) if trains_tokenizer else ())])


def text_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the sources that are text, each once, in order."""
    return tuple(name for name in in_order(names) if find_source(name).is_text)


def find_inputs(config: Config, names: Iterable[str]) -> dict[str, InputFiles]:
    """The files of those sources that are read from a folder. Raises BadInput with every source that is missing."""
    inputs: dict[str, InputFiles] = {}
    problems = Problems()
    for name in names:
        source = find_source(name)
        folder = source_folder(source, config)
        if folder is not None:
            with problems.collect():
                found = _files(source, folder)
                inputs[name] = InputFiles(folder / name, found.paths, found.passed_over)
    problems.raise_all()
    return inputs


def _files(source: Source, folder: Path) -> FoundFiles:
    """The files of one source. Raises BadInput, with the way out, when there are none."""
    try:
        return source_files(source, folder)
    except BadInput as error:
        if (folder / source.name).is_dir():
            way_out = PUT_FILES
        elif source.name in SOURCES:
            way_out = _nearby(folder, source.name) or _own_sources(folder) or PUT_FILES
        else:
            folders = sorted(path.name for path in folder.glob("*") if path.is_dir())
            hint = did_you_mean(source.name, sorted({*folders, *SOURCES} - {source.name}))
            listing = f"put its files there; {path_text(folder)} has {', '.join(folders) or 'no folders'}"
            way_out = hint if hint.startswith("did") else _nearby(folder, source.name) or listing
        raise BadInput([f"{problem}; {way_out}" for problem in error.problems]) from None


def say_passed_over(inputs: dict[str, InputFiles], say: Callable[[str], None]) -> None:
    """Say, a line a source, which files beside those that are read are not."""
    for name, files in inputs.items():
        if files.passed_over:
            unknown = [path for path in files.passed_over if path.is_file()]
            others = [path for path in files.passed_over if path not in unknown]
            for paths, why in (
                (unknown, "for no reader knows the ending"),
                (others, "for a link that leads nowhere, or a pipe, is no file"),
            ):
                if paths:
                    what = f"{len(paths)} file{'s are' if len(paths) > 1 else ' is'} not read, {why}"
                    say(f"{name}: {what}: {list_names(paths, files.folder)}")
