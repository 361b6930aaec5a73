"""Chat with a trained model: the command `hamner chat`, also `python -m hamner.chat`.

Data in: a run or checkpoint folder; a message on a pipe, or lines typed at a terminal. Data out: replies on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from hamner.config.errors import BadInput
from hamner.config.toml_file import utf8_text
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import (
    Parser,
    add_feedback_options,
    add_model_option,
    add_results_option,
    feedback_line,
    feedback_place,
    number,
    run_command,
    whole_number,
)
from hamner.runs.folders import results_folder
from hamner.runs.waiting import never_silent

# Options of how a token is drawn, the fields of generate.Sampling: how each is read, its default, what it does
SAMPLING: Mapping[str, tuple[Callable[[str], float], float, str]] = {
    "temperature": (number(0), 0.7, "0: always the likeliest token"),
    "top_k": (whole_number(1), 40, "draw from so many of the likeliest tokens"),
    "top_p": (number(0.01, 1), 0.9, "of these from as many as reach this probability together"),
    "min_p": (number(0, 1), 0.0, "and from none below this share of the likeliest's probability"),
    "repetition_penalty": (number(0.1, 10), 1.15, "divides the logits of what the reply already says; 1: none"),
}
LONGEST = 16 << 20  # bytes of a message
DESCRIPTION = """Chat with a trained model.

A message on a pipe is answered once. At a terminal /help lists the commands, such as /retry and /save; Ctrl-C breaks
off a reply, /quit or Ctrl-D ends the conversation."""
EXAMPLES = (
    "hamner chat                               # talk to the newest run, fine-tuned or not",
    "hamner chat mine --temperature 0          # talk to the run `mine`, always the likeliest token",
    'echo "Hello" | hamner chat DIR/final      # one reply of a checkpoint folder',
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner chat", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--system", metavar="TEXT", help="system message: what the model is told about itself")
    for key, (kind, default, text) in SAMPLING.items():
        flag = f"--{key.replace('_', '-')}"
        options.add_argument(flag, type=kind, metavar="NUMBER", default=default, help=f"{text} (default: {default})")
    options.add_argument(
        "--seed", type=whole_number(0, 2**63 - 1), default=0, help="the same seed, the same replies (default: 0)"
    )
    options.add_argument(
        "--history",
        action="store_true",
        help="keep the lines you type for the arrow keys of the next chat, on this disk",
    )
    add_feedback_options(options, "/good, /bad, /fix and /retry")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    feedback = feedback_place(options)
    folder = model_folder(options.run, results_folder(options.results))
    message = None if sys.stdin is not None and sys.stdin.isatty() else _piped_message()

    with never_silent(f"loading {folder.name}"):
        from hamner.inference.conversation import Conversation  # torch: seconds, after all that needs none

        loaded = open_model(folder)
    sampling = {key: getattr(options, key) for key in SAMPLING}
    conversation = Conversation(loaded, system=options.system, seed=options.seed, **sampling)
    if message is not None:
        _print_reply(conversation.stream_reply(message))
        return 0

    from hamner.config.cost import count_parameters
    from hamner.inference.expectation import expectation
    from hamner.inference.line_editor import history_file
    from hamner.inference.run_records import read_records
    from hamner.inference.terminal_chat import TerminalChat

    records = read_records(loaded.folder)
    opening = [f"talking to {loaded.folder}"]
    opening.append(expectation(count_parameters(loaded.model.config).total, records.is_finetuned))
    if feedback:
        opening.append(feedback_line(feedback))
    TerminalChat(conversation, records.name, feedback, history_file() if options.history else None).run(opening)
    return 0


def _piped_message() -> str:
    """The message on standard input, which is UTF-8 whatever the terminal's encoding is."""
    if sys.stdin is None:
        raise BadInput("standard input is closed: give a message, as in `echo Hello | hamner chat`")
    try:
        data = sys.stdin.buffer.read(LONGEST + 1) if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    except OSError as error:
        raise BadInput(
            f"the message cannot be read: {error.strerror}; give one as in `echo Hello | hamner chat`"
        ) from None
    if len(data) > LONGEST:
        raise BadInput(f"the pipe holds more than {LONGEST:,} bytes, which no model reads at once: give less")
    message = utf8_text(data, "the message on the pipe", "give it in UTF-8").strip()
    if not message:
        raise BadInput("the pipe holds no message: give one, as in `echo Hello | hamner chat`")
    return message


def _print_reply(pieces: Iterable[str]) -> None:
    """Print a reply as it comes."""
    from hamner.inference.terminal_text import ReplyText

    text = ReplyText()
    for piece in pieces:
        text.add(piece)
    text.end()


if __name__ == "__main__":
    raise SystemExit(main())
