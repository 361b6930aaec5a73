"""Download of captions from YouTube (yt-dlp): of a channel, a playlist or a video, each fetched once.

FOLDER/<id>_<title>.<language>.vtt    one video's automatic captions
FOLDER/archive                        the finished videos, as yt-dlp's --download-archive writes them

yt-dlp writes to FOLDER/.partial and moves whole files out of it, so a kill leaves none half-written. A video in the
archive is finished, even when its captions have been deleted by hand; but captions that break off are fetched again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.utils import YoutubeDLError, make_archive_id

from hamner.config.errors import BadInput
from hamner.data.youtube.caption_text import is_whole, whole_text
from hamner.runs.files import write_text

PARTIAL = ".partial"
RETRIES = 5
TOO_MANY_REQUESTS = "HTTP Error 429"
LEFT_OUT, NOT_REACHED = "left out", "not reached"
NO_NETWORK = re.compile(
    "Failed to resolve|Name or service not known|Temporary failure in name resolution|nodename nor servname|"
    "getaddrinfo|Network is unreachable|No route to host|Unable to connect to proxy|Tunnel connection failed"
)
NOT_THERE = re.compile("Connection refused|timed out", re.IGNORECASE)  # that one host
OFFLINE = "not requested: there is no network; use the same command again when there is"
LATER = "not requested: the site has had too many requests; use the same command again in an hour or two"


@dataclass(frozen=True)
class Outcome:
    """The result for one video. problem: why it has no captions, or empty; how: how its captions came here.

    how is NOT_REACHED where the network is at fault, and LEFT_OUT for another file of a video.
    """

    video: str  # its id, or the address when nothing else is known
    problem: str = ""
    how: str = "here already"


class _Log:
    """Logger for yt-dlp; the last warning is often the reason why a video has no captions."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def error(self, message: str) -> None:
        pass  # it is raised, too


def fetch(target: str | Path, folder: Path, language: str, sleep_seconds: float) -> Iterator[Outcome]:
    """Fetch captions; one outcome a video, as they come. target: an address, or the Path of yt-dlp's info-json.

    Sleeps `sleep_seconds` before each caption file and a seventh of it between other requests. After the site's
    "too many requests" the remaining videos are not requested.
    """
    archive = _Archive(folder)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    log = _Log()
    seen: set[str] = set()
    todo: list[dict[str, Any]] = [{"url": str(target), "stored": isinstance(target, Path)}]
    with yt_dlp.YoutubeDL(_options(folder, language, sleep_seconds, log)) as downloader:
        while todo:
            entry = todo.pop(0)
            log.warnings.clear()
            try:
                if not archive.has(entry):
                    info = _look_up(downloader, entry)
                    if info.get("entries") is not None:  # a channel's tabs, a tab's or a playlist's videos
                        todo = [e for e in info["entries"] if e and _name(e) not in seen] + todo
                        continue
                    entry = info
                outcome = Outcome(_name(entry))
                if not archive.has(entry):
                    is_again = bool(archive.broken(_name(entry)))
                    _fetch_one(downloader, entry, folder, language)
                    archive.add(entry)
                    outcome = Outcome(_name(entry), how="fetched again" if is_again else "fetched")
            except (YoutubeDLError, OSError, ValueError, LookupError, TypeError) as error:  # also yt-dlp's own bugs
                outcome = _failure(_name(entry), _reason(error, log))
            if outcome.video not in seen:
                yield outcome
            seen.add(outcome.video)
            is_offline = bool(NO_NETWORK.search(outcome.problem))
            if TOO_MANY_REQUESTS in outcome.problem or is_offline:
                rest = (OFFLINE, NOT_REACHED) if is_offline else (LATER,)
                yield from (Outcome(_name(e), *rest) for e in todo)
                break
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def fetched_ids(folder: Path) -> set[str]:
    """Ids of the videos that are in a folder's archive."""
    path = folder / "archive"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {line.partition(" ")[2] for line in lines} - {""}


def _options(folder: Path, language: str, sleep_seconds: float, log: _Log) -> dict[str, Any]:
    def wait(n: int) -> float:
        """Seconds after n failures."""
        return min(60.0, sleep_seconds / 5 * 2**n)

    return {
        "skip_download": True,
        "writeautomaticsub": True,
        "subtitleslangs": [re.escape(language)],
        "subtitlesformat": "vtt",
        "outtmpl": {"default": "%(id)s_%(title).180B.%(ext)s"},
        "paths": {"home": str(folder), "temp": str(folder / PARTIAL)},
        "overwrites": True,
        "extract_flat": "in_playlist",
        "noplaylist": True,  # a video's address may name a list, too
        "ignore_no_formats_error": True,  # captions alone are needed, so the video need not be playable
        "sleep_interval_subtitles": sleep_seconds,
        "sleep_interval_requests": sleep_seconds / 7,
        "retries": RETRIES,
        "extractor_retries": 3,
        "retry_sleep_functions": {"http": wait, "extractor": wait},
        "logger": log,
        "quiet": True,
        "noprogress": True,
        "color": {"stdout": "never", "stderr": "never"},
    }


