"""Hugging Face (transformers) folder: export a model to one, and read it back bit for bit.

A dense model is a LlamaForCausalLM, a mixture of experts a MixtralForCausalLM; differential attention brings its
modelling file along. Llama and Mixtral know no norm of the embedding, which therefore becomes a normed input embedding
beside the output head: the head is untied, and the folder holds vocabulary × hidden parameters more.

C hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from hamner.config.attention_kinds import ATTENTION_KINDS
from hamner.config.cost import count_parameters
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import ModelConfig
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.data.tokenizer import CONFIG_FILE, Tokenizer, transformers_config
from hamner.model.layers import unit_scale
from hamner.model.transformer import Hamner
from hamner.runs.files import foreign_json, json_bytes, write_bytes, write_json, write_text

CONFIG, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"
OWN_CODE = Path(__file__).with_name("modeling_hamner.py")
ENDS = [MESSAGE_END, END_OF_TEXT]  # with either missing, other programs let the model ramble
HEAD, INPUT = "lm_head.weight", "model.embed_tokens.weight"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Sampling that suits so small a model. No repetition penalty: transformers' counts the prompt's tokens too
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_k": 40, "top_p": 0.9, "max_new_tokens": 256}


class Place(NamedTuple):
    """One tensor here and there."""

    ours: str
    theirs: str
    expert: int | None = None  # of a stack of ours, which is one tensor for each expert there


def is_own_kind(model: ModelConfig) -> bool:
    """Whether attention is of a kind that only the user's own code knows."""
    return model.attention not in ATTENTION_KINDS


def is_llama(model: ModelConfig) -> bool:
    """Whether Llama's or Mixtral's classes compute this model; else its modelling file comes along."""
    return model.attention == "grouped"


def check_exportable(model: ModelConfig) -> None:
    """Raise BadInput for attention of the user's own, which no other program has."""
    if is_own_kind(model):
        raise BadInput(
            f"attention '{model.attention}' is code of your own, which no other program has: export a model with "
            f"one of {', '.join(ATTENTION_KINDS)}, or share its checkpoint folder with your module"
        )


def exported_parameters(model: ModelConfig) -> int:
    """Parameters of the exported folder: an untied head counts apart from the embedding."""
    return count_parameters(model).total + (model.vocab_size * model.hidden_size if is_llama(model) else 0)


def architecture(model: ModelConfig) -> tuple[str, str]:
    """transformers' class and model type."""
    if not is_llama(model):
        return "HamnerForCausalLM", "hamner"
    return ("MixtralForCausalLM", "mixtral") if model.num_experts > 1 else ("LlamaForCausalLM", "llama")


def config(model: ModelConfig, dtype: str = "float32") -> dict[str, Any]:
    """config.json. `hamner` is the model's own config, which read_folder needs and transformers keeps."""
    kind, model_type = architecture(model)
    experts = {
        "num_local_experts": model.num_experts,
        "num_experts_per_tok": model.num_active_experts,
        "router_aux_loss_coef": model.balance_coefficient,
        "sliding_window": None,
    }
    classes = {"AutoConfig": "HamnerConfig", "AutoModelForCausalLM": kind}
    own_code = {"auto_map": {auto: f"{OWN_CODE.stem}.{name}" for auto, name in classes.items()}}
    return {
        "architectures": [kind],
        "model_type": model_type,
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_size,
        "hidden_act": "silu",
        "rms_norm_eps": model.norm_eps,
        "max_position_embeddings": model.max_seq_len,
        # version 4 reads the first and takes a default of its own where it is missing; version 5 reads the second
        "rope_theta": model.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": ENDS,
        "dtype": dtype,
        **(experts if model.num_experts > 1 else {}),
        **({} if is_llama(model) else own_code),
        "hamner": model.model_dump(),
    }


def generation_config() -> dict[str, Any]:
    """generation_config.json: both ends, and sampling."""
    return {"bos_token_id": END_OF_TEXT, "eos_token_id": ENDS, "pad_token_id": END_OF_TEXT, **SAMPLING}


def places(model: ModelConfig) -> Iterator[Place]:
    """Every tensor of the exported folder but the normed input embedding."""
    prefix = "model." if is_llama(model) else ""
    yield Place("embedding.weight", HEAD if is_llama(model) else "embed_tokens.weight")
    yield Place("final_norm.weight", f"{prefix}norm.weight")
    for layer in range(model.num_layers):
        for ours, theirs, expert in _layer_places(model):
            yield Place(f"blocks.{layer}.{ours}", f"{prefix}layers.{layer}.{theirs}", expert)


