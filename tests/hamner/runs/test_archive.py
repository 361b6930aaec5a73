"""Archives: the same bytes each time, and from what is damaged or made to do harm nothing is ever unpacked."""

import hashlib
import json
import random
import stat
import zipfile

import pytest

from hamner.config.errors import BadInput
from hamner.runs.archive import FIRST_DATE, extract, opened, write_archive
from hamner.runs.files import new_folder
from hamner.runs.unpacking import unpack

FILES = {
    "config.json": b'{"a": 1}',
    "c01/metrics.csv": b"step,loss\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(400)),
    "final/model.safetensors": bytes(random.Random(0).randbytes(5000)),
}
FACTS = {"kind": "tournament", "run": "first"}


def _archive(path, files=FILES, facts=FACTS):
    write_archive(path, "first", files, facts)
    return path


def _unpack(path, folder, changed=".json"):
    """changed: the ending of the files that may be changed."""
    with opened(path) as (packed, archive), new_folder(folder) as place:
        extract(packed, archive, place, lambda name, content: content, lambda name: name.endswith(changed))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _made(path, entries, *, listed=None, kinds=None):
    """An archive as somebody else would make it. listed: names in its list; kinds: modes of entries that have one."""
    known = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in (listed or {}).items()
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first/pack.json", json.dumps(FACTS | {"format": 1, "files": known}))
        for name, data in entries:
            entry = zipfile.ZipInfo(name, FIRST_DATE)
            entry.external_attr = (kinds or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return path


def test_what_is_packed_is_unpacked_byte_for_byte(tmp_path):
    files = _unpack(_archive(tmp_path / "a.zip"), tmp_path / "out")
    listed = json.loads(files.pop("pack.json"))
    assert files == FILES
    assert listed["format"] == 1 and listed["files"]["config.json"]["sha256"] == hashlib.sha256(b'{"a": 1}').hexdigest()


def test_two_archives_of_the_same_files_are_the_same_bytes(tmp_path):
    (tmp_path / "w").write_bytes(FILES["final/model.safetensors"])
    backwards = dict(reversed(FILES.items())) | {"final/model.safetensors": tmp_path / "w"}
    first, second = _archive(tmp_path / "a.zip"), _archive(tmp_path / "b.zip", backwards)
    assert first.read_bytes() == second.read_bytes()
    assert {entry.date_time for entry in zipfile.ZipFile(first).infolist()} == {FIRST_DATE}


def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(tmp_path):
    whole = _archive(tmp_path / "a.zip").read_bytes()
    expected, refused, generator = FILES, 0, random.Random(1)
    for number in range(150):
        place = generator.randrange(len(whole))
        damaged, out = tmp_path / "d.zip", tmp_path / f"out{number}"
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << generator.randrange(8))]) + whole[place + 1 :])
        try:
            files = _unpack(damaged, out)
        except BadInput as refusal:
            refused += 1
            assert not out.exists() and str(damaged) in refusal.problems[0]
            continue
        files.pop("pack.json")
        assert files == expected, place
    assert refused > 100  # the others hit a date, or a field that nobody reads
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_an_archive_cut_short_is_refused(share, tmp_path):
    whole = _archive(tmp_path / "a.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadInput, match=r"cut\.zip is not an archive, or is damaged"):
        _unpack(tmp_path / "cut.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


LEAVING = ("../evil", "first/../../evil", "/evil", "first//evil", "first/./evil", "other/evil", "first\\..\\evil")
HIDDEN = ("first/.driver.lock", "first/.git/config", "C:evil", "first/c:evil", "first/a\nb", "")


@pytest.mark.parametrize("name", [*LEAVING, *HIDDEN])
def test_a_name_that_leaves_the_folder_or_hides_is_refused(name, tmp_path):
    inner = name.removeprefix("first/")
    path = _made(tmp_path / "a.zip", [(name, b"x")], listed={inner: b"x"})
    with pytest.raises(BadInput, match="leads out of the run's folder"):
        _unpack(path, tmp_path / "results" / "out")
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["a.zip"]


STRANGE = {
    "first/nul": "is a name that systems keep for devices",
    "first/c01/COM1.csv": "is a name that systems keep for devices",
    "first/x. ": "ends with a space or a full stop",
    "first/a./x": "ends with a space or a full stop",
    "first/gpj\u202eexe": "has a control character",
    "first/" + "x" * 256: "is too long",
}


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_a_name_that_some_systems_do_not_take_is_refused(name, tmp_path):
    path = _made(tmp_path / "a.zip", [(name, b"x")], listed={name.removeprefix("first/"): b"x"})
    with pytest.raises(BadInput, match=STRANGE[name]) as error:
        _unpack(path, tmp_path / "out")
    assert error.value.problems[0].isprintable() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("run", ["nul", "a.", "Com1.x", "x/y", "..", "x" * 256])
def test_a_run_whose_name_is_no_folder_everywhere_is_refused(run, tmp_path):
    _archive(tmp_path / "a.zip", facts={"kind": "tournament", "run": run})
    with pytest.raises(BadInput, match=r"^run name "):
        unpack(tmp_path / "a.zip", tmp_path / "results", None)
    with pytest.raises(BadInput, match=r"^run name "):
        unpack(_archive(tmp_path / "b.zip"), tmp_path / "results", run)
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_changed_has_a_largest_size_and_any_other_is_never_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("hamner.runs.archive.LARGEST_TEXT", 3000)
    path = _archive(tmp_path / "a.zip")
    with pytest.raises(BadInput, match=r"a\.zip: c01/metrics\.csv has [\d,]+ bytes, and at most 3,000 of a text"):
        _unpack(path, tmp_path / "out", ".csv")
    assert not (tmp_path / "out").exists()
    read = []
    with opened(path) as (packed, archive), new_folder(tmp_path / "out") as place:
        extract(packed, archive, place, lambda name, content: read.append(name) or content, "config.json".__eq__)
    assert (
        read == ["config.json"] and (tmp_path / "out" / "c01" / "metrics.csv").read_bytes() == FILES["c01/metrics.csv"]
    )


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_a_link_or_a_device_is_refused(kind, tmp_path):
    path = _made(tmp_path / "a.zip", [("first/x", b"/etc")], listed={"x": b"/etc"}, kinds={"first/x": kind | 0o777})
    with pytest.raises(BadInput, match="is a link or a device"):
        _unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


CASES = {
    "a file that is not listed": ([("first/x", b"1"), ("first/y", b"2")], {"x": b"1"}),
    "a file that is missing": ([("first/x", b"1")], {"x": b"1", "y": b"2"}),
    "another size than is listed": ([("first/x", b"1234")], {"x": b"1"}),
    "a file that is a folder": ([("first/x", b"1"), ("first/x/y", b"2")], {"x": b"1", "x/y": b"2"}),
    "another checksum": ([("first/x", b"2")], {"x": b"1"}),
}


@pytest.mark.parametrize("case", CASES)
def test_files_that_are_not_those_of_the_list_are_refused(case, tmp_path):
    entries, listed = CASES[case]
    with pytest.raises(BadInput, match=r"a\.zip is damaged"):
        _unpack(_made(tmp_path / "a.zip", entries, listed=listed), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = _made(tmp_path / "a.zip", [("first/x", b"1"), ("first/x", b"1")], listed={"x": b"1"})
    with pytest.raises(BadInput, match="is damaged: its files are not those of its list"):
        _unpack(path, tmp_path / "out")


def test_an_archive_without_a_list_and_one_of_a_newer_version_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "share.zip", "w") as archive:
        archive.writestr("model/README.md", "x")
    with pytest.raises(BadInput, match="holds no packed run"):
        _unpack(tmp_path / "share.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("first/pack.json", json.dumps({"format": 2}))
    with pytest.raises(BadInput, match=r"pack\.json has format 2, written by a newer Hamner"):
        _unpack(tmp_path / "new.zip", tmp_path / "out")


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "a.zip"
    _archive(path)
    with opened(path) as (packed, archive):
        huge = {name: facts | {"bytes": 10**18} for name, facts in packed.files.items()}
        packed = type(packed)(packed.path, packed.folder, packed.facts, huge)
        with pytest.raises(BadInput, match=r"need up to [\d.]+ GiB"):
            extract(packed, archive, tmp_path / "out", lambda name, content: content, lambda name: False)
    assert not (tmp_path / "out").exists()


def test_a_file_that_changes_while_it_is_packed_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"1")
    replace = zipfile.ZipFile.writestr

    def writestr(self, *arguments, **options):  # after the checksums, before the files
        path.write_bytes(b"2")
        return replace(self, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)
    with pytest.raises(BadInput, match="has changed while it was packed"):
        _archive(tmp_path / "a.zip", {"metrics.csv": path})
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]