def _look_up(downloader: yt_dlp.YoutubeDL, entry: dict[str, Any]) -> dict[str, Any]:
    """yt-dlp's info of an entry: a video with the addresses of its captions, or a list of further entries."""
    if entry.get("entries") is not None:
        return entry
    if entry.get("stored"):
        stored = json.loads(Path(entry["url"]).read_text(encoding="utf-8"))
        missing = [k for k in ("id", "title", "extractor") if not (isinstance(stored, dict) and stored.get(k))]
        if missing or stored.get("_type", "video") != "video":
            raise BadInput(f"holds no video: {', '.join(missing) or stored['_type']}{' missing' if missing else ''}")
        return dict(downloader.process_ie_result(downloader.sanitize_info(stored), download=False))
    info = downloader.extract_info(entry["url"], download=False, ie_key=entry.get("ie_key"))
    if info is None:
        raise ValueError("yt-dlp finds nothing there")
    return dict(info)


def _fetch_one(downloader: yt_dlp.YoutubeDL, info: dict[str, Any], folder: Path, language: str) -> None:
    """Write one video's captions into the folder. Raises BadInput when it has none, or they are not whole."""
    spoken = [key.removesuffix("-orig") for key in info.get("automatic_captions") or {} if key.endswith("-orig")]
    if spoken and language not in spoken:
        raise BadInput(
            f"spoken in '{spoken[0]}': captions in '{language}' would be a machine's translation; "
            f"use --language {spoken[0]}"
        )
    captions = (info.get("requested_subtitles") or {}).get(language)
    if not captions:
        raise BadInput(f"no automatic captions in '{language}'")
    if captions["ext"] != "vtt":
        raise BadInput(f"captions only as {captions['ext']}, not as WebVTT")
    downloader.process_info(info)
    if "filepath" not in captions:
        raise BadInput("its captions could not be written")
    path = folder / Path(captions["filepath"]).name
    try:
        whole_text(path, is_strict=True)
    except BadInput:
        path.unlink(missing_ok=True)
        raise


def _name(info: dict[str, Any]) -> str:
    return str(info.get("id") or info.get("url"))


def _key(info: dict[str, Any]) -> str:
    """A video's line in the archive; empty where its extractor or id is not known."""
    extractor = info.get("extractor_key") or info.get("ie_key")
    return make_archive_id(extractor, info["id"]) if extractor and info.get("id") else ""


def _reason(error: Exception, log: _Log) -> str:
    """What went wrong in one line, without yt-dlp's prefixes and its advice on reporting bugs."""
    line = re.split(r"; please report this issue| \(caused by ", " ".join(str(error).split()))[0]
    line = re.sub(r"ERROR: (\[[^\]]+\] (\S+: )?)?", "", line)
    of_video = [match[1] for warning in log.warnings if (match := re.match(r"\[[^\]]+\] \S+: (.*)", warning))]
    return (f"{line} ({of_video[-1]})" if of_video and isinstance(error, BadInput) else line)[:300]


def _failure(video: str, reason: str) -> Outcome:
    """The outcome of a video that failed; where the network is at fault, that is what it says first."""
    if NO_NETWORK.search(reason):
        return Outcome(video, f"there is no network: connect, and use the same command again ({reason})", NOT_REACHED)
    if NOT_THERE.search(reason):
        return Outcome(video, f"cannot be reached: {reason}", NOT_REACHED)
    return Outcome(video, reason)


class _Archive:
    """The lines of FOLDER/archive, without those of videos whose captions break off."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "archive"
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        self._keys = {line: None for line in lines if not self.broken(line.partition(" ")[2])}
        if len(self._keys) < len(lines):
            self._write()

    def has(self, info: dict[str, Any]) -> bool:
        """Whether a video is finished, which one with a whole file is: a kill may have come before its line."""
        key, video = _key(info), _name(info)
        if key and key not in self._keys and self._files(video) and not self.broken(video):
            self.add(info)
        return key in self._keys

    def add(self, info: dict[str, Any]) -> None:
        """Add a finished video, and remove captions of it that break off, under an older title."""
        for path in self.broken(_name(info)):
            path.unlink()
        self._keys[_key(info)] = None
        self._write()

    def broken(self, video: str) -> list[Path]:
        """The video's caption files that break off."""
        return [path for path in self._files(video) if not is_whole(path)]

    def _files(self, video: str) -> list[Path]:
        return [path for path in self._folder.glob("*.vtt") if path.name.startswith(f"{video}_")]

    def _write(self) -> None:
        write_text(self._path, "".join(f"{line}\n" for line in self._keys))
