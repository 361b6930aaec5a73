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


@pytest.mark.mended("languages as players, editors and browsers write them; ids wherever they stand")
def test_files_of_one_video_are_known_however_they_are_named():
    languages = {
        "Talk.EN.vtt": "en",
        "Talk.eng.srt": "en",
        "Talk.ger.srt": "de",
        "Talk.English.srt": "en",
        "Talk.en_US.srt": "en-US",
        "Talk.zh_TW.srt": "zh-TW",
        "Talk.zh_Hans.srt": "zh-Hans",
        "Talk.en.sdh.srt": "en",
        "Talk.en.hi.srt": "en",
        "Talk.en.forced.srt": "en",
        "Talk.en (1).vtt": "en",
    }
    assert {name: caption_language(Path(name)) for name in languages} == languages
    assert {caption_stem(Path(name)) for name in languages} == {"Talk"}
    for name in ("Talk vol.VI.vtt", "Talk.my_own.vtt", "Talk (1).vtt", "Talk.sdh.vtt"):
        assert (caption_language(Path(name)), caption_stem(Path(name))) == ("", name[:-4])
    named = ["Talk.en.sdh.srt", "Talk.en (1).srt", "Talk.en.srt", "Talk.eng.vtt"]
    assert sorted(named, key=lambda name: by_language(Path(name), "en"))[:2] == ["Talk.eng.vtt", "Talk.en.srt"]
    names = ["Talk [dQw4w9WgXcQ].en.vtt", "Talk [dQw4w9WgXcQ] (1).en.vtt", "Talk[dQw4w9WgXcQ].vtt"]
    videos = videos_of([Path(name) for name in [*names, "dQw4w9WgXcQ - Talk.en.vtt"]], set())
    assert [(video.id, video.title) for video in videos.values()] == [("dQw4w9WgXcQ", "Talk")] * 4
    parts = [Path("discussions - one.vtt"), Path("discussions - two.vtt")]
    assert [video.id for video in videos_of(parts, set()).values()] == ["discussions - one", "discussions - two"]
