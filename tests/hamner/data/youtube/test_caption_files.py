"""Ids and titles of videos, from the names of their caption files."""

from pathlib import Path

from hamner.data.youtube.caption_files import videos_of


def test_names_of_caption_files():
    def video_of(path, fetched=frozenset()):
        return videos_of([path], fetched)[path]

    assert video_of(Path("lecture_001_part1.en.vtt")) == ("lecture_001_part1", "001_part1")
    assert video_of(Path("lecture_001_part1.en.vtt"), {"lecture_001"}) == ("lecture_001", "part1")
    assert video_of(Path("12_3_Elsewhere.en.vtt"), {"12", "12_3"}) == ("12_3", "Elsewhere")
    assert video_of(Path("9_z0XuElERM_librem5 kit_2.en.vtt")) == ("9_z0XuElERM", "librem5 kit_2")
    assert video_of(Path("-154CWGhuAI_A： B？ C｜D⧸E.en-orig.vtt")) == ("-154CWGhuAI", "A: B? C|D/E")
    assert video_of(Path("Intro.english.en.vtt")) == ("Intro.english", "Intro.english")
    assert video_of(Path("12345_Elsewhere.en.vtt")) == ("12345_Elsewhere", "Elsewhere")
