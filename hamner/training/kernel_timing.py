"""Kernel timing: what `calibration` compares, on one block and one output head of the models of a run.

Data in: a Workload. Data out: comparisons, each ready to run; the speed of each part with what was chosen.
B batch, T time, C hidden, V vocabulary, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hamner.config.cost import LOGITS_AT_A_TIME, LOGITS_OF_A_CPU, count_parameters
from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.model.kernels import dispatch
from hamner.model.loss import head_loss
from hamner.model.transformer import Block, build
from hamner.training.calibration import Alternative, Comparison
from hamner.training.optimizer import adamw
from hamner.training.roofline import UPDATE_BYTES, attention_flops, kind_of, product_flops
from hamner.training.throughput import matrix_peak

RUN_SECONDS = 0.12  # about what one run of a comparison takes: far above the clock, many rounds within seconds
REACHED = 0.3  # share of the peak that a block reaches; to size the runs alone
PARTS = {"block_attention": "attention", "differential_blocks": "attention"}  # of a block; other choices: its MLP
HEAD_LOGITS = (LOGITS_AT_A_TIME, 2**26, LOGITS_OF_A_CPU)


@dataclass(frozen=True)
class Workload:
    """What a run trains, as far as its speed depends on it."""

    models: Mapping[str, ModelConfig]  # kind (roofline.kind_of) -> one of that kind
    compute: Compute
    threads: int  # of one process
    seq_len: int
    rows: int  # of one part of a batch
    optimizer: Optimizer

    def tokens(self, flops_per_token: float) -> int:
        """Tokens of a run of about RUN_SECONDS, in whole rows and at most a part of a batch."""
        peak = matrix_peak(self.compute.device, self.compute.precision)
        rows = RUN_SECONDS * REACHED * peak / (flops_per_token * self.seq_len)
        return self.seq_len * max(1, min(self.rows, round(rows)))


class Bench:
    """One block of a model, its head, and a batch for them."""

    def __init__(self, model: ModelConfig, work: Workload) -> None:
        self.device, self.compiles = work.compute.device, False
        one = model.model_copy(update={"num_layers": 1, "document_mask": False})
        self.hamner = build(one, 0).to(self.device).train()
        self.hamner.dtype = dispatch.DTYPES[work.compute.precision]
        self.block = cast(Block, self.hamner.blocks[0])
        layers = sum((product_flops(one, 1)[0], attention_flops(one, work.seq_len, 1)))
        self.tokens = work.tokens(layers)
        shape = (self.tokens // work.seq_len, work.seq_len, one.hidden_size)
        self.x = self._leaf(shape, self.hamner.dtype)
        self.cos, self.sin = self.hamner.cos[: work.seq_len], self.hamner.sin[: work.seq_len]
        self.flops = layers * self.tokens

    def _leaf(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
        return values.to(self.device, dtype).requires_grad_()

    def of_block(self, x: Tensor | None = None, *, again: bool = False) -> Callable[[], None]:
        """Forward and backward of the block; again: its activations computed twice (checkpointing)."""
        inputs = self.x if x is None else x

        def forward() -> Tensor:
            call: Any = checkpoint if again else lambda block, *args, use_reentrant: block(*args)
            out: Tensor = call(self.block, inputs, self.cos, self.sin, use_reentrant=False)[0]
            return out

        return self._trained(forward, self.block, inputs)

    def of_part(self, name: str) -> Callable[[], None]:
        """Forward and backward of the block's attention or of its MLP."""
        if name == "attention":
            return self._trained(lambda: self.block.attention(self.x, self.cos, self.sin), self.block.attention, self.x)
        return self._trained(lambda: self.block.mlp(self.x)[0], self.block.mlp, self.x)

    def of_head(self, tokens: int) -> Callable[[], None]:
        """Loss and gradients of `tokens` hidden states."""
        model, head = self.hamner.config, self.hamner.embedding.weight
        hidden = self._leaf((1, tokens, model.hidden_size), self.hamner.dtype)
        targets = torch.randint(model.vocab_size, (1, tokens), generator=torch.Generator().manual_seed(0))
        targets = targets.to(self.device)
        return self._trained(lambda: head_loss(hidden, head, targets), self.hamner.embedding, hidden)

    def of_update(self, optimizer: Optimizer) -> Callable[[], None]:
        """Clip and update all parameters of the model of one block."""
        weights = list(self.hamner.parameters())
        steps = adamw(self.hamner, optimizer)
        for group in steps.param_groups:
            group["lr"] = 0.0
        for weight in weights:
            weight.grad = torch.ones_like(weight)

        def run() -> None:
            nn.utils.clip_grad_norm_(weights, optimizer.clip, foreach=True)
            steps.step()
            self._finish()

        return run

    def in_precision(self, precision: str) -> Callable[[], None]:
        """Forward and backward of the block in another precision."""
        return self.of_block(self.x.detach().to(dispatch.DTYPES[precision]).requires_grad_())

    def _trained(self, forward: Callable[[], Tensor], module: nn.Module, leaf: Tensor) -> Callable[[], None]:
        leaves = [leaf, *module.parameters()]

        def run() -> None:
            out = forward()
            torch.autograd.grad(out, leaves, torch.ones_like(out), allow_unused=True)
            self._finish()

        return run

    def _finish(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def kernel_comparisons(work: Workload, keys: Sequence[str]) -> Iterator[Comparison]:
    """One comparison for each of `keys` (`kernels.NAME`) that a step of these models asks for."""
    seen: set[str] = set()
    for kind, model in work.models.items():
        bench = Bench(model, work)
        with dispatch.answers() as answers:
            bench.of_block()()
        for name, answer in answers.items():
            if f"kernels.{name}" in keys and name not in seen and isinstance(answer, bool):
                seen.add(name)
                yield _of_choice(bench, kind, name, answer)
    yield from _of_head(next(iter(work.models.values())), work, keys)


def _of_choice(bench: Bench, kind: str, name: str, answer: bool) -> Comparison:
    """The two answers to one question. answer: the rule's."""
    run = bench.of_part(PARTS.get(name, "mlp"))
    words = {True: "always", False: "never"}
    return Comparison(
        f"{name}, {kind}",
        [
            Alternative(f"{words[answer]} (the rule)", _forced(run, {name: answer})),
            Alternative(words[not answer], _forced(run, {name: not answer}), {f"kernels.{name}": words[not answer]}),
        ],
    )


def _forced(run: Callable[[], None], choices: Mapping[str, Any]) -> Callable[[], None]:
    def forced() -> None:
        with dispatch.force(**choices):
            run()

    return forced


def _of_head(model: ModelConfig, work: Workload, keys: Sequence[str]) -> Iterator[Comparison]:
    """The output head: transposed or not, and how many logits at a time, as far as this many tokens fill them."""
    vocab, bench = model.vocab_size, Bench(model, work)
    tokens = work.tokens(6 * vocab * model.hidden_size)
    run = bench.of_head(tokens)
    with dispatch.answers() as answers:
        run()
    turned = bool(answers.get("transposed_head"))
    rule = (turned, min(int(answers["rows_of_logits"]), tokens))
    ways = {rule: Alternative(_head_words(*rule) + " (the rule)", run)}
    may_turn = work.compute.device == "cpu" and "kernels.transposed_head" in keys
    most = HEAD_LOGITS if "kernels.logits_at_a_time" in keys else ()
    for is_turned in (turned, not turned) if may_turn else (turned,):
        for logits in most or (int(answers["logits_at_a_time"]),):
            rows = dispatch.rows_of_logits(vocab, logits)
            if rows > tokens and tokens < work.rows * work.seq_len:
                continue  # a part that is not filled shows nothing
            values: dict[str, Any] = {"kernels.logits_at_a_time": logits} if most else {}
            if is_turned != turned:
                values["kernels.transposed_head"] = "always" if is_turned else "never"
            choices = {"transposed_head": is_turned, "logits_at_a_time": logits}
            way = (is_turned, min(rows, tokens))
            ways.setdefault(way, Alternative(_head_words(*way), _forced(run, choices), values))
    if len(ways) > 1:
        yield Comparison(f"output head, {tokens:,} tokens", list(ways.values()))


def _head_words(is_turned: bool, rows: int) -> str:
    return f"{'transposed, ' if is_turned else ''}{rows:,} tokens at a time"


def compile_comparison(work: Workload) -> Comparison:
    """A block compiled and as it is, of the first kind of model. Raises what compiling raises."""
    kind, model = next(iter(work.models.items()))
    plain, compiled = Bench(model, work), Bench(model, work)
    compiled.hamner.compile_regions()
    run = compiled.of_block()
    run()
    ways = [
        Alternative("compiled, as long runs are", run),
        Alternative("as it is", plain.of_block(), {"compile": "never"}),
    ]
    return Comparison(f"a block, {kind}", ways)


def advice_comparisons(work: Workload) -> Iterator[Comparison]:
    """What is no choice of kernels: precision, and computing activations twice to save memory."""
    kind, model = next(iter(work.models.items()))
    bench, own = Bench(model, work), work.compute.precision
    others = [name for name in ("fp32", "bf16", "fp16") if name != own and (name != "fp16" or bench.device == "cuda")]
    ways = [Alternative(f"{own} (the config's)", bench.of_block())]
    ways += [Alternative(name, bench.in_precision(name), {"precision": name}) for name in others]
    yield Comparison(f"precision of a block, {kind}", ways, is_advice=True)
    if work.compute.activation_checkpointing is True:
        twice = Alternative("computed twice (the config's)", bench.of_block(again=True))
        once = Alternative("kept", bench.of_block(), {"activation_checkpointing": "false"})
        yield Comparison(f"activations of a block, {kind}", [twice, once], is_advice=True)


def part_runs(work: Workload) -> dict[str, tuple[float, Callable[[], None]]]:
    """What a step consists of: part -> its FLOPs (of the update: bytes) and a run of it."""
    runs: dict[str, tuple[float, Callable[[], None]]] = {}
    for kind, model in work.models.items():
        bench = Bench(model, work)
        runs[kind] = bench.flops, bench.of_block(again=work.compute.activation_checkpointing is True)
    flops = 6 * model.vocab_size * model.hidden_size
    tokens = work.tokens(flops)
    runs["head"] = flops * tokens, bench.of_head(tokens)
    runs["update"] = UPDATE_BYTES * count_parameters(bench.hamner.config).total, bench.of_update(work.optimizer)
    return runs


def models_of_each_kind(models: Sequence[ModelConfig]) -> dict[str, ModelConfig]:
    """Of each kind of model the middle one by active parameters, the kind with most models first."""
    kinds: dict[str, list[ModelConfig]] = {}
    for model in models:
        kinds.setdefault(kind_of(model), []).append(model)
    ranked = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return {
        kind: sorted(of_kind, key=lambda m: count_parameters(m).active)[(len(of_kind) - 1) // 2]
        for kind, of_kind in ranked
    }
