"""Configuration schema: every key of a config with its type, range, default, unit and meaning. Strict and read-only.

Data in: what load.py read. Data out: one frozen `Config`. The defaults are the full-size numbers; the miniatures
override them. The comment of a key, at its line's end or on the line above, is its entry in docs/configuration.md:
a unit in brackets for numbers, then the meaning. documentation.py reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from hamner.config.attention_kinds import attention_kind
from hamner.config.errors import BadInput

HUB_DEADLINE = 20.0  # seconds without a row
SMALLEST, LARGEST = 1e-30, 2**63  # of a number but 0: beyond them PyTorch, and what is computed of several, give up
# What no name, path or word of a config holds: signs that steer a terminal or end a text, halves of surrogate pairs
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
SOURCE_NAMES = ("tinystories", "fineweb_edu", "synthetic", "sft", "personal")  # known; a folder can hold any other


class Strict(BaseModel):
    """Base of everything read from outside: frozen, without unknown keys, without silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_bounds(cls, value: Any) -> Any:
        """Refuse what no key can hold, whatever its own limits are."""
        parts = value if isinstance(value, tuple) else (value,)
        if isinstance(value, dict):
            parts = (*value, *value.values())
        sizes = (abs(part) for part in parts if isinstance(part, int | float) and part)
        if any(not SMALLEST < size < LARGEST for size in sizes):
            raise PydanticCustomError("own_words", "it must be 0, or between 1e-30 and 2^63")
        if any(isinstance(part, str) and CONTROL.search(part) for part in parts):
            raise PydanticCustomError("own_words", "it has a control character: leave that out")
        return value


class ModelConfig(Strict):
    """One architecture: what a contestant, a preset or a model file of your own consists of."""

    vocab_size: int = Field(49_152, gt=0, le=10_000_000)  # [tokens] size of the tokenizer's vocabulary
    hidden_size: int = Field(gt=0, le=1_000_000)  # [channels] width of the residual stream
    num_layers: int = Field(gt=0, le=10_000)  # [blocks] depth
    num_heads: int = Field(gt=0, le=10_000)  # [heads] query heads
    num_kv_heads: int = Field(gt=0, le=10_000)  # [heads] key and value heads (grouped-query attention)
    intermediate_size: int = Field(gt=0, le=1_000_000)  # [channels] width of the MLP, or of each expert
    num_experts: int = Field(1, gt=0, le=10_000)  # [experts] experts of each MLP; 1: a dense model
    num_active_experts: int = Field(1, gt=0, le=10_000)  # [experts] experts that read each token (top-k)
    attention: str = "grouped"  # kind of attention: a row of attention_kinds.py, or one of your own
    rope_theta: float = Field(10_000.0, gt=0)  # [number] base of the rotary positions (RoPE)
    norm_eps: float = Field(1e-5, gt=0)  # [number] added to the mean square in RMSNorm
    max_seq_len: int = Field(2048, gt=1, le=10_000_000)  # [tokens] length of the RoPE table
    balance_coefficient: float = Field(0.01, ge=0)  # [number] weight of the experts' load-balance loss
    document_mask: bool = False  # a token attends to its own document only; docs/data.md

    @field_validator("attention")
    @classmethod
    def _check_attention(cls, name: str) -> str:
        try:
            attention_kind(name)
        except BadInput as error:
            raise PydanticCustomError("own_words", "{problem}", {"problem": str(error)}) from None
        return name

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.hidden_size // self.num_heads

    def problems(self, seq_len: int = 0) -> Iterator[str]:
        """Relations between the fields that cannot hold, for sequences of `seq_len` tokens."""
        if seq_len > self.max_seq_len:
            yield f"sequences of {seq_len} tokens exceed the model's max_seq_len {self.max_seq_len}"
        if self.hidden_size % self.num_heads:
            yield f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
        elif self.head_size % 2:
            yield f"head size {self.head_size} is odd; rotary positions need pairs: change num_heads"
        if self.num_heads % self.num_kv_heads:
            yield f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
        if self.num_active_experts > self.num_experts:
            yield f"num_active_experts {self.num_active_experts} exceeds num_experts {self.num_experts}"


