"""The two readings of a part: of the same text, and block by block."""

import gzip
import io
import json
import os
import random

import pytest
from sample_texts import config_of, file_hashes, in_order, prose, turns, write_lines

from hamner.config.errors import BadInput
from hamner.data.preparation import pipeline
from hamner.data.preparation.part import PART_BYTES
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import survey_part
from hamner.data.preparation.survey_blocks import blocks
from hamner.data.sources import local_files
from hamner.data.tokenizer import Tokenizer


@pytest.mark.parametrize("later", [range(50), range(70), [*range(59), 200]])  # fewer, more, as many but other text
@pytest.mark.parametrize("source", ["sft", "fineweb_edu"])
def test_a_file_that_changes_between_the_two_readings_is_refused(tmp_path, source, later):
    def write(numbers):
        write_lines(
            tmp_path / "data" / source / "a.jsonl",
            [{"messages": turns(n)} if source == "sft" else {"text": prose("web", n)} for n in numbers],
        )

    def runner(step, work, parts):
        if step == pipeline.WRITE:
            write(later)
        in_order(step, work, parts)

    write(range(60))
    config, store = config_of(tmp_path / "data", "data.tokenizer=x/y"), Store(tmp_path / "out")
    tokenizer = Tokenizer.train(["a few words"], 301)
    plan = make_plan(config, store, [source], tokenizer, seq_len=16, runner=in_order, say=print)
    with pytest.raises(BadInput, match=rf"source '{source}': .*a\.jsonl or what is read with it has changed since"):
        pipeline.run(plan, tokenizer, runner, print)


def test_a_block_ends_with_the_batch_that_fills_it(tmp_path):
    """Batches of 2,000 documents. A block that is gone is written again, and nothing after the last one is."""
    write_lines(tmp_path / "data" / "personal" / "a.jsonl", [*({"text": f"number {n}"} for n in range(9000)), "{"])
    store, tokenizer = Store(tmp_path / "out"), Tokenizer.train(["a few words"], 301)
    plan = make_plan(
        config_of(tmp_path / "data"), store, ["personal"], tokenizer, seq_len=16, runner=in_order, say=print
    )
    (part,) = plan.parts
    files, sizes = [], []
    for _ in range(3):
        survey_part(plan, part, lambda _: None, block_documents=4000)
        files.append({p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "out").glob("*/*.npz")})
        sizes.append([(len(block.texts), block.tally.records, block.is_last) for block in blocks(store, part)])
        if len(files) == 2:
            for path in sorted((tmp_path / "out").glob("*/*.npz"))[1:]:
                path.unlink()
    assert sizes == [[(4000, 4000, False), (4000, 4000, False), (1000, 1001, True)]] * 3
    assert files[0] == files[1]
    assert {name: data for name, (data, _) in files[2].items()} == {name: data for name, (data, _) in files[0].items()}


def reads(monkeypatch):
    """The names of the files that are read, as they come."""
    names, read = [], local_files.file_records

    def recorded(path, keys):
        names.append(path.name)
        return read(path, keys)

    monkeypatch.setattr(local_files, "file_records", recorded)
    return names


def six_files(folder):
    """Five good files and one that is cut short, the fifth in order."""
    for number in range(6):
        write_lines(folder / "sft" / f"{number}.jsonl", [{"messages": turns(9 * number + n)} for n in range(9)])
    path = folder / "sft" / "4.jsonl"
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name("4.jsonl.gz").write_bytes(whole[:-9])
    return path.with_name("4.jsonl.gz"), whole


def prepare(folder, out, *words, part_bytes=PART_BYTES, tokenizer=None):
    """What a preparation says; with a tokenizer that is given."""
    lines, tokenizer = [], tokenizer or Tokenizer.train(["a few words"], 301)
    config, store = config_of(folder, "data.tokenizer=x/y", *words), Store(out)
    plan = make_plan(
        config, store, ["sft"], tokenizer, seq_len=16, part_bytes=part_bytes, runner=in_order, say=lines.append
    )
    pipeline.run(plan, tokenizer, in_order, lines.append)
    return lines


