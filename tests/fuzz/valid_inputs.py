"""Valid inputs of every kind, from which the fuzzer's cases are made: as documents, as bytes, as a stored run's files.

Data in: tests/old_runs/ and the shipped configs. Data out: constants, and functions for what takes a while.
"""

import functools
import hashlib
import io
import json
from pathlib import Path

from hamner.config.formats import CHECKSUM, checksum

TESTS = Path(__file__).resolve().parents[1]
STORED = TESTS / "old_runs" / "generation_1"


def stored(kind: str, name: str) -> bytes:
    """A file of the stored run of a kind."""
    return (STORED / kind / "old" / name).read_bytes()


def shipped(name: str) -> bytes:
    """A config of ray_configs/."""
    return (TESTS.parent / "ray_configs" / f"{name}.toml").read_bytes()


# -- what people write

LEAGUE = {
    "contestant": [
        {"name": "base", "base": "v01_dense_small"},
        {"name": "deep", "base": "v3", "overrides": {"num_layers": 24, "hidden_size": 384}, "learning_rate": 2e-4},
        {
            "name": "slow",
            "base": "v2",
            "seeds": [0, 4],
            "parameter_groups": [{"learning_rate_scale": 0.5, "middle_layers": 2}],
        },
        {"name": "mixed", "base": "v02_dense_medium", "mix": {"tinystories": 0.5, "synthetic": 0.5}},
    ]
}
STAGES = {
    "name": "own",
    "optimizer_at_stage_start": "keep",
    "stages": [
        {"name": "first", "mix": {"synthetic": 0.3, "tinystories": 0.7}, "learning_rate": 3e-4},
        {
            "name": "last",
            "mix": {"tinystories": 1.0},
            "levels": [0.5, 0.5],
            "learning_rate": 1e-4,
            "schedule": "linear",
            "run_share": 0.2,
        },
    ],
}
MODEL = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "intermediate_size": 128,
    "max_seq_len": 512,
}
IDENTITY = {
    "facts": {"name": "Ada", "maker": "Bo"},
    "topic": [
        {"ask": ["Who are you?", "[Tell me|Say] your name."], "reply": ["I am {name}.", "{name}, made by {maker}."]}
    ],
}


