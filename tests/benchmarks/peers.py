"""One training step of ours and of each peer, on the same shape: what step.py times.

Every contender is AdamW (fused), gradients clipped at 1, the same tokens a step, and the shape below. GPT-2 has no
grouped queries and its own MLP; nanochat has no tied head. Weights are random; speed is all that is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

VARIANTS = ("eager-fp32", "eager-ac", "compile-ac")  # ac: bf16 autocast over fp32 weights


@dataclass(frozen=True)
class Shape:
    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    batch: int
    time: int

    @property
    def flops(self) -> float:
        """Useful floating-point operations of a step: 6 a weight and token, causal attention counted once."""
        head = self.hidden // self.heads
        block = 2 * self.hidden**2 + 2 * self.hidden * self.kv_heads * head + 3 * self.hidden * self.intermediate
        weights = self.layers * block + self.vocab * self.hidden
        return self.batch * self.time * (6 * weights + 6 * self.layers * self.hidden * self.time)


SHAPES = {
    "tiny": Shape(4096, 256, 6, 8, 2, 683, 16, 256),
    "v3": Shape(49_152, 512, 8, 8, 2, 1365, 2, 1024),
    "v3x8": Shape(49_152, 512, 8, 8, 2, 1365, 8, 1024),  # for memory
}
LEARNING_RATE = 3e-4
Step = Callable[[], None]


def ours(shape: Shape, precision: str = "bf16", compiled: bool = True) -> Step:
    """The project's own trainer, whole: feeding, clipping, metrics."""
    import numpy as np

    from hamner.config.schema import Compute, ModelConfig, Optimizer
    from hamner.data.mixer import Mixer, TextRows
    from hamner.model.transformer import build
    from hamner.training.trainer import Trainer

    model = ModelConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_layers=shape.layers,
        num_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
    )
    text = np.random.default_rng(0).integers(0, shape.vocab, 200 * shape.time, dtype=np.uint16)
    mixer = Mixer({"sft": TextRows(text, shape.time, "sft", 0)}, shape.batch)
    mixer.start_stage({"sft": 1.0})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(
        build(model, 0),
        mixer,
        Optimizer(),
        Compute(device=device, precision=precision),  # type: ignore[arg-type]
        compiled=compiled,
    )
    trainer.begin(LEARNING_RATE, 10)

    def step() -> None:
        trainer.step()

    return step


def _peer_step(
    model: torch.nn.Module, loss_of: Callable[[torch.Tensor], torch.Tensor], shape: Shape, variant: str
) -> Step:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    adam = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    batches = torch.randint(0, shape.vocab, (64, shape.batch, shape.time), generator=torch.Generator().manual_seed(0))
    taken = iter(range(10**9))

    def step() -> None:
        tokens = batches[next(taken) % len(batches)].to(device)
        cast = torch.autocast(device, torch.bfloat16) if variant.endswith("-ac") else contextlib.nullcontext()
        with cast:
            loss = loss_of(tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        loss.item()

    return step


def _llama(shape: Shape) -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )


def _gpt2(shape: Shape) -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.vocab,
            n_embd=shape.hidden,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_positions=2048,
            use_cache=False,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    )


def _nanochat(shape: Shape) -> torch.nn.Module:
    from transformers import NanoChatConfig, NanoChatForCausalLM

    return NanoChatForCausalLM(
        NanoChatConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=2048,
            use_cache=False,
        )
    )


def _litgpt(shape: Shape, variant: str) -> Step:
    import torch.nn.functional as F
    from litgpt.config import Config
    from litgpt.model import GPT

    model = GPT(
        Config(
            block_size=2048,
            vocab_size=shape.vocab,
            padded_vocab_size=shape.vocab,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_query_groups=shape.kv_heads,
            n_embd=shape.hidden,
            head_size=shape.hidden // shape.heads,
            intermediate_size=shape.intermediate,
            bias=False,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
            parallel_residual=False,
            rotary_percentage=1.0,
            lm_head_bias=False,
        )
    )
    model.lm_head.weight = model.transformer.wte.weight
    model.max_seq_length = shape.time
    forward = torch.compile(model) if variant.startswith("compile") else model

    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        logits = forward(tokens)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())

    return _peer_step(model, loss_of, shape, variant)


def _transformers(build: Callable[[Shape], torch.nn.Module]) -> Callable[[Shape, str], Step]:
    def make(shape: Shape, variant: str) -> Step:
        model = build(shape)
        forward = torch.compile(model) if variant.startswith("compile") else model
        return _peer_step(model, lambda tokens: forward(input_ids=tokens, labels=tokens).loss, shape, variant)

    return make


def _hugging_face_trainer(shape: Shape, variant: str) -> Step:
    """transformers.Trainer as its users run it; a step is the time between two of its callbacks."""
    import queue
    import tempfile
    import threading

    from transformers import Trainer, TrainerCallback, TrainingArguments

    go, done = queue.Queue(), queue.Queue()

    class Wait(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            go.get()

        def on_step_end(self, *_: object, **__: object) -> None:
            done.put(None)

    rows = torch.randint(0, shape.vocab, (64 * shape.batch, shape.time), generator=torch.Generator().manual_seed(0))
    data = [{"input_ids": row, "labels": row} for row in rows]
    trainer = Trainer(
        _llama(shape),
        TrainingArguments(
            tempfile.mkdtemp(),
            per_device_train_batch_size=shape.batch,
            max_steps=10**6,
            bf16=variant.endswith("-ac"),
            use_cpu=not torch.cuda.is_available(),
            optim="adamw_torch_fused",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            torch_compile=variant.startswith("compile"),
            max_grad_norm=1.0,
        ),
        train_dataset=data,
        callbacks=[Wait()],
    )
    threading.Thread(target=trainer.train, daemon=True).start()

    def step() -> None:
        go.put(None)
        done.get()

    return step


PEERS: dict[str, Callable[[Shape, str], Step]] = {
    "hf llama": _transformers(_llama),
    "hf trainer": _hugging_face_trainer,
    "litgpt": _litgpt,
    "hf gpt2": _transformers(_gpt2),
    "hf nanochat": _transformers(_nanochat),
}


def contender(name: str, shape: Shape) -> Step:
    """name: "ours", "ours-eager-bf16", or PEER:VARIANT."""
    if name.startswith("ours"):
        words = name.split("-")[1:]
        return ours(shape, next((w for w in words if w in ("bf16", "fp32", "fp16")), "bf16"), "eager" not in words)
    peer, variant = name.split(":")
    return PEERS[peer](shape, variant)
