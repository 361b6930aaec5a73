"""The report of a league, in any state and of any size: who won, how sure that is, what it cost, as the JSON has it."""

import json
import time

import pytest
from page_reader import Page
from played import MANY, league_of, play, rename

from hamner.reports.html import report_html
from hamner.reports.report_files import ReportWriter
from tournament import league_report
from tournament.league_files import read_league_files
from tournament.league_report import league_cost, write_league_report
from tournament.past_leagues import past_league
from tournament.run import main

EVIL = "<script>alert('x')</script>\"&amp;|*" + "w" * 200


def _page(folder):
    """The page as it would be written, without the pictures, which take longer than it."""
    text = report_html(league_report.league_report(read_league_files(folder))[0])
    assert len(text.encode()) < 1_000_000
    page = Page(text)
    page.check_self_contained()
    return page


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Ten contestants, two seeds, three rounds, learning rates searched."""
    folder = tmp_path_factory.mktemp("results") / "tournament" / "ten"
    league = play(league_of(folder, "seeds=2", "lr=probe"))
    assert league.close("0" * 64)
    return folder


@pytest.fixture(scope="module")
def page(finished):
    return _page(finished)


def test_the_first_screen_answers_who_how_sure_what_it_cost_what_failed_and_how_to_go_on(finished, page):
    winner, start = json.loads((finished / "winner.json").read_text()), page.text.index("Tournament ten")
    rows = json.loads((finished / "standings.json").read_text())["contestants"]
    other = max((row for row in rows if not row["is_winner"]), key=lambda row: row["p_best"])
    first_screen = page.text[start : page.text.index("Learning curves")]
    for words in (
        f"{winner['contestant']} won; {winner['verdict']}: ",
        f"{winner['heldout_loss']:.4f} nats/token held out",
        f"that it is the best of 10, {other['contestant']} ",
        f"; expected regret {winner['regret']:.4f} nats",
        "20 runs",
        "What failed nothing 10 contestants entered, none had an error",
        "curriculum run winner --tournament ten",
    ):
        assert words in first_screen, words


def _number(text):
    return None if text == "–" else float(text.replace(",", "").rstrip(" s"))


def test_every_number_of_the_standings_is_that_of_the_json(finished, page):
    document = json.loads((finished / "standings.json").read_text())
    tables = [table for table in page.tables if table[0][:3] == ["#", "contestant", "loss"]]
    assert len(tables) == len(document["rounds"]) == 3
    for row, table in zip(reversed(document["rounds"]), tables, strict=True):
        assert len(table) == 1 + len(row["standings"])
        for cells, standing in zip(table[1:], row["standings"], strict=True):
            assert int(cells[0]) == standing["rank"] and cells[1] == f"{standing['contestant']} × 2"
            for cell, key in zip(cells[2:5], ("heldout_loss", "difference", "standard_error"), strict=True):
                assert _number(cell) == pytest.approx(standing[key], abs=5.1e-5)
            assert cells[6] == f"{standing['rank_at_equal_flops']} ({standing['loss_at_equal_flops']:.3f})"
            assert _number(cells[8]) == pytest.approx(standing["tokens_per_second"], abs=0.51)
    ending = page.table("P(best)")
    assert [cells[0] for cells in ending[1:]] == [row["contestant"] for row in document["contestants"]]
    for cells, row in zip(ending[1:], document["contestants"], strict=True):
        assert _number(cells[5]) == pytest.approx(row["regret"], abs=5.1e-5)


def test_the_bracket_shows_each_contestant_as_far_as_it_came(finished, page):
    rounds = json.loads((finished / "standings.json").read_text())["rounds"]
    bracket = page.table("round 1, keeps 5")
    assert bracket[0] == ["contestant", "round 1, keeps 5", "round 2, keeps 3", "round 3, keeps 1"]
    for name, *cells in bracket[1:]:
        for cell, row in zip(cells, rounds, strict=True):
            of_name = [standing for standing in row["standings"] if standing["contestant"] == name]
            assert bool(of_name) == bool(cell)
            assert not of_name or cell.startswith(f"{of_name[0]['heldout_loss']:.4f} ")


def test_behind_every_chart_stands_a_table_of_what_it_draws(finished, page):
    names = [tag for tag, _ in page.tags]
    assert names.count("figure") == names.count("svg") == 11  # curves 2, distances 3, equal cost 3, rates, memory, time
    files = read_league_files(finished)
    curves = page.table("lowest seed")
    run = files.runs(files.contestants[0])[0]
    points = files.curve(run)
    assert len([row for row in curves if row[0] == run.contestant]) == len(points) == 18
    rates = [row for row in page.table("rate") if row[0] == run.contestant]
    tried = {f"{float(rate):.3g}": f"{loss:.4f}" for rate, loss in files.rates[run.contestant]["tried"].items()}
    assert {row[1]: row[2] for row in rates} == tried
    used = {row[0]: float(row[2]) for row in page.table("used, GiB")[1:]}
    assert used == pytest.approx({name: 0.9 + 0.01 * place for place, name in enumerate(files.entered)}, abs=0.006)


def test_the_cost_is_the_sum_of_the_runs_and_their_probes(finished):
    files = read_league_files(finished)
    cost, ledger = league_cost(files), json.loads((finished / "bracket.json").read_text())
    last = {}
    for row in (row for round_ in ledger["rounds"] for row in round_["outcomes"]):
        last[row["contestant"], row["seed"]] = row["facts"]
    probes = json.loads((finished / "standings.json").read_text())["learning_rate_round"]["standings"]
    first = json.loads((finished / "standings.json").read_text())["rounds"][0]["standings"]
    per_token = {row["contestant"]: row["flops_per_token"] for row in first}
    of_probes = sum(row["tokens"] * per_token[row["contestant"]] for row in probes)
    assert cost.spent.runs == 20 and of_probes > 0
    assert cost.spent.flops == pytest.approx(sum(facts["flops"] for facts in last.values()) + of_probes)
    assert cost.spent.tokens == sum(facts["tokens"] for facts in last.values()) + sum(row["tokens"] for row in probes)
    past = past_league(finished)  # as `tournament history` says
    assert (past.tokens, past.flops) == (cost.spent.tokens, cost.spent.flops)
    busy = [row["facts"]["busy_seconds"] for round_ in ledger["rounds"] for row in round_["outcomes"]]
    assert cost.spent.seconds == pytest.approx(sum(busy) + 10 * 2.0)
    assert cost.wall is None and cost.elapsed >= 0


def test_energy_is_told_where_the_cards_told_it(tmp_path):
    folder = tmp_path / "tournament" / "card"
    assert play(league_of(folder, "seeds=1", "keep=[1]", "steps=[9]", names=MANY[:2])).close("")
    assert "kWh" not in _page(folder).text
    (folder / "timing.json").write_text('{"wall": 7300.0, "kwh": 0.41234}')
    cost = league_cost(read_league_files(folder))
    assert (cost.time, cost.kwh) == ("2.0 h", 0.41234) and cost.line.endswith(", 0.412 kWh")


@pytest.mark.slow
def test_a_round_that_is_decided_has_its_report_written_beside_the_league(tmp_path):
    folder = tmp_path / "tournament" / "going"
    league = league_of(folder, "seeds=1", "keep=[2,1]", "steps=[9,9]", names=MANY[:3])
    league.report = ReportWriter(write_league_report, folder)
    play(league, reports=2)
    assert not (folder / "report.html").exists()
    play(league, reports=1)
    deadline = time.monotonic() + 300  # its process yields to all others
    while not (folder.parents[1] / "index.html").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    league.report.close()
    assert "Round 2 of 2 is not decided" in (folder / "report.html").read_text(encoding="utf-8")
    play(league)
    assert league.close("")
    league.report.finish()
    assert "c00 won; " in (folder / "report.html").read_text(encoding="utf-8")


def test_written_twice_it_has_the_same_bytes(finished):
    def content():
        write_league_report(finished)
        return {path.name: path.read_bytes() for path in finished.glob("report*")}

    first = content()
    assert content() == first and {"report.html", "report.md", "report.json", "report_curves-tokens.png"} <= set(first)
    assert b"![Learning curves over tokens](report_curves-tokens.png)" in first["report.md"]


def test_settings_that_differ_from_their_defaults_and_no_others_are_listed(finished, page):
    keys = [row[0] for row in page.table("default")[1:]]
    assert {"tournament.seeds", "tournament.steps", "lr_scale"} <= set(keys)
    assert not [key for key in keys if key.startswith(("curriculum", "finetuning"))]
    assert page.table("default")[1 + keys.index("tournament.seeds")] == ["tournament.seeds", "[2, 3, 4]", "2"]


STATES = {
    "nothing has reported": ({}, 0, "Round 1 of 3 is not decided"),
    "killed in round 1": ({}, 3, "leads so far"),
    "killed in round 2": ({}, 11, "Round 2 of 3 is not decided"),
}


@pytest.mark.parametrize(("failing", "reports", "words"), STATES.values(), ids=STATES)
def test_an_unfinished_league_says_how_far_it_is_and_how_it_is_continued(tmp_path, failing, reports, words):
    folder = tmp_path / "tournament" / "half"
    play(league_of(folder, "seeds=1"), failing=failing, reports=reports)
    page = _page(folder)
    assert words in page.text and "tournament --resume --name half" in page.text and " won" not in page.text


def test_looks_of_an_open_round_are_drawn_from_metrics(tmp_path):
    folder = tmp_path / "tournament" / "half"
    league_of(folder, "seeds=1")
    (folder / "v01_dense_small").mkdir()
    (folder / "v01_dense_small" / "metrics.csv").write_text(
        "step,tokens_total,heldout_loss_of_grid\n1,1024,7.5\n2,2048,\n5,5120,6.25\n8,81"
    )
    assert [row for row in _page(folder).table("lowest seed")[1:] if row[0] == "v01_dense_small"] == [
        ["v01_dense_small", tokens, *3 * [loss]] for tokens, loss in (("1,024", "7.5000"), ("5,120", "6.2500"))
    ]


def test_nine_failures_are_told_with_their_reasons_and_what_was_done(tmp_path):
    folder = tmp_path / "tournament" / "nine"
    league = league_of(folder, "seeds=1")
    kinds = dict(zip(list(league.contestants)[1:], 3 * ["oom", "diverged", "error"], strict=True))
    play(league, failing=kinds)
    assert league.close("")
    page = _page(folder)
    rows = page.table("what was done")[1:]
    assert {row[0]: row[3] for row in rows} == kinds
    assert all("a reason of its own" in row[4] and row[5] for row in rows)
    assert "9 of 10" in page.text and "it was the only one left" in page.text


def test_when_all_fail_there_is_no_winner_and_a_way_on(tmp_path):
    folder = tmp_path / "tournament" / "none"
    league = league_of(folder, "seeds=1")
    play(league, failing=dict.fromkeys(league.contestants, "error"))
    page = _page(folder)
    assert "No winner: all 10 contestants failed" in page.text and "--retry-errors" in page.text


SIZES = {
    "two": (["seeds=1", "keep=[1]", "steps=[9]"], MANY[:2]),
    "forty": (["seeds=1", "keep=[20,8,1]"], MANY),
    "three seeds": (["seeds=3"], MANY[:6]),
    "asynchronous": (["seeds=2", "mode=async"], None),
    "equal FLOPs": (["seeds=1", "budget=flops"], None),
    "shadows": (["seeds=2", "shadow=1"], None),
}


@pytest.mark.parametrize(("words", "names"), SIZES.values(), ids=SIZES)
def test_leagues_of_any_size_and_kind_have_a_report(tmp_path, words, names):
    folder = tmp_path / "tournament" / "sized"
    league = play(league_of(folder, *words, names=names))
    assert league.close("")
    page, winner = _page(folder), league.bracket.winner()
    assert f"{winner} won; " in page.text
    assert {cell for table in page.tables for row in table[1:] for cell in row[:1]} >= {*league.contestants}
    assert "of another version" not in page.text


def test_a_name_of_any_kind_stays_text_everywhere(tmp_path):
    folder = tmp_path / "tournament" / "evil"
    league = play(league_of(folder, "seeds=2", "keep=[1]", "steps=[9]", names=["c00", "c01", "c02"]))
    assert league.close("")
    rename(folder, "c00", EVIL)
    text = write_league_report(folder).read_text(encoding="utf-8")
    index = (folder.parents[1] / "index.html").read_text(encoding="utf-8")
    assert f"{EVIL} won" in Page(text).text and f"{EVIL} won" in Page(index).text
    assert "<script" not in text + index


def test_a_league_of_another_version_has_a_report_of_what_is_there(tmp_path):
    folder = tmp_path / "tournament" / "old"
    league = play(league_of(folder, "seeds=2", names=MANY[:6]))
    assert league.close("")
    for name in ("config.json", "standings.json", "bracket.json"):
        document = json.loads((folder / name).read_text())
        del document["checksum"]  # there was none
        if name == "config.json":
            document["config"]["tournament"]["a_key_of_old"] = 1
        for row in (row for round_ in document.get("rounds", ()) for row in round_.get("standings", ())):
            for key in ("order_probability", "loss_at_equal_flops", "rank_at_equal_flops", "tokens_per_parameter"):
                del row[key]
        for row in (row for round_ in document.get("rounds", ()) for row in round_.get("outcomes", ())):
            row["facts"] = {"tokens": row["facts"]["tokens"]}
        (folder / name).write_text(json.dumps(document))
    page = _page(folder)
    assert f"{league.bracket.winner()} won" in page.text and "config.json is of another version" in page.text
    assert f"{league.bracket.loss(2, league.bracket.winner()):.4f}" in page.text


@pytest.mark.parametrize("name", ["standings.json", "bracket.json", "winner.json", "timing.json"])
def test_a_file_that_is_broken_is_named_and_the_rest_stands(tmp_path, name):
    folder = tmp_path / "tournament" / "torn"
    assert play(league_of(folder, "seeds=1", names=MANY[:6])).close("")
    (folder / name).write_text("{")
    assert f"{name} could not be read" in _page(folder).text


def test_the_command_reports_on_the_newest_or_the_named_league(tmp_path, finished, capsys):
    results = finished.parents[1]
    assert main(["report", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [f"report: {finished / 'report.html'}", f"all runs: {results / 'index.html'}"]
    assert main(["report", "tenn", "--results", str(results)]) == 2
    assert "did you mean 'ten'" in capsys.readouterr().err
    assert main(["report", "--results", str(tmp_path)]) == 2
    assert f"no tournament run in {tmp_path}; start one" in capsys.readouterr().err


def test_a_section_that_cannot_be_made_says_so_and_the_others_stand(finished, monkeypatch):
    def broken(files):
        raise KeyError("gone")

    monkeypatch.setattr(league_report, "SECTIONS", [("First", broken), *league_report.SECTIONS[-1:]])
    report, _ = league_report.league_report(read_league_files(finished))
    assert [section.title for section in report.sections] == ["First", "Commands"]
    assert "KeyError 'gone'" in report.sections[0].parts[0].text
