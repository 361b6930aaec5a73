"""Command `hamner`: list and run all commands, `hamner COMMAND [options]` or `python -m hamner COMMAND [options]`.

A new command is one row of COMMANDS.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import run_verb

COMMANDS = {  # verb: (module with a main(), what it does)
    "friend": ("hamner.friend", "everything from an empty folder to somebody to talk to, resumable"),
    "doctor": ("tournament.doctor", "check this machine: what would stop a run, and the fix"),
    "tournament": ("tournament.run", "find an architecture: contestants, elimination rounds, one winner (Ray Tune)"),
    "curriculum": ("curriculum.__main__", "train a model in stages of data: run, report, compare, prepare_data (Ray)"),
    "sft": ("hamner.sft", "fine-tune a trained model on conversations, so that it replies and ends its replies"),
    "chat": ("hamner.chat", "talk to a trained model"),
    "feedback": ("hamner.feedback", "list or forget what was said of a model's replies"),
    "serve": ("hamner.serve", "serve a trained model: a page to talk on, and an API in OpenAI's format"),
    "export": ("hamner.export", "write a trained model for transformers, llama.cpp and Ollama"),
    "share": ("hamner.share", "put a trained model into one archive for a friend"),
    "evaluate": ("hamner.evaluate", "measure how good a model is to talk to: the friend card"),
    "report": ("hamner.report", "write a run's report: one page that opens from disk, finished or not"),
    "runs": ("hamner.list_runs", "list all runs on disk, with their state, size and age"),
    "pack": ("hamner.pack", "put a run into one archive, to report it or to continue it elsewhere"),
    "unpack": ("hamner.unpack", "make a packed run a run again"),
    "clean": ("hamner.clean", "remove what runs leave on disk; without --yes it only prints what"),
    "prepare_data": ("hamner.prepare_data", "turn text into token shards, once for any number of runs"),
    "process_youtube": ("hamner.process_youtube", "turn captions of videos into samples of one person's speech"),
    "plot_training": ("hamner.plot_training", "plot the training of a run: pictures, at the terminal, or a page"),
    "show_tasks": ("hamner.show_tasks", "print examples of the synthetic tasks"),
}
OTHERS = {  # programs with verbs of their own: (module, its table of them)
    "tournament": ("tournament.run", "VERBS"),
    "curriculum": ("curriculum.__main__", "COMMANDS"),
}
EXAMPLES = (
    "hamner tournament --config laptop --name first             # ten contestants in miniature, on two CPU cores",
    "hamner curriculum run winner --config laptop --name first  # train the winner through eight stages",
    "hamner chat first                                          # talk to it",
)


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Find the small language model your GPU deserves, raise it, and talk to it."
    return run_verb("hamner", description, COMMANDS, EXAMPLES, arguments, OTHERS)


if __name__ == "__main__":
    raise SystemExit(main())
