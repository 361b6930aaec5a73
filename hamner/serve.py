"""Serve a trained model over HTTP (server, OpenAI's API): the command `hamner serve`, also `python -m hamner.serve`.

Data in: a run or a folder with a model. Data out: a page to talk on, and an API for the programs that speak OpenAI's.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput
from hamner.inference.find_model import model_folder
from hamner.inference.server_options import check_arena, check_options
from hamner.runs.cli import (
    Parser,
    add_feedback_options,
    add_model_option,
    add_results_option,
    feedback_line,
    feedback_place,
    run_command,
    whole_number,
)
from hamner.runs.folders import results_folder
from hamner.runs.waiting import never_silent

if TYPE_CHECKING:
    from fastapi import FastAPI

DESCRIPTION = """Serve a trained model: a page to talk on, and an API in OpenAI's format.

It answers this machine alone. For any other --host give a token, which the page asks for and programs send."""
EXAMPLES = (
    "hamner serve                              # the newest run, on http://127.0.0.1:8000",
    "hamner serve friend --port 9000           # the run `friend`",
    "hamner serve --host 0.0.0.0 --token WORD  # for other machines too, who must know the word",
)
SECONDS_TO_END = 2  # of replies that are being written when the server is stopped; then they end with an error
SECONDS_TO_SAY = 3  # ... that their readers have so long to take


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner serve", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    options.add_argument("--port", type=whole_number(0, 65535), default=8000, help="0: a free one (default: 8000)")
    options.add_argument("--token", metavar="WORD", help="what requests must bring (default: $HAMNER_TOKEN)")
    options.add_argument(
        "--streams", type=whole_number(1, 4096), default=64, help="replies that are written at a time (default: 64)"
    )
    options.add_argument(
        "--queue", type=whole_number(0, 4096), default=64, help="requests that may wait for them (default: 64)"
    )
    add_feedback_options(options, "the page's thumbs, corrections and second replies")
    options.add_argument(
        "--arena",
        metavar="RUN|FOLDER|GGUF",
        action="append",
        default=[],
        help="let this one and RUN reply side by side, blind, on a page of its own; repeatable. "
        "Votes go to arena/votes.jsonl in the results folder",
    )
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    token = options.token or os.environ.get("HAMNER_TOKEN") or None
    check_options(options.host, token)
    results = results_folder(options.results)
    folder = model_folder(options.run, results)
    rivals, votes = check_arena(options.arena, results)
    feedback = feedback_place(options)
    with _listener(options.host, options.port) as listener:  # a port that is taken is said before the model is loaded
        with never_silent(f"loading {folder.name}"):
            from hamner.inference.server_app import Extras, build_app
            from hamner.inference.server_model import open_rivals, open_served

            served = open_served(folder, is_weighed=votes is not None)
            extras = Extras(feedback, open_rivals(served, rivals), votes)
        app = build_app(served, token=token, places=options.streams, queue=options.queue, extras=extras)
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        print(f"{served.name}: {served.promise}", file=sys.stderr)
        if feedback:
            print(feedback_line(feedback), file=sys.stderr)
        if votes:
            print(f"arena of {len(rivals) + 1}: http://{name}:{port}/arena; votes go to {votes}", file=sys.stderr)
        print(f"http://{name}:{port}/  (API: http://{name}:{port}/v1; Ctrl-C ends)", flush=True)
        _run(app, listener)
    return 0


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises BadInput where that is not possible."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=kind, backlog=1024)
    except OSError as error:
        # create_server adds the address to its words, and a name that cannot be looked up has a number of its own
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise BadInput(f"--host {host} --port {port} cannot be used: {reason}; choose another port or host") from None
    except UnicodeError:  # what no network writes, such as a word of more than 63 letters
        raise BadInput(f"--host {host} cannot be the name of a machine: choose another host") from None


def _run(app: FastAPI, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM; replies that are not written by then end with an error of the API's."""
    import asyncio

    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            loop = asyncio.get_running_loop()
            for contender in app.state.contenders:
                loop.call_later(SECONDS_TO_END, loop.run_in_executor, None, contender.close)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_END + SECONDS_TO_SAY,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    raise SystemExit(main())
