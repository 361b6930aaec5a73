"""Launch a fine-tuning: check it, prepare its conversations, train, in one process.

Data in: what the command line asks for, a config, the base's checkpoint. Data out: RUN/final/ and RUN/finetuning.json.
Everything that can be wrong is found before anything is written, but for what only reading the conversations shows: a
new run that fails there leaves nothing behind.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.cost import GIB, count_parameters
from hamner.config.errors import BadInput, Problems
from hamner.config.load import parse
from hamner.config.schema import Config, ModelConfig
from hamner.data.conversation_files import FACTS
from hamner.data.feedback import Feedback, corrections, read_feedback, read_feedback_file
from hamner.data.preparation.conversation_counts import Limits
from hamner.data.preparation.conversation_sources import find_conversations
from hamner.data.preparation.conversations import prepare_conversations
from hamner.data.preparation.corrections import base_conversations, check_enough, prepare_corrections
from hamner.data.preparation.for_run import prepare_again
from hamner.data.preparation.restore import damaged_text, lacks_conversations, restore_conversations
from hamner.data.tokenizer import Tokenizer
from hamner.runs.cluster import check_machine
from hamner.runs.compile_check import CAN_COMPILE, compile_facts
from hamner.runs.files import read_json, write_bytes
from hamner.runs.folders import PACKING_LIST, open_run, resume_command, run_above, store_config, write_config
from hamner.runs.json_lines import PRIVATE
from hamner.runs.lock import only_one
from hamner.runs.stopping import StopRequest, run_until_stopped
from hamner.runs.travelling import CORRECTIONS
from hamner.runs.trouble import remedy
from hamner.training.checkpoint import Checkpoint
from hamner.training.finetuning import CONVERSATIONS, KEEP_CHECKPOINTS, TEXT, FinetuningRun, Measure
from hamner.training.finetuning_base import MANIFEST, BaseRun, base_checkpoint, point_at_text

BYTES_PER_WEIGHT, FULL_COPIES = 4, 3  # fp32; of a checkpoint: the weights and AdamW's two moments
KIND = "sft"  # folder of the runs in the results folder
MAY_DIFFER = (  # keys that change no number of a run, on --resume
    "tournament.",
    "compute.workers",
    "compute.min_workers",
    "compute.threads",
    "compute.worker_threads",
    "compute.max_failures",
    "compute.hang_minutes",
    "compute.gpu_memory_gib",
    "compute.runs_per_card",
    "finetuning.log_every",
    "finetuning.checkpoint_every",
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A run whose folder, config and facts are settled."""

    folder: Path
    config: Config
    facts: dict[str, Any]  # that config.json keeps beside the config


def new_run(
    results: Path, name: str | None, who: str | None, config: Config, saved: Checkpoint, feedback: Path | None = None
) -> Opened:
    """A run that begins with a checkpoint; nothing is written. who: as the base was named. Raises BadInput.

    feedback: the folder whose corrections it is to learn from, besides the base's own conversations.
    """
    problems, facts = Problems(), dict[str, Any]()
    with problems.collect():
        base = BaseRun.of(saved)
        problems.lines += _base_problems(base, config)
        facts = {"kind": KIND, "who": who, "base": base.facts(), "model": base.model.model_dump(mode="json")}
    with problems.collect():
        if feedback is None:
            _, shares = find_conversations(config)
            facts["shares"] = shares
        else:
            facts |= _feedback_facts(saved, config, feedback)
    with problems.collect():
        check_machine(config, config.compute.worker_threads)
    with problems.collect():
        folder, config, facts = open_run(
            results, KIND, name, resume=False, config=config, facts=facts, of_each_start=(CAN_COMPILE,)
        )
    problems.raise_all()
    return Opened(folder, config, facts)


def resumed_run(results: Path, name: str | None, who: str | None, config: Config | None) -> Opened:
    """A run that was begun before. config: None for the stored one. Raises BadInput."""
    asked = {"who": who} if who else {}
    return Opened(*open_run(results, KIND, name, resume=True, config=config, facts=asked, may_differ=MAY_DIFFER))


def _feedback_facts(saved: Checkpoint, config: Config, feedback: Path) -> dict[str, Any]:
    """What config.json keeps of a run that learns from corrections. Raises BadInput where it could not."""
    problems, run = Problems(), run_above(saved.path)
    shares: dict[str, float] = {}
    with problems.collect():
        conversations = base_conversations(run)
        assert run is not None
        shares = read_json(run / "config.json").get("shares", {})
        own = read_json(conversations / FACTS)["seq_len"]
        if config.finetuning_batch[2] != own:
            raise BadInput(f"finetuning.seq_len = {config.finetuning_batch[2]}, and {run.name} has {own}: leave it out")
    with problems.collect():
        check_enough(corrections(read_feedback(feedback)), feedback)
    problems.raise_all()
    return {"shares": shares, "feedback": str(feedback)}


def _base_problems(base: BaseRun, config: Config) -> list[str]:
    """What is wrong with a base for this config."""
    batch_size, parts, seq_len = config.finetuning_batch
    problems = list(base.model.problems(seq_len))
    if config.finetuning.replay and base.data is None:
        problems.append(
            f"{base.checkpoint.path} has no prepared text beside it to replay: name its run, or use finetuning.replay=0"
        )
    if batch_size % parts:
        problems.append(
            f"finetuning.batch_size {batch_size} is not a multiple of finetuning.gradient_accumulation_steps {parts}"
        )
    return problems


