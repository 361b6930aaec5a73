"""Command line: options, key=value words, help with examples, and one line for each thing that is wrong.

Data in: the words of a command line. Data out: options and a config, or exit code 2 and lines on stderr. A command has
`parser()`, its options, and `main(arguments)`, which returns the exit code. Both are cheap: what a command needs beyond
its words (configs, PyTorch, Ray, tables) is imported once the words are read, so --help and a mistyped option answer at
once. This file keeps to that as well.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.config.toml_file import is_text
from hamner.runs import output
from hamner.runs.stopping import SIGNALLED, Interrupted, signals_end_at_once, signals_raised

if TYPE_CHECKING:
    from rich.console import Console

    from hamner.config.schema import Config

PAGE = "docs/configuration.md"  # every key, its default, unit and meaning
# of a path that somebody has named: too long, a loop, not a folder, shut
PATH_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM)
NOTHING_DONE = "use the same command again"


class Parser(argparse.ArgumentParser):
    """Options of a command. Its --help ends with examples; what is wrong is raised as one BadInput."""

    def __init__(self, prog: str, description: str, examples: Sequence[str]) -> None:
        self._examples = examples
        lines = "\n".join(f"  {example}" for example in examples)
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"examples:\n{lines}\n\nkeys of the config, with default, unit and meaning: {PAGE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_settings(self) -> None:
        """Take key=value words, in any place on the command line."""
        self.add_argument("settings", nargs="*", metavar="key=value", help=f"override a key of the config; see {PAGE}")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options of a command line. Raises BadInput with every unknown option and misplaced word."""
        options, unknown = self.parse_known_intermixed_args(arguments)
        words = [word for word in getattr(options, "settings", ()) if word]
        problems = [
            f"{self._typed(action)} is empty: give a value, or leave it out"
            for action in self._actions
            if any(_is_blank(value) for value in _as_list(getattr(options, action.dest, None)))
        ]
        if unknown or not all(map(_is_whole, words)):
            problems += self._slips(words, unknown, arguments)
        if problems:
            raise BadInput(problems)
        return options

    def _slips(self, words: Sequence[str], unknown: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """One line for each word that is no option and no key=value, with what it was meant to be."""
        from hamner.config.load import key_names
        from hamner.runs.words import misplaced_words, unknown_options, values_of

        known = re.findall(r"--[\w-]+", self.format_usage())
        takes_keys = any(action.dest == "settings" for action in self._actions)
        keys = key_names() if takes_keys else []
        strays = values_of(unknown, arguments)
        extra = [word for word in unknown if not word.startswith("-") and word not in strays]
        words = [word for word in [*words, *(extra if takes_keys else [])] if word not in strays or "=" in word]
        left = [word for word in unknown if word.startswith("-") or (word in extra and not takes_keys)]
        return [*unknown_options(left, known, keys), *misplaced_words(words, known, keys)]

    def _typed(self, action: argparse.Action) -> str:
        """An option as it is typed, or the name of a word that is none."""
        return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong as a BadInput, instead of printing it and leaving."""
        missing = message.removeprefix("the following arguments are required: ").split(", ")
        lacking = [a for a in self._actions if a.metavar in missing and a.dest != "settings" and not a.option_strings]
        if message.startswith("the following") and lacking:
            example = self._examples[0].partition("#")[0].strip()
            raise BadInput([f"{a.metavar} is missing: give {a.help}, as in `{example}`" for a in lacking])
        message = message.replace("expected one argument", "needs a value").removeprefix("argument ")
        raise BadInput(f"{message}; use `{self.prog} --help`")


def _is_whole(word: str) -> bool:
    """Whether a word is key=value as far as can be seen without knowing the keys."""
    key, equals, value = word.partition("=")
    return bool(key and equals and value) and all(value.count(a) == value.count(b) for a, b in ("[]", "{}"))


def is_setting(word: str) -> bool:
    """Whether a word is key=value, and not the path of what has such a name."""
    try:
        return "=" in word and not Path(word).exists()
    except OSError:  # longer than any name
        return True


def _is_blank(value: object) -> bool:
    """Whether nothing, or nothing that a message could show, was given."""
    return isinstance(value, str | Path) and not str(value).strip()


def _as_list(value: Any) -> list[Any]:
    """The values of an option that may be repeated."""
    return value if isinstance(value, list) else [value]


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Reads an option's word as a finite number from low to high."""

    def read(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"'{word}' must be {_range('a number', low, high)}")
        return value

    return read


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Reads an option's word as a whole number from low to high."""

    def read(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"'{word}' must be {_range('a whole number', low, high)}")
        return value

    return read


def _range(kind: str, low: float, high: float | None) -> str:
    return f"{kind} of {low:g} or more" if high in (None, math.inf) else f"{kind} from {low:g} to {high:g}"


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that starts or resumes a run."""
    add_config_options(parser)
    add_results_option(parser)
    parser.add_argument("--name", metavar="RUN", help="the run's name (default: date and time)")
    parser.add_argument("--resume", action="store_true", help="continue a run from its last checkpoint")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add --config and --data."""
    parser.add_argument(
        "--config",
        metavar="NAME|PATH",
        help="a name in ray_configs/ or a TOML file (default: rtx3090 with a CUDA card, else laptop)",
    )
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """Add --results."""
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")


def add_calibrate_option(parser: argparse.ArgumentParser) -> None:
    """Add --calibrate, of the doctors."""
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="time the ways to compute a step on this machine, a minute or two; new runs begin with what wins",
    )


