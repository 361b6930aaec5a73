"""The command, through yt-dlp's own code on a site of our own: what it fetches, what it says, what a kill costs."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yt_dlp
from youtube_site import Site, rolling, talk, write_plugin

from hamner.config.load import load_config
from hamner.data import split
from hamner.data.preparation.for_run import prepare
from hamner.data.sources import SOURCES, Tally
from hamner.data.sources.local_files import folder_documents, folder_files
from hamner.data.tokenizer import Tokenizer
from hamner.data.youtube.captions import read_captions
from hamner.data.youtube.download import LATER
from hamner.process_youtube import main

DATA = os.environ.get("HAMNER_DATA", "")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Makes the site's extractor known to yt-dlp, in processes started with this environment."""
    folder = write_plugin(tmp_path_factory.mktemp("plugin"))
    return os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def site():
    with Site() as site:
        yield site


@pytest.fixture
def command(plugin, tmp_path):
    """Runs the command in a process of its own; waits for nothing unless told to."""

    def run(target, *options, out=tmp_path / "personal", sleep="0"):
        words = [sys.executable, "-m", "hamner.process_youtube", str(target), "--out", str(out), "--sleep", sleep]
        process = subprocess.run(
            [*words, *options], env=plugin, text=True, capture_output=True, timeout=120, check=False
        )
        lines = process.stdout.splitlines()
        if process.returncode == 0 and out.name == "personal":
            assert lines.pop().startswith("the source `personal` is read from there")  # the next command
        return process.returncode, lines, process.stderr

    return run


def records(out):
    return [json.loads(line) for line in (out / "training_samples.jsonl").read_text(encoding="utf-8").splitlines()]


def video_id(number):
    return f"id_-{number:07}"  # eleven characters, as YouTube's


def info_json(path, captions, **fields):
    """A video's info-json as yt-dlp writes it, its captions within."""
    path.write_text(
        json.dumps(
            {
                "id": "AB_cd-EF123",
                "title": "How? Why: and/or",
                "extractor": "youtube",
                "extractor_key": "Youtube",
                "webpage_url": "https://www.youtube.com/watch?v=AB_cd-EF123",
                "formats": [],
                "subtitles": {},
                "automatic_captions": {"en": [{"ext": "vtt", "data": captions}]},
                **fields,
            }
        ),
        encoding="utf-8",
    )
    return path


def test_a_channel_becomes_samples_that_personal_reads(site, command, tmp_path):
    words = []
    for number in range(6):
        said, captions = talk(number)
        words += said
        site.add(video_id(number), captions, title=f"Part {number}: what? A/B")
    site.channel("videos", [video_id(n) for n in range(4)])
    site.channel("shorts", [video_id(n) for n in (3, 4, 5)])  # one of them in both tabs
    address = site.channel("me", [{"tab": "videos"}, {"tab": "shorts"}])
    out = tmp_path / "personal"
    code, said, _ = command(address, "--pauses", "0.5")
    assert code == 0 and said[-1] == "6 videos: 6 fetched" and "1,920 words, each in at most 1" in said[-2]
    names = sorted(path.name for path in (out / "youtube").glob("*.vtt"))
    assert names[0] == "id_-0000000_Part 0： what？ A⧸B.en.vtt" and len(names) == 6
    samples = records(out)
    assert {record["title"] for record in samples} == {f"Part {n}: what? A/B" for n in range(6)}
    used = Counter(w for r in samples for w in r["text"].removeprefix(f"Topic: {r['title']}").split())
    assert set(used) <= set(words) and set(used.values()) == {1} and len(used) > 0.95 * len(words)
    kinds = Counter(record["source"] for record in samples)
    assert kinds["youtube_topic"] == 6 and kinds["youtube_conversation"] > 0 and kinds["youtube_raw"] > 0
    stats = json.loads((out / "stats.json").read_text())
    assert stats["sample_types"] == kinds and (stats["num_videos"], stats["total_words"]) == (6, 1920)
    # the source takes the folder as it stands: the samples, and nothing a second time
    source, tally = SOURCES["personal"], Tally()
    files = folder_files(source, tmp_path)
    assert [path.name for path in files] == ["training_samples.jsonl"]
    assert [d.text for d in folder_documents(source, files, tally)] == [r["text"] for r in samples]
    assert (tally.malformed, tally.records) == (0, len(samples))
    # again: nothing is asked for but the lists, and nothing changes
    before, requests = (out / "training_samples.jsonl").read_bytes(), site.caption_requests()
    assert set(requests.values()) == {1} and len(requests) == 6
    code, said, _ = command(address, "--pauses", "0.5")
    assert code == 0 and said[-1] == "6 videos: 6 here already"
    assert site.caption_requests() == requests and site.requests[f"/video/{video_id(0)}.json"] == 1
    assert (out / "training_samples.jsonl").read_bytes() == before


