"""Export a trained model to other programs: the command `hamner export`, also `python -m hamner.export`.

Data in: a run or checkpoint folder. Data out: a folder for transformers, with GGUF files for llama.cpp and Ollama where
asked for; or, with --from-hf, the checkpoint of such a folder.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from hamner.config.errors import BadInput
from hamner.inference.export_options import GGUF_FORMATS, check_new, gguf_formats
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import Parser, add_model_option, add_results_option, run_command
from hamner.runs.folders import absolute, results_folder
from hamner.runs.waiting import never_silent

DESCRIPTION = """Export a trained model, with its tokenizer and a model card, for transformers, llama.cpp and Ollama.

The folder is there whole or not at all; docs/export.md says what runs where."""
EXAMPLES = (
    "hamner export --out friend                                # the newest run, for transformers",
    "hamner export mine --out friend --gguf f16,q8_0           # for llama.cpp and Ollama too",
    "hamner export --from-hf friend --out results/from_friend  # an exported folder as a checkpoint again",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner export", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--out", metavar="DIR", required=True, help="the folder to write, which must not exist")
    options.add_argument(
        "--gguf", metavar="FORMATS", help=f"GGUF files too: some of {', '.join(GGUF_FORMATS)}, separated by commas"
    )
    options.add_argument("--from-hf", metavar="DIR", help="read an exported folder back, bit for bit")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    out = absolute(options.out, "--out")
    check_new(out, "--out")
    if options.from_hf:
        return _read_back(options)
    formats = gguf_formats(options.gguf) if options.gguf else ()
    folder = model_folder(options.run, results_folder(options.results))

    with never_silent(f"exporting {folder.name}"):
        from hamner.inference.export_folder import write_export  # torch: seconds, after all that needs none
        from hamner.inference.run_records import read_records

        loaded = open_model(folder)
        write_export(out, loaded.model, loaded.tokenizer, read_records(loaded.folder), formats)
    print(f"talk to it with `hamner chat {shlex.quote(options.out)}`")
    return 0


def _read_back(options: argparse.Namespace) -> int:
    """Write the checkpoint of an exported folder."""
    folder, out = absolute(options.from_hf, "--from-hf"), absolute(options.out, "--out")
    if options.run or options.gguf:
        extra = f"RUN {options.run}" if options.run else f"--gguf {options.gguf}"
        raise BadInput(f"{extra} does not go with --from-hf, which reads a folder back: leave one of them out")
    if not (folder / "config.json").is_file():
        raise BadInput(f"--from-hf {folder} is not an exported folder: config.json is missing; name another")

    from hamner.inference.export_folder import write_checkpoint

    with never_silent(f"reading {folder}"):
        write_checkpoint(out, folder)
    print(f"written: {out}; talk to it with `hamner chat {shlex.quote(options.out)}`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
