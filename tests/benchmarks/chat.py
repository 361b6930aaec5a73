"""Chat: processor seconds to a reply's first piece, with the last context kept and with all of it read anew.

    python tests/benchmarks/chat.py

V3's layers with random weights and a small vocabulary, one thread; a conversation of 1,700 tokens, four messages more.
"""

import time
from pathlib import Path

import torch

from hamner.config.presets import PRESETS
from hamner.data.tokenizer import Tokenizer
from hamner.inference.conversation import Conversation
from hamner.inference.find_model import LoadedModel
from hamner.model.transformer import build

EXCHANGE = (("user", "hello there " * 8), ("assistant", "the owl and the fox " * 6))


def seconds(talk: Conversation, message: str) -> float:
    """Processor seconds to the first piece of the reply, which is then broken off."""
    began = time.process_time()
    reply = talk.stream_reply(message)
    next(reply)
    taken = time.process_time() - began
    reply.close()
    return taken


def main() -> None:
    torch.set_num_threads(1)
    tokenizer = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
    hamner = build(PRESETS["v3"].model_copy(update={"vocab_size": tokenizer.vocab_size}), 0).requires_grad_(False)
    hamner.embedding.weight[:3] = 0  # the marks that end a reply are never among the likeliest tokens
    loaded = LoadedModel(hamner, tokenizer, Path())
    kept = Conversation(loaded)
    kept.load(EXCHANGE * 22)
    seconds(kept, "hello")
    for number in range(4):
        anew, message = Conversation(loaded), f"hello there {number} " * 5
        anew.load(kept.messages)
        tokens, both = len(kept.prompt(message).ids), (seconds(kept, message), seconds(anew, message))
        print(f"{tokens:,} tokens: {both[0]:.2f} s with the last context kept, {both[1]:.2f} s anew")


if __name__ == "__main__":
    main()
