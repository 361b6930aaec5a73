"""Command `hamner sft`: fine-tuning (SFT) of a trained run on conversations, so that it replies and ends its replies.

    hamner sft [RUN] [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name NAME] [--resume]
               [--feedback] [--notify COMMAND] [key=value ...]

RUN: a curriculum run (default: the newest), a tournament, whose winner it is, or the folder of a run or checkpoint.
Config, tokenizer and text are the run's own; --data names the folder with sft/ in it, where the conversations lie.
With --feedback RUN is a fine-tuned one, which learns from the corrections in feedback/ of that folder.

Data in: words of a command line. Data out: results/sft/NAME/ and an exit code; training/finetuning_launch.py does the
work.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamner.config.errors import BadInput
from hamner.inference.find_model import model_folder
from hamner.runs import cli
from hamner.runs.cli import Parser, add_notify_option, add_run_options, run_command
from hamner.runs.durations import duration_text
from hamner.runs.files import open_to_append, read_json, read_json_as, write_json
from hamner.runs.folders import format_lines, open_run, results_folder, resume_command, run_above
from hamner.runs.notify import Notifier
from hamner.runs.safe_paths import path_below
from hamner.runs.waiting import never_silent

if TYPE_CHECKING:
    from rich.console import Console

    from hamner.config.schema import Config
    from hamner.inference.find_model import LoadedModel
    from hamner.model.transformer import Hamner
    from hamner.training.finetuning import Measure
    from hamner.training.finetuning_launch import Opened

EXAMPLES = (
    "hamner sft mine --name friend             # the curriculum run `mine` learns to reply",
    "hamner sft mine --data DIR --name friend  # from the conversations in DIR/sft/NAME/*.jsonl",
    "hamner sft friend --feedback --name kinder  # the friend learns from how you corrected it",
)
PROMPTS = ("Hello!", "Who are you?", "I had a bad day.")  # answered at the end, to show how it talks


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner sft", "Fine-tune a trained run on conversations.", EXAMPLES)
    options.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        help="a curriculum run (default: the newest), a tournament, or the folder of a run or checkpoint",
    )
    add_run_options(options)
    options.add_argument(
        "--feedback",
        action="store_true",
        help="let a fine-tuned run learn from the corrections in DATA/feedback/ (default: data/feedback/)",
    )
    add_notify_option(options)
    options.add_settings()
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.run and cli.is_setting(options.run):
        options.settings.insert(0, options.run)
        options.run = None
    results = results_folder(options.results)
    if options.resume:
        config = _resumed_config(options, results)
        from hamner.training.finetuning_launch import resumed_run

        run = resumed_run(results, options.name, options.run, config)
    else:
        feedback = _feedback(options)
        kinds = ("curriculum",) if feedback is None else ("sft",)
        folder = base_folder(options.run, results, kinds)
        config = _new_config(options, folder)
        with never_silent(f"loading {folder.name}"):
            from hamner.inference.find_model import find_checkpoint
            from hamner.training.finetuning_launch import new_run

            run = new_run(results, options.name, options.run, config, find_checkpoint(folder), feedback)
    with Notifier(options.notify, f"sft {run.folder.name}") as notifier:
        code = _train(run, is_new=not options.resume)
        notifier.send("finished" if code == 0 else f"ended with exit code {code}")
    return code


def _feedback(options: argparse.Namespace) -> Path | None:
    """The folder whose corrections are learnt from; None without --feedback. --data is then no place of text."""
    if not options.feedback:
        return None
    place, options.data = options.data, None
    return cli.feedback_folder(place)


def base_folder(name: str | None, results: Path, kinds: Sequence[str] = ("curriculum",)) -> Path:
    """The folder of the model to start from; of a tournament its winner's. Raises BadInput where there is none.

    kinds: of runs by name.
    """
    if name and not Path(name).expanduser().is_dir():
        league = results / "tournament" / name
        is_curriculum = (results / "curriculum" / name).is_dir()
        if (league / "winner.json").is_file() and not is_curriculum:
            path = league / "winner.json"
            contestant = read_json_as(path, lambda winner: path_below(league, winner["contestant"], path).name)
            return model_folder(f"{name}/{contestant}", results)
    return model_folder(name, results, kinds=kinds)


def _new_config(options: argparse.Namespace, folder: Path) -> Config:
    """The config of the base's run, or that of --config, with what the command line sets."""
    run = run_above(folder)
    if not options.config and run:
        options.config = str(run / "config.json")
    config = cli.read_config(options, options.settings, "finetuning")
    assert config is not None  # only a resume keeps its own
    return config


def _resumed_config(options: argparse.Namespace, results: Path) -> Config | None:
    """The config of a resumed run with what the command line sets; None where it sets nothing. Raises BadInput."""
    folder, _, _ = open_run(results, "sft", options.name, resume=True, config=None, facts={})
    if not (options.settings or options.data or options.config):
        return None
    options.config = options.config or str(folder / "config.json")
    return cli.read_config(options, options.settings, "finetuning")


