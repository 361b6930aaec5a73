"""Where a league stands, read from its files alone: who runs, waits or has failed, what is left, whether it lives."""

import json
import subprocess
import sys

import pytest

from hamner.config.errors import BadInput
from hamner.reports.live_table import draw, state_words
from hamner.runs.heartbeat import AT_WORK
from tests.tournament.league_folder import (
    PEAK,
    SPEED,
    end_round,
    hold_lease,
    league_of,
    loss_of,
    play_round,
    second_round,
    set_age,
    train,
)
from tournament.bracket import Outcome, Run
from tournament.league_status import COLUMNS, LeagueReader
from tournament.run_facts import loss_and_error

HEADINGS = [column.heading for column in COLUMNS]


def _cells(status):
    """Contestant -> heading -> cell."""
    return {str(row.cells[0]).split(" ")[0]: dict(zip(HEADINGS, row.cells, strict=True)) for row in status.rows}


def test_in_the_second_round_everybody_is_where_the_files_say(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    status = LeagueReader(league.folder).status()
    cells = _cells(status)
    assert status.title == "tournament mine: round 2 of 3" and status.heartbeat.state == "running"
    assert [cells[name]["state"] for name in ("c00", "c01", "c02", "c09")] == [
        "done",
        "running",
        "waiting",
        "out, round 1",
    ]
    assert [cells[name]["round"] for name in ("c00", "c01", "c02", "c09")] == [1.0, 0.5, 0.0, ""]
    assert cells["c00"]["held-out loss"] == f"{loss_of(Run('c00', 0), 1):.4f}"
    assert cells["c01"]["held-out loss"] == "4.1250" and cells["c01"]["step"] == "40 of 60"
    assert cells["c01"]["tokens/s"] == f"{SPEED:,.0f}" and cells["c01"]["GiB"] == f"{PEAK:.2f}"
    assert [str(row.cells[0]) for row in status.rows][:3] == ["c00", "c01", "c02"]
    assert status.head == (("1", 1.0, "10 → 5", "  2", pytest.approx(0.3), "5 → 3", "  3", 0.0, "3 → 1"),)
    # 20 steps of 256 tokens at 2000 tokens/s, busy 1.2 times as long as they train, and 3 whole rounds of 40 steps
    left = 1.2 * 256 / SPEED * (20 + 3 * 40)
    assert status.time_left.startswith(f"{left:.0f} s of the round left, ")
    assert "round 2 of 3; running: c01 50 %; 1 of 5 done; lowest loss 4.0000, c00" in status.line


def test_a_contestants_error_is_that_of_its_seeds_where_they_last_came_past_together(tmp_path):
    assert loss_and_error([{20: 4.0, 40: 3.0}, {20: 4.2}]) == (pytest.approx(4.1), pytest.approx(0.1))
    assert loss_and_error([{20: 4.0, 40: 3.0}, {}]) == (3.0, None)
    assert loss_and_error([]) is None
    league = league_of(tmp_path / "tournament" / "mine", 10, seeds=2)
    play_round(league, 0)
    cells = _cells(LeagueReader(league.folder).status())
    assert cells["c09"]["held-out loss"] == "5.1000 ± 0.0100"  # 5.09 and 5.11


def test_with_one_seed_the_error_at_a_rounds_end_is_that_of_the_text(tmp_path):
    league = league_of(tmp_path / "tournament" / "mine", 10)
    documents = {"fineweb_edu": {"share": 1.0, "nats": [100.0, 110.0, 90.0, 104.0], "tokens": [20, 20, 20, 20]}}
    end_round(league, Run("c00", 0), 0, Outcome(5.05, rows=32, documents=documents))
    # per document 5.0, 5.5, 4.5, 5.2: standard deviation 0.4203, of four documents half of it
    assert _cells(LeagueReader(league.folder).status())["c00"]["held-out loss"] == "5.0500 ± 0.2102"


def test_out_of_memory_shows_what_was_tried_and_who_is_out(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    record = {"peak_gib": 22.5, "fallback": "gradient accumulation steps 1 -> 2"}
    (league.folder / "c01" / "memory_fallbacks.json").write_text(json.dumps({"plan": {}, "fallbacks": [record]}))
    end_round(league, Run("c02", 0), 1, Outcome(None, "oom", "peak 23.9 GiB"))
    status = LeagueReader(league.folder).status()
    cells = _cells(status)
    assert cells["c01"]["state"] == "running, out of memory → gradient accumulation steps 1 -> 2"
    assert cells["c02"]["state"] == "out of memory, round 2"
    assert status.foot == (
        "c01: out of memory at 22.50 GiB → gradient accumulation steps 1 -> 2",
        "c02: out of memory: peak 23.9 GiB",
    )


def test_a_killed_league_says_for_how_long_nothing_came_what_was_last_and_how_it_goes_on(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    set_age(league.folder, 3600)
    train(league, Run("c01", 0), 41, [(40, 4.125)])
    set_age(league.folder / "c01", 540)
    hold_lease(league, process=ended.pid, age=540)
    status = LeagueReader(league.folder).status()
    assert status.heartbeat.state == "died"
    assert state_words(status) == "died: nothing written for 9.0 min; last: c01 at step 41"
    assert _cells(status)["c01"]["state"] == "broken off"
    assert status.way_on == f"tournament --resume --name mine --results {tmp_path}"


@pytest.mark.parametrize(
    ("host", "age", "state"),
    [("another", 5, "running"), ("another", 61, "died"), (None, 5, "running"), (None, 61, "died")],
)
def test_a_job_elsewhere_lives_as_long_as_it_renews_its_lease(tmp_path, host, age, state):
    league = second_round(tmp_path / "tournament" / "mine")
    hold_lease(league, host=host, process=1 if host else None, age=age)
    assert LeagueReader(league.folder).status().heartbeat.state == state


def test_a_league_that_ended_in_order_is_stopped_or_finished(tmp_path):
    league = league_of(tmp_path / "tournament" / "mine", 10)
    play_round(league, 0)
    assert LeagueReader(league.folder).status().heartbeat.state == "stopped"
    for index in (1, 2):
        play_round(league, index)
    (league.folder / "winner.json").write_text("{}")
    status = LeagueReader(league.folder).status()
    assert (status.heartbeat.state, status.title) == ("finished", "tournament mine: c00 won")
    assert _cells(status)["c00"]["state"] == "winner" and status.time_left == ""
    assert status.way_on == f"curriculum run winner --tournament mine --results {tmp_path}"


def test_while_the_text_is_prepared_it_gets_ready(tmp_path):
    league = league_of(tmp_path / "tournament" / "mine", 10)
    set_age(league.folder, 600)
    (league.folder / "data").mkdir()
    (league.folder / "data" / "part").touch()
    hold_lease(league)
    status = LeagueReader(league.folder).status()
    assert status.title == "tournament mine: getting ready (text, Ray)" and state_words(status) == "running"
    train(league, Run("c00", 0), 0)
    assert LeagueReader(league.folder).status().title == "tournament mine: round 1 of 3"


def test_a_run_that_works_but_writes_nothing_is_said_to(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    set_age(league.folder, 300)
    hold_lease(league)
    words = state_words(LeagueReader(league.folder).status())
    assert words.startswith("running, but nothing written for 5.0 min; last: ")


def test_the_same_reader_sees_what_comes_later(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    reader = LeagueReader(league.folder)
    reader.status()
    (league.folder / "c01" / AT_WORK).unlink()
    for name in ("c01", "c02", "c03"):
        end_round(league, Run(name, 0), 1)
    train(league, Run("c04", 0), 30)
    cells = _cells(reader.status())
    assert [cells[name]["state"] for name in ("c01", "c03", "c04")] == ["waiting", "done", "running"]  # c01 is in
    end_round(league, Run("c04", 0), 1)
    assert reader.status().title == "tournament mine: round 3 of 3"


def test_rates_are_searched_for_before_the_first_round(tmp_path):
    league = league_of(tmp_path / "tournament" / "mine", 10, "lr=probe")
    train(league, Run("c03", 0), 0)
    (league.folder / "c03" / "probe+0").mkdir()
    status = LeagueReader(league.folder).status()
    assert status.title.endswith("learning-rate round")
    assert _cells(status)["c03"]["state"] == "running, learning-rate search"


def test_with_a_budget_of_seconds_bars_are_of_time(tmp_path):
    league = league_of(tmp_path / "tournament" / "mine", 10, "budget=seconds", "seconds=[20.0, 20.0, 20.0]")
    train(league, Run("c00", 0), 78, [(78, 5.0)])  # 78 steps of 256 tokens at 2000 tokens/s are 10 seconds
    assert _cells(LeagueReader(league.folder).status())["c00"]["round"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("count", [10, 40])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (80, 10), (40, 24), (20, 5)])
def test_the_picture_fits_and_the_running_are_seen(tmp_path, count, width, height):
    league = second_round(tmp_path / "tournament" / "mine", count)
    status = LeagueReader(league.folder).status()
    for is_unicode in (True, False):
        lines = draw(status, width, height, is_unicode=is_unicode).plain.split("\n")
        assert max(map(len, lines)) <= width and len(lines) <= height
        assert is_unicode or all(line.isascii() for line in lines)
        if height >= 10:
            assert any(line.startswith("c01") for line in lines)
            shown = sum(line[:1] == "c" and line[1:3].isdigit() for line in lines)
            more = [int(line.split()[1]) for line in lines if line.startswith("and ") and "higher" in line]
            assert shown + sum(more) == count or width < 40


def test_forty_runs_of_ten_contestants_are_ten_rows(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine", seeds=4)
    status = LeagueReader(league.folder).status()
    assert [row.cells[0] for row in status.rows][:2] == ["c01 × 4", "c00 × 4"]  # of c00 three seeds wait
    assert _cells(status)["c01"]["state"] == "running 1 of 4"


def test_a_broken_ledger_is_said_in_a_line(tmp_path):
    league = second_round(tmp_path / "tournament" / "mine")
    (league.folder / "bracket.json").write_text("{}")
    with pytest.raises(BadInput, match=r"bracket\.json is broken"):
        LeagueReader(league.folder).status()


def test_status_loads_neither_torch_nor_ray_and_takes_less_than_a_second(tmp_path):
    second_round(tmp_path / "tournament" / "mine", seeds=4)
    code = (
        "import sys, time; from tournament.run import main; code = main(['status', '--results', sys.argv[1]]);"
        "print(code, {'torch', 'ray', 'scipy', 'pandas'} & set(sys.modules), time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    *picture, last = done.stdout.splitlines()
    assert picture[0] == "tournament mine: round 2 of 3" and done.stderr == ""
    assert last.startswith("0 set() ")
    assert float(last.split()[-1]) < 1.0  # of CPU, the start of Python and all imports included


def test_status_of_no_league_names_the_way_out(tmp_path, capsys):
    from tournament.run import main

    assert main(["status", "--results", str(tmp_path)]) == 2
    assert f"no tournament run in {tmp_path}; start one" in capsys.readouterr().err
    second_round(tmp_path / "tournament" / "mine")
    assert main(["status", "mein", "--results", str(tmp_path)]) == 2
    assert "did you mean 'mine'?" in capsys.readouterr().err
