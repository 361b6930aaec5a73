"""A curriculum that goes on with fewer workers (compute.min_workers): what each computes, and what stays."""

import pytest
from run_files import rows

from curriculum.memory import accumulation_steps
from curriculum.stages import Stage
from hamner.config.errors import BadInput
from hamner.config.load import load_config


def _config(*words):
    return load_config("smoke", words, "curriculum")


@pytest.mark.parametrize(
    ("rows", "all_workers", "steps", "workers", "parts"),
    [
        (24, 4, 1, 4, 1),
        (24, 4, 1, 3, 2),  # 8 rows, of which 6 at a time are too many a part of 4
        (24, 4, 1, 2, 2),
        (24, 4, 1, 1, 4),
        (24, 4, 2, 1, 8),
        (16, 2, 4, 1, 8),
    ],
)
def test_fewer_workers_compute_no_more_rows_at_a_time(rows, all_workers, steps, workers, parts):
    least = 1 if all(rows % number == 0 for number in range(1, all_workers)) else all_workers
    words = (f"batch_size={rows}", f"workers={all_workers}", f"gradient_accumulation_steps={steps}")
    config = _config(*words, f"min_workers={least}")
    assert accumulation_steps(config, workers) == parts
    assert rows // workers % parts == 0 and rows // workers // parts <= rows // (all_workers * steps)
    assert accumulation_steps(_config(*words), workers) == steps  # without min_workers as ever


def test_a_batch_that_some_number_of_workers_could_not_share_is_refused_before_anything_starts():
    with pytest.raises(BadInput, match="16 cannot be shared by 3:") as caught:
        _config("batch_size=16", "workers=4", "min_workers=2")
    assert len(caught.value.problems) == 1
    assert _config("batch_size=24", "workers=4", "min_workers=1").compute.min_workers == 1


@pytest.mark.slow
def test_one_worker_of_two_trains_in_parts_to_the_same_losses_but_for_rounding(course):
    stage = Stage(name="a", mix={"tinystories": 0.5, "synthetic": 0.5}, levels=(0.5, 0.5), learning_rate=1e-3, steps=15)
    losses = []
    for name, words in (("whole", ()), ("parts", ("workers=2", "min_workers=1"))):
        run = course(stage, name=name, words=words)
        run.run()
        run.close()
        losses.append([float(row["loss"]) for row in rows(run)])
    assert ", 1 of 2 workers" in (run.folder / "run.log").read_text()
    assert run.session.setup.gradient_accumulation_steps == 2
    assert len(losses[0]) == len(losses[1]) == 15
    assert max(abs(a - b) for a, b in zip(*losses, strict=True)) < 1e-5
