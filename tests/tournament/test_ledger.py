"""The ledger as a log: what a report writes, what every possible kill leaves, and old and damaged ledgers."""

import io
import json
import math
import random
import shutil
from collections import Counter

import pytest
from played import known_outcome, league_of
from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.formats import CHECKSUM, KEY
from hamner.runs.files import write_json
from tournament import run as tournament
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.league import League
from tournament.league_files import read_league_files
from tournament.league_status import LeagueReader
from tournament.ledger import LEDGER, LOG, Ledger, read_ledger_as

NAMES = [f"c{place}" for place in range(6)]
ROUNDS = ("steps=[10,10]", "keep=[3,1]", "report=[]")


def _league(folder, *words):
    return league_of(folder, *ROUNDS, *words, names=NAMES)


def _again(league):
    """The league as another start opens it, and what that printed."""
    again = League(league.folder, league.config, Console(file=io.StringIO(), width=400))
    again.open()
    return again, again.console.file.getvalue()


def _reports(league, count=None, seed=0, *, by_round=False):
    """Play so many reports in an order drawn by a seed; yields after each. by_round: all of a round before the next."""
    rng, done = random.Random(seed), 0
    while (waiting := league.bracket.waiting_for()) and done != count:
        first = league.bracket.next_round(waiting[0])
        run = rng.choice([run for run in waiting if not by_round or league.bracket.next_round(run) == first])
        index, done = league.bracket.next_round(run), done + 1
        outcome = known_outcome(league, run, index, NAMES.index(run.contestant), rng)
        if run == Run("c4", 1):
            outcome = Outcome(None, "error", "crash: Γραμμή \ud800", outcome.factor)  # a byte that is no UTF-8
        league.record(run, outcome, league.bracket.report(run, index, outcome))
        yield run


def _sizes(league):
    return {name: (league.folder / name).stat().st_size for name in (LEDGER, LOG) if (league.folder / name).is_file()}


@pytest.mark.parametrize("words", [(), ("more_rows=2",), ("mode=async",), ("lr=probe",)])
def test_at_every_report_another_start_finds_the_league_as_it_stands(words, tmp_path):
    league, kinds = _league(tmp_path / "x", *words), []
    reader = LeagueReader(league.folder)
    for name in league.contestants_to_probe():
        league.record_rate(Run(name, 0), {"tried": {"0.001": 5.0}, "learning_rate": 1e-3})
    for _ in _reports(league):
        again, printed = _again(league)
        assert again.bracket.state() == league.bracket.state() and again.rates == league.rates
        assert again.bracket.waiting_for() == league.bracket.waiting_for()
        assert "left out" not in printed
        files = read_league_files(league.folder)
        assert [set(round_.outcomes) for round_ in files.rounds] == [set(r.outcomes) for r in league.bracket.rounds]
        reader.status()
        assert [r.survivors for r in reader._bracket.rounds] == [r.survivors for r in league.bracket.rounds]
        kinds.append(LOG in _sizes(league))
    assert league.bracket.is_over() and kinds[0] == bool(league.rates)  # the first of all is written whole
    assert not kinds[-1] and sum(kinds) >= len(kinds) - 3


@pytest.mark.mended("bracket.json was written whole at every report")
def test_a_report_appends_a_line_and_a_decided_round_is_compacted(tmp_path):
    league, lines, before = _league(tmp_path / "x"), [], {}
    for _ in _reports(league):
        now = _sizes(league)
        if LOG in now:
            assert now[LEDGER] == before[LEDGER]
            lines.append(now[LOG] - before.get(LOG, 0))
        before = now
    assert len(lines) == 12 + 6 - 3 and max(lines) < 2500
    assert json.loads((league.folder / LEDGER).read_text())["rounds"][1]["decided"]


def _bytes_a_report(folder, contestants):
    """Bytes that the ledger's two files are written with, the mean over the reports of a league."""
    folder.mkdir()
    names = [f"c{place:04}" for place in range(contestants)]
    keep = [contestants >> power for power in range(1, contestants.bit_length())]
    bracket, ledger, rng = Bracket(Rules(keep), dict.fromkeys(names, 1.0)), Ledger(folder, str), random.Random(0)
    written, before = 0, (None, 0)
    while waiting := bracket.waiting_for():
        run = waiting[0]
        facts = {"tokens": 10**9, "seconds": 1234.5, "grid": [[1, 2.0, 3.0, 4.0]] * 4}
        bracket.report(run, bracket.next_round(run), Outcome(5 + rng.random(), facts=facts))
        ledger.write(bracket, {})
        whole, log = folder / LEDGER, folder / LOG
        now = whole.stat().st_ino, log.stat().st_size if log.is_file() else 0
        written += whole.stat().st_size if now[0] != before[0] else now[1] - before[1]
        before = now
    assert len(bracket.reports) == contestants + sum(keep[:-1])
    return written / len(bracket.reports)


def test_bytes_a_report_grow_no_faster_than_the_logarithm_of_the_contestants(tmp_path):
    """A ledger that is written whole at each report grows with the contestants: 8 times between these."""
    few, many = (_bytes_a_report(tmp_path / str(count), count) for count in (16, 128))
    assert many < few * math.log(128) / math.log(16)


