"""Text <-> token ids, and the chat template. The one home of both.

Full size reads with cosmo2 (49,152 entries); a miniature trains a byte-level BPE on its own text. Both
reserve the same first 17 ids, so a chat is written the same way everywhere:

    <|im_start|>role⏎content<|im_end|>⏎   per message, <|endoftext|> after the last

Ordinary text can never produce a reserved id: a page that spells out "<|im_end|>" gets plain tokens.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from hamner.config.errors import BadInput
from hamner.config.schema import HUB_DEADLINE
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START, RESERVED, Message
from hamner.data import hub_errors
from hamner.runs.background import Child, Failed, Send
from hamner.runs.files import write_text


def _turn(message: Message) -> str:
    """What stands between the marks of a message."""
    return f"{message[0]}\n{message[1].strip()}"


class Tokenizer:
    """A `tokenizers` tokenizer whose ids 0 to 2 are the reserved ones above."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        for index, token in enumerate(RESERVED[:3]):
            if inner.token_to_id(token) != index:
                raise BadInput(f"the tokenizer has no '{token}' at id {index}; use cosmo2's, or 'train'")
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._json = inner.to_str()
        self.splits_at_spaces = _splits_at_spaces(json.loads(self._json))
        inner.encode_special_tokens = True  # reserved words inside text stay text
        self.vocab_size = inner.get_vocab_size()
        self.sha256 = hashlib.sha256(self._json.encode()).hexdigest()

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """A byte-level BPE with single digits, like cosmo2's; the same texts give the same tokenizer."""
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        inner.decoder = decoders.ByteLevel()
        inner.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=vocab_size,
                special_tokens=list(RESERVED),
                show_progress=False,
                initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            ),
        )
        return cls(inner)

    @classmethod
    def load(cls, name: str | Path, deadline: float = HUB_DEADLINE) -> Tokenizer:
        """From a folder with tokenizer.json, or by hub id within `deadline` seconds. Raises BadInput where neither
        can be had."""
        path = Path(name) / "tokenizer.json"
        if not path.is_file():
            if Path(name).is_absolute() or str(name).count("/") != 1:
                raise BadInput(f"no tokenizer at {path}")
            path = _downloaded(str(name), deadline)
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)))
        except BadInput:
            raise
        except Exception as error:  # the library raises bare Exception for a broken file
            raise BadInput(f"{path} is not a tokenizer: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """From what to_json gave."""
        return cls(tokenizers.Tokenizer.from_str(text))

    def to_json(self) -> str:
        return self._json

    def save(self, folder: Path) -> None:
        write_text(folder / "tokenizer.json", self._json)

    def encode(self, text: str) -> list[int]:
        return self._inner.encode(text, add_special_tokens=False).ids

    def encode_later_word(self, word: str) -> list[int]:
        """As encode(" " + word) of ASCII letters, in less than half the time; where `splits_at_spaces`."""
        return [token.id for token in self._inner.model.tokenize(f"\u0120{word}")]  # byte-level BPE writes " " so

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As encode, on all cores."""
        return [e.ids for e in self._inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_documents(self, documents: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Texts and conversations, these in the template, each closed by <|endoftext|>; on all cores."""
        pieces = [piece for d in documents for piece in ([d] if isinstance(d, str) else map(_turn, d))]
        encoded, newline = iter(self.encode_batch(pieces)), self.encode("\n")
        ids: list[list[int]] = []
        for document in documents:
            if isinstance(document, str):
                ids.append([*next(encoded), END_OF_TEXT])
            else:
                turns = ((MESSAGE_START, *next(encoded), MESSAGE_END, *newline) for _ in document)
                ids.append([*itertools.chain.from_iterable(turns), END_OF_TEXT])
        return ids

    def encode_chat(self, messages: Sequence[Message], *, reply: bool = False) -> list[int]:
        """A conversation in the template; with `reply` it ends where the assistant's answer begins."""
        ids: list[int] = []
        for message in messages:
            ids += [MESSAGE_START, *self.encode(_turn(message)), MESSAGE_END, *self.encode("\n")]
        if reply:
            return [*ids, MESSAGE_START, *self.encode("assistant\n")]
        return [*ids, END_OF_TEXT]

    def decode(self, ids: Sequence[int]) -> str:
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """Text piece by piece; a character cut in two by its tokens comes when it is whole."""
        decoder = decoders.DecodeStream(skip_special_tokens=True)
        for token in ids:
            piece = decoder.step(self._inner, token)
            if piece:
                yield piece


def _downloaded(name: str, deadline: float) -> Path:
    """A hub tokenizer's file in the cache of the hub's library. Raises BadInput."""
    with closing(Child(_download, name, deadline)) as child:
        try:
            child.receive()  # its libraries are imported, which takes as long as it takes
            return Path(child.receive(deadline))
        except (TimeoutError, Failed) as error:
            reason = error if isinstance(error, Failed) else f"no answer for {deadline:g} s"
            raise BadInput(
                f"tokenizer '{name}' is neither a folder nor to be had from the hub ({reason}); "
                "give a folder with data.tokenizer=FOLDER, put it into the data folder as DIR/tokenizer/, "
                "or use a miniature config, which trains its own"
            ) from None


def _download(send: Send, name: str, deadline: float) -> None:
    """In a process of its own: the library has timeouts of single requests only."""
    from huggingface_hub import hf_hub_download

    send("ready")
    try:  # half of the time to hear of a newer one: else the one in the cache is taken, as the library does
        send(hf_hub_download(name, "tokenizer.json", etag_timeout=min(10.0, deadline / 2)))
    except Exception as error:  # the libraries raise a dozen kinds
        raise Failed(hub_errors.reason(error)) from None


def _splits_at_spaces(description: dict[str, Any]) -> bool:
    """Whether the ids of words with single spaces between are those of each word with the space before it.

    So it is for byte-level BPE with GPT-2's pattern, digits apart or not, and nothing else in the way (cosmo2's, and
    what Tokenizer.train makes); False for what is not known to be so.
    """
    outer = description["pre_tokenizer"] or {}
    parts = outer["pretokenizers"] if outer.get("type") == "Sequence" else [outer]
    last = parts[-1]
    return (
        description["normalizer"] is None
        and all(token["special"] for token in description["added_tokens"])  # others are found across spaces
        and all(part["type"] == "Digits" for part in parts[:-1])
        and last.get("type") == "ByteLevel"
        and last["use_regex"]
        and not last["add_prefix_space"]
    )
