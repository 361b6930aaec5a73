"""Curricula by name, from a file, and as the control of another run."""

import json
import tomllib
from pathlib import Path

import pytest

from curriculum.controls import CONTROLS, FinishedRun, control_plan
from curriculum.curricula import find_curriculum, leave_out, read_curriculum
from curriculum.stages import CURRICULA, EIGHT_STAGES, stage_problems
from hamner.config.errors import BadInput
from hamner.config.load import load_config

CONFIG = load_config("smoke")
OWN_STAGES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "own_stages.toml"
FILE = """
[[stages]]
name = "stories"
mix = {tinystories = 0.8, synthetic = 0.2}
learning_rate = 3e-4
[[stages]]
name = "mixed"
mix = {tinystories = 0.4, synthetic = 0.2, sft = 0.4}
levels = [0.5, 0.5]
learning_rate = 1e-4
steps = 40
"""


def test_a_curriculum_is_found_by_name_and_by_file(tmp_path):
    for name, plan in CURRICULA.items():
        assert find_curriculum(name, None, CONFIG, tmp_path) == plan
    assert [stage.name for stage in CURRICULA["v3"].stages] == ["structure", "knowledge", "dialogue", "voice"]
    (tmp_path / "mine.toml").write_text(FILE)
    plan = find_curriculum(str(tmp_path / "mine.toml"), None, CONFIG, tmp_path)
    assert (plan.name, [s.levels for s in plan.stages], plan.stages[1].steps) == ("mine", [(1.0,), (0.5, 0.5)], 40)


def test_the_example_to_copy_is_the_shipped_curriculum():
    plan = read_curriculum(OWN_STAGES)
    flat = CURRICULA["flat"]
    assert plan.stages == flat.stages and plan.optimizer_at_stage_start == flat.optimizer_at_stage_start == "keep"
    assert plan.like is None
    assert plan.name not in {*CURRICULA, *CONTROLS}  # compare groups runs by this name


def test_the_example_shows_every_key_that_a_stage_has():
    text = OWN_STAGES.read_text(encoding="utf-8")
    shown = {line.lstrip("# ").split("=")[0].strip() for line in text.splitlines() if "=" in line}
    assert set(type(EIGHT_STAGES[0]).model_fields) <= shown
    assert {key for stage in tomllib.loads(text)["stages"][:8] for key in stage} == {
        "name",
        "mix",
        "levels",
        "learning_rate",
    }


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("tinystories = 0.8", "tinystories = 0.9", ["stage 'stories'", "sum to 1.1"]),
        ("tinystories = 0.8", '"../stories" = 0.8', ["'../stories'"]),
        ("tinystories = 0.8", "tinystories = -0.8", ["'tinystories' is -0.8"]),
        ("levels = [0.5, 0.5]", "levels = [0.5, 0.6]", ["stage 'mixed'", "[0.5, 0.6]"]),
        ("learning_rate = 1e-4", "learning_rte = 1e-4", ["stage 2 'mixed'", "'learning_rte'", "'learning_rate'"]),
        ("learning_rate = 1e-4", "learning_rate = 0", ["stage 2 'mixed'", "'learning_rate' = 0", "greater than 0"]),
        ('name = "mixed"', 'name = "stories"', ["stage 'stories'", "2 stages"]),
        ('name = "mixed"', 'name = "../mixed"', ["stage 2", "'../mixed'", "pattern"]),
        ('name = "mixed"\n', "", ["stage 2", "'name' is missing"]),
        ("steps = 40", "steps = 0", ["stage 2 'mixed'", "'steps' = 0", "greater than 0"]),
        ("steps = 40", 'schedule = "cosine"', ["stage 'mixed'", "schedule", "give steps"]),
        (FILE, "", ["'stages' is missing"]),
        (FILE, "stages = []", ["'stages'"]),
        (FILE, "stages = [1]", ["'stages 1'"]),
        (FILE, 'nme = "mine"\n' + FILE, ["'nme'", "'name'"]),
        ("[[stages]]", "[[stages]", ["is not valid TOML", "line 2"]),
    ],
)
def test_a_bad_file_gets_one_problem_with_its_place_and_value(tmp_path, old, new, parts):
    path = tmp_path / "mine.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(BadInput) as error:
        read_curriculum(path)
    problems = [line for line in error.value.problems if all(part in line for part in parts)]
    assert problems and all(line.startswith(str(path)) for line in error.value.problems)


