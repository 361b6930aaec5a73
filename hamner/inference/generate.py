"""Text generation: sampling (temperature, top-k, top-p, min-p, repetition penalty), streamed one token at a time.

Data in: a model, ids or a prompt. Data out: new ids, or their text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START, Message
from hamner.data.tokenizer import Tokenizer
from hamner.inference.find_model import LoadedModel
from hamner.inference.prompt_cache import PromptCache
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.transformer import Hamner

COLDEST = 1e-6  # a temperature below it is the arg-max: dividing by it leaves the range of float32
LEAST_REPLY = 16  # tokens that a prompt must leave of the context
REPLY_ENDS = (END_OF_TEXT, MESSAGE_START, MESSAGE_END)  # tokens that end what is written
PENALTIES = (0.1, 10)  # of repetition; far beyond them logits overflow


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. temperature 0 is the arg-max. Raises BadInput for what is no such number."""

    temperature: float = 0.8
    top_k: int = 40  # the likeliest tokens ...
    top_p: float = 0.9  # ... and of these as many as reach this probability together
    # ... but none below this share of the likeliest's probability; 0 is none (Nguyen et al. 2024, arXiv 2407.01082)
    min_p: float = 0.0
    repetition_penalty: float = 1.15  # of tokens that were generated before; 1 is none

    def __post_init__(self) -> None:
        right = {
            "temperature": (math.isfinite(self.temperature) and self.temperature >= 0, "a number of 0 or more"),
            "top_k": (self.top_k >= 1, "a whole number of 1 or more"),  # NaN fails every comparison
            "top_p": (0 < self.top_p <= 1, "a number above 0, at most 1"),
            "min_p": (0 <= self.min_p <= 1, "a number from 0 to 1"),
            "repetition_penalty": (
                PENALTIES[0] <= self.repetition_penalty <= PENALTIES[1],
                f"a number from {PENALTIES[0]} to {PENALTIES[1]}; 1 is none",
            ),
        }
        wrong = [
            f"{key} = {getattr(self, key)} must be {needed}"
            for key, (is_right, needed) in right.items()
            if not is_right
        ]
        if wrong:
            raise BadInput(wrong)


# Seven fixed prompts, the same at every stage: their completions show what the model has learnt.
SAMPLE_PROMPTS: tuple[str | tuple[Message, ...], ...] = (
    "Calculate: 15 + 23 =",
    "One morning a small fox found a red key under the old bridge.",
    "What matters most in a friendship is",
    (("user", "Hello! How are you today?"),),
    "Computers help people because",
    "If it rains then the street gets wet. It rains. Therefore",
    "Which is bigger: 45 or 32?",
)


def generate(
    loaded: LoadedModel, prompt: str | Sequence[Message], *, max_new_tokens: int = 256, seed: int = 0, **sampling: Any
) -> str:
    """The text that follows a prompt: a string, or the (role, content) messages of a chat.

    sampling: fields of Sampling: temperature, top_k, top_p, min_p, repetition_penalty. Raises BadInput for a prompt
    that is longer than the context. Text beyond the context continues what was written last; messages are never cut,
    so a reply ends where the context does.
    """
    text_or_messages = prompt if isinstance(prompt, str) else tuple(prompt)
    length, longest = len(prompt_ids(loaded.tokenizer, text_or_messages)), loaded.model.config.max_seq_len
    if length > longest - LEAST_REPLY:
        raise BadInput(too_long("the prompt", length, longest))
    most = max_new_tokens if isinstance(prompt, str) else min(max_new_tokens, longest - length)
    return complete(loaded.model, loaded.tokenizer, text_or_messages, most, Sampling(**sampling), seed)


def too_long(what: str, length: int, longest: int) -> str:
    """What is said of a prompt that leaves no room for a reply."""
    return (
        f"{what} is {length:,} tokens long; the model reads {longest:,}, of which a reply needs {LEAST_REPLY}: "
        f"use one of at most {longest - LEAST_REPLY:,}"
    )


def complete(
    hamner: Hamner,
    tokenizer: Tokenizer,
    prompt: str | tuple[Message, ...],
    max_new_tokens: int,
    sampling: Sampling,
    seed: int,
) -> str:
    """The text that follows a prompt."""
    generator = torch.Generator().manual_seed(seed)
    ids = prompt_ids(tokenizer, prompt)
    return tokenizer.decode(list(stream(hamner, ids, max_new_tokens, sampling, generator)))


def prompt_ids(tokenizer: Tokenizer, prompt: str | tuple[Message, ...]) -> list[int]:
    """Ids of plain text as it is; of messages in the chat template, up to where the assistant answers."""
    return tokenizer.encode(prompt) if isinstance(prompt, str) else tokenizer.encode_chat(prompt, reply=True)


def prompt_name(prompt: str | tuple[Message, ...]) -> str:
    """The text, or the last message of a chat."""
    return prompt if isinstance(prompt, str) else prompt[-1][1]


@torch.inference_mode()
def stream(
    hamner: Hamner,
    ids: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling,
    generator: torch.Generator,
    cache: PromptCache | None = None,
) -> Iterator[int]:
    """Yield new tokens until an end token or the limit.

    Where the context would exceed max_seq_len, its older half is dropped and the rest read anew. cache: of an earlier
    context, with room for all of this one; what both begin with is not read again.
    """
    longest = hamner.config.max_seq_len
    context, generated = list(ids) or [END_OF_TEXT], list[int]()
    cache = cache or PromptCache(hamner, len(context) + max_new_tokens)
    unread = cache.unread(context[-longest:])
    with evaluation_mode(hamner):
        for _ in range(max_new_tokens):
            if cache.length + len(unread) > longest:
                unread = cache.unread(context[-(longest // 2) :])
            hidden = cache.read(unread)
            token = draw_token(hamner.logits(hidden[-1]).float().cpu(), generated, sampling, generator)
            if token in REPLY_ENDS:
                return
            unread = [token]
            context.append(token)
            generated.append(token)
            yield token


def draw_token(logits: Tensor, generated: Sequence[int], sampling: Sampling, generator: torch.Generator) -> int:
    """Draw one token from logits (V,), which are changed.

    The repetition penalty counts generated tokens only: a prompt's digits stay usable.
    """
    if generated and sampling.repetition_penalty != 1:
        index = torch.tensor(list(set(generated)))
        repeated = logits[index]  # a negative logit is multiplied: dividing it would favour the repetition
        logits[index] = torch.where(
            repeated > 0, repeated / sampling.repetition_penalty, repeated * sampling.repetition_penalty
        )
    if sampling.temperature < COLDEST:
        return int(logits.argmax())
    top, index = logits.topk(min(sampling.top_k, len(logits)))
    probability = (top / sampling.temperature).softmax(dim=-1)
    is_outside = probability.cumsum(dim=-1) - probability > sampling.top_p  # the first over the line stays
    is_outside |= probability < sampling.min_p * probability[0]
    probability = probability.masked_fill(is_outside, 0.0)
    return int(index[torch.multinomial(probability, 1, generator=generator)])
