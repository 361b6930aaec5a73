"""What a chat can be expected to be: one sentence for every size, fine-tuned or not."""

import pytest

from hamner.inference.expectation import expectation


@pytest.mark.parametrize("is_finetuned", [True, False, None])
@pytest.mark.parametrize(
    ("parameters", "size"), [(1_071_360, "1.1 M"), (163_600_000, "163.6 M"), (1_500_000_000, "1.5 B")]
)
def test_a_sentence_states_the_size_and_promises_no_facts(parameters, size, is_finetuned):
    sentence = expectation(parameters, is_finetuned)
    assert sentence.startswith(f"{size} parameters, ") and sentence.endswith(".") and sentence.count("\n") == 0
    assert ("miniature" in sentence) == (parameters < 10_000_000)
    assert ("not fine-tuned" in sentence) == (is_finetuned is False)
    assert any(word in sentence for word in ("do not", "may not", "little sense"))
