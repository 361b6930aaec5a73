"""Requests of the server in OpenAI's format (chat completions, completions): read, checked, all problems said at once.

Data in: the body of a request, in bytes. Data out: a ReplyRequest, or an ApiError, which is answered in OpenAI's format
of errors. What a small model cannot do (tools, several choices, log-probabilities) is refused, not passed over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.config.json_text import parse_json
from hamner.config.special_tokens import Message
from hamner.config.toml_file import is_text
from hamner.inference.conversation import MAX_REPLY
from hamner.inference.generate import Sampling
from hamner.runs.output import printable

MOST_MESSAGES, MOST_STOPS = 500, 4
MOST_PROBLEMS = 10  # that are told of one request: each unknown key is compared with all known ones
SAMPLING = {field.name: field.default for field in fields(Sampling)}
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
CHAT, TEXT = "messages", "prompt"  # what is replied to
OWN = ("model", "max_tokens", "seed", "stop", "stream", "stream_options", "truncation", *SAMPLING)
PASSED_OVER = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")  # change no reply
NEUTRAL: dict[str, tuple[Any, ...]] = {  # keys of OpenAI's, and the values that ask for nothing
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class ApiError(Exception):
    """A request that is not answered, in OpenAI's words for it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(printable(message))  # half of a surrogate pair, which JSON can spell, is in no UTF-8
        self.status, self.code, self.headers = status, code, dict(headers or {})
        self.param = None if param is None else shortened(printable(param))

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 500: "server_error"}
        error = {"message": str(self), "type": kind.get(self.status, "invalid_request_error")}
        return {"error": error | {"param": self.param, "code": self.code}}


@dataclass(frozen=True)
class ReplyRequest:
    """What is asked for: the reply to a conversation, or the continuation of a text."""

    prompt: tuple[Message, ...] | str
    sampling: Sampling
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    is_streamed: bool = False
    has_usage: bool = False  # a streamed reply ends with its usage
    may_drop: bool = False  # the oldest exchanges, where the context has no room for all

    @property
    def is_chat(self) -> bool:
        return not isinstance(self.prompt, str)


def read_request(body: bytes, what: str, model: str) -> ReplyRequest:
    """The request in a body. what: CHAT or TEXT. model: the name of the one that is served. Raises ApiError."""
    values = {key: value for key, value in read_json(body).items() if value is not None}
    if values.get("model", model) != model:
        name = shortened(str(values["model"]))
        raise ApiError(404, f"no model '{name}' here: use '{model}'", "model_not_found", param="model")
    checks = _Checks(values, what)
    request = checks.request()
    if checks.problems:
        raise ApiError(
            400, "; ".join(line for line, _ in checks.problems), "invalid_value", param=checks.problems[0][1]
        )
    assert request is not None
    return request


