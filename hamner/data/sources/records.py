"""Shapes of a JSON record (dataset formats: text, chat messages, ShareGPT, Alpaca, prompt and completion).

Data in: one record, as JSON or parquet gives it. Data out: its messages as (role, content), roles as the chat template
has them; None for a record of no shape of a conversation. Raises ValueError with the reason for a broken one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hamner.config.json_text import parse_json
from hamner.config.special_tokens import ROLES

Messages = list[tuple[str, str]]

MESSAGE_KEYS = ("messages", "conversations", "conversation")  # of a list of messages
USER_KEYS = ("instruction", "prompt", "question", "query", "user", "inputs")
CONTEXT_KEYS = ("input", "context")  # beside an instruction: what it is about
ASSISTANT_KEYS = ("output", "completion", "response", "answer", "assistant", "targets")
SYSTEM_KEYS = ("system", "system_prompt")
CONVERSATION_KEYS = (*MESSAGE_KEYS, *USER_KEYS, *CONTEXT_KEYS, *ASSISTANT_KEYS, *SYSTEM_KEYS, "history")
MOST_NAMED = 12  # keys in a message
LONGEST_NAME = 40  # characters of one: of a table without headings the first row is taken for keys
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"  # signs without width, of which an empty turn may consist

ROLE_NAMES = {role: role for role in ROLES} | {
    "developer": "system",
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
}
TOOL_ROLES = ("tool", "function", "function_call", "function_response", "tool_call", "tool_response", "observation")


@dataclass(frozen=True)
class Malformed:
    """What stands in place of a record that cannot be one."""

    reason: str


def is_message(value: Any) -> bool:
    return isinstance(value, dict) and ("role" in value or "from" in value)


def is_message_list(value: Any) -> bool:
    """Whether a value is a bare list of messages, which is a record; any other list holds records."""
    return isinstance(value, list) and bool(value) and is_message(value[0])


def json_type(value: Any) -> str:
    """The name of a value's type in JSON."""
    names = {list: "list", dict: "object", str: "string", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def no_shape(record: Any, wanted: str, *others: str) -> ValueError:
    """The error for a record that has no text under the key `wanted`, nor `others`: it says what is there instead."""
    if not isinstance(record, dict):
        return ValueError(f"no '{wanted}' in the record, which is a {json_type(record)}")
    if wanted in record:
        return ValueError(f"no '{wanted}' in the record: it is a {json_type(record[wanted])}")
    names = ", ".join(map(repr, (wanted, *others)))
    return ValueError(f"{'none of' if others else 'no'} {names} in the record; its keys: {name_keys(record)}")


def name_keys(keys: Iterable[Any], write: Callable[[str], str] = repr) -> str:
    """Keys for a message: the first ones, and of a long one its beginning. write: how one is written."""
    names = [str(key) for key in keys]
    shown = [write(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...") for name in names[:MOST_NAMED]]
    return ", ".join([*shown, *(["..."] if len(names) > MOST_NAMED else [])]) or "none"


def listed_messages(record: Any) -> Messages | None:
    """The messages of a bare list, or of a list under one of MESSAGE_KEYS.

    Raises ValueError where lists under several of them differ.
    """
    if is_message_list(record):
        return [_message(message) for message in record]
    if not isinstance(record, dict):
        return None
    lists = {key: value for key in MESSAGE_KEYS if isinstance(value := _list_in_text(record.get(key)), list)}
    conversations = [[_message(message) for message in messages] for messages in lists.values()]
    if any(messages != conversations[0] for messages in conversations):
        raise ValueError(f"other messages under {' than under '.join(map(repr, lists))}: which are meant?")
    return [*_system(record), *conversations[0]] if conversations else None


def _list_in_text(value: Any) -> Any:
    """A list that is written as JSON in a string, as tables hold it; any other value unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    return parse_json(value)


def paired_messages(record: Any) -> Messages | None:
    """The messages of a record with a question under one key and the answer under another (Alpaca, Dolly, TRL).

    Raises ValueError where several keys could be either.
    """
    if not isinstance(record, dict):
        return None
    users, assistants = ([key for key in keys if record.get(key) is not None] for keys in (USER_KEYS, ASSISTANT_KEYS))
    if not users and record.get("input") is not None:
        users = ["input"]
    if not users or not assistants:
        return None
    if len(users) > 1 or len(assistants) > 1:
        keys = ", ".join(map(repr, users + assistants))
        raise ValueError(f"which of the keys {keys} is the question, and which the answer?")
    question, answer = record[users[0]], record[assistants[0]]
    if is_message_list(question) and is_message_list(answer):
        return [*_system(record), *map(_message, question), *map(_message, answer)]
    context = next((text for key in CONTEXT_KEYS if key not in users and (text := _text_under(record, key))), "")
    if users[0] != "instruction" and context:
        raise ValueError(f"a text under 'input' or 'context' beside '{users[0]}': is it part of the question?")
    question = "\n\n".join(text for text in (_text_under(record, users[0]), context) if text)
    if not question:
        raise ValueError(f"nothing under '{users[0]}'")
    return [*_system(record), *_history(record), ("user", question), ("assistant", _text_under(record, assistants[0]))]


def _text_under(record: dict[str, Any], key: str) -> str:
    """The text under a key; "" where there is none. Raises ValueError for anything else, which would be lost."""
    value = record.get(key)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(text, str) for text in value):
        raise ValueError(f"{len(value)} texts under '{key}': which is meant?")
    if value is None or value == []:
        return ""
    if not isinstance(value, str | list):
        raise ValueError(f"no text under '{key}': it is a {json_type(value)}")
    return _content(value)


def checked(messages: Messages) -> Messages:
    """The messages of a conversation. Raises ValueError where it would teach what nobody means to teach."""
    roles = [role for role, _ in messages]
    if "user" not in roles or "assistant" not in roles:
        raise ValueError("no turn of a user or of the assistant")
    if any(role == "assistant" and is_blank(content) for role, content in messages):
        raise ValueError("an empty turn of the assistant, which would teach silence")
    if any(role == "user" and is_blank(content) for role, content in messages):
        raise ValueError("an empty turn of the user, which would teach to speak unasked")
    return messages


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return not text.strip().strip(INVISIBLE).strip()


def _message(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError(f"a message without role or content: it is a {json_type(message)}")
    role = message.get("role", message.get("from"))
    content = message.get("content") if "content" in message else message.get("value")
    if message.get("tool_calls") or message.get("function_call"):
        raise ValueError("a call of a tool, which the chat template cannot hold")
    if role is None or not {"content", "value"} & message.keys():
        raise ValueError(f"a message without role or content; its keys: {name_keys(message)}")
    return _role(role), _content(content)


def _role(role: Any) -> str:
    """The role's name in the template. A turn of a tool is refused: without it, the answer comes from nowhere."""
    if not isinstance(role, str):
        raise ValueError(f"a message without role or content: its role is a {json_type(role)}")
    word = role.strip().lower()
    if word in TOOL_ROLES:
        raise ValueError(f"a turn of a tool (role '{role}'), which the chat template cannot hold")
    if word not in ROLE_NAMES:
        raise ValueError(f"unknown role {name_keys([role])}")
    return ROLE_NAMES[word]


def _content(content: Any) -> str:
    """The text of a message; of a list of parts, that of all of them."""
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, list) and content:
        return "\n".join(_part(part) for part in content).strip()
    raise ValueError(f"a message without role or content: its content is a {json_type(content)}")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, dict) else None
        raise ValueError(f"a message with a part that is not text ({kind or json_type(part)})")
    return text


def _system(record: dict[str, Any]) -> Messages:
    """The system prompt under a key of its own, if there is one."""
    prompts = [text for key in SYSTEM_KEYS if (text := _text_under(record, key))]
    return [("system", prompt) for prompt in prompts[:1]]


def _history(record: dict[str, Any]) -> Messages:
    """Earlier exchanges of an Alpaca record: a list of [question, answer]."""
    turns: Messages = []
    pairs = record.get("history") or []
    for pair in pairs if isinstance(pairs, Sequence) else [pairs]:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError("a 'history' that is not a list of [question, answer]")
        turns += [("user", _content(pair[0])), ("assistant", _content(pair[1]))]
    return turns