def prepare(run: Opened, say: Say) -> None:
    """Write the run's text and conversations, where they are not there yet. Raises BadInput."""
    folder, config = run.folder, run.config
    if not (folder / TEXT / MANIFEST).is_file():
        base = BaseRun.of(base_checkpoint(run.facts["base"]))
        point_at_text(base, folder / TEXT, base.checkpoint.tokenizer())
    prepare_again(Path(read_json(folder / TEXT / MANIFEST)["folder"]).parent, config.data.path, say)
    damaged_text(folder / TEXT, say)
    place = folder / CONVERSATIONS
    if (place / FACTS).is_file() and not lacks_conversations(place):
        return
    if "feedback" in run.facts:
        return _prepare_corrections(run, say)
    chosen, shares = find_conversations(config, run.facts.get("shares"))
    settings, (batch_size, _, seq_len) = config.finetuning, config.finetuning_batch
    tokens = settings.max_steps * batch_size * seq_len
    wanted = math.ceil(tokens * max(shares.values(), default=1.0) / settings.epochs)
    limits = Limits(
        seq_len=seq_len,
        max_reply_tokens=settings.max_reply_tokens,
        heldout_tokens=settings.eval_sequences * seq_len,
        hub_tokens=min(config.data.hub_tokens, wanted),
    )
    tokenizer = Tokenizer.load(folder / TEXT)
    threshold = BaseRun.of(base_checkpoint(run.facts["base"])).threshold

    def write(place: Path) -> None:
        prepare_conversations(chosen, tokenizer, config, limits, place, threshold, say)

    if lacks_conversations(place):
        restore_conversations(place, write, say)
    else:
        write(place)


def _prepare_corrections(run: Opened, say: Say) -> None:
    """Write the run's conversations: those of its base, and the corrections, of which it keeps a copy.

    Of a run that was unpacked they are compared with what it has read. Raises BadInput for other ones.
    """
    is_unpacked = (run.folder / PACKING_LIST).is_file()
    if not is_unpacked and not (run.folder / CORRECTIONS).is_file():
        kept = corrections(read_feedback(Path(run.facts["feedback"])))
        lines = (json.dumps(each.record(), ensure_ascii=False) + "\n" for each in kept)
        write_bytes(run.folder / CORRECTIONS, "".join(lines).encode(), mode=PRIVATE)
    own = own_corrections(run.folder)
    base_run = run_above(Path(run.facts["base"]["checkpoint"]))
    base = base_conversations(base_run)
    if base_run and lacks_conversations(base):  # unpacked too, and never resumed since
        opened = resumed_run(base_run.parents[1], base_run.name, None, None)
        with only_one(base_run / ".driver.lock", f"another process is working on {base_run}: wait for it to end"):
            prepare(Opened(base_run, opened.config.model_copy(update={"data": run.config.data}), opened.facts), say)
    tokenizer, longest = Tokenizer.load(run.folder / TEXT), run.config.finetuning.max_reply_tokens

    def write(place: Path) -> None:
        prepare_corrections(own, base, tokenizer, place, longest, say)

    place = run.folder / CONVERSATIONS
    if lacks_conversations(place):
        way_out = f"copy {CORRECTIONS} of the run that was packed into {run.folder}, and use --resume again"
        restore_conversations(place, write, say, way_out)
    else:
        write(place)


def own_corrections(folder: Path) -> list[Feedback]:
    """The corrections that a run has learnt from, those held out too. Raises BadInput where they did not travel."""
    path = folder / CORRECTIONS
    if (folder / PACKING_LIST).is_file() and not path.is_file():
        raise BadInput(
            f"{folder} learns from corrections, which are never packed: copy {CORRECTIONS} of the run that was packed "
            "into that folder, and use --resume again"
        )
    return read_feedback_file(path)


def trouble_lines(run: Opened, trouble: str) -> Iterator[str]:
    """What is said of a run that trouble of the machine has stopped: what it is, what to do, how to go on."""
    weights = count_parameters(parse(ModelConfig, run.facts["model"], "model")).total * BYTES_PER_WEIGHT / GIB
    mend = remedy(trouble, run.folder, weights * (1 + FULL_COPIES * (KEEP_CHECKPOINTS + 2)))
    yield f"stopped by trouble of the machine: {trouble}"
    yield f"{mend}; then continue with `{resume_command('hamner sft', run.folder)}`"


def train(run: Opened, measure_of: Callable[[Opened], Measure], *, is_new: bool, say: Say) -> bool:
    """Prepare and train a run; whether it was finished. Bad input leaves nothing of a new run behind.

    measure_of: what else is looked at, of the base and of the final weights. Raises BadInput, Interrupted.
    """
    message = f"another process is working on {run.folder}: wait for it to end"
    with only_one(run.folder / ".driver.lock", message, wait_seconds=0 if is_new else 2):
        try:
            if is_new:
                run.facts.update(compile_facts(run.config, say))
                write_config(run.folder, run.config, run.facts)
            else:
                store_config(run.folder, run.config)
            prepare(run, say)
            training = FinetuningRun(run.folder, config=run.config, measure=measure_of(run), say=say)
        except BadInput:
            if is_new:
                shutil.rmtree(run.folder, ignore_errors=True)
            raise

        def work() -> bool:
            try:
                return training.run()
            finally:
                training.close()

        return bool(run_until_stopped(work, StopRequest(run.folder)))
