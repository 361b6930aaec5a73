"""The data budget: scarce text goes to its own stage first, nothing is dealt twice, a stage that starves is named."""

import io
import random

import pytest
from rich.console import Console

from curriculum.budget import deal, limits, own_stage, plan_budget, planned_steps, served_first, thin_problems
from curriculum.budget_table import budget_of, print_budget, share_text
from curriculum.stages import EIGHT_STAGES, FLAT, Stage
from hamner.config.schema import Curriculum

SETTINGS = Curriculum()
# tokens of the recorded run's conversations and voice; web text and stories without end
AVAILABLE = {"sft": 4 * 1_400_000 // 1024, "personal": 4 * 500_000 // 1024, "tinystories": 10**9, "fineweb_edu": 10**9}


def _stage(name, **mix):
    return Stage(name=name, mix=mix, learning_rate=1e-3)


def test_a_stage_is_planned_with_its_length_or_the_shortest_that_the_rule_allows():
    stage = EIGHT_STAGES[0]
    assert planned_steps([stage], SETTINGS) == [7000]  # the third agreeing look from step 5,000 on
    assert planned_steps([stage.model_copy(update={"steps": 300})], SETTINGS) == [300]
    assert planned_steps([stage], Curriculum(max_steps=400)) == [400]
    assert planned_steps(FLAT, SETTINGS) == [7000] * 8 + [14_000]  # the decay is a fifth of 70,000
    assert planned_steps(FLAT[6:], SETTINGS, steps_before=60_000) == [7000, 7000, 18_500]


def test_the_stage_about_a_source_is_named_after_it_or_reads_most_of_it():
    assert own_stage("sft", EIGHT_STAGES) == 5 and own_stage("personal", EIGHT_STAGES) == 7
    assert own_stage("wiki", [_stage("a", wiki=0.9, sft=0.1), _stage("wiki", wiki=0.5, sft=0.5)]) == 1
    assert own_stage("wiki", EIGHT_STAGES) is None


def test_a_scarce_source_goes_to_its_own_stage_first_and_the_rest_in_proportion():
    assert deal([10, 20, 30], 45, [2]) == [5, 10, 30]
    assert deal([10, 20, 30], 25, [2]) == [0, 0, 25]
    assert deal([10, 20, 30], 30, []) == [5, 10, 15]
    assert deal([10, 20, 30], 56, [2, 1]) == [6, 20, 30]
    assert deal([10, 20, 30], 35, [2, 1]) == [0, 5, 30]


def test_a_decay_is_served_after_the_stage_that_a_source_is_named_after_and_before_the_others():
    assert served_first("personal", FLAT) == [7, 8] and served_first("sft", FLAT) == [5, 8]
    enough = AVAILABLE | {"personal": 24 * 14_000 * 0.20 + 24 * 7000 * 0.35 + 1000}
    budgets = plan_budget(FLAT, planned_steps(FLAT, SETTINGS), 24, enough)
    assert [round(budgets[index].mix["personal"], 2) for index in (7, 8)] == [0.35, 0.20]
    assert 0 < budgets[5].mix["personal"] < 0.02  # of 10 %


def test_where_there_is_enough_every_stage_has_its_own_mix_to_the_bit():
    budgets = plan_budget(EIGHT_STAGES, [7000] * 8, 24, dict.fromkeys(AVAILABLE, 10**9))
    assert [budget.mix for budget in budgets] == [stage.mix for stage in EIGHT_STAGES]
    assert thin_problems(budgets, 4) == []


def test_the_recorded_amounts_leave_dialogue_and_voice_without_their_text_and_that_is_said():
    budgets = plan_budget(EIGHT_STAGES, [7000] * 8, 24, AVAILABLE)
    dialogue, voice = budgets[5].mix, budgets[7].mix
    assert dialogue["sft"] == pytest.approx(0.0325, abs=1e-4) and voice["personal"] == pytest.approx(0.0115, abs=1e-4)
    assert "sft" not in voice and "personal" not in dialogue
    problems = thin_problems(budgets, 4)
    assert [problem.split("'")[1] for problem in problems] == ["dialogue", "voice"]
    assert "asks for 40% sft and can have 3.2%" in problems[0] and "--allow-thin" in problems[0]


def test_half_of_the_main_source_is_enough():
    stages = [_stage("a", wiki=0.5, synthetic=0.5)]
    spare = 2  # rows
    enough = plan_budget(stages, [100], 10, {"wiki": 250 + spare})
    assert thin_problems(enough, 1) == [] and enough[0].mix == pytest.approx({"wiki": 0.25, "synthetic": 0.75})
    assert len(thin_problems(plan_budget(stages, [100], 10, {"wiki": 249 + spare}), 1)) == 1


@pytest.mark.parametrize("seed", range(200))
def test_no_row_is_dealt_twice_and_what_one_source_lacks_the_others_fill(seed):
    rng = random.Random(seed)
    names = ["synthetic", "a", "b", "c"]
    stages, steps = [], []
    for number in range(rng.randint(1, 6)):
        weights = {name: rng.random() for name in names if name == "synthetic" or rng.random() < 0.7}
        total = sum(weights.values())
        stages.append(_stage(f"s{number}", **{name: weight / total for name, weight in weights.items()}))
        steps.append(rng.randint(1, 500))
    available = {name: rng.choice([0, 5, 300, 3000, 10**6]) for name in "abc"}
    budgets = plan_budget(stages, steps, 8, available)
    for name, rows in available.items():
        assert sum(budget.granted.get(name, 0) for budget in budgets) <= rows
    for budget in budgets:
        assert sum(budget.mix.values()) == pytest.approx(1) and set(budget.mix) <= set(budget.stage.mix)
        assert sum(budget.granted.values()) == pytest.approx(budget.rows, abs=len(names))
        for name, share in budget.mix.items():
            if name != "synthetic":
                assert share * budget.rows <= budget.granted[name] + 1.5


def test_a_stage_may_read_what_later_ones_do_not_need():
    stages = [_stage("a", wiki=0.5, synthetic=0.5), _stage("wiki", wiki=1.0)]
    left = {"wiki": 1004.0}
    budgets = plan_budget(stages, [100, 60], 10, left)
    assert [budget.granted["wiki"] for budget in budgets] == [400, 600]
    assert limits(budgets, {"wiki": 50}, left) == {"wiki": 50 + 1004 - 600}


def test_the_table_numbers_the_stages_as_the_curriculum_does():
    class Tokens:
        def train(self, name):
            return range(10**9)

    console = Console(file=io.StringIO(), width=200)
    budgets = budget_of(Tokens(), EIGHT_STAGES[6:], SETTINGS, {})
    times = [["2.0 h", "Sun 23:00"], ["3.0 h", "Mon 02:00"]]
    print_budget(console, budgets, Tokens(), SETTINGS, first_stage=6, times=times)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert [line[:6] for line in lines if "h" in line] == [
        ["7", "synthesis", "7,000", "2.0", "h", "Sun"],
        ["8", "voice", "7,000", "3.0", "h", "Mon"],
    ]


def test_a_share_that_cannot_be_had_is_printed_beside_what_can():
    assert [share_text(0.35, 0.35), share_text(0.35, 0.012), share_text(0.0, 0.0)] == ["35%", "35% -> 1.2%", ""]
