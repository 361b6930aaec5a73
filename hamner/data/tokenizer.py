"""Tokenizer (BPE): text <-> token ids, and the chat template.

Full size uses cosmo2 (49,152 entries); a miniature trains a byte-level BPE on its own text. Both reserve the same
first 17 ids, so a chat is written the same way everywhere:

    <|im_start|>role⏎content<|im_end|>⏎   per message, <|endoftext|> after the last

Ordinary text can never produce a reserved id: a page that spells out "<|im_end|>" gets plain tokens.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from hamner.config.errors import BadInput
from hamner.config.schema import HUB_DEADLINE
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START, RESERVED, Message
from hamner.data import hub_errors
from hamner.data.text_pieces import piece_batches, text_pieces
from hamner.runs.background import Child, Failed, Send
from hamner.runs.files import write_json, write_text
from hamner.runs.trouble import machine_trouble

Ids = npt.NDArray[np.uint32]

FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"
PROBE = "Hello, 1"  # what every tokenizer can write as ids
LETTERS = " ".join(map(chr, [*range(1, 0x500), 0x4E2D, 0x1F600, 0x10FFFD]))  # of all kinds: is any of them unknown?
# Of transformers (jinja): as encode_chat, but a reserved word in a message is not kept text there, and nothing closes
# the conversation: a prefix of it has to begin as the whole does (TRL refuses a template otherwise). What stands in
# {% generation %} is what the assistant says, its turn's end included: the tokens that fine-tuning learns from.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    r"{{ '<|im_start|>assistant\n' }}"
    r"{% generation %}{{ message['content'] | trim + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}"
    r"{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}"
    r"{% endif %}{% endfor %}{{ '<|im_start|>assistant\n' if add_generation_prompt else '' }}"
)


def transformers_config() -> dict[str, Any]:
    """What a tokenizer_config.json holds: what transformers' AutoTokenizer needs beside tokenizer.json.

    The class is one that version 4 knows too. The end token is that of a turn: a reply that has none never ends.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(("bos_token", "unk_token", "pad_token"), RESERVED[END_OF_TEXT]),
        "eos_token": RESERVED[MESSAGE_END],
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def _ids(ids: Sequence[int]) -> Ids:
    return np.array(ids, dtype=np.uint32)


def _turn(message: Message) -> str:
    """The text between the marks of a message."""
    return f"{message[0]}\n{message[1].strip()}"