def _stated(value):
    """A document without what is null."""
    if isinstance(value, list):
        return [_stated(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {key: _stated(inner) for key, inner in value.items() if inner is not None}


# -- what runs leave

STORED_CONFIG = json.loads(stored("tournament", "config.json"))
WHOLE_CONFIG = _stated(  # TOML has no null: what is not stated is left out
    STORED_CONFIG["config"] | {"curriculum": json.loads(stored("curriculum", "config.json"))["config"]["curriculum"]}
)
CHECKPOINT = "checkpoints/step_000000006"
STATE = stored("curriculum", f"{CHECKPOINT}/state.json")
WEIGHTS = stored("curriculum", f"{CHECKPOINT}/model.safetensors")
TOKENIZER = stored("curriculum", "data/tokenizer.json")
WINNER = {
    "contestant": "v01_dense_small",
    "run": "old",
    "model": MODEL,
    "tokenizer": {"path": "data", "sha256": "0" * 64, "vocab_size": 2048},
    "groups": [{"learning_rate_scale": 0.5, "middle_layers": 1}],
    "learning_rate_factor": 2.0,
    "heldout_loss": 3.5,
    "verdict": "settled",
    "p_best": 0.9,
    "best_of": 2,
    "regret": 0.001,
}
OWN_WINNER = WINNER | {  # not one of the ten contestants, so its size is not compared with theirs
    "contestant": "mine",
    "tokenizer": {"path": "data", "sha256": hashlib.sha256(TOKENIZER).hexdigest(), "vocab_size": 2048},
}
LEASE = {"host": "a", "pid": 1, "time": 1.5}
_WHOLE_LEDGER = json.loads(stored("tournament", "bracket.json"))
_FIRST, *_LATER = _WHOLE_LEDGER["rounds"]
LEDGER = _WHOLE_LEDGER | {  # of a league whose first round is in the log
    "format": 2,
    "line": 1,
    "rounds": [
        {**_WHOLE_LEDGER["rounds"][0], "kept": [], "decided": False, "outcomes": []},
        _WHOLE_LEDGER["rounds"][1],
    ],
}
_ROWS = [{"round": 0, **row} for row in _FIRST["outcomes"]]
LOG = [
    {"format": 1, "line": 2, "outcomes": [_ROWS[0]]},
    {
        "format": 1,
        "line": 3,
        "outcomes": [_ROWS[1]],
        "rounds": [{"round": 0, "kept": [_ROWS[0]["contestant"]], "factor": 1, "decided": False, "reopened": False}],
        "learning_rates": {_ROWS[1]["contestant"]: {"tried": {"0.001": 5.0}, "learning_rate": 0.001}},
    },
]
FRIEND = {
    "asked": {"model": "winner", "config": "laptop", "data": "builtin", "settings": ["seed=1"]},
    "hours": 2.0,
    "began": "2026-11-29T10:00:00+00:00",
    "league_hours": None,
    "finished": {"league": "2026-11-29T10:30:00+00:00"},
}


def with_checksum(data: bytes) -> bytes:
    """A JSON file, or a line, with a checksum of what it holds (hamner/config/formats.py), where it can have one."""
    try:
        document = json.loads(data)
        return json.dumps(document | {CHECKSUM: checksum(document)}).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


def sealed_state(state) -> object:
    """A checkpoint's state with a checksum of what it holds now, where it can have one."""
    from hamner.training.checkpoint import sealed

    try:
        return sealed(state) if isinstance(state, dict) else state
    except ValueError:
        return state


def state_of_weights(weights: bytes) -> bytes:
    """The state of the stored checkpoint with other weights."""
    state = json.loads(STATE)
    state["sha256"]["model.safetensors"] = hashlib.sha256(weights).hexdigest()
    return json.dumps(sealed_state(state)).encode()


# -- text

RECORDS = [
    {"text": "Once upon a time.", "video": "a1"},
    {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]},
    {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi!"}]},
    {"instruction": "Add", "input": "1 2", "output": "3", "history": [["a", "b"]]},
    {"dialogue": ["a", "b", "c", "d"], "speakers": ["x", "y", "x", "y"]},
    {"text": '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]'},
]
TABLE = b'text,video\n"Once, upon a time.",a1\nThe end.,a2\n'
VTT = b"""WEBVTT
Kind: captions
Language: en

REGION
id:fred
width:40%
lines:3

STYLE
::cue { color: lime }

00:00:00.000 --> 00:00:02.000 align:start position:0%
Hello<00:00:00.500><c> there</c>

2
00:00:02.000 --> 00:00:04.500
Hello there
how <i>are</i> you &amp; me

NOTE nothing

01:00:05.000 --> 01:00:06.000
[Music] >> fine
"""
SRT = b"1\n00:00:00,000 --> 00:00:02,000\n{\\an8}Hello\n\n2\n00:00:02,5 --> 00:00:04,000\nthere\n"


@functools.cache
def parquet() -> bytes:
    """A small parquet file."""
    import pyarrow
    import pyarrow.parquet

    rows = [{"text": "Once upon a time.", "video": "a1", "n": 1}, {"text": "The end.", "video": None, "n": 2}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink := io.BytesIO(), compression="none")
    return sink.getvalue()


# -- talk

REQUEST = {
    "model": "mine",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ],
    "temperature": 0.7,
    "top_k": 40,
    "max_tokens": 20,
    "seed": 1,
    "stop": ["\n"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "truncation": "auto",
    "n": 1,
    "tools": [],
}
TEXT_REQUEST = {"prompt": "Hello", "stop": "x", "max_tokens": 3}
TALK = b"""hello
/temp 0.5
/system Be kind.
/edit there
/retry
/fix the fox
/history
/good
/load a.jsonl
//x
/help
/clear
/quit
"""
FEEDBACK = {
    "format": 1,
    "id": "5f0c12ab",
    "time": "2026-11-29T20:15:00+00:00",
    "model": "friend",
    "kind": "fix",
    "context": [{"role": "user", "content": "Hello"}],
    "reply": "no",
    "better": "Hi!",
}
VOTE = {
    "format": 1,
    "time": "2026-11-29T20:15:00+00:00",
    "left": "friend",
    "right": "other",
    "left_weights": "1f00",
    "right_weights": "9a00",
    "choice": "left",
}
