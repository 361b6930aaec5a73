"""Arms, claims and results of the concept experiments, on plain numbers."""

import math

import pytest

from hamner import pack, report, unpack
from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.data.concepts import test_items as items_of_cell
from hamner.data.concepts import training_items
from hamner.reports.html import report_html
from hamner.reports.markdown import report_markdown
from hamner.runs.files import write_json
from hamner.runs.folders import write_config
from tournament.bracket import Outcome, Run
from tournament.concept_arms import SUITES, arms_of
from tournament.concept_claims import CLAIMS, OrderClaim, claim_rows, claim_verdict, order_verdict
from tournament.concept_league import new_round
from tournament.concept_report import concept_report
from tournament.concept_results import cell_row, concept_results
from tournament.concept_training import item_errors
from tournament.concept_trial import contestants

LAPTOP = load_config("laptop", section="concepts")
ARMS = {arm.name: arm for arm in arms_of(("all",))}


def test_every_arm_is_whole():
    assert len(ARMS) == len(arms_of(("all",))) and {arm.suite for arm in ARMS.values()} == {"untrained", *SUITES}
    for arm in list(ARMS.values())[1:]:
        assert arm.main in arm.cells and all(items_of_cell(cell) for cell in arm.cells)
        assert all(math.isclose(sum(stage.mix.values()), 1) for stage in arm.stages)
        assert all(training_items(name) for name in arm.sources)


def test_steps_are_the_recorded_ones_divided():
    full, laptop = load_config("rtx3090", section="concepts"), LAPTOP
    assert ARMS["chain"].steps(full) == (3000, 3000, 3000) and ARMS["chain"].steps(laptop) == (150, 150, 150)
    assert [sum(ARMS[f"facts{n}"].steps(full)) for n in (10, 30, 50, 500)] == [3000, 3000, 5000, 50_000]
    assert ARMS["untrained"].steps(laptop) == ()


def test_arms_of_one_question_differ_in_that_alone():
    masked, packed = ARMS["qa-masked"], ARMS["qa-packed"]
    assert (masked.stages, masked.cells, masked.group, masked.rate) == (packed.stages, packed.cells, packed.group, None)
    assert (masked.loss, packed.loss) == ("masked", "packed")
    assert ARMS["seven-slow"].parameter_groups(20)[0].middle_layers == 6 and ARMS["seven"].parameter_groups(20) == ()
    assert ARMS["seven-slow"].parameter_groups(2)[0].middle_layers == 1
    assert [ARMS[f"replay{p}"].stages[1].mix.get("qa", 0) for p in (0, 10, 30, 50)] == [0, 0.1, 0.3, 0.5]
    assert [len(stage.mix) for stage in ARMS["incremental-replay"].stages] == [1, 2, 3, 4, 5]
    swept = [arm.learning_rate(LAPTOP) for arm in ARMS.values() if arm.group == "rate: echo"]
    assert sorted(swept) == [1e-5, 5e-5, 2e-4, 5e-4]


def test_suites_are_chosen_and_unknown_ones_named():
    assert {arm.suite for arm in arms_of(("retain", "compose"))} == {"untrained", "retain", "compose"}
    with pytest.raises(BadInput) as error:
        arms_of(("retian", "compose", "everything"))
    assert len(error.value.problems) == 2 and "retain" in error.value.problems[0]


def test_every_claim_is_of_an_arm_and_a_cell_that_are_there():
    for claim in CLAIMS:
        if isinstance(claim, OrderClaim):
            assert ARMS[claim.better].main == ARMS[claim.worse].main
        else:
            assert claim.cell in ARMS[claim.arm].cells and 0 <= claim.low < claim.high <= 1
            assert -len(ARMS[claim.arm].stages) <= claim.stage < len(ARMS[claim.arm].stages)


