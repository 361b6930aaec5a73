"""Guard of the server (ASGI middleware): who may ask, from where, and the security headers of every answer.

Without a token only this machine is answered: a request must come from it, name it in its Host header, and come from a
page of this server, if from a page at all. So no page of another site can ask in its visitor's name, not even after its
own name has been pointed here (DNS rebinding). With a token the name does not matter. There are no CORS headers: no
other site may read an answer.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hamner.inference.server_options import THIS_MACHINE
from hamner.inference.server_requests import ApiError

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Guard:
    """Passes on to an app what may be answered."""

    def __init__(self, app: ASGIApp, is_local: bool) -> None:
        """is_local: whether only this machine is answered."""
        self._app, self._is_local = app, is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        try:
            if self._is_local:
                _check_machine(scope)
        except ApiError as error:
            response = JSONResponse(error.body(), error.status, error.headers)
            return await response(scope, receive, send_guarded)
        return await self._app(scope, receive, send_guarded)


def _check_machine(scope: Scope) -> None:
    """Raise ApiError for a request that is from another machine, names another one, or comes from the page of one."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    client = (scope.get("client") or THIS_MACHINE[1:])[0]  # none: a socket of this machine's file system
    if not ipaddress.ip_address(client).is_loopback:
        raise ApiError(403, f"this server answers its own machine, not {client}: start it with --token", "unknown_host")
    if _host_name(host) not in THIS_MACHINE:
        raise ApiError(
            403,
            f"this server answers to the name localhost, not '{host}': use that, or start it with --token",
            "unknown_host",
        )
    if origin is not None and urlsplit(origin).netloc != host:
        raise ApiError(403, f"a page of '{origin}' may not ask here: use the page that this server has", "cross_origin")


def check_token(authorization: str, token: str) -> None:
    """Raise ApiError where an Authorization header does not bring the token."""
    scheme, _, word = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(word.strip().encode(), token.encode()):
        problem = "the token is not the one that is asked for" if word else "a token is asked for"
        raise ApiError(
            401,
            f"{problem}: send `Authorization: Bearer TOKEN` (api_key of an OpenAI client)",
            "invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