def _layer_places(model: ModelConfig) -> Iterator[Place]:
    """Tensors of one layer."""
    yield Place("attention_norm.weight", "input_layernorm.weight")
    yield Place("mlp_norm.weight", "post_attention_layernorm.weight")
    for name in "qkvo":
        yield Place(f"attention.{name}.weight", f"self_attn.{name}_proj.weight")
    if model.attention == "differential":
        for name in ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2", "head_norm.weight"):
            yield Place(f"attention.{name}", f"self_attn.{name}")
    if model.num_experts == 1:
        for name in ("gate", "up", "down"):
            yield Place(f"mlp.{name}.weight", f"mlp.{name}_proj.weight")
    elif not is_llama(model):
        for name in ("router.weight", "gate", "up", "down"):
            yield Place(f"mlp.{name}", f"mlp.{name}")
    else:
        yield Place("mlp.router.weight", "block_sparse_moe.gate.weight")
        for expert in range(model.num_experts):
            for name, theirs in (("gate", "w1"), ("up", "w3"), ("down", "w2")):
                yield Place(f"mlp.{name}", f"block_sparse_moe.experts.{expert}.{theirs}.weight", expert)


@torch.no_grad()
def tensors(hamner: Hamner, dtype: str = "float32") -> dict[str, Tensor]:
    """All tensors by their names in transformers. The input embedding is the norm of the head as it is written."""
    state = hamner.state_dict()
    weights = {}
    for ours, theirs, expert in places(hamner.config):
        tensor = state[ours] if expert is None else state[ours][expert]
        weights[theirs] = tensor.to(DTYPES[dtype]).contiguous()
    if is_llama(hamner.config):
        weights[INPUT] = unit_scale(weights[HEAD].float()).to(DTYPES[dtype])
    return weights


def write_folder(folder: Path, hamner: Hamner, tokenizer: Tokenizer, dtype: str = "float32") -> None:
    """Write weights, configs, tokenizer and, for differential attention, the modelling file into an empty folder."""
    write_bytes(folder / CONFIG, json_bytes(config(hamner.config, dtype)))  # theirs, not a run's: without our format
    write_json(folder / GENERATION, generation_config())
    tokenizer.save(folder)
    write_json(folder / CONFIG_FILE, transformers_config() | {"model_max_length": hamner.config.max_seq_len})
    if not is_llama(hamner.config):
        write_text(folder / OWN_CODE.name, OWN_CODE.read_text(encoding="utf-8"))
    safetensors.torch.save_file(tensors(hamner, dtype), folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)  # safetensors' own are 0600


def is_folder(folder: Path) -> bool:
    """Whether a folder is one of transformers, and not a run or a checkpoint."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def read_folder(folder: Path) -> tuple[Hamner, Tokenizer]:
    """The model and tokenizer of an exported folder, bit for bit. Raises BadInput for one that is not such."""
    document = foreign_json(folder / CONFIG)
    sizes = document.get("hamner") if isinstance(document, dict) else None
    if sizes is None:
        raise BadInput(
            f"{folder} was not exported by hamner: its {CONFIG} has no part `hamner`; other models cannot be read"
        )
    model = parse(ModelConfig, sizes, str(folder / CONFIG))
    check_exportable(model)
    try:
        weights = safetensors.torch.load_file(folder / WEIGHTS)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{folder / WEIGHTS} is broken or missing: {error}; export the run again") from None
    hamner = Hamner(model)
    hamner.load_state_dict(_state(folder, model, hamner.state_dict(), weights))
    return hamner, Tokenizer.load(folder)


def _state(
    folder: Path, model: ModelConfig, shapes: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Our state dict of their tensors. Raises BadInput where one is missing, or was trained apart from ours."""
    expected = {place.theirs for place in places(model)} | ({INPUT} if is_llama(model) else set())
    if expected != set(weights):
        odd = sorted(expected ^ set(weights))
        raise BadInput(f"{folder / WEIGHTS} has other tensors than its config says, such as {odd[0]}: export it again")
    state = {name: torch.empty_like(tensor) for name, tensor in shapes.items()}
    for ours, theirs, expert in places(model):
        target = state[ours] if expert is None else state[ours][expert]
        if target.shape != weights[theirs].shape:
            sizes = f"{tuple(weights[theirs].shape)}, not {tuple(target.shape)}"
            raise BadInput(f"{folder / WEIGHTS}: {theirs} is {sizes}, as its config says: export it again")
        target.copy_(weights[theirs])
    if is_llama(model):
        normed = unit_scale(weights[HEAD].float())
        step = max(1e-5, 2 * torch.finfo(weights[HEAD].dtype).eps)  # another machine may round the norm otherwise
        if not torch.allclose(weights[INPUT].float(), normed, rtol=step, atol=1e-6):
            raise BadInput(
                f"{folder} was trained on elsewhere: its input embedding is no longer the norm of its head, which "
                "Hamner cannot hold; use transformers to run it"
            )
    return state
