"""A league of mixes: its rows, what is refused, what each run reads, the proposal and its curriculum file."""

import io
import json

import pytest
from rich.console import Console

from curriculum.curricula import read_curriculum
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.prepare_data import main as prepare_data
from hamner.reports.markdown import report_markdown
from hamner.runs.folders import write_config
from tournament.bracket import Outcome, Run
from tournament.entrants import all_sources, entrants, is_mix_league, read_league
from tournament.league import League
from tournament.league_files import read_league_files
from tournament.league_report import league_report
from tournament.mix_league import mix_settings, read_shares, source_amounts
from tournament.mix_report import MIXES, PROPOSAL, show_mixes
from tournament.run import main

TARGET = "sft=.4,personal=.4,synthetic=.2"


def _config(*words, count=9):
    config = load_config("smoke", words)
    return load_config("smoke", words, extra=mix_settings(config, count, TARGET, "v3"))


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_one_model_with_each_mix_in_one_round_on_the_target():
    config = _config(count=16)
    contestants, league = entrants(config), config.tournament
    assert is_mix_league(contestants) and len(contestants) == 16
    assert league.mix == {"sft": 0.4, "personal": 0.4, "synthetic": 0.2} and (league.steps, league.keep) == (
        (140,),
        (1,),
    )
    assert set(all_sources(config)) == {"tinystories", "fineweb_edu", "synthetic", "sft", "personal"}
    assert set(league.report) == {"tinystories", "fineweb_edu"}


def test_keys_of_the_command_line_come_last():
    config = _config("steps=[10, 5]", "keep=[4, 1]")
    assert (config.tournament.steps, config.tournament.keep) == ((10, 5), (4, 1))


def test_rows_of_a_league_file_may_have_a_mix_of_their_own(tmp_path):
    path = tmp_path / "league.toml"
    text = "[[contestant]]\nname = 'a'\nbase = 'v3'\nmix = {sft = 0.5, synthetic = 0.5}\n"
    path.write_text(text + "[[contestant]]\nname = 'b'\nbase = 'v3'\n", encoding="utf-8")
    config = load_config("smoke", extra={"league": read_league(str(path))})
    contestants = entrants(config)
    assert contestants["a"].mix == {"sft": 0.5, "synthetic": 0.5} and contestants["b"].mix == {}
    assert not is_mix_league(contestants) and "sft" in all_sources(config)


