"""How the commands read each kind of file: the very functions that they call, up to where work would begin.

Data in: a folder with the file, and its content. Data out: nothing; BadInput where it is refused.
"""

import builtins
import contextlib
import functools
import importlib
import io
import json
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from valid_inputs import CHECKPOINT, state_of_weights, stored

from hamner.config.errors import BadInput
from hamner.config.load import load_config

Read = Callable[[Path, bytes], object]
RESULTS = "results"  # of a stored run, in the folder of a kind
MOST_LINES = 40  # typed at a chat
DRAWN_OF = 8  # one case of a report in so many has its charts drawn, which takes most of its second and a half


def config_file(folder: Path, case: bytes) -> None:
    from tournament.entrants import entrants

    entrants(load_config(str(folder / "own.toml"), section="tournament", is_command=True))


def plan(folder: Path, case: bytes) -> None:
    """`tournament --plan`: all that is computed of a league before it is played."""
    from tournament import run

    run._command(["--config", str(folder / "own.toml"), "--results", str(folder), "--plan"])


def config_of_a_run(folder: Path, case: bytes) -> None:
    load_config(str(folder / "config.json"))


def league_file(folder: Path, case: bytes) -> None:
    from tournament.entrants import entrants, read_league

    rows = read_league(str(folder / "league.toml"))
    entrants(load_config("smoke", extra={"league": rows}, is_command=True))


def curriculum_file(folder: Path, case: bytes) -> None:
    from curriculum.curricula import read_curriculum

    read_curriculum(folder / "stages.toml")


def _who(name: str) -> Read:
    """Reads WHO of a curriculum, a file of that name."""

    def read(folder: Path, case: bytes) -> None:
        from curriculum.starting_model import find_starting_model

        find_starting_model(str(folder / name), load_config("smoke"), folder, None)

    return read


model_file, winner_file = _who("model.json"), _who("winner.json")


def identity_file(folder: Path, case: bytes) -> None:
    from hamner.data.builtin_text.identity import Identity

    Identity.load(str(folder / "identity.toml")).conversation(random.Random(0))


# -- files of runs


def league(folder: Path, case: bytes) -> None:
    """`tournament history` and `tournament status`."""
    from tournament import status
    from tournament.past_leagues import past_leagues

    past_leagues(folder / RESULTS)
    status._command(["old", "--results", str(folder / RESULTS)])


def compared_leagues(folder: Path, case: bytes) -> None:
    """`tournament compare`, of a league and itself."""
    from tournament import compare

    compare._command(["old", "old", "--results", str(folder / RESULTS)])


def resumed_league(folder: Path, case: bytes) -> None:
    """`tournament --resume`, up to where Ray would be started, and what is decided first."""
    from rich.console import Console

    from hamner.runs.folders import open_run
    from tournament.launch import _check_ledger
    from tournament.league import League

    facts = {"kind": "tournament"}
    run, config, _ = open_run(folder / RESULTS, "tournament", "old", resume=True, config=None, facts=facts)
    _check_ledger(run, config)
    league = League(run, config, Console(file=io.StringIO()))
    league.open()
    for index in range(league.bracket.round + 1):
        league.bracket.labels(index)
    assert not league.bracket.is_over() or league.bracket.winner() in (None, *league.contestants)


def curriculum(folder: Path, case: bytes) -> None:
    """`curriculum status`."""
    importlib.import_module("curriculum.status")._command(["old", "--results", str(folder / RESULTS)])


def records(folder: Path, case: bytes) -> None:
    """What `hamner chat` says of a model, and `hamner runs` of all runs."""
    from hamner import list_runs
    from hamner.inference.run_records import read_records

    _ = read_records(folder / RESULTS / "curriculum" / "old").is_finetuned
    list_runs._command(["--results", str(folder / RESULTS)])


def report(kind: str) -> Read:
    """`hamner report` of a stored run; which cases have their charts drawn follows from their bytes."""

    def read(folder: Path, case: bytes) -> None:
        from hamner import report

        with contextlib.ExitStack() as stack:
            if zlib.crc32(case) % DRAWN_OF:
                stack.enter_context(patch("hamner.reports.html.svg", lambda chart: ""))
                stack.enter_context(patch("hamner.reports.charts.png", lambda chart: b""))
            report._command([str(folder / RESULTS / kind / "old")])

    return read


def checkpoint(folder: Path, case: bytes) -> None:
    from hamner.training import checkpoint

    opened = checkpoint.load(folder / RESULTS / "curriculum" / "old" / CHECKPOINT)
    opened.tokenizer()
    opened.build()


