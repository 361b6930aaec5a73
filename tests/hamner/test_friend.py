"""The command `hamner friend`: plan, resume, hours; killed twice on the way it ends with the same weights."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from curriculum.run_logger import FIELDS
from hamner import friend
from hamner.config.load import load_config
from hamner.runs.files import read_json, write_json
from hamner.runs.friend_commands import command_of
from hamner.runs.friend_hours import CARD, EXPORT, FINETUNING, LEAGUE, STAGES
from hamner.runs.friend_record import Asked, FriendRecord
from hamner.runs.metrics import Metrics
from hamner.training import checkpoint

SMALL = (  # two contestants, stages of four steps, a fine-tuning of twelve
    'tournament.contestants=["v03_diffattn_small","v10_wide_shallow"]',
    "tournament.steps=[30]",
    "tournament.keep=[1]",
    "tournament.seeds=1",
    "curriculum.max_steps=4",
    "curriculum.skill_items=2",
    "finetuning.max_steps=24",
    "finetuning.evaluations=3",
    "finetuning.checkpoint_every=5",
)


def _words(name, *words):
    return ["--name", name, "--config", "smoke", *words]


def _record(results, **asked):
    return FriendRecord.open(results, "mine", {"config": "smoke", **asked}, None)


def _make(folder, last="config.json", **document):
    write_json(folder / "config.json", document)
    (folder / last).parent.mkdir(parents=True, exist_ok=True)
    (folder / last).touch()


# -- the plan


def test_the_plan_names_every_step_and_starts_nothing(tmp_path, capsys):
    assert friend.main(_words("mine", "--plan", "--results", str(tmp_path / "results"))) == 0
    out = capsys.readouterr().out
    commands = ("tournament --name mine", "curriculum run winner --tournament mine", "hamner sft", "hamner evaluate")
    places = [out.index(command) for command in (*commands, "hamner export")]
    assert places == sorted(places) and out.count("to come") == 5
    assert not (tmp_path / "results").exists()


def test_hours_are_divided_and_a_named_model_plays_no_league(tmp_path, capsys):
    words = _words("mine", "--plan", "--results", str(tmp_path), "--hours", "48", "--model", "v2")
    assert friend.main(words) == 0
    out = capsys.readouterr().out
    assert "tournament --name" not in out and "curriculum run v2 --name mine" in out and "--hours 44.16" in out
    assert "44.2 h" in out and "2.9 h" in out


def test_settings_are_named_in_full_for_steps_that_would_not_read_them(tmp_path, capsys):
    words = _words("mine", "--plan", "--results", str(tmp_path), "max_steps=9", "keep=[5,3,1]")
    assert friend.main(words) == 2  # in two sections
    assert "'max_steps' in 'max_steps=9' is ambiguous" in capsys.readouterr().err
    assert friend.main([*words[:-2], "keep=[5,3,1]"]) == 0
    out = capsys.readouterr().out
    assert out.count("tournament.keep=[5,3,1]") == 3 and " keep=" not in out


def test_the_port_is_passed_on_to_the_page(tmp_path, capsys):
    words = _words("mine", "--plan", "--results", str(tmp_path), "--port", "9000")
    assert friend.main(words) == 0
    out = capsys.readouterr().out
    assert f"hamner serve mine --results {tmp_path} --port 9000" in out or "no page" in out
    assert friend.main([*words[:-1], "70000"]) == 2


def test_what_is_done_is_skipped_and_what_is_begun_is_resumed(tmp_path):
    record, config = _record(tmp_path), load_config("smoke")
    command = command_of(record, LEAGUE, None, config)
    assert command == ("tournament", ["--name", "mine", "--results", str(tmp_path), "--config", "smoke"])
    _make(record.runs[LEAGUE])
    assert command_of(record, LEAGUE, None, config)[1] == ["--resume", "--name", "mine", "--results", str(tmp_path)]
    _make(record.runs[LEAGUE], "winner.json")
    assert record.done() == [LEAGUE]
    _make(record.runs[STAGES], who="winner", deadline={"ends_at": "now"})
    assert command_of(record, STAGES, 2.0, config)[1][:5] == ["run", "winner", "--resume", "--name", "mine"]
    assert command_of(record, STAGES, 2.0, config)[1][-2:] == ["--hours", "2"]
    (record.runs[STAGES] / "final").mkdir()
    _make(record.runs[FINETUNING], "finetuning.json", base={"checkpoint": str(record.runs[STAGES] / "final")})
    assert record.done() == [LEAGUE, STAGES, FINETUNING] and list(record.problems()) == []
    assert record.done() == list(record.steps[:3]) and record.steps[3:] == (CARD, EXPORT)


def test_runs_of_the_same_name_that_are_others_are_refused(tmp_path):
    record = _record(tmp_path)
    _make(record.runs[FINETUNING], base={"checkpoint": str(tmp_path / "curriculum" / "other" / "final")})
    (problem,) = record.problems()  # as after `hamner sft other --name mine`
    assert "its league is not done" in problem
    record = _record(tmp_path, model="v2")
    (record.runs[STAGES] / "final").mkdir(parents=True)
    write_json(record.runs[STAGES] / "config.json", {"who": "v3"})
    who, base = record.problems()
    assert "trains 'v3', not 'v2'" in who and "curriculum/other/final" in base and "another --name" in base


def test_the_hours_shorten_the_league_and_the_fine_tuning(tmp_path):
    config = load_config("smoke", ["tournament.warmup_steps=4", "tournament.steps=[20,40,80]"])
    record = FriendRecord(tmp_path, "mine", Asked(config="smoke"), hours=10.0, league_hours=5.0)
    assert command_of(record, LEAGUE, 2.5, config)[1][-2:] == [
        "tournament.steps=[10,20,40]",
        "tournament.warmup_steps=2",
    ]
    assert command_of(record, LEAGUE, 5.0, config)[1][-2:] == ["--config", "smoke"]
    timed = config.model_copy(
        update={"tournament": config.tournament.model_copy(update={"budget": "seconds", "seconds": (60.0, 90.0)})}
    )
    assert command_of(record, LEAGUE, 2.5, timed)[1][-1] == "tournament.seconds=[30.0,45.0]"
    folder = record.runs[STAGES]
    metrics = Metrics(folder, FIELDS)  # as the stages write them
    for step, speed in enumerate((5, None, 64, 64), start=1):
        metrics.row({"step": step, "tokens_per_second": speed})
    # half an hour at 64 tokens a second, four fifths of it steps of 8 rows of 256 tokens
    words = command_of(record, FINETUNING, 0.5, load_config("laptop"))[1]
    assert words[-1] == f"finetuning.max_steps={int(0.8 * 1800 * 64 / (8 * 256))}"
    assert command_of(record, FINETUNING, 5.0, load_config("smoke"))[1][-1] == str(tmp_path)


# -- what is refused


BAD = {
    "model": (["--model", "v9"], "--model v9 is neither a contestant, a preset nor a file; known: winner"),
    "data": (["--data", "/none"], "no data folder '/none'"),
    "hours": (["--hours", "-1"], "--hours"),
    "key": (["stepz=1"], "unknown key 'stepz'"),
    "section": (["batch_size=2"], "'batch_size' in 'batch_size=2' is ambiguous: write one of tournament.batch_size"),
    "name": (["--name", "a/b"], "run name 'a/b'"),
    "conversations": (["sources={soup=1.0}"], "unknown source 'soup'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_before_anything_starts(tmp_path, capsys, case):
    words, problem = BAD[case]
    assert friend.main(["--config", "smoke", "--results", str(tmp_path / "r"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and problem in error and error.count("\n") == 1, error
    assert not (tmp_path / "r").exists()


def test_other_words_than_before_are_refused_and_none_are_as_before(tmp_path):
    record = FriendRecord.open(tmp_path, "mine", {"config": "smoke", "settings": ("seed=1",)}, 5.0)
    record.write()
    again = FriendRecord.open(tmp_path, "mine", {}, None)
    assert again == record
    assert FriendRecord.open(tmp_path, "mine", {}, 7.0).hours == 7.0
    with pytest.raises(ValueError, match=r"config: it has smoke, now laptop"):
        FriendRecord.open(tmp_path, "mine", {"config": "laptop", "settings": ("seed=1",)}, None)


def test_sources_that_are_not_there_are_left_out_of_the_stages(tmp_path, capsys):
    for name in ("tinystories", "fineweb_edu"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("Once upon a time. " * 50)
    (tmp_path / "sft" / "warm").mkdir(parents=True)
    (tmp_path / "sft" / "warm" / "a.jsonl").write_text('{"messages": []}\n')
    words = _words("mine", "--plan", "--results", str(tmp_path / "r"), "--data", str(tmp_path))
    assert friend.main(words) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path} has no personal: the stages leave them out" in out and "--without personal" in out


# -- the real thing


def _start(commands, name, *words):
    """The command in a process group of its own, as make in a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "hamner", "friend", *_words(name, "--no-page", *SMALL, *words)],
        env=commands.environment,
        cwd=commands.results.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


