"""Task folder for lm-evaluation-harness (lm-eval): friendly pairs as multiple choice, for any model of our template.

Data in: the friendly pairs. Data out: a folder with a YAML file and JSON lines for each kind, and one for all together:

    cd FOLDER && lm_eval --model hf --model_args pretrained=MODEL --include_path . --tasks hamner_friendly_pairs

The chat is written in the template, marks included, so --apply_chat_template must not be given. The data's paths are
relative, so that the folder can be moved: lm_eval must run inside it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from hamner.config.special_tokens import MESSAGE_END, MESSAGE_START, RESERVED
from hamner.evaluation.friendly_pairs import KINDS, FriendlyPair, friendly_pairs
from hamner.runs.files import write_text

GROUP = "hamner_friendly_pairs"
TASK = """task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: label
target_delimiter: ""
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
"""


def write_tasks(folder: Path) -> list[Path]:
    """Write the task folder; returns its files. The same files each time."""
    pairs, names, files = friendly_pairs(), [], []
    for kind in KINDS:
        name, data = f"{GROUP}_{kind}", f"{kind}.jsonl"
        lines = [json.dumps(_document(pair), ensure_ascii=False) for pair in pairs if pair.kind == kind]
        files += [folder / data, folder / f"{name}.yaml"]
        write_text(files[-2], "\n".join(lines) + "\n")
        write_text(files[-1], TASK.format(task=name, data=data))
        names.append(name)
    files.append(folder / f"{GROUP}.yaml")
    write_text(files[-1], _group(names))
    return files


def _group(names: list[str]) -> str:
    tasks = "".join(f"  - {name}\n" for name in names)
    metric = "aggregate_metric_list:\n  - metric: acc\n    aggregation: mean\n    weight_by_size: true\n"
    return f"group: {GROUP}\ntask:\n{tasks}{metric}metadata:\n  version: 1\n"


def _document(pair: FriendlyPair) -> dict[str, object]:
    """A record: the chat in the template, both replies with the turn's end, which of them is good."""
    start, end = RESERVED[MESSAGE_START], RESERVED[MESSAGE_END]
    turns = [f"{start}{role}\n{content}{end}\n" for role, content in pair.context]
    replies = [f"{pair.good}{end}", f"{pair.bad}{end}"]
    label = random.Random(f"lm-eval/{pair.context}").randrange(2)  # a tie must not favour the good one
    return {
        "kind": pair.kind,
        "prompt": "".join([*turns, f"{start}assistant\n"]),
        "choices": replies[:: -1 if label else 1],
        "label": label,
    }