class Size(Strict):
    """How contestants and presets are shrunk; the defaults are full size."""

    divide: int = Field(1, gt=0)  # [number] divisor of hidden size, layers and MLP width
    min_head_size: int = Field(16, gt=1, le=10_000)  # [channels] heads are merged rather than made smaller
    vocab_size: int = Field(49_152, gt=300, le=10_000_000)  # [tokens] vocabulary; 256 bytes and 17 reserved ids fit
    document_mask: bool = False  # a token attends to its own document only; docs/data.md


class Data(Strict):
    """Where text comes from, what is held out, which tokenizer reads it."""

    path: str = "hub"  # hub, builtin, or a folder of DIR/SOURCE/ files
    local_path: str = "data"  # with hub: the folder that holds sft/ and personal/
    text_field: str = Field("text", min_length=1)  # key or column of a folder's files that holds the text
    tokenizer: str = "HuggingFaceTB/cosmo2-tokenizer"  # a hub id, a folder, or train: a BPE of the run's own
    heldout_fraction: float = Field(0.05, gt=0, le=0.2)  # [share] held out of each source's documents
    heldout_sequences: int = Field(64, gt=0)  # [rows] at least; a small source holds out more for them
    builtin_characters: int = Field(40_000_000, gt=0)  # [characters] size of each builtin source
    bpe_characters: int = Field(1_000_000, gt=0)  # [characters] read from each source to train a BPE
    hub_tokens: int = Field(400_000_000, gt=0)  # [tokens] streamed from each hub source for a curriculum
    hub_deadline: float = Field(HUB_DEADLINE, gt=0)  # [seconds] without a row until the hub is given up
    duplicates: Literal["drop", "keep"] = "drop"  # near-duplicates; builtin text keeps its own


class Optimizer(Strict):
    """AdamW, the same for all contestants."""

    beta1: float = Field(0.9, ge=0, lt=1)  # [share] of the first moment that a step keeps
    beta2: float = Field(0.95, ge=0, lt=1)  # [share] of the second moment that a step keeps
    weight_decay: float = Field(0.1, ge=0)  # [number] decoupled; not on norms, embeddings, λ
    clip: float = Field(1.0, gt=0)  # [number] largest norm of the gradient


Choice = Literal["auto", "always", "never"]


class Kernels(Strict):
    """Which way a step is computed where there are several: the same sums, rounded in another order.

    auto, and 0: the rule of hamner/model/kernels/dispatch.py, or what was measured on the machine; docs/calibration.md.
    """

    block_attention: Choice = "auto"  # attention by blocks of queries instead of PyTorch's kernel
    differential_blocks: Choice = "auto"  # the same for differential attention
    grouped_experts: Choice = "auto"  # all experts in one grouped product instead of one after the other
    transposed_head: Choice = "auto"  # the output head's products take it transposed
    logits_at_a_time: int = Field(0, ge=0)  # [logits] that exist at a time, of the loss; 0: auto
    padded_products: Choice = "auto"  # widths padded inside a product to what the machine multiplies fastest
    fp16_accumulation: Choice = "auto"  # products of fp16 summed in fp16: faster on a GeForce card, less exact


class Compute(Strict):
    """The machine: the section to change on another one."""

    device: Literal["cpu", "cuda"] = "cuda"  # where training runs
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"  # precision of the step; weights and moments are fp32
    threads: int = Field(8, gt=0)  # [cores] threads of each trial of a league
    workers: int = Field(1, gt=0, le=10_000)  # [processes] data-parallel workers of a curriculum
    # [processes] fewest that a curriculum goes on with while nodes are lost; 0: it waits for all
    min_workers: int = Field(0, ge=0, le=10_000)
    worker_threads: int = Field(8, gt=0)  # [cores] threads of each worker
    compile: Choice = "auto"  # torch.compile; auto: where it saves time
    # recompute activations: less memory, more time; auto: where a step would not fit a card
    activation_checkpointing: bool | Literal["auto"] = "auto"
    deterministic: bool = True  # on a card: sums in one order, so that a resume is bit for bit; docs/card.md
    gpu_memory_gib: float = Field(24.0, gt=0)  # [GiB] memory of one card; trials get shares of it
    runs_per_card: int = Field(0, ge=0)  # [runs] of a league on one card at most; 0: two, with NVIDIA's MPS four
    max_failures: int = Field(2, ge=0)  # [restarts] of a crashed trial or worker, at most
    # [minutes] without a step: a trial or worker is hung and is started again; 0: never
    hang_minutes: float = Field(60.0, ge=0, le=1_000_000)
    # start with the kernels that `doctor --calibrate` chose here, where a key is auto
    use_calibration: bool = True
    kernels: Kernels = Kernels()