def add_notify_option(parser: argparse.ArgumentParser, part: str = "") -> None:
    """Add --notify. part: what of the run is told each time that one ends."""
    ends = f"of each {part} and of the run" if part else "of the run"
    parser.add_argument(
        "--notify",
        metavar="COMMAND",
        help=f"a shell command that gets a line on its standard input at the end {ends}, and at a failure; "
        "it never stops or delays the run",
    )


def add_watching_options(parser: argparse.ArgumentParser, part: str) -> None:
    """Add --notify, and --verbose for programs that use Ray."""
    add_notify_option(parser, part)
    parser.add_argument("--verbose", action="store_true", help="show what Ray logs; its errors are always shown")


def add_run_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add RUN, which find_run.py finds, and --results. what: a run of which kind."""
    parser.add_argument("run", nargs="?", metavar="RUN", help=f"{what} (default: the newest)")
    add_results_option(parser)


def add_status_options(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add what names the run that a status is of, and --watch."""
    add_run_argument(parser, f"a {kind}")
    parser.add_argument("--watch", action="store_true", help="go on showing it until it is over; Ctrl-C ends that")


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add RUN|FOLDER: the model that a command reads."""
    text = "a run, fine-tuned or not, or a folder with a model (default: the newest run)"
    parser.add_argument("run", nargs="?", metavar="RUN|FOLDER", help=text)


def add_feedback_place(parser: argparse.ArgumentParser) -> None:
    """Add --data of a command that reads or writes feedback."""
    parser.add_argument("--data", metavar="DIR", help="the folder with feedback/ in it (default: data/)")


def add_feedback_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --feedback and --data. what: gives feedback."""
    parser.add_argument(
        "--feedback", action="store_true", help=f"keep what {what} say of replies in data/feedback/, on this machine"
    )
    add_feedback_place(parser)


def feedback_place(options: argparse.Namespace) -> Path | None:
    """The folder that feedback goes to; None where it is not kept. Raises BadInput."""
    if options.data and not options.feedback:
        raise BadInput("--data names where feedback goes: add --feedback, or leave it out")
    return feedback_folder(options.data) if options.feedback else None


def feedback_folder(data: str | None) -> Path:
    """The folder of --data DIR, DIR/feedback; None: data/feedback beside the project. Raises BadInput."""
    from hamner.runs.folders import absolute, home_folder

    return (absolute(data, "--data") if data else (home_folder() / "data").resolve()) / "feedback"


def feedback_line(folder: Path) -> str:
    """What is said of where feedback goes."""
    return f"feedback, with the chat before it, goes to {folder}; `hamner feedback` lists and forgets it"


def read_config(
    options: argparse.Namespace, overrides: Sequence[str], kind: str, extra: Mapping[str, Any] | None = None
) -> Config | None:
    """The config of a command line; None when a resumed run keeps its own unchanged.

    kind: the section whose keys need no prefix, tournament or curriculum. A resumed run's own config is what options
    are laid over. extra: as of load_config.
    """
    from hamner.config.load import check_overrides, load_config
    from hamner.runs.folders import results_folder, run_folder, runs

    words = list(overrides)
    if options.data:
        place = options.data
        if place not in ("hub", "builtin") and "://" not in place:  # an address is refused where sources are checked
            place = str(Path(place).expanduser().resolve())
        words.append(f"data.path={place}")
    base = options.config
    if options.resume and not base:
        if not words and not extra:
            return None
        results = results_folder(options.results)
        existing = [run_folder(results, kind, options.name)] if options.name else runs(results, kind)
        base = str(existing[0] / "config.json") if existing and (existing[0] / "config.json").is_file() else None
    if not base:
        check_overrides(words, kind)  # a slip is said before PyTorch is loaded to look for a card
        base = default_config_name()
    return load_config(base, words, kind, extra, is_command=True)


