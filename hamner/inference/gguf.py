"""GGUF file (llama.cpp, Ollama, LM Studio): export a model to one, through the package gguf alone.

Data in: a model and its tokenizer. Data out: one file of architecture `llama`, which is Mixtral's too where there are
experts. Differential attention has no architecture there. docs/export.md names the traps.

H heads, D head size, C hidden, E experts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.data.tokenizer import CHAT_TEMPLATE, Tokenizer
from hamner.inference.export_options import check_gguf_package
from hamner.model.layers import unit_scale
from hamner.model.transformer import Hamner

BLOCK = 32  # entries of a row that share a scale in Q8_0
ROUTER = "ffn_gate_inp"
LAYER = {  # ours: theirs
    "attention_norm.weight": "attn_norm",
    "mlp_norm.weight": "ffn_norm",
    "attention.q.weight": "attn_q",
    "attention.k.weight": "attn_k",
    "attention.v.weight": "attn_v",
    "attention.o.weight": "attn_output",
}
DENSE = {f"mlp.{name}.weight": f"ffn_{name}" for name in ("gate", "up", "down")}
MIXTURE = {"mlp.router.weight": ROUTER} | {f"mlp.{name}": f"ffn_{name}_exps" for name in ("gate", "up", "down")}
# llama.cpp knows pre-tokenizers by name; ours is byte-level BPE with GPT-2's pattern and single digits
PRE_TOKENIZER = "smollm"
PATTERN = [("Digits", {"individual_digits": True}), ("ByteLevel", {"add_prefix_space": False, "use_regex": True})]


def check_model(model: ModelConfig) -> None:
    """Raise BadInput for a model that llama.cpp has no architecture for."""
    if model.attention != "grouped":
        raise BadInput(
            f"llama.cpp has no {model.attention} attention, so there is no GGUF of this model: leave out --gguf; "
            "the folder runs in transformers"
        )


def check_tokenizer(tokenizer: Tokenizer) -> None:
    """Raise BadInput for a tokenizer that splits text otherwise than the pre-tokenizer that the file would name."""
    description = json.loads(tokenizer.to_json())
    outer = description["pre_tokenizer"] or {}
    parts = outer.get("pretokenizers", [outer])
    fits = len(parts) == len(PATTERN) and all(
        part.get("type") == kind and all(part.get(key) == value for key, value in settings.items())
        for part, (kind, settings) in zip(parts, PATTERN, strict=True)
    )
    inner = description["model"]
    if not fits or description["normalizer"] or inner["type"] != "BPE" or inner.get("ignore_merges"):
        raise BadInput(
            "the tokenizer is not byte-level BPE with single digits, the only kind that --gguf writes: leave out "
            "--gguf; the folder runs in transformers"
        )


@torch.no_grad()
def write_gguf(path: Path, hamner: Hamner, tokenizer: Tokenizer, form: str, name: str) -> list[str]:
    """Write a file in one of GGUF_FORMATS; returns the tensors that stay F16 in Q8_0.

    name: the model's, shown by programs. Raises BadInput for a model or tokenizer that llama.cpp does not know.
    """
    check_gguf_package()
    check_model(hamner.config)
    check_tokenizer(tokenizer)
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer, hamner.config, form, name)
    _add_tokenizer(writer, tokenizer, hamner.config.vocab_size)
    fallbacks = []
    for tensor_name, tensor in tensors(hamner):
        kind = tensor_format(tensor_name, tuple(tensor.shape), form)
        if form == "q8_0" and kind == "f16":
            fallbacks.append(tensor_name)
        quantization = gguf.GGMLQuantizationType[kind.upper()]
        writer.add_tensor(tensor_name, gguf.quantize(tensor.numpy(), quantization), raw_dtype=quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return fallbacks


def tensor_format(name: str, shape: Sequence[int], form: str) -> str:
    """The format of one tensor in a file of `form`: norms and routers f32, rows that are not whole blocks f16."""
    if len(shape) == 1 or ROUTER in name:
        return "f32"
    return "f16" if form == "q8_0" and shape[-1] % BLOCK else form


def fallback_line(names: Sequence[str], shapes: ModelConfig) -> str:
    """Which tensors stay F16 in Q8_0, layers written together, and why; "" where none does."""
    if not names:
        return ""
    kinds = dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in names)
    widths = sorted({width for width in (shapes.hidden_size, shapes.intermediate_size) if width % BLOCK})
    rows = " and ".join(f"{width:,}" for width in widths)
    return f"F16 instead of Q8_0, since rows of {rows} are not a multiple of {BLOCK}: {', '.join(kinds)}"


def tensors(hamner: Hamner) -> Iterator[tuple[str, Tensor]]:
    """All tensors by their names in GGUF, fp32. The input embedding is the norm of the head, which is untied."""
    model, state = hamner.config, {name: tensor.float() for name, tensor in hamner.state_dict().items()}
    yield "token_embd.weight", unit_scale(state["embedding.weight"])
    yield "output.weight", state["embedding.weight"]
    yield "output_norm.weight", state["final_norm.weight"]
    heads = {"attn_q": model.num_heads, "attn_k": model.num_kv_heads}
    for layer in range(model.num_layers):
        for ours, theirs in (LAYER | (MIXTURE if model.num_experts > 1 else DENSE)).items():
            tensor = state[f"blocks.{layer}.{ours}"]
            if theirs in heads:
                tensor = interleaved(tensor, heads[theirs])
            yield f"blk.{layer}.{theirs}.weight", tensor.contiguous()


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """The weight (H·D, C) of q or k with the two halves of each head's rows in turns.

    llama.cpp rotates neighbouring rows, our rotary positions rows half a head apart. Without this the model talks
    nonsense, and nothing reports an error.
    """
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)


def _add_sizes(writer: Any, model: ModelConfig, form: str, name: str) -> None:
    import gguf

    writer.add_name(name)
    writer.add_context_length(model.max_seq_len)
    writer.add_embedding_length(model.hidden_size)
    writer.add_block_count(model.num_layers)
    writer.add_feed_forward_length(model.intermediate_size)
    writer.add_head_count(model.num_heads)
    writer.add_head_count_kv(model.num_kv_heads)
    writer.add_rope_freq_base(model.rope_theta)
    writer.add_rope_dimension_count(model.head_size)
    writer.add_layer_norm_rms_eps(model.norm_eps)
    writer.add_vocab_size(model.vocab_size)
    if model.num_experts > 1:
        writer.add_expert_count(model.num_experts)
        writer.add_expert_used_count(model.num_active_experts)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if form == "f32" else f"MOSTLY_{form.upper()}"])
    if form == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, vocab_size: int) -> None:
    """The vocabulary, padded to the model's; both ends; the chat template without transformers' own marks."""
    from gguf import TokenType

    description = json.loads(tokenizer.to_json())
    names = {index: word for word, index in description["model"]["vocab"].items()}
    names |= {token["id"]: token["content"] for token in description["added_tokens"]}
    special = {token["id"] for token in description["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in description["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list([names.get(index, f"[unused {index}]") for index in range(vocab_size)])
    writer.add_token_types(
        [
            TokenType.CONTROL if index in special else TokenType.NORMAL if index in names else TokenType.UNUSED
            for index in range(vocab_size)
        ]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(MESSAGE_END)
    writer.add_eot_token_id(MESSAGE_END)
    writer.add_unk_token_id(END_OF_TEXT)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", ""))


def modelfile(file_name: str, max_seq_len: int) -> str:
    """Ollama's Modelfile: which file, the chat template, where a turn ends, the context."""
    return (
        f"# ollama create NAME -f Modelfile\nFROM ./{file_name}\n"
        'TEMPLATE """{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n'
        '{{ end }}<|im_start|>assistant\n"""\n'
        'PARAMETER stop "<|im_end|>"\nPARAMETER stop "<|endoftext|>"\n'
        f"PARAMETER num_ctx {max_seq_len}\nPARAMETER temperature 0.7\nPARAMETER top_k 40\nPARAMETER top_p 0.9\n"
        "PARAMETER repeat_penalty 1\n"
    )
