"""Names and paths that stand in files cannot leave their folder: each place where one is read, with a real file."""

import json
import os

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import ModelConfig
from hamner.data.conversation_files import rows_file
from hamner.data.corpus import Corpus
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer
from hamner.inference.run_records import read_records
from hamner.model.transformer import build
from hamner.runs.files import append_json_line, write_json
from hamner.runs.folders import open_run, write_config
from hamner.runs.heartbeat import mark_at_work
from hamner.runs.json_lines import add_line
from hamner.runs.lock import only_one
from hamner.runs.metrics import Metrics
from hamner.runs.resume_log import StepFile
from hamner.runs.stopping import StopRequest
from hamner.sft import base_folder
from hamner.training import checkpoint
from tournament.entrants import entrants, read_league
from tournament.ledger import Ledger
from tournament.outcome import Outcome, Run
from tournament.run_facts import evaluation_error

NAMES = (
    "../outside/secret.json",
    "/etc/hostname",
    "link/secret.json",
    "..",
    "a/../../outside/secret.json",
    "nul",
    "a\0b",
)


@pytest.fixture
def run(tmp_path):
    """A folder with a link that leads out of it, to a secret."""
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.json").write_text('{"secret": {"share": 1.0, "nats": [1.0], "tokens": [2]}}')
    (folder / "link").symlink_to(tmp_path / "outside")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_ledger_names_no_document_outside_its_league(run, name):
    state = {"rounds": [{"outcomes": [{"documents": name}]}]}
    with pytest.raises(BadInput, match=r"bracket\.json names "):
        Ledger(run, lambda run: "v01").complete(state)
    assert evaluation_error(run, Outcome(1.0, documents=name)) is None


def test_a_ledger_with_another_seed_writes_no_document_outside_its_league(run):
    ledger = Ledger(run, lambda run: f"{run.contestant}-seed{run.seed}")
    row = {"contestant": "v01", "seed": "0/../../outside/x", "factor": 1, "documents": {"a": 1}}

    class State:
        def state(self):
            return {"rounds": [{"outcomes": [row]}]}

    with pytest.raises(BadInput, match="leads out"):
        ledger.write(State(), {})
    assert [path.name for path in (run.parent / "outside").iterdir()] == ["secret.json"]
    assert Run("v01", 0).contestant == "v01"


@pytest.mark.parametrize("name", [*NAMES, "v01/../../.."])
def test_a_winner_is_a_contestant_of_its_league(tmp_path, name):
    league = tmp_path / "tournament" / "night"
    write_json(league / "config.json", {"config": {}})
    write_json(league / "winner.json", {"contestant": name})
    with pytest.raises(BadInput):
        base_folder("night", tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["file", "ends"])
def test_a_manifest_names_no_shard_outside_its_folder(run, name, key):
    shard = {"file": "a.bin", "ends": "a.ends", "side": "heldout", "bytes": 2, "tokens": 1, "documents": 1} | {
        key: name
    }
    (run / "a.bin").write_bytes(b"\0\0")
    facts = {"tokenizer_sha256": "0", "dtype": "uint16", "seed": 0, "heldout_fraction": 0.1}
    write_json(run / "manifest.json", facts | {"sources": {"a": {"shards": [shard | {key: name}]}}})
    with pytest.raises(BadInput, match=r"manifest\.json names "):
        Corpus(run, "0")


@pytest.mark.parametrize("name", [name for name in NAMES if "link" not in name])
def test_a_store_reads_no_name_outside_its_place(run, name):
    with pytest.raises(BadInput):
        Store(run).read(name)
    with pytest.raises(BadInput):
        Store(run).size(name)
    with pytest.raises(BadInput):
        Store(run).remove(name)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "link/x", "a\0b"])
def test_conversations_of_a_source_lie_in_their_folder(run, name):
    with pytest.raises(BadInput, match=r"conversations\.json names "):
        rows_file(run, name, "train")


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_reads_no_file_outside_its_folder(run, name):
    tokenizer = Tokenizer.train(["a small fox and an old owl"], 280)
    model = ModelConfig(
        vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8, max_seq_len=64
    )
    saved = checkpoint.save(run / "step_000000001", {"model": build(model, 0).state_dict()}, {}, model, tokenizer)
    (saved / "link").symlink_to(run.parent / "outside")
    state = json.loads((saved / "state.json").read_text())
    state["sha256"][name] = "0" * 64
    (saved / "state.json").write_text(json.dumps(checkpoint.sealed(state)))
    with pytest.raises(BadInput, match=r"state\.json names "):
        checkpoint.load(saved)
    lines = []
    assert checkpoint.newest(run, lines.append) is None and len(lines) == 1


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "nul", "x\n", 3, "", None])
def test_the_name_of_an_exported_model_becomes_no_path(tmp_path, name):
    """It is part of the names of GGUF files and of the members of an archive."""
    folder = tmp_path / "exported"
    write_json(folder / "hamner.json", {"name": name})
    assert read_records(folder).name == "exported"
    write_json(folder / "hamner.json", {"name": "friend-1.2"})
    assert read_records(folder).name == "friend-1.2"