@pytest.mark.mended("newcomer: a key where WHO belongs")
def test_a_key_in_the_place_of_who_is_not_a_model(capsys):
    from curriculum.run import main

    assert main(["--config", "smoke", "seed=3"]) == 2
    assert "WHO is missing before 'seed=3': give winner" in capsys.readouterr().err


def test_all_problems_of_a_file_are_said_at_once(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        FILE.replace("learning_rate = 3e-4", "learning_rte = 0\nlevels = [0.4]")
        .replace("tinystories = 0.4", "tinystories = 0.5")
        .replace("steps = 40", "exact = true")
        + '[[stages]]\nname = "third"\nmix = {tinystories = "much"}\nlearning_rate = 1e-4\n'
    )
    with pytest.raises(BadInput) as error:
        read_curriculum(path)
    wrong = [
        "'learning_rte'",
        "'learning_rate' is missing",
        "[0.4]",
        "sum to 1.1",
        "exact = true",
        "'mix.tinystories' = 'much'",
    ]
    assert len(error.value.problems) == len(wrong)
    for part in wrong:
        assert sum(part in line for line in error.value.problems) == 1, part


def test_sources_are_left_out_of_all_stages_and_the_others_take_their_share():
    flat = CURRICULA["flat"]
    plan = leave_out(flat, ("sft", "personal"))
    assert plan.name != flat.name and len(plan.stages) == len(flat.stages)  # compare groups runs by the name
    assert list(stage_problems(plan.stages)) == []
    voice, before = plan.stages[7].mix, flat.stages[7].mix  # synthetic .15, tinystories .10, fineweb_edu .15 of .40
    assert voice == pytest.approx({name: before[name] / 0.4 for name in ("synthetic", "tinystories", "fineweb_edu")})
    assert plan.stages[0].mix == pytest.approx(flat.stages[0].mix) and leave_out(flat, ()) is flat
    with pytest.raises(BadInput, match="--without sff: no stage of flat reads it; did you mean 'sft'"):
        leave_out(flat, ("sff",))
    with pytest.raises(BadInput, match="leaves stage 'structure' no source"):
        leave_out(flat, ("synthetic", "tinystories"))


def _finished_run(tmp_path):
    folder = tmp_path / "curriculum" / "base"
    (folder / "final").mkdir(parents=True)
    document = {
        "config": CONFIG.model_dump(mode="json"),
        "curriculum": {"name": "seed", "stages": [stage.model_dump(mode="json") for stage in EIGHT_STAGES]},
    }
    (folder / "config.json").write_text(json.dumps(document))
    (folder / "stages.json").write_text(
        json.dumps(
            {
                "stages": [
                    {"number": 1, "steps": 10, "rows": {"synthetic": 12, "tinystories": 28}},
                    {
                        "number": 2,
                        "steps": 30,
                        "rows": {"synthetic": 66, "tinystories": 42, "fineweb_edu": 12, "sft": 0},
                    },
                ]
            }
        )
    )


def test_controls_repeat_the_tokens_of_their_run(tmp_path):
    _finished_run(tmp_path)
    joint = find_curriculum("joint", "base", CONFIG, tmp_path)
    (only,) = joint.stages
    assert (only.steps, only.exact, only.learning_rate, joint.like) == (40, True, 3e-4, "base")
    assert only.mix == pytest.approx({"synthetic": 78 / 160, "tinystories": 70 / 160, "fineweb_edu": 12 / 160})
    assert only.levels == pytest.approx(((12 + 0.15 * 66) / 78, 0.15 * 66 / 78, 0.70 * 66 / 78))
    shuffled = find_curriculum("shuffled", "base", CONFIG, tmp_path)
    assert [(s.name, s.steps, s.learning_rate) for s in shuffled.stages] == [
        ("structure", 10, 3e-4),
        ("reasoning", 30, 2.5e-4),
    ]
    assert all(stage.mix == only.mix and stage.levels == only.levels for stage in shuffled.stages)


def test_a_control_cannot_repeat_a_rate_that_a_resume_scaled(tmp_path):
    _finished_run(tmp_path)
    path = tmp_path / "curriculum" / "base" / "config.json"
    document = json.loads(path.read_text())
    entry = {"step": 1, "stage": None, "keep_weights": False, "skip_batches": 2, "learning_rate_scale": 0.5}
    path.write_text(json.dumps(document | {"interventions": [entry]}))
    with pytest.raises(BadInput, match="its learning rate was scaled on a resume"):
        find_curriculum("joint", "base", CONFIG, tmp_path)
    path.write_text(json.dumps(document | {"interventions": [entry | {"learning_rate_scale": 1.0}]}))
    find_curriculum("joint", "base", CONFIG, tmp_path)


