"""Server of a model (HTTP, OpenAI's API): chat completions, completions, models, and one page to talk on.

Data in: a loaded model, requests. Data out: replies in OpenAI's format, whole or as server-sent events (SSE). The model
is held by one thread (streams.py), so replies are written side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from hamner.inference.arena import Arena
from hamner.inference.contenders import Contender, OwnContender
from hamner.inference.find_model import LoadedModel
from hamner.inference.server_arena import add_arena_routes
from hamner.inference.server_body import read_body
from hamner.inference.server_feedback import add_feedback_routes
from hamner.inference.server_guard import Guard, check_token
from hamner.inference.server_replies import Replies
from hamner.inference.server_requests import CHAT, TEXT, ApiError
from hamner.inference.streams import Streams

WEB = Path(__file__).with_name("web")
ARENA_FILES = {"arena": "arena.html", "arena.js": "arena.js"}
FILES = {"": "index.html"} | {name: name for name in ("style.css", "server.js", "app.js", "icon.svg")}


@dataclass(frozen=True)
class Served:
    """A model and what is said of it."""

    loaded: LoadedModel
    name: str
    promise: str  # one sentence: what can be expected of it
    created: int  # seconds since 1970
    weights: str = ""  # the beginning of their file's sha256, where an arena needs it

    def facts(self) -> dict[str, Any]:
        """The model as /v1/models has it, with what our page shows."""
        context = self.loaded.model.config.max_seq_len
        row = {"id": self.name, "object": "model", "created": self.created, "owned_by": "hamner"}
        return row | {"context_length": context, "promise": self.promise}


@dataclass(frozen=True)
class Extras:
    """What a server offers beside the replies of its model."""

    feedback: Path | None = None  # folder for what is said of replies; None: nothing of it is kept
    rivals: Sequence[Served | Contender] = ()  # of an arena with the model that is served
    votes: Path | None = None  # file of the arena's votes; None: there is no arena

    def facts(self) -> dict[str, Any]:
        """What our page is told of them."""
        return {"feedback": str(self.feedback) if self.feedback else None, "arena": self.votes is not None}


def build_app(
    served: Served, *, token: str | None = None, places: int = 64, queue: int = 64, extras: Extras | None = None
) -> FastAPI:
    """The app, which answers this machine alone where it has no token. Its models run until the app shuts down.

    places: replies of a model that are written at a time. queue: requests that wait for a place; one more is answered
    with 429. Raises BadInput for broken votes.
    """
    extras = extras or Extras()
    contenders: list[Contender] = [
        _contender(each, places, queue) if isinstance(each, Served) else each for each in (served, *extras.rivals)
    ]
    own = contenders[0]
    assert isinstance(own, OwnContender)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for contender in contenders:
            await asyncio.to_thread(contender.close)

    def check(request: Request) -> None:
        if token is not None:
            check_token(request.headers.get("authorization", ""), token)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    api = APIRouter(prefix="/v1", dependencies=[Depends(check)])
    _add_model_routes(api, served, served.facts() | extras.facts(), own.replies)
    files = FILES
    if extras.feedback is not None:
        add_feedback_routes(api, extras.feedback, served.name)
    if extras.votes is not None:
        add_arena_routes(api, Arena(contenders, extras.votes))
        files = FILES | ARENA_FILES
    for path, name in files.items():
        app.add_api_route(f"/{path}", _sender(WEB / name), methods=["GET"], include_in_schema=False)
    app.include_router(api)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_middleware(Guard, is_local=token is None)
    app.state.streams, app.state.contenders = own.streams, contenders
    return app


def _contender(served: Served, places: int, queue: int) -> OwnContender:
    """A model with the thread that holds it."""
    streams = Streams(served.loaded.model, places=places, queue=queue)
    return OwnContender(served.name, served.weights, Replies(streams, served.loaded, served.name), streams)


def _add_model_routes(api: APIRouter, served: Served, facts: dict[str, Any], replies: Replies) -> None:
    """Let the API tell of its model, and reply."""

    @api.get("/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [facts]})

    @api.get("/models/{name:path}")
    async def model(name: str) -> Response:
        if name != served.name:
            raise ApiError(404, f"no model '{name}' here: use '{served.name}'", "model_not_found", param="model")
        return JSONResponse(facts)

    @api.post("/chat/completions")
    async def chat(request: Request) -> Response:
        return await replies.answer(await read_body(request), CHAT)

    @api.post("/completions")
    async def completions(request: Request) -> Response:
        return await replies.answer(await read_body(request), TEXT)


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
