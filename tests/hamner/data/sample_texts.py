"""Small texts on disk in every format, and configs that prepare them within a second."""

import gzip
import hashlib
import json
import random

import numpy as np
import pyarrow
import pyarrow.parquet

from hamner.config.load import load_config
from hamner.config.schema import SOURCE_NAMES
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.preparation.for_run import prepare

TEXT_NAMES = tuple(name for name in SOURCE_NAMES if name != "synthetic")
WORDS = ("the", "small", "old", "fox", "owl", "red", "key", "bridge", "found", "lost", "sang", "why", "hill")
SETTINGS = (
    "data.tokenizer=train",
    "vocab_size=360",
    "bpe_characters=3000",
    "heldout_sequences=2",
    "tournament.seq_len=16",
    "curriculum.seq_len=16",
)


def prose(source, n, words=20):
    rng = random.Random(f"{source}/{n}")
    return f"{source} number {n}: " + " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def conversation(n):
    """Three messages, the first a system prompt that all share."""
    return [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": prose("sft", n)},
        {"role": "assistant", "content": f"  {prose('answer', n, 5)}\n"},
    ]


def turns(n):
    """Two messages, without a system prompt."""
    return [{"role": "user", "content": prose("sft", n)}, {"role": "assistant", "content": prose("answer", n, 12)}]


def tagged(messages):
    return "".join(f"<|{m['role']}|>\n{m['content']}\n" for m in messages)


def write_parquet(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=7)


def write_lines(path, records):
    """A jsonl or jsonl.gz file; a record that is a string is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines(r + "\n" if isinstance(r, str) else json.dumps(r) + "\n" for r in records)


def write_sources(folder):
    """Forty documents of each known source, in all four formats."""
    write_parquet(folder / "tinystories" / "train.parquet", [prose("tale", n) for n in range(40)])
    write_lines(folder / "fineweb_edu" / "a" / "web.jsonl", [{"text": prose("web", n)} for n in range(40)])
    write_lines(folder / "sft" / "one.jsonl", [{"messages": conversation(n)} for n in range(20)])
    write_lines(folder / "sft" / "two.jsonl.gz", [{"text": tagged(conversation(n))} for n in range(20, 40)])
    (folder / "personal").mkdir()
    for n in range(40):
        (folder / "personal" / f"{n:02}.txt").write_text(prose("voice", n), encoding="utf-8")
    (folder / "personal" / "README.md").write_text("not a document")
    return folder


def source_texts(source):
    """The texts that write_sources puts into a source."""
    if source == "sft":
        return ["\n".join(m["content"].strip() for m in conversation(n)) for n in range(40)]
    word = {"tinystories": "tale", "fineweb_edu": "web", "personal": "voice"}[source]
    return [prose(word, n) for n in range(40)]


def config_of(data, *words):
    """A small config that reads `data`: a folder, hub or builtin."""
    return load_config("smoke", [f"data.path={data}", *SETTINGS, *words])


def prepare_run(data, out, *words, say=lambda _: None, names=SOURCE_NAMES, tokenizer=None):
    """The corpus and the tokenizer of a run that reads `data`."""
    return prepare(config_of(data, *words), out, names, tokenizer=tokenizer, seq_len=16, hub_tokens=10**6, say=say)


def documents(tokenizer, tokens):
    """The texts of the documents in a stream of tokens."""
    ends = np.flatnonzero(np.asarray(tokens) == END_OF_TEXT)
    return [tokenizer.decode(part[part != END_OF_TEXT].tolist()) for part in np.split(tokens, ends + 1)[:-1]]


def in_order(step, work, parts):
    """A runner that says nothing."""
    for part in parts:
        work(part, lambda _: None)


def file_hashes(folder):
    """Names and contents of the files of a prepared folder."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }


def command_arguments(data, out, *more):
    """Arguments of the prepare_data commands, with shards of 3,000 tokens; the last of two equal keys counts."""
    return [
        *("--config", "smoke", "--data", str(data), "--out", str(out), "--shard-tokens", "3000"),
        *SETTINGS,
        *("vocab_size=400", "bpe_characters=20000"),
        *more,
    ]
