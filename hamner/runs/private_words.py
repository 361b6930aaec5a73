"""Private words (anonymization): paths, addresses, host and user names, taken out of what somebody else will read.

Data in: the folder of a run, the content of its files. Data out: the same without them, alike in all files. Of JSON
values and keys are changed, but for keys of the config; of CSV the rows, not the head, which has the program's own
words. Files that text was read from are numbered. The results folder stays, as a word that stands for it.
"""

from __future__ import annotations

import getpass
import json
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.runs.files import json_bytes, json_line, read_json
from hamner.runs.folders import home_folder

RESULTS = "$HAMNER_RESULTS"  # stands for the results folder
PROGRAM, PATH, ADDRESS, HOST, USER = "$HAMNER", "PATH", "ADDRESS", "HOST", "USER"
ENDS = r"\s\"'<>|:;,()\[\]{}"  # what no path in a text goes on behind, but for spaces
FOLDERS = rf"(?:[^{ENDS}/$]*(?: [^{ENDS}/$]+){{0,4}}/)*"  # of a path, each of up to five words
FILE = rf"(?:[^{ENDS}/$]+(?: [^{ENDS}/$]+){{1,4}}\.[A-Za-z]\w{{0,5}}\b|[^{ENDS}]*)"  # of several words, or of one
REST = rf"(?:/{FOLDERS}{FILE})?"  # of a path, behind a folder
PATHS = re.compile(rf"(?<![\w.$~/-])(?:~|\.{{1,2}})?/(?=[^{ENDS}/]){FOLDERS}{FILE}")
QUOTED = re.compile(r"(?<!\w)([\"'`])(?:~|\.{1,2})?/[^\"'`\n$]*\1")  # a path in quotes, with any spaces
ADDRESSES = re.compile(r"\b[a-zA-Z][\w+.-]*://[^\s\"'<>|]+|\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}\b")
COLONS = re.compile(r"(?<![\w.:])[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,7}(?:(?:\.\d{1,3}){3})?(?:%\w+)?")  # as IPv6 has them
FILE_WORD = "FILE"  # and a number: a file that text was read from
TOKEN = re.compile(rf"[^{ENDS}]+")
COMMON = ("root", "user", "data", "test", "admin")  # names that also stand within other words
SHORT = 4  # letters of a name; a shorter one is looked for as a whole word


class PrivateWords:
    """What must not leave this machine with a run."""

    def __init__(self, folder: Path) -> None:
        """folder: the run's."""
        roots = {str(folder.parents[1]): RESULTS, str(home_folder()): PROGRAM}
        others = {path for path in {*_stored_paths(folder), *_homes(folder), os.getcwd()} if path.count("/") > 1}  # noqa: PTH109
        rules = [(root, re.escape(root) + r"(?![\w-])", word) for root, word in roots.items()]
        rules += [(path, re.escape(path) + r"(?![\w-])" + REST, PATH) for path in others - roots.keys()]
        rules.sort(key=lambda rule: -len(rule[0]))
        self._rules = [
            (ADDRESSES, ADDRESS),
            (QUOTED, rf"\1{PATH}\1"),
            *((re.compile(pattern), word) for _, pattern, word in rules),
            (PATHS, PATH),
        ]
        self._files = _input_files(folder)
        spaced = sorted((name for name in self._files if " " in name), key=len, reverse=True)
        self._spaced = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, spaced))})(?!\w)") if spaced else None
        self._names = [(_name_pattern(name), HOST) for name in _hosts(folder)]
        self._names += [(_name_pattern(name), USER) for name in _users(folder)]

    def without(self, text: str) -> str:
        """A text without them."""
        return self.without_names(self._without_files(self._without_paths(text)))

    def without_names(self, text: str) -> str:
        """A text, such as the name of a folder, without host and user names."""
        for pattern, word in self._names:
            text = pattern.sub(word, text)
        return text

    def without_in(self, name: str, content: bytes) -> bytes:
        """The content of a file of that name without them."""
        text = content.decode("utf-8", "backslashreplace")
        if name.endswith(".json"):
            return self._json(text, json_bytes)
        if name.endswith(".jsonl"):
            return b"\n".join(self._json(line, json_line) for line in text.split("\n"))
        head, end, rows = text.partition("\n") if name.endswith(".csv") else ("", "", text)
        return (head + end + self.without(rows)).encode()

    def _json(self, text: str, write: Callable[[Any], bytes]) -> bytes:
        """A JSON text without them; one that is broken as any text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.without(text).encode()
        changed = self._value(value)
        return text.encode() if changed == value else write(changed)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            is_path = value.startswith(("/", "~/", "../", "./"))
            return PATH if is_path and self._is_elsewhere(value) else self.without(value)
        if isinstance(value, list):
            return [self._value(part) for part in value]
        if isinstance(value, dict):
            return self._object(value)
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        """An object without them; keys that are one without them are numbered."""
        changed: dict[str, Any] = {}
        for key, part in value.items():
            name = clean = key if key in _own_keys() else self.without(key)
            while name in changed:
                name = f"{clean}_{len(changed)}"
            changed[name] = self._value(part)
        return changed

    def _without_files(self, text: str) -> str:
        if not self._files:
            return text
        if self._spaced:
            text = self._spaced.sub(lambda match: self._files[match[0]], text)

        def numbered(match: re.Match[str]) -> str:
            name = match[0].rstrip(".!?")  # of a sentence
            return self._files.get(name, name) + match[0].removeprefix(name)

        return TOKEN.sub(numbered, text)

    def _is_elsewhere(self, text: str) -> bool:
        """Whether a path as a whole, which may have spaces in it, lies neither in the results nor in the program."""
        return not self._without_paths(text).startswith((RESULTS, PROGRAM))

    def _without_paths(self, text: str) -> str:
        if ":" in text:
            text = COLONS.sub(_without_ipv6, text)
        if "/" not in text and "." not in text:
            return text
        for pattern, word in self._rules:
            text = pattern.sub(word, text)
        return text


def _without_ipv6(match: re.Match[str]) -> str:
    """A word for an IPv6 address; what only looks like one, such as a time, and the machine's own `::1` stay."""
    text = match[0]
    for candidate in (text, text.removesuffix(":")):
        with suppress(ValueError):
            address = ip_address(candidate)
            is_own = address.is_loopback or address.is_unspecified
            return text if is_own else ADDRESS + text.removeprefix(candidate)
    return text