def write_weights(folder: Path, case: bytes) -> None:
    """Weights, and a state that names their checksum."""
    place = folder / RESULTS / "curriculum" / "old" / CHECKPOINT
    (place / "model.safetensors").write_bytes(case)
    (place / "state.json").write_bytes(state_of_weights(case))


def corpus(folder: Path, case: bytes) -> None:
    from hamner.data.corpus import Corpus

    sha256 = json.loads(stored("curriculum", "data/manifest.json"))["tokenizer_sha256"]
    corpus = Corpus(folder / RESULTS / "curriculum" / "old" / "data", sha256)
    for name in corpus.manifest["sources"]:
        _ = corpus.train(name)[:4], corpus.heldout(name)[:4]


def friend(folder: Path, case: bytes) -> None:
    from hamner.runs.friend_record import FriendRecord

    record = FriendRecord.open(folder, "ada", {}, None)
    _ = record.done(), record.elapsed(), [record.hours_of(step) for step in record.steps], list(record.problems())


# -- text


def documents(name: str) -> Read:
    """The reading of a file of text as each kind of source."""

    def read(folder: Path, case: bytes) -> None:
        from hamner.data.sources.conversations import HUB
        from hamner.data.sources.local_files import folder_documents
        from hamner.data.sources.personal_voice import PERSONAL
        from hamner.data.sources.sft_conversations import SFT
        from hamner.data.sources.source import Source, Tally

        for source in (SFT, PERSONAL, Source("own"), HUB["soda"]):
            tally = Tally()
            for document in folder_documents(source, [folder / name], tally, folder):
                document.text.encode()
            assert all(len(line) < 5000 for line in tally.skipped)

    return read


def own_source(name: str) -> Read:
    """The reading of a file of text as the only one of a source of its own, which `prepare_data` refuses as a whole."""

    def read(folder: Path, case: bytes) -> None:
        from hamner.data.sources.local_files import folder_documents
        from hamner.data.sources.source import Source, Tally

        tally = Tally()
        for _ in folder_documents(Source("own"), [folder / name], tally, folder):
            pass
        if 100 * tally.malformed > tally.records:
            raise BadInput(tally.skipped)

    return read


def captions(folder: Path, case: bytes) -> None:
    from hamner.data.youtube.captions import read_captions

    read_captions(folder / "a.vtt")


def tokenizer(folder: Path, case: bytes) -> None:
    from hamner.data.tokenizer import Tokenizer

    opened = Tokenizer.load(folder)
    opened.decode(opened.encode("Hello there"))


# -- talk


def request(what: str) -> Read:
    """The reading of a request to the server, whose refusal is an answer in JSON."""

    def read(folder: Path, case: bytes) -> None:
        from starlette.responses import JSONResponse

        from hamner.inference.server_requests import ApiError, read_request

        try:
            read_request(case, what, "mine")
        except ApiError as error:
            assert 400 <= error.status < 500
            assert len(JSONResponse(error.body(), error.status, error.headers).body) < 20_000
            raise BadInput(str(error)) from None

    return read


def pipe(folder: Path, case: bytes) -> None:
    from hamner import chat

    with patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(case))):
        chat._piped_message()


def terminal(folder: Path, case: bytes) -> None:
    """Lines typed at a chat, as a terminal gives them, to a model that says one thing; none is /save, which writes."""
    from scripted_model import Script

    from hamner.config.special_tokens import MESSAGE_END
    from hamner.inference.conversation import MAX_REPLY, Conversation
    from hamner.inference.find_model import LoadedModel
    from hamner.inference.terminal_chat import TerminalChat

    lines = iter(case.replace(b"/save", b"/keep").split(b"\n")[:MOST_LINES])
    tokenizer = _small_tokenizer()
    reply = [*tokenizer.encode("the owl"), MESSAGE_END]
    model = Script(reply * MOST_LINES, tokenizer.vocab_size, MAX_REPLY + 300)
    conversation = Conversation(LoadedModel(model, tokenizer, Path()), repetition_penalty=1.0)

    def typed(prompt: str = "") -> str:
        for line in lines:
            return line.decode()
        raise EOFError

    with patch.object(builtins, "input", typed), patch.dict("os.environ", {"XDG_STATE_HOME": "/proc/nowhere"}):
        TerminalChat(conversation, "mine", None).run(())


@functools.cache
def _small_tokenizer():
    from hamner.data.tokenizer import Tokenizer

    return Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)


def feedback(folder: Path, case: bytes) -> None:
    from hamner import feedback

    feedback._command(["list", "--data", str(folder)])


def votes(folder: Path, case: bytes) -> None:
    from tournament import arena

    arena._command(["--results", str(folder)])


def conversation(folder: Path, case: bytes) -> None:
    from hamner.inference.saved_conversation import read_conversation

    read_conversation(folder / "chat.jsonl")
