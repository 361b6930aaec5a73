"""The command prepare_data: its options, what it refuses and how early, and what it does with what is there."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from sample_texts import command_arguments, file_hashes, prose, turns, write_lines, write_parquet

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
    document = json.loads(path.read_text()) | {"format": 1}
    del document["checksum"]
    path.write_text(json.dumps(document))
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
    capsys.readouterr()
    assert main(arguments(tmp_path / "copy")) == 0
    said = capsys.readouterr().out
    assert "the tokenizer is trained without tinystories, which is not in the mix: source 'tinystories' has 0" in said
    assert "(of 60 records: 60 duplicates of others)" in said
    assert _manifest(tmp_path / "copy")["tokenizer"] == "trained on fineweb_edu, sft, personal and synthetic items"


@pytest.mark.mended("texts too short to count")
def test_a_source_without_documents_says_what_became_of_its_records(tmp_path, capsys):
    for source in ("tinystories", "fineweb_edu"):
        write_lines(tmp_path / "data" / source / "a.jsonl", [{"text": f"number {n}"} for n in range(20)])
    assert main(command_arguments(tmp_path / "data", tmp_path / "out")) == 2
    stories, web = capsys.readouterr().err.splitlines()
    assert "(of 20 records: 20 texts of less than 30 characters, which do not count)" in stories
    assert "20 texts of less than 50 characters" in web


@pytest.mark.mended("sources that nobody asked for")
def test_a_source_that_nobody_asked_for_is_not_demanded(texts, tmp_path, capsys):
    """The tokenizer is trained on every known source that is there, but for one that is broken or too small."""
    shutil.copytree(texts / "fineweb_edu", tmp_path / "data" / "fineweb_edu")
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", [{"text": "no tags"}] * 3)
    write_lines(tmp_path / "data" / "personal" / "a.jsonl", [{"text": "one"}])
    arguments = command_arguments(tmp_path / "data", tmp_path / "out", "--sources", "fineweb_edu", "vocab_size=320")
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "trained without sft, which is not in the mix: source 'sft': 3 of 3 records are malformed" in said
    assert "trained without personal, which is not in the mix: source 'personal' has 1 documents" in said
    manifest = _manifest(tmp_path / "out")
    assert manifest["tokenizer"] == "trained on fineweb_edu and synthetic items" and main(arguments) == 0
    assert main(command_arguments(tmp_path / "data", tmp_path / "all", "vocab_size=320")) == 2
    shutil.rmtree(tmp_path / "data" / "fineweb_edu")  # it is in the mix that nobody has set
    for source in ("sft", "personal"):
        shutil.copy(texts / source / "a.jsonl", tmp_path / "data" / source / "a.jsonl")
    assert main(command_arguments(tmp_path / "data", tmp_path / "two", "vocab_size=320")) == 0
    assert list(_manifest(tmp_path / "two")["sources"]) == ["sft", "personal"]
    (tmp_path / "empty").mkdir()
    assert main(command_arguments(tmp_path / "empty", tmp_path / "none")) == 2
    assert "source 'fineweb_edu' is missing" in capsys.readouterr().err


@pytest.mark.mended("cases/data/markup_role")
def test_brackets_in_roles_and_paths_are_printed_as_they_are(tmp_path, capsys):
    """They read as rich's markup: a traceback after the survey, or the bracket was gone from the message."""
    data, role = tmp_path / "[v2] :smile:" / "[/red]", {"role": "[/INST]", "content": "Hello"}
    write_lines(data / "sft" / "[bold]a.jsonl", [{"messages": [role]}, *({"messages": turns(n)} for n in range(300))])
    (data / "sft" / "[b].pdf").write_text("x")
    out = tmp_path / "[/out]"
    assert main(command_arguments(data, out, "--sources", "sft")) == 0
    said = capsys.readouterr().out
    assert "[bold]a.jsonl:1: unknown role '[/INST]'" in said and "[b].pdf" in said
    assert f"from {data};" in said and f"finished: {out};" in said


@pytest.mark.mended("a file name that is not UTF-8")
def test_names_of_any_bytes_are_prepared_and_printed(tmp_path, capsys):
    """Traceback: UnicodeEncodeError when the plan was written."""
    folder = tmp_path / "data" / "sft" / os.fsdecode(b"caf\xe9")
    write_lines(folder / os.fsdecode(b"\xff.jsonl"), ["{", *({"messages": turns(n)} for n in range(150))])
    table = tmp_path / "data" / "tinystories" / "a.parquet"
    write_parquet(table, [prose("tale", n) for n in range(60)])
    table.rename(table.with_name(os.fsdecode(b"\xfe.parquet")))
    (folder / os.fsdecode(b"\xfd.pdf")).write_text("x")
    arguments = command_arguments(tmp_path / "data", tmp_path / "out")
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "caf\\xe9/\\xff.jsonl:1: " in said and "caf\\xe9/\\xfd.pdf" in said
    assert main(arguments) == 0  # the manifest names the files as they are
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    assert main(command_arguments(tmp_path / os.fsdecode(b"\xff"), tmp_path / "other")) == 2
    assert "\\xff' has a byte that is not UTF-8" in capsys.readouterr().err
    (folder / os.fsdecode(b"\xff.jsonl")).unlink()
    assert main(arguments) == 2


