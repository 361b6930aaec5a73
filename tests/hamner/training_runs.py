"""Run folders of every kind, as training leaves them, in miniature."""

import json

from hamner.runs.files import append_json_line
from hamner.runs.metrics import Metrics

STAGES = {"structure": 12, "voice": 8}  # stage -> steps
PROMPT = "Once upon a time"


def write_run(folder, fields, rows, kind):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"kind": kind, "started": "2026-01-02T03:04:05+00:00", "config": {}})
    )
    metrics = Metrics(folder, fields)
    for row in rows:
        metrics.row(row)
    return folder


def write_curriculum(results, name="mine"):
    """Two stages; the held-out loss of the second begins higher, as of another mix."""
    fields = ("step", "phase", "loss", "mean_loss", "heldout_loss", "learning_rate", "tokens_per_second")
    rows, step = [], 0
    for number, (stage, length) in enumerate(STAGES.items()):
        for _ in range(length):
            step += 1
            loss = 5.0 + number - 0.1 * step
            heldout = loss + 0.5 if step % 4 == 0 else None
            rows.append(dict(zip(fields, (step, stage, loss, loss, heldout, 1e-3 / step, 100.0 * step), strict=True)))
    folder = write_run(results / "curriculum" / name, fields, rows, "curriculum")
    for step, stage in ((4, "structure"), (12, "structure"), (20, "voice")):
        append_json_line(
            folder / "samples.jsonl",
            {"step": step, "stage": stage, "samples": {"1 + 1 =": " 2", PROMPT: f" there was a fox {step}"}},
        )
    return folder


def write_league(results, name="first", contestants=("wide", "deep"), seeds=2, steps=10):
    """Two rounds; the second contestant is out after the first."""
    fields = ("step", "round", "loss", "learning_rate", "tokens_per_second", "heldout_loss", "heldout_loss_of_grid")
    league = results / "tournament" / name
    for number, contestant in enumerate(contestants):
        for seed in range(seeds):
            rows = []
            for step in range(1, steps + 1 if number == 0 else steps // 2 + 1):
                loss = 7.0 + 0.1 * number - 0.2 * step + 0.01 * seed
                ranked = loss if step in (steps // 2, steps) else None
                values = (step, 1 + (step > steps // 2), loss + 0.1, 1e-3, 50.0, ranked, loss)
                rows.append(dict(zip(fields, values, strict=True)))
            write_run(league / (f"{contestant}-seed{seed}" if seed else contestant), fields, rows, "tournament")
    (league / "config.json").write_text(
        json.dumps({"kind": "tournament", "started": "2026-01-01T03:04:05+00:00", "config": {}})
    )
    return league


def write_finetuning(results, name="mine"):
    fields = ("step", "loss", "heldout_loss", "heldout_word_loss", "heldout_end_loss", "learning_rate")
    rows = [
        dict(zip(fields, (step, 3 / step, 4 / step, 5 / step, 1 / step, 1e-4), strict=True)) for step in range(1, 6)
    ]
    return write_run(results / "sft" / name, fields, rows, "sft")
