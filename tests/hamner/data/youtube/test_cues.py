"""What was said once is read once: cues that repeat, grow or roll with pauses, and files that editors write."""

import pytest

from hamner.config.errors import BadInput
from hamner.data.youtube.captions import read_captions
from hamner.data.youtube.cues import untagged

LINES = [f"line number {n} of the mill" for n in range(18)]
SENTENCES = [f"s{n}a s{n}b s{n}c s{n}d s{n}e s{n}f" for n in range(8)]


def stamp(seconds, point="."):
    return f"00:{int(seconds // 60):02}:{seconds % 60:06.3f}".replace(".", point)


def webvtt(cues, header="WEBVTT\nKind: captions\nLanguage: en\n\n", point="."):
    return header + "".join(f"{stamp(b, point)} --> {stamp(e, point)}\n{text}\n\n" for b, e, text in cues)


def read(tmp_path, text, name="v.en.vtt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_captions(path)


def said(tmp_path, text, name="v.en.vtt"):
    captions = read(tmp_path, text, name)
    assert captions.malformed == 0
    return " ".join(word.text for word in captions.words)


def plain_cues(lines=LINES):
    return [(4 * n, 4 * n + 3, line) for n, line in enumerate(lines)]


def grown_cues(gap=0.0, seconds=0.5):
    """Each sentence word by word: 168 words are shown of 48."""
    texts = [" ".join(sentence.split()[:count]) for sentence in SENTENCES for count in range(1, 7)]
    return [(n * seconds, (n + 1) * seconds - gap, text) for n, text in enumerate(texts)]


@pytest.mark.mended("cases/data/vtt_dup_cues")
def test_each_cue_twice_is_read_once(tmp_path):
    """ytdl-org #30833, yt-dlp #6274: 264 words of 132."""
    cues, expected = plain_cues(), " ".join(LINES)
    assert said(tmp_path, webvtt(c for cue in cues for c in (cue, cue))) == expected
    assert said(tmp_path, webvtt([*cues, *cues])) == expected  # the whole again at the end
    shifted = [(b + 0.02, e - 0.03, text) for b, e, text in cues]
    assert said(tmp_path, webvtt(c for pair in zip(cues, shifted, strict=True) for c in pair)) == expected
    at_one_time = [(0, 2, "go"), (0, 2, "stop"), (3, 4, "go"), (4.2, 5, "go")]
    assert said(tmp_path, webvtt(at_one_time)) == "go stop go go"


@pytest.mark.mended("cases/data/vtt_gap_roll")
@pytest.mark.parametrize("gap", [0.0, 0.1, 0.3])
def test_lines_that_roll_with_a_gap_between_the_cues_are_read_once(tmp_path, gap):
    pairs = zip(["", *LINES], LINES, strict=False)
    cues = [(3 * n, 3 * n + 3 - gap, "\n".join(pair).strip()) for n, pair in enumerate(pairs)]
    assert said(tmp_path, webvtt(cues)) == " ".join(LINES)
    cues.append((3 * len(LINES), 3 * len(LINES) + 2, LINES[-1]))  # the last one left alone
    assert said(tmp_path, webvtt(cues)) == " ".join(LINES)


def test_a_gap_in_captions_that_do_not_roll_leaves_repeats_as_they_are(tmp_path):
    cues = [(0, 1.9, "round we go\nyeah"), (2, 3.9, "yeah\nand up"), (4, 5.9, "we fly"), (6, 7.9, "down\nagain")]
    cues += [(8, 9.9, "now\nnow"), (10, 11.9, "sleep")]
    assert said(tmp_path, webvtt(cues)) == "round we go yeah yeah and up we fly down again now now sleep"


@pytest.mark.mended("growing cues")
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_cues_that_grow_word_by_word_are_read_once_with_their_times(tmp_path, gap):
    words = read(tmp_path, webvtt(grown_cues(gap))).words
    assert [word.text for word in words] == " ".join(SENTENCES).split()  # were 168 words
    assert [word.start for word in words] == [n * 0.5 for n in range(48)]


def test_cues_grow_within_the_second_line_letter_by_letter_and_from_one_start(tmp_path):
    above = ["", *SENTENCES]
    second = [(b, e, f"{above[n // 6]}\n{text}".lstrip()) for n, (b, e, text) in enumerate(grown_cues())]
    assert said(tmp_path, webvtt(second)) == " ".join(SENTENCES)
    typed = [(n / 10, (n + 1) / 10, "hello world it is"[: n + 1]) for n in range(17)]
    assert said(tmp_path, webvtt(typed)) == "hello world it is"
    assert said(tmp_path, webvtt([(0, 1, "and"), (0, 2, "and so"), (0, 3, "and so we")])) == "and so we"


def test_a_sentence_that_begins_like_the_one_before_is_said_in_full(tmp_path):
    cues = [(0, 1, "No"), (1, 3, "No I do not"), (3, 4, "why"), (4, 6, "why not"), *((n, n + 1, "so") for n in (7, 9))]
    assert said(tmp_path, webvtt(cues)) == "No No I do not why why not so so"


@pytest.mark.mended("cases/data/vtt_srt")
def test_subrip_is_read_whatever_it_is_called(tmp_path):
    cues = plain_cues()
    numbered = "".join(f"{n}\n{webvtt([cue], '', ',')}" for n, cue in enumerate(cues, start=1))
    for name in ("v.srt", "v.SRT", "v.en.vtt"):
        assert said(tmp_path, numbered, name) == " ".join(LINES)
    assert said(tmp_path, b"\xef\xbb\xbf" + numbered.replace("\n", "\r\n").encode(), "v.srt") == " ".join(LINES)
    assert said(tmp_path, numbered.encode("utf-16"), "v.srt") == " ".join(LINES)
    glued = numbered.replace("\n\n", "\n")  # no empty lines at all
    assert said(tmp_path, glued, "v.srt") == " ".join(LINES)
    styled = (
        '1\n0:00:01,5 --> 0:00:02,500 X1:1\n{\\an8}<font color="#fff">hello</font> 12\n\n\n\n2\n00:03 --> 00:04\nyou'
    )
    assert said(tmp_path, styled, "v.srt") == "hello 12 you"


@pytest.mark.mended("cases/data/vtt_blank_in_cue")
def test_text_after_an_empty_line_is_read(tmp_path):
    """webvtt-py #46: it was lost, and not counted."""
    text = webvtt(
        [(0, 2, "one two"), (3, 5, "\nthree four\nfive"), (6, 8, "six\n\nseven"), (9, 10, "\n"), (11, 12, "eight")]
    )
    assert said(tmp_path, text) == "one two three four five six seven eight"
    notes = text.replace("00:00:06", "NOTE nobody\n\nsays this\n\n12\n00:00:06").replace("00:00:11", "13\n\n00:00:11")
    assert said(tmp_path, notes) == "one two three four five six seven eight"


@pytest.mark.mended("comma milliseconds, CR line ends, no last line break")
def test_times_with_commas_other_line_ends_and_no_last_line_break_are_read(tmp_path):
    cues, expected = plain_cues(), " ".join(LINES)
    assert said(tmp_path, webvtt(cues, point=",")) == expected
    assert said(tmp_path, webvtt(cues).replace("\n", "\r")) == expected
    assert said(tmp_path, webvtt(cues).replace("\n", "\r\n")) == expected
    assert said(tmp_path, webvtt(cues).rstrip("\n")) == expected
    assert said(tmp_path, "\ufeff" + webvtt(cues, "WEBVTT - made by hand\n\n").rstrip("\n")) == expected


@pytest.mark.parametrize("end", ["\n\n00:0", "\n\n13", "\n\n00:01:20.000 -->", "\n\n00:01:20.000 --> 00:01:23.000"])
def test_a_file_that_breaks_off_is_still_refused(tmp_path, end):
    with pytest.raises(BadInput, match="half-written"):
        read(tmp_path, webvtt(plain_cues()).rstrip("\n") + end)


@pytest.mark.mended("signs < and > that are no tags")
def test_smaller_and_larger_are_words():
    assert untagged("I <3 the mill, and 2 > 1") == "I <3 the mill, and 2 > 1"
    assert untagged("<v.first Bob>one</v> <c.colorE5E5E5>two</c> <00:00:01.500><i>three</i>") == "one two three"
