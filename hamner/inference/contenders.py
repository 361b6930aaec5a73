"""Contenders of an arena (inference backends): models that reply to a message, ours or a GGUF file in llama.cpp.

Data in: a message. Data out: a reply, drawn from each contender in the same way.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from hamner.config.errors import BadInput
from hamner.inference.conversation import MAX_REPLY
from hamner.inference.generate import Sampling
from hamner.inference.server_replies import Replies
from hamner.inference.server_requests import ApiError, ReplyRequest
from hamner.inference.streams import Streams
from hamner.runs.files import file_sha256

SAMPLING = Sampling(temperature=0.7)  # what chat and page use
REPLY_SECONDS = 600  # for llama.cpp to answer
SAMPLER_NAMES = {"repetition_penalty": "repeat_penalty"}  # llama.cpp's


class Contender(Protocol):
    """A model in an arena."""

    name: str
    weights: str  # the beginning of their file's sha256

    async def reply(self, message: str, seed: int) -> str:
        """Its reply to a message. Raises ApiError."""

    def close(self) -> None:
        """End what it holds."""


class OwnContender:
    """A model of ours."""

    def __init__(self, name: str, weights: str, replies: Replies, streams: Streams) -> None:
        self.name, self.weights, self.replies, self.streams = name, weights, replies, streams

    async def reply(self, message: str, seed: int) -> str:
        request = ReplyRequest((("user", message),), SAMPLING, MAX_REPLY, seed)
        return await self.replies.text(request)

    def close(self) -> None:
        self.streams.close()


class GgufContender:
    """A GGUF file in llama.cpp, which answers on this machine's loopback."""

    def __init__(self, path: Path, name: str) -> None:
        """Raises BadInput where llama.cpp cannot read the file."""
        import xllamacpp

        self.name, self.weights = name, weights_id(path)
        settings = xllamacpp.CommonParams()
        settings.model.path = str(path)
        settings.n_parallel, settings.warmup, settings.use_jinja, settings.verbosity = 1, False, True, 0
        try:
            self._server = xllamacpp.Server(settings)
        except RuntimeError as error:
            raise BadInput(f"llama.cpp cannot read {path}: {error}; give another file") from None

    async def reply(self, message: str, seed: int) -> str:
        sampling = {SAMPLER_NAMES.get(key, key): value for key, value in asdict(SAMPLING).items()}
        body = {"messages": [{"role": "user", "content": message}], "max_tokens": MAX_REPLY, "seed": seed % 2**31}
        try:
            answer = await asyncio.to_thread(self._ask, body | sampling)
        except urllib.error.URLError as error:
            raise ApiError(500, f"llama.cpp has not answered: {error}", "server_error") from None
        return str(answer["choices"][0]["message"]["content"])

    def _ask(self, body: dict[str, Any]) -> Any:
        address = f"{self._server.listening_address}/v1/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=REPLY_SECONDS) as answer:
            return json.load(answer)

    def close(self) -> None:
        del self._server


def weights_id(path: Path) -> str:
    """The beginning of a file's sha256."""
    return file_sha256(path)[:12]
