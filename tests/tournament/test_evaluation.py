"""A league's evaluation: which part of the held-out text is read for what."""

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from tournament.evaluation import Evaluator, check_stretches, probe_stretch


class _Texts:
    """Held-out text of two sources: many documents of one, a single one of the other."""

    def __init__(self, seq_len):
        self._ends = {"fineweb_edu": np.arange(1, 101) * seq_len, "personal": np.array([10 * seq_len])}
        sources = {name: {"heldout_bytes": 4, "heldout_tokens": 1} for name in self._ends}
        self.manifest = {"sources": sources}

    def heldout(self, source):
        return np.arange(self._ends[source][-1])

    def heldout_ends(self, source):
        return self._ends[source]


@pytest.mark.mended("a reported source of one document made each search for a learning rate crash")
def test_a_source_that_is_reported_is_read_whole_while_a_rate_is_chosen():
    config = load_config("smoke", ["lr=probe", 'report=["personal"]', "mix={fineweb_edu=1.0}"])
    length = config.tournament.seq_len
    corpus = _Texts(length)
    check_stretches(config, corpus)
    evaluator = Evaluator(config, corpus, None, 4, probe_stretch(config))
    assert len(evaluator.text("personal", 16).rows) == 10
    assert int(evaluator.text("fineweb_edu", 16).rows[0, 0]) == 80 * length  # of what is ranked on, the last fifth
    with pytest.raises(BadInput, match="'personal' has too little text or too few documents"):
        check_stretches(load_config("smoke", ["lr=probe", "mix={personal=1.0}"]), corpus)
