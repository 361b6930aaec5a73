"""What is fuzzed, kind by kind: how cases are drawn, where they lie, and what reads them.

A case is bytes: a file's content, or words with NUL between them. Data in: none. Data out: KINDS by name, and `check`.
"""

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import readers
import valid_inputs as valid
from command_words import command_lines, read_words, words_of
from hypothesis import strategies as st
from mutations import files, json_bytes, json_lines_bytes, mutated_bytes, mutated_documents, toml_bytes
from readers import RESULTS, Read
from refusals import refusal
from stored_runs import stored_run

from hamner.config.formats import is_checked


def _nothing(folder: Path) -> None:
    """Most files stand alone."""


def _tokenizer_of_a_winner(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "tokenizer.json").write_bytes(valid.TOKENIZER)


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    cases: st.SearchStrategy[bytes]
    read: Read  # as a command does: the folder with the file, the case
    file: str = ""  # in the folder; "": the case is no file
    make: Callable[[Path], object] = _nothing  # what stands beside the file
    write: Callable[[Path, bytes], object] | None = None  # where more than the file follows from a case
    is_words: bool = False  # of a command line
    may_write: bool = False  # what it reads from
    quick: int = 40  # examples of the quick form
    share: int = 2  # of the long form's examples
    place: str = ""  # a pattern that each refusal has: it says where


def check(kind: Kind, case: bytes, folder: Path) -> list[str]:
    """The lines with which a case is refused, none where it is accepted. Raises where anything else happens."""
    if kind.write:
        kind.write(folder, case)
    elif kind.file:
        (folder / kind.file).write_bytes(case)
    if kind.is_words:
        lines = refusal(read_words, folder, words_of(case))
    else:
        lines = refusal(lambda _: kind.read(folder, case), None if kind.may_write else folder)
    assert not lines or re.search(kind.place or re.escape(Path(kind.file).name), " ".join(lines)), lines
    return lines


def _document(kind: str, name: str, read: Read, **settings) -> Kind:
    """A file of the stored run of a kind, in a copy of it."""
    data = valid.stored(kind, name)
    cases = _json(name, json.loads(data)) if name.endswith(".json") else files(data)
    return _in_run(kind, name, cases, read, **settings)


def _json(name: str, document) -> st.SearchStrategy[bytes]:
    """A JSON file of that name: of those that end with a checksum, half without one, half with it.

    What is altered in the document comes before its checksum is made, so that more than the checksum is met.
    """
    plain = json_bytes(document)
    if not is_checked(Path(name).name):
        return files(plain, document)
    return st.one_of(files(plain, document), files(valid.with_checksum(plain), document, _sealed_bytes))


def _sealed_bytes(document) -> bytes:
    return valid.with_checksum(json_bytes(document))


def _sealed_lines(records) -> bytes:
    """Records as lines, each with its checksum; what is no list as it is."""
    return b"".join(_sealed_bytes(r) + b"\n" for r in records) if isinstance(records, list) else json_bytes(records)


def _league_with_log(folder: Path) -> None:
    """A league whose ledger has a log."""
    (stored_run(folder / RESULTS, "tournament") / "bracket.json").write_bytes(_sealed_bytes(valid.LEDGER))


def _in_run(kind: str, name: str, cases: st.SearchStrategy[bytes], read: Read, **settings) -> Kind:
    """A file in a copy of the stored run of a kind."""
    place = f"{RESULTS}/{kind}/old/{name}"
    return Kind(cases, read, place, lambda folder: stored_run(folder / RESULTS, kind), **settings)


def _below(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).parent.mkdir(parents=True, exist_ok=True)


def _lines(record: dict, read: Read, file: str, place: str) -> Kind:
    """A file of records, each a line."""
    records = [record, record | {"id": "00c0ffee"}] if "id" in record else [record, record]
    return Kind(files(json_lines_bytes(records), records, json_lines_bytes), read, file, _below(file), place=place)


def _toml(data: bytes, read: Read, file: str, share: int, *others: st.SearchStrategy[bytes], **settings) -> Kind:
    cases = files(data, tomllib.loads(data.decode()), toml_bytes)
    return Kind(st.one_of(cases, *others), read, file, share=share, **settings)


def _report(kind: str, name: str) -> Kind:
    return _document(kind, name, readers.report(kind), quick=0, may_write=True, share=1, place="old")


