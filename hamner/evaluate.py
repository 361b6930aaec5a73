"""Measure how good a model is to talk to: the command `hamner evaluate`, also `python -m hamner.evaluate`.

Data in: a run or checkpoint folder, and the prepared text and conversations beside it. Data out: the friend card, as a
table on stdout, as friend_card.json and as friend_card.html; or, with --lm-eval, the friendly pairs for
lm-evaluation-harness.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hamner.config.errors import BadInput
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import Parser, add_model_option, add_results_option, console, run_command, whole_number
from hamner.runs.files import write_json, write_text
from hamner.runs.folders import absolute, place_words, results_folder, run_above
from hamner.runs.safe_paths import leaves
from hamner.runs.waiting import Say, never_silent

if TYPE_CHECKING:
    from hamner.data.conversation_rows import ConversationRows
    from hamner.data.corpus import Corpus
    from hamner.evaluation.writing import Writer
    from hamner.inference.find_model import LoadedModel

DESCRIPTION = """Measure how good a model is to talk to: the friend card.

Every number has its standard error and, where there is one, what guessing scores. docs/friend_card.md explains each."""
EXAMPLES = (
    "hamner evaluate                               # the newest curriculum run",
    "hamner evaluate mine --pairs blimp.jsonl      # minimal pairs of your own too, in BLiMP's format",
    "hamner evaluate --lm-eval pairs/              # the friendly pairs for lm-evaluation-harness, no model needed",
)
TEMPERATURE = 0.7  # as in chat
MANIFEST = "manifest.json"


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner evaluate", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--data", metavar="DIR", help="prepared text (default: the run's own text and conversations)")
    options.add_argument(
        "--out", metavar="DIR", help="where the card goes (default: friend_card in the model's folder)"
    )
    options.add_argument(
        "--pairs", metavar="FILE", action="append", default=[], help="JSONL of sentence_good, sentence_bad; repeatable"
    )
    options.add_argument(  # at most the friendly pairs, whose chats are replied to; a test compares
        "--replies", type=whole_number(2, 1786), default=100, metavar="N", help="replies to sample (default: 100)"
    )
    options.add_argument(
        "--rows", type=whole_number(1), default=64, metavar="N", help="held-out rows of each source (default: 64)"
    )
    options.add_argument("--friend", default="Hamner", metavar="NAME", help="the model's own name (default: Hamner)")
    options.add_argument(
        "--seed", type=whole_number(0, 2**62), default=0, help="the same seed, the same card (default: 0)"
    )
    options.add_argument("--lm-eval", metavar="DIR", help="only write the friendly pairs as tasks of lm-eval")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.lm_eval:
        return _write_tasks(absolute(options.lm_eval, "--lm-eval"))
    results = results_folder(options.results)
    folder = model_folder(options.run, results)
    files = [absolute(path, "--pairs") for path in options.pairs]
    missing = [f"--pairs {path}: no such file; name a JSONL file" for path in files if not path.is_file()]
    data = _data_folder(folder, options.data)
    if missing:
        raise BadInput(missing)
    out = absolute(options.out, "--out") if options.out else folder / "friend_card"
    if not options.out and leaves(folder, out):
        raise BadInput(f"{out} leads out of the model's folder by a link: remove it, or name a folder with --out")
    with never_silent(f"evaluating {folder.name}") as say:
        document = _measure(folder, data, files, options, say)
    _print_card(document, out)
    _renew_report(folder)
    print(f"talk to it with `hamner chat {shlex.quote(options.run or folder.name)}{place_words(results)}`")
    return 0


def _write_tasks(folder: Path) -> int:
    from hamner.evaluation.lm_eval_tasks import GROUP, write_tasks

    write_tasks(folder)
    print(f"{folder}: inside it, lm_eval --model hf --model_args pretrained=MODEL --include_path . --tasks {GROUP}")
    return 0


def _data_folder(folder: Path, named: str | None) -> Path | None:
    """The prepared text of a model: the named folder, else the nearest `data` beside or above it, else none.

    Raises BadInput for a named folder that holds none.
    """
    if named:
        path = absolute(named, "--data")
        if not (path / MANIFEST).is_file():
            raise BadInput(f"--data {path} holds no prepared text: {MANIFEST} is missing; name a run's data folder")
        return path
    return next((path / "data" for path in _near(folder) if (path / "data" / MANIFEST).is_file()), None)


def _near(folder: Path) -> list[Path]:
    """The folders of a run that a model's folder may lie in."""
    return [folder, *folder.resolve().parents[:3]]


