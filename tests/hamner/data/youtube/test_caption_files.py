"""Ids and titles of videos, from the names of their caption files."""

from pathlib import Path

import pytest

from hamner.data.youtube.caption_files import Video, by_language, caption_language, caption_stem, videos_of


def test_names_of_caption_files():
    def video_of(path, fetched=frozenset()):
        video = videos_of([path], fetched)[path]
        return video.id, video.title

    assert video_of(Path("lecture_001_part1.en.vtt")) == ("lecture_001_part1", "001_part1")
    assert video_of(Path("lecture_001_part1.en.vtt"), {"lecture_001"}) == ("lecture_001", "part1")
    assert video_of(Path("12_3_Elsewhere.en.vtt"), {"12", "12_3"}) == ("12_3", "Elsewhere")
    assert video_of(Path("9_z0XuElERM_librem5 kit_2.en.vtt")) == ("9_z0XuElERM", "librem5 kit_2")
    assert video_of(Path("-154CWGhuAI_A： B？ C｜D⧸E.en-orig.vtt")) == ("-154CWGhuAI", "A: B? C|D/E")
    assert video_of(Path("Intro.english.en.vtt")) == ("Intro.english", "Intro.english")
    assert video_of(Path("12345_Elsewhere.en.vtt")) == ("12345_Elsewhere", "Elsewhere")


@pytest.mark.mended("cases/data/vtt_ytdlp_default_name")
def test_names_that_yt_dlp_and_youtube_dl_give_by_default_state_title_and_id():
    names = ["Mill talk [abcdefghijA].en.vtt", "Mill talk [abcdefghijA].en-orig.srt", "Was？ 2-9_z0XuElERM.de.VTT"]
    videos = videos_of([Path(name) for name in names], set())
    assert list(videos.values()) == [
        Video("abcdefghijA", "Mill talk", "en"),
        Video("abcdefghijA", "Mill talk", "en-orig"),
        Video("9_z0XuElERM", "Was? 2", "de"),
    ]
    parts = [Path("a-b-intro-partA.en.vtt"), Path("c-d-intro-partA.en.vtt"), Path("two-discussions.vtt")]
    assert [video.id for video in videos_of(parts, set()).values()] == [path.name.split(".")[0] for path in parts]


@pytest.mark.mended("cases/data/vtt_title_dots")
def test_only_a_language_is_taken_for_one():
    languages = {
        "talk part.one.vtt": "",
        "talk part.two.SRT": "",
        "v2.0.vtt": "",
        "v2.0.en.vtt": "en",
        "x.zh-Hans.srt": "zh-Hans",
        "x.en-uYU-mmqFLq8.vtt": "en-uYU-mmqFLq8",
        "x.fil.vtt": "fil",
        "my.own.vtt": "",
        "en.vtt": "",
    }
    assert {name: caption_language(Path(name)) for name in languages} == languages
    assert [caption_stem(Path(n)) for n in ("talk part.one.vtt", "v2.0.en.VTT", "en.srt")] == [
        "talk part.one",
        "v2.0",
        "en",
    ]


def test_the_wanted_language_comes_first_then_those_nearest_to_it():
    def order(wanted, *languages):
        return sorted(languages, key=lambda language: by_language(Path(f"x.{language}.vtt"), wanted))

    assert order("en", "de", "en-US", "en-orig", "part one", "en") == ["en", "en-orig", "en-US", "part one", "de"]
    assert order("en-GB", "en-US", "de", "en", "en-GB") == ["en-GB", "en", "en-US", "de"]
    assert sorted(["x.en.srt", "x.en.vtt"], key=lambda name: by_language(Path(name), "en"))[0] == "x.en.vtt"
