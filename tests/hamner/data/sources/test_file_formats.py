"""Files people have, in every format, compression and encoding: what is read of them, and what is said of the rest."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pyarrow.parquet
import pytest
from sample_texts import conversation, prose, write_lines

from hamner.config.errors import BadInput
from hamner.data.sources import Tally, find_source
from hamner.data.sources.local_files import folder_documents, folder_files

TEXTS = [prose("mill", n) for n in range(4)]
LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()


def read(folder, name="personal", **options):
    """The texts of a source in a folder, and what reading them counted."""
    tally, source = Tally(), find_source(name)
    documents = list(folder_documents(source, folder_files(source, folder), tally, folder / name, **options))
    return [document.text for document in documents], tally


def read_bytes(folder, name, content):
    path = folder / "personal" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return read(folder)


def compress(codec, data):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


COMPRESSORS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: compress("zstd", data),
    "lz4": lambda data: compress("lz4", data),
    "br": lambda data: compress("brotli", data),
}


@pytest.mark.mended("cases/data/jsonl_zst")
@pytest.mark.parametrize("ending", COMPRESSORS)
def test_every_compression_is_read(tmp_path, ending):
    """datasets #2572; two files one after the other in one are both read."""
    whole = COMPRESSORS[ending](LINES)
    assert read_bytes(tmp_path, f"a.jsonl.{ending}", whole)[0] == TEXTS
    assert read_bytes(tmp_path, f"a.jsonl.{ending}", whole + whole)[0] == TEXTS * 2
    assert read_bytes(tmp_path, f"A.JSONL.{ending.upper()}", b"" if ending != "xz" else whole)[0][:8] == TEXTS * 2


@pytest.mark.mended("cases/data/mixed_unread")
def test_text_of_every_ending_is_read_and_the_rest_is_told_apart(tmp_path):
    """Each file holds one document; what no reader knows is passed over, and dot files and descriptions are no data."""
    one = json.dumps({"text": "{}"}) + "\n"
    contents = {
        "F.JSONL": one, "b.ndjson": one, "c.json": f"[{one}]", "d.csv": 'id,text\n1,"{}, and\nmore"\n', "e.md": "{}",
        "g.TXT": "{}",
        "l.tsv": "id\ttext\n1\t{}\n", "m.json": json.dumps({"text": "{}"}, indent=1), "n.csv": "text\n{}\n",
        "o.csv": "id;text\n1;{}\n", "p.jsonlines": one, "q.markdown": "{}",
    }  # fmt: skip
    place = tmp_path / "personal"
    place.mkdir()
    for name, content in contents.items():
        (place / name).write_text(content.replace("{}", f"this, {name}", 1))
    for name in ("h.txt.gz", "i.json.gz"):
        content = "{}" if name[0] == "h" else one
        (place / name).write_bytes(gzip.compress(content.replace("{}", f"this, {name}").encode()))
    for name in ("k.parquet.gz", "r.pdf", "s.jsonl.zip", "about.json", "README.md", "._b.txt", ".hidden.jsonl"):
        (place / name).write_bytes(b"\xb0 not text")
    texts, tally = read(tmp_path)
    assert tally.malformed == 0 and tally.records == len(texts) == len(contents) + 2
    names = sorted(text.removeprefix("this, ").removesuffix(", and\nmore") for text in texts)
    assert names == sorted([*contents, "h.txt.gz", "i.json.gz"])