@pytest.mark.parametrize(
    "interval, verdict",
    [
        ((0.08, 0.39), "confirmed"),
        ((0.07, 0.40), "confirmed"),
        ((0.05, 0.30), "undecided"),
        ((0.0, 1.0), "undecided"),
        ((0.41, 0.60), "refuted"),
        ((0.0, 0.069), "refuted"),
    ],
)
def test_the_rule_of_claims(interval, verdict):
    assert claim_verdict(interval, 0.07, 0.40) == verdict


def test_the_rule_of_orders():
    claim = OrderClaim("topic", "text", better="a", worse="b")
    verdicts = [order_verdict(best, label, claim) for best in "ab" for label in ("settled", "contested", "unknown")]
    assert verdicts == ["confirmed", "undecided", "undecided", "refuted", "undecided", "undecided"]


def test_a_cell_has_both_intervals_and_the_wider_counts():
    count = len(items_of_cell("compare/seen"))
    alike = cell_row("compare/seen", ["1" * count] * 3)
    assert alike["seed_interval"] == [1.0, 1.0] and alike["interval"] == alike["wilson"] and alike["above_baseline"]
    apart = cell_row("compare/seen", ["1" * count, "0" * count])
    assert apart["accuracy"] == 0.5 and apart["interval"] == [0.0, 1.0] and not apart["above_baseline"]
    assert apart["wilson"][1] - apart["wilson"][0] < 0.1
    assert cell_row("compare/seen", ["1" * count])["seed_interval"] is None
    assert (alike["majority"], alike["chance"]) == (0.5, 0.5)


def _marks(cell, share):
    """Marks of a share of the items, evenly spread."""
    count = len(items_of_cell(cell))
    return "".join(str(int((i + 1) * share) - int(i * share)) for i in range(count))


def _outcome(arm, shares, moved=0.0):
    """What an arm reports. shares: of right answers, by cell; others 0.5. moved: by another seed, in every cell."""
    measured = [
        {cell: _marks(cell, min(1.0, shares.get((cell, index), 0.5) + moved)) for cell in arm.cells}
        for index in range(max(1, len(arm.stages)))
    ]
    marks = measured[-1][arm.main]
    facts = {"measured": measured, "seconds": 1.0}
    loss = 1 - marks.count("1") / len(marks)
    return Outcome(loss, rows=len(marks), documents=item_errors(arm.main, marks), facts=facts)


@pytest.fixture(scope="module")
def document():
    """A retain suite in which replay cures forgetting; one seed of an arm fails."""
    from hamner.config.presets import PRESETS

    arms = arms_of(("retain",))
    saved = type("Saved", (), {"model": PRESETS["v3"]})()
    bracket = new_round(arms, contestants(arms, LAPTOP, saved, 3), LAPTOP, saved.model)
    kept = {"replay0": 0.1, "replay10": 0.6, "replay30": 0.97, "replay50": 0.98}
    for run in list(bracket.runs(0)):
        arm = ARMS[run.contestant]
        shares = {("qa/seen", 0): 1.0}
        if arm.name in kept:
            shares["qa/seen", 1] = kept[arm.name]
        if arm.name == "chain":
            shares |= {("qa/seen", 1): 0.1, ("qa/seen", 2): 0.0}
        if run == Run("chat-then-qa", 2):
            bracket.report(run, 0, Outcome(None, failure="error", reason="crash: planted"))
        else:
            bracket.report(run, 0, _outcome(arm, shares, moved=0.01 * (run.seed - 1) if arm.name in kept else 0.0))
    assert bracket.is_over()
    base = {"who": "v3", "place": "", "parameters": 5, "tokenizer_sha256": ""}
    return concept_results("made", LAPTOP, arms, bracket, 3) | {"base": base}


