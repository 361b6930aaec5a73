"""SFT labels (assistant mask): the token ids of a conversation, and which of them are trained on.

Trained on are the words of each reply and the MESSAGE_END that closes it, since a model that never learns to end a turn
never ends one. All else is only read: roles, system and user messages, the line break behind a message, and what closes
the conversation. A token that is only read is kept as its complement, −1 − id, so that ids and labels are one array: a
row of conversations travels as any row of text does, whose tokens are all trained on.

Data in: messages. Data out: turns with their labelled ids (n,); from a batch of them, ids and weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START, Message
from hamner.data.tokenizer import Tokenizer

Labelled = npt.NDArray[np.int32]  # ids; the complement of those that are only read

CLOSING = np.array([~END_OF_TEXT], dtype=np.int32)  # of a conversation, and what fills up a row


@dataclass(frozen=True)
class Turn:
    """One message of a conversation, in the chat template."""

    labelled: Labelled
    reply_tokens: int  # of the assistant's words; 0 for a message that is only read


@dataclass(frozen=True)
class Shortened:
    """The beginning of a conversation, and what became of its replies."""

    turns: Sequence[Turn]  # none where no reply is left
    replies: int  # in all
    too_long: int  # replies that are left out: one above the limit of a reply, and all after it
    beyond_row: int  # replies that are left out because the conversation would not fit a row

    @property
    def labelled(self) -> Labelled:
        """The ids of the whole, closed by END_OF_TEXT."""
        return np.concatenate([*(turn.labelled for turn in self.turns), CLOSING])

    @property
    def exchanges(self) -> int:
        return self.replies - self.too_long - self.beyond_row


def labels(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Ids of labelled tokens (B, T), and their weights (B, T): 1 where the token is trained on, else 0."""
    return torch.where(tokens < 0, ~tokens, tokens), (tokens >= 0).float()


def encode_turns(tokenizer: Tokenizer, conversations: Sequence[Sequence[Message]]) -> Iterator[list[Turn]]:
    """Yield the turns of each conversation; their ids, end to end, are those of tokenizer.encode_chat."""
    texts = [f"{role}\n{content.strip()}" for messages in conversations for role, content in messages]
    encoded = iter(tokenizer.encode_batch(texts))
    line_break, opening = tokenizer.encode("\n"), tokenizer.encode("assistant\n")
    for messages in conversations:
        yield [_turn(role, next(encoded), opening, line_break) for role, _ in messages]


def _turn(role: str, ids: list[int], opening: list[int], line_break: list[int]) -> Turn:
    """opening: the ids of "assistant\\n", behind which a model that is asked for a reply begins."""
    if role != "assistant":
        return Turn(~np.array([MESSAGE_START, *ids, MESSAGE_END, *line_break], dtype=np.int32), 0)
    if ids[: len(opening)] != opening:
        raise BadInput(
            "the tokenizer joins a reply's first word with the line before it, so that no prompt could lead to it: "
            "use one that splits at line breaks, such as HuggingFaceTB/cosmo2-tokenizer"
        )
    words = ids[len(opening) :]
    before, after = (~np.array(part, dtype=np.int32) for part in ([MESSAGE_START, *opening], line_break))
    return Turn(np.concatenate([before, np.array([*words, MESSAGE_END], dtype=np.int32), after]), len(words))


def shorten(turns: Sequence[Turn], max_reply_tokens: int, seq_len: int) -> Shortened:
    """The conversation up to its last exchange that may stay.

    It ends before the first reply of more than `max_reply_tokens`, since what follows would answer to something that is
    not there, and where it would be longer than a row of `seq_len` tokens. A question without its reply is left out.
    """
    replies = [turn.reply_tokens for turn in turns if turn.reply_tokens]
    length, end, kept, too_long = len(CLOSING), 0, 0, 0
    for index, turn in enumerate(turns):
        length += len(turn.labelled)
        if turn.reply_tokens > max_reply_tokens:
            too_long = len(replies) - kept
            break
        if length > seq_len:
            break
        if turn.reply_tokens:
            end, kept = index + 1, kept + 1
    return Shortened(turns[:end], len(replies), too_long, len(replies) - kept - too_long)


def decode_trained(tokenizer: Tokenizer, labelled: npt.NDArray[Any]) -> str:
    """The text of the tokens that are trained on, with each turn end as a line break; for people to look at."""
    parts: list[list[int]] = [[]]
    for token in labelled[labelled >= 0].tolist():
        parts[-1].append(token)
        if token == MESSAGE_END:
            parts.append([])
    return "\n".join(tokenizer.decode(part) for part in parts[:-1])
