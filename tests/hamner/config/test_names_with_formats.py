"""Every JSON file that the packages write has its format in FORMATS, or is named here with why it has none."""

import ast
import importlib
from pathlib import Path

from hamner.config.formats import FORMATS

REPO = Path(__file__).resolve().parents[3]
PACKAGES = ("hamner", "tournament", "curriculum")
WITHOUT = {  # module, and what it writes: why it has no format
    ("hamner.data.preparation.pipeline", "DECIDED"): "of an unfinished preparation, which only one version reads",
    ("hamner.data.preparation.pipeline", "f'{UNFINISHED}/{part.name}{PROBLEMS}'"): "the same",
    ("hamner.data.preparation.plan", "f'{UNFINISHED}/plan.json'"): "the same",
    ("hamner.data.preparation.write_shards", "_record_name(self._part, self._number)"): "the same",
    ("hamner.data.tokenizer", "folder / CONFIG_FILE"): "transformers' own",
    ("hamner.data.youtube.gather", "out / 'stats.json'"): "to look at: nothing reads it",
    ("hamner.inference.huggingface", "folder / CONFIG_FILE"): "transformers' own",
    ("hamner.inference.huggingface", "folder / GENERATION"): "transformers' own",
    ("hamner.runs.calibration_record", "results / FILE"): "has one in its schema",
    ("hamner.runs.lock", "lease"): "a lease",
    ("tournament.ledger", "path_below(self.path.parent, name, self.path)"): "documents_*.json belong to the ledger",
}
ELSEWHERE = {("tournament.memory_fallbacks", "self._path"), ("tournament.ledger", "self.path")}  # set in __init__


def _written():
    """(module, its first argument as code, the file's name or None) of every call of write_json."""
    for path in sorted(path for package in PACKAGES for path in (REPO / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "write_json(" not in text:
            continue
        name = ".".join(path.relative_to(REPO).with_suffix("").parts)
        for function in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                called = getattr(call.func, "id", getattr(call.func, "attr", ""))
                if called == "write_json" and call.args:
                    yield name, ast.unparse(call.args[0]), _file_name(call.args[0], function, name)


def _file_name(argument, function, module):
    """The last part of a path, as far as it is a constant of the module or of the function's own."""
    if isinstance(argument, ast.BinOp):
        argument = argument.right
    elif isinstance(argument, ast.Name):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == argument.id:
                return _file_name(node.value, function, module) if isinstance(node.value, ast.BinOp) else None
    if isinstance(argument, ast.Constant):
        return argument.value
    return getattr(importlib.import_module(module), argument.id, None) if isinstance(argument, ast.Name) else None


def test_every_json_file_that_is_written_has_a_format_or_a_reason():
    calls = set(_written()) - {call for call in _written() if call[2] is not None and call[2] in FORMATS}
    assert {(module, code) for module, code, _ in calls} - ELSEWHERE == set(WITHOUT)
    assert len(set(_written())) > 30
