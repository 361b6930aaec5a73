"""llama.cpp through xllamacpp, which tests compare GGUF files with: a server in this process, asked over loopback."""

import json
import math
import urllib.request
from pathlib import Path

import pytest


class LlamaCpp:
    """One GGUF file in llama.cpp. KV cache in fp32, so that nothing but the weights' format differs."""

    def __init__(self, path: Path) -> None:
        xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install '.[oracle]'")
        settings = xllamacpp.CommonParams()
        settings.model.path = str(path)
        settings.n_ctx, settings.n_parallel, settings.warmup, settings.use_jinja = 2048, 1, False, True
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
        settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        settings.verbosity = 0
        self._server = xllamacpp.Server(settings)

    def ask(self, route: str, **body) -> dict:
        request = urllib.request.Request(
            self._server.listening_address + route, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def chat_ids(self, message: str) -> list[int]:
        """Ids of a message in the file's own chat template, up to where the assistant answers."""
        prompt = self.ask("/apply-template", messages=[{"role": "user", "content": message}])["prompt"]
        return self.ask("/tokenize", content=prompt, add_special=True, parse_special=True)["tokens"]

    def text_ids(self, text: str) -> list[int]:
        return self.ask("/tokenize", content=text, add_special=True)["tokens"]

    def greedy(self, ids: list[int], most: int) -> list[int]:
        """The likeliest next tokens, the end token included."""
        settings = {"temperature": 0, "samplers": ["top_k"], "top_k": 1, "cache_prompt": False}
        return self.ask("/completion", prompt=ids, n_predict=most, return_tokens=True, **settings)["tokens"]

    def log_probability(self, ids: list[int], token: int, vocab_size: int) -> float:
        """Of `token` after ids, nats."""
        answer = self.ask("/completion", prompt=ids, n_predict=1, n_probs=vocab_size, temperature=1.0, samplers=[])
        rows = answer["completion_probabilities"][0]["top_logprobs"]
        return next((row["logprob"] for row in rows if row["id"] == token), -math.inf)