def default_config_name() -> str:
    """`rtx3090` on a machine with a CUDA card, else `laptop`."""
    from hamner.runs.cluster import has_cuda_card

    return "rtx3090" if has_cuda_card() else "laptop"


def console() -> Console:
    """Where tables go: as wide as the terminal, or as wide as they need in a file."""
    from hamner.runs import tables

    return tables.console()


def run_command(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None, stopped: str = NOTHING_DONE
) -> int:
    """Run a command and return its exit code; bad input is printed on stderr, one line a problem, as exit code 2.

    stopped: what Ctrl-C, SIGTERM and SIGHUP print, the way to continue; a run that has begun says its own before.
    """
    is_program = arguments is None
    try:
        output.open_streams()
        with signals_raised():
            code = command(_checked_words(sys.argv[1:] if arguments is None else arguments))
        if is_program and code > SIGNALLED:
            signals_end_at_once(code)
    except BadInput as error:
        for problem in error.problems:
            output.print_error(f"error: {problem}")
        code = 2
    except KeyboardInterrupt as interrupt:
        code = interrupt.exit_code if isinstance(interrupt, Interrupted) else 130
        if is_program:
            signals_end_at_once(code)
        output.print_error(f"\nstopped; {stopped}")
    except SystemExit:
        sys.stdout.flush()
        raise
    except OSError as error:
        from hamner.runs.trouble import machine_trouble, remedy

        trouble = machine_trouble(error)
        if trouble is not None:
            mend = remedy(trouble, Path(error.filename).absolute() if isinstance(error.filename, str) else None)
            output.print_error(f"error: trouble of this machine: {trouble}; {mend}, then {stopped}")
            code = 1
        elif error.errno in PATH_ERRORS and error.filename is not None:
            place = shortened(os.fsencode(error.filename).decode(errors="backslashreplace"))
            output.print_error(f"error: {place} cannot be used: {error.strerror}; name another path, or mend that one")
            code = 2
        else:
            raise
    except RuntimeError as error:
        line = _path_problem(error, sys.argv[1:] if arguments is None else arguments)
        if not line:
            raise
        output.print_error(f"error: {line}")
        code = 2
    sys.stdout.flush()  # what a full disk refuses is known here, not when the process ends
    return code


def _path_problem(error: RuntimeError, words: Sequence[str]) -> str:
    """The line of an error that pathlib raises for a path that cannot be; "" of any other error."""
    if "home directory" in str(error):  # its words for a user it does not know
        named = ", ".join(f"'{shortened(word)}'" for word in words if "~" in word) or "a path of the config"
        return f"{named}: after ~ stands no user of this machine; write the whole path"
    return f"{error}: name another path, or mend that one" if str(error).startswith("Symlink loop") else ""


def _checked_words(words: Sequence[str]) -> Sequence[str]:
    """The words of a command line. Raises BadInput where one is not UTF-8, which no file of ours could hold."""
    strange = [os.fsencode(word).decode(errors="backslashreplace") for word in words if not is_text(word)]
    if strange:
        raise BadInput([f"'{word}' has a byte that is not UTF-8: use another name, or rename it" for word in strange])
    return words


def run_verb(
    prog: str,
    description: str,
    verbs: Mapping[str, tuple[str, str]],
    examples: Sequence[str],
    arguments: Sequence[str] | None = None,
    others: Mapping[str, tuple[str, str]] | None = None,
) -> int:
    """Run the command that the first word names, with the other words; list all commands where no word is given.

    verbs: verb -> (module with a main(), what it does). The module is imported only when its verb is chosen.
    others: programs whose verbs an unknown one is looked for among -> (module, its table of them).
    """

    def command(words: Sequence[str]) -> int:
        if not words or words[0] in ("-h", "--help"):
            width = max(map(len, verbs)) + 2
            table = "\n".join(f"  {verb:<{width}}{summary}" for verb, (_, summary) in verbs.items())
            parser = Parser(prog, f"{description}\n\ncommands:\n{table}", examples)
            parser.usage = f"{prog} COMMAND ...   (`{prog} COMMAND --help` lists the options of one)"
            parser.print_help()
            return 0
        verb = words[0].replace("-", "_")
        if verb not in verbs:
            tables = {
                other: getattr(importlib.import_module(module), name)
                for other, (module, name) in (others or {}).items()
            }
            known = " or ".join(f"`{other} {verb}`" for other, table in tables.items() if verb in table)
            hint = f"did you mean {known}?" if known else did_you_mean(verb, list(verbs))
            raise BadInput(f"unknown command '{words[0]}'; {hint}")
        return int(importlib.import_module(verbs[verb][0]).main(words[1:]))

    return run_command(command, arguments)
