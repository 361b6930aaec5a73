"""Early stopping checked: continue each stage that ended by plateau for two more windows with the stopper off.

    python tests/benchmarks/plateau_holds.py results/curriculum/RUN

The stage resumes from its own last checkpoint: same optimizer, rate, batches. It prints the gain per window beside the
config's threshold plus two standard errors. The run must have kept its stages in full (`keep_stages = "full"`).
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from curriculum.evidence import gain_per_window
from curriculum.stage_schedule import StageSchedule
from curriculum.train_loop import CurriculumRun
from hamner.runs.files import read_json
from hamner.training import checkpoint

WINDOWS = 2


def continue_stage(run: Path, record: dict) -> dict:
    """Two windows more of one stage; leaves the run untouched."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copy(run / "config.json", copy)
        (copy / "data").symlink_to((run / "data").resolve())
        curriculum = CurriculumRun(copy)
        curriculum.load(checkpoint.load(run / record["checkpoint"]), before_border=True)
        rule, losses = curriculum.settings.plateau, []
        curriculum.judge.stopper.rule = rule.model_copy(update={"strikes": 10**9})
        endless = curriculum.settings.model_copy(update={"max_steps": 10**9, "decay": "none"})
        curriculum.stage_end = StageSchedule(curriculum.stages[curriculum.place.stage_index], endless, is_last=False)
        for _ in range(WINDOWS * rule.window_steps):
            row = curriculum.step()
            if row["heldout_loss"] is not None:
                losses.append(row["heldout_loss"])
        gain = gain_per_window(losses, rule.window_steps // rule.evaluation_steps)
        return {
            "stage": record["stage"],
            "gain": gain.value,
            "standard_error": gain.error,
            "limit": rule.done_gain + 2 * gain.error,
            "evaluations": len(losses),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run's folder")
    run = parser.parse_args().run
    ended = [r for r in read_json(run / "stages.json")["stages"] if r["reason"] == "plateau"]
    print(f"{len(ended)} stages of {run.name} ended by plateau")
    for record in ended:
        row = continue_stage(run, record)
        answer = "holds" if row["gain"] < row["limit"] else "DOES NOT HOLD"
        print(
            f"{row['stage']:<16} gain {100 * row['gain']:+.2f} ± {100 * row['standard_error']:.2f} % a window "
            f"({row['evaluations']} evaluations), limit {100 * row['limit']:.2f} %: {answer}"
        )


if __name__ == "__main__":
    main()
