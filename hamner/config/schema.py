"""What a run is told: strict, typed, read-only.

Data in: what load_config.py read. Data out: one frozen `Config`. A key nobody knows, a wrong type or an
impossible relation is a `BadInput` that lists every problem at once. The defaults are the full-size numbers;
the miniatures override them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

HUB_DEADLINE = 20.0  # seconds
SOURCE_NAMES = ("tinystories", "fineweb_edu", "synthetic", "sft", "personal")  # known; a folder can hold any other


class Strict(BaseModel):
    """Base of everything read from outside: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelConfig(Strict):
    """One architecture. Sizes are numbers of entries; `attention` and `num_experts` choose the kind."""

    vocab_size: int = Field(49_152, gt=0)
    hidden_size: int = Field(gt=0)
    num_layers: int = Field(gt=0)
    num_heads: int = Field(gt=0)
    num_kv_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)  # of the dense MLP, or of each expert
    num_experts: int = Field(1, gt=0)  # 1 = dense
    num_active_experts: int = Field(1, gt=0)  # top-k
    attention: Literal["grouped", "differential"] = "grouped"
    rope_theta: float = Field(10_000.0, gt=0)
    norm_eps: float = Field(1e-5, gt=0)
    max_seq_len: int = Field(2048, gt=1)  # length of the RoPE table
    balance_coefficient: float = Field(0.01, ge=0)  # weight of the experts' load-balance loss
    document_mask: bool = False  # a token attends to its own document alone; docs/data.md

    @property
    def head_size(self) -> int:
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
    """What is made of contestants and presets; `divide = 1` is full size."""

    divide: int = Field(1, gt=0)  # hidden, layers and intermediate are divided by this
    min_head_size: int = Field(16, gt=1)  # heads are merged rather than made smaller than this
    vocab_size: int = Field(49_152, gt=300)  # 256 bytes and 17 reserved ids must fit
    document_mask: bool = False  # tokens of a row see their own document alone


class Data(Strict):
    """Where text comes from, what is held out, which tokenizer reads it."""

    path: str = "hub"  # hub | builtin | a folder of DIR/<source>/ files
    own: str = "data"  # with hub: folder of sft/ and personal/, from the project's root
    tokenizer: str = "HuggingFaceTB/cosmo2-tokenizer"  # a hub id, a folder, or "train" for a BPE of the run
    heldout_fraction: float = Field(0.05, gt=0, le=0.2)
    heldout_sequences: int = Field(64, gt=0)  # a small source holds out more than the fraction for these
    builtin_characters: int = Field(40_000_000, gt=0)  # size of each builtin source
    bpe_characters: int = Field(1_000_000, gt=0)  # read from each source to train a BPE
    hub_tokens: int = Field(400_000_000, gt=0)  # streamed from each hub source for a curriculum
    hub_deadline: float = Field(HUB_DEADLINE, gt=0)  # seconds without a row after which the hub is unreachable
    duplicates: Literal["drop", "keep"] = "drop"  # near-duplicates in the text; builtin text keeps its own


class Optimizer(Strict):
    """AdamW, the same for everybody."""

    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    weight_decay: float = Field(0.1, ge=0)  # never on norms, embeddings, λ
    clip: float = Field(1.0, gt=0)  # gradient norm


class Compute(Strict):
    """The machine: the section to change when another one is bought."""

    device: Literal["cpu", "cuda"] = "cuda"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    threads: int = Field(8, gt=0)  # of torch, per trial of the league; set before torch starts
    workers: int = Field(1, gt=0)  # curriculum: data-parallel processes
    worker_threads: int = Field(8, gt=0)  # ... and the threads of each
    compile: Literal["auto", "always", "never"] = "auto"  # auto: where it saves more time than it takes
    activation_checkpointing: bool = True
    gpu_memory_gib: float = Field(24.0, gt=0)  # of one card; shares are fractions of it
    max_failures: int = Field(2, ge=0)  # a crashed trial or worker starts again this often


class ParameterGroup(Strict):
    """Parameters that learn at their own share of the rate, at every moment of the schedule."""

    learning_rate_scale: float = Field(ge=0)
    middle_layers: int = Field(0, ge=0)  # this many consecutive blocks around the middle ...
    parameters: str = ""  # ... or the parameters whose names match this glob


class Entrant(Strict):
    """One row of a league: who it is, and how it differs from its base."""

    name: str
    base: str  # a contestant or preset
    overrides: dict[str, bool | int | float | str] = {}  # fields of ModelConfig, after shrinking
    learning_rate: float | None = Field(None, gt=0)  # its own, instead of the league's; then it is not probed
    seeds: tuple[int, ...] = ()  # its own seed indices, instead of 0 … tournament.seeds - 1
    parameter_groups: tuple[ParameterGroup, ...] = ()


