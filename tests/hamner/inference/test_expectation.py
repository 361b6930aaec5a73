"""What a chat can be expected to be: one sentence for every size, fine-tuned or not."""

import json

import pytest

from hamner.inference.expectation import expectation
from hamner.inference.run_records import read_records


@pytest.mark.parametrize("is_finetuned", [True, False, None])
@pytest.mark.parametrize(
    ("parameters", "size"), [(1_071_360, "1.1 M"), (163_600_000, "163.6 M"), (1_500_000_000, "1.5 B")]
)
def test_a_sentence_states_the_size_and_promises_no_facts(parameters, size, is_finetuned):
    sentence = expectation(parameters, is_finetuned)
    assert f"{size} parameters" in sentence and "{" not in sentence and len(sentence) < 120
    assert ("miniature" in sentence) == (parameters < 10_000_000)
    assert ("not fine-tuned" in sentence) == (is_finetuned is False)
    assert any(word in sentence for word in ("do not", "may neither", "little sense"))


FACTS = {
    "fine-tuned": ({"config": {}, "kind": "sft"}, True),
    "not": ({"config": {}, "kind": "curriculum"}, False),
    "exported": ({"model_type": "llama"}, None),
}


@pytest.mark.parametrize("case", FACTS)
def test_whether_a_model_is_fine_tuned_is_read_from_its_run(case, tmp_path):
    facts, expected = FACTS[case]
    (tmp_path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "final").mkdir()
    assert read_records(tmp_path / "final").is_finetuned is expected
