"""The two readings of a part: a few megabytes at a time, and of the same text."""

import pytest
from test_prepare_command import WORDS, _in_order, _turns
from test_prepare_data import _config, _lines, _prose

from hamner.config.errors import BadInput
from hamner.data.preparation import decide, pipeline, survey
from hamner.data.preparation.plan import open_job
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer


@pytest.mark.parametrize("later", [range(50), range(70), [*range(59), 200]])  # fewer, more, as many but other text
@pytest.mark.parametrize("source", ["sft", "fineweb_edu"])
def test_a_file_that_changes_between_the_two_readings_is_told(tmp_path, source, later):
    def write(numbers):
        _lines(
            tmp_path / "data" / source / "a.jsonl",
            [{"messages": _turns(n)} if source == "sft" else {"text": _prose("web", n)} for n in numbers],
        )

    write(range(60))
    config = _config(tmp_path / "data", *WORDS, "data.tokenizer=x/y")
    tokenizer = Tokenizer.train(["a few words"], 301)
    job = open_job(config, str(tmp_path / "out"), [source], tokenizer, tokens=None, runner=_in_order, say=print)

    def runner(what, work, parts):
        if what == "tokenising":
            write(later)
        for part in parts:
            work(part, lambda _: None)

    with pytest.raises(BadInput, match=rf"source '{source}': .*a\.jsonl or what is read with it has changed since"):
        pipeline.run(job, tokenizer, 16, runner, print)


def test_short_documents_and_long_ones_are_handled_a_few_megabytes_at_a_time(tmp_path, monkeypatch):
    """A survey's blocks end by the number of documents too; of long ones fewer are read to learn a token's length."""
    monkeypatch.setattr(survey, "BLOCK_DOCUMENTS", 4000)
    _lines(tmp_path / "data" / "personal" / "a.jsonl", [{"text": f"number {n}"} for n in range(9000)])
    _lines(tmp_path / "data" / "fineweb_edu" / "a.jsonl", [{"text": _prose("book", n, 13_000)} for n in range(120)])
    sizes, real = [], decide.encode

    def encode(tokenizer, documents):
        sizes.append(sum(len(document.text) for document in documents))
        return real(tokenizer, documents)

    monkeypatch.setattr(decide, "encode", encode)
    config, tokenizer = _config(tmp_path / "data", *WORDS), Tokenizer.train(["a few words"], 301)
    job = open_job(
        config, str(tmp_path / "out"), ["fineweb_edu", "personal"], tokenizer, tokens=10**6, runner=_in_order, say=print
    )
    for part in job.parts:
        job.survey(part, lambda _: None)
    blocks = [len(block.texts) for block in survey.surveyed(Store(job.place), job.of("personal")[0])]
    assert blocks == [4000, 4000, 1000]
    pipeline.run(job, tokenizer, 16, _in_order, print)
    books = sum(path.stat().st_size for path in (tmp_path / "data" / "fineweb_edu").iterdir())
    assert max(sizes) < 2.2e6 and sum(sizes) < 6.3e6 < books
