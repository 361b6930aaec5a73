"""The two readings of a part: of the same text, and block by block."""

import pytest
from sample_texts import config_of, in_order, prose, turns, write_lines

from hamner.config.errors import BadInput
from hamner.data.preparation import pipeline
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import blocks, survey_part
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
