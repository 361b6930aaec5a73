"""Replies of the server in OpenAI's format: whole as JSON, or in pieces as server-sent events (SSE).

Data in: the body of a request. Data out: a response. A client that leaves ends its stream, whichever of the two it has
asked for.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hamner.inference.find_model import LoadedModel
from hamner.inference.server_prompt import Prompt, read_prompt
from hamner.inference.server_requests import ApiError, ReplyRequest, read_request
from hamner.inference.stop_text import StopText
from hamner.inference.streams import Busy, Ending, Job, Stream, Streams

CHARACTERS_AT_ONCE = 2000  # of a request, above which it is encoded beside the event loop


class Writing:
    """A reply that is being written: its pieces of text, then how it ended and how many tokens it took."""

    def __init__(self, streams: Streams, loaded: LoadedModel, request: ReplyRequest, prompt: Prompt) -> None:
        """Raises Busy where there is no place."""
        self.ending: Ending = "stop"
        self.tokens, self.prompt = 0, prompt
        self._piece_of, self._stop = loaded.tokenizer.piece_decoder(), StopText(request.stop)
        self._queue: asyncio.Queue[int | Ending] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(item: int | Ending) -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has been stopped
                loop.call_soon_threadsafe(self._queue.put_nowait, item)

        job = Job(prompt.ids, prompt.max_new_tokens, request.sampling, request.seed, deliver)
        self.stream: Stream = streams.open(job)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text piece by piece, none of them empty. Raises ApiError where the model failed."""
        while not isinstance(item := await self._queue.get(), str):
            self.tokens += 1
            if text := self._stop.pass_on(self._piece_of(item)):
                yield text
            if self._stop.is_found:
                self.stream.cancel()
                return
        self.ending = item
        if item == "error":
            raise ApiError(500, "the reply could not be written: see the server's own output", "server_error")
        if item == "shutdown":
            raise ApiError(503, "the server is being stopped, and this reply with it: ask again later", "server_error")
        if text := self._stop.rest():
            yield text

    def usage(self) -> dict[str, int]:
        count = len(self.prompt.ids)
        return {"prompt_tokens": count, "completion_tokens": self.tokens, "total_tokens": count + self.tokens}


class Replies:
    """Answers requests for a reply."""

    def __init__(self, streams: Streams, loaded: LoadedModel, name: str) -> None:
        self._streams, self._loaded, self._name = streams, loaded, name

    async def answer(self, body: bytes, what: str) -> Response:
        """The response to a request. what: CHAT or TEXT. Raises ApiError."""
        request = read_request(body, what, self._name)
        writing = await self._begin(request, len(body))
        shape = _Shape(self._name, request.is_chat, writing.prompt.dropped)
        return StreamedReply(writing, shape, request.has_usage) if request.is_streamed else WholeReply(writing, shape)

    async def text(self, request: ReplyRequest) -> str:
        """The whole reply to a request. Raises ApiError."""
        writing = await self._begin(request, CHARACTERS_AT_ONCE + 1)
        try:
            return "".join([piece async for piece in writing.pieces()])
        finally:
            writing.stream.cancel()

    async def _begin(self, request: ReplyRequest, characters: int) -> Writing:
        """Begin to write the reply to a request, which has about so many characters. Raises ApiError."""
        longest = self._loaded.model.config.max_seq_len
        if characters > CHARACTERS_AT_ONCE:
            prompt = await asyncio.to_thread(read_prompt, self._loaded.tokenizer, request, longest)
        else:
            prompt = read_prompt(self._loaded.tokenizer, request, longest)
        try:
            return Writing(self._streams, self._loaded, request, prompt)
        except Busy as busy:
            line = f"{busy}: ask again in {busy.seconds} s"
            raise ApiError(429, line, "rate_limit_exceeded", headers={"retry-after": str(busy.seconds)}) from None


class _Shape:
    """The JSON around a reply. Each reply has an id of its own."""

    def __init__(self, model: str, is_chat: bool, dropped: int) -> None:
        self.is_chat = is_chat
        self._head = {
            "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        # not OpenAI's: how many of the oldest messages had no room
        self._dropped = {"dropped_messages": dropped} if dropped else {}

    def whole(self, text: str, ending: str, usage: dict[str, int]) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if self.is_chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": ending}
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {**self._head, "object": kind, "choices": [choice], "usage": usage, **self._dropped}

    def chunk(self, said: dict[str, str], ending: str | None = None) -> dict[str, Any]:
        """said: the delta of a chat; of a text its `content`"""
        what = {"delta": said} if self.is_chat else {"text": said.get("content", "")}
        choice = {"index": 0, **what, "logprobs": None, "finish_reason": ending}
        return {**self._head, "object": self._chunk_kind, "choices": [choice], **self._dropped}

    def last(self, usage: dict[str, int]) -> dict[str, Any]:
        return {**self._head, "object": self._chunk_kind, "choices": [], "usage": usage}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"


class StreamedReply(StreamingResponse):
    """A reply as server-sent events, one a token, the last of them [DONE]."""

    def __init__(self, writing: Writing, shape: _Shape, has_usage: bool) -> None:
        self._writing = writing
        headers = {"x-accel-buffering": "no"}  # a proxy that would collect the pieces
        super().__init__(_events(writing, shape, has_usage), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)  # which ends as soon as the client leaves
        finally:
            self._writing.stream.cancel()


async def _events(writing: Writing, shape: _Shape, has_usage: bool) -> AsyncIterator[str]:
    none = {"usage": None} if has_usage else {}

    def event(chunk: dict[str, Any]) -> str:
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"

    if shape.is_chat:
        yield event(shape.chunk({"role": "assistant", "content": ""}) | none)
    try:
        async with aclosing(writing.pieces()) as pieces:
            async for piece in pieces:
                yield event(shape.chunk({"content": piece}) | none)
    except ApiError as error:
        yield event(error.body())
        return
    yield event(shape.chunk({}, writing.ending) | none)
    if has_usage:
        yield event(shape.last(writing.usage()))
    yield "data: [DONE]\n\n"


class WholeReply(Response):
    """A reply as one JSON document, once it is written."""

    def __init__(self, writing: Writing, shape: _Shape) -> None:
        self._writing, self._shape = writing, shape
        super().__init__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        collecting = asyncio.create_task(self._collect())
        leaving = asyncio.create_task(_disconnect(receive))
        try:
            await asyncio.wait((collecting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if collecting.done():
                await collecting.result()(scope, receive, send)
        finally:
            self._writing.stream.cancel()
            for task in (collecting, leaving):
                task.cancel()

    async def _collect(self) -> Response:
        try:
            text = "".join([piece async for piece in self._writing.pieces()])
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
        return JSONResponse(self._shape.whole(text, self._writing.ending, self._writing.usage()))


async def _disconnect(receive: Callable[[], Any]) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