ATTEMPTS = 12  # a machine with much to do is too slow for Ray to start: its 30 seconds are fixed


def _finish(commands, name, *words):
    """Run it to its end, again where Ray did not start; what it printed."""
    for _ in range(ATTEMPTS):
        process = _start(commands, name, *words)
        out = process.communicate(timeout=900)[0]
        if "Ray did not start" not in out:
            break
    assert process.returncode == 0, out
    return out


def _kill_when(commands, name, is_time):
    """Start it, again where Ray did not start, and SIGKILL its whole process group once it is time."""
    for _ in range(ATTEMPTS):
        process = _start(commands, name)
        until = time.monotonic() + 900
        while not is_time() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert is_time()
            return
        out = process.communicate()[0]
        assert "Ray did not start" in out, out
    raise AssertionError(out)


def _rows(path):
    return path.read_text().count("\n") if path.is_file() else 0


@pytest.mark.slow
def test_killed_twice_on_the_way_it_ends_with_the_same_weights_card_and_export(commands):
    _finish(commands, "calm")
    league, tuned = (commands.results / kind / "disturbed" for kind in ("tournament", "sft"))
    _kill_when(commands, "disturbed", lambda: list(league.glob("*/checkpoints/step_*")))
    assert not (league / "winner.json").exists()
    _kill_when(commands, "disturbed", lambda: _rows(tuned / "metrics.csv") > 12)
    assert (league / "winner.json").exists() and not (tuned / "final").exists()
    out = _finish(commands, "disturbed")
    assert "1 of 5" not in out and "3 of 5, fine-tuning: hamner sft --resume --name disturbed" in out
    for kind in ("curriculum", "sft"):
        one, other = (
            checkpoint.load(commands.results / kind / n / "final").tensors("model") for n in ("calm", "disturbed")
        )
        assert one.keys() == other.keys() and all(bool((one[key] == other[key]).all()) for key in one), kind
    cards = [
        read_json(commands.results / "sft" / n / "friend_card" / "friend_card.json") for n in ("calm", "disturbed")
    ]
    assert cards[0]["figures"] == cards[1]["figures"] and cards[0]["replies"] == cards[1]["replies"]
    exports = [commands.results / "friend" / name / "export" / "model.safetensors" for name in ("calm", "disturbed")]
    assert exports[0].read_bytes() == exports[1].read_bytes()
    out = _finish(commands, "disturbed")
    assert out.count("│ done") == 5 and "hamner chat disturbed" in out


@pytest.mark.slow
def test_ctrl_c_saves_and_names_the_way_on(commands):
    process = _start(commands, "told", "--model", "v3")
    folder = commands.results / "curriculum" / "told"
    while not (folder / "checkpoints").is_dir():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # to it alone: it passes the signal on
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGINT, out
    assert "stopped in stages; continue with `hamner friend --name told`" in out
    assert json.loads((commands.results / "friend" / "told" / "friend.json").read_text())["finished"] == {}
    assert "stopped at step" in (folder / "run.log").read_text()