def read_json(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises ApiError for what is no JSON in UTF-8, or none of an object."""

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is not a number of JSON")

    if not body:
        raise ApiError(400, "the request has no body: send a JSON object", "invalid_json")
    try:
        value = parse_json(body.decode("utf-8"), no_number)
    except UnicodeDecodeError as error:
        raise ApiError(
            400, f"the body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}; send UTF-8", "invalid_json"
        ) from None
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON ({error}): send a JSON object", "invalid_json") from None
    if not isinstance(value, dict):
        raise ApiError(400, f"the body is {_kind(value)}: send a JSON object", "invalid_json")
    return value


class _Checks:
    """Reads the values of a request; `problems` are (line, key), in the order of the request's meaning."""

    def __init__(self, values: dict[str, Any], what: str) -> None:
        self.problems: list[tuple[str, str]] = []
        self._values, self._what = values, what

    def request(self) -> ReplyRequest | None:
        """The request, None where there are problems."""
        self._check_keys()
        prompt = self._messages() if self._what == CHAT else self._text()
        sampling = self._sampling()
        max_tokens = self._number("max_completion_tokens", 1, 2**31, self._number("max_tokens", 1, 2**31, MAX_REPLY))
        seed = self._number("seed", 0, 2**63 - 1, secrets.randbelow(2**63))
        stop, is_streamed = self._stop(), self._value("stream", bool, False)
        has_usage, may_drop = self._has_usage(is_streamed), self._may_drop()
        if self.problems or prompt is None or sampling is None:
            return None
        return ReplyRequest(prompt, sampling, max_tokens, seed, stop, is_streamed, has_usage, may_drop)

    def _problem(self, key: str, line: str) -> None:
        self.problems.append((line, key))

    def _check_keys(self) -> None:
        own = (self._what, *OWN, *(("max_completion_tokens",) if self._what == CHAT else ()))
        for key, value in self._values.items():
            if len(self.problems) >= MOST_PROBLEMS:
                return
            if key in NEUTRAL and not any(value == neutral for neutral in NEUTRAL[key]):
                self._problem(key, f"'{key}' = {_shown(value)} is not offered: leave it out")
            elif key not in (*own, *PASSED_OVER, *NEUTRAL):
                self._problem(key, f"unknown key '{shortened(key)}'; {did_you_mean(key, own)}")

    def _value(self, key: str, kind: type, default: Any) -> Any:
        """The value of a key, of this kind."""
        value = self._values.get(key, default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            value = float(value)
        if type(value) is kind:
            return value
        self._problem(key, f"'{key}' = {_shown(value)} must be {KINDS[kind]}")
        return default

    def _number(self, key: str, low: int, high: int, default: int) -> int:
        """A whole number from low to high."""
        value = int(self._value(key, int, default))
        if low <= value <= high:
            return value
        self._problem(key, f"'{key}' = {_shown(value)} must be a whole number from {low} to {high}")
        return default

    def _sampling(self) -> Sampling | None:
        before = len(self.problems)
        values = {key: self._value(key, type(default), default) for key, default in SAMPLING.items()}
        try:
            return Sampling(**values)
        except BadInput as error:
            if len(self.problems) == before:
                self.problems += [(line, line.split(" ")[0]) for line in error.problems]
            return None

    def _stop(self) -> tuple[str, ...]:
        value = self._values.get("stop", [])
        stops = [value] if isinstance(value, str) else value
        is_right = isinstance(stops, list) and len(stops) <= MOST_STOPS
        if is_right and all(isinstance(stop, str) and stop and is_text(stop) for stop in stops):
            return tuple(stops)
        self._problem("stop", f"'stop' = {_shown(value)} must be a text or a list of at most {MOST_STOPS}, none empty")
        return ()

    def _has_usage(self, is_streamed: bool) -> bool:
        options = self._value("stream_options", dict, {})
        if options and not is_streamed:
            self._problem("stream_options", "'stream_options' needs \"stream\": true: add it, or leave it out")
        unknown = [key for key in options if key not in ("include_usage", "include_obfuscation")]
        if unknown:
            name = shortened(unknown[0])
            self._problem("stream_options", f"unknown key 'stream_options.{name}'; known: include_usage")
        return options.get("include_usage") is True

    def _may_drop(self) -> bool:
        value = self._values.get("truncation", "disabled")
        if value not in ("auto", "disabled"):
            self._problem("truncation", f'\'truncation\' = {_shown(value)} must be "auto" or "disabled"')
        return bool(value == "auto")

    def _text(self) -> str | None:
        value = self._values.get(TEXT)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value and is_text(value):
            return value
        self._problem(TEXT, f"'prompt' = {_shown(value)} must be a text, not empty; send one request for each")
        return None

    def _messages(self) -> tuple[Message, ...] | None:
        value = self._values.get(CHAT)
        if not isinstance(value, list) or not value:
            example = '[{"role": "user", "content": "Hello"}]'
            self._problem(CHAT, f"'messages' = {_shown(value)} must be a list with a message, such as {example}")
            return None
        if len(value) > MOST_MESSAGES:
            self._problem(CHAT, f"{len(value)} messages: send the newest {MOST_MESSAGES} at most")
            return None
        before = len(self.problems)
        messages = tuple(self._message(place, message) for place, message in enumerate(value, 1))
        del self.problems[before + MOST_PROBLEMS :]
        if len(self.problems) > before:
            return None
        if messages[-1][0] != "user":
            self._problem(CHAT, f"the last message is of the {messages[-1][0]}: end with one of the user")
        return messages

    def _message(self, place: int, message: Any) -> Message:
        """One message, placed from 1. Its role may be developer, its content a list of texts, as OpenAI has them."""
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
            content = "\n".join(str(part.get("text", "")) for part in content)
        if not isinstance(role, str) or role not in ROLES:
            self._problem(CHAT, f"message {place}: 'role' = {_shown(role)} must be one of {', '.join(ROLES)}")
        elif not isinstance(content, str):
            self._problem(CHAT, f"message {place}: 'content' = {_shown(content)} must be text")
        elif not is_text(content):
            self._problem(CHAT, f"message {place}: 'content' has half a surrogate pair, which is no text: send UTF-8")
        elif not content.strip() and role != "assistant":
            self._problem(CHAT, f"message {place} is empty: write something, or leave it out")
        else:
            return ROLES[role], content
        return "user", ""


def _shown(value: Any) -> str:
    """A value as JSON, shortened."""
    return shortened(json.dumps(value))


def _kind(value: Any) -> str:
    return next((words for kind, words in KINDS.items() if type(value) is kind), "null")