@pytest.mark.mended("files that are passed over")
def test_files_that_are_not_read_are_counted_and_named(texts, tmp_path, capsys):
    shutil.copytree(texts / "sft", tmp_path / "data" / "sft")
    for name in ("a.pdf", "b.docx", "c.parquet.gz", "._d.jsonl", "README.md"):
        (tmp_path / "data" / "sft" / name).write_bytes(b"\xb0")
    arguments = command_arguments(tmp_path / "data", tmp_path / "out", "--sources", "sft", "vocab_size=320")
    assert main(arguments) == 0
    assert (
        "sft: 3 files are not read, for no reader knows the ending: a.pdf, b.docx, c.parquet.gz\n"
        in capsys.readouterr().out
    )
    (tmp_path / "data" / "sft" / "a.jsonl").unlink()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "it holds a.pdf, b.docx, c.parquet.gz" in error and "*.ndjson" in error


@pytest.mark.mended("--data one level too deep")
def test_a_folder_beside_the_one_that_is_meant_is_named(texts, tmp_path, capsys):
    def error(data, source="fineweb_edu"):
        assert main(command_arguments(data, tmp_path / "out", "--sources", source)) == 2
        return capsys.readouterr().err

    assert f"itself: give the one above, --data {texts}\n" in error(texts / "fineweb_edu")
    assert f"itself: give the one above, --data {texts}\n" in error(texts / "fineweb_edu", "sft")
    (tmp_path / "up" / "sft" / "deep").mkdir(parents=True)
    assert f"give the one above, --data {tmp_path / 'up'}\n" in error(tmp_path / "up" / "sft" / "deep")
    (tmp_path / "high").mkdir()
    (tmp_path / "high" / "texts").symlink_to(texts)
    assert f"give that, --data {tmp_path / 'high' / 'texts'}\n" in error(tmp_path / "high")
    assert "is a file: --data takes hub, builtin, or a folder" in error(texts / "sft" / "a.jsonl")
    assert f"give the one above, --data {texts}\n" in error(texts / "sft" / "a.jsonl")
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "a.txt").write_text("x")
    assert "holds a.txt itself, of no source: put them into" in error(tmp_path / "loose")


def test_sources_of_ones_own_that_no_mix_names_are_named(tmp_path, capsys):
    def error(*words):
        assert main(command_arguments(tmp_path / "data", tmp_path / "out", *words)) == 2
        return capsys.readouterr().err

    for name in ("My Notes", "tokenizer", "empty", "wiki"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "tokenizer" / "tokenizer.json").write_text("{}")
    (tmp_path / "data" / "My Notes" / "a.txt").write_text("x")
    assert f"what {tmp_path / 'data'} has (My Notes), once it is called by letters, digits" in error()
    (tmp_path / "data" / "wiki" / "a.txt").write_text("x")
    assert f"what {tmp_path / 'data'} has (My Notes, wiki), such as 'mix={{wiki=1.0}}'\n" in error()
    assert "(an empty folder, no *.parquet" in error("mix={empty=1.0}")


@pytest.mark.mended("text under another key")
def test_text_under_another_key_is_named_in_the_config(tmp_path, capsys):
    write_lines(tmp_path / "data" / "wiki" / "a.jsonl", [{"body": prose("wiki", n, 40)} for n in range(60)])
    arguments = command_arguments(tmp_path / "data", tmp_path / "out", "--sources", "wiki", "vocab_size=320")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "data.text_field=KEY reads text under" in error and "no 'text' in the record; its keys: 'body'" in error
    assert main([*arguments, "data.text_field=Body"]) == 2
    assert "data.text_field=Body names no text in them: give one of their keys, spelt" in capsys.readouterr().err
    assert main([*arguments, "data.text_field=body"]) == 0
    assert _manifest(tmp_path / "out")["sources"]["wiki"]["records"] == 60
    assert main(arguments) == 2  # finished, with other settings


def test_duplicates_can_be_kept(texts, tmp_path):
    shutil.copytree(texts, tmp_path / "data")
    shutil.copy(tmp_path / "data" / "sft" / "a.jsonl", tmp_path / "data" / "sft" / "b.jsonl")
    assert main(command_arguments(tmp_path / "data", tmp_path / "out", "duplicates=keep")) == 0
    manifest = _manifest(tmp_path / "out")
    assert manifest["duplicates"] == "kept" and manifest["sources"]["sft"]["records"] == 120
    assert all(sum(facts["dropped"].values()) == 0 for facts in manifest["sources"].values())


@pytest.mark.mended("links that lead nowhere and pipes among the files")
def test_what_is_no_file_is_not_said_to_have_an_unknown_ending(texts, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(texts / "personal", data / "personal")
    (data / "personal" / "gone.jsonl").symlink_to("nowhere")
    os.mkfifo(data / "personal" / "pipe.jsonl")
    (data / "personal" / "x.odt").write_bytes(b"x")
    (data / "sft").mkdir()
    (data / "sft" / ".a.jsonl").write_text("{}")
    assert main(command_arguments(data, tmp_path / "out", "--sources", "personal")) == 0
    said = capsys.readouterr().out
    assert "personal: 1 file is not read, for no reader knows the ending: x.odt" in said
    assert "2 files are not read, for a link that leads nowhere, or a pipe, is no file: gone.jsonl, pipe.jsonl" in said
    assert main(command_arguments(data, tmp_path / "out2", "--sources", "sft")) == 2
    assert "names that begin with a dot are not data" in capsys.readouterr().err
