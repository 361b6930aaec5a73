"""Conversation data sets for fine-tuning: folders DATA/sft/NAME/, the project's own, and three of the Hugging Face Hub.

    DATA/sft/NAME/*.jsonl    the source NAME, in any format that a source of text may have
    DATA/sft/*.jsonl         files beside such folders: the source `sft`
    builtin, habits, everyday    the project's own, offline: those of the stages; those that show a friend's habits;
                             some 3,900 about everyday life, written by hand
    smol-smoltalk, everyday-conversations, soda    from the hub, where there is no folder of that name

Data in: a config. Data out: what is there by name, and where each is read from; a BadInput with the way out for a name
that is not to be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.json_text import parse_json
from hamner.data.sources.find_files import find_files
from hamner.data.sources.records import json_type, listed_messages
from hamner.data.sources.sft_conversations import HABITS, SFT, conversation, parse
from hamner.data.sources.source import Document, HubDataset, Source

BUILTIN, EVERYDAY, LOOSE, IDENTITY = "builtin", "everyday", "sft", "identity"
OWN = {BUILTIN: SFT, "habits": HABITS}  # drawn by a generator
OWN_SHARES = {BUILTIN: 0.3, "habits": 0.45, EVERYDAY: 0.25}  # with --data builtin, where nothing else is named
RESERVED_NAMES = (*OWN, EVERYDAY, LOOSE, IDENTITY)  # no folder's
WAY_OUT = "put its files into data/sft/NAME/, or name other sources (finetuning.sources={builtin=1})"
Kind = Literal["builtin", "everyday", "files", "hub", "identity"]


def parse_hub(record: Any) -> Document:
    """The conversation of a record of the hub: messages or a dialogue, as they are or as JSON.

    Raises ValueError for others.
    """
    value = record.get("text") if isinstance(record, dict) else None
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = parse_json(value)
        record = value if isinstance(value, dict) else record
    if isinstance(record, dict) and "dialogue" in record:
        return conversation(_dialogue(record["dialogue"], record.get("speakers")))
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return conversation(_dialogue(value, None))
    messages = listed_messages(value)
    return parse(record) if messages is None else conversation(messages)


def _dialogue(texts: Any, speakers: Any) -> list[tuple[str, str]]:
    """The messages of what two people say: who begins is the user. What one says in a row is one message.

    speakers: of each text; none: they take turns. A last message of the user, to which nothing is said, is left out.
    Raises ValueError where more than two speak, and for anything but lists of texts of one length.
    """
    if not isinstance(texts, list) or not isinstance(speakers, list | None):
        raise ValueError(f"a dialogue that is a {json_type(texts)}, of speakers that are a {json_type(speakers)}")
    speakers = [str(index % 2) for index in range(len(texts))] if speakers is None else speakers
    if not all(isinstance(text, str) for text in (*texts, *speakers)) or len(texts) != len(speakers):
        raise ValueError(f"a dialogue of {len(texts)} texts and {len(speakers)} speakers")
    names = list(dict.fromkeys(speakers))
    if len(names) > 2:
        raise ValueError(f"a dialogue of {len(names)} speakers, not of two")
    messages: list[tuple[str, str]] = []
    for speaker, text in zip(speakers, texts, strict=True):
        role = "user" if speaker == names[0] else "assistant"
        if messages and messages[-1][0] == role:
            messages[-1] = (role, f"{messages[-1][1]} {text}")
        else:
            messages.append((role, text))
    return messages[: len(messages) // 2 * 2]


def _hub_source(name: str, dataset: str, split: str, field: str, license: str, speakers: str = "") -> Source:
    where = HubDataset(dataset, None, split, field, license, WAY_OUT.replace("NAME", name), speakers)
    return Source(name, hub=where, parse=parse_hub, keys=("dialogue", "speakers", *SFT.keys))


HUB = {
    source.name: source
    for source in (
        _hub_source("smol-smoltalk", "HuggingFaceTB/smol-smoltalk", "train", "messages", "Apache-2.0"),
        _hub_source(
            "everyday-conversations",
            "HuggingFaceTB/everyday-conversations-llama3.1-2k",
            "train_sft",
            "messages",
            "Apache-2.0",
        ),
        _hub_source("soda", "allenai/soda", "train", "dialogue", "CC-BY-4.0", "speakers"),
    )
}
HUB_SHARES = {"smol-smoltalk": 0.5, "everyday-conversations": 0.05, "soda": 0.45}  # where nothing else is named


@dataclass(frozen=True)
class ConversationSource:
    """A source of conversations, and where it is read from."""

    name: str
    source: Source
    kind: Kind
    folder: Path | None = None  # of the files
    files: tuple[Path, ...] = ()


def local_sources(folder: Path | None) -> dict[str, ConversationSource]:
    """The sources in DATA/sft/, `folder`, by name. Raises BadInput for a folder with the name of another kind."""
    if folder is None or not folder.is_dir():
        return {}
    found = {}
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in below:
        files = find_files(path).paths
        if files and path.name in RESERVED_NAMES:
            raise BadInput(f"{path}: '{path.name}' is the name of a source that is no folder; rename the folder")
        if files:
            source = HUB.get(path.name) or Source(path.name, parse=parse, keys=SFT.keys)
            found[path.name] = ConversationSource(path.name, source, "files", path, files)
    loose = tuple(path for path in find_files(folder).paths if path.parent == folder)
    if loose:
        found[LOOSE] = ConversationSource(LOOSE, SFT, "files", folder, loose)
    return found


def choose_sources(
    shares: Mapping[str, float], data_path: str, folder: Path | None
) -> tuple[dict[str, ConversationSource], dict[str, float]]:
    """The sources of a fine-tuning by name, and their shares; no shares where each is to be read by its length.

    shares: those asked for; none: what is there. data_path: the config's. folder: DATA/sft/. Raises BadInput.
    """
    local = local_sources(folder)
    if not shares and data_path == "builtin":
        shares = OWN_SHARES
    elif not shares and local:
        return local, {}
    elif not shares and data_path == "hub":
        shares = HUB_SHARES
    elif not shares:
        raise BadInput(
            f"no conversations in {folder}: put JSONL files there, in folders of it where they are several sources, "
            "or name some (finetuning.sources={builtin=1})"
        )
    known = [*local, *OWN, EVERYDAY, *(name for name in HUB if name not in local)]
    chosen, problems = {}, []
    for name in shares:
        if name in local:
            chosen[name] = local[name]
        elif name in OWN:
            chosen[name] = ConversationSource(name, OWN[name], "builtin")
        elif name == EVERYDAY:
            chosen[name] = ConversationSource(name, Source(name), "everyday")
        elif name in HUB:
            chosen[name] = ConversationSource(name, HUB[name], "hub")
        else:
            where = f"{folder} has {', '.join(local) or 'none'}" if folder else "--data builtin reads no folder"
            problems.append(f"finetuning.sources: unknown source '{name}'; {where}; {did_you_mean(name, known)}")
    problems += [
        f"finetuning.sources: the share of '{name}' is {share}; it must be above 0 (leave out what is not read)"
        for name, share in shares.items()
        if not share > 0
    ]
    if all(share > 0 for share in shares.values()) and abs(sum(shares.values()) - 1) > 1e-6:
        problems.append(f"finetuning.sources: shares sum to {sum(shares.values()):.6g}, not 1")
    if problems:
        raise BadInput(problems)
    return chosen, dict(shares)
