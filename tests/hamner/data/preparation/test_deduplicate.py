"""MinHash bands find what says the same, and clusters do not depend on order or memory."""

import itertools
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


def _share_of_pairs_found(pairs):
    keys = band_keys([document for pair in pairs for document in pair])
    return float((keys[::2] == keys[1::2]).any(axis=1).mean())


def _page(rng, numbers):
    """300 words, every 25th of them a number."""
    words = _text(rng, 300)
    words[::25] = numbers
    return " ".join(words)


@pytest.mark.mended("numbers and accents of web pages")
def test_pages_that_differ_in_numbers_or_accents_are_the_same_and_conversations_are_not():
    """12 of 300 words are other numbers: found in 0.18 of the pairs, and in all as DataTrove compares."""
    rng = random.Random(3)
    texts = [
        [_page(random.Random(n), [f"{rng.randrange(10**6):,}.{rng.randrange(99)}" for _ in range(12)]) for _ in "ab"]
        for n in range(100)
    ]
    assert _share_of_pairs_found([[Document(text) for text in pair] for pair in texts]) == 1
    chats = [[Document(text, (("user", text), ("assistant", "yes"))) for text in pair] for pair in texts]
    assert _share_of_pairs_found(chats) < 0.7
    accents = [
        Document("Über den alten Café-Fluß zu geh\u00e9n, ó König"),
        Document("uber den alten cafe fluß zu gehen o konig"),
    ]
    assert _share_of_pairs_found([accents]) == 1


def test_what_is_mostly_numbers_is_told_apart_by_them():
    one, other = (Document(" ".join(f"{n} plus {n + 1} is {2 * n + 1};" for n in range(k, k + 60))) for k in (0, 500))
    assert _share_of_pairs_found([[one, other]]) == 0


@pytest.mark.mended("near-duplicates in Chinese, Japanese and Thai")
@pytest.mark.parametrize("letters", ["\u4e00\u9fa5", "\u3041\u3090", "\u0e01\u0e2e"])
def test_one_other_sign_in_text_without_spaces_is_a_near_duplicate(letters):
    """A word was a clause: of short clauses with a sign changed here and there nothing was found."""
    first, last = map(ord, letters)

    def text(rng):
        clauses = ("".join(chr(rng.randrange(first, last)) for _ in range(12)) for _ in range(20))
        return "\uff0c".join(clauses) + "\u3002"

    def edited(text, rng):
        places = rng.sample(range(len(text)), 4)
        return "".join(chr(rng.randrange(first, last)) if i in places else c for i, c in enumerate(text))

    rng = random.Random(4)
    texts = [text(rng) for _ in range(60)]
    pairs = [[Document(t), Document(edited(t, rng))] for t in texts]
    assert _share_of_pairs_found(pairs) > 0.9
    assert _share_of_pairs_found([[Document(a), Document(b)] for a, b in itertools.pairwise(texts)]) == 0


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