@pytest.mark.parametrize("count", [2, 11])
def test_a_last_line_that_is_cut_anywhere_is_dropped_and_said(count, tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, count - 1)
    shorter = league.bracket.state()
    before = (league.folder / LOG).read_bytes() if (league.folder / LOG).is_file() else b""
    *_, _ = _reports(league, 1, seed=1)
    whole, state = (league.folder / LOG).read_bytes(), league.bracket.state()
    for length in {*range(len(before), len(whole), 97), len(before) + 1, len(whole) - 1, len(whole)}:
        (league.folder / LOG).write_bytes(whole[:length])
        again, printed = _again(league)
        assert again.bracket.state() == (state if length == len(whole) else shorter)
        assert ("is left out: its run reports again" in printed) == (len(before) < length < len(whole))
    (league.folder / LOG).write_bytes(whole[:-9] + bytes(8) + b"\n")  # a power cut: its length is on disk, it is not
    again, printed = _again(league)
    assert again.bracket.state() == shorter and "is broken and is left out" in printed
    index, run = league.bracket.reports[-1]
    outcome = league.bracket.rounds[index].outcomes[run]
    again.record(run, outcome, again.bracket.report(run, index, outcome))
    assert _again(league)[0].bracket.state() == state and not (league.folder / LOG).exists()


def test_a_kill_between_the_new_ledger_and_the_end_of_its_log_counts_nothing_twice(tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 8, by_round=True)
    log = (league.folder / LOG).read_bytes()
    league._ledger._reports = None  # as after a start
    league._write()
    assert not (league.folder / LOG).exists()
    (league.folder / LOG).write_bytes(log)
    again, printed = _again(league)
    assert again.bracket.state() == league.bracket.state() and "left out" not in printed
    *_, _ = _reports(again, 2, seed=2)
    assert _again(league)[0].bracket.state() == again.bracket.state()


@pytest.mark.parametrize("flushed", [0, 1])
def test_after_a_write_that_failed_everything_is_written(flushed, tmp_path, monkeypatch):
    """flushed: files before the one that is not: the documents, then the line."""
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 3)
    calls = iter(range(9))

    def full(descriptor):
        if next(calls) >= flushed:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        list(_reports(league, 1, seed=3))
    monkeypatch.undo()
    *_, _ = _reports(league, 1, seed=4)
    assert _again(league)[0].bracket.state() == league.bracket.state() and LOG not in _sizes(league)


def test_a_ledger_of_before_there_was_a_log_is_read_and_continued(tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 7)
    path, state = league.folder / LEDGER, league.bracket.state()
    document = read_ledger_as(league.folder, dict)
    (league.folder / LOG).unlink()
    for number in (0, 1):
        path.write_text(json.dumps(({KEY: number} if number else {}) | document))
        again, _ = _again(league)
        assert again.bracket.state() == state
    *_, _ = _reports(again, 2, seed=5)
    assert json.loads(path.read_text())[KEY] == 2 and LOG in _sizes(league)
    assert _again(league)[0].bracket.state() == again.bracket.state()


def _by_hand(line, before, after):
    """A line that somebody has changed, and whose checksum is gone, as a refusal says."""
    document = {key: value for key, value in json.loads(line).items() if key != CHECKSUM}
    changed = json.dumps(document).replace(before, after)
    assert changed != json.dumps(document)
    return changed.encode()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [lines[0][:-30], *lines[1:]], "line 1 of {} is broken: "),
        (lambda lines: [lines[0].replace(b'"factor": 1', b'"factor": 3'), *lines[1:]], "line 1 of {} was altered"),
        (lambda lines: [*lines[:2], *lines[3:]], "{} is broken: of its lines after number 1 some are missing"),
        (lambda lines: [_by_hand(lines[0], '"round": 0', '"round": 7'), *lines[1:]], "{} is broken: IndexError"),
        (lambda lines: [b"7", *lines[1:]], "line 1 of {} is broken: "),
        (lambda lines: [_by_hand(lines[0], '"format": 1', '"format": 2'), *lines[1:]], "line 1 of {} has format 2"),
        (lambda lines: [b"\x80\x04cposix\nsystem", *lines], "line 1 of {} is broken: "),
    ],
)
def test_a_log_that_is_damaged_elsewhere_is_refused_in_one_line(damage, message, tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 7)
    path = league.folder / LOG
    lines = path.read_bytes().splitlines()
    assert damage(lines) != lines
    path.write_bytes(b"\n".join(damage(lines)) + b"\n")
    with pytest.raises(BadInput) as refusal:
        _again(league)
    (line,) = refusal.value.problems
    assert line.startswith(message.format(path)), line
    assert "restore it from a copy" in line or "written by a newer Hamner" in line
    assert read_league_files(league.folder).rounds == [] if "format" not in message else True


