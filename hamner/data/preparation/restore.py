"""Restoring the text of a run: prepared again, and compared with what the run has read (checksums).

That is done for a run that came in an archive, and for one whose shards are damaged.

Data in: a run's data folder with its manifest and tokenizer, which travel, and the config, which says where text comes
from. Data out: the shards that the manifest lists, the same bytes as before, or a BadInput that names what differs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.data.conversation_files import FACTS, SIDES, rows_file
from hamner.data.corpus import altered_shards
from hamner.data.preparation.manifest import MANIFEST, is_prepared
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json_as, write_json
from hamner.runs.folders import PACKING_LIST
from hamner.runs.waiting import never_silent

Say = Callable[[str], None]
Prepare = Callable[[Path, Tokenizer | None], object]  # writes text into a folder, with the tokenizer it is given


def lacks_text(folder: Path) -> bool:
    """Whether a data folder is of a run that was unpacked, and text that it lists is not there."""
    if not (folder.parent / PACKING_LIST).is_file() or not (folder / MANIFEST).is_file():
        return False
    place, shards = _shards(folder)
    return not all((place / shard["file"]).exists() for shard in shards)


def damaged_text(folder: Path, say: Say) -> list[str]:
    """The files of a run's own text that are not what was written; none where nothing was prepared yet.

    Raises BadInput where the text lies in a folder that was prepared beforehand: it is nobody's to write again.
    """
    if not (folder / MANIFEST).is_file():
        return []
    place, shards = _shards(folder)
    with never_silent("comparing the text with its checksums", say, in_place=False):
        damaged = altered_shards(place, shards)
    if damaged and place.resolve() != folder.resolve():
        raise BadInput(
            f"{place}: {len(damaged)} of its files are missing or were altered since they were prepared, first "
            f"{damaged[0]}: copy the folder again, or prepare the data again"
        )
    return damaged


def _shards(folder: Path) -> tuple[Path, list[Mapping[str, Any]]]:
    """Where the shards of a data folder lie, and what its manifest says of each."""
    return read_json_as(
        folder / MANIFEST,
        lambda manifest: (
            Path(manifest.get("folder", folder)),
            [shard for facts in manifest["sources"].values() for shard in facts["shards"]],
        ),
    )


def restore_text(config: Config, folder: Path, prepare: Prepare, say: Say, damaged: Sequence[str] = ()) -> None:
    """Put the text of a run where its manifest looks for it. Raises BadInput where it is another text.

    damaged: files that are there, and not what was written; none of a run that was unpacked without its text.

    Killed, it is continued by the next call: what is prepared lies beside the folder until it is compared.
    """
    before: Mapping[str, Any] = read_json_as(folder / MANIFEST, dict)
    if "folder" in before and not is_prepared(config.data.path):
        raise BadInput(
            f"the text of {folder.parent} lay prepared in {before['folder']}, which is not here: copy that folder, and "
            "use --resume --data DIR with its place"
        )
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        say(f"{folder / damaged[0]}{more}: damaged or missing; preparing the text again")
    else:
        say("the text did not travel with the run: preparing it again")
    again = folder.with_name(f"{folder.name}_again")
    if (again / MANIFEST).is_file():  # of a process that was killed while it took the shards out
        shutil.rmtree(again)
    is_given = not str(before.get("tokenizer", "")).startswith("trained")
    try:
        prepare(again, Tokenizer.load(folder) if is_given else None)
    except BadInput:  # another place may be given next
        shutil.rmtree(again, ignore_errors=True)
        raise
    after: Mapping[str, Any] = read_json_as(again / MANIFEST, dict)
    problems = list(_differences(before, after))
    if problems:
        shutil.rmtree(again)
        raise BadInput([f"{folder.parent}: {problem}" for problem in problems])
    if "folder" in after:
        write_json(folder / MANIFEST, dict(before) | {"folder": after["folder"]})
    for path in again.glob("*.bin"):
        path.replace(folder / path.name)
    shutil.rmtree(again)
    say("the text is the one that the run has read: the same bytes")


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of a text is not as it was, a line each, with the way out."""
    if before["tokenizer_sha256"] != after["tokenizer_sha256"]:
        way_out = "copy the very files it was trained on, and use --data DIR"
        return [f"the tokenizer that is trained on the text here is not the run's, so the text differs: {way_out}"]
    lines = []
    for name, facts in before["sources"].items():
        here = after["sources"].get(name)
        if here is None or _checksums(facts) != _checksums(here):
            counts = "has none of it" if here is None else f"has {here['documents']:,} documents"
            lines.append(
                f"the text of {name} is not the one that the run has read ({facts['documents']:,} documents to train "
                f"on; this machine {counts}): copy the very files, and use --resume --data DIR"
            )
    return lines


def _checksums(facts: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    return [(shard["sha256"], shard.get("ends_sha256")) for shard in facts["shards"]]


def lacks_conversations(folder: Path) -> bool:
    """Whether a folder of conversations is of a run that was unpacked, and rows that it lists are not there."""
    if not (folder.parent / PACKING_LIST).is_file() or not (folder / FACTS).is_file():
        return False
    names = read_json_as(folder / FACTS, lambda document: list(document["sources"]))
    return not all(rows_file(folder, name, side).exists() for name in names for side in SIDES)


def restore_conversations(
    folder: Path,
    prepare: Callable[[Path], object],
    say: Say,
    way_out: str = "copy the very files, and use --resume --data DIR",
) -> None:
    """Put the conversations of an unpacked fine-tuning where it looks for them. Raises BadInput for other ones.

    way_out: what to do then.
    """
    say("the conversations did not travel with the run: preparing them again")
    again = folder.with_name(f"{folder.name}_again")
    shutil.rmtree(again, ignore_errors=True)
    prepare(again)
    before, after = (read_json_as(place / FACTS, lambda facts: dict(facts["sources"])) for place in (folder, again))
    problems = [
        f"{folder.parent}: the conversations of {name} are not those that the run has read "
        f"({facts['conversations']:,} to train on): {way_out}"
        for name, facts in before.items()
        if facts | {"origin": ""} != {key: after.get(name, {}).get(key) for key in facts} | {"origin": ""}
    ]
    if problems:
        shutil.rmtree(again)
        raise BadInput(problems)
    for path in again.glob("*.bin"):
        path.replace(folder / path.name)
    shutil.rmtree(again)
    say("they are those that the run has read")
