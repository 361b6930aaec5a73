"""What was said, from captions: rolling lines once, a chorus as often as it was sung, nothing that is no word."""

import os
import re
from pathlib import Path

import pytest
from youtube_site import rolling, talk

from hamner.config.errors import BadInput
from hamner.data.youtube.captions import read_captions

DATA = os.environ.get("HAMNER_DATA", "")


def read(tmp_path, text, name="v.vtt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_captions(path)


def said(tmp_path, text):
    return " ".join(word.text for word in read(tmp_path, text).words)


def cues(*each):
    """(start, end, payload) to WebVTT that does not roll."""
    return "WEBVTT\n\n" + "".join(f"00:{b:06.3f} --> 00:{e:06.3f}\n{text}\n\n" for b, e, text in each)


def test_rolling_captions_are_read_once(tmp_path):
    words, text = talk(0, lines=60)
    assert text.count("v0w0") == 3  # spoken, moved up, shown above the next line
    assert [w.text for w in read(tmp_path, text).words] == words


@pytest.mark.parametrize("pause", [0.0, 2.0])
def test_a_chorus_sung_twice_stays_twice(tmp_path, pause):
    lines = [
        (1, 3, "round the old mill"),
        (3, 5, "we go we go"),
        (5 + pause, 7 + pause, "we go we go"),
        (7 + pause, 9 + pause, "round the old mill"),
        (9 + pause, 10 + pause, "hey"),
        (10 + pause, 11 + pause, "hey"),
        (11 + 2 * pause, 12 + 2 * pause, "hey"),
    ]
    assert said(tmp_path, rolling(lines)) == " ".join(text for _, _, text in lines)


def test_captions_that_do_not_roll_keep_their_repeats(tmp_path):
    assert said(tmp_path, cues((0, 2, "yeah"), (2, 4, "yeah"), (6, 8, "yeah"), (8, 9, "oh"))) == "yeah yeah yeah oh"
    assert said(tmp_path, cues((0, 3, "one two"), (2, 5, "one two"))) == "one two one two"  # overlapping


def test_lines_that_roll_without_times_of_words_are_read_once(tmp_path):
    text = cues((0, 2, "first line"), (2, 4, "first line\nsecond line"), (4, 6, "second line\nthird line"))
    assert said(tmp_path, text) == "first line second line third line"


def test_a_line_held_on_the_screen_is_not_said_again(tmp_path):
    still = cues((0, 2, " \nround<00:00:01.000><c> we</c><00:00:01.500><c> go</c>"), (2, 4, "round we go\n "))
    assert said(tmp_path, still) == "round we go"
    words, text = talk(0)
    assert said(tmp_path, text.replace("\n \n", "\n")) == " ".join(words)  # without the empty lines of a display


def test_a_line_with_times_of_its_own_is_said_whatever_stood_there(tmp_path):
    text = cues(
        (0, 2, "go<00:00:00.500> on\nla<00:00:01.500> la"), (2, 4, "la<00:00:02.500> la\nbye<00:00:03.500> now")
    )
    assert said(tmp_path, text) == "go on la la la la bye now"


def test_words_have_their_times(tmp_path):
    words = read(tmp_path, cues((10, 12, "a<00:00:10.500><c> b</c><00:00:11.000><c> c</c>"), (20, 24, "d e"))).words
    assert [(w.text, w.start, w.end) for w in words] == [  # a word lasts a second at most
        ("a", 10, 10.5),
        ("b", 10.5, 11),
        ("c", 11, 12),
        ("d", 20, 21),
        ("e", 22, 23),
    ]


def test_tags_entities_marks_and_speakers_are_no_words(tmp_path):
    text = cues(
        (0, 2, "[Music]"),
        (2, 4, "<i>salt</i> &amp; pep<b>per</b>&nbsp;&lt;3"),
        (4, 6, "♪ la la ♪"),
        (6, 8, "what the [&nbsp;__&nbsp;] is it"),
        (8, 9, "&gt;&gt; hello there"),
        (9, 10, ">>hi >> yes"),
        (10, 11, "<v Ann>12:30 is noon</v>"),
        (11, 12, "a > b"),
    )
    words = read(tmp_path, text.replace("WEBVTT\n", "WEBVTT\n\nNOTE nobody says this\n")).words
    assert " ".join(w.text for w in words) == (
        "salt & pepper <3 la la what the is it hello there hi yes 12:30 is noon a > b"
    )
    assert [w.text for w in words if w.turn] == ["hello", "hi", "yes"]


def test_malformed_cues_are_counted(tmp_path):
    captions = read(tmp_path, cues((0, 1, "one"), (1, 2, "two")).replace("00:01.000 -->", "00:99.000 -->"))
    assert [w.text for w in captions.words] == ["one"] and captions.malformed == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "half-written: the file is empty"),
        (rolling([(0, 2, "some words here")])[:-20], "half-written: ends in the middle of a line"),
        (cues((0, 2, "hi"))[:-4] + "\n", "half-written: ends within a cue"),
        (cues((0, 2, "caf\u00e9")).encode()[:-3], "half-written, or not UTF-8 text"),
        ("<html>sorry</html>\n", "not WebVTT or SubRip (.srt): it begins with '<html>sorry"),
        ("WEBVTT\n\n", "captions without a word"),
        (cues((0, 2, "[Music]")), "captions without a word"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, problem):
    with pytest.raises(BadInput) as error:
        read(tmp_path, text)
    assert problem in str(error.value)


def test_what_is_no_file_is_said(tmp_path):
    (tmp_path / "folder.vtt").mkdir()
    for name, problem in (
        ("gone.vtt", "cannot be read: No such file or directory"),
        ("folder.vtt", "cannot be read: Is a directory"),
    ):
        with pytest.raises(BadInput, match=f"^{problem}$"):
            read_captions(tmp_path / name)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    assert said(tmp_path, b"\xef\xbb\xbf" + cues((0, 1, "one two")).replace("\n", "\r\n").encode()) == "one two"


@pytest.mark.skipif(not DATA, reason="HAMNER_DATA is not set: no real text to read")
def test_real_transcripts_come_back_word_for_word():
    extra = Path(DATA) / "extra" / "personal" / "youtube_vtt_reconstructed"
    lengths = []
    for path in sorted(extra.glob("*.vtt")):
        transcript = Path(DATA) / "personal" / "youtube" / f"{path.name.removesuffix('.en.vtt')}.txt"
        expected = re.sub(r"\[[^\]]*\]", " ", transcript.read_text(encoding="utf-8")).split()
        assert [w.text for w in read_captions(path).words] == expected
        lengths.append(len(expected))
    assert lengths == [508, 979, 404]
