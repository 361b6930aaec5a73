"""Shared by the tests of hamner/data; its folder is searched for their helpers (sample_texts.py)."""

import pytest
from sample_texts import source_texts, write_parquet, write_sources


@pytest.fixture
def folder(tmp_path):
    """A data folder with forty documents of each source."""
    return write_sources(tmp_path / "texts")


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """A working directory in which the two hub datasets lie; `datasets` reads a folder of such a name instead."""
    web = tmp_path / "HuggingFaceFW" / "fineweb-edu"
    write_parquet(
        tmp_path / "roneneldan" / "TinyStories" / "train.parquet", [*source_texts("tinystories"), " too short "]
    )
    write_parquet(web / "sample" / "10BT" / "000_00000.parquet", source_texts("fineweb_edu"))
    write_parquet(web / "data" / "other.parquet", ["another part of it, longer than fifty characters " * 2])
    (web / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: data/*\n"
        "- config_name: sample-10BT\n  data_files: sample/10BT/*\n---\n"
    )
    write_sources(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    return tmp_path
