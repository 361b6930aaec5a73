"""Words a newcomer looks for lead to the file that does the thing, and the generated file tree is current.

A word is found when the expected file is among the first three hits of a search over file names, or of a plain search
(case-insensitive substring, files sorted by path) over the first docstring lines of all modules.
`pytest -s tests/test_house.py -k finds` prints where each word was found.
"""

import runpy
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
FILE_TREE = runpy.run_path(str(REPO / "docs" / "make_file_tree.py"))
HITS = 3

# word: (spellings that are searched for, files or folders that do the thing)
WORDS = {
    "tinystories": (("tinystories",), ("hamner/data/sources/tinystories.py",)),
    "dedup": (("dedup", "minhash"), ("hamner/data/preparation/deduplicate.py",)),
    "split": (("split",), ("hamner/data/split.py",)),
    "tokenizer": (("tokenizer",), ("hamner/data/tokenizer.py",)),
    "dataloader": (("dataloader", "data loader"), ("hamner/data/mixer.py",)),
    "packing": (("packing", "packed"), ("hamner/data/text_rows.py", "hamner/model/document_mask.py")),
    "shuffle": (("shuffle",), ("hamner/data/shuffle.py",)),
    "prefetch": (("prefetch",), ("hamner/data/prefetch.py",)),
    "Hugging Face": (
        ("hugging face", "huggingface"),
        ("hamner/data/sources/hub_stream.py", "hamner/data/sources/hub_reader.py"),
    ),
    "YouTube": (("youtube",), ("hamner/data/youtube/", "hamner/process_youtube.py")),
    "attention": (("attention",), ("hamner/model/attention.py",)),
    "mixture of experts": (("mixture of experts", "mixture-of-experts", "moe"), ("hamner/model/experts.py",)),
    "RoPE": (("rope", "rotary"), ("hamner/model/attention.py",)),
    "KV cache": (("kv_cache", "kv cache"), ("hamner/model/kv_cache.py",)),
    "cross-entropy": (("cross-entropy", "perplexity"), ("hamner/model/loss.py",)),
    "rank": (("rank, world size", "rank"), ("hamner/model/distributed.py",)),
    "world size": (("world size", "world_size"), ("hamner/model/distributed.py",)),
    "FLOPs": (("flops",), ("hamner/config/cost.py",)),
    "parameters": (("parameter count", "parameters"), ("hamner/config/cost.py",)),
    "config": (("config",), ("hamner/config/",)),
    "seed": (("seeds", "seeded"), ("tournament/entrants.py", "hamner/data/shuffle.py")),
    "gradient accumulation": (("gradient accumulation",), ("hamner/training/trainer.py",)),
    "optimizer": (("optimizer",), ("hamner/training/optimizer.py",)),
    "learning rate": (("learning rate", "learning-rate", "learning_rate"), ("hamner/training/learning_rate.py",)),
    "schedule": (("schedule",), ("hamner/training/learning_rate.py", "curriculum/stage_schedule.py")),
    "warmup": (("warmup", "warm-up"), ("hamner/training/learning_rate.py",)),
    "global step": (("global step", "global_step"), ("hamner/training/trainer.py", "hamner/training/session.py")),
    "MFU": (("mfu",), ("hamner/training/throughput.py",)),
    "checkpoint": (("checkpoint",), ("hamner/training/checkpoint.py",)),
    "export": (("export",), ("hamner/export.py", "hamner/training/checkpoint.py", "hamner/inference/")),
    "resume": (("resume",), ("hamner/runs/resume_log.py", "hamner/training/session.py")),
    "metrics": (("metrics",), ("hamner/runs/metrics.py",)),
    "TensorBoard": (("tensorboard",), ("hamner/runs/tensorboard.py",)),
    "Ray cluster": (("ray cluster",), ("hamner/runs/cluster.py",)),
    "memory": (("gpu memory", "gpu_memory"), ("tournament/gpu_memory.py",)),
    "out of memory": (("out of memory", "out-of-memory"), ("tournament/gpu_memory.py",)),
    "validation loss": (("validation loss", "validation (held-out) loss"), ("hamner/evaluation/heldout.py",)),
    "ASHA": (("asha", "successive halving"), ("tournament/bracket.py", "tournament/scheduler.py")),
    "elimination": (("elimination",), ("tournament/bracket.py", "tournament/scheduler.py", "tournament/__init__.py")),
    "seed noise": (("seed noise", "seed_noise"), ("tournament/uncertainty.py", "tournament/bracket.py")),
    "curriculum": (("curriculum",), ("curriculum/",)),
    "early stopping": (("early stopping", "early_stopping"), ("curriculum/__init__.py", "curriculum/plateau.py")),
    "plateau": (("plateau",), ("curriculum/plateau.py",)),
    "chat": (("chat",), ("hamner/chat.py",)),
}


