"""Body of a request to the server (JSON over HTTP): its bytes, or an ApiError for one that is too long or too slow.

Data in: a request. Data out: bytes, or the JSON object that they hold.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request

from hamner.config.errors import shortened
from hamner.inference.server_requests import MOST_PROBLEMS, ApiError, read_json

MOST_BYTES = 256 * 1024  # of a request; what a model of this size reads is far less
BODY_SECONDS = 30  # for the whole body to arrive


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


async def read_object(request: Request, **kinds: type) -> dict[str, Any]:
    """The object in a body, of which these keys are read. Raises ApiError for one that lacks a key or has another.

    kinds: of each key's value.
    """
    values = read_json(await read_body(request))
    unknown = [key for key in values if key not in kinds]
    problems = [f"unknown key '{shortened(key)}'; known: {', '.join(kinds)}" for key in unknown[:MOST_PROBLEMS]]
    problems += [
        f"'{key}' must be {'text' if kind is str else 'a list'}"
        for key, kind in kinds.items()
        if not isinstance(values.get(key), kind)
    ]
    if problems:
        raise ApiError(400, "; ".join(problems), "invalid_value")
    return values
