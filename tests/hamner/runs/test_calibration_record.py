"""Calibration record: what a new run takes of it, when it is ignored, and that a resume keeps what was chosen."""

import json

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.machine_keys import auto_keys, with_keys
from hamner.runs.calibration_record import conditions, find, finding, machine_facts, new_entry, read, settled, write
from hamner.runs.folders import open_run, write_config
from hamner.runs.preflight import OK, WARN

LAPTOP = load_config("laptop")
CHOICES = {"kernels.block_attention": "always", "kernels.logits_at_a_time": 2**26, "compile": "never"}


def calibrated(results, config=LAPTOP, choices=CHOICES, kind="tournament", **machine):
    """Keep a calibration of this machine, or of one that differs in `machine`."""
    facts = machine_facts("cpu") | machine
    speed = {"dense": 1e10, "differential": 1e10, "experts": 1e10, "differential, experts": 1e10}
    speed |= {"head": 1e10, "update": 1e10}
    entry = new_entry(facts, conditions(config, kind), 9.0, choices=choices, rows=(), layouts=(), speed=speed)
    write(results, entry)
    return entry


@pytest.fixture(autouse=True)
def this_machine(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def settle(config, results, kind="tournament"):
    lines = []
    return *settled(config, kind, results, lines.append), lines


def test_a_new_run_begins_with_what_was_chosen_here_and_says_so(tmp_path):
    entry = calibrated(tmp_path)
    config, facts, lines = settle(LAPTOP, tmp_path)
    kernels = config.compute.kernels
    assert (kernels.block_attention, kernels.logits_at_a_time, config.compute.compile) == ("always", 2**26, "never")
    rules = {"kernels.block_attention": "auto", "kernels.logits_at_a_time": 0, "compile": "auto"}
    assert with_keys(config, rules) == LAPTOP  # nothing else has changed
    assert facts == {"calibration": {"written": entry.written, "choices": CHOICES}}
    assert len(lines) == 1 and "block_attention=always" in lines[0] and "use_calibration=false" in lines[0]


def test_what_a_config_says_stands_and_a_league_that_says_all_of_it_has_nothing_chosen(tmp_path):
    calibrated(tmp_path)
    own = load_config("laptop", ["block_attention=never", "logits_at_a_time=1000000", "compile=always"])
    assert settle(own, tmp_path) == (own, {}, [])
    one = load_config("laptop", ["block_attention=never"])
    config, facts, _ = settle(one, tmp_path)
    assert config.compute.kernels.block_attention == "never" and config.compute.compile == "never"
    assert set(facts["calibration"]["choices"]) == {"kernels.logits_at_a_time", "compile"}


def test_without_a_file_with_use_calibration_off_and_on_a_cluster_the_rules_stay_in_silence(tmp_path, monkeypatch):
    assert settle(LAPTOP, tmp_path) == (LAPTOP, {}, [])
    calibrated(tmp_path)
    off = load_config("laptop", ["use_calibration=false"])
    assert settle(off, tmp_path) == (off, {}, [])
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert settle(LAPTOP, tmp_path) == (LAPTOP, {}, [])


def test_the_smallest_league_computes_by_the_rules_on_any_machine(tmp_path):
    smoke = load_config("smoke")
    calibrated(tmp_path, smoke)
    assert settle(smoke, tmp_path) == (smoke, {}, [])


OTHERS = [{"processor": "another"}, {"torch": "1.0"}, {"cores": 99}, {"instructions": "avx"}]


@pytest.mark.parametrize("machine", OTHERS)
def test_one_of_another_machine_or_version_is_ignored_and_said(tmp_path, machine):
    calibrated(tmp_path, **machine)
    config, facts, lines = settle(LAPTOP, tmp_path)
    ((key, value),) = machine.items()
    assert (config, facts) == (LAPTOP, {}) and len(lines) == 1
    assert "another machine or version" in lines[0] and f"{key} {value}, here" in lines[0]


def test_one_of_other_sizes_is_ignored_and_said(tmp_path):
    calibrated(tmp_path, load_config("laptop", ["size.divide=8", "tournament.seq_len=64"]))
    config, _, lines = settle(LAPTOP, tmp_path)
    assert config == LAPTOP and "seq_len 64, not 128, divide 8, not 4" in lines[0]
    assert settle(LAPTOP, tmp_path, "curriculum")[0] == LAPTOP  # two threads


def test_a_broken_file_is_ignored_by_a_run_warned_of_by_the_doctor_and_replaced(tmp_path):
    (tmp_path / "calibration.json").write_text('{"entries": [{"machine": 3}]}')
    config, _, lines = settle(LAPTOP, tmp_path)
    assert config == LAPTOP and len(lines) == 1 and "calibration.json" in lines[0]
    assert finding(LAPTOP, "tournament", tmp_path).state == WARN
    with pytest.raises(BadInput):
        read(tmp_path)
    calibrated(tmp_path)
    assert len(read(tmp_path)) == 1


def test_a_newer_one_replaces_that_of_the_same_sizes_and_no_other(tmp_path):
    calibrated(tmp_path, torch="1.0")
    calibrated(tmp_path)
    calibrated(tmp_path, kind="curriculum")
    last = calibrated(tmp_path, choices={})
    assert len(read(tmp_path)) == 3
    assert find(LAPTOP, "tournament", tmp_path).entry == last


def test_the_doctor_says_whether_there_is_one_its_age_and_what_it_chose(tmp_path):
    none = finding(LAPTOP, "tournament", tmp_path)
    assert none.state == OK and "not calibrated" in none.text and "tournament doctor --calibrate" in none.text
    calibrated(tmp_path)
    line = finding(LAPTOP, "tournament", tmp_path).text
    assert "0.0 s old" in line or "0.1 s old" in line or "s old" in line
    assert "block_attention=always, logits_at_a_time=67108864, compile=never" in line
    off = load_config("laptop", ["use_calibration=false"])
    assert "not used" in finding(off, "tournament", tmp_path).text


def test_a_resume_keeps_what_was_chosen_whatever_was_calibrated_since(tmp_path):
    calibrated(tmp_path)
    config, facts, _ = settle(LAPTOP, tmp_path)
    facts |= {"kind": "tournament"}
    folder, _, _ = open_run(tmp_path, "tournament", "mine", resume=False, config=config, facts=facts)
    write_config(folder, config, facts)
    (tmp_path / "calibration.json").unlink()
    for typed in (None, LAPTOP):  # `--resume`, and `--resume --config laptop`
        words = {"resume": True, "config": typed, "facts": {"kind": "tournament"}}
        _, resumed, stored = open_run(tmp_path, "tournament", "mine", **words)
        assert resumed == config and stored["calibration"]["choices"] == CHOICES
    other = load_config("laptop", ["block_attention=never"])
    with pytest.raises(BadInput, match="block_attention: the run has 'always', now 'never'"):
        open_run(tmp_path, "tournament", "mine", resume=True, config=other, facts={"kind": "tournament"})


def test_no_measurement_of_time_chooses_less_exact_sums(tmp_path):
    assert "kernels.fp16_accumulation" not in auto_keys(LAPTOP)
    calibrated(tmp_path, choices={"kernels.fp16_accumulation": "always"})
    assert settle(LAPTOP, tmp_path) == (LAPTOP, {}, [])


def test_the_file_is_json_that_anybody_can_read(tmp_path):
    calibrated(tmp_path)
    (entry,) = json.loads((tmp_path / "calibration.json").read_text())["entries"]
    assert entry["choices"] == CHOICES and entry["conditions"]["seq_len"] == 128 and entry["machine"]["torch"]