def hits(spellings: tuple[str, ...], texts: dict[str, str]) -> list[str]:
    """Paths whose text contains any of the spellings, sorted, the first three."""
    return [path for path, text in sorted(texts.items()) if any(s in text.lower() for s in spellings)][:HITS]


def ways(spellings: tuple[str, ...], files: tuple[str, ...], lines: dict[str, str]) -> list[str]:
    """How the expected files are found: by name, by the first docstring line, both or neither."""
    searches = {"file name": {path: path for path in lines}, "first line": lines}
    return [
        f"{way}: {path}"
        for way, texts in searches.items()
        for path in hits(spellings, texts)
        if path in files or any(path.startswith(file) for file in files if file.endswith("/"))
    ]


def first_lines() -> dict[str, str]:
    return {path.relative_to(REPO).as_posix(): FILE_TREE["first_line"](path) for path in FILE_TREE["modules"]()}


LINES = first_lines()


def test_there_are_44_words():
    assert len(WORDS) == 44


@pytest.mark.parametrize("word", WORDS)
def test_a_newcomer_finds(word):
    spellings, files = WORDS[word]
    found = ways(spellings, files, LINES)
    print(f"{word:<22}{'; '.join(found)}")
    assert found, f"{word}: write one of {spellings} in the first docstring line of one of {files}, or name a file so"


def test_a_word_in_no_first_line_is_missed():
    lines = {"hamner/a.py": "Text about shuffling.", "hamner/b.py": "", "hamner/c.py": "Shuffle of rows."}
    assert ways(("shuffle",), ("hamner/a.py",), lines) == []
    assert ways(("shuffle",), ("hamner/c.py",), lines) == ["first line: hamner/c.py"]


def test_a_fourth_hit_is_too_late():
    lines = {f"hamner/{name}.py": "The mixer." for name in "abcd"}
    assert ways(("mixer",), ("hamner/d.py",), lines) == []
    assert ways(("mixer",), ("hamner/c.py",), lines) == ["first line: hamner/c.py"]


def test_every_module_has_a_first_line_that_is_whole():
    bad = {path: line for path, line in LINES.items() if not line.endswith((".", "?", "!", "`")) and not is_empty(path)}
    assert bad == {}


def is_empty(path: str) -> bool:
    return not (REPO / path).read_text(encoding="utf-8").strip()


def test_the_file_tree_is_current():
    text = FILE_TREE["PAGE"].read_text(encoding="utf-8")
    assert text == FILE_TREE["page"](), f"docs/files.md is stale; run `{FILE_TREE['COMMAND']}`"


def test_a_new_module_makes_the_file_tree_stale(tmp_path):
    for package in FILE_TREE["PACKAGES"]:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('"""The package."""\n', encoding="utf-8")
    before = FILE_TREE["page"](tmp_path)
    (tmp_path / "hamner" / "new.py").write_text('"""A new file."""\n', encoding="utf-8")
    after = FILE_TREE["page"](tmp_path)
    assert before != after and "new.py" in after and "A new file." in after


def test_tests_of_one_file_run_in_one_process(request):
    """Else each process of `pytest -n` would make the league and the curriculum that several tests look at."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("for `make test`, which runs files side by side")
    assert request.node.nodeid.endswith("@test_house")
