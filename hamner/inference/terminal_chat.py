"""Chat at a terminal: messages and slash commands typed in turns with replies that are written as they come.

Data in: lines from the line editor. Data out: replies on stdout, all else in grey on stderr; a file after /save,
feedback and typed lines where a place for them was given.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.data.feedback import FIX, Feedback, add_feedback
from hamner.inference.conversation import Conversation, Reply
from hamner.inference.line_editor import LineEditor
from hamner.inference.saved_conversation import read_conversation, write_conversation
from hamner.inference.terminal_text import BOLD, CYAN, GREY, ReplyText, styled, wrapped
from hamner.runs.folders import absolute, new_name
from hamner.runs.output import print_error, printable

USER, MODEL = "you:    ", "hamner: "
KEYS = "/help lists the commands; Ctrl-C breaks off a reply; /quit or Ctrl-D ends"
SLASH = "(// begins a message with a slash)"
WITH_FEEDBACK = "start with `hamner chat --feedback` to keep it for `hamner sft RUN --feedback`"


class TerminalChat:
    """A conversation at a terminal, from its first line to its end."""

    def __init__(
        self,
        conversation: Conversation,
        model: str = "model",
        feedback: Path | None = None,
        history: Path | None = None,
    ) -> None:
        """model: its name. feedback: the folder for what is said of replies; None: nothing of it is kept.

        history: the file for the lines that are typed; None: they are not kept.
        """
        self._conversation, self._model, self._feedback = conversation, model, feedback
        self._editor = LineEditor(history, tuple(COMMANDS), self._say)
        self._file: Path | None = None  # that holds this conversation
        self._dropped = 0  # exchanges that were said to be dropped

    def run(self, opening: Sequence[str]) -> None:
        """Answer what is typed until /quit or the input's end. What cannot be answered is said, and passed."""
        for line in (*opening, KEYS):
            self._say(line)
        while True:
            try:
                self._answer(self._read())
            except BadInput as error:
                for problem in error.problems:
                    print_error(wrapped(f"error: {problem}", sys.stderr))
            except EOFError:
                return
            except KeyboardInterrupt as interrupt:
                _raise_unless_key(interrupt)
                print()
                self._say("/quit or Ctrl-D ends")

    def _read(self, text: str = "") -> str:
        """The next line. text: stands there already."""
        print()
        try:
            return self._editor.read(styled(USER, BOLD, sys.stdout), text)
        except EOFError:
            print()
            raise

    def _answer(self, line: str) -> None:
        """Do what a line says; an empty one says nothing."""
        if not line.startswith("/") or line.startswith("//"):
            if line:
                self._write(self._conversation.stream_reply(line.removeprefix("/")))
            return
        name, *rest = line.split(maxsplit=1)
        argument = "".join(rest)
        if name not in COMMANDS:
            name = shortened(name)
            raise BadInput(f"unknown command '{name}': {did_you_mean(name, list(COMMANDS))} {SLASH}")
        command = COMMANDS[name]
        if argument and not command.argument:
            raise BadInput(f"{name} takes no '{shortened(argument)}': use {name} alone. {SLASH}")
        command.run(self, argument)

    def _write(self, reply: Reply) -> None:
        """Write a reply as it comes, until it ends or Ctrl-C ends it; what was written by then stays."""
        dropped, before = self._conversation.dropped, self._dropped
        self._dropped = dropped
        if dropped > before:
            oldest = "oldest exchange" if dropped == 1 else f"{dropped} oldest exchanges"
            self._say(f"the context is full: the model no longer reads the {oldest}")
        print(styled(MODEL, CYAN, sys.stdout), end="", flush=True)
        text = ReplyText(indent=len(MODEL))
        try:
            with closing(reply):
                for piece in reply:
                    text.add(piece)
            text.end()
        except KeyboardInterrupt as interrupt:
            text.end()
            _raise_unless_key(interrupt)
            self._say("broken off; /retry asks again")

    def _say(self, line: str) -> None:
        print_error(wrapped(line, sys.stderr), lambda text: styled(text, GREY, sys.stderr))

    def _begin(self, file: Path | None) -> None:
        """Note that the conversation is another one."""
        self._file, self._dropped = file, 0

    def help(self, argument: str) -> None:
        for name, command in COMMANDS.items():
            print(styled(f"{f'{name} {command.argument}':<{HELP_WIDTH}}", BOLD, sys.stdout) + command.summary)
        print(f"{'//':<{HELP_WIDTH}}begin a message with a slash")

    def clear(self, argument: str) -> None:
        self._conversation.clear()
        self._begin(None)
        self._say("the conversation is forgotten")

    def system(self, argument: str) -> None:
        if argument:
            self._conversation.system = None if argument == "off" else argument
        text = self._conversation.system
        self._say(f"system message: {printable(text)}" if text else "there is no system message")

    def temperature(self, argument: str) -> None:
        if argument:
            try:
                value = float(argument)
            except ValueError:
                raise BadInput(f"temperature = {shortened(argument)} must be a number: use /temp 0.7") from None
            self._conversation.sampling = replace(self._conversation.sampling, temperature=value)
        sampling = vars(self._conversation.sampling).items()
        self._say(", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in sampling))

    def retry(self, argument: str) -> None:
        reply = self._conversation.retry()
        if self._conversation.sampling.temperature == 0:
            self._say("at temperature 0 the reply is the same; /temp 0.7 gives another")
        if self._feedback and self._conversation.last_reply:
            self._note("again")
        self._write(reply)

    def edit(self, argument: str) -> None:
        last = self._conversation.last_message
        message = argument or (self._read(last) if last else "")
        if message or not last:
            self._write(self._conversation.edit(message))

    def good(self, argument: str) -> None:
        self._mark("good")

    def bad(self, argument: str) -> None:
        self._mark("bad")

    def fix(self, argument: str) -> None:
        last = self._conversation.last_reply
        if last is None:
            raise BadInput("there is no reply yet: type a message first")
        better = (argument or self._read(last)).strip()
        if not better or better == last.strip():
            return self._say("the reply stays as it was")
        if self._feedback:
            self._note(FIX, better)
        self._conversation.correct(better)
        if not self._feedback:
            self._say(f"the reply is corrected in this conversation alone: {WITH_FEEDBACK}")

    def _mark(self, kind: str) -> None:
        if not self._feedback:
            raise BadInput(f"feedback is not kept: {WITH_FEEDBACK}")
        self._note(kind)

    def _note(self, kind: str, better: str = "") -> None:
        """Write down what is said of the last reply."""
        reply = self._conversation.last_reply
        if reply is None or self._feedback is None:
            raise BadInput("there is no reply yet: type a message first")
        context = tuple(self._conversation.messages[:-1])
        try:
            path = add_feedback(self._feedback, Feedback(self._model, kind, context, reply.strip(), better))
        except OSError as error:
            raise BadInput(f"{self._feedback} cannot be written: {error.strerror}; make room there") from None
        self._say(f"noted in {path}")

    def history(self, argument: str) -> None:
        system, messages = self._conversation.system, self._conversation.messages
        if system:
            self._say(f"system: {printable(system)}")
        forgotten = 2 * self._conversation.dropped
        for place, (role, content) in enumerate(messages[bool(system) :]):
            name, style = (USER, BOLD) if role == "user" else (MODEL, CYAN)
            print(styled(name, GREY if place < forgotten else style, sys.stdout), end="")
            text = ReplyText(indent=len(name))
            text.add(content)
            text.end()
        unread = f", of which the model no longer reads {forgotten // 2}" if forgotten else ""
        self._say(_counted(len(messages) // 2) + unread)

    def save(self, argument: str) -> None:
        path = absolute(argument, "file") if argument else self._file or Path.cwd() / f"chat_{new_name()}.jsonl"
        if path != self._file and path.exists():
            raise BadInput(f"{path} is there already, with something else: name another file")
        saved = write_conversation(path, self._conversation.messages)
        self._file = path
        left_out = len(self._conversation.messages) // 2 - saved
        self._say(f"saved: {path}, {_counted(saved)}" + (f"; {left_out} without words left out" if left_out else ""))

    def load(self, argument: str) -> None:
        if not argument:
            raise BadInput("/load lacks its file: name one that /save has written")
        path = absolute(argument, "file")
        self._conversation.load(read_conversation(path))
        self._begin(path)
        self._say(f"loaded: {path}, {_counted(len(self._conversation.messages) // 2)}; /history shows it")

    def quit(self, argument: str) -> None:
        raise EOFError


class SlashCommand(NamedTuple):
    """A row of the table of what begins with a slash."""

    run: Callable[[TerminalChat, str], None]
    argument: str
    summary: str


COMMANDS = {
    "/help": SlashCommand(TerminalChat.help, "", "list these commands"),
    "/clear": SlashCommand(TerminalChat.clear, "", "forget the conversation; the system message stays"),
    "/system": SlashCommand(TerminalChat.system, "[TEXT|off]", "show, set or remove the system message"),
    "/temp": SlashCommand(TerminalChat.temperature, "[NUMBER]", "set the temperature; show how tokens are drawn"),
    "/retry": SlashCommand(TerminalChat.retry, "", "another reply to the last message"),
    "/edit": SlashCommand(TerminalChat.edit, "[TEXT]", "change the last message, and ask again"),
    "/good": SlashCommand(TerminalChat.good, "", "mark the last reply as good, with --feedback"),
    "/bad": SlashCommand(TerminalChat.bad, "", "mark the last reply as bad, with --feedback"),
    "/fix": SlashCommand(TerminalChat.fix, "[TEXT]", "say what the last reply should have been"),
    "/history": SlashCommand(TerminalChat.history, "", "show the conversation; what the model no longer reads is grey"),
    "/save": SlashCommand(TerminalChat.save, "[FILE]", "write the conversation to a file; nothing is kept otherwise"),
    "/load": SlashCommand(TerminalChat.load, "FILE", "go on with a saved conversation"),
    "/quit": SlashCommand(TerminalChat.quit, "", "end, as Ctrl-D does"),
}
HELP_WIDTH = 2 + max(len(f"{name} {command.argument}") for name, command in COMMANDS.items())


def _raise_unless_key(interrupt: KeyboardInterrupt) -> None:
    """Raise an interrupt that is not Ctrl-C: a signal that ends the command."""
    if getattr(interrupt, "number", signal.SIGINT) != signal.SIGINT:
        raise interrupt


def _counted(exchanges: int) -> str:
    return "1 exchange" if exchanges == 1 else f"{exchanges} exchanges"
