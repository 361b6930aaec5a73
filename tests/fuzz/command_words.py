"""Words of command lines: keys and options, whole or misspelt, with values of any kind; and how a command reads them.

Data in: none. Data out: a strategy of cases, words with NUL between them; the functions that read them as the commands
do, up to where a run would begin.
"""

import functools
import importlib
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st
from mutations import VALUES, WORDS, misspelt, toml_bytes

from hamner.config.load import config_names, leaves, load_config
from hamner.config.schema import Config

NOW = datetime(2026, 11, 30, 7, tzinfo=UTC)
KEYS = tuple(leaves(Config))
CONFIG = "smoke"  # of a command line that names none
MODULES = {
    "tournament": "tournament.run",
    "curriculum": "curriculum.run",
    **{name: f"hamner.{name}" for name in ("sft", "prepare_data", "friend", "serve", "chat")},
}


def words_of(case: bytes) -> list[str]:
    """The words of a command line, as Python gives them."""
    return [word.decode("utf-8", "surrogateescape") for word in case.split(b"\0")]


def case_of(words: list[str]) -> bytes:
    """The case of words, without what no command line can hold."""
    return b"\0".join(_argument(word.replace("\0", "")) for word in words)


def _argument(word: str) -> bytes:
    is_of_bytes = all("\udc80" <= letter <= "\udcff" for letter in word if "\ud800" <= letter <= "\udfff")
    return word.encode("utf-8", "surrogateescape" if is_of_bytes else "replace")


@functools.cache
def options_of(command: str) -> tuple[str, ...]:
    """The options of a command; without --status, which is another command."""
    parser = importlib.import_module(MODULES[command]).parser()
    words = [word for action in parser._actions for word in action.option_strings]
    return tuple(word for word in words if word not in ("-h", "--help", "--status"))


VALUES_AS_TYPED = st.one_of(
    VALUES.map(lambda value: toml_bytes({"a": value})[len('"a" = ') : -1].decode("utf-8", "replace")),
    WORDS,
    st.integers(-3, 99).map(str),
    st.sampled_from(["hub", "builtin", "[1,2]", "{tinystories=1.0}", "smoke", "laptop", "07:00", "Mon 7:00", "0.5"]),
)


@st.composite
def _settings(draw) -> str:
    key = draw(st.sampled_from(KEYS))
    key = draw(st.sampled_from([key, key.rpartition(".")[2]]))
    return f"{draw(st.one_of(st.just(key), st.just(key), misspelt(key)))}={draw(VALUES_AS_TYPED)}"


@st.composite
def command_lines(draw) -> bytes:
    """One to four words, or options with a value, for one of the commands."""
    command = draw(st.sampled_from(sorted(MODULES)))
    words = [command]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["setting", "setting", "setting", "option", "word"]))
        if kind == "setting":
            words.append(draw(_settings()))
        elif kind == "option":
            name = draw(st.sampled_from(options_of(command)))
            words += [draw(st.one_of(st.just(name), misspelt(name))), draw(VALUES_AS_TYPED)]
        else:
            known = draw(st.sampled_from(("winner", *config_names(), *KEYS)))
            words.append(draw(st.one_of(WORDS, misspelt(known))))
    return case_of(words)


def read_words(words: list[str]) -> None:
    """Read a command line as its command does. Raises BadInput."""
    command, *rest = words
    READERS.get(command, _tournament)(rest)


def _tournament(words: list[str]) -> None:
    from tournament import run
    from tournament.entrants import entrants

    options = run.parser().read(words)
    run._check_plan_options(options)
    options.config, options.mixes = options.config or CONFIG, options.mixes and min(options.mixes, 12)
    entrants(run.read_config(options, options.settings, "tournament", run._entry_settings(options)))


def _curriculum(words: list[str]) -> None:
    from curriculum import curricula, deadline, run
    from curriculum.stages import DEFAULT

    options = run.parser().read(words)
    run._check_start(options)
    run._check_interventions(options)
    run._check_deadline(options)
    options.config = options.config or CONFIG
    config = run.read_config(options, options.settings, "curriculum")
    deadline.find_deadline(options.hours, options.until, NOW)
    plan = curricula.find_curriculum(options.curriculum or DEFAULT, options.like, config, Path("/nowhere"))
    curricula.leave_out(plan, options.without)


def _sft(words: list[str]) -> None:
    from hamner import sft

    options = sft.parser().read(words)
    if options.run and sft.cli.is_setting(options.run):
        options.settings.insert(0, options.run)
    options.config = options.config or CONFIG
    sft.cli.read_config(options, options.settings, "finetuning")


def _prepare_data(words: list[str]) -> None:
    from hamner import prepare_data
    from hamner.data.preparation import command

    options = prepare_data.parser().read(words)
    command._check(options)
    options.config = options.config or CONFIG
    command.cli.read_config(options, options.settings, "data")


def _friend(words: list[str]) -> None:
    from hamner import friend

    asked = friend._asked(friend.parser().read(words))
    data = [f"data.path={asked['data']}"] if "data" in asked else []
    load_config(asked.get("config", CONFIG), [*data, *asked.get("settings", ())], "")


def _serve(words: list[str]) -> None:
    from hamner import serve

    options = serve.parser().read(words)
    serve.check_options(options.host, options.token)
    serve.feedback_place(options)


def _chat(words: list[str]) -> None:
    from hamner import chat

    chat.feedback_place(chat.parser().read(words))


READERS = {
    "tournament": _tournament,
    "curriculum": _curriculum,
    "sft": _sft,
    "prepare_data": _prepare_data,
    "friend": _friend,
    "serve": _serve,
    "chat": _chat,
}