@pytest.mark.mended("cases/data/json_array")
@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"text": text} for text in TEXTS], indent=1),
        json.dumps([{"text": text} for text in TEXTS]),
        "[\n" + ",\n".join(json.dumps({"text": text}) for text in TEXTS) + "\n]\n",
        "\n\n".join(json.dumps({"text": text}, indent=2) for text in TEXTS),  # as jq writes them
        "\r".join(json.dumps({"text": text}) for text in TEXTS),
        "\r\n".join(json.dumps({"text": text}) for text in TEXTS),
        json.dumps([{"text": text} for text in TEXTS[:2]]) + "\n" + json.dumps([{"text": text} for text in TEXTS[2:]]),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_is_read_however_its_records_are_written(tmp_path, name, content):
    """datasets #4963: an array over many lines was one malformed record a line."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert read_bytes(tmp_path, name, content.encode(encoding))[0] == TEXTS
    assert read_bytes(tmp_path, name, b"[]")[1].malformed == 1


def test_an_array_of_megabytes_on_one_line_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("hamner.data.sources.json_values.LONGEST_FIRST_LINE", 1000)
    monkeypatch.setattr("hamner.data.sources.json_values.CHUNK", 100)
    texts = [prose("mühle", n, n) for n in range(90)]
    for encoding in ("utf-8", "utf-16"):
        content = json.dumps([{"text": text} for text in texts], ensure_ascii=False).encode(encoding)
        assert read_bytes(tmp_path, "a.json", content)[0] == texts
    long = prose("long", 1, 3000)
    assert read_bytes(tmp_path, "a.json", json.dumps({"text": long}).encode() + b"\n" + LINES)[0] == [long, *TEXTS]


def test_an_array_that_breaks_off_names_the_file_and_a_broken_line_only_itself(tmp_path):
    array = json.dumps([{"text": text} for text in TEXTS], indent=1)
    for broken in (array[:-20], array.replace("},", "}", 1)):
        with pytest.raises(BadInput, match=r"a\.json cannot be read: not JSON after"):
            read_bytes(tmp_path, "a.json", broken.encode())
    (tmp_path / "personal" / "a.json").unlink()
    for first in ('{"text": "cut', "{", '{"text": "a "quoted" word"}', "nothing"):
        texts, tally = read_bytes(tmp_path, "a.jsonl", first.encode() + b"\n" + LINES)
        assert (texts, tally.malformed, tally.skipped[0][:10]) == (TEXTS, 1, "a.jsonl:1:")


@pytest.mark.mended("cases/data/utf16_jsonl")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_unicode_is_read(tmp_path, encoding):
    """pydantic-ai #8316, datasets #5969: what PowerShell's > writes."""
    assert read_bytes(tmp_path, "a.jsonl", LINES.decode().encode(encoding))[0] == TEXTS
    assert read_bytes(tmp_path, "b.txt", "Mühle".encode(encoding))[0] == [*TEXTS, "Mühle"]
    assert read_bytes(tmp_path, "c.csv", "text\nMühle\n".encode(encoding))[0] == [*TEXTS, "Mühle", "Mühle"]


@pytest.mark.mended("cases/data/latin1_txt")
def test_a_text_file_of_another_encoding_is_one_malformed_record(tmp_path):
    read_bytes(tmp_path, "z.txt", "Eine Mühle".encode("latin-1"))
    read_bytes(tmp_path, "y.md", b"Eine M\xff")
    read_bytes(tmp_path, "x.txt.gz", gzip.compress(b"Eine lange Zeile" * 99)[:-9])
    texts, tally = read_bytes(tmp_path, "a.jsonl", LINES)
    assert texts == TEXTS and tally.records == 7
    assert [line.split(": ")[0] for line in tally.skipped] == ["x.txt.gz", "y.md", "z.txt"]
    assert "not UTF-8 (byte 0xfc at 6)" in tally.skipped[2]


@pytest.mark.mended("cases/data/lone_surrogate")
def test_half_a_surrogate_pair_and_a_bad_byte_cost_their_own_record(tmp_path):
    """claude-code-log #139, codex-trace #279."""
    array = b'[\n{"text": "one"},\n{"text": "\xff"},\n{"text": "cut \\ud83d in two"},\n{"text": "two"}\n]'
    assert read_bytes(tmp_path, "a.json", array)[0] == ["one", "two"]
    assert (
        read_bytes(tmp_path, "a.json", array.replace(b"[\n", b"").replace(b",\n", b"\n").strip(b"\n]"))[1].malformed
        == 2
    )
    tally = read_bytes(tmp_path, "b.csv", b"id,text\n1,\xff\n2,fine\n3,too,many\n")[1]
    assert [line.split(": ")[0] for line in tally.skipped[2:]] == ["b.csv:2", "b.csv:4"]
    assert "half of a surrogate pair (\\ud83d)" in tally.skipped[1]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_compressed_file_under_another_name_is_told(tmp_path, name):
    with pytest.raises(BadInput, match="it is a gzip file"):
        read_bytes(tmp_path, name, gzip.compress(LINES))


def test_numbers_quotes_and_depth_without_end_cost_their_own_record(tmp_path):
    huge, deep = b'{"text": ' + b"9" * 5000 + b"}", b'{"text": ' + b"[" * 99_999
    for name, first in (("a.json", huge), ("b.jsonl", deep)):
        texts, tally = read_bytes(tmp_path, name, first + b"\n" + LINES)
        assert texts[:4] == TEXTS and tally.skipped[-1].startswith(f"{name}:1: ")
    with pytest.raises(BadInput, match="not JSON"):
        read_bytes(tmp_path, "c.json", b'[\n{"text": "x"},\n' + huge + b"]")
    (tmp_path / "personal" / "c.json").unlink()
    texts, tally = read_bytes(tmp_path, "d.csv", b'id,text\n1,one\n2,"never closed\n3,three\n')
    assert "one" in texts and tally.skipped[-1].startswith("d.csv:")


