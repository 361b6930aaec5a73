"""The server: the `openai` client as programs use it, errors over HTTP, who is answered, and clients that leave."""

import json
import re
import socket
import threading
from urllib.parse import urlsplit

import pytest
from served import HELLO, JSON, endless_model, fetch, running, wait_until

from hamner.inference.find_model import load
from hamner.inference.server_app import WEB
from hamner.inference.server_body import MOST_BYTES

openai = pytest.importorskip("openai", reason="the openai client is not installed: pip install '.[test]'")
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def mine(model_results):
    """(address, app) of a server of the model `mine`, whose replies end by themselves."""
    with running(load("mine", results=model_results)) as server:
        yield server


@pytest.fixture(scope="module")
def endless():
    """(address, app) of a server whose replies end where they must; two places, one waits."""
    with running(endless_model(), places=2, queue=1) as server:
        yield server


@pytest.fixture
def client(mine):
    with openai.OpenAI(base_url=f"{mine[0]}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def patient(endless):
    with openai.OpenAI(base_url=f"{endless[0]}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["mine"]
    assert client.models.retrieve("mine").owned_by == "hamner"
    with pytest.raises(openai.NotFoundError, match="use 'mine'"):
        client.models.retrieve("other")


def _chat(client, **settings):
    return client.chat.completions.create(model="mine", messages=HELLO, **settings)


def test_a_seed_repeats_a_reply_whole_and_streamed(client):
    whole = [_chat(client, seed=seed).choices[0].message.content for seed in (1, 1, 2)]
    assert whole[0] == whole[1] != whole[2]
    chunks = list(_chat(client, seed=1, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole[0]
    assert chunks[0].choices[0].delta.role == "assistant" and len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-2]] == [None] * (len(chunks) - 2)
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 1


def test_finish_reason_and_usage_are_true(client, patient):
    ends = [_chat(client, seed=seed) for seed in range(6)]
    for reply in ends:
        usage, reason = reply.usage, reply.choices[0].finish_reason
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        assert reason == ("length" if usage.completion_tokens == 256 else "stop")
    assert {reply.choices[0].finish_reason for reply in ends} >= {"stop"}
    reply = _chat(patient, max_tokens=9)
    assert (reply.choices[0].finish_reason, reply.usage.completion_tokens) == ("length", 9)
    assert _chat(patient, max_completion_tokens=3).usage.completion_tokens == 3


def test_a_stop_sequence_ends_a_reply_and_is_no_part_of_it(patient):
    whole = _chat(patient, seed=3, max_tokens=60).choices[0].message.content
    middle = whole[len(whole) // 2 :][:3]
    reply = _chat(patient, seed=3, max_tokens=60, stop=middle)
    assert reply.choices[0].message.content == whole[: whole.index(middle)]
    assert reply.choices[0].finish_reason == "stop" and reply.usage.completion_tokens < 60
    streamed = list(_chat(patient, seed=3, max_tokens=60, stop=[middle, "never"], stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == whole[: whole.index(middle)]
    assert streamed[-1].choices[0].finish_reason == "stop"


def test_a_text_is_continued(client, patient):
    texts = [client.completions.create(model="mine", prompt="the fox", seed=seed).choices[0].text for seed in (4, 4)]
    assert texts[0] == texts[1]
    chunks = list(patient.completions.create(model="mine", prompt="the fox", max_tokens=5, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length" and len(chunks) >= 2
    assert all(chunk.object == "text_completion" for chunk in chunks)


def test_the_client_raises_what_openais_server_would_make_it_raise(client):
    with pytest.raises(openai.BadRequestError, match=r"temperature = -1\.0 must be") as error:
        _chat(client, temperature=-1)
    assert (error.value.param, error.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.NotFoundError, match="use 'mine'"):
        client.chat.completions.create(model="gpt-4", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="tokens long") as error:
        client.chat.completions.create(model="mine", messages=[{"role": "user", "content": "the fox " * 900}])
    assert error.value.code == "context_length_exceeded"


BAD = {  # a request: (path, body, headers, status, code)
    "a megabyte": ("/v1/chat/completions", b"x" * 2**20, JSON, 413, "request_too_large"),
    "a form": ("/v1/completions", b"prompt=x", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    "broken JSON": ("/v1/completions", b'{"prompt": ', JSON, 400, "invalid_json"),
    "broken UTF-8": ("/v1/completions", b'{"prompt": "\xc3"}', JSON, 400, "invalid_json"),
    "an unknown path": ("/v1/embeddings", b"{}", JSON, 404, "unknown_url"),
    "GET of a reply": ("/v1/chat/completions", None, {}, 405, "unknown_url"),
    "another name": ("/v1/models", None, {"Host": "evil.example"}, 403, "unknown_host"),
    "a broken name": ("/v1/models", None, {"Host": "[::1"}, 403, "unknown_host"),
    "a name that ends alike": ("/", None, {"Host": "localhost.evil.example"}, 403, "unknown_host"),
    "another page": ("/v1/models", None, {"Origin": "https://evil.example"}, 403, "cross_origin"),
    "a page without a name": ("/v1/models", None, {"Origin": "null"}, 403, "cross_origin"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_one_error_with_the_way_out(mine, case):
    path, body, headers, status, code = BAD[case]
    answer, headers, data = fetch(mine[0], path, body, headers)
    error = json.loads(data)["error"]
    assert (answer, error["code"]) == (status, code) and re.search("send|use|there is", error["message"])
    assert "access-control-allow-origin" not in headers


def test_a_body_in_pieces_is_cut_off_at_the_limit(mine):
    def pieces():
        for _ in range(MOST_BYTES // 1000 + 2):
            yield b"x" * 1000

    assert fetch(mine[0], body=pieces(), headers=JSON)[0] == 413


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_this_machine_is_answered_by_any_of_its_names(mine, host):
    assert fetch(mine[0], "/v1/models", headers={"Host": host})[0] == 200


def test_a_token_is_asked_for_and_the_page_is_there_without_it(model_results):
    with running(load("mine", results=model_results), token=TOKEN) as (address, _):
        for word in ("wrong", "", TOKEN.upper(), f"{TOKEN}x", "ö"):
            headers = {"Authorization": f"Bearer {word}".encode()}
            status, headers, data = fetch(address, "/v1/models", headers=headers)
            assert (status, json.loads(data)["error"]["code"]) == (401, "invalid_api_key")
            assert headers["www-authenticate"] == "Bearer"
        for path in ("/v1/chat/completions", "/v1/completions"):
            assert fetch(address, path, {})[0] == 401
        for path in ("/v1/models/mine", "//v1/models", "/v1/models/", "/V1/models"):
            assert fetch(address, path)[0] in (401, 404)
        named = {"Host": "hamner.example", "Authorization": f"Bearer {TOKEN}"}
        assert fetch(address, "/v1/models", headers=named)[0] == 200
        assert fetch(address, "/", headers={"Host": "hamner.example"})[0] == 200
        with openai.OpenAI(base_url=f"{address}/v1", api_key=TOKEN) as client:
            assert _chat(client).choices[0].message.role == "assistant"
        with (
            openai.OpenAI(base_url=f"{address}/v1", api_key="wrong") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            _chat(client)


def test_the_page_loads_nothing_from_elsewhere_and_says_so(mine):
    status, headers, data = fetch(mine[0], "/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    for name in re.findall(r'(?:src|href)="([^"#]+)"', data.decode()):
        assert fetch(mine[0], f"/{name}")[0] == 200, name
    elsewhere = re.compile(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)")
    as_html = re.compile(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(| on\w+=\"|style=\"")
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not elsewhere.search(text) and not as_html.search(text), path.name


def _open(address, **settings):
    """A socket on which a reply of up to 1,400 tokens has been asked for."""
    host, port = urlsplit(address).netloc.split(":")
    body = json.dumps({"messages": HELLO, "max_tokens": 1400, **settings}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_leaves_frees_its_place_at_once(endless, is_streamed):
    address, app = endless
    streams = app.state.streams
    with _open(address, stream=is_streamed):
        wait_until(lambda: streams.counts == (1, 0))
        (stream,) = streams.active
        wait_until(lambda: stream.left < 1390)
    wait_until(lambda: streams.counts == (0, 0))
    left = stream.left
    assert left > 0 and stream.is_over
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        _chat(client, max_tokens=20)
    assert stream.left >= left - 1  # no token after the next one


def test_one_more_than_places_and_queue_is_told_when_to_come_again(endless):
    address, app = endless
    opened = [_open(address, stream=True) for _ in range(2)]
    wait_until(lambda: app.state.streams.counts == (2, 0))
    waiting = threading.Thread(target=fetch, args=(address,), kwargs={"body": {"messages": HELLO, "max_tokens": 1}})
    waiting.start()
    wait_until(lambda: app.state.streams.counts == (2, 1))
    status, headers, data = fetch(address, body={"messages": HELLO})
    assert status == 429 and json.loads(data)["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(headers["retry-after"]) <= 60
    with (
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.RateLimitError, match="ask again in"),
    ):
        _chat(client)
    opened[0].close()
    waiting.join(30)  # takes the place, and is answered
    assert not waiting.is_alive()
    opened[1].close()
    wait_until(lambda: app.state.streams.counts == (0, 0))


def test_dropped_messages_are_said(mine):
    turn = [*HELLO, {"role": "assistant", "content": "the fox"}]
    status, _, data = fetch(mine[0], body={"messages": turn * 20 + HELLO, "truncation": "auto", "max_tokens": 3})
    assert status == 200 and json.loads(data)["dropped_messages"] % 2 == 0 < json.loads(data)["dropped_messages"]
    status, _, data = fetch(mine[0], body={"messages": turn * 20 + HELLO})
    assert status == 400 and '"truncation": "auto"' in json.loads(data)["error"]["message"]


def test_a_failure_of_the_model_is_an_error_and_no_empty_reply(mine, capfd):
    address, app = mine
    embedding = app.state.streams.hamner.embedding
    weight, embedding.weight = embedding.weight, None
    try:
        status, _, data = fetch(address, body={"messages": HELLO})
        assert status == 500 and json.loads(data)["error"]["type"] == "server_error"
        _, _, data = fetch(address, body={"messages": HELLO, "stream": True})
        assert b'"server_error"' in data and b"[DONE]" not in data
    finally:
        embedding.weight = weight
    assert fetch(address, body={"messages": HELLO})[0] == 200
    assert "Traceback" in capfd.readouterr().err


def test_the_server_writes_no_conversation_and_no_token(tmp_path, monkeypatch, capfd):
    """Neither to a file below the home or the working folder, nor to its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    message = [{"role": "user", "content": "the fox keeps a secret"}]
    with running(endless_model(num_layers=1), token=TOKEN) as (address, _):
        with openai.OpenAI(base_url=f"{address}/v1", api_key=TOKEN) as client:
            reply = client.chat.completions.create(model="mine", messages=message, max_tokens=4)
        assert reply.usage.completion_tokens == 4
        with pytest.raises(openai.AuthenticationError), openai.OpenAI(base_url=f"{address}/v1", api_key="x") as client:
            client.models.list()
    said = "".join(capfd.readouterr())
    assert "secret" not in said and TOKEN not in said
    assert list(tmp_path.rglob("*")) == []