DOCUMENTS = "v01_dense_small/documents_round1_x1.json"
SLASHES = st.text(max_size=40).map(lambda text: f"/{text}".encode("utf-8", "surrogatepass"))
CONFIG = r"\.(toml|json)|\w+\.\w+|contestant"  # the file, the key with its section, or the row
REQUEST = "body|'|message|model"  # the key, or the message by its number
KINDS = {
    "config file": _toml(
        valid.shipped("laptop"),
        readers.config_file,
        "own.toml",
        8,
        mutated_documents(valid.WHOLE_CONFIG).map(toml_bytes),
        quick=20,
        place=CONFIG,
    ),
    "plan of a config": Kind(
        st.one_of(
            mutated_documents(tomllib.loads(valid.shipped("smoke").decode())).map(toml_bytes),
            mutated_documents(valid.WHOLE_CONFIG).map(toml_bytes),
        ),
        readers.plan,
        "own.toml",
        quick=0,
        place=CONFIG,
    ),
    "config of a run": Kind(
        _json("config.json", valid.STORED_CONFIG), readers.config_of_a_run, "config.json", share=6, place=CONFIG
    ),
    "overrides and options": Kind(
        command_lines(),
        lambda folder, case: None,
        is_words=True,
        quick=120,
        share=16,
        # in capitals: an argument without a name; with a dot: a key; with a slash: a path
        place=r"'|--|~|\b[A-Z]{3,} is |\b[a-z_]+\.[a-z_]+ |^/|tournament|key=value",
    ),
    "league file": _toml(toml_bytes(valid.LEAGUE), readers.league_file, "league.toml", 6, place=rf"{CONFIG}|: "),
    "curriculum file": _toml(toml_bytes(valid.STAGES), readers.curriculum_file, "stages.toml", 6),
    "model file": Kind(files(json_bytes(valid.MODEL), valid.MODEL), readers.model_file, "model.json"),
    "winner file": Kind(
        files(json_bytes(valid.OWN_WINNER), valid.OWN_WINNER),
        readers.winner_file,
        "winner.json",
        _tokenizer_of_a_winner,
        place=r"winner\.json|tokenizer",
    ),
    "identity file": _toml(toml_bytes(valid.IDENTITY), readers.identity_file, "identity.toml", 2),
    "ledger": _document("tournament", "bracket.json", readers.league, share=4),
    "log of a ledger": Kind(
        st.one_of(
            files(_sealed_lines(valid.LOG), valid.LOG, _sealed_lines),
            files(json_lines_bytes(valid.LOG), valid.LOG, json_lines_bytes),
        ),
        readers.league,
        f"{RESULTS}/tournament/old/bracket.jsonl",
        _league_with_log,
        share=4,
        place=r"bracket\.jsonl?",
    ),
    "resume of a ledger": _document("tournament", "bracket.json", readers.resumed_league, may_write=True, place="old"),
    "resume of documents": _document(
        "tournament", DOCUMENTS, readers.resumed_league, quick=0, may_write=True, place="old"
    ),
    "standings": _document("tournament", "standings.json", readers.league),
    "config of a league": _document("tournament", "config.json", readers.league, place=rf"{CONFIG}|: "),
    "metrics": _document("tournament", "v01_dense_small/metrics.csv", readers.league, quick=15),
    "documents": _document("tournament", DOCUMENTS, readers.league, quick=15),
    "winner": _in_run("tournament", "winner.json", _json("winner.json", valid.WINNER), readers.league, quick=15),
    "lease": _in_run(
        "tournament", ".driver.lease", files(json_bytes(valid.LEASE), valid.LEASE), readers.league, quick=15
    ),
    "records of stages": _document("curriculum", "stages.json", readers.curriculum, place="old"),
    "config of a curriculum": _document("curriculum", "config.json", readers.curriculum, place="old"),
    "records of a model": _document("curriculum", "config.json", readers.records, quick=20, place="old"),
    "report of a ledger": _report("tournament", "bracket.json"),
    "report of standings": _report("tournament", "standings.json"),
    "report of stages": _report("curriculum", "stages.json"),
    "report of skills": _report("curriculum", "skills.json"),
    "report of a fine-tuning": _report("sft", "config.json"),
    "state of a checkpoint": _in_run(
        "curriculum",
        f"{valid.CHECKPOINT}/state.json",
        files(valid.STATE, json.loads(valid.STATE), lambda state: json_bytes(valid.sealed_state(state))),
        readers.checkpoint,
        place="step_000000006",
    ),
    "weights": _in_run(
        "curriculum",
        "",
        files(valid.WEIGHTS),
        readers.checkpoint,
        write=readers.write_weights,
        quick=25,
        place="step_000000006",
    ),
    "manifest": _document("curriculum", "data/manifest.json", readers.corpus, place="old"),
    "friend": Kind(
        files(json_bytes(valid.FRIEND), valid.FRIEND), readers.friend, "friend/ada/friend.json", _below("friend/ada/x")
    ),
    "JSON lines": Kind(
        files(json_lines_bytes(valid.RECORDS), valid.RECORDS, json_lines_bytes),
        readers.documents("a.jsonl"),
        "a.jsonl",
        share=6,
    ),
    "JSON": Kind(files(json_bytes(valid.RECORDS), valid.RECORDS), readers.documents("a.json"), "a.json", share=4),
    "CSV": Kind(files(valid.TABLE), readers.documents("a.csv"), "a.csv", share=4),
    "text": Kind(files(b"Once upon a time.\n"), readers.documents("a.txt"), "a.txt", quick=15),
    "parquet": Kind(files(valid.parquet()), readers.documents("a.parquet"), "a.parquet", share=4),
    "captions": Kind(
        st.one_of(files(valid.VTT), files(valid.SRT)),
        readers.captions,
        "a.vtt",
        share=6,
        place="half-written|WebVTT|captions",
    ),
    "tokenizer": Kind(
        files(valid.TOKENIZER, json.loads(valid.TOKENIZER)), readers.tokenizer, "tokenizer.json", share=4
    ),
    "chat request": Kind(
        files(json_bytes(valid.REQUEST), valid.REQUEST), readers.request("messages"), share=8, place=REQUEST
    ),
    "text request": Kind(
        files(json_bytes(valid.TEXT_REQUEST), valid.TEXT_REQUEST), readers.request("prompt"), share=4, place=REQUEST
    ),
    "pipe": Kind(
        st.one_of(mutated_bytes(b"Hello, who are you?\n"), st.binary(max_size=100)),
        readers.pipe,
        quick=25,
        share=4,
        place="pipe",
    ),
    "terminal": Kind(st.one_of(files(valid.TALK), SLASHES), readers.terminal),
    "feedback": _lines(valid.FEEDBACK, readers.feedback, "feedback/friend.jsonl", r"friend\.jsonl:\d"),
    "votes": _lines(valid.VOTE, readers.votes, "arena/votes.jsonl", r"votes\.jsonl(:\d)?|no vote links"),
    "conversation": Kind(files(json_bytes(valid.RECORDS[1]), valid.RECORDS[1]), readers.conversation, "chat.jsonl"),
}
