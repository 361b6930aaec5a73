"""MinHash bands find what says the same, and clusters do not depend on order or memory."""

import random

import numpy as np
import pytest

from hamner.data.preparation.deduplicate import BANDS, EXACT, KEPT, KEYS_AT_ONCE, NEAR, Index, band_keys, shingles
from hamner.data.sources import Document

WORDS = [f"w{n}" for n in range(2000)]


def _text(rng, words=200):
    return [rng.choice(WORDS) for _ in range(words)]


def _documents(texts):
    return [Document(" ".join(words)) for words in texts]


def _share_a_band(one, other):
    keys = band_keys(_documents([one, other]))
    return bool((keys[0] == keys[1]).any())


def _edited(words, replaced, rng):
    """Each replaced word changes five shingles."""
    words = list(words)
    for place in rng.sample(range(0, len(words), 5), replaced):
        words[place] = "new" + str(rng.random())
    return words


def test_how_often_a_pair_is_found_follows_its_similarity():
    """The formula of the docstring, at three similarities, 150 pairs each, within 4 standard deviations."""
    rng = random.Random(0)
    for replaced in (3, 7, 12):
        pairs, chances = 0, []
        for _ in range(150):
            text = _text(rng)
            other = _edited(text, replaced, rng)
            sets = [{tuple(t[i : i + 5]) for i in range(len(t) - 4)} for t in (text, other)]
            similarity = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
            chances.append(1 - (1 - similarity**8) ** BANDS)
            pairs += _share_a_band(text, other)
        expected, variance = sum(chances), sum(p * (1 - p) for p in chances)
        assert abs(pairs - expected) < 4 * variance**0.5 + 1, (replaced, pairs, expected)


def test_other_text_is_not_called_a_duplicate():
    rng = random.Random(1)
    keys = band_keys(_documents([_text(rng) for _ in range(2000)]))
    assert all(len(np.unique(keys[:, band])) == 2000 for band in range(BANDS))


def test_case_punctuation_and_the_system_prompt_do_not_count():
    turns = (("user", "Where is the red key, my friend?"), ("assistant", "Under the third stone, as ever."))
    other = (("user", "where is the RED key my friend"), ("assistant", "under the third stone -- as ever!"))
    system = ("system", "You are a kind and patient friend who never tires of questions. " * 9)
    one, two, three, four = band_keys(
        [
            Document("x", turns),
            Document("x", other),
            Document("x", (system, *turns)),
            Document("x", (system, ("user", "What does the old owl sing?"), ("assistant", "It sings of the river."))),
        ]
    )
    assert (one == two).all() and (one == three).all()
    assert not (three == four).any()  # the same system prompt, another conversation


def test_shingles_never_reach_into_the_next_document():
    hashes = [[1, 2, 3, 4, 5, 6], [7], [1, 2, 3, 4, 5], []]
    flat, offsets = shingles(hashes)
    assert offsets.tolist() == [0, 2, 3, 4, 5] and len(flat) == 5
    assert flat[0] == flat[3] and len(set(flat.tolist())) == 4
    again, _ = shingles(hashes[1:])
    assert again.tolist() == flat[2:].tolist()  # and do not depend on what stands before
    keys = band_keys(
        [Document("one two"), Document("One, two."), Document("one two three"), Document("?!"), Document("--")]
    )
    assert (keys[0] == keys[1]).all() and not (keys[0] == keys[2]).any() and not (keys[3] == keys[4]).any()


def _kinds(folder, texts, bands, keys_at_once):
    index = Index(folder, keys_at_once)
    for start in range(0, len(texts), 7):  # however it is cut
        index.add(texts[start : start + 7], bands[start : start + 7])
    return index.kinds(preferred=len(texts))


def _planted(rng, n=400):
    """n documents in random clusters: chains of shared bands, and equal texts. Returns texts, bands, true cluster."""
    draw = np.random.default_rng(rng.randrange(10**6))
    texts, bands = draw.integers(0, 2**63, n, dtype=np.uint64), draw.integers(0, 2**63, (n, BANDS), dtype=np.uint64)
    cluster = list(range(n))
    for place in range(1, n):
        if rng.random() < 0.4:
            earlier = rng.randrange(place)
            if rng.random() < 0.3:
                texts[place], bands[place] = texts[earlier], bands[earlier]
            else:
                band = rng.randrange(BANDS)
                bands[place, band] = bands[earlier, band]
            cluster[place] = cluster[earlier]
    return texts, bands, np.array(cluster)


@pytest.mark.parametrize("keys_at_once", [KEYS_AT_ONCE, 32])
def test_one_of_each_cluster_is_kept_and_it_is_the_same_one_in_any_order(tmp_path, keys_at_once):
    """With 32 keys at a time the index is cut into 16 parts, as that of 64 million documents would be."""
    for seed in range(3):
        rng = random.Random(seed)
        texts, bands, cluster = _planted(rng)
        kinds = _kinds(tmp_path, texts, bands, keys_at_once)
        kept = np.flatnonzero(kinds == KEPT)
        assert sorted(cluster[kept]) == sorted(set(cluster))
        assert all(texts[place] == texts[cluster == cluster[place]].min() for place in kept)
        assert (kinds == EXACT).sum() == len(texts) - len(set(texts.tolist()))
        assert (kinds == NEAR).sum() == len(texts) - len(kept) - (kinds == EXACT).sum() > 50
        order = rng.sample(range(len(texts)), len(texts))
        shuffled = _kinds(tmp_path, texts[order], bands[order], keys_at_once)
        assert set(texts[order][shuffled == KEPT].tolist()) == set(texts[kept].tolist())


def test_of_a_cluster_a_preferred_document_is_kept(tmp_path):
    """Whatever the hashes: the first two are preferred, the third is equal to the second."""
    index = Index(tmp_path)
    index.add(np.array([5, 9, 9, 1], dtype=np.uint64), np.array([[1], [2], [2], [1]], dtype=np.uint64).repeat(BANDS, 1))
    assert index.kinds(preferred=2).tolist() == [KEPT, KEPT, EXACT, NEAR]
    assert index.kinds(preferred=4).tolist() == [NEAR, KEPT, EXACT, KEPT]


def test_no_documents_have_no_kinds(tmp_path):
    assert len(Index(tmp_path).kinds(preferred=0)) == 0