class ParameterGroup(Strict):
    """Parameters of one row of a league that learn at their own share of the rate: of layers, or of a glob."""

    learning_rate_scale: float = Field(ge=0)  # [share] of the learning rate, at every step
    middle_layers: int = Field(0, ge=0)  # [blocks] consecutive ones around the middle
    parameters: str = ""  # or: the parameters whose names match this glob


class Entrant(Strict):
    """One row of a league file ([[contestant]]): its name, and how it differs from its base."""

    name: str  # the contestant's name, and its folder's
    base: str  # the contestant or preset it starts from
    overrides: dict[str, bool | int | float | str] = {}  # keys of the model at full size; shrunk with the rest
    learning_rate: float | None = Field(None, gt=0)  # [rate] its own, at full size; a probe starts there
    seeds: tuple[int, ...] = ()  # [seed index] its own, in every round; empty: as many as tournament.seeds
    parameter_groups: tuple[ParameterGroup, ...] = ()  # slower layers; next section
    # [share] what it trains on, instead of tournament.mix, which all are ranked on; sums to 1
    mix: dict[str, float] = {}


class Tournament(Strict):
    """The league. Steps are counted from each round's start; all contestants read the same batches."""

    contestants: tuple[str, ...] = ()  # who enters; empty: all ten
    league: tuple[Entrant, ...] = ()  # rows of --league or --sweep, instead of contestants
    steps: tuple[int, ...] = (500, 1000, 2000)  # [steps] length of each round
    keep: tuple[int, ...] = (5, 3, 1)  # [contestants] survivors of each round
    # what is equal between contestants; flops: those that `steps` cost the median contestant
    budget: Literal["tokens", "flops", "seconds"] = "tokens"
    seconds: tuple[float, ...] = ()  # [seconds] training time of each round, with budget = seconds
    mode: Literal["sync", "async"] = "sync"  # async: promote at once, as asynchronous ASHA
    # runs of each contestant; a list: one number a round, more for those that stay in
    seeds: int | tuple[int, ...] = (2, 3, 4)
    contested: Literal["cut", "keep"] = "cut"  # keep: a cut that could be chance is not made, but in the last round
    more_rows: int = Field(4, gt=0, le=1000)  # [times] eval_sequences at most, where other text could change a cut
    lr: Literal["probe", "shared"] = "probe"  # a learning rate for each contestant, or one for all
    lr_probe_steps: int = Field(0, ge=0)  # [steps] of each rate that is tried; 0: as many as round 1
    # what ranks and cuts: the loss at the round's end, or the one forecast at the horizon
    judge: Literal["heldout_loss", "forecast"] = "heldout_loss"
    # how far the winner will be trained, '28M tokens' or '48h'; empty: the league's own end
    horizon: str = ""
    shadow: int = Field(0, ge=0)  # [contestants] best of each cut that train on, ranked apart, to see whether it erred
    reference: str = ""  # contestant that compute multipliers compare with; empty: v02_dense_medium, or the first
    cooldown: float = Field(0.0, ge=0, lt=0.5)  # [share] of a round over which a copy is annealed and ranked
    batch_size: int = Field(16, gt=0)  # [rows] read by one optimizer step
    gradient_accumulation_steps: int = Field(1, gt=0)  # [parts] that one batch is computed in
    seq_len: int = Field(512, gt=1)  # [tokens] length of a row
    learning_rate: float = Field(3e-4, gt=0)  # [rate] the shared one, or where the probe starts
    warmup_steps: int = Field(100, ge=0)  # [steps] linear warmup at the start of training
    mix: dict[str, float] = {"fineweb_edu": 1.0}  # [share] of the rows that each source gives; sums to 1
    eval_sequences: int = Field(64, gt=0)  # [rows] held-out rows that the ranking is made on
    evaluations_per_round: int = Field(8, gt=0)  # [evaluations] in each round, on an eighth of the held-out rows
    report: tuple[str, ...] = ("synthetic",)  # further sources to evaluate; never ranked
    log_every: int = Field(50, gt=0)  # [steps] between two rows of metrics.csv
    checkpoint_every: int = Field(250, gt=0)  # [steps] between two checkpoints: what a kill can cost
    keep_checkpoints: int = Field(2, gt=0)  # [checkpoints] kept of a running contestant; then one
    keep_eliminated: Literal["weights", "nothing"] = "weights"  # what is kept of an eliminated contestant

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        counts = (seeds,) if isinstance(seeds, int) else seeds
        if not counts or min(counts) < 1 or max(counts) > 1000:
            needed = (
                "it must be a whole number (integer) greater than 0 and at most 1000, or a list of them, one a round. "
                "Use seeds=2"
            )
            raise PydanticCustomError("own_words", "{problem}", {"problem": needed})
        return seeds

    def seeds_in_round(self, index: int) -> int:
        """Runs of each contestant in a round, counted from 0."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds[index]


class Plateau(Strict):
    """When a stage is over; curriculum/plateau.py and docs/curriculum.md explain each number."""

    rule: Literal["confirmed", "recorded"] = "confirmed"  # recorded: that of the recorded runs
    window_steps: int = Field(1000, gt=1, le=10**9)  # [steps] length of a window; a look comes after each
    windows: int = Field(3, gt=1)  # [windows] that a look fits its line through
    done_gain: float = Field(0.001, gt=0)  # [share] relative fall of the loss a window: a plateau
    go_on_gain: float = Field(0.005, gt=0)  # [share] relative fall of the loss a window: progress
    error: float = Field(0.05, gt=0, lt=0.5)  # [probability] that one look calls progress a plateau
    strikes: int = Field(3, gt=0)  # [looks] clear ones that must agree; noisy ones count for less
    min_steps: int = Field(5000, ge=0)  # [steps] of a stage at least
    evaluate_every: int = Field(0, ge=0)  # [steps] between two evaluations; 0: window / 20
    average_steps: float = Field(0.0, ge=0)  # [steps] time constant of the averaged weights; 0: window / 8

    @property
    def evaluation_steps(self) -> int:
        """Steps between two evaluations: the largest divisor of the window that is not above a twentieth of it."""
        window, root = self.window_steps, math.isqrt(self.window_steps)
        if self.evaluate_every:
            return self.evaluate_every
        evaluations = next((n for n in range(20, root + 1) if window % n == 0), 0)  # the fewest, 20 or more
        if evaluations:
            return window // evaluations
        return next((n for n in range(min(root, window // 20), 1, -1) if window % n == 0), 1)

    @property
    def averaging_steps(self) -> float:
        """Time constant of the running average of the weights, steps."""
        return self.average_steps or self.window_steps / 8


class Curriculum(Strict):
    """The stages' common numbers; the stages themselves are curriculum/stages.py."""

    batch_size: int = Field(24, gt=0)  # [rows] read by one optimizer step, all workers together
    gradient_accumulation_steps: int = Field(1, gt=0)  # [parts] that one worker's batch is computed in
    seq_len: int = Field(1024, gt=1)  # [tokens] length of a row
    warmup_steps: int = Field(300, ge=0)  # [steps] linear warmup, at the start of each stage that resets AdamW
    max_steps: int = Field(200_000, gt=0)  # [steps] of each stage at most
    max_epochs: float = Field(4.0, gt=0)  # [epochs] a source read so often leaves the mix
    plateau: Plateau = Plateau()
    # what the next stage starts from: the stage's best weights, its last, or no next stage
    after_rising_loss: Literal["best", "last", "stop"] = "best"
    # AdamW's moments: reset, with a warmup each stage, or kept; none: as the curriculum has it
    optimizer_at_stage_start: Literal["reset", "keep"] | None = None
    decay: Literal["none", "stage", "run"] = "none"  # the rate falls to 0 at the end of each stage, or of all
    decay_steps: int = Field(2000, gt=0)  # [steps] length of the decay
    max_skipped: int = Field(20, ge=0)  # [steps] not finite in a row that are let pass; fp16: 50
    eval_sequences: int = Field(128, gt=0)  # [rows] held-out rows that the plateau is judged on
    skill_items: int = Field(200, ge=0)  # [items] held-out items of each synthetic task and level
    log_every: int = Field(50, gt=0)  # [steps] between two rows of metrics.csv
    sample_every: int = Field(500, gt=0)  # [steps] between two sets of sample texts
    sample_tokens: int = Field(60, gt=0)  # [tokens] length of a sample text
    checkpoint_every: int = Field(2000, gt=0)  # [steps] between two checkpoints: what a kill can cost
    keep_checkpoints: int = Field(2, gt=1)  # [checkpoints] kept, the newest; one of them may be torn
    keep_every: int = Field(0, ge=0)  # [steps] between checkpoints kept for good; 0: none
    keep_stages: Literal["weights", "full"] = "weights"  # what is kept of a finished stage's end and best