@pytest.mark.mended("gzip with trailing bytes")
def test_bytes_after_a_gzip_file_are_one_malformed_record(tmp_path):
    """All of the text is there: only what follows it is not. Zeros, as tapes pad with, are nothing at all."""
    whole = gzip.compress(LINES.rstrip(b"\n"))  # the last line ends where the text does
    texts, tally = read_bytes(tmp_path, "a.jsonl.gz", whole + b"garbage")
    assert texts == TEXTS and tally.skipped == ["a.jsonl.gz: bytes after the end of the compressed text"]
    assert read_bytes(tmp_path, "a.jsonl.gz", whole + bytes(512))[1].malformed == 0


@pytest.mark.mended("cases/data/gz_truncated")
@pytest.mark.parametrize("ending", COMPRESSORS)
def test_a_file_cut_short_is_named_with_the_way_out(tmp_path, ending):
    """datasets #3060, RedPajama-Data #34: how much of it is gone is unknown, so it is no mere malformed record."""
    with pytest.raises(BadInput, match=r"a\.jsonl\..* cannot be read: .*take it away.*other files is kept"):
        read_bytes(tmp_path, f"a.jsonl.{ending}", COMPRESSORS[ending](LINES * 100)[:-6])


def write_table(folder, table, name="fineweb_edu"):
    (folder / name).mkdir(exist_ok=True)
    pyarrow.parquet.write_table(table, folder / name / "a.parquet")


LONG = [prose("web", n) for n in range(6)]


@pytest.mark.mended("arrow #37428")
def test_a_parquet_with_two_columns_of_text_is_refused_in_a_line(tmp_path):
    write_table(tmp_path, pyarrow.Table.from_arrays([pyarrow.array(LONG)] * 2, names=["text", "text"]))
    with pytest.raises(BadInput, match=r"a\.parquet has 2 columns 'text': rename"):
        read(tmp_path, "fineweb_edu")
    write_table(tmp_path, pyarrow.Table.from_arrays([pyarrow.array(LONG)] * 3, names=["text", "id", "id"]))
    assert read(tmp_path, "fineweb_edu")[0] == LONG  # what is not read may be there twice


@pytest.mark.mended("cases/data/pq_bad_utf8")
def test_a_cell_of_parquet_that_is_not_utf8_is_one_malformed_record(tmp_path):
    cells = [*(text.encode() for text in LONG), b"the \xff cell"]
    write_table(tmp_path, pyarrow.table({"text": pyarrow.array(cells, pyarrow.binary()).view(pyarrow.string())}))
    texts, tally = read(tmp_path, "fineweb_edu")
    assert texts == LONG and tally.skipped[0].startswith("a.parquet, row 6: not UTF-8")


@pytest.mark.parametrize("kind", ["binary", "large_string", "string_view", "dictionary"])
def test_every_arrow_type_of_text_is_read(tmp_path, kind):
    array = pyarrow.array([text.encode() for text in LONG], pyarrow.binary())
    strings = pyarrow.array(LONG)
    arrays = {
        "binary": lambda: array,
        "large_string": lambda: strings.cast(pyarrow.large_string()),
        "string_view": lambda: strings.cast(pyarrow.string_view()),
        "dictionary": strings.dictionary_encode,
    }
    write_table(tmp_path, pyarrow.table({"text": arrays[kind]()}))
    assert read(tmp_path, "fineweb_edu")[0] == LONG


@pytest.mark.mended("cases/data/pq_messages")
def test_parquet_holds_conversations_in_every_shape(tmp_path):
    rows = [conversation(n)[1:] for n in range(3)]
    tables = [
        {"messages": rows},
        {"conversations": [[{"from": m["role"], "value": m["content"]} for m in row] for row in rows], "id": [1, 2, 3]},
        {"instruction": [r[0]["content"] for r in rows], "input": [""] * 3, "output": [r[1]["content"] for r in rows]},
        {"prompt": [row[:1] for row in rows], "completion": [row[1:] for row in rows]},
    ]
    expected = ["\n".join(message["content"].strip() for message in row) for row in rows]
    for columns in tables:
        write_table(tmp_path, pyarrow.table(columns), "sft")
        assert read(tmp_path, "sft")[0] == expected
    write_table(tmp_path, pyarrow.table({"chosen": ["x"], "rejected": ["y"]}), "sft")
    with pytest.raises(BadInput, match="its columns: chosen, rejected"):
        read(tmp_path, "sft")


@pytest.mark.mended("text under another key")
def test_a_column_of_another_name_may_hold_the_text(tmp_path):
    write_table(tmp_path, pyarrow.table({"content": LONG, "title": ["x"] * 6}))
    with pytest.raises(BadInput, match=r"its columns: content, title; .*data\.text_field=COLUMN"):
        read(tmp_path, "fineweb_edu")
    write_lines(tmp_path / "fineweb_edu" / "b.jsonl", [{"content": prose("b", 1)}, {"text": prose("b", 2)}])
    assert read(tmp_path, "fineweb_edu", text_field="content")[0] == [*LONG, prose("b", 1), prose("b", 2)]