def _measure(
    folder: Path, data: Path | None, files: Sequence[Path], options: argparse.Namespace, say: Say
) -> dict[str, object]:
    """The card's document. say: is told which section is measured."""
    import torch  # seconds, after all that needs none

    from hamner.config.cost import count_parameters
    from hamner.config.schema import Compute
    from hamner.evaluation.friend_card import Card, CardSettings, measure
    from hamner.evaluation.minimal_pairs import read_pairs

    pairs = {path.stem: read_pairs(path) for path in files}
    loaded = open_model(folder)
    corpus = _corpus(data, loaded.tokenizer.sha256, is_named=options.data is not None)
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    card = Card(
        loaded.model.to(device),
        loaded.tokenizer,
        _writer(loaded),
        corpus,
        Compute(device=device, precision="fp32"),
        CardSettings(replies=options.replies, rows=options.rows, seed=options.seed, friend=options.friend),
        pairs,
        None if options.data else _conversations(folder, loaded.tokenizer.sha256),
    )
    measure(card, lambda section: say(f"measuring: {section}"))
    facts = {
        "run": folder.name,
        "checkpoint": loaded.folder.name,
        "parameters": count_parameters(loaded.model.config).total,
        "context": loaded.model.config.max_seq_len,
        "text": str(corpus.folder) if corpus else "none",
    }
    return card.document(facts)


def _corpus(data: Path | None, tokenizer_sha256: str, *, is_named: bool) -> Corpus | None:
    """The prepared text of a folder. One that was only found nearby, and is another model's, is said and not used."""
    from hamner.data.corpus import Corpus

    if data is None:
        return None
    try:
        return Corpus(data, tokenizer_sha256)
    except BadInput as error:
        if is_named:
            raise
        print(f"not used: {error}", file=sys.stderr)
        return None


def _conversations(folder: Path, tokenizer_sha256: str) -> ConversationRows | None:
    """The conversations of the fine-tuning that a model belongs to; None where it belongs to none."""
    from hamner.data.conversation_files import FACTS
    from hamner.data.conversation_rows import ConversationRows

    place = next((path for path in _near(folder) if (path / "conversations" / FACTS).is_file()), None)
    return ConversationRows(place / "conversations", tokenizer_sha256) if place else None


def _writer(loaded: LoadedModel) -> Writer:
    """Samples from the model as chat does; greedy, without a repetition penalty."""
    import torch

    from hamner.inference.generate import Sampling, stream

    sampled, likeliest = Sampling(temperature=TEMPERATURE), Sampling(temperature=0, repetition_penalty=1)

    def write(ids: Sequence[int], most: int, *, seed: int, greedy: bool = False) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return list(stream(loaded.model, ids, most, likeliest if greedy else sampled, generator))

    return write


def _print_card(document: dict[str, object], out: Path) -> None:
    """Write the card's files, then print its table."""
    from hamner.reports.friend_page import CAPTIONS, COLUMNS, cells, page, sections
    from hamner.runs.tables import fitted_table

    write_json(out / "friend_card.json", document)
    write_text(out / "friend_card.html", page(document))
    terminal, parts = console(), sections(document)
    for place, (name, rows) in enumerate(parts):
        captions = CAPTIONS if place == len(parts) - 1 else ()
        terminal.print(fitted_table(terminal, COLUMNS, [cells(row) for row in rows], title=name, captions=captions))
    left_out = document["left_out"]
    for line in left_out if isinstance(left_out, list) else ():
        print(f"left out: {line}")
    print(f"card: {out / 'friend_card.html'}")


def _renew_report(folder: Path) -> None:
    """Write the report of the fine-tuning anew that the model belongs to, now that it has a card."""
    from hamner.reports.friend_report import KIND, write_friend_report
    from hamner.reports.report_files import ReportWriter

    run = run_above(folder)
    if run and run.parent.name == KIND:
        ReportWriter(write_friend_report, run).finish()
        print(f"report: {run / 'report.html'}")


if __name__ == "__main__":
    raise SystemExit(main())