def _train(run: Opened, *, is_new: bool) -> int:
    from hamner.runs.stopping import Interrupted
    from hamner.runs.trouble import machine_trouble
    from hamner.training.finetuning import RESULT
    from hamner.training.finetuning_launch import train, trouble_lines

    console = cli.console()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
        if run.folder.is_dir():
            with suppress(OSError), open_to_append(run.folder / "run.log") as file:  # shown it is, on a full disk too
                file.write(line + "\n")

    if run.config.compute.workers > 1:
        say(f"fine-tuning runs in one process: compute.workers = {run.config.compute.workers} is not used")
    if not is_new and (run.folder / RESULT).is_file():
        say(f"{run.folder.name} is finished")
        return _print_result(console, run)
    for line in () if is_new else format_lines(run.folder):
        say(line)
    try:
        with never_silent("fine-tuning", say) as say_own:
            is_finished = train(run, _measure_of, is_new=is_new, say=say_own)
    except Interrupted as interrupt:
        if not interrupt.is_saved:
            say(f"stopped; continue with `{resume_command('hamner sft', run.folder)}`")
        return interrupt.exit_code
    except Exception as error:
        trouble = machine_trouble(error)
        if trouble is None or isinstance(error, BadInput):
            raise
        for line in trouble_lines(run, trouble):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        return 1
    if not is_finished:
        say(f"not finished; continue with `{resume_command('hamner sft', run.folder)}`")
        return 1
    return _print_result(console, run)


def _measure_of(run: Opened) -> Measure:
    """Looks at the held-out text of the sources that the base has read: what of it is forgotten."""
    from hamner.data.corpus import Corpus
    from hamner.data.tokenizer import Tokenizer
    from hamner.evaluation.heldout import evaluate_text, heldout_text

    config, base = run.config, run.facts["base"]
    rows, seq_len = config.finetuning.eval_sequences, config.curriculum.seq_len
    tokenizer = Tokenizer.load(run.folder / "data")
    corpus, levels = Corpus(run.folder / "data", tokenizer.sha256), tuple(base["levels"])
    texts = {name: heldout_text(corpus, tokenizer, name, seq_len, rows, levels) for name in base["read"]}

    def measure(hamner: Hamner) -> Mapping[str, Any]:
        batch_size = config.curriculum.batch_size
        return {
            name: evaluate_text(hamner, text, config.compute, batch_size=batch_size).documents
            for name, text in texts.items()
        }

    return measure


def _print_result(console: Console, run: Opened) -> int:
    """Print what became of the held-out replies and of the base's own text, and some replies; returns exit code 0."""
    from hamner.inference.conversation import Conversation
    from hamner.inference.find_model import open_model
    from hamner.reports.finetuning_tables import corrections_report, replies_table, text_table
    from hamner.reports.friend_report import write_friend_report
    from hamner.reports.report_files import ReportWriter
    from hamner.training.finetuning import RESULT

    document = read_json(run.folder / RESULT)
    ReportWriter(write_friend_report, run.folder).finish()
    console.print(replies_table(document))
    if document["before"]["measured"]:
        console.print(text_table(document))
    loaded = open_model(run.folder)
    if "feedback" in run.facts:
        for part in corrections_report(_corrections_result(run, loaded)):
            console.print(part, soft_wrap=True)
    for prompt in PROMPTS:
        reply = Conversation(loaded, temperature=0.7).reply(prompt).strip()
        console.print(f"you: {prompt}\nhamner: {reply}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"finished in {duration_text(document['seconds'])}: {run.folder / 'final'}", soft_wrap=True)
    console.print(f"all of it on one page: {run.folder / 'report.html'}", soft_wrap=True, markup=False)
    console.print(f"talk to it with `hamner chat {run.folder.name}`", soft_wrap=True, markup=False)
    return 0


def _corrections_result(run: Opened, loaded: LoadedModel) -> list[dict[str, Any]]:
    """What the corrections have changed, a row a group of pairs; measured once, and kept in feedback.json."""
    from hamner.evaluation.corrections import changes, margins, reply_pairs
    from hamner.training.finetuning_base import base_checkpoint
    from hamner.training.finetuning_launch import own_corrections

    path = run.folder / "feedback.json"
    if not path.is_file():
        pairs = reply_pairs(own_corrections(run.folder))
        compute = run.config.compute
        base = base_checkpoint(run.facts["base"]).build().to(compute.device)
        with never_silent("measuring what the corrections have changed"):
            before, now = (
                margins(hamner, loaded.tokenizer, pairs, compute) for hamner in (base, loaded.model.to(compute.device))
            )
        loaded.model.to("cpu")
        write_json(path, {"changes": [change.row for change in changes(pairs, before, now)]})
    rows: list[dict[str, Any]] = read_json(path)["changes"]
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
