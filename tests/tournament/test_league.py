"""A league on disk: its ledger and messages, and the rules that the miniature leaves off, through the real command."""

import io
import json

import pytest
from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.runs.watchdog import HANG_FILE, HUNG
from tournament.bracket import Outcome, Run
from tournament.league import League

THREE = ["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _league(folder, *words):
    """A league of three in a folder, with what it prints."""
    config = load_config("smoke", [f"contestants={json.dumps(THREE)}", "steps=[10, 10]", "keep=[2, 1]", *words])
    return League(folder, config, Console(file=io.StringIO(), width=200))


def _printed(league):
    return league.console.file.getvalue()


def _report(league, losses, index=0):
    """As the scheduler does: to the bracket, then to the league."""
    for run, loss in losses.items():
        outcome = loss if isinstance(loss, Outcome) else Outcome(loss)
        league.record(run, outcome, league.bracket.report(run, index, outcome))


def test_each_report_is_in_the_ledger_and_a_resume_decides_nothing_again(tmp_path):
    league = _league(tmp_path, "seeds=1")
    league.open()
    assert "starting at step 0" in _printed(league) and league.attempt == 1
    _report(league, {Run(THREE[0], 0): 5.0, Run(THREE[1], 0): 4.0})
    resumed = _league(tmp_path, "seeds=1")
    resumed.open()
    assert "resuming in round 1" in _printed(resumed)
    assert resumed.bracket.state() == league.bracket.state()
    assert not (tmp_path / "standings.json").exists()
    _report(resumed, {Run(THREE[2], 0): Outcome(None, "oom", "full")})
    document = _read(tmp_path / "standings.json")
    assert [row["status"] for row in document["rounds"][0]["standings"]] == ["advanced", "advanced", "oom"]
    assert "oom: full" in _printed(resumed)


def test_a_run_whose_process_is_started_again_is_said_and_one_that_hung_with_the_place(tmp_path):
    league = _league(tmp_path, "seeds=1", "hang_minutes=7")
    league.say_restarted(Run(THREE[0], 0), "its process died: killed")
    assert f"{THREE[0]}: its process died: killed; started again from its newest checkpoint\n" in _printed(league)
    league.say_restarted(Run(THREE[0], 0), "lost node: it is cut off")
    waits = ", once its process there has ended, 5 minutes from now at the latest"
    assert f"it is cut off; started again from its newest checkpoint{waits}" in _printed(league)
    (tmp_path / THREE[1]).mkdir()
    (tmp_path / THREE[1] / HANG_FILE).write_text("File x, line 3")
    league.say_restarted(Run(THREE[1], 0), "its process died: exit code 1")
    where = tmp_path / THREE[1] / HUNG
    assert f"did nothing for 7 minutes (compute.hang_minutes): ended; {where} says where" in _printed(league)
    assert where.read_text() == "File x, line 3" and not (tmp_path / THREE[1] / HANG_FILE).exists()


def test_a_contested_cut_writes_that_more_held_out_rows_are_read(tmp_path):
    league = _league(tmp_path, "more_rows=4", "steps=[10]", "keep=[1]")
    rows = league.bracket.rules.rows
    means = dict(zip(THREE, (5.0, 5.01, 9.0), strict=True))

    def outcomes(factor):
        """Documents that say little, of a text that ends after the first rows."""
        nats = {name: [9.0, 1.0] if name == THREE[0] else [1.0, 9.0] for name in THREE}
        return {
            Run(name, seed): Outcome(
                loss + 0.001 * seed * place,
                None,
                "",
                factor,
                rows,
                {"s": {"share": 1.0, "tokens": [4] * 8, "nats": nats[name] * 4}},
            )
            for place, (name, loss) in enumerate(means.items())
            for seed in (0, 1)
        }

    _report(league, outcomes(1))
    assert league.bracket.rounds[0].factor == 2 and not league.bracket.is_over()
    _report(league, outcomes(2))
    assert league.bracket.is_over() and league.bracket.winner_verdict() == "contested"


def test_a_league_says_how_many_seeds_play_in_each_round(tmp_path):
    assert _league(tmp_path, "seeds=3").describe() == "3 contestants, 3 seeds each"
    assert _league(tmp_path, "seeds=[2,4]").describe() == "3 contestants, 2, 4 seeds each by round"
    assert _league(tmp_path, "seeds=1").describe() == "3 contestants"


def _error(reason="crash: KeyError: 'x'"):
    return Outcome(None, "error", reason)


@pytest.mark.mended("crashes of all contestants: no winner for ever")
def test_a_league_whose_every_failure_is_an_error_is_stopped_and_says_the_way_on(tmp_path):
    league = _league(tmp_path, "seeds=1")
    assert not league.close("") and f"continue with `tournament --resume --name {tmp_path.name}" in _printed(league)
    _report(league, {Run(name, 0): _error() for name in THREE})
    assert league.bracket.is_over() and not league.close("")
    last = _printed(league).splitlines()[-1]
    assert last.startswith("stopped: all that played round 1 ended with an error, which decides nothing: crash: KeyErr")
    assert f"then continue with `tournament --resume --name {tmp_path.name}" in last
    resumed = _league(tmp_path, "seeds=1")
    resumed.open()
    assert resumed.bracket.waiting_for() == [Run(name, 0) for name in THREE]


@pytest.mark.parametrize(("errors", "says_way_on"), [([THREE[0]], True), ([], False)])
def test_a_league_whose_contestants_failed_themselves_has_no_winner(tmp_path, errors, says_way_on):
    league = _league(tmp_path, "seeds=1")
    _report(league, {Run(n, 0): _error() if n in errors else Outcome(None, "diverged", "nan") for n in THREE})
    assert not league.close("")
    last = _printed(league).splitlines()[-1]
    assert last.startswith("no winner: every contestant failed") and ("--resume" in last) == says_way_on


@pytest.mark.mended("a crash or a lost node is out for ever")
@pytest.mark.parametrize("index", [0, 1])
def test_retry_errors_takes_crashes_of_an_open_round_and_of_the_last_out_of_the_ledger(tmp_path, index):
    """In round 1, still open, the first crashes; in the last, decided without it, a finalist."""
    league = _league(tmp_path, "seeds=1")
    if index:
        _report(league, {Run(name, 0): 4.0 + place for place, name in enumerate(THREE)})
        lost = Run(THREE[0], 0)
        _report(league, {Run(THREE[1], 0): 3.0, lost: _error("lost node: 12")}, 1)
        assert league.bracket.winner() == THREE[1]
        (tmp_path / "winner.json").write_text("{}")
    else:
        lost = Run(THREE[2], 0)
        _report(league, {lost: _error("lost node: 12"), Run(THREE[0], 0): 4.0})
        assert league.bracket.rounds[0].survivors == [THREE[0]]  # certain, and stays so
    plain = _league(tmp_path, "seeds=1")
    plain.open()
    assert plain.bracket.state() == league.bracket.state()
    again = _league(tmp_path, "seeds=1")
    again.open(retry_errors=True)
    assert f"ended with an error, so played again: {lost.contestant}" in _printed(again)
    assert lost in again.bracket.waiting_for() and again.bracket.winner() is None
    assert not (tmp_path / "winner.json").exists()
    _report(again, {lost: 1.0} if index else {lost: 1.0, Run(THREE[1], 0): 2.0}, index)
    if index:
        assert again.bracket.winner() == lost.contestant
    else:
        assert again.bracket.rounds[0].survivors == [THREE[0], lost.contestant, THREE[1]]  # none is taken back
    nothing = _league(tmp_path, "seeds=1")
    nothing.open(retry_errors=True)
    assert "no crash and no lost node" in _printed(nothing)
    assert nothing.bracket.state() == again.bracket.state()


def test_retry_errors_leaves_what_is_decided_and_failures_of_contestants(tmp_path):
    league = _league(tmp_path, "seeds=1")
    _report(league, {Run(THREE[0], 0): 4.0, Run(THREE[1], 0): Outcome(None, "oom", "full"), Run(THREE[2], 0): _error()})
    _report(league, {Run(THREE[0], 0): Outcome(None, "diverged", "nan")}, 1)
    again = _league(tmp_path, "seeds=1")
    again.open(retry_errors=True)
    assert again.bracket.state() == league.bracket.state() and again.bracket.is_over()


@pytest.mark.mended("the checkpoint of a crashed run was reduced to its weights")
def test_a_run_that_may_be_played_again_keeps_its_checkpoint(tmp_path):
    league = _league(tmp_path, "seeds=1", "keep_eliminated=nothing")
    folders = {name: tmp_path / name / "checkpoints" / "step_00000010" for name in THREE}
    for folder in folders.values():
        folder.mkdir(parents=True)
    failed = {Run(THREE[0], 0): _error(), Run(THREE[1], 0): Outcome(None, "oom", "full"), Run(THREE[2], 0): _error()}
    _report(league, failed)
    assert [folder.exists() for folder in folders.values()] == [True, False, True]


@pytest.mark.mended("a search that failed at every rate, and the process killed before its failure was written")
def test_a_search_that_found_no_rate_is_over_when_its_failure_is_written(tmp_path):
    league = _league(tmp_path, "seeds=1", "lr=probe")
    for name in THREE[:2]:
        league.record_rate(Run(name, 0), {"tried": {"0.001": 5.0}, "learning_rate": 1e-3})
    none = {"tried": {"0.001": None}, "learning_rate": None}
    league.record_rate(Run(THREE[2], 0), none)
    killed = _league(tmp_path, "seeds=1", "lr=probe")
    killed.open()
    assert killed.contestants_to_probe() == [THREE[2]]
    _report(league, {Run(THREE[2], 0): Outcome(None, "diverged", "at every learning rate tried")})
    resumed = _league(tmp_path, "seeds=1", "lr=probe")
    resumed.open()
    assert resumed.contestants_to_probe() == [] and resumed.rates[THREE[2]] == none


def _documents(run, count=200):
    return {"s": {"share": 1.0, "tokens": [4] * count, "nats": [1.0 + run.seed + place / 7 for place in range(count)]}}


@pytest.mark.mended("bracket.json was written with every document at every report")
def test_documents_are_written_once_beside_the_ledger_and_read_back(tmp_path):
    league, sizes, files = _league(tmp_path, "seeds=1"), [], []
    for index, names in enumerate((THREE, THREE[:2])):
        for place, name in enumerate(names):
            run = Run(name, 0)
            _report(league, {run: Outcome(5.0 - index + place, documents=_documents(run))}, index)
            sizes.append((tmp_path / "bracket.json").stat().st_size)
            files.append({path: path.stat().st_ino for path in tmp_path.glob("*/documents_*")})
    assert len(files[-1]) == 5 and all(item in files[-1].items() for item in files[0].items())  # none written again
    assert max(sizes) < 4000 < sum(path.stat().st_size for path in files[-1]) / 5
    resumed = _league(tmp_path, "seeds=1")
    resumed.open()
    assert resumed.bracket.state() == league.bracket.state()
    assert resumed.bracket.rounds[0].outcomes[Run(THREE[0], 0)].documents == _documents(Run(THREE[0], 0))
    resumed.record(Run(THREE[0], 0), Outcome(9.0), False)
    assert {path: path.stat().st_ino for path in tmp_path.glob("*/documents_*")} == files[-1]


def test_a_ledger_without_the_documents_it_names_is_refused_with_their_file(tmp_path):
    league, run = _league(tmp_path, "seeds=1"), Run(THREE[0], 0)
    _report(league, {run: Outcome(5.0, documents=_documents(run))})
    (tmp_path / THREE[0] / "documents_round1_x1.json").unlink()
    with pytest.raises(BadInput, match=r"no file .*documents_round1_x1\.json"):
        _league(tmp_path, "seeds=1").open()


def test_winner_json_says_how_likely_it_is_the_best(tmp_path):
    league = _league(tmp_path, "seeds=2", "keep=[1]", "steps=[10]")
    losses = {THREE[0]: (5.0, 5.1), THREE[1]: (4.0, 4.101), THREE[2]: (4.9, 5.003)}
    _report(league, {Run(name, seed): loss for name, of_seeds in losses.items() for seed, loss in enumerate(of_seeds)})
    assert league.close("sha")
    winner, document = _read(tmp_path / "winner.json"), _read(tmp_path / "standings.json")
    assert winner["contestant"] == document["winner"] == THREE[1] and winner["verdict"] == "settled"
    assert winner["p_best"] > 0.95 and winner["regret"] < 0.01 and winner["best_of"] == 3
    assert [row["contestant"] for row in document["contestants"]] == [THREE[1], THREE[2], THREE[0]]
    assert set(document["field"]) == {"spread", "drift"} and document["field"]["drift"] == [0.0]


@pytest.mark.slow
def test_probe_further_seeds_and_cooldown_through_the_command(commands):
    """Three contestants, each at its own rate; those that stay in get a third seed."""
    ended = commands.run(
        "tournament",
        "--config",
        "smoke",
        "--name",
        "full",
        'contestants=["v01_dense_small", "v05_moe_small", "v03_diffattn_small"]',
        "steps=[10, 10]",
        "keep=[2, 1]",
        "lr=probe",
        "seeds=[2,3]",
        "cooldown=0.2",
        "report=[]",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    folder = commands.results / "tournament" / "full"
    document = _read(folder / "standings.json")
    probe = document["learning_rate_round"]
    assert [len(r["standings"]) for r in document["rounds"]] == [3, 2]  # the probe is not a round
    assert probe["steps"] == 10 and len(probe["standings"]) == 3
    for row in probe["standings"]:
        losses = {float(rate): loss for rate, loss in row["tried"].items()}
        assert 3 <= len(losses) <= 5 and row["tokens"] == len(losses) * 10 * 256
        best = min(losses, key=losses.get)
        assert best / 3**0.5001 <= row["learning_rate"] <= best * 3**0.5001  # between it and its neighbours
        assert {1e-4, 3e-4, 9e-4} <= {round(rate, 6) for rate in losses}
    rates = {row["contestant"]: row["learning_rate"] for row in probe["standings"]}
    for round_ in document["rounds"]:
        for row in round_["standings"]:
            assert row["learning_rate"] == pytest.approx(10 * rates[row["contestant"]])
            assert row["seeds"] == len(row["runs"])
            assert row["heldout_loss"] == pytest.approx(
                sum(run["heldout_loss"] for run in row["runs"]) / row["seeds"], rel=1e-12
            )
            assert row["seeds"] == 1 + round_["round"]
        assert "cut_differs_without_cooldown" in round_
    joined = [path.name.removesuffix("-seed2") for path in folder.glob("*-seed2")]
    assert sorted(joined) == sorted(row["contestant"] for row in document["rounds"][1]["standings"])
    for name in joined:
        rows = (folder / f"{name}-seed2" / "metrics.csv").read_text().splitlines()
        assert len(rows) == 1 + 20  # both rounds, from step 0
    assert not list(folder.glob("*/probe*"))
    assert _read(folder / "winner.json")["checkpoint"].split("/")[-3] == document["winner"]
