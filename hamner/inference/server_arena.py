"""Arena over HTTP: a round for a message, a vote for a round. Nothing that is answered says who has replied.

    GET  /v1/arena           {"votes"}: how many there are
    POST /v1/arena/rounds    {"message"}: {"round", "left", "right"}
    POST /v1/arena/votes     {"round", "choice"}, left, right or tie: {"votes"}

Data in: requests. Data out: replies and votes of inference/arena.py.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from hamner.config.toml_file import is_text
from hamner.inference.arena import Arena
from hamner.inference.server_body import read_object
from hamner.inference.server_requests import ApiError


def add_arena_routes(api: APIRouter, arena: Arena) -> None:
    """Let the API play rounds of an arena."""

    @api.get("/arena")
    async def votes() -> Response:
        return JSONResponse({"votes": arena.votes})

    @api.post("/arena/rounds")
    async def play(request: Request) -> Response:
        message = (await read_object(request, message=str))["message"]
        if not message.strip() or not is_text(message):
            raise ApiError(400, "the message is empty, or no text: write something", "invalid_value")
        played = await arena.play(message)
        return JSONResponse({"round": played.id, "left": played.left, "right": played.right})

    @api.post("/arena/votes")
    async def vote(request: Request) -> Response:
        values = await read_object(request, round=str, choice=str)
        return JSONResponse({"votes": await arena.vote(values["round"], values["choice"])})
