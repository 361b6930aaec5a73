"""A server for tests: the real app under a real uvicorn on a free port, in a thread of this process."""

import http.client
import json
import re
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import torch
import uvicorn
from model_kinds import small_model

from hamner.data.tokenizer import Tokenizer
from hamner.inference.find_model import LoadedModel
from hamner.inference.server_app import Served, build_app
from hamner.model.transformer import build
from hamner.training import checkpoint

TOKENIZER = Tokenizer.train(["user assistant system hello there the fox and the owl. Who are you?"], 320)
HELLO = [{"role": "user", "content": "hello there"}]
JSON = {"Content-Type": "application/json"}


def endless_model(tokenizer: Tokenizer = TOKENIZER, **changes) -> LoadedModel:
    """A model with random weights that never draws an end token: their logits are 0, far from the likeliest."""
    model = small_model(vocab_size=tokenizer.vocab_size, max_seq_len=1500, **changes)
    hamner = build(model, seed=0)
    with torch.no_grad():
        hamner.embedding.weight[:3] = 0
    return LoadedModel(hamner, tokenizer, Path())


@contextmanager
def running(loaded: LoadedModel, **settings):
    """(address, app) of a server of this model."""
    app = build_app(Served(loaded, "mine", "expect little", 0), **settings)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws="none", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def fetch(address, path="/v1/chat/completions", body=None, headers=JSON, method=None):
    """(status, headers, body) of a request, which the standard library sends as it is."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method or ("GET" if body is None else "POST"), path, data, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def wait_until(is_so, seconds: float = 60) -> None:
    """Wait for a condition, and fail where it does not come."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.005)


def save_run(results: Path, name: str, loaded: LoadedModel) -> None:
    """Write a run with this model into a results folder, for a server in a process of its own."""
    run = results / "curriculum" / name
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {}}))
    checkpoint.save(
        run / "final", {"model": loaded.model.state_dict()}, {"step": 1}, loaded.model.config, loaded.tokenizer
    )


def wait_for_promise(page) -> None:
    """Wait until the page knows its model, with what its content security policy allows: no code in strings."""
    from playwright.sync_api import expect

    expect(page.locator("#promise")).to_have_text(re.compile(".{5}"), timeout=60_000)
