"""Models for tests of the export: random ones whose layers matter, and ones that have learnt chats by heart."""

import random

import torch
from model_kinds import small_model

from hamner.data.tokenizer import Tokenizer
from hamner.inference.generate import Sampling, stream
from hamner.model.loss import next_token_loss
from hamner.model.transformer import Hamner, build

KINDS = {
    "dense": {},
    "mixture": {"num_experts": 4, "num_active_experts": 2},
    "differential": {"attention": "differential"},
    "differential mixture": {"attention": "differential", "num_experts": 4, "num_active_experts": 2},
}
GREEDY = Sampling(temperature=0, repetition_penalty=1)
NEW_TOKENS = 40
SUBJECTS = ("the fox", "an owl", "my friend", "Grandma", "a little boat", "the moon", "one old key", "our garden")
DEEDS = ("walks home", "sings softly", "waits 12 days", "finds 3 apples", "says hello", "reads a letter", "is glad")
PLACES = ("by the river", "under the bridge", "in May", "at half past 7", "on the hill", "for you", "near Zürich")


def sentences(seed: int, count: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"{draw.choice(SUBJECTS)} {draw.choice(DEEDS)} {draw.choice(PLACES)}." for _ in range(count))


NAMES = ("Anna", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jo")
CHATS = [
    (f"{word} {name}, tell me about {sentences(place, 1)}", sentences(100 + place, 5))
    for place, (word, name) in enumerate((word, name) for word in ("Hello", "Now") for name in NAMES)
]
PLAIN = [sentences(i, 1)[:-1] for i in range(200, 219)] + ["a  b\n\n 漢字 42"]


def tokenizer(vocab_size: int = 400) -> Tokenizer:
    roles = "system\nbe kind user\n assistant\n"
    return Tokenizer.train([roles, *(f"{asked} {answer}" for asked, answer in CHATS)], vocab_size)


def lively(seed: int = 0, scale: float = 4, **changes) -> Hamner:
    """Random weights, with blocks that write `scale` times as much: a fresh model repeats its last token."""
    hamner = build(small_model(**({"intermediate_size": 48} | changes)), seed)
    with torch.no_grad():
        for name, weight in hamner.named_parameters():
            if name.endswith(("attention.o.weight", "down", "down.weight")):
                weight.mul_(scale)
            if "norm" in name:
                weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(seed))
    return hamner.eval()


def learnt(words: Tokenizer, steps: int = 60, **changes) -> Hamner:
    """A model that has learnt CHATS by heart, so that its likeliest token is far ahead of the next."""
    sizes = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 96, "max_seq_len": 256}
    hamner = build(small_model(vocab_size=words.vocab_size, **(sizes | changes)), 0)
    rows = [words.encode_chat([("user", asked), ("assistant", answer)]) for asked, answer in CHATS]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    weight = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows])
    optimizer = torch.optim.AdamW(hamner.parameters(), lr=1e-2)
    for _ in range(steps):
        output = hamner(tokens)
        loss = next_token_loss(output.logits, tokens, weight)
        optimizer.zero_grad()
        (loss + output.balance_loss).backward()
        optimizer.step()
    assert loss.item() < 0.3
    return hamner.eval()


def prompts(words: Tokenizer) -> list[list[int]]:
    """Ids of the 20 chats and of the 20 plain texts."""
    chats = [words.encode_chat([("user", asked)], reply=True) for asked, _ in CHATS]
    return [*chats, *(words.encode(text) for text in PLAIN)]


def greedy(hamner: Hamner, ids: list[int]) -> list[int]:
    """The likeliest next tokens up to an end."""
    return list(stream(hamner, ids, NEW_TOKENS, GREEDY, torch.Generator()))


def up_to_end(ids: list[int]) -> list[int]:
    """Ids of another program without the end token and what follows it."""
    return ids[: next((place for place, token in enumerate(ids) if token in (0, 1, 2)), len(ids))]