def test_a_model_card_takes_no_winner_from_outside_the_results_folder(tmp_path):
    results, run = tmp_path / "results", tmp_path / "results" / "curriculum" / "c"
    for league in (tmp_path / "outside", results / "tournament" / "night"):
        write_json(league / "winner.json", {"contestant": "v3", "verdict": "settled"})
    facts = {"config": {}, "who": "winner", "name": "v3"}
    write_json(run / "config.json", facts | {"tokenizer": {"path": str(tmp_path / "outside" / "data")}})
    assert read_records(run).winner == {}
    write_json(run / "config.json", facts | {"tokenizer": {"path": str(results / "tournament" / "night" / "data")}})
    assert read_records(run).winner["verdict"] == "settled"


def test_runs_that_name_each_other_as_their_base_end(tmp_path):
    for name, base in (("a", "b"), ("b", "a")):
        facts = {"config": {}, "kind": "sft", "base": {"checkpoint": str(tmp_path / "sft" / base)}}
        write_json(tmp_path / "sft" / name / "config.json", facts)
    records, count = read_records(tmp_path / "sft" / "a"), 0
    while records.base:
        records, count = records.base, count + 1
    assert count == 8


@pytest.mark.parametrize("name", ["../x", "a/b", "nul", "Con", "aux.b", "a.", "ray", "data"])
def test_a_contestant_of_a_league_file_has_the_name_of_a_folder(tmp_path, name):
    file = tmp_path / "league.toml"
    file.write_text(f"[[contestant]]\nname = '{name}'\nbase = 'v3'\n[[contestant]]\nname = 'b'\nbase = 'v3'\n")
    config = load_config("smoke", ["keep=[1]", "steps=[9]"], extra={"league": read_league(str(file))})
    with pytest.raises(BadInput) as error:
        entrants(config)
    assert [line.startswith(f"contestant '{name}'") for line in error.value.problems] == [True]


def test_nothing_is_appended_through_a_link(run):
    """A run's folder from somebody else may hold a link where a file is written to its end, or in place."""
    target = run.parent / "outside" / "secret.json"
    before = target.read_bytes()
    for name in ("resume.jsonl", "step"):
        (run / name).symlink_to(target)
    with pytest.raises(OSError):
        append_json_line(run / "resume.jsonl", {"step": 1})
    (run / "votes.jsonl").symlink_to(target)
    with pytest.raises(OSError):
        add_line(run / "votes.jsonl", {"step": 1})
    mark = StepFile(run, 1)
    mark._path = run / "step"
    with pytest.raises(OSError):
        mark.mark(5)
    (run / ".driver.lock").symlink_to(target)
    with pytest.raises(BadInput, match="cannot be locked"), only_one(run / ".driver.lock", "held"):
        pass
    metrics = Metrics(run, ["step"])
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").symlink_to(target)
    with pytest.raises(OSError):
        metrics.row({"step": 1})
    (run / ".at_work").symlink_to(run.parent / "outside" / "new")
    mark_at_work(run, is_at_work=True)
    (run / ".stop").symlink_to(run.parent / "outside" / "new")
    StopRequest(run).make()
    assert not (run.parent / "outside" / "new").exists()
    (run / "config.json").symlink_to(target)
    write_json(run / "config.json", {"a": 1})  # takes the place of the link
    assert target.read_bytes() == before and not (run / "config.json").is_symlink()


def test_a_damaged_file_of_metrics_is_kept_and_no_link_in_its_place_is_followed(run):
    target = run.parent / "outside" / "secret.json"
    before = target.read_bytes()
    (run / "metrics.csv").write_text("step,of,another\nbroken\n")
    (run / "metrics.damaged.csv").symlink_to(target)
    Metrics(run, ["step", "loss"], resume_step=5, every=1, say=lambda line: None)
    assert target.read_bytes() == before
    assert (run / "metrics.damaged.csv").read_text() == "step,of,another\nbroken\n"
    assert not (run / "metrics.damaged.csv").is_symlink()


def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(run):
    target = run.parent / "outside" / "secret.json"
    before = target.read_bytes()
    (run / f".a.json.{os.getpid()}.tmp").symlink_to(target)
    write_json(run / "a.json", {"a": 1})
    assert target.read_bytes() == before and json.loads((run / "a.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("link", ["checkpoints", "v01", "v01/checkpoints", "v01/checkpoints/step_000000001", "ray"])
def test_a_run_with_a_folder_that_leads_out_of_it_is_not_resumed(tmp_path, link):
    """What a resume prunes there would be somebody else's."""
    folder, outside = tmp_path / "tournament" / "a", tmp_path / "outside"
    (outside / "step_000000009").mkdir(parents=True)
    (folder / link).parent.mkdir(parents=True)
    write_config(folder, load_config("smoke"), {"kind": "tournament"})
    (folder / "data").symlink_to(outside)  # the text may lie elsewhere

    def resume():
        return open_run(tmp_path, "tournament", "a", resume=True, config=None, facts={"kind": "tournament"})[0]

    (folder / "kept").mkdir()
    (folder / "within").symlink_to(folder / "kept")
    assert resume() == folder
    (folder / link).symlink_to(outside)
    with pytest.raises(BadInput, match="leads out of the run's folder by a link") as error:
        resume()
    assert len(error.value.problems) == 1 and str(folder / link) in error.value.problems[0]
    assert "remove the link" in error.value.problems[0] and (outside / "step_000000009").is_dir()
    (folder / link).unlink()
    (tmp_path / "place").mkdir()
    folder.rename(tmp_path / "place" / "a")
    folder.symlink_to(tmp_path / "place" / "a")  # and the run's folder itself may be behind a link
    (folder / "within").unlink()
    assert resume() == folder