def test_what_is_wrong_with_a_video_is_said_and_the_rest_goes_on(site, command, tmp_path):
    _, captions = talk(0)
    site.add("good_video1", captions, title="Fine")
    site.add("private_vid", captions, private="Private video. Sign in if you may see it", captions={})
    site.add("gone_video1", captions, gone="Video unavailable. Its owner took it away")
    site.add("silent_vid1", captions, captions={})
    site.add("german_vid1", captions, captions={"en": "vtt", "de-orig": "vtt", "de": "vtt"})
    site.add("other_form1", captions, captions={"en": "ttml"})
    site.add("cut_by_net1", captions)
    site.cut.add("/captions/cut_by_net1.vtt")
    site.add("cut_by_them", captions[: len(captions) // 2].rstrip())
    site.add("only_music1", rolling([(0, 2, "[Music]"), (4, 6, "[Applause]")]))
    site.add("few_words01", rolling([(0, 2, "hello and goodbye")]))
    videos = [Path(path).stem for path in site.files if path.startswith("/video/")]
    address = site.channel("me", [*videos, "lost_page01"])
    code, said, err = command(address)
    assert code == 0 and err == ""
    lines = {line.partition(": ")[0]: line.partition(": ")[2] for line in said}
    assert lines["good_video1"] == "fetched"
    assert lines["private_vid"] == "no automatic captions in 'en' (Private video. Sign in if you may see it)"
    assert lines["gone_video1"] == "Video unavailable. Its owner took it away"
    assert lines["silent_vid1"].startswith("no automatic captions in 'en'")
    assert lines["german_vid1"].startswith("spoken in 'de': captions in 'en' would be a machine's translation")
    assert lines["other_form1"].startswith("captions only as ttml, not as WebVTT")
    assert "bytes read" in lines["cut_by_net1"] and "5 retries" in lines["cut_by_net1"]
    assert lines["cut_by_them"].startswith("half-written: ends in the middle of a line")
    assert "404" in lines["lost_page01"]
    assert lines["only_music1_only_music1.en.vtt"] == "captions without a word"
    assert lines["few_words01_few_words01.en.vtt"].startswith("too short: less than 100 characters")
    assert said[-1] == "11 videos: 3 fetched, 8 without captions"
    assert {r["title"] for r in records(tmp_path / "personal")} == {"Fine"}
    # one that comes right later is fetched then, and only that
    site.cut.clear()
    before = site.caption_requests()
    code, said, _ = command(address)
    assert code == 0 and said[-1] == "11 videos: 1 fetched, 3 here already, 7 without captions"
    changed = {path for path, n in site.caption_requests().items() if n != before.get(path)}
    assert changed == {"/captions/cut_by_net1.vtt", "/captions/cut_by_them.vtt"}


def test_half_written_captions_are_fetched_again_and_deleted_ones_are_not(site, command, tmp_path):
    for number in range(4):
        site.add(video_id(number), talk(number)[1])
    address = site.channel("me", [video_id(n) for n in range(4)])
    assert command(address)[0] == 0
    folder = tmp_path / "personal" / "youtube"
    samples = (tmp_path / "personal" / "training_samples.jsonl").read_bytes()
    paths = sorted(folder.glob("*.vtt"))
    whole = [path.read_bytes() for path in paths]
    paths[0].write_bytes(whole[0][:1500])
    paths[1].write_bytes(b"")
    archive = (folder / "archive").read_text().splitlines()
    (folder / "archive").write_text("\n".join(archive[:3]) + f"\n{archive[3][:9]}")  # torn, and a note lost
    code, said, _ = command(address)
    assert code == 0 and said[-1] == "4 videos: 2 fetched again, 2 here already"
    assert [path.read_bytes() for path in paths] == whole
    assert (tmp_path / "personal" / "training_samples.jsonl").read_bytes() == samples
    assert list(site.caption_requests().values()) == [2, 2, 1, 1]
    paths[2].unlink()
    code, said, _ = command(address)
    assert said[-1] == "4 videos: 4 here already" and not paths[2].exists()


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same_and_fetches_nothing_twice(site, plugin, command, tmp_path):
    videos = [video_id(n) for n in range(8)]
    for number, video in enumerate(videos):
        site.add(video, talk(number)[1], title=f"Part {number}")
    address = site.channel("me", videos)
    assert command(address, "--uses", "2", out=tmp_path / "whole")[0] == 0
    site.requests.clear()
    site.delay = 0.06  # each caption file comes in two halves
    out, rng = tmp_path / "killed", random.Random(0)
    finished: set[str] = set()
    kills = 0
    for _ in range(5):
        before = Counter(site.requests)
        process = subprocess.Popen(
            [sys.executable, "-m", "hamner.process_youtube", address, "--uses", "2", "--out", str(out), "--sleep", "0"],
            env=plugin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while not any(site.requests[p] > before[p] for p in site.caption_requests()) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.35))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not {p for p in finished if site.requests[f"/captions/{p}.vtt"] > before[f"/captions/{p}.vtt"]}
        archive = out / "youtube" / "archive"
        finished = {line.split()[1] for line in archive.read_text().splitlines()} if archive.exists() else set()
        for path in (out / "youtube").glob("*.vtt"):
            assert path.read_bytes() == site.files[f"/captions/{path.name[:11]}.vtt"]  # whole, or not there
    assert kills >= 2
    site.delay = 0
    assert command(address, "--uses", "2", out=out)[0] == 0
    assert sum(site.caption_requests().values()) <= len(videos) + kills
    for name in ("training_samples.jsonl", "stats.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert set((out / "youtube" / "archive").read_text().split("\n")) == set(
        (tmp_path / "whole" / "youtube" / "archive").read_text().split("\n")
    )
    assert not (out / "youtube" / ".partial").exists()


def test_it_waits_between_requests_and_stops_when_they_are_too_many(site, command):
    for number in range(4):
        site.add(video_id(number), talk(number)[1])
    address = site.channel("me", [video_id(n) for n in range(4)])
    site.status[f"/captions/{video_id(2)}.vtt"] = 429
    code, said, _ = command(address, sleep="0.7")
    assert code == 0 and said[-1] == "4 videos: 2 fetched, 2 without captions"
    assert f"/video/{video_id(3)}.json" not in site.requests
    assert said[3] == f"{video_id(3)}: {LATER}"
    gaps = [b - a for a, b in zip(site.times, site.times[1:], strict=False)]
    # list, video, captions, video, captions, ...: a seventh before a page, the whole before captions
    assert min(gaps) >= 0.1 and min(gaps[1::2]) >= 0.7


def test_captions_on_this_disk_are_taken_and_never_asked_for(site, command, tmp_path, capsys):
    mine, out = tmp_path / "mine", tmp_path / "personal"
    mine.mkdir()
    (mine / f"{video_id(0)}_One： 1.en.vtt").write_text(talk(0)[1])
    (mine / "Intro.english.en.vtt").write_text(talk(1)[1])
    (mine / f"{video_id(2)}_Zwei.de.vtt").write_text(talk(2)[1].replace("Language: en", "Language: de"))
    (mine / f"{video_id(3)}_Half.en.vtt").write_text(talk(3)[1][:-9])
    info_json(mine / "x.info.json", talk(4)[1])
    assert main([str(mine), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"{video_id(2)}_Zwei.de.vtt: captions in 'de', not in 'en' (--language chooses)" in said
    assert any(line.startswith(f"{video_id(3)}_Half.en.vtt: half-written") for line in said)
    assert said[-2] == "5 videos: 2 copied, 1 fetched, 2 without captions"
    assert {r["title"] for r in records(out)} == {"One: 1", "Intro.english", "How? Why: and/or"}
    site.add(video_id(0), talk(0)[1])
    code, said, _ = command(site.channel("me", [video_id(0)]))
    assert code == 0 and said[-1] == "1 videos: 1 here already" and site.caption_requests() == {}
    # other options, other samples, from what is there
    before = records(out)
    assert main([str(out / "youtube"), "--out", str(out), "--uses", "3"]) == 0
    assert len(records(out)) > 2 * len(before)


@pytest.mark.parametrize("uses", [1, 2, 3])
def test_no_speech_is_both_held_out_and_trained_on(tmp_path, uses):
    """Each word of the talks is said once, in one of twenty videos: whatever is in both was used on both sides."""
    (tmp_path / "mine").mkdir()
    for n in range(20):
        (tmp_path / "mine" / f"{video_id(n)}_Part {n}.en.vtt").write_text(talk(n, lines=150)[1])
    assert main([str(tmp_path / "mine"), "--out", str(tmp_path / "personal"), "--uses", str(uses)]) == 0
    config = load_config(
        "smoke",
        [
            f"data.path={tmp_path}",
            "vocab_size=320",
            "heldout_sequences=2",
            "tournament.seq_len=16",
            "curriculum.seq_len=16",
        ],
    )
    tokenizer = Tokenizer.train((r["text"] for r in records(tmp_path / "personal")), 320)
    corpus, _ = prepare(config, tmp_path / "out", ["personal"], tokenizer=tokenizer, seq_len=16, hub_tokens=0)
    said = [
        set(re.findall(r"v\d+w\d+", tokenizer.decode(np.asarray(side("personal")).tolist())))
        for side in (corpus.heldout, corpus.train)
    ]
    assert min(map(len, said)) > 1000 and not said[0] & said[1]
    videos = [{word.partition("w")[0] for word in words} for words in said]
    assert len(videos[0]) >= 1 and len(videos[0]) + len(videos[1]) == 20
    facts = corpus.manifest["sources"]["personal"]
    assert facts["one_whole"] is False and facts["heldout_documents"] <= 0.2 * facts["records"]


def test_of_one_video_each_word_is_used_once(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / f"{video_id(0)}_One.en.vtt").write_text(talk(0, lines=300)[1])
    words = [str(tmp_path / "mine"), "--out", str(tmp_path / "personal")]
    assert main([*words, "--uses", "2"]) == 2 and not (tmp_path / "personal" / "training_samples.jsonl").exists()
    assert "--uses 2 needs two videos or more" in capsys.readouterr().err
    assert main(words) == 0
    config = load_config("smoke", [f"data.path={tmp_path}", "vocab_size=320", "tournament.seq_len=16"])
    lines, tokenizer = [], Tokenizer.train((r["text"] for r in records(tmp_path / "personal")), 320)
    corpus, _ = prepare(
        config, tmp_path / "out", ["personal"], tokenizer=tokenizer, seq_len=16, hub_tokens=0, say=lines.append
    )
    assert lines[0].startswith("personal: cut from one video, so its samples are held out one by one")
    facts = corpus.manifest["sources"]["personal"]
    heldout = sum(split.unit_hash(r["text"]) < facts["threshold"] for r in records(tmp_path / "personal"))
    assert facts["heldout_documents"] == heldout >= 1 and facts["one_whole"] is True


def test_no_file_takes_another_ones_place(tmp_path, capsys):
    """One name in two folders is two videos; so are two parts whose names begin with the same eleven characters."""
    for n, name in enumerate(
        (
            "a/intro",
            "b/intro",
            "lecture_001_part1",
            "lecture_001_part2",
            "my_holidays_2024",
            "my_holidays_2025",
            "c/9_z0XuElERM_Same",
            "d/9_z0XuElERM_Same",
        )
    ):
        path = tmp_path / "mine" / f"{name}.en.vtt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(talk(n)[1])
    out = tmp_path / "out"
    for said in ("7 copied", "7 here already"):
        assert main([str(tmp_path / "mine"), "--out", str(out)]) == 0
        output = capsys.readouterr().out
        assert output.splitlines()[-1] == f"7 videos: {said}"
        assert f"9_z0XuElERM_Same.en.vtt: another caption file of 9_z0XuElERM, left out: {tmp_path}/mine/d" in output
        assert {record["video"] for record in records(out)} == {
            "intro",
            "intro (2)",
            "lecture_001_part1",
            "lecture_001_part2",
            "my_holidays_2024",
            "my_holidays_2025",
            "9_z0XuElERM",
        }
        words = {word[:2] for record in records(out) for word in record["text"].split() if re.match(r"v\d+w", word)}
        assert words == {f"v{n}" for n in range(7)}


def test_bad_input_is_said_all_at_once(tmp_path, capsys):
    assert main(["nowhere", "--uses", "0", "--pauses", "-1", "--sleep", "-1", "--language", "klingon!"]) == 2
    about = [line.split(" ")[1] for line in capsys.readouterr().err.splitlines()]
    assert about == ["--uses", "--pauses", "--sleep", "--language", "'nowhere'"]
    (tmp_path / "notes.md").write_text("x")
    assert main([str(tmp_path)]) == 2 and "no *.vtt, *.srt or *.info.json in" in capsys.readouterr().err
    assert main([str(tmp_path / "notes.md")]) == 2 and "is not a caption file" in capsys.readouterr().err
    info_json(tmp_path / "a.info.json", "")
    assert main([str(tmp_path), "--out", str(tmp_path / "notes.md")]) == 2
    assert "cannot be created" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "holds no video"),
        ('{"id": "x"}', "holds no video: title, extractor missing"),
    ],
)
def test_nothing_that_comes_out_is_exit_code_one(tmp_path, capsys, content, problem):
    path = tmp_path / "broken.info.json"
    path.write_text(content)
    out = tmp_path / "out"
    assert main([str(path), "--out", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert problem in said[0] and said[-2:] == ["1 videos: 1 without captions", f"no samples from {path}"]
    assert not (out / "training_samples.jsonl").exists()


def test_captions_that_yt_dlp_leaves_unwritten_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(yt_dlp.YoutubeDL, "process_info", lambda downloader, info: None)
    path = info_json(tmp_path / "x.info.json", talk(0)[1])
    assert main([str(path), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "AB_cd-EF123: its captions could not be written"


def test_a_wrong_address_is_said(command):
    code, said, err = command("http://127.0.0.1:9/watch/none")
    assert code == 1 and err == "" and "Connection refused" in said[0] and said[0].count("http") == 1


def test_only_one_process_works_on_a_folder_and_ctrl_c_says_how_to_go_on(tmp_path, plugin, site, command):
    site.add(video_id(0), talk(0)[1])
    site.delay = 20  # longer than another command takes to start and be refused; Ctrl-C does not wait for it
    out = tmp_path / "personal"
    words = [sys.executable, "-m", "hamner.process_youtube", site.channel("me", [video_id(0)]), "--out", str(out)]
    first = subprocess.Popen(words, env=plugin, stderr=subprocess.PIPE, text=True)
    while not site.requests:
        time.sleep(0.01)
    code, _, err = command("http://127.0.0.1:9/x")
    first.send_signal(signal.SIGINT)
    _, first_err = first.communicate()
    assert first.returncode == 130 and "use the same command to continue" in first_err
    assert code == 2 and "another process_youtube is at work in" in err


@pytest.mark.skipif(not DATA, reason="HAMNER_DATA is not set: no real text to read")
def test_the_fixtures_of_the_data_folder_come_out_as_expected_text(tmp_path, capsys, command, plugin):
    extra = Path(DATA) / "extra"
    reconstructed = extra / "personal" / "youtube_vtt_reconstructed"
    out = tmp_path / "personal"
    assert main([str(reconstructed), "--out", str(out)]) == 0
    assert "1,891 words" in capsys.readouterr().out  # 508 + 979 + 404
    assert {r["title"] for r in records(out)} == {
        "Mobile IP-native Communication",
        "Open World Hack | OOT",
        "initrd ramdisk 101",
    }
    used = Counter(w for r in records(out) for w in r["text"].removeprefix(f"Topic: {r['title']}").split())
    assert sum(used.values()) == 1891
    # the inline captions break off after 24 words: they come out, and are too short for a sample
    inline = extra / "yt_dlp_fixtures" / "example_video_inline.info.json"
    assert main([str(inline), "--out", str(tmp_path / "inline")]) == 1
    [path] = (tmp_path / "inline" / "youtube").glob("*.vtt")
    assert path.name == "abcDEF12345_Are Linux Phones Ready in 2025？.en.vtt"
    words = " ".join(word.text for word in read_captions(path).words)
    assert words.startswith("the library 5 was always meant to be an ip native phone from the start while the focus")
    # the channel of the fixtures' own plugin, from a server with one of the reconstructed files for each video
    with Site() as site:
        folder = tmp_path / "plugin" / "yt_dlp_plugins" / "extractor"
        folder.mkdir(parents=True)
        shutil.copy(extra / "yt_dlp_fixtures" / "fakechannel_ytdlp_plugin_example.py", folder / "fakechannel.py")
        site.files["/channel.json"] = json.dumps(["first", "second"]).encode()
        site.files["/watch/x.vtt"] = site.files["/x.vtt"] = next(reconstructed.glob("1t4L*")).read_bytes()
        plugin["PYTHONPATH"] = str(tmp_path / "plugin")
        code, said, err = command(f"{site.address}/@channel", out=tmp_path / "fake")
        assert code == 0 and said[-1] == "2 videos: 2 fetched", (said, err)
        assert {r["title"] for r in records(tmp_path / "fake")} == {"T:first", "T:second"}
        # the fixture that names its captions by an address, here the server's
        info = (
            (extra / "yt_dlp_fixtures" / "example_video.info.json")
            .read_text()
            .replace("http://127.0.0.1:18765", site.address)
        )
        (tmp_path / "example.info.json").write_text(info)
        code, said, err = command(str(tmp_path / "example.info.json"), out=tmp_path / "example")
        assert code == 0, (said, err)
        assert {r["title"] for r in records(tmp_path / "example")} == {"Are Linux Phones Ready in 2025?"}
