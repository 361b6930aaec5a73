"""The command on caption files of one's own: languages of one video, SubRip, what is passed over, no network."""

import json
import os
from pathlib import Path

import pytest
from youtube_site import talk

from hamner.data.youtube import download
from hamner.process_youtube import main


def run(target, out, capsys, *options):
    code = main([str(target), "--out", str(out), *options])
    output = capsys.readouterr()
    path = out / "training_samples.jsonl"
    texts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return code, output.out.splitlines(), output.err, texts


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


@pytest.mark.mended("cases/data/vtt_lang_variants")
@pytest.mark.parametrize(("wanted", "taken"), [("en", 1), ("en-US", 2), ("de", 3), ("en-GB", 1)])
def test_of_the_languages_of_a_video_the_wanted_one_is_taken(tmp_path, mine, capsys, wanted, taken):
    for number, language in enumerate(("en-orig", "en", "en-US", "de")):
        text = talk(number)[1].replace("Language: en", f"Language: {language}")
        (mine / f"abcdefghijA_Mill talk.{language}.vtt").write_text(text)
    for _ in range(2):  # again: what is there already changes nothing
        code, said, _, texts = run(mine, tmp_path / "out", capsys, "--language", wanted)
        assert code == 0 and said[-1].startswith("1 videos: 1 ")
        assert sum("another caption file of abcdefghijA, left out" in line for line in said) == 3
        assert texts and all(f"v{taken}w" in record["text"] for record in texts)
    code, said, _, texts = run(mine, tmp_path / "out", capsys, "--language", "de")
    assert code == 0 and all("v3w" in record["text"] for record in texts)  # beside what was taken before


def test_a_broken_file_gives_way_to_the_next_language_and_a_name_alone_can_refuse(tmp_path, mine, capsys):
    (mine / "abcdefghijA_Talk.en.vtt").write_text(talk(0)[1][:-9])
    (mine / "abcdefghijA_Talk.en-US.vtt").write_text(talk(1)[1])
    (mine / "other.de.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nguten Tag\n")
    code, said, _, texts = run(mine, tmp_path / "out", capsys)
    assert code == 0 and said[-1] == "2 videos: 1 copied, 1 without captions"
    assert any(line.startswith("abcdefghijA_Talk.en.vtt: half-written") for line in said)
    assert "other.de.srt: captions in 'de', not in 'en' (--language chooses)" in said
    assert texts and all("v1w" in record["text"] for record in texts)


@pytest.mark.mended("cases/data/vtt_srt_beside")
def test_subrip_beside_webvtt_is_read_and_other_formats_are_named(tmp_path, mine, capsys):
    (mine / "a.en.vtt").write_text(talk(0)[1])
    words = [f"w{n}" for n in range(60)]
    cues = "".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{word}\n\n" for n, word in enumerate(words))
    (mine / "b.en.SRT").write_text(cues)
    (mine / "c.VTT").write_text(talk(2)[1])
    (mine / "b.en.vtt").mkdir()  # a folder of such a name is passed over
    for name in ("c.live_chat.json", "d.en.json3", "._a.en.vtt"):
        (mine / name).write_text("{}")
    code, said, _, texts = run(mine, tmp_path / "out", capsys)
    assert code == 0 and said[-1] == "3 videos: 3 copied"
    assert said[0].startswith("passed over: 2 in formats that are not read (c.live_chat.json, d.en.json3)")
    assert {record["title"] for record in texts} == {"a", "b", "c"}
    assert run(mine, tmp_path / "out", capsys)[1][-1] == "3 videos: 3 here already"
    code, said, _, _ = run(mine / "b.en.SRT", tmp_path / "other", capsys)
    assert code == 0 and said[-1] == "1 videos: 1 copied"


def test_a_folder_of_other_formats_alone_is_refused_by_their_names(tmp_path, mine, capsys):
    (mine / "d.en.json3").write_text("{}")
    code, _, err, _ = run(mine, tmp_path / "out", capsys)
    assert code == 2 and "but 1 in formats that are not read (d.en.json3)" in err


@pytest.mark.mended("process_youtube without a network")
def test_without_a_network_that_is_what_is_said(tmp_path, capsys, monkeypatch):
    """Was: "1 without captions". The rest of a channel is not requested, each of them half a minute."""

    def fail(downloader, entry):
        if entry["url"].endswith("@x"):
            return {"id": "x", "entries": [{"id": f"id{n}", "url": f"https://site/{n}"} for n in range(3)]}
        raise ValueError("Unable to download: Failed to resolve 'site' ([Errno -2] Name or service not known)")

    monkeypatch.setattr(download, "_look_up", fail)
    code, said, _, _ = run("@x", tmp_path / "out", capsys)
    assert code == 1 and said[-2:] == ["3 videos: 3 not reached", "no samples from @x"]
    assert said[0].startswith("id0: there is no network: ") and said[1] == f"id1: {download.OFFLINE}"


@pytest.mark.mended("pipes, names of any bytes and length, hidden and linked folders among captions")
def test_captions_are_found_as_text_is_and_nothing_waits_or_breaks(tmp_path, mine, capsys):
    (mine / "a.en.vtt").write_text(talk(0)[1])
    os.mkfifo(mine / "b.en.vtt")  # reading it would wait for ever
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.en.vtt").write_text(talk(1)[1])
    (mine / "linked").symlink_to(tmp_path / "more")
    (mine / ".cache").mkdir()
    (mine / ".cache" / "d.en.vtt").write_text(talk(2)[1])
    (mine / "e.en.vtt.gz").write_bytes(b"")
    (mine / "g.en.vtt").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(mine) + b"/f\xff.en.vtt")).write_text(talk(3)[1])
    (mine / f"{'t' * 248}.en.vtt").write_text(talk(4)[1])
    code, said, errors, texts = run(mine, tmp_path / "out", capsys)
    assert (code, errors) == (0, "")
    assert {record["video"] for record in texts} == {"a", "c", "f\\xff", "t" * 248}
    assert "g.en.vtt: cannot be read: No such file or directory" in said
    assert any(line.startswith("passed over: 1 in formats that are not read (e.en.vtt.gz)") for line in said)


@pytest.mark.mended("a file of another encoding where a copy is to go")
def test_a_copy_stands_beside_a_file_of_another_encoding(tmp_path, mine, capsys):
    (mine / "a.en.vtt").write_text(talk(0)[1])
    (tmp_path / "out" / "youtube").mkdir(parents=True)
    (tmp_path / "out" / "youtube" / "a.en.vtt").write_bytes("Grüße".encode("latin-1"))
    code, said, _, texts = run(mine, tmp_path / "out", capsys)
    assert code == 0 and {record["video"] for record in texts} == {"a (2)"}
    assert any(line.startswith("a.en.vtt: half-written, or not UTF-8 text: byte 0xfc at 2") for line in said)
