"""Two leagues side by side: settings that differ, who ended where, and how far the orders agree."""

import json

import pytest

from hamner.config.load import load_config
from hamner.runs.folders import write_config
from tournament.run import main

FIVE = ["a", "b", "c", "d", "e"]


def _league(results, name, order, *words, last=("advanced", "eliminated")):
    """A league of two rounds; contestants in this order in round 1, its first two the other way round in round 2."""
    folder = results / "tournament" / name
    folder.mkdir(parents=True)
    write_config(folder, load_config("smoke", words), {"kind": "tournament"})

    def rows(names, in_):
        return [
            {
                "rank": rank,
                "contestant": contestant,
                "heldout_loss": 4.0 + 0.1 * rank,
                "status": in_ if rank == 1 else "advanced" if in_ == "advanced" and rank == 2 else "eliminated",
            }
            for rank, contestant in enumerate(names, start=1)
        ]

    rounds = [{"standings": rows(order, "advanced")}, {"standings": rows(order[1::-1], "winner")}]
    (folder / "standings.json").write_text(json.dumps({"rounds": rounds}))


def _compare(capsys, results, *names):
    code = main(["compare", *names, "--results", str(results)])
    out, err = capsys.readouterr()
    return code, out, err


def _cells(out, name):
    line = next(line for line in out.splitlines() if line.startswith("│") and line.split("│")[1].strip() == name)
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_settings_places_and_orders_of_two_leagues(tmp_path, capsys):
    _league(tmp_path, "small", FIVE)
    _league(tmp_path, "large", ["b", "a", "c", "e", "d"], "seed=7", "size.divide=4", "curriculum.max_steps=30")
    code, out, _ = _compare(capsys, tmp_path, "small", "large")
    assert code == 0
    assert _cells(out, "seed") == ["seed", "0", "7"] and _cells(out, "size.divide") == ["size.divide", "8", "4"]
    assert "lr_scale" not in out  # the same in both
    assert "max_steps" not in out and "and 1 of the later steps, which no league reads" in out
    assert _cells(out, "a") == ["a", "2. out in round 2", "4.2000", "1. winner", "4.1000", "+1"]
    assert _cells(out, "d") == ["d", "4. out in round 1", "4.4000", "5. out in round 1", "4.5000", "-1"]
    assert _cells(out, "c")[-1] == "="
    assert "round 1: Kendall's τ = 0.60 (95 %:" in out and "5 contestants" in out
    assert "keep their order in large in 33 % (1 of 3)" in out  # of the nearest three, ab and de turned round
    assert out.count("keep their order in large in 100 %") == 2
    assert "final order: Kendall's τ = 0.60" in out


def test_the_same_league_agrees_with_itself(tmp_path, capsys):
    _league(tmp_path, "one", FIVE)
    _, out, _ = _compare(capsys, tmp_path, "one", "one")
    assert "the same settings" in out and "τ = 1.00 (95 %: 1.00 to 1.00)" in out


def test_leagues_with_few_contestants_in_common_are_set_side_by_side_without_an_order(tmp_path, capsys):
    _league(tmp_path, "one", FIVE)
    _league(tmp_path, "two", ["a", "b", "x", "y"])
    code, out, _ = _compare(capsys, tmp_path, "one", "two")
    assert code == 0 and "Kendall" not in out
    assert "round 1: 2 contestants in both; from 4 on their orders can be compared" in out
    assert _cells(out, "x") == ["x", "–", "–", "3. out in round 1", "4.3000", "–", "–"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one", "nothing"], "has no run 'nothing'"),
        (["one"], "RUN is missing"),
        (["one", "young"], "run 'young' has decided no round yet"),
        (["one", "torn"], "standings.json is broken"),
        (["one", "../one"], "run name '../one'"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(tmp_path, capsys, words, message):
    for name in ("one", "young", "torn"):
        _league(tmp_path, name, FIVE)
    (tmp_path / "tournament/young/standings.json").unlink()
    (tmp_path / "tournament/torn/standings.json").write_text('{"rounds": [{"standings": [{"rank": 1}]}]}')
    code, out, err = _compare(capsys, tmp_path, *words)
    assert code == 2 and out == "" and message in err and "Traceback" not in err


def test_losses_of_the_same_text_are_compared_with_an_interval(tmp_path, capsys):
    for name, words in (("one", []), ("two", ["lr_scale=5"]), ("other", ["seed=7"])):
        _league(tmp_path, name, FIVE if name == "one" else ["b", *"acde"], *words)
        path = tmp_path / "tournament" / name / "standings.json"
        document = json.loads(path.read_text())
        for played in document["rounds"]:
            played |= {"seed_sd": 0.03, "seed_df": 5, "shared_seed_sd": 0.04}
            for row in played["standings"]:
                row["seeds"] = 2
        path.write_text(json.dumps(document))
    _, out, _ = _compare(capsys, tmp_path, "one", "two")
    # Student's t of 5 degrees of freedom, 2.571, times hypot(0.03, 0.04) / sqrt(2); of a difference sqrt(2) as much
    assert _cells(out, "c")[2] == "4.3000 ± 0.0909" and _cells(out, "c")[-2] == "+0.0000 ± 0.1285 ="
    assert _cells(out, "b")[-2] == "+0.1000 ± 0.1285 =" and "other held-out text" not in out
    _, out, _ = _compare(capsys, tmp_path, "one", "other")
    assert "losses are of other held-out text (seed differ)" in out and "difference" not in out
