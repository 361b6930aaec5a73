"""The model card: its numbers are those of the run's records, and it says what is not on record."""

import json
import re
from dataclasses import replace

import pytest
from model_kinds import small_model

from hamner.config.presets import PRESETS
from hamner.inference.model_card import Files, model_card
from hamner.inference.run_records import Records, read_records, write_export_record
from hamner.runs.markdown_text import code_span, escaped

MODEL = small_model()
SECTIONS = ("Talk to it", "What it is", "How it was chosen", "What it read", "How good it is to talk to", "Limits")


def _write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@pytest.fixture
def run(tmp_path):
    """The records of a curriculum of a league's winner, measured by the friend card; returns its checkpoint."""
    league, folder = tmp_path / "tournament" / "first", tmp_path / "curriculum" / "mine"
    verdict = {"contestant": "v10", "best_of": 10, "heldout_loss": 2.5, "verdict": "contested", "p_best": 0.81}
    _write(league / "winner.json", verdict | {"regret": 0.012})
    facts = {"kind": "curriculum", "who": "winner", "name": "v10", "tokenizer": {"path": str(league / "data")}}
    _write(folder / "config.json", facts | {"config": {"curriculum": {"seq_len": 100}}})
    losses = {"sft": 1.25, "synthetic": 0.5}
    stages = [
        {"tokens": 700, "rows": {"sft": 3, "synthetic": 4}, "heldout_loss": {}},
        {"tokens": 200, "rows": {"sft": 2}, "heldout_loss": losses},
        {"tokens": 900, "rows": {"sft": 9}, "abandoned": True},
    ]
    _write(folder / "stages.json", {"stages": stages, "final": {"heldout_loss": losses}})
    source = {"origin": "/home/anna/talks", "license": "CC0-1.0", "heldout_tokens": 100, "heldout_bytes": 400}
    _write(folder / "data" / "manifest.json", {"sources": {"sft": source}})
    figure = {"section": "belongs", "name": "true reply", "value": 0.31, "error": 0.02, "guess": 0.05, "unit": "share"}
    _write(folder / "friend_card" / "friend_card.json", {"figures": [figure]})
    (folder / "final").mkdir()
    return folder / "final"


def test_all_its_numbers_are_of_the_records(run):
    records = read_records(run)
    assert (records.name, records.tokens) == ("mine", 900)
    text = model_card(records, MODEL, Files())
    assert "900 tokens in 2 stages" in text
    # 1.25 nats a token, a quarter of a token a byte: 1.25 / 4 / ln 2 bits
    assert "| sft | 500 | 1.250 | 0.451 | files of its owner | CC0-1.0 |" in text
    assert "| synthetic | 400 | 0.500 | – | drawn while training | GPL-3.0-only |" in text
    assert "`v10` won a tournament of 10" in text and "*contested* (P(best) 0.810, expected regret 0.012 nats)." in text
    assert "| belongs: true reply | 0.310 | 0.020 | 0.050 | share |" in text
    assert "anna" not in text  # paths of the owner's machine are nobody's business
    assert [f"\n## {heading}\n" in text for heading in SECTIONS] == [True] * len(SECTIONS)


def test_fine_tuning_comes_before_what_its_base_read(run, tmp_path):
    folder = tmp_path / "sft" / "friend"
    _write(folder / "config.json", {"kind": "sft", "base": {"checkpoint": str(run)}, "config": {}})
    conversations = {"sources": {"talks": {"origin": "builtin", "license": "GPL-3.0-only", "conversations": 1234}}}
    losses = {"before": {"word_loss": 2.0}, "after": {"word_loss": 1.5}}
    _write(folder / "finetuning.json", losses | {"best_step": 80, "tokens": 50, "conversations": conversations})
    (folder / "final").mkdir()
    records = read_records(folder / "final")
    text = model_card(records, MODEL, Files())
    assert records.tokens == 950 and "went from 2.000 to\n1.500 nats" in text
    assert "| talks | 1,234 | builtin | GPL-3.0-only |" in text
    assert text.index("talks") < text.index("900 tokens in 2 stages") and "`v10` won" in text
    assert "fine-tuned on conversations)" in text and "not fine-tuned" not in text


def test_what_is_not_on_record_is_said(tmp_path):
    text = model_card(read_records(tmp_path), MODEL, Files())
    for words in ("No tournament is on record", "not on record in its folder", "Not measured yet", "not fine-tuned"):
        assert words in text


@pytest.mark.parametrize(("kind", "is_finetuned"), [("sft", True), ("curriculum", False), (None, None)])
def test_an_exported_folder_says_whether_its_model_was_fine_tuned(tmp_path, kind, is_finetuned):
    write_export_record(tmp_path, Records("mine", facts={"kind": kind} if kind else {}))
    records = read_records(tmp_path)
    assert records.name == "mine" and records.is_finetuned is is_finetuned
    assert read_records(tmp_path / "elsewhere").is_finetuned is None