@cache
def _own_keys() -> frozenset[str]:
    """The keys of a config, which a user's name may be too."""
    schema = Config.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    return frozenset(key for part in parts for key in part.get("properties", {}))


def _name_pattern(name: str) -> re.Pattern[str]:
    is_word = len(name) < SHORT or name.lower() in COMMON
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])" if is_word else re.escape(name))


def _stored_paths(folder: Path) -> Iterator[str]:
    """Every path that config.json and the manifest of a run name, which may have spaces in it."""
    for name in ("config.json", "data/manifest.json"):
        with suppress(BadInput):
            yield from _paths_in(read_json(folder / name))


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(("/", "~/")):
            yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _paths_in(part)


def _input_files(folder: Path) -> dict[str, str]:
    """The files that a run's text was read from, by the path below their source's folder and by name: a number each."""
    words: dict[str, str] = {}
    with suppress(BadInput, AttributeError, TypeError, ValueError):
        listings = read_json(folder / "data" / "manifest.json")["inputs"].values()
        paths = [str(path) for listing in listings for path, *_ in listing]
        for number, path in enumerate(dict.fromkeys(paths), 1):
            word = f"{FILE_WORD}{number}{Path(path).suffix}"
            if "." in Path(path).name.strip("."):  # else it may be any word
                words[path] = word
                words.setdefault(Path(path).name, word)
    return words


def _hosts(folder: Path) -> list[str]:
    """Names of this machine, and of those that TensorBoard's files of a run name, the longest first."""
    names = {socket.gethostname()}
    for path in (*folder.glob("*/events.out.tfevents.*"), *folder.glob("events.out.tfevents.*")):
        names.add(".".join(path.name.split(".")[4:-2]))
    names |= {name.partition(".")[0] for name in names}
    return sorted(names - {"", "localhost"}, key=lambda name: (-len(name), name))


def _accounts(folder: Path) -> Iterator[pwd.struct_passwd]:
    """This user's entry, and that of the owner of a folder, as far as the system has them."""
    for user in dict.fromkeys((os.getuid(), folder.stat().st_uid)):
        with suppress(KeyError):
            yield pwd.getpwuid(user)


def _homes(folder: Path) -> set[str]:
    return {os.path.expanduser("~"), *(account.pw_dir for account in _accounts(folder))}  # noqa: PTH111


def _users(folder: Path) -> list[str]:
    """Names of this user and of the owner of a folder, and of their home folders, the longest first."""
    names = {account.pw_name for account in _accounts(folder)} | {Path(home).name for home in _homes(folder)}
    names |= {os.environ.get(variable, "") for variable in ("USER", "LOGNAME", "SUDO_USER")}
    with suppress(OSError, KeyError):
        names.add(getpass.getuser())
    return sorted(names - {""}, key=lambda name: (-len(name), name))
