"""Which files of a folder are data: links, dot files, files that describe data, and names in any letters."""

import os

import pytest

from hamner.config.errors import BadInput
from hamner.data.sources.find_files import file_format, find_files, list_names, path_text


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def names_of(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.mended("cases/data/appledouble")
def test_dot_files_and_descriptions_are_not_data(tmp_path):
    """omlx #3679, llama_index #88: macOS writes `._a.jsonl` beside each file."""
    put(tmp_path, "a.jsonl", "._a.jsonl", "._b.txt", ".cache/c.txt", "__MACOSX/._a.jsonl", ".DS_Store", "about.json",
        "README.md", "LICENSE", "dataset_info.json", "README.txt", "x/README.md", "b.pdf")  # fmt: skip
    found = find_files(tmp_path)
    assert names_of(found.paths, tmp_path) == ["README.txt", "a.jsonl"]
    assert names_of(found.passed_over, tmp_path) == ["b.pdf"]


@pytest.mark.mended("files in linked folders")
def test_linked_folders_are_followed_once(tmp_path):
    source, other = tmp_path / "source", tmp_path / "elsewhere"
    put(source, "a/a.txt", "z.txt")
    put(other, "b.txt", "deep/c.txt")
    (source / "linked").symlink_to(other)
    (source / "again").symlink_to(other / "deep")
    (source / "twice").symlink_to(source / "a")
    (other / "loop").symlink_to(source)
    (source / "file.txt").symlink_to(other / "b.txt")
    (source / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "pipe.txt")
    found = find_files(source)
    assert names_of(found.paths, source) == ["a/a.txt", "again/c.txt", "file.txt", "linked/b.txt", "z.txt"]
    assert names_of(found.passed_over, source) == ["gone.txt", "pipe.txt"]
    (tmp_path / "as_a_link").symlink_to(other)
    assert len(find_files(tmp_path / "as_a_link").paths) == 5 and find_files(tmp_path / "nowhere").paths == ()


def test_captions_beside_the_samples_cut_from_them_are_explained(tmp_path):
    put(tmp_path, "youtube/a.en.vtt", "youtube/archive", "training_samples.jsonl", "stats.json", "c.vtt")
    found = find_files(tmp_path)
    assert names_of(found.paths, tmp_path) == ["training_samples.jsonl"]
    assert names_of(found.passed_over, tmp_path) == ["c.vtt"]
    (tmp_path / "training_samples.jsonl").unlink()
    assert len(find_files(tmp_path).passed_over) == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("A.Parquet", (".parquet", "")),
        ("a.parquet.gz", ("", "")),
        ("a.b.JSONL.GZ", (".jsonl", ".gz")),
        ("a.gz", ("", "")),
        ("a.tar.gz", ("", "")),
        ("a.txt.zip", ("", "")),
        ("jsonl", ("", "")),
    ],
)
def test_the_ending_says_how_a_file_is_read(tmp_path, name, kind):
    assert file_format(tmp_path / name) == kind


def test_a_folder_that_may_not_be_entered_is_named(tmp_path, monkeypatch):
    put(tmp_path, "shut/a.txt", "b.txt")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadInput, match="shut cannot be read: Permission denied"):
        find_files(tmp_path)


def test_names_are_shown_whatever_their_bytes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    assert path_text(path).endswith("caf\\xe9.txt")
    assert list_names([path, *(tmp_path / f"{n}" for n in range(8))], tmp_path, 2) == "caf\\xe9.txt, 0 and 7 more"


@pytest.mark.mended("names with line breaks and escape codes in messages")
def test_a_name_is_shown_on_one_line():
    assert path_text("a\nb\x1b[31m.jsonl") == "a\\nb\\x1b[31m.jsonl" and path_text("Mühle 水.txt") == "Mühle 水.txt"