def test_broken_records_are_as_good_as_none(run):
    (run.parent / "stages.json").write_text("{torn")
    assert "not on record in its folder" in model_card(read_records(run), MODEL, Files())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"document_mask": True}, "document mask"),
        ({"num_heads": 2, "num_kv_heads": 2}, "Heads of 16"),
        ({"num_experts": 4, "intermediate_size": 50}, "multiples of 8"),
        ({"attention": "differential"}, "trust_remote_code=True"),
    ],
)
def test_a_limit_is_said_where_it_holds(changes, words):
    assert words in model_card(Records("m"), small_model(**changes), Files())
    plain = small_model(hidden_size=128, num_heads=2, num_kv_heads=2)
    assert words not in model_card(Records("m"), plain, Files())


EVIL = "<script>alert(1)</script> [a](http://x) ![b](http://y) | `c` **d**\n# e"


def test_no_text_of_a_record_becomes_markup(run, tmp_path):
    """Names of sources, licences, the verdict and figures come from files that somebody else may have written."""
    verdict = {"contestant": EVIL, "best_of": EVIL, "heldout_loss": 2.5, "verdict": EVIL}
    _write(tmp_path / "tournament" / "first" / "winner.json", verdict)
    folder = run.parent
    facts = json.loads((folder / "config.json").read_text()) | {"name": EVIL}
    _write(folder / "config.json", facts)
    _write(folder / "stages.json", {"stages": [{"tokens": 100, "rows": {EVIL: 1}}]})
    _write(folder / "data" / "manifest.json", {"sources": {EVIL: {"origin": f"hub: {EVIL}", "license": EVIL}}})
    sft = tmp_path / "sft" / "friend"
    _write(sft / "config.json", {"kind": "sft", "base": {"checkpoint": str(run)}, "config": {}})
    facts = {"origin": f"hub: {EVIL}", "license": EVIL, "conversations": 3}
    _write(sft / "finetuning.json", {"best_step": 80, "conversations": {"sources": {EVIL: facts}}})
    _write(sft / "friend_card" / "friend_card.json", {"figures": [dict.fromkeys(("section", "name", "unit"), EVIL)]})
    (sft / "final").mkdir()
    records = replace(read_records(sft / "final"), name=EVIL)
    text = model_card(records, MODEL, Files(gguf=("$(touch x).gguf",)))
    assert text.count("alert") == 16
    assert text.count(code_span(EVIL)) == 2
    blocks = re.sub(r"^```\w+\n.*?^```$", "", text, flags=re.S | re.M)  # which show everything as it is
    outside = blocks.replace(code_span(EVIL), "")
    assert outside.count("alert") == 12
    for markup in ("<script", "](", "**d", "`c"):
        assert not re.search(r"(?<!\\)" + re.escape(markup), outside), markup
    assert "\n# e" not in text and text.count("\n# ") == 1
    end = f"| – | – | hub: {escaped(EVIL)} | {escaped(EVIL)} |"
    (row,) = [line for line in outside.splitlines() if line.endswith(end)]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "llama-cli -m '$(touch x).gguf' --jinja" in text and "ollama create '<script>" in text


def test_somebodys_own_words_are_warned_of(run):
    manifest = run.parent / "data" / "manifest.json"
    for origin, is_warned in (("/home/anna/videos", True), ("builtin", False)):
        _write(manifest, {"sources": {"sft": {}, "personal": {"origin": origin, "license": "not stated"}}})
        stages = {"stages": [{"tokens": 100, "rows": {"personal": 1}}]}
        _write(run.parent / "stages.json", stages)
        assert ("may repeat them" in model_card(read_records(run), MODEL, Files())) is is_warned


def test_parameters_before_and_after_and_the_gguf_files():
    files = Files(gguf=("v3-F16.gguf", "v3-Q8_0.gguf"), fallback="F16 instead of Q8_0")
    text = model_card(Records("v3"), PRESETS["v3"], files)
    assert "47,190,528 as trained; **72,356,352 in this folder**" in text
    assert "llama-cli -m v3-F16.gguf" in text and "F16 instead of Q8_0." in text
    plain = model_card(Records("d"), small_model(attention="differential"), Files())
    assert "more parameters than were trained" not in plain and "llama.cpp, or Ollama" not in plain


def test_every_row_of_a_table_has_as_many_cells_as_its_head(run):
    for model in (MODEL, small_model(num_experts=4, num_active_experts=2)):
        rows = [line for line in model_card(read_records(run), model, Files()).splitlines() if line.startswith("|")]
        assert len(rows) > 10 and all(line.endswith("|") for line in rows)
        widths = [line.count("|") for line in rows]
        assert sorted(set(widths)) == [3, 6, 7]
