"""What is taken out of a run for a bug report: whole paths, addresses and names, in keys as in values, alike in all."""

import json
import time

import pytest

from hamner.config.schema import Config
from hamner.runs.files import write_json
from hamner.runs.private_words import PATH, RESULTS, PrivateWords
from hamner.runs.travelling import packed_files, packing_list


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run whose sources and files are named after people; `anna` is the user."""
    monkeypatch.setenv("USER", "anna")
    run = tmp_path / "results" / "curriculum" / "mine"
    files = [["my diary.txt", 3], ["to bob/letter.jsonl", 4], ["carl.txt", 5], ["loss", 6]]
    mix = {"anna_whatsapp": 0.5, "tinystories": 0.5}
    write_json(run / "config.json", {"config": {"tournament": {"mix": mix}}, "plan": "anna_stages.toml"})
    write_json(run / "data" / "manifest.json", {"inputs": {"anna_whatsapp": files}, "sources": {"anna_whatsapp": {}}})
    (run / "anna_stages.toml").write_text("mix = {anna_whatsapp = 1.0}\n")
    (run / "run.log").write_text(
        "anna_whatsapp: carl.txt, my diary.txt and letter.jsonl read from /media/My Passport/secret diary/a.txt\n"
        "../private/secret.txt: bad; fe80::1%eth0 and 2001:db8::7: refused\n"
    )
    return run


def test_keys_and_names_of_files_are_changed_alike_everywhere(folder):
    names = packing_list(folder, for_report=True)
    files = packed_files(folder, names, PrivateWords(folder))
    contents = {name: data.decode() for name, data in files.items()}
    words = ("anna", "diary", "bob", "letter", "carl", "Passport", "private", "secret", "fe80", "2001")
    assert [(name, word) for name, text in contents.items() for word in words if word in text or word in name] == []
    config, manifest = (json.loads(contents[name]) for name in ("config.json", "data/manifest.json"))
    assert list(config["config"]["tournament"]["mix"]) == ["USER_whatsapp", "tinystories"]
    assert list(manifest["sources"]) == list(manifest["inputs"]) == ["USER_whatsapp"]
    listed = [name for name, _ in manifest["inputs"]["USER_whatsapp"]]
    assert listed == ["FILE1.txt", "FILE2.jsonl", "FILE3.txt", "loss"]
    assert contents["USER_stages.toml"] == "mix = {USER_whatsapp = 1.0}\n" and config["plan"] == "USER_stages.toml"
    assert contents["run.log"] == (
        "USER_whatsapp: FILE3.txt, FILE1.txt and FILE2.jsonl read from PATH\nPATH: bad; ADDRESS and ADDRESS: refused\n"
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("read /media/My Passport/secret diary/a.txt: bad", "read PATH: bad"),
        ("/media/My Passport/secret diary.txt: 3", "PATH: 3"),
        ('no "/media/My Passport" here', 'no "PATH" here'),
        ("can't read '/srv/My Files/x y' now", "can't read 'PATH' now"),
        ("at ../private/x, ./z/q, and ../../up", "at PATH, PATH, and PATH"),
        ("[2001:db8::7]:80 and ::1, at 12:34:56", "[ADDRESS]:80 and ::1, at 12:34:56"),
        ("from ::ffff:10.0.0.1", "from ADDRESS"),
        ("300/400 in 3 s; a/../b; 1:2:3", "300/400 in 3 s; a/../b; 1:2:3"),
    ],
)
def test_a_path_goes_whole_and_what_is_none_stays(text, clean, folder):
    assert PrivateWords(folder).without(text) == clean


def test_a_path_of_the_results_behind_another_one_stays(folder):
    text = f"/srv/q w/x to {folder}/run.log"
    assert PrivateWords(folder).without(text) == f"{PATH} to {RESULTS}/curriculum/mine/run.log"


def test_keys_stay_apart_and_a_user_who_is_named_like_a_key_breaks_no_config(folder, monkeypatch):
    monkeypatch.setenv("USER", "compute")
    words = PrivateWords(folder)

    def cleaned(value):
        return json.loads(words.without_in("config.json", json.dumps(value).encode()))

    assert cleaned({"/srv/a": 1, "/srv/b": 2, "~/c": 3}) == {"PATH": 1, "PATH_1": 2, "PATH_2": 3}
    assert cleaned({"compute": 1, "compute_chat": 2}) == {"compute": 1, "USER_chat": 2}
    sections = {name: {} for name in Config.model_fields}
    assert cleaned(sections) == sections


def test_a_user_who_is_named_like_a_file_of_a_run_leaves_it_readable(folder, monkeypatch):
    monkeypatch.setenv("USER", "data")
    files = packed_files(folder, packing_list(folder, for_report=True), PrivateWords(folder))
    assert {"config.json", "data/manifest.json"} <= files.keys()


def test_a_long_log_is_cleaned_in_seconds(folder):
    words, line = PrivateWords(folder), "a/b /srv/x y " + "word " * 50 + "1:2:3 " + "/" * 50 + "\n"
    began = time.process_time()
    words.without(line * 3000)
    assert time.process_time() - began < 10