def _flat_run():
    """Two stages and the decay, as they were trained; the second had lost sft at its end."""
    records = (
        {"number": 7, "steps": 30, "rows": {"synthetic": 24, "tinystories": 96, "sft": 0}},
        {"number": 8, "steps": 0, "rows": {"synthetic": 0, "tinystories": 0, "sft": 0}},
        {"number": 9, "steps": 10, "rows": {"synthetic": 8, "tinystories": 20, "sft": 12}},
    )
    return FinishedRun("base", CURRICULA["flat"], records)


def test_joint_has_the_decay_of_its_run_and_not_a_token_more_or_less():
    plan = control_plan("joint", _flat_run())
    joint, decay = plan.stages
    assert (joint.name, joint.steps, joint.schedule) == ("joint", 30, "constant")
    assert (decay.name, decay.steps, decay.schedule, decay.run_share) == ("anneal", 10, "linear", None)
    assert joint.exact and decay.exact and joint.learning_rate == decay.learning_rate == 3e-4
    assert joint.mix == decay.mix == pytest.approx({"synthetic": 32 / 160, "tinystories": 116 / 160, "sft": 12 / 160})
    assert plan.optimizer_at_stage_start == "keep" and list(stage_problems(plan.stages)) == []


def test_the_other_controls_change_the_order_or_the_rates_alone():
    shuffled = control_plan("shuffled", _flat_run())
    assert [(s.name, s.steps, s.learning_rate) for s in shuffled.stages] == [
        ("synthesis", 30, 3e-4),
        ("anneal", 10, 3e-4),
    ]
    assert shuffled.stages[0].mix == shuffled.stages[1].mix and shuffled.optimizer_at_stage_start == "keep"
    seed = control_plan("seed", _flat_run())
    (only,) = seed.stages  # the decay's text goes to the stage before it
    assert (only.name, only.steps, only.learning_rate, only.schedule) == ("synthesis", 40, 5e-5, "constant")
    assert only.mix == control_plan("joint", _flat_run()).stages[0].mix
    assert seed.optimizer_at_stage_start == "reset"
    strange = FinishedRun("x", CURRICULA["pretrain_v2"], ({"number": 1, "steps": 3, "rows": {"fineweb_edu": 9}},))
    with pytest.raises(BadInput, match="pretrain is no stage of seed"):
        control_plan("seed", strange)


def test_keys_that_change_no_number_may_differ(tmp_path):
    _finished_run(tmp_path)
    words = ["strikes=9", "curriculum.log_every=3", "worker_threads=2", "max_steps=7", "keep_every=2"]
    assert find_curriculum("joint", "base", load_config("smoke", words, "curriculum"), tmp_path).stages[0].steps == 40


def test_a_control_leaves_out_sources_and_stages_that_were_never_read():
    records = (
        {"number": 1, "steps": 5, "rows": {"synthetic": 0, "tinystories": 20}},
        {"number": 2, "steps": 0, "rows": {"synthetic": 0, "tinystories": 0}},
    )
    run = FinishedRun("x", CURRICULA["seed"], records)
    assert [stage.steps for stage in control_plan("shuffled", run).stages] == [5]
    (only,) = control_plan("joint", run).stages
    assert only.mix == {"tinystories": 1.0} and only.levels == (1.0,)


@pytest.mark.parametrize(
    ("name", "like", "words", "part"),
    [
        ("joint", None, [], "--like RUN"),
        ("v3", "base", [], "--like base"),
        ("joint", "bose", [], "'base'"),
        ("joynt", None, [], "'joint'"),
        ("joint", "base", ["seed=3"], "seed: the run has 0, now 3"),
        ("joint", "base", ["weight_decay=0.0"], "optimizer.weight_decay: the run has 0.1, now 0.0"),
        (
            "joint",
            "base",
            ["data.builtin_characters=700000"],
            "data.builtin_characters: the run has 600000, now 700000",
        ),
        ("shuffled", "base", ["curriculum.batch_size=8", "decay=run"], "curriculum.batch_size: the run has 4, now 8"),
    ],
)
def test_a_control_that_would_differ_in_more_is_refused(tmp_path, name, like, words, part):
    _finished_run(tmp_path)
    with pytest.raises(BadInput) as error:
        find_curriculum(name, like, load_config("smoke", words, "curriculum"), tmp_path)
    assert part in str(error.value)