class Tokenizer:
    """A `tokenizers` tokenizer whose ids 0 to 2 are the reserved ones above."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        for index, token in enumerate(RESERVED[:3]):
            if inner.token_to_id(token) != index:
                raise BadInput(
                    f"the tokenizer has no '{token}' at id {index}: use HuggingFaceTB/cosmo2-tokenizer or 'train'"
                )
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self._json = inner.to_str()
        description = json.loads(self._json)
        self.splits_at_spaces = _splits_at_spaces(description)
        inner.encode_special_tokens = True  # reserved words inside text stay text
        self.vocab_size = inner.get_vocab_size()
        self.sha256 = hashlib.sha256(self._json.encode()).hexdigest()
        _check_text_stays_text(inner, description)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Train a byte-level BPE with single digits, like cosmo2's; the same texts give the same tokenizer."""
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        inner.decoder = decoders.ByteLevel()
        inner.train_from_iterator(
            (piece for text in texts for piece in text_pieces(text)),  # of the same words, in a few bytes a character
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
        """Load from a folder with tokenizer.json, or by Hugging Face Hub id within `deadline` seconds.

        Raises BadInput where that fails.
        """
        path = Path(name) / FILE
        if not path.is_file():
            if Path(name).is_absolute() or str(name).count("/") != 1:
                raise BadInput(f"no tokenizer at {path}: give a folder that holds one, or a Hugging Face Hub id")
            path = _hub_file(str(name), deadline)
        try:
            tokenizer = cls.from_json(path.read_text(encoding="utf-8"))
            tokenizer.decode(tokenizer.encode(PROBE))  # some are whole for the library until they are used
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
        # the library raises bare Exception for a broken file, and for some its panic, which is none
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            if machine_trouble(error):
                raise OSError(str(error)) from None
            raise BadInput(
                f"{path} is not a tokenizer of the tokenizers library: {error}; name another, or restore it from a copy"
            ) from None
        return tokenizer

    @classmethod
    @functools.lru_cache(maxsize=8)
    def from_json(cls, text: str) -> Tokenizer:
        """Build from the text of a tokenizer.json; the same text is the same object, which nothing changes.

        The library keeps what each of its tokenizers wrote as ids, also when it is gone: 0.4 MiB of LETTERS alone.
        """
        return cls(tokenizers.Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The text of a tokenizer.json."""
        return self._json

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, and tokenizer_config.json with the chat template for transformers."""
        write_text(folder / FILE, self._json)
        write_json(folder / CONFIG_FILE, transformers_config())

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without reserved ones."""
        return self._inner.encode(text, add_special_tokens=False).ids

    def encode_after_space(self, word: str) -> list[int]:
        """As encode(" " + word) in less than half the time; for ASCII letters, where `splits_at_spaces`."""
        return [token.id for token in self._inner.model.tokenize(f"\u0120{word}")]  # byte-level BPE writes " " so

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As encode of each text, on all cores."""
        return [e.ids for e in self._inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_documents(self, documents: Sequence[str | Sequence[Message]]) -> list[Ids]:
        """The ids of texts and of conversations in the template, each closed by <|endoftext|>; on all cores.

        Texts are encoded in pieces, which takes a twentieth of the memory and gives the same ids.
        """
        texts = [text for d in documents for text in ([d] if isinstance(d, str) else map(_turn, d))]
        encoded = iter(self._encode_in_pieces(texts))
        start, after, end = map(_ids, ([MESSAGE_START], [MESSAGE_END, *self.encode("\n")], [END_OF_TEXT]))
        ids: list[Ids] = []
        for document in documents:
            if isinstance(document, str):
                ids.append(np.concatenate([next(encoded), end]))
            else:
                turns = [part for _ in document for part in (start, next(encoded), after)]
                ids.append(np.concatenate([*turns, end]))
        return ids

    def _encode_in_pieces(self, texts: Sequence[str]) -> list[Ids]:
        parts: list[list[Ids]] = [[] for _ in texts]
        for batch in piece_batches(texts, is_cut=self.splits_at_spaces):
            for (number, _), ids in zip(batch, self.encode_batch([piece for _, piece in batch]), strict=True):
                parts[number].append(_ids(ids))
        return [np.concatenate(each) for each in parts]

    def encode_chat(self, messages: Sequence[Message], *, reply: bool = False) -> list[int]:
        """The ids of a conversation in the template; with `reply` up to where the assistant's answer begins."""
        ids: list[int] = []
        for message in messages:
            ids += [MESSAGE_START, *self.encode(_turn(message)), MESSAGE_END, *self.encode("\n")]
        if reply:
            return [*ids, MESSAGE_START, *self.encode("assistant\n")]
        return [*ids, END_OF_TEXT]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without reserved ones."""
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids, piece by piece; a character that several tokens make up comes as a whole."""
        next_piece = self.piece_decoder()
        yield from filter(None, map(next_piece, ids))

    def piece_decoder(self) -> Callable[[int], str]:
        """A function of the next id: its text, "" as long as more ids belong to the same character."""
        decoder = decoders.DecodeStream(skip_special_tokens=True)
        return lambda token: decoder.step(self._inner, token) or ""


def _hub_file(name: str, deadline: float) -> Path:
    """A Hub tokenizer's file, in the cache of the Hub's library. Raises BadInput."""
    with closing(Child(_download, name, deadline)) as child:
        try:
            child.receive()  # sent once its libraries are imported, so that this time does not count
            return Path(child.receive(deadline))
        except (TimeoutError, Failed) as error:
            reason = error if isinstance(error, Failed) else f"no answer for {deadline:g} s"
            raise BadInput(
                f"tokenizer '{name}' is not a folder, and the Hugging Face Hub did not provide it ({reason}): "
                "give a folder with data.tokenizer=FOLDER, put it into the data folder as DIR/tokenizer/, "
                "or use a miniature config, which trains its own"
            ) from None


def _download(send: Send, name: str, deadline: float) -> None:
    """Download tokenizer.json and send its path; in a process of its own, since only single requests time out."""
    from huggingface_hub import hf_hub_download

    send("ready")
    try:  # half of the time is for the question whether a newer one exists; without an answer the cached one is used
        send(hf_hub_download(name, FILE, etag_timeout=min(10.0, deadline / 2)))
    except Exception as error:  # the libraries raise a dozen kinds
        raise Failed(hub_errors.reason(error)) from None


def _check_text_stays_text(inner: tokenizers.Tokenizer, description: dict[str, Any]) -> None:
    """Raise BadInput for a tokenizer that makes a reserved id of text: a message could end its turn and begin another.

    One whose reserved tokens are not "special" does, or whose words or merges have the id of one, or whose token for
    unknown text is one: where bytes are its alphabet nothing is unknown, so that one is named there without harm.
    """
    reserved = {index: token for token in RESERVED if (index := inner.token_to_id(token)) is not None}
    forged = [token["id"] for token in description["added_tokens"] if not token["special"]]
    forged += [index for word, index in inner.get_vocab().items() if reserved.get(index, word) != word]
    texts = [text for token in RESERVED for text in (token, f"{token}hi", f"a {token} b", f"a{token}\n")]
    forged += [index for text in (*texts, LETTERS) for index in inner.encode(text, add_special_tokens=False).ids]
    for index in forged:
        if index in reserved:
            raise BadInput(
                f"the tokenizer makes the reserved id {index}, '{reserved[index]}', of text, so that a message could "
                "forge it: mark its reserved tokens as special, or use HuggingFaceTB/cosmo2-tokenizer or 'train'"
            )


def _splits_at_spaces(description: dict[str, Any]) -> bool:
    """Whether the ids of words with single spaces between are those of each word with the space before it.

    True for byte-level BPE with GPT-2's pattern, with single digits or not, and nothing else in between (cosmo2's, and
    those of Tokenizer.train); False where it is not certain.
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