def test_a_rows_mix_is_checked_with_the_others():
    rows = [{"name": "a", "base": "v3", "mix": {"sft": 0.5, "stories": 0.4}}, {"name": "b", "base": "v33"}]
    with pytest.raises(BadInput) as error:
        entrants(load_config("smoke", extra={"league": rows}))
    assert [problem.partition(";")[0] for problem in error.value.problems] == [
        "a: mix: unknown source 'stories'",
        "a: mix: ratios sum to 0.9, not 1",
        "unknown contestant 'v33'",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mixes", "9"], "give --target"),
        (["--target", "sft=1"], "--target goes with --mixes"),
        (["--model", "v3"], "--model goes with --mixes"),
        (["--mixes", "9", "--target", TARGET, "--only", "v3"], "--mixes and --only both say who enters"),
        (["--mixes", "9", "--target", TARGET, "--resume"], "leave out --mixes"),
        (["--mixes", "8", "--target", TARGET], "--mixes 8: a fit over the 5 sources"),
        (["--mixes", "9", "--target", "sft"], "'sft' is not SOURCE=SHARE"),
        (["--mixes", "9", "--target", "sft=.5"], "ratios sum to 0.5, not 1"),
        (["--mixes", "9", "--target", TARGET, "--model", "v33"], "did you mean 'v3'"),
        (["--mixes", "9", "--target", TARGET, "max_epochs=0.001"], "under the least share of 2%"),
    ],
)
def test_what_cannot_be_a_league_of_mixes_is_refused(words, message, capsys):
    assert main(["--config", "smoke", "--plan", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_target_of_a_source_that_the_shards_lack_is_refused(tmp_path, capsys):
    words = ["--config", "smoke", "--data", "builtin", "--sources", "sft", "builtin_characters=100000"]
    assert prepare_data([*words, "vocab_size=400", "--out", str(tmp_path / "shards")]) == 0
    words = ["--config", "smoke", "--plan", "--data", str(tmp_path / "shards"), "vocab_size=400", "--mixes", "9"]
    assert main([*words, "--target", "SFT=.8,synthetic=.2"]) == 2
    assert "was prepared without SFT: it holds sft; did you mean 'sft'?" in capsys.readouterr().err


def test_the_plan_shows_what_each_would_read(capsys):
    words = ["--config", "smoke", "--mixes", "9", "--target", TARGET]
    assert main([*words, "--plan", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["mix"] for row in rows] == [dict(c.mix) for c in entrants(_config()).values()]
    assert main([*words, "--plan"]) == 0 and "personal %" in capsys.readouterr().out


def test_shares_are_read_as_they_are_written():
    assert read_shares("sft=.4, wiki=0.6", "/somewhere") == {"sft": 0.4, "wiki": 0.6}


def test_amounts_are_those_of_the_files(tmp_path):
    for name, size in (("sft", 3000), ("personal", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("x" * size, encoding="utf-8")
    config = load_config("smoke", [f"data.path={tmp_path}"])
    amounts = source_amounts(config, ["sft", "synthetic", "personal"])
    assert amounts == {"sft": 600.0, "synthetic": 400.0, "personal": 200.0}


def _outcome(contestant):
    """Losses that follow a law: a source's own share lowers its loss, the first of it most."""
    losses = {name: 5.0 * 0.5 ** (share**0.5) for name, share in contestant.mix.items()}
    target = {"sft": 0.4, "personal": 0.4, "synthetic": 0.2}
    documents = {
        name: {"share": share, "nats": [6 * losses[name], 4 * losses[name]], "tokens": [6, 4]}
        for name, share in target.items()
    }
    facts = {"other_sources": {name: loss for name, loss in losses.items() if name not in target}}
    return Outcome(sum(s * losses[n] for n, s in target.items()), documents=documents, facts=facts)


def _played(folder, failing=()):
    """A finished league whose losses follow that law, and what show_mixes prints of it."""
    config = _config(count=11)
    league = League(folder, config, Console(file=io.StringIO(), width=200))
    for name, contestant in league.contestants.items():
        run, outcome = Run(name, 0), _outcome(contestant)
        outcome = Outcome(None, "diverged", "nan") if name in failing else outcome
        league.record(run, outcome, league.bracket.report(run, 0, outcome))
    assert league.close("sha")
    show_mixes(league.console, folder)
    return _read(folder / MIXES), league.console.file.getvalue()


def test_the_league_proposes_a_mix_and_writes_it_as_a_curriculum(tmp_path):
    document, text = _played(tmp_path)
    best, proposal = document["mixes"][0], document["proposal"]
    assert [row["loss"] for row in document["mixes"]] == sorted(row["loss"] for row in document["mixes"])
    assert set(best["losses"]) == set(best["mix"]) == {"tinystories", "fineweb_edu", "synthetic", "sft", "personal"}
    assert proposal["loss"] <= best["loss"] and document["rank_correlation"] == pytest.approx(1)
    assert document["law"]["log_loss"]["sft"] == pytest.approx(
        dict.fromkeys(best["mix"], 1.6094) | {"own_root": -0.6931}, abs=1e-3
    )
    stages = read_curriculum(tmp_path / PROPOSAL).stages
    assert [stage.mix for stage in stages] == [proposal["mix"]] * 2 and {s.learning_rate for s in stages} == {3e-4}
    assert stages[-1].schedule == "linear"
    assert "proposed" in text and f"--curriculum {tmp_path / PROPOSAL}" in text


def test_a_mix_that_failed_is_no_part_of_the_fit(tmp_path):
    document, _ = _played(tmp_path, failing=["mix03"])
    assert len(document["mixes"]) == 10 and "mix03" not in {row["contestant"] for row in document["mixes"]}
    assert document["law"]["degrees_of_freedom"] == 4


def test_the_report_shows_the_mixes_and_how_the_proposed_one_is_trained(tmp_path):
    folder = tmp_path / "tournament" / "mixes"
    document, _ = _played(folder)
    write_config(folder, _config(count=11), {"kind": "tournament"})
    text = report_markdown(league_report(read_league_files(folder))[0])
    (row,) = [line for line in text.splitlines() if line.startswith("| **proposed** |")]
    assert f"{document['proposal']['loss']:.4f} ± " in row
    assert f"curriculum run v3 --curriculum {folder / PROPOSAL}" in text


def test_without_enough_mixes_nothing_is_proposed(tmp_path):
    document, text = _played(tmp_path, failing=["mix01", "mix02", "mix03"])
    assert document["law"] is None and not (tmp_path / PROPOSAL).exists() and "Enter more with --mixes" in text