def test_no_flipped_bit_of_a_log_changes_a_number(tmp_path):
    """It is refused, or the last line is left out aloud: of 200 bits, of which a fifth is in that line."""
    league, came = _league(tmp_path / "x"), Counter()
    *_, _ = _reports(league, 6, by_round=True)
    ledger, path = Ledger(league.folder, league.name), league.folder / LOG
    whole, content, rng = ledger.read(dict, pytest.fail), path.read_bytes(), random.Random(0)
    path.write_bytes(content[: content.rstrip(b"\n").rindex(b"\n") + 1])
    shorter = ledger.read(dict, pytest.fail)
    for _ in range(200):
        place, said = rng.randrange(len(content)), []
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        try:
            document = ledger.read(dict, said.append)
        except BadInput as refusal:
            (line,) = refusal.problems
            assert "restore it from a copy" in line and len(line) < 600 and "\n" not in line, line
            came["refused"] += 1
        else:  # or a key has another name that nothing is done by, such as the checksum's
            assert document == (shorter if said else whole)
            came["left out" if said else "whole"] += 1
    assert came["refused"] > 100 and came["left out"] > 20 and came["whole"] < 20, came


@pytest.mark.parametrize("is_there", [True, False], ids=["emptied", "missing"])
def test_without_its_log_a_league_takes_the_reports_again_and_ends_the_same(is_there, tmp_path):
    """A run that had been let into the next round begins again: from there it could not report this one."""
    league = _league(tmp_path / "x", "seeds=1")
    *_, _ = _reports(league, 5, by_round=True)
    outcomes, (_, first) = dict(league.bracket.rounds[0].outcomes), league.bracket.reports[0]
    early = next(run for run, index in league.bracket.next_rounds().items() if index == 1 and run != first)
    for run, reached in ((early, 1), (Run("c5", 0), 0)):
        state = league.folder / league.name(run) / "checkpoints" / "step_000000012" / "state.json"
        state.parent.mkdir(parents=True)
        write_json(state, {"progress": {"round": reached}, "sha256": {}})
    (league.folder / LOG).write_text("") if is_there else (league.folder / LOG).unlink()
    again, printed = _again(league)
    assert list(again.bracket.rounds[0].outcomes) == [first]  # bracket.json was written with it
    assert (f"{league.folder / LOG} is empty: " in printed) == is_there
    line = f"{early.contestant}: it is in round 2, and the ledger has lost its result of round 1: it begins again"
    assert line in printed and printed.count("begins again") == 1
    assert [path.parts[-3] for path in league.folder.glob("*/checkpoints/*")] == ["c5"]
    for run, outcome in reversed(outcomes.items()):
        again.record(run, outcome, again.bracket.report(run, 0, outcome))
    assert again.bracket.waiting_for() == league.bracket.waiting_for()
    for played in (league, again):
        *_, _ = _reports(played, seed=9)
    assert again.bracket.winner() == league.bracket.winner() is not None
    assert [{*r.survivors} for r in again.bracket.rounds] == [{*r.survivors} for r in league.bracket.rounds]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda ledger, log: log.write_bytes(log.read_bytes().replace(b'"factor": 1', b'"factor": 3')), "was altered"),
        (lambda ledger, log: ledger.unlink(), "is gone, without which it would begin anew: restore it from a copy"),
    ],
)
def test_a_resume_refuses_a_damaged_ledger_before_anything_is_started(damage, message, tmp_path, capsys):
    league = _league(tmp_path / "tournament" / "x")
    *_, _ = _reports(league, 7)
    damage(league.folder / LEDGER, league.folder / LOG)
    before = {path: path.stat().st_mtime_ns for path in league.folder.rglob("*")}
    assert tournament.main(["--resume", "--name", "x", "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    assert {path: path.stat().st_mtime_ns for path in league.folder.rglob("*")} == before


def test_a_log_whose_ledger_is_lost_is_no_new_league(tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 7)
    (league.folder / LEDGER).unlink()
    with pytest.raises(BadInput, match=r"no file .*bracket\.json"):
        _again(league)


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 1)
    (tmp_path / "elsewhere").write_text("")
    (league.folder / LOG).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        list(_reports(league, 1))
    assert (tmp_path / "elsewhere").read_text() == ""


def test_a_reader_that_meets_a_compaction_sees_all_of_it(tmp_path, monkeypatch):
    """The log is read first: between the two files the round is decided."""
    league = _league(tmp_path / "x")
    plays = _reports(league, by_round=True)
    for _ in range(11):
        next(plays)
    from tournament import ledger

    real = ledger.read_json

    def late(path):
        if path.name == LEDGER:
            next(plays)
        return real(path)

    monkeypatch.setattr(ledger, "read_json", late)
    rounds = read_ledger_as(league.folder, lambda document: document["rounds"])
    assert rounds[0]["decided"] and len(rounds[0]["outcomes"]) == 12


def test_the_ledger_of_a_league_that_is_copied_while_it_stands_is_whole(tmp_path):
    league = _league(tmp_path / "x")
    *_, _ = _reports(league, 9)
    shutil.copytree(league.folder, tmp_path / "y")
    again = League(tmp_path / "y", league.config, Console(file=io.StringIO(), width=200))
    again.open()
    assert again.bracket.state() == league.bracket.state()
