"""Server of a model (HTTP, OpenAI's API): chat completions, completions, models, and one page to talk on.

Data in: a loaded model, requests. Data out: replies in OpenAI's format, whole or as server-sent events (SSE). The model
is held by one thread (streams.py), so replies are written side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from hamner.inference.find_model import LoadedModel
from hamner.inference.server_guard import Guard, check_token
from hamner.inference.server_replies import Replies
from hamner.inference.server_requests import CHAT, TEXT, ApiError
from hamner.inference.streams import Streams

WEB = Path(__file__).with_name("web")
FILES = {"": "index.html"} | {name: name for name in ("style.css", "app.js", "icon.svg")}
MOST_BYTES = 256 * 1024  # of a request; what a model of this size reads is far less
BODY_SECONDS = 30  # for the whole body to arrive


@dataclass(frozen=True)
class Served:
    """A model and what is said of it."""

    loaded: LoadedModel
    name: str
    promise: str  # one sentence: what can be expected of it
    created: int  # seconds since 1970

    def facts(self) -> dict[str, Any]:
        """The model as /v1/models has it, with what our page shows."""
        context = self.loaded.model.config.max_seq_len
        row = {"id": self.name, "object": "model", "created": self.created, "owned_by": "hamner"}
        return row | {"context_length": context, "promise": self.promise}


def build_app(served: Served, *, token: str | None = None, places: int = 64, queue: int = 64) -> FastAPI:
    """The app, which answers this machine alone where it has no token. Its model runs until the app shuts down.

    places: replies that are written at a time. queue: requests that wait for a place; one more is answered with 429.
    """
    streams = Streams(served.loaded.model, places=places, queue=queue)
    replies = Replies(streams, served.loaded, served.name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(streams.close)

    def check(request: Request) -> None:
        if token is not None:
            check_token(request.headers.get("authorization", ""), token)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    api = APIRouter(prefix="/v1", dependencies=[Depends(check)])

    @api.get("/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [served.facts()]})

    @api.get("/models/{name:path}")
    async def model(name: str) -> Response:
        if name != served.name:
            raise ApiError(404, f"no model '{name}' here: use '{served.name}'", "model_not_found", param="model")
        return JSONResponse(served.facts())

    @api.post("/chat/completions")
    async def chat(request: Request) -> Response:
        return await replies.answer(await read_body(request), CHAT)

    @api.post("/completions")
    async def completions(request: Request) -> Response:
        return await replies.answer(await read_body(request), TEXT)

    for path, name in FILES.items():
        app.add_api_route(f"/{path}", _sender(WEB / name), methods=["GET"], include_in_schema=False)
    app.include_router(api)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_middleware(Guard, is_local=token is None)
    app.state.streams = streams
    return app


def _sender(path: Path) -> Any:
    """A handler that answers with a file."""

    async def send() -> Response:
        return FileResponse(path)

    return send


async def _answer_error(request: Request, error: Exception) -> Response:
    """An error as OpenAI's API words it."""
    if isinstance(error, HTTPException):
        known = "GET /, GET /v1/models, POST /v1/chat/completions, POST /v1/completions"
        line = f"{request.method} {request.url.path} is not offered here; there is {known}"
        error = ApiError(error.status_code, line, "unknown_url", headers=error.headers)
    if not isinstance(error, ApiError):
        error = ApiError(500, "the server has failed: see its own output", "server_error")
    return JSONResponse(error.body(), error.status, error.headers)


async def read_body(request: Request) -> bytes:
    """The body of a request for a reply. Raises ApiError for one that is too long, too slow, or not said to be JSON.

    A form of another site cannot say so without asking first (CORS), and it is not answered.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        line = f"the body is said to be '{kind}': send the header `Content-Type: application/json`"
        raise ApiError(415, line, "unsupported_media_type")
    too_large = ApiError(413, f"the request is longer than {MOST_BYTES:,} bytes: send less text", "request_too_large")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MOST_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise too_large
    except TimeoutError:
        line = f"the body did not arrive within {BODY_SECONDS} s: send the request again"
        raise ApiError(408, line, "request_timeout") from None
    return bytes(body)
