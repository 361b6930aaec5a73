"""Feedback over HTTP: what the page's visitor says of a reply, written to the folder that the server was started with.

    POST /v1/feedback          {"kind", "messages", "reply", "better"}: written, answered with its id
    DELETE /v1/feedback/ID     forgotten

Data in: requests. Data out: records of data/feedback.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from hamner.config.errors import shortened
from hamner.data.feedback import Feedback, add_feedback, forget_feedback
from hamner.inference.server_body import read_object
from hamner.inference.server_requests import ROLES, ApiError

R = TypeVar("R")
KEYS = {"kind": str, "messages": list, "reply": str, "better": str}


def add_feedback_routes(api: APIRouter, folder: Path, model: str) -> None:
    """Let the API take feedback on the replies of a model."""

    @api.post("/feedback")
    async def add(request: Request) -> Response:
        values = await read_object(request, **KEYS)
        try:
            context = tuple((ROLES[m["role"]], m["content"]) for m in values["messages"])
            if not all(isinstance(text, str) for _, text in context):
                raise TypeError("content is no text")
            feedback = Feedback(model, values["kind"], context, values["reply"], values["better"])
        except (KeyError, TypeError) as error:
            line = f"a message lacks role or content, or has another: {shortened(str(error))}"
            raise ApiError(400, line, "invalid_value") from None
        except ValueError as error:
            raise ApiError(400, f"this is no feedback: {shortened(str(error))}", "invalid_value") from None
        await _write(lambda: add_feedback(folder, feedback))
        return JSONResponse({"id": feedback.id})

    @api.delete("/feedback/{name}")
    async def forget(name: str) -> Response:
        return JSONResponse({"forgotten": await _write(lambda: forget_feedback(folder, [name]))})


async def _write(write: Callable[[], R]) -> R:
    """Do what writes to the disk, beside the event loop. Raises ApiError where it cannot."""
    try:
        return await asyncio.to_thread(write)
    except OSError as error:
        raise ApiError(500, f"it cannot be written: {error.strerror}; make room there", "server_error") from None
