"""Make run folders of the present formats, which every later version must go on reading.

    python tests/old_runs/make.py [KIND ...]     # three minutes on two cores; writes tests/old_runs/generation_<next>/

A generation is added whenever the format of a file is raised, of the kinds of run that have such a file. Those of
before stay as they are: a number counts generations, and each file in them says which format it has itself. Each is
what the real command leaves when it is told to stop in the middle, as far as it travels with its weights, so that
`$HAMNER_RESULTS` stands for the results folder; the text that it reads lies beside it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))

from hamner.runs.folders import step_folders  # noqa: E402
from hamner.runs.travelling import packed_files, packing_list  # noqa: E402

HERE = Path(__file__).parent
NAME = "old"
STAGES = """name = "two"

[[stages]]
name = "structure"
mix = {tinystories = 0.75, synthetic = 0.25}
levels = [1.0]
learning_rate = 3e-4
steps = 6

[[stages]]
name = "reasoning"
mix = {tinystories = 0.5, synthetic = 0.5}
levels = [0.5, 0.5]
learning_rate = 3e-4
steps = 600
"""
SMALL = (
    *("size.divide=64", "size.min_head_size=2", "size.vocab_size=320"),
    *("data.builtin_characters=24_000", "data.bpe_characters=20_000", "data.heldout_sequences=16"),
    *("tournament.seq_len=32", "curriculum.seq_len=32", "finetuning.seq_len=64"),
)
COMMANDS = {  # kind: its command
    "tournament": (
        *("tournament", "--config", "smoke", "--only", "v01_dense_small", "--only", "v03_diffattn_small"),
        *("tournament.mix={tinystories=0.75,synthetic=0.25}", "report=[]", "seeds=1", "steps=[6,60]", "keep=[2,1]"),
        *(
            "tournament.eval_sequences=8",
            "tournament.checkpoint_every=6",
            "tournament.log_every=1",
            "tournament.keep_checkpoints=1",
        ),
    ),
    "curriculum": (
        *("curriculum.run", "v3", "--config", "smoke", "--curriculum", "stages.toml", "--allow-thin"),
        *("curriculum.eval_sequences=8", "skill_items=2", "max_epochs=1000", "max_steps=600", "checkpoint_every=6"),
        *("curriculum.log_every=1", "sample_tokens=4", "sample_every=6", "keep_checkpoints=2", "decay_steps=1"),
    ),
    "sft": (
        *("hamner.sft", NAME, "finetuning.sources={builtin=1}", "identity=0.0", "finetuning.max_steps=600"),
        *("epochs=1000", "finetuning.batch_size=4", "evaluations=60", "patience=60", "finetuning.log_every=1"),
        *("finetuning.eval_sequences=4", "finetuning.checkpoint_every=10"),
    ),
}
LOG = "bracket.jsonl"  # of a league: there while a round is in the middle
MIDDLE = {"curriculum": 18, "sft": 20}  # kind: the step from which on it is in the middle


def next_generation() -> Path:
    """A folder that is not there yet, so that no generation of before is written over."""
    numbers = [int(path.name.removeprefix("generation_")) for path in HERE.glob("generation_*")]
    return HERE / f"generation_{max(numbers, default=0) + 1}"


def make(kind: str, results: Path, out: Path) -> None:
    """Run the command of a kind until it is in the middle, stop it, and keep what it has left."""
    module, *words = COMMANDS[kind]
    (results / "stages.toml").write_text(STAGES)
    words = [*words, "--name", NAME, *(() if kind == "sft" else SMALL)]
    if kind == "tournament":  # one contestant at a time: a round is in the middle when the first has reported
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    environment = os.environ | {"HAMNER_RESULTS": str(results), "PYTHONPATH": str(REPO)}
    process = subprocess.Popen([sys.executable, "-m", module, *words], cwd=results, env=environment)
    while process.poll() is None and not is_in_the_middle(kind, results / kind / NAME):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    print(f"{module}: exit code {process.wait()}")
    keep(results / kind / NAME, out / kind / NAME)


def is_in_the_middle(kind: str, run: Path) -> bool:
    """Whether a league has a report in its log, or the newest checkpoint of another run is far enough."""
    if kind == "tournament":
        return (run / LOG).is_file()
    steps = (int(path.name.removeprefix("step_")) for path in step_folders(run / "checkpoints"))
    return max(steps, default=0) >= MIDDLE[kind]


def keep(run: Path, out: Path) -> None:
    """Copy what travels of a run, and its text, but for its report, pictures and TensorBoard's files."""
    left_out = re.compile(r"events\.|report\.|\.png$")
    names = [name for name in packing_list(run, weights=True) if not left_out.search(name)]
    for name, content in packed_files(run, names, None).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    for path in (*run.glob("data/*.bin"), *run.glob("conversations/*.bin")):
        shutil.copyfile(path, out / path.relative_to(run))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place, generation = Path(os.environ.get("KEEP") or folder).resolve(), next_generation()
        for chosen in sys.argv[1:] or COMMANDS:
            make(chosen, place, generation)
