"""Model card (README.md of a Hugging Face folder): what a model is, how to talk to it, what it read, what to expect.

Data in: a model's config and the records of its run. Data out: markdown; numbers are those of the records, and their
text is shown letter for letter: somebody else may have written it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hamner.config.cost import count_parameters
from hamner.config.schema import ModelConfig
from hamner.inference.huggingface import architecture, exported_parameters, is_llama
from hamner.inference.run_records import Records, SourceRecord
from hamner.runs.markdown_text import code_span, escaped

# What a card says of the text's origin: a path of the owner's own files tells strangers about his machine
PUBLIC_ORIGINS = ("hub: ", "builtin", "drawn while training", "not recorded", "identity")
FIGURES = 40  # rows of the friend card that a card shows


@dataclass(frozen=True)
class Files:
    """What lies in the folder beside the card."""

    dtype: str = "float32"
    gguf: tuple[str, ...] = ()  # file names
    fallback: str = ""  # which tensors of a Q8_0 file stay F16
    script: str = ""  # a script to talk with


def model_card(records: Records, model: ModelConfig, files: Files) -> str:
    """The text of README.md."""
    sections = [
        ("Talk to it", _talk(records, model, files)),
        ("What it is", _architecture(records, model, files)),
        ("How it was chosen", _verdict(records)),
        ("What it read", _data(records)),
        ("How good it is to talk to", _friend_card(records)),
        ("Limits", _limits(records, model)),
    ]
    parts = [f"## {heading}\n\n" + "\n".join(lines).strip() for heading, lines in sections]
    return "\n\n".join([_front_matter(model), f"# {escaped(records.name)}", _purpose(records, model), *parts]) + "\n"


def _front_matter(model: ModelConfig) -> str:
    tags = ["hamner", "conversational", *([] if is_llama(model) else ["custom_code"])]
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation", "tags:"]
    return "\n".join([*lines, *(f"- {tag}" for tag in tags), "---"])


def _purpose(records: Records, model: ModelConfig) -> str:
    size = _millions(count_parameters(model).total)
    tuned = "fine-tuned on conversations" if records.is_finetuned else "not fine-tuned on conversations"
    return (
        f"A small language model ({size} parameters, {tuned}) made with Hamner on one machine. Expect short, friendly "
        "small talk; do not expect facts, sums or advice."
    )


def _talk(records: Records, model: ModelConfig, files: Files) -> Iterator[str]:
    remote = "" if is_llama(model) else ", trust_remote_code=True"
    if files.script:
        yield "With Python, in this folder:\n"
        yield _code("sh", "pip install torch transformers", f"python {files.script}")
    yield "With Hamner, which keeps a message that spells a mark such as `<|im_end|>` as text:\n"
    yield _code("sh", "hamner chat .")
    yield "With transformers, version 4.57 or 5:\n"
    yield _code(
        "python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("."{remote})',
        f'model = AutoModelForCausalLM.from_pretrained("."{remote})',
        'messages = [{"role": "user", "content": "Hello! How are you?"}]',
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        "reply = model.generate(**inputs)",
        'print(tokenizer.decode(reply[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    )
    if files.gguf:
        name = _word(records.name.lower())
        yield "With llama.cpp, or Ollama:\n"
        yield _code(
            "sh",
            f"llama-cli -m {_word(files.gguf[0])} --jinja",
            f"ollama create {name} -f Modelfile && ollama run {name}",
        )
        yield f"GGUF files: {', '.join(map(code_span, files.gguf))}."
        yield f"{escaped(files.fallback)}." if files.fallback else ""


def _code(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


def _architecture(records: Records, model: ModelConfig, files: Files) -> Iterator[str]:
    before, after = count_parameters(model), exported_parameters(model)
    kind = "differential attention" if model.attention == "differential" else "grouped-query attention"
    experts = f", {model.num_experts} experts of which {model.num_active_experts} read each token"
    active = f", {before.active:,} of them active for a token" if before.active < before.total else ""
    rows = {
        "class": f"`{architecture(model)[0]}`{'' if is_llama(model) else ', its code in `modeling_hamner.py`'}",
        "layers": f"{model.num_layers}, {kind}, SwiGLU{experts if model.num_experts > 1 else ''}",
        "width": f"{model.hidden_size:,}, of the MLP {model.intermediate_size:,}",
        "heads": f"{model.num_heads}, {model.num_kv_heads} of keys and values, each of {model.head_size}",
        "vocabulary, context": f"{model.vocab_size:,} and {model.max_seq_len:,} tokens",
        "parameters": f"{before.total:,} as trained{active}; **{after:,} in this folder**",
        "precision": files.dtype,
    }
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in rows.items())
    if after > before.total:
        yield "\nThe folder holds more parameters than were trained: the trained model norms its embedding, which is"
        yield "its output head too. Other programs know no such norm; the normed embedding stands beside the head."
    first = _first(records)
    if first.facts.get("name"):
        yield f"\nIt was trained from {code_span(str(first.facts['name']))}."


def _verdict(records: Records) -> Iterator[str]:
    winner = _first(records).winner
    if not winner:
        yield "No tournament is on record: the architecture was given, not chosen."
        return
    chance = f" (P(best) {_number(winner.get('p_best'))}, expected regret {_number(winner.get('regret'))} nats)"
    contestant, number = code_span(str(winner["contestant"])), escaped(str(winner.get("best_of", "several")))
    yield f"{contestant} won a tournament of {number} architectures on held-out"
    yield f"loss ({_number(winner.get('heldout_loss'))} nats a token). The verdict:"
    yield f"*{escaped(str(winner.get('verdict', 'unknown')))}*{chance if 'p_best' in winner else ''}."


def _data(records: Records) -> Iterator[str]:
    if records.base:
        yield from _finetuning(records)
        yield from _data(records.base)
        return
    if not records.sources:
        yield "Which text it read is not on record in its folder."
        return
    yield f"{records.tokens:,} tokens in {len(records.stages)} stages. Held-out documents were never trained on.\n"
    yield "| source | tokens read | held-out loss, nats a token | bits a byte | from | licence of the text |"
    yield "|---|---|---|---|---|---|"
    yield from map(_source_row, records.sources)
    yield "\nThe licences are those of the texts. Which licence the weights get is for you to decide."


def _source_row(source: SourceRecord) -> str:
    cells = [
        escaped(source.name),
        f"{source.tokens:,}",
        _number(source.loss),
        _number(source.bits_per_byte),
        escaped(_public(source.origin)),
        escaped(source.license),
    ]
    return f"| {' | '.join(cells)} |"


def _finetuning(records: Records) -> Iterator[str]:
    """The table of what fine-tuning read, before that of its base."""
    result = records.finetuning
    if not result:
        yield "Fine-tuning is not finished: these are the weights on the way.\n"
        return
    before, after = (result.get(key, {}).get("word_loss") for key in ("before", "after"))
    steps = result.get("best_step", result.get("steps", 0))
    yield f"Fine-tuned for {steps:,} steps: the loss on held-out replies went from {_number(before)} to"
    yield f"{_number(after)} nats a token.\n"
    yield "| conversations | number | from | licence |\n|---|---|---|---|"
    for name, facts in result.get("conversations", {}).get("sources", {}).items():
        origin, licence = _public(str(facts.get("origin", "not recorded"))), str(facts.get("license", "not stated"))
        yield f"| {escaped(name)} | {facts.get('conversations', 0):,} | {escaped(origin)} | {escaped(licence)} |"
    yield "\nBefore that:\n"


def _friend_card(records: Records) -> Iterator[str]:
    figures: Sequence[Mapping[str, Any]] = records.friend_card.get("figures", ())
    if not figures:
        yield "Not measured yet: `hamner evaluate` does, and an export after it shows its card here."
        return
    yield "| | value | ± standard error | guessing scores | unit |\n|---|---|---|---|---|"
    for figure in figures[:FIGURES]:
        name = escaped(f"{figure['section']}: {figure['name']}")
        yield (
            f"| {name} | "
            + " | ".join(_number(figure.get(key)) for key in ("value", "error", "guess"))
            + f" | {escaped(str(figure.get('unit', '')))} |"
        )
    if len(figures) > FIGURES:
        yield f"\n{len(figures) - FIGURES} more figures are on the card itself."


def _limits(records: Records, model: ModelConfig) -> Iterator[str]:
    yield f"- A model of this size knows little and makes things up. It reads {model.max_seq_len:,} tokens at most."
    if not records.is_finetuned:
        yield "- It was not fine-tuned: it has seen conversations at most among other text, and may ramble."
    yield "- In transformers and llama.cpp a message that spells `<|im_end|>` or another mark ends or begins a turn."
    yield "  Take the marks out of a stranger's text, or encode it with `split_special_tokens=True`. Hamner keeps them"
    yield "  as text."
    yield "- Both `<|im_end|>` and `<|endoftext|>` end a reply: a program that stops at one alone may ramble."
    if model.document_mask:
        yield "- It was trained with a document mask, which other programs do not have. A conversation is one document,"
        yield "  so chat is the same; do not put several documents into one context."
    if model.num_experts > 1 and is_llama(model) and (model.intermediate_size % 8 or model.hidden_size % 8):
        yield '- Its experts\' widths are not multiples of 8: transformers 5 needs `experts_implementation="eager"`.'
    if model.head_size < 64:
        yield f"- Heads of {model.head_size} run in transformers and llama.cpp, not in vLLM."
    if any(source.name == "personal" and source.origin != "builtin" for source in _all_sources(records)):
        yield "- It read its owner's own words (`personal`) and may repeat them: think before you give it to strangers."


def _word(text: str) -> str:
    """Text as one word of a command that a reader copies."""
    return shlex.quote(" ".join(text.split()))


def _first(records: Records) -> Records:
    """The records of the run that the model began in, before any fine-tuning."""
    return _first(records.base) if records.base else records


def _all_sources(records: Records) -> list[SourceRecord]:
    return [*records.sources, *(_all_sources(records.base) if records.base else ())]


def _public(origin: str) -> str:
    return origin if origin.startswith(PUBLIC_ORIGINS) else "files of its owner"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} million"