def test_results_have_verdicts_between_arms_and_claims(document):
    groups = {group["group"]: group for group in document["comparisons"]}
    replay = {row["arm"]: row for row in groups["replay"]["rows"]}
    assert groups["replay"]["best"] == "replay50"
    assert replay["replay0"]["verdict"] == replay["replay10"]["verdict"] == "settled"
    assert replay["replay30"]["verdict"] == "contested"
    assert replay["replay0"]["behind"] == pytest.approx(0.88, abs=0.02)
    claims = {row["claim"]: row for row in document["claims"]}
    assert claims["30 % replay keeps more than none"]["verdict"] == "confirmed"
    assert claims["qa at first: 100 %"]["verdict"] == "confirmed"  # three seeds alike, 112 items: 97 to 100 %
    assert claims["qa after opposites: 10 %"]["verdict"] == "undecided"
    assert claims["qa after addition: 0 %"]["verdict"] == "confirmed"
    assert len(claims) == 5  # those of the suites that were played
    assert not any(row.get("unmet") for row in document["claims"])
    failed = {arm["arm"]: arm["failures"] for arm in document["arms"] if arm["failures"]}
    assert failed == {"chat-then-qa": {"2": "error: crash: planted"}}


def test_what_presupposes_a_skill_that_was_not_learnt_is_undecided():
    def arm(learnt, kept):
        cells = [{"qa/seen": {"accuracy": share, "interval": [share, share]}} for share in (learnt, kept, 0.0)]
        more = {"majority": 0.1, "chance": 0.1, "items": 100}
        return {"stages": [{"cells": {name: cell | more for name, cell in stage.items()}} for stage in cells]}

    for learnt, verdicts in (
        (0.9, ["refuted", "confirmed", "confirmed"]),
        (0.7, ["refuted", "undecided", "undecided"]),
    ):
        rows = claim_rows({"chain": arm(learnt, 0.1)}, lambda one, other: None)
        assert [row["verdict"] for row in rows] == verdicts
        assert [bool(row["unmet"]) for row in rows] == [False, learnt < 0.8, learnt < 0.8]


def test_the_page_says_what_the_numbers_say(document):
    report, summary = concept_report(document)
    page, text = report_html(report), report_markdown(report)
    counts = [sum(row["verdict"] == verdict for row in document["claims"]) for verdict in ("confirmed", "refuted")]
    assert f"{counts[0]} confirmed, {counts[1]} refuted" in summary.result
    assert "crash: planted" in text and "<script" not in page
    chain = next(arm for arm in document["arms"] if arm["arm"] == "chain")
    cell = chain["stages"][1]["cells"]["qa/seen"]
    row = next(line for line in text.splitlines() if line.startswith("| chain | 2 | qa/seen |"))
    assert [part.strip() for part in row.split("|")[4:5]] == [f"{100 * cell['accuracy']:.0f} %"]
    assert f"{100 * cell['majority']:.0f} %" in row and f"| {cell['items']} |" in row


def test_it_travels_with_its_result_and_its_base_and_is_reported_elsewhere(document, tmp_path, capsys):
    folder = tmp_path / "here" / "concepts" / "made"
    write_config(folder, LAPTOP, {"kind": "concepts"})
    write_json(folder / "concepts.json", document)
    (folder / "base").mkdir()
    (folder / "base" / "model.safetensors").write_bytes(b"weights")
    (folder / "base" / "state.json").write_text('{"place": "$HAMNER_RESULTS"}')  # sealed: no byte of it is changed
    archive, elsewhere = tmp_path / "made.zip", tmp_path / "elsewhere"
    assert pack.main([str(folder), "--weights", "--out", str(archive)]) == 0
    assert "no report is in it" in (out := capsys.readouterr().out) and "`hamner report made" in out
    assert unpack.main([str(archive), "--results", str(elsewhere)]) == 0
    assert "continue it: `tournament concepts" not in (out := capsys.readouterr().out) and "hamner report made" in out
    there = elsewhere / "concepts" / "made"
    assert report.main([str(there)]) == 0 and (there / "report.html").is_file()
    assert (there / "base" / "state.json").read_bytes() == (folder / "base" / "state.json").read_bytes()
    text = (there / "concepts.json").read_text(encoding="utf-8")
    (there / "concepts.json").write_text(text.replace('"format": 1', '"format": 2', 1), encoding="utf-8")
    assert report.main([str(there)]) == 2
    assert "concepts.json has format 2, written by a newer Hamner" in capsys.readouterr().err
