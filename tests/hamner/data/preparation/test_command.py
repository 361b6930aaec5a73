"""The command prepare_data: its options, what it refuses and how early, and what it does with what is there."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from sample_texts import command_arguments, file_hashes, prose, turns, write_lines

from hamner.config.schema import SOURCE_NAMES
from hamner.data.preparation.command import prepare_command
from hamner.data.preparation.store import Store
from hamner.prepare_data import main, one_process, parser
from hamner.runs.cli import run_command
from hamner.runs.lock import only_one

SOURCES = ("tinystories", "fineweb_edu", "sft", "personal")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Sixty documents of each known source, and of one that is not."""
    data = tmp_path_factory.mktemp("texts")
    for source in (*SOURCES, "wiki"):
        records = [{"messages": turns(n)} if source == "sft" else {"text": prose(source, n, 40)} for n in range(60)]
        write_lines(data / source / "a.jsonl", records)
    return data


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(command_arguments(texts, out)) == 0
    return out


def _manifest(out):
    return json.loads((out / "manifest.json").read_text())


class Interrupted(Store):
    """A store in which Ctrl-C comes with the write of one file."""

    name = ""

    def write(self, name, data):
        if name == self.name:
            raise KeyboardInterrupt
        super().write(name, data)


def _interrupted(arguments, name):
    """The exit code of the command with Ctrl-C at the write of `name`."""
    store = type("Interrupted", (Interrupted,), {"name": name})
    return run_command(lambda words: prepare_command(words, parser(), one_process, store), arguments)