class Finetuning(Strict):
    """Supervised fine-tuning on conversations; docs/finetuning.md explains each number."""

    # shares of the conversations' rows; empty: builtin's or the hub's own, of files by length
    sources: dict[str, float] = {}
    identity: float = Field(0.02, ge=0, lt=1)  # [share] of the conversations' rows that say who the friend is
    identity_file: str = ""  # TOML file that says it; empty: the project's own
    replay: float = Field(0.3, ge=0, lt=1)  # [share] of the tokens trained on that are the base's own text
    max_reply_tokens: int = Field(120, gt=0)  # [tokens] a conversation ends before a longer reply
    epochs: float = Field(2.0, gt=0)  # [epochs] each source of conversations is read so often at most
    max_steps: int = Field(8000, gt=0)  # [steps] at most
    learning_rate_factor: float = Field(0.4, gt=0)  # [share] of the base's last learning rate
    warmup: float = Field(0.1, ge=0, lt=1)  # [share] of the steps: linear warmup; then a cosine to 0
    batch_size: int = Field(0, ge=0)  # [rows] read by one optimizer step; 0: curriculum.batch_size
    # [parts] that one batch is computed in; 0: the curriculum's, for each of its workers
    gradient_accumulation_steps: int = Field(0, ge=0)
    seq_len: int = Field(0, ge=0)  # [tokens] length of a row, and of the longest conversation; 0: curriculum.seq_len
    evaluations: int = Field(20, gt=0)  # [evaluations] of the held-out replies, evenly over the run
    patience: int = Field(3, gt=0)  # [evaluations] in a row without a better loss that end the run
    eval_sequences: int = Field(128, gt=0)  # [rows] held-out rows of each source at most
    # [share] of the conversations' rows that are corrections, with `hamner sft --feedback`
    feedback_share: float = Field(0.5, gt=0, le=1)
    feedback_steps: int = Field(100, gt=0)  # [steps] at most, with `hamner sft --feedback`
    log_every: int = Field(10, gt=0)  # [steps] between two rows of metrics.csv
    checkpoint_every: int = Field(500, gt=0)  # [steps] between two checkpoints: what a kill can cost


