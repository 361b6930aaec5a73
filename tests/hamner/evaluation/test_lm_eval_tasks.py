"""The task folder for lm-evaluation-harness: all pairs, in the template, the good reply at either place."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from model_kinds import small_model

from hamner.config.schema import Compute
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.friendly_pairs import KINDS, friendly_pairs, mark_pairs
from hamner.evaluation.lm_eval_tasks import GROUP, write_tasks
from hamner.inference.export_folder import write_export
from hamner.inference.run_records import Records
from hamner.model.transformer import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tasks")
    assert sorted(path.name for path in write_tasks(place)) == sorted(path.name for path in place.iterdir())
    return place


def test_the_group_names_a_task_of_each_kind_whose_data_is_beside_it(folder):
    group = yaml.safe_load((folder / f"{GROUP}.yaml").read_text())
    assert group["group"] == GROUP and group["task"] == [f"{GROUP}_{kind}" for kind in KINDS]
    for name, kind in zip(group["task"], KINDS, strict=True):
        task = yaml.safe_load((folder / f"{name}.yaml").read_text())
        assert task["task"] == name and task["output_type"] == "multiple_choice" and task["target_delimiter"] == ""
        assert task["dataset_kwargs"]["data_files"] == {"test": f"{kind}.jsonl"}
        assert (task["doc_to_text"], task["doc_to_choice"], task["doc_to_target"]) == ("prompt", "choices", "label")


def test_the_documents_are_the_pairs_in_the_chat_template(folder):
    lines = [json.loads(line) for kind in KINDS for line in (folder / f"{kind}.jsonl").read_text().splitlines()]
    pairs = friendly_pairs()
    assert len(lines) == len(pairs)
    for line, pair in zip(lines, pairs, strict=True):
        assert line["choices"][line["label"]] == f"{pair.good}<|im_end|>"
        assert line["choices"][1 - line["label"]] == f"{pair.bad}<|im_end|>"
        assert line["prompt"].endswith(f"<|im_start|>user\n{pair.context[-1][1]}<|im_end|>\n<|im_start|>assistant\n")
        assert line["prompt"].count("<|im_start|>") == len(pair.context) + 1
    assert 0.4 < sum(line["label"] for line in lines) / len(lines) < 0.6


def test_the_same_files_each_time(folder, tmp_path):
    write_tasks(tmp_path)
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())


@pytest.mark.slow
def test_lm_eval_has_the_cards_accuracy_of_an_exported_folder(tmp_path, folder):
    """By the command that is printed, with the package's own `hf` model."""
    pytest.importorskip("lm_eval", reason="lm_eval is not installed: pip install lm_eval")
    texts = [text for pair in friendly_pairs() for text in (pair.good, *(content for _, content in pair.context))]
    tokenizer = Tokenizer.train([*texts, "user assistant"], 600)
    hamner = build(small_model(vocab_size=tokenizer.vocab_size, max_seq_len=512), 0)
    write_export(tmp_path / "model", hamner, tokenizer, Records("mine"), say=lambda line: None)
    out = tmp_path / "out"
    words = ["--model", "hf", "--model_args", f"pretrained={tmp_path / 'model'}", "--include_path", "."]
    answer = subprocess.run(
        [sys.executable, "-m", "lm_eval", *words, "--tasks", GROUP, "--device", "cpu", "--output_path", str(out)],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    (file,) = out.rglob("results_*.json")
    results = json.loads(file.read_text())["results"]
    marks = mark_pairs(hamner, tokenizer, friendly_pairs(), Compute(device="cpu", precision="fp32"))
    ours = {kind: [mark.after_chat for mark in marks if mark.pair.kind == kind] for kind in KINDS}
    theirs = {kind: results[f"{GROUP}_{kind}"]["acc,none"] for kind in KINDS}
    assert theirs == pytest.approx({kind: sum(values) / len(values) for kind, values in ours.items()})
    assert len(marks) == len(friendly_pairs()) and len(set(theirs.values())) > 1
