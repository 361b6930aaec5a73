"""Export of a model: a whole folder for transformers, llama.cpp and Ollama, or one archive to give to a friend.

Data in: a model, its tokenizer and records. Data out: weights, configs, tokenizer, model card, and where asked for GGUF
files and a Modelfile. A folder or archive is there whole or not at all.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.inference import gguf, huggingface
from hamner.inference.export_options import check_gguf_package
from hamner.inference.model_card import Files, model_card
from hamner.inference.run_records import Records, write_export_record
from hamner.model.transformer import Hamner
from hamner.runs.files import new_folder, scratch_folder, write_text
from hamner.training import checkpoint

CARD, MODELFILE, TALK = "README.md", "Modelfile", "talk.py"
FAVOURITE = "f16"  # the format that Ollama gets where there are several: the same replies in half the size
Say = Callable[[str], None]


def check(hamner: Hamner, tokenizer: Tokenizer, formats: Sequence[str] = ()) -> None:
    """Raise BadInput for a model that cannot be exported, or not to GGUF where formats are asked for."""
    huggingface.check_exportable(hamner.config)
    if formats:
        check_gguf_package()
        gguf.check_model(hamner.config)
        gguf.check_tokenizer(tokenizer)
    broken = [name for name, weight in hamner.state_dict().items() if not bool(torch.isfinite(weight).all())]
    if broken:
        raise BadInput(
            f"{broken[0]} holds numbers that are not finite: the run has diverged; use an earlier checkpoint"
        )


def write_export(
    out: Path, hamner: Hamner, tokenizer: Tokenizer, records: Records, formats: Sequence[str] = (), say: Say = print
) -> None:
    """Write a folder in fp32, with a GGUF file for each of `formats` (of GGUF_FORMATS). Raises BadInput.

    say: told what was written, in lines.
    """
    check(hamner, tokenizer, formats)
    names, fallback = {form: f"{records.name}-{form.upper()}.gguf" for form in formats}, ""
    with new_folder(out) as folder:
        huggingface.write_folder(folder, hamner, tokenizer)
        for form, name in names.items():
            left = gguf.write_gguf(folder / name, hamner, tokenizer, form, records.name)
            fallback = gguf.fallback_line(left, hamner.config) or fallback
        if names:
            favourite = names.get(FAVOURITE, next(iter(names.values())))
            write_text(folder / MODELFILE, gguf.modelfile(favourite, hamner.config.max_seq_len))
        files = Files("float32", tuple(names.values()), fallback)
        write_text(folder / CARD, model_card(records, hamner.config, files))
        write_export_record(folder, records)
    for line in (parameters_line(hamner.config), fallback, f"written: {out}"):
        if line:
            say(line)


def write_archive(out: Path, hamner: Hamner, tokenizer: Tokenizer, records: Records, say: Say = print) -> None:
    """Write a ZIP archive: the model in bf16 alone, its card, a script to talk with. Raises BadInput."""
    check(hamner, tokenizer)
    with scratch_folder(out) as scratch:  # the archive too: what a kill leaves of it is removed by the next one
        folder, packed = scratch / "model", scratch / "packed.zip"
        folder.mkdir()
        huggingface.write_folder(folder, hamner, tokenizer, "bfloat16")
        write_text(folder / TALK, Path(__file__).with_name(TALK).read_text(encoding="utf-8"))
        write_text(folder / CARD, model_card(records, hamner.config, Files("bfloat16", script=TALK)))
        write_export_record(folder, records)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"{records.name}/{path.name}")
        packed.replace(out)
    say(parameters_line(hamner.config))
    say(f"written: {out}, {out.stat().st_size / 1e6:.1f} MB")


def write_checkpoint(out: Path, folder: Path) -> None:
    """Write the checkpoint of an exported folder, its weights bit for bit. Raises BadInput for another folder."""
    hamner, tokenizer = huggingface.read_folder(folder)
    checkpoint.save(out, {"model": hamner.state_dict()}, {"step": 0}, hamner.config, tokenizer)


def parameters_line(model: ModelConfig) -> str:
    """Parameters before and after, and why they differ."""
    before, after = count_parameters(model).total, huggingface.exported_parameters(model)
    if before == after:
        return f"{before:,} parameters"
    return f"{before:,} parameters as trained, {after:,} as exported: the normed embedding stands beside the head"
