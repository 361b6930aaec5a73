"""Curricula by name, from a file, and as the control of another run."""

import json

import pytest

from curriculum.curricula import control, find_curriculum, read_curriculum
from curriculum.stages import CURRICULA, SEED
from hamner.config.errors import BadInput
from hamner.config.load import load_config

CONFIG = load_config("smoke")
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


def test_names_and_files(tmp_path):
    for name, stages in CURRICULA.items():
        assert find_curriculum(name, None, CONFIG, tmp_path).stages == stages
    assert [stage.name for stage in CURRICULA["v3"]] == ["structure", "knowledge", "dialogue", "voice"]
    (tmp_path / "mine.toml").write_text(FILE)
    found = find_curriculum(str(tmp_path / "mine.toml"), None, CONFIG, tmp_path)
    assert (found.name, [s.levels for s in found.stages], found.stages[1].steps) == ("mine", [(1.0,), (0.5, 0.5)], 40)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tinystories = 0.8", "tinystories = 0.9", "stage 'stories': ratios sum to 1.1, not 1"),
        ("tinystories = 0.8", "tinystoris = 0.8", "did you mean 'tinystories'"),
        ("tinystories = 0.8", "tinystories = -0.8", "the ratio of 'tinystories' is -0.8; it must be above 0"),
        (
            "tinystories = 0.4, synthetic = 0.2, sft = 0.4",
            "tinystories = 0.6, sft = 0.4",
            "stage 'mixed' drops synthetic",
        ),
        ("levels = [0.5, 0.5]", "levels = [0.5, 0.6]", "must be shares of 0 or more that sum to 1"),
        ("learning_rate = 1e-4", "learning_rte = 1e-4", "unknown key 'stages.1.learning_rte'"),
        ("learning_rate = 1e-4", "learning_rate = 0", "greater than 0"),
        ('name = "mixed"', 'name = "stories"', "the name stands 2 times"),
        ('name = "mixed"', 'name = "../mixed"', "should match pattern"),
        ("steps = 40", "steps = 0", "greater than 0"),
        (FILE, "", "'stages' is missing"),
        ("[[stages]]", "[[stages]", "is no valid curriculum"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(BadInput) as error:
        read_curriculum(path)
    assert message in str(error.value)


def _finished(tmp_path, **changes):
    folder = tmp_path / "curriculum" / "base"
    (folder / "final").mkdir(parents=True)
    document = {
        "config": CONFIG.model_dump(mode="json"),
        "curriculum": {"name": "seed", "stages": [stage.model_dump(mode="json") for stage in SEED]},
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
    _finished(tmp_path)
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


def test_what_changes_no_number_may_differ(tmp_path):
    _finished(tmp_path)
    words = ["strikes=9", "curriculum.log_every=3", "worker_threads=2", "max_steps=7", "keep_every=2"]
    assert find_curriculum("joint", "base", load_config("smoke", words, "curriculum"), tmp_path).stages[0].steps == 40


def test_a_control_leaves_out_what_was_never_read():
    records = [
        {"number": 1, "steps": 5, "rows": {"synthetic": 0, "tinystories": 20}},
        {"number": 2, "steps": 0, "rows": {"synthetic": 0, "tinystories": 0}},
    ]
    assert [stage.steps for stage in control("shuffled", "x", list(SEED), records).stages] == [5]
    (only,) = control("joint", "x", list(SEED), records).stages
    assert only.mix == {"tinystories": 1.0} and only.levels == (1.0,)


@pytest.mark.parametrize(
    ("name", "like", "words", "message"),
    [
        ("joint", None, [], "name it with --like RUN"),
        ("seed", "base", [], "--like base goes with --curriculum joint or shuffled"),
        ("joint", "bose", [], "did you mean 'base'"),
        ("joynt", None, [], "did you mean 'joint'"),
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
def test_what_is_refused(tmp_path, name, like, words, message):
    _finished(tmp_path)
    with pytest.raises(BadInput) as error:
        find_curriculum(name, like, load_config("smoke", words, "curriculum"), tmp_path)
    assert message in str(error.value)
