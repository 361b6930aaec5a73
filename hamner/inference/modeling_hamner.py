"""Differential attention for transformers: the modelling file that an exported folder brings along (remote code).

Export copies this file, which therefore needs torch and transformers alone, of version 4.57 or 5. Same sums as
hamner/model: the embedding is normed to unit scale and is the output head too.

B batch, T newest tokens, S all tokens, C hidden, H query heads, K key/value heads, D head size, E experts.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast


class HamnerConfig(PretrainedConfig):
    """The sizes of a model with differential attention (Ye et al. 2024), dense or with experts."""

    model_type = "hamner"

    def __init__(
        self,
        vocab_size: int = 49_152,
        hidden_size: int = 512,
        intermediate_size: int = 1536,
        num_hidden_layers: int = 16,
        num_attention_heads: int = 8,
        num_key_value_heads: int = 4,
        num_local_experts: int = 1,
        num_experts_per_tok: int = 1,
        rms_norm_eps: float = 1e-5,
        max_position_embeddings: int = 2048,
        rope_theta: float = 10_000.0,
        **others: object,
    ) -> None:
        self.vocab_size, self.hidden_size, self.intermediate_size = vocab_size, hidden_size, intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads, self.num_key_value_heads = num_attention_heads, num_key_value_heads
        self.head_dim = hidden_size // num_attention_heads
        self.num_local_experts, self.num_experts_per_tok = num_local_experts, num_experts_per_tok
        self.rms_norm_eps, self.max_position_embeddings = rms_norm_eps, max_position_embeddings
        self.rope_theta = rope_theta
        others.pop("head_dim", None)
        super().__init__(**others)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of x (B, heads, T, D), half-split layout; cos, sin (B, 1, T, D)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class HamnerAttention(nn.Module):
    """The difference of two attention maps that read the same values."""

    def __init__(self, config: HamnerConfig, layer: int) -> None:
        super().__init__()
        hidden, size = config.hidden_size, config.head_dim
        kv_size = config.num_key_value_heads * size
        self.layer, self.head_dim = layer, size
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * layer)  # paper, section 2.1, for 0-based layers
        self.q_proj = nn.Linear(hidden, 2 * hidden, bias=False)
        self.k_proj = nn.Linear(hidden, 2 * kv_size, bias=False)
        self.v_proj = nn.Linear(hidden, kv_size, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)
        self.lambda_q1, self.lambda_k1 = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(size))
        self.lambda_q2, self.lambda_k2 = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(size))
        self.head_norm = nn.RMSNorm(size, eps=config.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, cache: Cache | None) -> Tensor:
        """x (B, T, C) -> (B, T, C); mask (B, 1, T, S) is True where a token may attend."""
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        v = v.repeat(1, 2, 1, 1)
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        first, second = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).chunk(2, dim=1)
        difference = self.head_norm(first - self.lambda_value().to(x.dtype) * second) * (1 - self.lambda_init)
        return self.o_proj(difference.transpose(1, 2).flatten(2))

    def lambda_value(self) -> Tensor:
        """How much of the second map is subtracted."""
        first = torch.exp((self.lambda_q1 * self.lambda_k1).sum())
        return first - torch.exp((self.lambda_q2 * self.lambda_k2).sum()) + self.lambda_init


class HamnerMLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: HamnerConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class HamnerExperts(nn.Module):
    """SwiGLU experts, each token through its top k; the k weights of the softmax over all are renormalised."""

    def __init__(self, config: HamnerConfig) -> None:
        super().__init__()
        experts, hidden, width = config.num_local_experts, config.hidden_size, config.intermediate_size
        self.top_k = config.num_experts_per_tok
        self.router = nn.Linear(hidden, experts, bias=False)
        self.gate = nn.Parameter(torch.zeros(experts, width, hidden))
        self.up = nn.Parameter(torch.zeros(experts, width, hidden))
        self.down = nn.Parameter(torch.zeros(experts, hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        weight, expert = self.router(tokens).float().softmax(dim=-1).topk(self.top_k, dim=-1)
        weight = (weight / weight.sum(dim=-1, keepdim=True)).to(x.dtype)
        out = torch.zeros_like(tokens)
        for index in range(len(self.gate)):
            row, place = (expert == index).nonzero(as_tuple=True)
            part = tokens[row]
            hidden = F.silu(F.linear(part, self.gate[index])) * F.linear(part, self.up[index])
            out = out.index_add(0, row, F.linear(hidden, self.down[index]) * weight[row, place, None])
        return out.view_as(x)


class HamnerBlock(nn.Module):
    def __init__(self, config: HamnerConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = HamnerAttention(config, layer)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = HamnerExperts(config) if config.num_local_experts > 1 else HamnerMLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, cache: Cache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class HamnerForCausalLM(PreTrainedModel, GenerationMixin):
    """tokens -> logits. The head is the embedding: there is no lm_head."""

    config_class = HamnerConfig
    base_model_prefix = ""
    _no_split_modules = ("HamnerBlock",)
    _supports_sdpa = True

    def __init__(self, config: HamnerConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(HamnerBlock(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: an exported folder holds all weights."""

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens

    def get_output_embeddings(self) -> None:
        return None

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        inputs_embeds: Tensor | None = None,
        cache: Cache | None = None,
        **others: object,
    ) -> CausalLMOutputWithPast:
        """input_ids (B, T); attention_mask (B, S), 0 where a row is padded; labels (B, T), -100 where not trained.

        cache: what version 5.24 of transformers calls past_key_values.
        """
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        x = F.rms_norm(x, (x.shape[-1],), eps=1e-12)
        cache = past_key_values if cache is None else cache
        if cache is None and use_cache:
            cache = DynamicCache()
        start = cache.get_seq_length() if cache is not None else 0
        places = torch.arange(start, start + x.shape[1], device=x.device)
        cos, sin = self._rotary(places[None] if position_ids is None else position_ids, x.dtype)
        mask = places[:, None] >= torch.arange(start + x.shape[1], device=x.device)  # (T, S)
        mask = mask.expand(len(x), 1, *mask.shape)
        if attention_mask is not None:
            is_itself = places[:, None] == torch.arange(mask.shape[-1], device=x.device)  # never a row without any
            mask = (mask & attention_mask[:, None, None, : mask.shape[-1]].bool()) | is_itself
        for block in self.layers:
            x = block(x, cos, sin, mask, cache)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = F.linear(self.norm(x)[:, kept], self.embed_tokens.weight)
        loss = None if labels is None else self.loss_function(logits, labels, vocab_size=self.config.vocab_size)
        return CausalLMOutputWithPast(loss, logits, cache)  # by place: the third's name differs between versions

    def _rotary(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, 1, T, D) of positions (B, T). No buffer: one would be empty after a load by parts."""
        size = self.config.head_dim
        exponent = torch.arange(0, size, 2, dtype=torch.float32, device=positions.device) / size
        angle = positions[..., None].float() * self.config.rope_theta**-exponent
        angle = angle.repeat(1, 1, 2).unsqueeze(1)
        return angle.cos().to(dtype), angle.sin().to(dtype)
