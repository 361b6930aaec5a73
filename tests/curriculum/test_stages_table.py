"""The tables of a finished run, and the commands that follow: at 80 columns, and in a terminal without Unicode."""

import io
import json
import shlex

import pytest
from rich.console import Console

from curriculum import launch
from curriculum.stages import FLAT
from curriculum.stages_table import losses_table, next_commands, stages_table
from hamner.config.load import load_config
from hamner.config.schema import Config, Plateau
from hamner.runs.tables import SpellingConsole

SOURCES = ("synthetic", "tinystories", "fineweb_edu", "sft", "personal")
STAGES = [stage.name for stage in FLAT]
LAPTOP = load_config("laptop", section="curriculum")


def _records():
    reasons = ("plateau", "plateau", "cap", "worse", "plateau", "data", "plateau", "cap", "steps")
    records = [
        {
            "number": number,
            "stage": name,
            "steps": 12_345,
            "tokens": 303_390_720,
            "reason": reason,
            "ended": "in some way",
            "heldout_loss": {source: 3.5 + 0.1 * place for place, source in enumerate(SOURCES)},
            "train_loss": {source: 3.25 for source in SOURCES},
            "epochs": dict.fromkeys(SOURCES, 1.5) | {"sft": 3.996},
            "left_out": [],
            "forgotten": {},
            "skills_above_chance": number,
        }
        for number, (name, reason) in enumerate(zip(STAGES, reasons, strict=True), 1)
    ]
    records[5]["left_out"] = [{"source": "sft", "stage_step": 11_111, "mix": {"personal": 1.0}}]
    records[8]["forgotten"] = {"tinystories": {"best_stage": "structure", "rise": 0.1234, "error": 0.01}}
    return records


def _printed(width, encoding, *tables):
    bytes_out = io.BytesIO()
    out = io.TextIOWrapper(bytes_out, encoding=encoding)  # strict: a sign it lacks is an error
    console = SpellingConsole(file=out, width=width, highlight=False, markup=False, emoji=False)
    for table in tables:
        console.print(table(console))
    out.flush()
    return bytes_out.getvalue().decode(encoding)


def _tables(records, rule=LAPTOP.curriculum.plateau):
    return lambda console: stages_table(console, "mine", records, rule), lambda console: losses_table(console, records)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_all_that_matters_fits_eighty_columns(encoding):
    text = _printed(80, encoding, *_tables(_records()))
    assert max(map(len, text.splitlines())) <= 80
    for word in (*STAGES, *SOURCES, "12,345", "limit 3 %", "cap", "loss rose", "text over", "length"):
        assert word in text, word
    assert "sft at 11,111" in " ".join(text.split())
    words = [line.replace("|", " ").split() for line in text.splitlines()]
    rows = {line[0]: line for line in words if line}
    assert rows["gap"][-5:] == ["+0.250", "+0.350", "+0.450", "+0.550", "+0.650"]
    assert rows["epochs"][-5:] == ["1.50", "1.50", "1.50", "4.00", "1.50"]
    assert rows["forgotten"][-5:] == ["-", "+0.123", "-", "-", "-"]


def test_a_fine_limit_is_called_a_plateau():
    text = _printed(80, "utf-8", *_tables(_records(), Plateau()))
    assert "plateau" in text and "limit" not in text


def test_records_of_an_older_run_are_shown_too():
    records = _records()
    for record in records:
        for key in ("ended", "forgotten", "skills_above_chance"):
            del record[key]
    assert "9 anneal" in _printed(80, "ascii", *_tables(records))


def test_the_next_commands_are_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("HAMNER_RESULTS", str(tmp_path))
    folder, stages = tmp_path / "curriculum" / "my run", {"name": "flat", "stages": [{}, {}], "like": None}
    lines = next_commands(folder, LAPTOP, stages)
    assert lines[0] == "talk to it: hamner chat 'my run'"
    control = lines[1].split("? ")[1].split(", then ")[0]
    assert shlex.split(control) == [
        *("curriculum", "run", "--curriculum", "joint", "--like", "my run", "--name", "my run-joint"),
        *("--config", "laptop"),
    ]
    assert f"tensorboard --logdir '{folder / 'tensorboard'}'" in lines[2] and len(lines) == 3
    changed = LAPTOP.model_copy(update={"seed": 5})
    assert f"--config '{folder / 'config.json'}'" in next_commands(folder, changed, stages)[1]
    assert "--config rtx3090" in next_commands(folder, Config(), stages)[1]  # the default is the machine's


def test_a_control_is_set_beside_its_run_and_names_another_results_folder(tmp_path):
    folder = tmp_path / "curriculum" / "a-joint"
    lines = next_commands(folder, LAPTOP, {"stages": [{}, {}], "like": "a"})
    assert lines[1] == f"set it beside its run: curriculum compare a a-joint --results {tmp_path}"


def test_joint_has_no_control_of_itself(tmp_path):
    lines = next_commands(tmp_path / "curriculum" / "best", LAPTOP, {"name": "joint", "stages": [{}, {}], "like": None})
    assert not any("joint --like" in line for line in lines)


def test_a_finished_run_prints_its_tables_and_the_next_commands(tmp_path):
    folder = tmp_path / "curriculum" / "mine"
    folder.mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps({"run": "mine", "stages": _records()}))
    facts = {"curriculum": {"name": "flat", "stages": [{}] * 9, "like": None}}
    console = Console(file=io.StringIO(), width=80)
    assert launch._print_result(console, launch.Opened(folder, LAPTOP, facts, [], 1)) == 0
    printed = console.file.getvalue()
    for part in ("9 anneal", "gap", "finished: ", "hamner chat mine", "--curriculum joint --like mine", "tensorboard"):
        assert part in printed
