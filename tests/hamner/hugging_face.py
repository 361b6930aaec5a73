"""The same weights in Hugging Face's transformers, which tests compare logits with."""

import torch


def hugging_face(ours, config_kind, model_kind, **extra):
    """The same weights in transformers; our unit-scale embedding becomes an untied input embedding."""
    c = ours.config
    theirs = model_kind(
        config_kind(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            intermediate_size=c.intermediate_size,
            num_hidden_layers=c.num_layers,
            num_attention_heads=c.num_heads,
            num_key_value_heads=c.num_kv_heads,
            rms_norm_eps=c.norm_eps,
            max_position_embeddings=c.max_seq_len,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
            **extra,
        )
    ).eval()
    state = {
        "model.embed_tokens.weight": ours.embed(torch.arange(c.vocab_size)),
        "lm_head.weight": ours.embedding.weight,
        "model.norm.weight": ours.final_norm.weight,
    }
    for i, block in enumerate(ours.blocks):
        at = f"model.layers.{i}."
        state[at + "input_layernorm.weight"] = block.attention_norm.weight
        state[at + "post_attention_layernorm.weight"] = block.mlp_norm.weight
        for name in "qkvo":
            state[at + f"self_attn.{name}_proj.weight"] = getattr(block.attention, name).weight
        if c.num_experts > 1:
            state[at + "mlp.gate.weight"] = block.mlp.router.weight
            state[at + "mlp.experts.gate_up_proj"] = torch.cat((block.mlp.gate, block.mlp.up), dim=1)
            state[at + "mlp.experts.down_proj"] = block.mlp.down
        else:
            for name in ("gate", "up", "down"):
                state[at + f"mlp.{name}_proj.weight"] = getattr(block.mlp, name).weight
    theirs.load_state_dict(state, strict=True)
    return theirs
