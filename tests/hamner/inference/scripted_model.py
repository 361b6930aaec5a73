"""A model whose next tokens are written down beforehand."""

import torch

from hamner.config.schema import ModelConfig


class Script:
    """A fake model: the next token of a script is always certain.

    `shown` are the contexts: each grows until another one takes its place. `read` is how many tokens were read at once.
    """

    def __init__(self, tokens, vocab_size=30, max_seq_len=8):
        self.config = ModelConfig(
            vocab_size=vocab_size,
            hidden_size=2,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            intermediate_size=1,
            max_seq_len=max_seq_len,
        )
        # bf16: no token takes the single-token path, which reads weights
        self.embedding, self.dtype = torch.nn.Embedding(2, 1), torch.bfloat16
        self.training, self.shown, self.read, self._tokens = True, [], [], iter(tokens)

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def hidden_states(self, tokens, cache):
        assert not self.training
        if cache.length == 0 or cache.length < len(self.shown[-1]):
            self.shown.append(self.shown[-1][: cache.length] if cache.length else [])
        self.read.append(tokens.shape[1])
        self.shown[-1] = [*self.shown[-1], *tokens[0].tolist()]
        cache.length += tokens.shape[1]
        assert cache.length == len(self.shown[-1]) <= self.config.max_seq_len
        return torch.zeros(1, tokens.shape[1], 2), torch.zeros(())

    def logits(self, hidden):
        logits = torch.full((self.config.vocab_size,), -9.0)
        logits[next(self._tokens)] = 9.0
        return logits
