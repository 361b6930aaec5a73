"""The table of stages: what it holds, and which stages are refused."""

import pytest

from curriculum.stages import (
    CURRICULA,
    DEFAULT,
    EIGHT_STAGES,
    FLAT,
    decay_problems,
    first_stage_problems,
    stage_index,
    stage_problems,
)
from hamner.config.errors import BadInput
from hamner.config.schema import Curriculum


def test_the_table_is_the_recorded_one():
    assert [s.name for s in EIGHT_STAGES] == [
        "structure",
        "reasoning",
        "knowledge",
        "context",
        "deep_knowledge",
        "dialogue",
        "synthesis",
        "voice",
    ]
    assert [len(s.levels) for s in EIGHT_STAGES] == [1, 3, 3, 4, 4, 4, 5, 5]
    assert all(s.levels[-1] == max(s.levels) and min(s.levels) > 0 for s in EIGHT_STAGES)  # none is left out again
    assert [s.learning_rate for s in EIGHT_STAGES] == [3e-4, 2.5e-4, 2e-4, 1.5e-4, 1.2e-4, 8e-5, 5e-5, 3e-5]
    shares = [
        tuple(s.mix.get(n, 0) for n in ("synthetic", "tinystories", "fineweb_edu", "sft", "personal"))
        for s in EIGHT_STAGES
    ]
    assert shares == [
        (0.30, 0.70, 0, 0, 0),
        (0.55, 0.35, 0.10, 0, 0),
        (0.20, 0.20, 0.60, 0, 0),
        (0.35, 0.20, 0.35, 0.10, 0),
        (0.25, 0.15, 0.40, 0.15, 0.05),
        (0.15, 0.15, 0.20, 0.40, 0.10),
        (0.20, 0.15, 0.25, 0.25, 0.15),
        (0.15, 0.10, 0.15, 0.25, 0.35),
    ]
    assert list(stage_problems(EIGHT_STAGES)) == []


def test_every_problem_of_a_bad_table_is_named():
    bad = (
        EIGHT_STAGES[1],
        EIGHT_STAGES[0].model_copy(update={"mix": {"synthetic": 0.5, "../wiki": 0.6}, "levels": (0.5, 0.4)}),
        EIGHT_STAGES[1].model_copy(update={"levels": (0.1,) * 6, "schedule": "cosine"}),
        EIGHT_STAGES[2].model_copy(update={"levels": (1.5, -0.5), "exact": True}),
    )
    problems = "\n".join(stage_problems(bad))
    for part in (
        "'../wiki' cannot name a source",
        "sum to 1.1",
        "levels [0.5, 0.4] must be shares",
        "levels has 6 shares",
        "2 stages have this name",
        "schedule = cosine",
        "levels [1.5, -0.5] must",
        "exact = true needs",
    ):
        assert part in problems


@pytest.mark.parametrize("name", CURRICULA)
def test_shipped_curricula_are_sound(name):
    assert list(stage_problems(CURRICULA[name].stages)) == []


def test_a_stage_is_as_long_as_its_steps_and_the_cap_allow():
    pretrain = CURRICULA["pretrain_v2"].stages[0]
    assert pretrain.steps * 24 * 1024 == 2_613_657_600  # the recorded 2.614 billion tokens
    assert (pretrain.length(200_000), pretrain.length(100), EIGHT_STAGES[0].length(100)) == (106_350, 100, 100)
    assert EIGHT_STAGES[0].model_copy(update={"steps": 800, "exact": True}).length(100) == 800


def test_stages_count_from_one_or_go_by_name():
    assert (stage_index("1"), stage_index("8"), stage_index("voice"), stage_index("anneal")) == (0, 7, 7, 8)
    for word in ("0", "10", "-1", "²", "voyce"):
        with pytest.raises(BadInput, match="unknown stage"):
            stage_index(word)
    with pytest.raises(BadInput, match="did you mean 'voice'"):
        stage_index("voyce")


def test_flat_is_seed_at_its_first_rate_then_a_fifth_of_the_run_falling_to_nothing():
    flat, seed = CURRICULA["flat"], CURRICULA["seed"]
    assert DEFAULT == "flat" and (flat.optimizer_at_stage_start, seed.optimizer_at_stage_start) == ("keep", "reset")
    assert [s.model_copy(update={"learning_rate": 3e-4}) for s in seed.stages] == list(flat.stages[:8])
    anneal = flat.stages[8]
    assert (anneal.name, anneal.schedule, anneal.run_share, anneal.learning_rate) == ("anneal", "linear", 0.2, 3e-4)
    assert anneal.after(656).steps == 164 and anneal.after(656).length(100) == 164  # of 820; no cap
    assert anneal.after(1).steps == 1 and seed.stages[0].after(656) is seed.stages[0]


def test_a_share_of_the_run_is_one_length_and_needs_stages_before_it():
    share = EIGHT_STAGES[0].model_copy(update={"run_share": 0.2})
    assert "no stage comes before" in next(stage_problems([share]))
    both = [EIGHT_STAGES[0], EIGHT_STAGES[1].model_copy(update={"run_share": 0.2, "steps": 5})]
    assert "give one of them" in next(stage_problems(both))
    endless = [EIGHT_STAGES[0].model_copy(update={"schedule": "linear"})]
    assert "give steps, or run_share" in next(stage_problems(endless))


def test_a_run_does_not_begin_with_a_share_of_itself():
    (problem,) = first_stage_problems(FLAT, 8, has_deadline=False)
    assert "stage 'anneal' is a share of the whole run, and no stage comes before it" in problem
    assert not list(first_stage_problems(FLAT, 8, has_deadline=True))
    assert not list(first_stage_problems(FLAT, 7, has_deadline=False))


def test_a_second_decay_is_refused():
    (problem,) = decay_problems(CURRICULA["flat"], Curriculum(decay="run"))
    assert "anneal, is a decay already" in problem
    assert not list(decay_problems(CURRICULA["seed"], Curriculum(decay="run")))