HEAVY = """
import sys
from importlib import import_module
try:
    code = import_module(sys.argv[1]).main(sys.argv[2:])
except SystemExit as error:
    code = error.code
print(code, sorted({"torch", "ray", "numpy", "pyarrow", "tokenizers", "scipy", "datasets"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("module", ["hamner.prepare_data", "curriculum.prepare_data"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--data", "/nowhere", "word", "--sources", "synthetic"], 2), (["--tokens", "many"], 2)],
)
def test_help_and_bad_options_come_before_any_heavy_library(module, arguments, code):
    process = subprocess.run([sys.executable, "-c", HEAVY, module, *arguments], capture_output=True, text=True)
    assert process.stdout.splitlines()[-1] == f"{code} []", process.stderr
    if code == 0:
        assert process.stdout.count(module.replace(".", " ")) == 4  # the usage and three examples
        assert "docs/configuration.md" in process.stdout


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--sources", "sft,tinystory"], "did you mean 'tinystories'?"),
        (["--sources", "synthetic"], "--sources synthetic: "),
        (["--sources", "../sft"], "--sources: '../sft' cannot name a source"),
        (["sft"], "'sft' is not key=value"),
        (["--data", "/nowhere"], "no data folder '/nowhere'"),
        (["--data", "builtin", "--sources", "wiki"], "--sources: unknown source 'wiki'; "),
        (["--out", "nosuch://place"], "cannot write to nosuch://place: Protocol not known: nosuch"),
        (["duplicates=some"], "'data.duplicates' = 'some'"),
    ],
)
def test_bad_options_are_refused_with_the_way_out(texts, tmp_path, capsys, more, problem):
    assert main(command_arguments(texts, tmp_path / "out", *more)) == 2
    assert problem in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_all_bad_options_are_named_at_once(capsys):
    assert main(["--sources", "wiki", "one", "two"]) == 2
    assert capsys.readouterr().err.count("error: ") == 2
    assert main(["--data", "builtin", "--sources", "wiki,synthetic"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 2 and all(name in errors for name in SOURCE_NAMES)


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "inf", "nan", "many"])
@pytest.mark.parametrize("option", ["--tokens", "--shard-tokens"])
def test_a_number_of_tokens_is_a_positive_whole_number(tmp_path, capsys, option, word):
    assert main([f"{option}={word}", "--data", str(tmp_path)]) == 2
    assert f"{option}: '{word}' is not a number of tokens" in capsys.readouterr().err


def test_a_source_of_ones_own_is_prepared_when_it_is_named(texts, prepared, tmp_path, capsys):
    assert list(_manifest(prepared)["sources"]) == list(SOURCES)  # a folder that nothing names is not read
    out = tmp_path / "named"
    arguments = partial(command_arguments, texts, out)
    assert main(arguments("--sources", "wiki,sft")) == 0
    manifest = _manifest(out)
    assert list(manifest["sources"]) == ["sft", "wiki"]
    facts = manifest["sources"]["wiki"]
    assert facts["documents"] + facts["heldout_documents"] == facts["records"] == 60
    assert manifest["tokenizer"] == "trained on tinystories, fineweb_edu, sft, personal, wiki and synthetic items"
    assert "tinystories, fineweb_edu, personal only for that" in capsys.readouterr().out
    assert main(arguments("--sources", "sft,wiki")) == 0  # finished, whatever the order


def test_without_a_name_the_sources_of_the_mix_and_the_known_ones_that_are_there_are_prepared(texts, tmp_path, capsys):
    for source in ("sft", "wiki"):
        shutil.copytree(texts / source, tmp_path / "data" / source)
    arguments = partial(command_arguments, tmp_path / "data", tmp_path / "out")
    assert main(arguments("mix={wiki=0.3, fineweb_edu=0.7}")) == 2
    assert "source 'fineweb_edu' is missing" in capsys.readouterr().err
    assert main(arguments("mix={wiki=0.3, synthetic=0.7}")) == 0
    assert list(_manifest(tmp_path / "out")["sources"]) == ["sft", "wiki"]
    assert "which has no tinystories, fineweb_edu, personal" in " ".join(capsys.readouterr().out.split())


def test_begun_or_finished_with_other_settings_is_refused(texts, prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert _interrupted(command_arguments(texts, out), "sft.00000.000.train.bin") == 130
    assert list(out.glob("*.train.bin"))
    assert main(command_arguments(texts, out, "seed=3")) == 2
    assert "was begun with other settings: " in capsys.readouterr().err
    stories = texts / "tinystories" / "a.jsonl"
    before = stories.stat()
    os.utime(stories, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    try:
        assert main(command_arguments(texts, out)) == 2
        assert "was begun with other inputs: " in capsys.readouterr().err
    finally:
        os.utime(stories, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert main(command_arguments(texts, out)) == 0 and file_hashes(out) == file_hashes(prepared)
    assert main(command_arguments(texts, prepared, "seed=3")) == 2
    assert "is finished, with other settings: " in capsys.readouterr().err
    assert main(command_arguments(texts, prepared)) == 0
    assert main(command_arguments(prepared, tmp_path / "x")) == 2
    assert "is prepared already: give it to a run with --data" in capsys.readouterr().err


def test_what_was_only_read_is_read_anew_when_the_files_have_changed(texts, tmp_path, capsys):
    """A file is found to be broken, is mended, and the same command does the rest."""
    shutil.copytree(texts, tmp_path / "data")
    good = [{"messages": turns(n)} for n in range(60)]
    arguments = command_arguments(tmp_path / "data", tmp_path / "out", "vocab_size=320", "--sources", "sft")
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", [*good, "{"])
    assert main(arguments) == 2 and "1 of 61 records are malformed" in capsys.readouterr().err
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", good)
    assert main(arguments) == 0
    assert "was begun with other inputs, and nothing is written yet" in capsys.readouterr().out
    assert _manifest(tmp_path / "out")["sources"]["sft"]["records"] == 60


def test_a_preparation_begun_in_another_format_is_not_continued(texts, tmp_path, capsys):
    arguments = command_arguments(texts, tmp_path / "out")
    assert _interrupted(arguments, "sft.00000.000.train.bin") == 130
    path = tmp_path / "out" / "unfinished" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    assert main(arguments) == 2
    assert "was begun with other format: " in capsys.readouterr().err


def test_two_commands_do_not_prepare_one_folder(texts, tmp_path, capsys):
    with only_one(tmp_path / "out" / ".prepare.lock", "held here"):
        assert main(command_arguments(texts, tmp_path / "out")) == 2
    assert "is being prepared by another process" in capsys.readouterr().err


def test_an_out_that_can_be_no_folder_is_refused(texts, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(command_arguments(texts, out)) == 2
        assert f"--out {out} cannot be made: " in capsys.readouterr().err


def test_a_folder_may_say_where_its_text_is_from(texts, tmp_path, capsys):
    shutil.copytree(texts, tmp_path / "texts")
    about = tmp_path / "texts" / "sft" / "about.json"
    arguments = command_arguments(tmp_path / "texts", tmp_path / "out", "--sources", "sft,wiki")
    for wrong, hint in (('{"license": "MIT", "owner": "me"}', '{"revision": ..., "license": ...}'),
                        ('{"licence": "MIT"}', "'licence' is now called 'license'")):  # fmt: skip
        about.write_text(wrong)
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert str(about) in error and hint in error
    about.write_text('{"license": "MIT", "revision": "2024-05-01"}')
    assert main(arguments) == 0
    sources = _manifest(tmp_path / "out")["sources"]
    assert [sources["sft"][key] for key in ("revision", "license")] == ["2024-05-01", "MIT"]
    assert sources["wiki"]["license"] == "not stated"


def test_a_stream_is_not_put_on_a_far_place(prepared, capsys):
    arguments = ["--config", "smoke", "--data", "hub", "--out", "memory://far/out", "--sources", "tinystories"]
    assert main([*arguments, f"data.tokenizer={prepared}", "vocab_size=400"]) == 2
    assert "streamed from the hub needs a folder of this machine, not memory://far/out" in capsys.readouterr().err


def test_about_as_many_tokens_as_requested_are_taken(tmp_path):
    """4,000 of 11,000 tokens and more: within 3 % or one document, and the held-out side is cut with the other."""
    for source, words, count in (("fineweb_edu", 60, 360), ("tinystories", 40, 300)):
        records = [{"text": prose(source, n, words)} for n in range(count)]
        write_lines(tmp_path / "data" / source / "a.jsonl", records)
    assert main(command_arguments(tmp_path / "data", tmp_path / "out", "--tokens", "4e3")) == 0
    for facts in _manifest(tmp_path / "out")["sources"].values():
        longest = 200
        assert 4000 <= facts["tokens"] <= 4000 * 1.03 + longest and facts["dropped"]["beyond_tokens"] > 100
        share = facts["heldout_documents"] / (facts["documents"] + facts["heldout_documents"])
        assert 0.01 < share < 0.2
    assert _manifest(tmp_path / "out")["sources"]["fineweb_edu"]["documents"] < 200


def test_nothing_is_lost_to_a_source_that_is_only_read(texts, tmp_path, capsys):
    """Forty of sixty texts are in a source that the tokenizer alone is trained on: there they are left out."""
    shutil.copytree(texts, tmp_path / "data")
    web = [{"text": prose("fineweb_edu", n, 40)} for n in range(60)]

    def arguments(out):
        return command_arguments(tmp_path / "data", out, "vocab_size=320", "--sources", "fineweb_edu")

    copies = tmp_path / "data" / "tinystories" / "b.jsonl"
    write_lines(copies, web[:40])
    assert main(arguments(tmp_path / "out")) == 0
    facts = _manifest(tmp_path / "out")["sources"]["fineweb_edu"]
    assert facts["documents"] + facts["heldout_documents"] == 60 and sum(facts["dropped"].values()) == 0
    copies.unlink()  # the tokenizer is the same: it has seen none of the copies, which are held out in part
    assert main(arguments(tmp_path / "alone")) == 0
    assert file_hashes(tmp_path / "alone")["tokenizer.json"] == file_hashes(tmp_path / "out")["tokenizer.json"]
    write_lines(tmp_path / "data" / "tinystories" / "a.jsonl", web)
    assert main(arguments(tmp_path / "copy")) == 2
    error = capsys.readouterr().err
    assert "source 'tinystories' has 0 documents in " in error and " without 60 duplicates; " in error


def test_duplicates_can_be_kept(texts, tmp_path):
    shutil.copytree(texts, tmp_path / "data")
    shutil.copy(tmp_path / "data" / "sft" / "a.jsonl", tmp_path / "data" / "sft" / "b.jsonl")
    assert main(command_arguments(tmp_path / "data", tmp_path / "out", "duplicates=keep")) == 0
    manifest = _manifest(tmp_path / "out")
    assert manifest["duplicates"] == "kept" and manifest["sources"]["sft"]["records"] == 120
    assert all(sum(facts["dropped"].values()) == 0 for facts in manifest["sources"].values())