@pytest.mark.mended("a survey belongs to its file")
@pytest.mark.parametrize("part_bytes", [1, 4000, PART_BYTES])  # each file a part, a few, all
@pytest.mark.parametrize("way_out", ["taken away", "mended", "mended without a trace"])
def test_what_is_surveyed_is_kept_when_another_file_changes(tmp_path, monkeypatch, way_out, part_bytes):
    """One broken file of six; the rest is read once, and the result is what a calm preparation writes."""
    path, whole = six_files(tmp_path / "data")
    before, names = path.stat(), reads(monkeypatch)
    with pytest.raises(BadInput, match=r"4\.jsonl\.gz cannot be read"):
        prepare(tmp_path / "data", tmp_path / "out", part_bytes=part_bytes)
    assert set(names) == {path.name for path in (tmp_path / "data" / "sft").iterdir()} and len(names) == 6
    names.clear()
    with pytest.raises(BadInput, match=r"4\.jsonl\.gz cannot be read"):  # the same again
        prepare(tmp_path / "data", tmp_path / "out", part_bytes=part_bytes)
    assert names == ["4.jsonl.gz"]
    if way_out == "taken away":
        path.unlink()
    else:
        path.write_bytes(whole)
    if way_out == "mended without a trace":  # as a disk that can be read again
        path.write_bytes(whole[: before.st_size])
        monkeypatch.setattr(gzip, "GzipFile", lambda fileobj: io.BytesIO(gzip.decompress(whole)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    names.clear()
    prepare(tmp_path / "data", tmp_path / "out", part_bytes=part_bytes)
    written = ["0.jsonl", "1.jsonl", "2.jsonl", "3.jsonl", *([path.name] if path.exists() else []), "5.jsonl"]
    assert names == ([path.name] if path.exists() else []) + written  # only then are shards written
    prepare(tmp_path / "data", tmp_path / "calm", part_bytes=part_bytes)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "calm")


@pytest.mark.mended("all unreadable files at once")
def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path):
    six_files(tmp_path / "data")
    (tmp_path / "data" / "sft" / "1.jsonl").unlink()
    (tmp_path / "data" / "sft" / "1.parquet").write_bytes(b"PAR0")
    with pytest.raises(BadInput) as caught:
        prepare(tmp_path / "data", tmp_path / "out")
    names = [problem.split(" cannot be read")[0].rpartition("/")[2] for problem in caught.value.problems]
    assert names == ["1.parquet", "4.jsonl.gz"]


@pytest.mark.mended("other settings begin the survey anew")
def test_surveys_are_kept_under_other_settings(tmp_path, monkeypatch):
    """Another tokenizer and another share held out: nothing of a survey depends on them. On duplicates it does."""
    path, _ = six_files(tmp_path / "data")
    names = reads(monkeypatch)
    with pytest.raises(BadInput):
        prepare(tmp_path / "data", tmp_path / "out")
    path.unlink()
    names.clear()
    other = Tokenizer.train(["other words"], 301)
    lines = prepare(tmp_path / "data", tmp_path / "out", "heldout_fraction=0.1", tokenizer=other)
    assert len(names) == 5 and "begun with other settings and inputs and tokenizer, and nothing is written" in lines[0]
    prepare(tmp_path / "data", tmp_path / "calm", "heldout_fraction=0.1", tokenizer=other)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "calm")
    names.clear()
    six_files(tmp_path / "more")
    with pytest.raises(BadInput):
        prepare(tmp_path / "more", tmp_path / "third")
    with pytest.raises(BadInput):
        prepare(tmp_path / "more", tmp_path / "third", "duplicates=keep")
    assert len(names) == 12


def test_files_that_are_added_and_taken_away_between_surveys_leave_no_trace(tmp_path, monkeypatch):
    """Many random changes, each after a stop somewhere in the survey; blocks of a few documents each."""
    monkeypatch.setattr("hamner.data.preparation.survey.BLOCK_DOCUMENTS", 7)
    rng, tokenizer = random.Random(0), Tokenizer.train(["a few words"], 301)
    source = tmp_path / "data" / "sft"
    for number in range(12):
        write_lines(source / f"{number:02}.jsonl", [{"messages": turns(20 * number + n)} for n in range(12)])
    for turn in range(12):
        for path in rng.sample(sorted(source.iterdir()), 2):
            path.unlink()
        for number in rng.sample(range(100, 999), 2):
            records = [{"messages": turns(20 * number + n)} for n in range(rng.randrange(1, 30))]
            write_lines(source / f"{rng.randrange(99):02}-{number}.jsonl", records)
        config, store = config_of(tmp_path / "data", "data.tokenizer=x/y"), Store(tmp_path / "out")
        plan = make_plan(
            config, store, ["sft"], tokenizer, seq_len=16, part_bytes=9000, runner=in_order, say=lambda _: None
        )
        parts = rng.sample(plan.parts, rng.randrange(len(plan.parts) + 1))
        for part in parts if turn < 11 else plan.parts:
            survey_part(plan, part, lambda _: None, block_documents=7)
    pipeline.run(plan, tokenizer, in_order, print)
    prepare(tmp_path / "data", tmp_path / "calm", part_bytes=9000, tokenizer=tokenizer)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "calm")


@pytest.mark.mended("cases/data/sft_long_system")
def test_what_is_held_out_is_counted_as_it_is_written(tmp_path):
    """A long system prompt that all share is not written where it is held out, so it does not count there."""
    talks = [[{"role": "system", "content": "You are a patient friend. " * 40}, *turns(n)] for n in range(300)]
    write_lines(tmp_path / "data" / "sft" / "a.jsonl", [{"messages": talk} for talk in talks])
    prepare(tmp_path / "data", tmp_path / "out", "heldout_sequences=100", "heldout_fraction=0.01")
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["sft"]
    assert facts["heldout_tokens"] >= 100 * 16 and facts["heldout_characters"] >= 100 * 16 * 5