class Concepts(Strict):
    """Concept experiments, `tournament concepts`; docs/concepts.md explains each number."""

    divide_steps: int = Field(1, gt=0)  # [number] divisor of every arm's steps
    batch_size: int = Field(32, gt=0)  # [rows] read by one optimizer step
    seq_len: int = Field(64, gt=31)  # [tokens] length of a row, into which whole items are packed
    rate: float = Field(5e-5, gt=0)  # [rate] learning rate of all arms but those of the sweep
    warmup_steps: int = Field(100, ge=0)  # [steps] linear warmup at the start of each stage of an arm
    checkpoint_every: int = Field(500, gt=0)  # [steps] between two checkpoints: what a kill can cost


class Config(Strict):
    """The settings of one run, stored as `config.json` in its folder."""

    seed: int = Field(0, ge=0, lt=2**63)  # [number] seed of weights, batches and samples
    lr_scale: float = Field(1.0, gt=0)  # [number] multiplies every learning rate; miniatures: 10
    size: Size = Size()
    data: Data = Data()
    optimizer: Optimizer = Optimizer()
    compute: Compute = Compute()
    tournament: Tournament = Tournament()
    curriculum: Curriculum = Curriculum()
    finetuning: Finetuning = Finetuning()
    concepts: Concepts = Concepts()

    @property
    def finetuning_batch(self) -> tuple[int, int, int]:
        """Rows of a fine-tuning's batch, parts it is computed in, tokens of a row: its own, else the curriculum's."""
        own, stages = self.finetuning, self.curriculum
        parts = own.gradient_accumulation_steps or stages.gradient_accumulation_steps * self.compute.workers
        return own.batch_size or stages.batch_size, parts, own.seq_len or stages.seq_len
