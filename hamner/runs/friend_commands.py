"""Commands of a friend's steps: what is typed for each, new or resumed, and what its hours set in the config.

Data in: a friend's record, the hours of a step, the config. Data out: a module and the words of its command line; runs
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.config.schema import Config
from hamner.runs.durations import duration_text
from hamner.runs.folders import results_words
from hamner.runs.friend_hours import CARD, EXPORT, FINETUNING, LEAGUE, STAGES, finetuning_steps, shortened_rounds
from hamner.runs.friend_record import WINNER, FriendRecord

GGUF = "f16,q8_0"
Command = tuple[str, list[str]]  # module, and the words of its command line


def command_of(
    record: FriendRecord, step: str, hours: float | None, config: Config, absent: Sequence[str] = ()
) -> Command:
    """The command of a step. hours: None for as long as it takes. absent: sources of text that are not there."""
    if step == CARD:
        return "hamner", ["evaluate", _model(record)]
    if step == EXPORT:
        return export_command(record, ["--gguf", GGUF])
    module, words = ("tournament", []) if step == LEAGUE else ("curriculum", ["run"])
    if step == FINETUNING:
        module, words = "hamner", ["sft"]
    if record.is_begun(step):
        words += [record.asked.model] if step == STAGES else []
        words += ["--resume", "--name", record.name, *results_words(record.results)]
        has_deadline = step == STAGES and hours is not None and record.has_deadline()
        return module, [*words, *(["--hours", f"{hours:.5g}"] if has_deadline else [])]
    name = ["--name", record.name, *results_words(record.results)]
    if step == LEAGUE:
        return module, [*words, *name, *record.asked.words(), *_league_settings(record, hours, config)]
    if step == FINETUNING:
        base = str(record.runs[STAGES])
        return module, [*words, base, *name, *record.asked.settings, *_finetuning_settings(record, hours, config)]
    who = [record.asked.model, *(["--tournament", record.name] if record.asked.model == WINNER else [])]
    limits = [word for source in absent for word in ("--without", source)]
    limits += ["--hours", f"{hours:.5g}"] if hours is not None else []
    return module, [*words, *who, *name, *record.asked.words(), *limits]


def export_command(record: FriendRecord, words: Sequence[str] = ()) -> Command:
    """The command that exports the fine-tuned model."""
    return "hamner", ["export", _model(record), "--out", str(record.folder / "export"), *words]


def last_command(record: FriendRecord, verb: str, page_words: Sequence[str] = ()) -> Command:
    """`hamner serve` or `hamner chat`: the command to talk to it with. page_words: options of the former."""
    return "hamner", [verb, record.name, *results_words(record.results), *(page_words if verb == "serve" else [])]


def way_on(record: FriendRecord) -> str:
    """The words that continue a friend."""
    return " ".join(["hamner friend", "--name", record.name, *results_words(record.results)])


def state_of(record: FriendRecord, step: str, hours: float | None) -> tuple[str, str]:
    """Whether a step is done, and its hours: those it took, or those it gets."""
    if step in record.done():
        spent = record.hours_of(step)
        return "done", "" if spent is None else duration_text(3600 * spent)
    return "begun" if record.is_begun(step) else "to come", "" if hours is None else duration_text(3600 * hours)


def _model(record: FriendRecord) -> str:
    return str(record.runs[FINETUNING])


def _league_settings(record: FriendRecord, hours: float | None, config: Config) -> list[str]:
    """Shorter rounds, with the warmup and the probe that belong to them, where the league would exceed its hours."""
    needed, league = record.league_hours, config.tournament
    if hours is None or needed is None or needed <= hours:
        return []
    if league.budget == "seconds":
        seconds = [round(length, 1) for length in shortened_rounds(league.seconds, needed, hours)]
        return [f"tournament.seconds={seconds}".replace(" ", "")]
    *rounds, warmup, probe = (
        max(1, round(length)) if length else 0
        for length in shortened_rounds((*league.steps, league.warmup_steps, league.lr_probe_steps), needed, hours)
    )
    words = [f"tournament.steps={rounds}".replace(" ", ""), f"tournament.warmup_steps={warmup}"]
    return [*words, *([f"tournament.lr_probe_steps={probe}"] if probe else [])]


def _finetuning_settings(record: FriendRecord, hours: float | None, config: Config) -> list[str]:
    """Fewer steps, where those of the config would exceed the hours at the speed of the stages."""
    speed = record.tokens_per_second()
    if hours is None or not speed:
        return []
    batch_size, _, seq_len = config.finetuning_batch
    steps = finetuning_steps(hours, speed, batch_size * seq_len)
    return [f"finetuning.max_steps={steps}"] if steps < config.finetuning.max_steps else []
