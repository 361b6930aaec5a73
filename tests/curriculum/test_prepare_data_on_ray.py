"""Preparing on Ray: the same files as in one process, however the tasks are spread and whoever is killed."""

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest


def _sources(folder, documents):
    """Six files of web pages, some of them twice, and one of stories."""
    (folder / "fineweb_edu").mkdir(parents=True)
    (folder / "tinystories").mkdir()
    for number in range(6):
        with (folder / "fineweb_edu" / f"{number}.jsonl").open("w") as file:
            for n in range(documents):
                page = n if n % 20 else 10**6 + n  # every twentieth stands in all six files
                name = "shared" if n % 20 == 0 else number
                file.write(
                    json.dumps(
                        {
                            "text": " ".join(
                                f"word{hashlib.md5(f'{name}/{page}/{i}'.encode()).hexdigest()[:3]}" for i in range(60)
                            )
                        }
                    )
                    + "\n"
                )
    with (folder / "tinystories" / "a.jsonl").open("w") as file:
        for n in range(documents):
            file.write(json.dumps({"text": f"Once there was a fox, number {n}. " + f"It saw owl {n * 7}. " * 9}) + "\n")
    return folder


def _files(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith(".")
    }


def _arguments(texts, out):
    return [
        "--config",
        "smoke",
        "--data",
        str(texts),
        "--out",
        str(out),
        "--sources",
        "fineweb_edu,tinystories",
        "--shard-tokens",
        "20000",
        "vocab_size=400",
        f"data.tokenizer={texts}",
        "tournament.seq_len=16",
        "curriculum.seq_len=16",
    ]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    from hamner.data.tokenizer import Tokenizer

    folder = _sources(tmp_path_factory.mktemp("texts"), 200)
    Tokenizer.train([p.read_text() for p in sorted(folder.rglob("*.jsonl"))], 400).save(folder)
    return folder


@pytest.mark.slow
def test_tasks_of_a_cluster_write_the_files_of_one_process(commands, texts, tmp_path):
    alone = commands.run("hamner.prepare_data", *_arguments(texts, tmp_path / "alone"))
    spread = commands.run("curriculum.prepare_data", *_arguments(texts, tmp_path / "spread"))
    assert (alone.returncode, spread.returncode) == (0, 0), alone.stderr + spread.stderr
    assert _files(tmp_path / "alone") == _files(tmp_path / "spread")
    facts = json.loads((tmp_path / "spread" / "manifest.json").read_text())["sources"]["fineweb_edu"]
    assert facts["records"] == 1200 and facts["dropped"]["exact_duplicates"] == 50 and len(facts["shards"]) > 8


@pytest.mark.slow
def test_bad_input_of_a_task_is_reported_as_by_one_process(commands, texts, tmp_path):
    (tmp_path / "data" / "fineweb_edu").mkdir(parents=True)
    (tmp_path / "data" / "fineweb_edu" / "a.jsonl.gz").write_bytes(b"no gzip")
    arguments = _arguments(texts, tmp_path / "out")
    arguments[arguments.index("--data") + 1] = str(tmp_path / "data")
    arguments[arguments.index("--sources") + 1] = "fineweb_edu"
    process = commands.run("curriculum.prepare_data", *arguments)
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert "error: source 'fineweb_edu': " in process.stderr and "a.jsonl.gz cannot be read" in process.stderr


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("HAMNER_DATA"), reason="HAMNER_DATA is not set: no real text to read")
def test_real_text_nine_times_over_is_the_same_by_both(commands, tmp_path):
    """218 MB of text of four sources in some thousand files; eight of nine copies are exact duplicates."""
    data, texts = Path(os.environ["HAMNER_DATA"]), tmp_path / "texts"
    for source in ("tinystories", "fineweb_edu", "sft", "personal"):
        for copy in range(9):
            shutil.copytree(data / source, texts / source / str(copy))
    shutil.copytree(data / "tokenizer", texts / "tokenizer")
    for module, out in (("hamner.prepare_data", "alone"), ("curriculum.prepare_data", "spread")):
        process = commands.run(
            module,
            "--config",
            "rtx3090",
            "--data",
            str(texts),
            "--out",
            str(tmp_path / out),
            "--shard-tokens",
            "200000",
            timeout=1200,
        )
        assert process.returncode == 0, process.stderr
    assert _files(tmp_path / "alone") == _files(tmp_path / "spread")
    sources = json.loads((tmp_path / "alone" / "manifest.json").read_text())["sources"]
    assert sum(facts["records"] for facts in sources.values()) == 9 * (1358 + 1045 + 7108 + 79)
    assert all(facts["dropped"]["exact_duplicates"] >= 8 / 9 * facts["records"] for facts in sources.values())
    assert sum(len(facts["shards"]) for facts in sources.values()) > 30


@pytest.mark.slow
def test_a_killed_driver_is_continued(commands, texts, tmp_path):
    """kill -9 of the driver as soon as a shard is there; its orphans may still write, the same bytes."""
    alone = commands.run("hamner.prepare_data", *_arguments(texts, tmp_path / "alone"))
    assert alone.returncode == 0
    process = commands.start("curriculum.prepare_data", *_arguments(texts, tmp_path / "out"))
    while process.poll() is None and not list((tmp_path / "out").glob("*.train.bin")):
        time.sleep(0.005)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = commands.run("curriculum.prepare_data", *_arguments(texts, tmp_path / "out"))
    assert again.returncode == 0, again.stderr
    assert _files(tmp_path / "out") == _files(tmp_path / "alone")