@pytest.mark.mended("two columns 'text' in a table of text")
def test_a_csv_with_two_headings_of_one_name_is_refused_and_spaces_around_them_are_not_part_of_them(tmp_path):
    with pytest.raises(BadInput, match=r"a\.csv cannot be read: it has 2 columns 'text': rename"):
        read_bytes(tmp_path, "a.csv", b"text,text\nthe first,the second\n")
    assert read_bytes(tmp_path, "a.csv", b"id, id,text\n1,2,the only\n")[0] == ["the only"]
    assert read_bytes(tmp_path, "a.csv", b"id, text\n1,a word\n")[0] == ["a word"]


@pytest.mark.mended("xz and bzip2 with trailing bytes, padding, nothing at all")
@pytest.mark.parametrize("ending", ["bz2", "xz"])
def test_what_follows_bzip2_and_xz_is_counted_and_padding_is_not(tmp_path, ending):
    whole = COMPRESSORS[ending](LINES.rstrip(b"\n"))
    texts, tally = read_bytes(tmp_path, f"a.jsonl.{ending}", whole + b"garbage")
    assert texts == TEXTS and tally.skipped == [f"a.jsonl.{ending}: bytes after the end of the compressed text"]
    assert read_bytes(tmp_path, f"a.jsonl.{ending}", whole + bytes(512))[1].malformed == 0
    padded = COMPRESSORS[ending](LINES) + bytes(8) + COMPRESSORS[ending](LINES)
    assert read_bytes(tmp_path, f"a.jsonl.{ending}", padded)[0] == TEXTS * 2
    assert read_bytes(tmp_path, f"a.jsonl.{ending}", b"")[0] == []


@pytest.mark.mended("one text file that is cut short or broken, in any compression")
@pytest.mark.parametrize("ending", COMPRESSORS)
def test_a_text_file_that_cannot_be_unpacked_is_one_malformed_record(tmp_path, ending):
    read_bytes(tmp_path, f"b.txt.{ending}", COMPRESSORS[ending](LINES * 100)[:-6])
    texts, tally = read_bytes(tmp_path, "a.jsonl", LINES)
    assert texts == TEXTS and [line.split(": ")[0] for line in tally.skipped] == [f"b.txt.{ending}"]


@pytest.mark.mended("what a file holds is not what its name says: git-lfs pointers, PDF")
def test_a_pointer_of_git_lfs_is_no_text(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    with pytest.raises(BadInput, match=r"b\.jsonl cannot be read: it is a pointer of git-lfs.*git lfs pull"):
        read_bytes(tmp_path, "b.jsonl", pointer)
    (tmp_path / "personal" / "b.jsonl").unlink()
    read_bytes(tmp_path, "c.txt", pointer)
    texts, tally = read_bytes(tmp_path, "d.md", b"%PDF-1.4\nstream")
    assert texts == [] and ["git-lfs" in line or "PDF" in line for line in tally.skipped] == [True, True]


@pytest.mark.mended("a line of another encoding, or of zeros, in JSON lines")
def test_a_line_that_is_no_text_says_which_byte(tmp_path):
    lines = "Grüße".encode("latin-1").join([b'{"text": "', b'"}\n']) + bytes(4096) + b"\n" + LINES
    texts, tally = read_bytes(tmp_path, "a.jsonl", lines)
    assert texts == TEXTS
    assert tally.skipped == [
        "a.jsonl:1: not UTF-8 (byte 0xfc at 12): save it as UTF-8",
        "a.jsonl:2: NUL bytes, as a power cut leaves them",
    ]


@pytest.mark.mended("an answer of control characters alone")
def test_a_turn_of_control_characters_alone_is_empty(tmp_path):
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "\0\1"}]
    write_lines(tmp_path / "sft" / "a.jsonl", [{"messages": said}])
    assert "an empty turn of the assistant" in read(tmp_path, "sft")[1].skipped[0]


@pytest.mark.mended("a parquet of hundreds of columns, a table without headings")
def test_of_many_or_long_keys_the_beginning_is_named(tmp_path):
    write_table(tmp_path, pyarrow.table({f"column_{n}": ["x"] for n in range(400)}))
    with pytest.raises(BadInput) as error:
        read(tmp_path, "fineweb_edu")
    assert "column_0, column_1" in str(error.value) and len(str(error.value)) < 400
    tally = read_bytes(tmp_path, "a.csv", b"Once upon a time " * 500 + b",1\nthere was,2\n")[1]
    assert len(tally.skipped[0]) < 120