class Tournament(Strict):
    """The league. Steps are counted from each round's start; all contestants read the same batches."""

    contestants: tuple[str, ...] = ()  # empty: all ten
    league: tuple[Entrant, ...] = ()  # rows of --league FILE or --sweep, instead of `contestants`
    steps: tuple[int, ...] = (500, 1000, 2000)
    keep: tuple[int, ...] = (5, 3, 1)
    budget: Literal["tokens", "flops", "seconds"] = "tokens"  # what is equal: flops gives all those of `steps`
    seconds: tuple[float, ...] = ()  # budget = seconds: of training, a round
    mode: Literal["sync", "async"] = "sync"  # async: promote at once, for more slots than contestants
    seeds: int = Field(1, gt=0)  # runs of each contestant, ranked by their mean
    twins: int = Field(4, ge=0)  # with one seed: further seeds of the cheapest, to measure seed_sd
    contested: Literal["seeds", "keep", "cut"] = "seeds"  # what becomes of a cut that could be chance
    max_seeds: int = Field(3, gt=0)  # contested = seeds: at most this many runs of a contestant
    lr: Literal["probe", "shared"] = "probe"  # each contestant's own learning rate, or the league's for all
    lr_probe_steps: int = Field(0, ge=0)  # 0: a fifth of round 1, at least 3 × warmup
    cooldown: float = Field(0.0, ge=0, lt=0.5)  # share of each round over which a copy is annealed and ranked
    batch_size: int = Field(16, gt=0)
    gradient_accumulation_steps: int = Field(1, gt=0)  # gradient accumulation: parts one batch is computed in
    seq_len: int = Field(512, gt=1)
    learning_rate: float = Field(3e-4, gt=0)
    warmup_steps: int = Field(100, ge=0)
    mix: dict[str, float] = {"fineweb_edu": 1.0}
    eval_sequences: int = Field(64, gt=0)  # held-out rows of seq_len tokens the ranking is made on
    evaluations_per_round: int = Field(8, gt=0)  # looks at the held-out loss a round, on an eighth of the rows
    report: tuple[str, ...] = ("synthetic",)  # further sources whose held-out loss is reported, never ranked
    log_every: int = Field(50, gt=0)
    checkpoint_every: int = Field(250, gt=0)  # steps that a kill can cost
    keep_checkpoints: int = Field(2, gt=0)  # of a running contestant, one being written included; then one
    keep_cut: Literal["weights", "nothing"] = "weights"  # of a contestant that is out


class Plateau(Strict):
    """When a stage is over; hamner/plateau.py explains each number."""

    rule: Literal["confirmed", "recorded"] = "confirmed"
    window_steps: int = Field(1000, gt=1)
    windows: int = Field(3, gt=1)  # a look fits a line through these; recorded: one against the rest
    done_gain: float = Field(0.001, gt=0)  # relative fall of the loss per window: this little is a plateau
    go_on_gain: float = Field(0.005, gt=0)  # ... and this much is progress
    error: float = Field(0.05, gt=0, lt=0.5)  # chance of calling the second the first, at one look
    strikes: int = Field(3, gt=0)  # consecutive looks that must agree
    min_steps: int = Field(5000, ge=0)
    evaluate_every: int = Field(0, ge=0)  # 0: a twentieth of the window
    average_steps: float = Field(0.0, ge=0)  # time constant of the running average of the weights; 0: window / 8

    @property
    def evaluation_steps(self) -> int:
        """Steps between two evaluations: the largest divisor of the window that is not above a twentieth of it."""
        most = max(1, self.window_steps // 20)
        return self.evaluate_every or next(n for n in range(most, 0, -1) if self.window_steps % n == 0)

    @property
    def averaging_steps(self) -> float:
        return self.average_steps or self.window_steps / 8


class Curriculum(Strict):
    """The stages' common numbers; the stages themselves are curriculum/stages.py."""

    batch_size: int = Field(24, gt=0)
    gradient_accumulation_steps: int = Field(1, gt=0)
    seq_len: int = Field(1024, gt=1)
    warmup_steps: int = Field(300, ge=0)
    max_steps: int = Field(200_000, gt=0)  # cap of each stage
    max_epochs: float = Field(4.0, gt=0)  # a source read so often leaves the mix; the others take its share
    plateau: Plateau = Plateau()
    after_worse: Literal["best", "last", "stop"] = "best"  # go on from the stage's best weights, its last, or not
    optimizer_at_border: Literal["reset", "keep"] = "reset"  # AdamW's moments; the warmup comes in any case
    decay: Literal["none", "stage", "run"] = "none"  # the rate falls to 0 at each stage's end, or at the run's
    decay_steps: int = Field(2000, gt=0)  # ... over so many steps
    max_skipped: int = Field(20, ge=0)  # non-finite steps in a row before the run stops (fp16: 50 at least)
    eval_sequences: int = Field(128, gt=0)  # held-out rows the plateau is judged on; docs/curriculum.md says why
    skill_items: int = Field(200, ge=0)  # held-out items of each synthetic task and level, at a stage's end
    log_every: int = Field(50, gt=0)
    sample_every: int = Field(500, gt=0)
    sample_tokens: int = Field(60, gt=0)
    checkpoint_every: int = Field(2000, gt=0)
    keep_checkpoints: int = Field(2, gt=1)  # the newest, beside each stage's end and best; one may be torn
    keep_every: int = Field(0, ge=0)  # and every so many steps; 0: none
    keep_stages: Literal["weights", "full"] = "weights"  # of the ends and bests of stages that are over


class Config(Strict):
    """Everything a run is told. Dumped to `config.json` before anything else happens."""

    seed: int = Field(0, ge=0, lt=2**63)
    lr_scale: float = Field(1.0, gt=0)  # on every learning rate; miniatures want about 10
    size: Size = Size()
    data: Data = Data()
    optimizer: Optimizer = Optimizer()
    compute: Compute = Compute()
    tournament: Tournament = Tournament()
    curriculum: Curriculum = Curriculum()
