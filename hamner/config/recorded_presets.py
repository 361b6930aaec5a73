"""The two models of the recorded runs, full size. A preset is a value; `size` shrinks it like a contestant."""

from hamner.config.schema import ModelConfig

PRESETS: dict[str, ModelConfig] = {
    # 163,609,344 parameters: the tournament's recorded winner, v02_dense_medium, pretrained on web text
    "v2": ModelConfig(
        hidden_size=768, num_layers=20, num_heads=12, num_kv_heads=4, intermediate_size=2048,
    ),
    # 47,190,528 parameters: the curriculum's model; 53 % of them are the embedding
    "v3": ModelConfig(
        hidden_size=512, num_layers=8, num_heads=8, num_kv_heads=2, intermediate_size=1365,
    ),
}
