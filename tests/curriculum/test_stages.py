"""The stage table and what is refused of it."""

import dataclasses

import pytest

from curriculum.stages import SEED, stage_index, stage_problems
from hamner.config import BadInput


def test_the_table_is_the_recorded_one():
    assert [s.name for s in SEED] == ["structure", "reasoning", "knowledge", "context", "deep_knowledge",
                                      "dialogue", "synthesis", "voice"]
    assert [s.level for s in SEED] == [1, 3, 3, 4, 4, 4, 5, 5]
    assert [s.learning_rate for s in SEED] == [3e-4, 2.5e-4, 2e-4, 1.5e-4, 1.2e-4, 8e-5, 5e-5, 3e-5]
    shares = [tuple(s.mix.get(n, 0) for n in ("synthetic", "tinystories", "fineweb_edu", "sft", "personal"))
              for s in SEED]
    assert shares == [
        (.30, .70, 0, 0, 0), (.55, .35, .10, 0, 0), (.20, .20, .60, 0, 0), (.35, .20, .35, .10, 0),
        (.25, .15, .40, .15, .05), (.15, .15, .20, .40, .10), (.20, .15, .25, .25, .15),
        (.15, .10, .15, .25, .35)]
    assert list(stage_problems(SEED)) == []


def test_every_problem_of_a_bad_table_is_named():
    bad = (SEED[1], dataclasses.replace(SEED[0], mix={"synthetic": .5, "tinystorys": .6}, level=6, learning_rate=0))
    problems = "\n".join(stage_problems(bad))
    for part in ("did you mean 'tinystories'", "sum to 1.1", "level 6", "learning rate 0", "drops fineweb_edu"):
        assert part in problems


def test_stages_count_from_one_or_go_by_name():
    assert (stage_index("1"), stage_index("8"), stage_index("voice")) == (0, 7, 7)
    for word in ("0", "9", "-1", "voyce"):
        with pytest.raises(BadInput, match="unknown stage"):
            stage_index(word)
    with pytest.raises(BadInput, match="did you mean 'voice'"):
        stage_index("voyce")
