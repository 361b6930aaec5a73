"""Bad input, systematically (fuzzing): whatever a file or a command line holds is read, or refused in words.

The quick form draws the same cases every time (`derandomize`); `make fuzz` draws 50,000 others. What once broke a
command lies in corpus/, as small as Hypothesis found it, and is read every time.
"""

import itertools
import json
import time

import pytest
import valid_inputs as valid
from command_words import KEYS, case_of
from hypothesis import HealthCheck, given, settings
from kinds import KINDS, Kind, check
from mutations import json_bytes
from refusals import Hang, bounded, refusal
from run_fuzz import CORPUS, kind_folder

QUICK = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)


def _cue(second):
    """A cue of captions with the one word that is said every second."""
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{clock}.000 --> {clock}.500\nyes\n\n".encode()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.quick])
def test_whatever_is_read_is_accepted_or_refused_in_words(name, tmp_path):
    kind = KINDS[name]
    kind.make(tmp_path)
    refused = []

    @settings(QUICK, max_examples=kind.quick)
    @given(kind.cases)
    def examine(case):
        refused.append(bool(check(kind, case, tmp_path)))

    examine()
    assert len(refused) >= kind.quick / 2  # of few cases there are no more


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_command_is_read_or_refused(path, tmp_path):
    kind = next(kind for name, kind in KINDS.items() if kind_folder(name) == path.parent.name)
    kind.make(tmp_path)
    check(kind, path.read_bytes(), tmp_path)


LARGE = [  # what is too long for a file of the corpus
    ("metrics", b"step,heldout_loss\n1," + b"9" * 140_000 + b"\n"),
    ("captions", b"\n" * 100_000 + b"x"),
    ("captions", b"1" + b"\n" * 100_000 + b"x"),
    ("captions", b"WEBVTT\n\n" + b"".join(_cue(second) for second in range(5000))),
    ("chat request", json.dumps({f"tempratur{number}": 1 for number in range(10_000)}).encode()),
    ("config file", "".join(f"tempratur{number} = 1\n" for number in range(20_000)).encode()),
    ("config file", f"[tournament.mix]\n{''.join(f'a{number} = 1.0{chr(10)}' for number in range(20_000))}".encode()),
    ("feedback", b"[]\n" * 100_000),
    ("pipe", b"a" * (17 << 20)),
]


@pytest.mark.parametrize("number", range(len(LARGE)))
def test_what_is_long_is_read_or_refused_in_seconds(number, tmp_path):
    name, case = LARGE[number]
    KINDS[name].make(tmp_path)
    begin = time.process_time()
    check(KINDS[name], case, tmp_path)
    assert time.process_time() - begin < 10


def _slips(name):
    """A name without a letter, with one twice, with two in the other order."""
    middle = len(name) // 2
    yield name[:middle] + name[middle + 1 :]
    yield name[:middle] + name[middle - 1 :]
    yield name[: middle - 1] + name[middle - 1 : middle + 1][::-1] + name[middle + 1 :]


def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(tmp_path):
    """Of each key of the config on the command line, and in a file with its line's file and section."""
    names = {key.rpartition(".")[2] for key in KEYS}
    slips = [(key, slip) for key in KEYS for slip in _slips(key.rpartition(".")[2]) if slip not in names]
    assert len(slips) > 250
    for key, slip in itertools.islice(slips, 0, None, 6):
        section, _, name = key.rpartition(".")
        (line,) = check(KINDS["overrides and options"], case_of(["tournament", f"{slip}=1"]), tmp_path)
        assert f"'{slip}'" in line and f"'{name}'" in line, line
        text = f"[{section}]\n{slip} = 1\n" if section else f"{slip} = 1\n"
        lines = check(KINDS["config file"], text.encode(), tmp_path)
        dotted = f"{section}.{slip}".strip(".")
        assert any("own.toml" in line and dotted in line and f"'{name}'" in line for line in lines), lines


def _waits():
    while True:
        time.sleep(0.01)


def _works():
    while True:
        pass


PLANTED = {
    "another exception": (lambda folder: {}["x"], KeyError),
    "a file written": (lambda folder: (folder / "new").write_text("x"), AssertionError),
    "an escape": (lambda folder: print("\x1b[2J"), AssertionError),
    "an exit code that says nothing": (lambda folder: (_ for _ in ()).throw(SystemExit(1)), AssertionError),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_property_fails_where_it_should(name, tmp_path):
    read, error = PLANTED[name]
    with pytest.raises(error):
        check(Kind(None, lambda folder, case: read(folder)), b"", tmp_path)


def test_the_winner_that_cases_are_made_of_is_accepted(tmp_path):
    KINDS["winner file"].make(tmp_path)
    assert check(KINDS["winner file"], json_bytes(valid.OWN_WINNER), tmp_path) == []


def test_a_hang_is_no_bad_input_and_a_line_without_end_is_cut(tmp_path):
    from hamner.config.errors import LONGEST_LINE, MOST_PROBLEMS, BadInput

    with pytest.raises(Hang), bounded(seconds=0.1, waiting=2):
        _waits()
    with pytest.raises(Hang, match="of the processor's"), bounded(seconds=0.1, waiting=900):
        _works()
    with pytest.raises(MemoryError), bounded(memory=2**28):
        bytearray(2**29)

    def long(words):
        raise BadInput([f"line {number}\n{'x' * 10_000}" for number in range(10_000)])

    lines = refusal(long, tmp_path)
    assert len(lines) == MOST_PROBLEMS + 1 and lines[-1] == "and 9,900 further problems"
    assert lines[1].startswith("line 1 xxx") and all(len(line) <= LONGEST_LINE for line in lines)
